"""How large the errors of a swept result are, in the few classes that a reader compares."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from gradcheck_suite.reporters.numbers import ulp_text
from gradcheck_suite.results import Histogram

# Powers of two, for such are the edges of a sweep's bins: perfect rounding, the default threshold, lost digits.
_CLASSES: Final = (0.5, 1.0, 2.0, 4.0, 16.0, 2.0**10, 2.0**20, math.inf)


@dataclass(frozen=True, slots=True)
class Share:
    """One class of errors: as words, how many floats have one, and their part of all from 0 to 1."""

    label: str
    count: int
    part: float


def shares(histogram: Histogram) -> list[Share]:
    """The classes that occur, smallest errors first. A bin belongs to the class that its upper edge fits."""
    counts = dict.fromkeys(_CLASSES, 0)
    for upper, count in zip((*histogram.edges, math.inf), histogram.counts, strict=True):
        counts[next(limit for limit in _CLASSES if upper <= limit)] += count
    total = sum(counts.values())
    below = (0.0, *_CLASSES)
    return [
        Share(_label(below[i], limit), counts[limit], counts[limit] / total)
        for i, limit in enumerate(_CLASSES)
        if counts[limit]
    ]


def _label(low: float, high: float) -> str:
    if math.isinf(high):
        return f"more than {ulp_text(low)} ULP"
    return f"up to {ulp_text(high)} ULP"
