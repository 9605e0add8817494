"""The parameters of the four formats, against the numbers that IEEE 754 and the bfloat16 format give them."""

from __future__ import annotations

import numpy as np
import pytest

from gradcheck_suite.errors import UsageError
from gradcheck_suite.floats import FORMATS, format_of

KNOWN = {
    "float64": (53, 1.7976931348623157e308, 2.2250738585072014e-308, 5e-324, 2.0**-53),
    "float32": (24, 3.4028234663852886e38, 1.1754943508222875e-38, 1.401298464324817e-45, 2.0**-24),
    "float16": (11, 65504.0, 6.103515625e-05, 5.960464477539063e-08, 2.0**-11),
    "bfloat16": (8, 3.3895313892515355e38, 1.1754943508222875e-38, 9.183549615799121e-41, 2.0**-8),
}


@pytest.mark.parametrize("name", KNOWN)
def test_limits(name: str) -> None:
    fmt = format_of(name)
    limits = (fmt.precision, fmt.max, fmt.smallest_normal, fmt.smallest_subnormal, fmt.unit_roundoff)
    assert limits == KNOWN[name]


@pytest.mark.parametrize("name", ["float64", "float32", "float16"])
def test_limits_are_those_of_numpy(name: str) -> None:
    fmt, info = format_of(name), np.finfo(name)
    assert (fmt.max, fmt.smallest_normal, fmt.bits) == (
        float(info.max),
        float(info.smallest_normal),
        info.bits,
    )
    assert fmt.smallest_subnormal == float(info.smallest_subnormal)


def test_the_four_formats_are_all_there_are() -> None:
    assert set(FORMATS) == set(KNOWN)
    assert all(fmt.name == name for name, fmt in FORMATS.items())


def test_a_misspelt_format_is_answered_with_the_right_name() -> None:
    with pytest.raises(UsageError, match=r"flaot32.*'float32'"):
        format_of("flaot32")
