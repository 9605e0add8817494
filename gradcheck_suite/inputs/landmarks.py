"""Floats at which something changes: the ends of a format, thresholds of common functions, kinks of an op."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from gradcheck_suite.floats import Format, from_ordinal, infinity_ordinal, round_to, to_ordinal

Floats = NDArray[np.float64]


def distinct(values: Iterable[float] | Floats) -> Floats:
    """The values sorted, without repeats; -0 and +0 both stay, in that order, and one NaN at the end."""
    floats = np.asarray(values if isinstance(values, np.ndarray) else list(values), dtype=np.float64)
    numbers = np.unique(floats[~np.isnan(floats)])
    # numpy takes the zeros for equal, and keeps one of them at random.
    minus = np.signbit(floats[floats == 0])
    zeros = [-0.0] * bool(minus.any()) + [0.0] * bool((~minus).any())
    nan = [math.nan] * bool(np.isnan(floats).any())
    return np.concatenate([numbers[numbers < 0], zeros, numbers[numbers > 0], nan])


def around(points: Iterable[float], fmt: Format, *, ulps: int = 4) -> Floats:
    """The floats of `fmt` nearest to each point, with their `ulps` neighbours on both sides.

    `points` are binary64 numbers, which `fmt` need not hold; a point past its range stands for the infinity
    of its sign, a NaN for nothing. Sorted, without repeats; a neighbourhood of 0 has both zeros.
    """
    return _at_offsets(points, fmt, np.arange(-ulps, ulps + 1))


def approaching(points: Iterable[float], fmt: Format) -> Floats:
    """Floats at distances 1, 2, 4, ... ordinals from each point, on both sides, up to a whole binade.

    A function with a zero at a point other than 0 (log at 1) may lose its digits at any of these distances.
    """
    steps = 1 << np.arange(fmt.precision, dtype=np.int64)
    return _at_offsets(points, fmt, np.concatenate([-steps, [0], steps]))


def _at_offsets(points: Iterable[float], fmt: Format, offsets: NDArray[np.int64]) -> Floats:
    centres = round_to([point for point in points if not math.isnan(point)], fmt)
    top = infinity_ordinal(fmt)
    ordinals = np.clip(to_ordinal(centres, fmt)[:, np.newaxis] + offsets, -top, top)
    values = from_ordinal(ordinals.ravel(), fmt)
    return distinct(np.concatenate([values, -values[values == 0]]))


def format_landmarks(fmt: Format, *, ulps: int = 2) -> Floats:
    """+-0, +-inf, NaN, and the numbers where the format or a common function on it ends, each +- `ulps`.

    Both signs, sorted, without repeats; also the distances 2^k ordinals from +-1.
    """
    positive = [*_ends(fmt), *_thresholds(fmt)]
    mirrored = [0.0, *positive, *(-point for point in positive)]
    near = around(mirrored, fmt, ulps=ulps)
    return distinct(np.concatenate([near, approaching([1.0, -1.0], fmt), [math.inf, -math.inf, math.nan]]))


def _ends(fmt: Format) -> list[float]:
    """Ends of the subnormals and the normals, of the integers and half-integers, and the steps beside 1."""
    whole = 2.0**fmt.precision
    rounding = [fmt.unit_roundoff / 2, fmt.unit_roundoff, 2 * fmt.unit_roundoff]
    return [fmt.smallest_subnormal, fmt.smallest_normal, *rounding, 0.5, 1.0, 2.0, whole / 2, whole, fmt.max]


def _thresholds(fmt: Format) -> list[float]:
    """Where exp, exp(x^2), powers and reciprocals leave the format, and where 1 + exp(-x) rounds to 1."""
    limits = [fmt.max, fmt.smallest_normal, fmt.smallest_subnormal]
    logs = [abs(math.log(limit)) for limit in limits]
    saturation = [-math.log(fmt.unit_roundoff), -math.log(fmt.unit_roundoff / 2)]
    powers = [limit**exponent for limit in limits for exponent in (1 / 2, 1 / 3)]
    # exp(-x^2/2) and erfc reach the ends of the format at these; their arguments are squared first.
    gauss = [math.sqrt(2 * log) for log in (*logs, *saturation)] + [math.sqrt(log) for log in logs]
    halves = [log / 2 for log in (*logs, *saturation)]
    return [*logs, *saturation, *halves, *gauss, *powers, fmt.max / 2, fmt.max / 4, 2 * fmt.smallest_normal]
