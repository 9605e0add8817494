"""Whether a finding is about inputs that programs meet, or only about the ends of the format and beyond."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Final

from gradcheck_suite.reporters.numbers import value_of
from gradcheck_suite.reporters.remembered import remembered
from gradcheck_suite.results import Finding, Result

SMALLEST: Final = 1e-4
LARGEST: Final = 1e4
"""Magnitudes of activations, logits and weights; 0 is ordinary too."""

SMALLEST_PARAMETER: Final = 1e-12
"""The smallest eps that torch has for a default."""

LOSS_SCALE: Final = 65536.0
"""The largest cotangent that training in mixed precision starts with."""

_FEW: Final = 0.05
"""A share of bad floats so small that an envelope over ordinary inputs says nothing about them."""


@remembered
def is_ordinary(result: Result, finding: Finding) -> bool:
    """Whether a finding shows at ordinary inputs: finite, 0 or from SMALLEST to LARGEST in magnitude.

    A finding on a line of floats is ordinary where the line, with all that is fixed along it, passes through
    such inputs; one on a sample where the sample consists of them.
    """
    if finding.lo is None:
        return True
    if not all(map(_is_usual, _fixed(finding))) or _has_extreme_parameters(result):
        return False
    known = {} if finding.witness is None else finding.witness.inputs
    on_a_line = not known or isinstance(known.get(finding.probe), str)
    if on_a_line and finding.share > _FEW:
        return _meets(value_of(finding.lo), value_of(finding.hi))
    return all(_is_usual(v) for name, value in known.items() if name != "cotangent" for v in _numbers(value))


def _has_extreme_parameters(result: Result) -> bool:
    numbers = (abs(v) for v in result.variant.values() if isinstance(v, int | float) and v)
    return any(not SMALLEST_PARAMETER <= size <= LARGEST for size in numbers if math.isfinite(size))


def _fixed(finding: Finding) -> Iterator[float]:
    for name, value in finding.fixed.items():
        # A cotangent may be as large as a loss scale, and 0 where a loss is masked.
        limit = LOSS_SCALE / LARGEST if name == "cotangent" else 1.0
        yield from (number / limit for number in _numbers(value))


def _is_usual(value: float) -> bool:
    return value == 0 or SMALLEST <= abs(value) <= LARGEST


def _meets(low: float, high: float) -> bool:
    """Whether an interval has ordinary numbers in it."""
    if math.isnan(low) or math.isnan(high):
        return False
    positive, negative = low <= LARGEST and high >= SMALLEST, low <= -SMALLEST and high >= -LARGEST
    return positive or negative or low <= 0 <= high


def _numbers(value: Any) -> Iterator[float]:
    """The floats in an input of the document; texts that stand for none are left out."""
    if isinstance(value, str):
        number = value_of(value)
        if not math.isnan(number) or value == "nan":
            yield number
    elif isinstance(value, list):
        for entry in value:
            yield from _numbers(entry)
    elif isinstance(value, dict):
        yield from _numbers([value.get("fill"), *(value.get("set") or {}).values()])
