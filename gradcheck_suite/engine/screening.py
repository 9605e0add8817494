"""Where a computed curve is not smooth: floats to judge that no sample of moderate size would hold.

Asking the op costs nanoseconds a float, the exact value microseconds. So the op is asked at very many floats of a
line, and only those at which its curve leaves that of its neighbours are judged: the ends of a narrow interval on
which it is wrong, a single wrong float, and kinks, which are right.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

from gradcheck_suite.floats import Format, from_ordinal, round_to, to_ordinal

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

MOST: Final = 120
"""Suspects of one line that are judged."""

_CENTRAL: Final = (-8, 10)
"""Exponents of the binades that get most of the floats."""

_WINDOW: Final = 32
# A step between two floats shows by half of itself at both; rounded to nearest, a smooth curve shows 4/3 at most.
_ULP: Final = 2.0
_TIMES: Final = 3.0

# What the rounding of five evenly spaced values adds up to at most, in that of one.
_EVEN: Final = 8 / 3

# Numbers as people write them: of two digits by powers of ten, small integers, and constants with a name.
_DIGITS, _POWERS, _WHOLE = 100, range(-4, 2), 1024
_NAMED: Final = [
    *math.pi * 2.0 ** np.arange(-2, 2),
    math.e,
    math.log(2),
    math.log(10),
    *2.0 ** np.array([-0.5, 0.5]),
]


@lru_cache(maxsize=4)
def grid(fmt: Format, per_binade: int, elsewhere: int = 8) -> Floats:
    """Floats of both signs in rising order, evenly spaced by an odd number of ordinals within each binade: `per_binade`
    of them in the middle binades, with short decimals and their neighbours between them, `elsewhere` in the others.
    """
    parts = [_plain(fmt)]
    for e in range(fmt.emin, fmt.emax + 1):
        first, last = to_ordinal(np.array([2.0**e, 2.0**e * (2 - 2 * fmt.unit_roundoff)]), fmt)
        count = per_binade if _CENTRAL[0] <= e < _CENTRAL[1] else elsewhere
        step = int(last - first) // count | 1
        parts.append(np.arange(first + step // 3, last, step, dtype=np.int64))
    positive = from_ordinal(np.unique(np.concatenate(parts)), fmt)
    both = np.concatenate([-positive[::-1], positive])
    both.setflags(write=False)  # It is kept.
    return both


def _plain(fmt: Format) -> Ints:
    """Ordinals of the floats nearest to numbers that people write, each with its neighbours."""
    decimals = np.outer(np.arange(1, _DIGITS), 10.0 ** np.array(_POWERS))
    numbers = round_to(np.concatenate([decimals.ravel(), np.arange(1.0, _WHOLE), _NAMED]), fmt)
    # Elsewhere the floats lie so far apart that a curve bends by more than its rounding between them.
    low, high = _CENTRAL
    ordinals = to_ordinal(numbers[(numbers > 2.0**low) & (numbers < 2.0**high)], fmt)
    return np.asarray((ordinals[:, np.newaxis] + np.arange(-1, 2)).ravel())


def suspects(x: Floats, y: Floats, fmt: Format) -> Ints:
    """Indices at which y leaves the cubic through its four neighbours by much more than it does nearby, the gravest
    first; also where it ceases to be finite.
    """
    if len(x) < 5:
        return np.zeros(0, dtype=np.int64)
    with np.errstate(all="ignore"):
        size = np.maximum(np.maximum(np.abs(y[1:-3]), np.abs(y[3:-1])), np.abs(y[2:-2]))
        unit = np.exp2(np.maximum(np.floor(np.log2(size)), fmt.emin) - fmt.precision + 1)
        leaves = _departures(x, y) / unit
    leaves = np.where(np.isfinite(leaves), leaves, 0.0)
    excess = np.zeros(len(x))
    excess[2:-2] = leaves / (_ULP + _TIMES * _nearby(leaves))
    finite = np.isfinite(y)
    excess[1:][finite[1:] != finite[:-1]] = np.inf
    where = np.flatnonzero(excess > 1)
    return np.asarray(where[np.argsort(-excess[where], kind="stable")][:MOST])


def _departures(x: Floats, y: Floats) -> Floats:
    """How far each value but the outer two lies from the cubic through the two before and the two behind it.

    A line would do for floats close to each other, but in binary64 a curve bends by far more than its rounding.
    """
    # Differences of neighbours are exact: nothing is lost here.
    out: Floats = np.abs(np.diff(y, 4)) / 6
    even = np.diff(np.diff(x)) == 0
    first = np.flatnonzero(~(even[:-2] & even[1:-1] & even[2:]))
    centre, neighbours = first + 2, [first + k for k in (0, 1, 3, 4)]
    by, total = np.zeros(len(first)), np.ones(len(first))
    for j in neighbours:
        weight = np.ones(len(first))
        for k in neighbours:
            weight *= 1.0 if k is j else (x[centre] - x[k]) / (x[j] - x[k])
        by += weight * (y[j] - y[centre])
        total += np.abs(weight)
    # Through two floats next to each other a cubic goes anywhere: by so much is rounding enlarged.
    out[first] = np.abs(by) * np.minimum(_EVEN / total, 1.0)
    return out


def _nearby(values: Floats) -> Floats:
    """The median of each block of values, the larger of a block's and its neighbours'."""
    blocks = -(-len(values) // _WINDOW)
    medians = np.median(np.resize(values, (blocks, _WINDOW)), axis=1)
    wide = np.pad(medians, 1, mode="edge")
    return np.repeat(np.maximum(np.maximum(wide[:-2], wide[1:-1]), wide[2:]), _WINDOW)[: len(values)]
