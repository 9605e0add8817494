"""Floats spread over every binade of a format, uniform in float ordinals."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from gradcheck_suite.floats import Format, from_ordinal

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_GOLDEN: Final = np.uint64(0x9E3779B97F4A7C15)


def binades(
    fmt: Format, per_binade: int, seed: int, *, low: int | None = None, high: int | None = None
) -> Floats:
    """About `per_binade` floats in each binade of both signs, subnormal octaves included; sorted.

    A binade is cut into `per_binade` equal cells of ordinals and one float is drawn from each; a binade with
    no more floats than that gives all of them. `low` and `high` are the exponents of the first and the last
    binade (all of them by default).
    """
    starts, sizes = _binade_ordinals(fmt, low, high)
    cells = np.minimum(sizes, per_binade)
    widths = np.repeat(sizes // cells, cells)
    positions = np.arange(cells.sum()) - np.repeat(np.cumsum(cells) - cells, cells)
    first = np.repeat(starts, cells) + positions * widths
    # The last cell of a binade takes what the division leaves over.
    last = positions == np.repeat(cells, cells) - 1
    spans = np.where(last, np.repeat(starts + sizes, cells) - first, widths)
    draws = _draws(2 * len(spans), seed ^ (fmt.precision << 32)).reshape(2, -1)
    negative, positive = first + (draws % spans.astype(np.uint64)).astype(np.int64)
    return from_ordinal(np.concatenate([-negative[::-1], positive]), fmt)


def _binade_ordinals(fmt: Format, low: int | None, high: int | None) -> tuple[Ints, Ints]:
    """First ordinal and number of floats of each positive binade, from the subnormal octaves upwards."""
    smallest = fmt.ulp_exponent_min
    first = smallest if low is None else max(low, smallest)
    last = fmt.emax if high is None else min(high, fmt.emax)
    exponents = np.arange(first, last + 1, dtype=np.int64)
    octaves = np.int64(1) << np.minimum(exponents - smallest, fmt.precision - 1)
    starts = np.where(exponents < fmt.emin, octaves, (exponents - fmt.emin + 1) << (fmt.precision - 1))
    return starts, octaves


def _draws(count: int, seed: int) -> NDArray[np.uint64]:
    """SplitMix64 (Steele, Lea and Flood 2014): unlike numpy's generators it will never draw other numbers."""
    state = np.uint64(seed % 2**64) + _GOLDEN * np.arange(1, count + 1, dtype=np.uint64)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))
