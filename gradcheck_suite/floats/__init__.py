"""Floating-point formats, float ordinals, exact values and the ULP error between the two.

Values of every format are carried in numpy float64 arrays, which hold each of them exactly. Needs numpy only.
"""

from __future__ import annotations

from gradcheck_suite.floats._error import ulp_error, ulp_exponent
from gradcheck_suite.floats._exact import Exact
from gradcheck_suite.floats._formats import FORMATS, Format, format_of
from gradcheck_suite.floats._ordinals import all_values, from_ordinal, infinity_ordinal, round_to, to_ordinal
from gradcheck_suite.floats._rounding import overflows, round_exact
from gradcheck_suite.floats._text import hex_of, parse_float

__all__ = [
    "FORMATS",
    "Exact",
    "Format",
    "all_values",
    "format_of",
    "from_ordinal",
    "hex_of",
    "infinity_ordinal",
    "overflows",
    "parse_float",
    "round_exact",
    "round_to",
    "to_ordinal",
    "ulp_error",
    "ulp_exponent",
]
