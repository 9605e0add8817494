"""Floats as text, both ways."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradcheck_suite.errors import UsageError
from gradcheck_suite.floats import hex_of, parse_float


@settings(derandomize=True, deadline=None)
@given(st.floats(allow_nan=False))
def test_hex_and_decimal_text_are_read_back_without_loss(value: float) -> None:
    for text in (hex_of(value), repr(value)):
        read = parse_float(text)
        assert read == value
        assert math.copysign(1.0, read) == math.copysign(1.0, value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (math.inf, "inf"),
        (-math.inf, "-inf"),
        (math.nan, "nan"),
        (-0.0, "-0x0.0p+0"),
        (1.5, "0x1.8000000000000p+0"),
    ],
)
def test_hex_of(value: float, text: str) -> None:
    assert hex_of(value) == text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("10", 10.0),
        ("0x10", 16.0),
        (" -1e-3 ", -0.001),
        ("-0X1.8P-1", -0.75),
        ("Infinity", math.inf),
        ("1e-999", 0.0),
    ],
)
def test_parse_float(text: str, value: float) -> None:
    assert parse_float(text) == value


def test_nan_is_read() -> None:
    assert math.isnan(parse_float("nan"))


@pytest.mark.parametrize("text", ["", "one", "1,5", "0xg", "1.2.3", "--1"])
def test_no_number(text: str) -> None:
    with pytest.raises(UsageError, match="is no number: write a decimal"):
        parse_float(text)


@pytest.mark.parametrize("text", ["1e999", "-1e999", "0x1p5000"])
def test_a_finite_number_past_the_range_is_not_taken_for_infinity(text: str) -> None:
    with pytest.raises(UsageError, match="beyond the range of float64"):
        parse_float(text)
