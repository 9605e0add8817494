"""Where a computed curve is not smooth: floats to judge that no sample of moderate size would hold.

Asking the op costs nanoseconds a float, the exact value microseconds. So the op is asked at very many floats of a
line, and only those at which its curve leaves that of its neighbours are judged: the ends of a narrow interval on
which it is wrong, a single wrong float, and kinks, which are right.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from gradcheck_suite.floats import Format, from_ordinal, to_ordinal

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

MOST: Final = 40
"""Suspects of one line that are judged."""

_CENTRAL: Final = (-8, 10)
"""Exponents of the binades that get most of the floats."""

_ELSEWHERE: Final = 8
_WINDOW: Final = 32
_ULP: Final = 4.0
_TIMES: Final = 6.0


def grid(fmt: Format, per_binade: int) -> Floats:
    """Floats of both signs in rising order, evenly spaced by an odd number of ordinals within each binade.

    `per_binade` of them in the middle binades, a few in the others.
    """
    parts = []
    for e in range(fmt.emin, fmt.emax + 1):
        first, last = to_ordinal(np.array([2.0**e, 2.0**e * (2 - 2 * fmt.unit_roundoff)]), fmt)
        count = per_binade if _CENTRAL[0] <= e < _CENTRAL[1] else _ELSEWHERE
        step = int(last - first) // count | 1
        parts.append(np.arange(first + step // 3, last, step, dtype=np.int64))
    positive = from_ordinal(np.concatenate(parts), fmt)
    return np.concatenate([-positive[::-1], positive])


def suspects(x: Floats, y: Floats, fmt: Format) -> Ints:
    """Indices at which y leaves the line through its two neighbours by much more than it does nearby, the gravest
    first; also where it ceases to be finite.
    """
    if len(x) < 3:
        return np.zeros(0, dtype=np.int64)
    with np.errstate(all="ignore"):
        between = y[:-2] + (y[2:] - y[:-2]) * ((x[1:-1] - x[:-2]) / (x[2:] - x[:-2]))
        size = np.maximum(np.maximum(np.abs(y[:-2]), np.abs(y[2:])), np.abs(y[1:-1]))
        unit = np.exp2(np.maximum(np.floor(np.log2(size)), fmt.emin) - fmt.precision + 1)
        leaves = np.abs(y[1:-1] - between) / unit
    leaves = np.where(np.isfinite(leaves), leaves, 0.0)
    excess = leaves / (_ULP + _TIMES * _nearby(leaves))
    finite = np.isfinite(y)
    excess[finite[1:-1] != finite[:-2]] = np.inf
    where = np.flatnonzero(excess > 1)
    return np.asarray(where[np.argsort(-excess[where], kind="stable")][:MOST] + 1)


def _nearby(values: Floats) -> Floats:
    """The median of each block of values, the larger of a block's and its neighbours'."""
    blocks = -(-len(values) // _WINDOW)
    medians = np.median(np.resize(values, (blocks, _WINDOW)), axis=1)
    wide = np.pad(medians, 1, mode="edge")
    return np.repeat(np.maximum(np.maximum(wide[:-2], wide[1:-1]), wide[2:]), _WINDOW)[: len(values)]
