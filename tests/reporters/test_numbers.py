"""How reports write numbers."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradcheck_suite.reporters.numbers import hex_text, input_text, interval, short, ulp_text, value_of


@pytest.mark.parametrize(
    ("ulp", "text"),
    [
        (0.0, "0"),
        (1e-230, "<0.001"),
        (0.5, "0.5"),
        (0.4999, "0.5"),
        (3.25, "3.2"),
        (99.4, "99"),
        (813.7, "814"),
        (9999.4, "9999"),
        (9999.6, "1e4"),
        (8369680.0, "8.4e6"),
        (1e300, "1e300"),
        (math.inf, "inf"),
        (math.nan, "-"),
        (None, "-"),
    ],
)
def test_ulp_figures_are_short(ulp: float | None, text: str) -> None:
    assert ulp_text(ulp) == text


@given(st.floats(min_value=1e-3, max_value=1e300))
def test_an_ulp_figure_keeps_its_size(ulp: float) -> None:
    assert len(ulp_text(ulp)) <= 7
    assert math.isclose(float(ulp_text(ulp)), ulp, rel_tol=0.06)


@given(st.floats())
def test_a_hex_float_is_read_back_with_and_without_its_zeros(value: float) -> None:
    for text in (value.hex(), hex_text(value.hex())):
        assert value_of(text) == value or math.isnan(value)


def test_trailing_zeros_of_a_hex_float_say_nothing() -> None:
    assert hex_text("0x1.8000000000000p+1") == "0x1.8p+1"
    assert hex_text("-0x1.0000000000000p+64") == "-0x1p+64"
    assert hex_text("0x0.0p+0") == "0x0p+0"
    assert hex_text("inf") == "inf"


@pytest.mark.parametrize("text", [None, "", "two", "0xzz", "0x1p999999999"])
def test_what_is_no_number_is_nan(text: str | None) -> None:
    assert math.isnan(value_of(text))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (88.72283935546875, "88.7228"),
        (1e-20, "1e-20"),
        (-0.5, "-0.5"),
        (3e38, "3e38"),
        (None, "-"),
        (math.nan, "NaN"),
    ],
)
def test_decimals_are_short(value: float | None, text: str) -> None:
    assert short(value) == text


@pytest.mark.parametrize(
    ("lo", "hi", "dtype", "text"),
    [
        ("0x1.0p+4", "0x1.8p+4", "float32", "16 ≤ x ≤ 24"),
        ("0x1.0p+4", "0x1.0p+4", "float32", "x = 16"),
        ("0x1.0p+4", "inf", "float32", "x ≥ 16"),
        ("0x1.0p+4", (65504.0).hex(), "float16", "x ≥ 16"),
        ("0x1.0p+4", (65504.0).hex(), "float32", "16 ≤ x ≤ 65504"),
        ("-inf", "-0x1.0p+4", "float32", "x ≤ -16"),
        ((-65504.0).hex(), "-0x1.0p+4", "float16", "x ≤ -16"),
        ("-inf", "inf", "bfloat16", "every x"),
        ("inf", "inf", "float32", "x = inf"),
        ("nan", "nan", "float32", "x = NaN"),
        (None, None, "float32", "every input"),
        ("?", "0x1.0p+4", "float32", "x from ? to 0x1.0p+4"),
    ],
)
def test_an_interval_reads_as_a_condition(lo: str | None, hi: str | None, dtype: str, text: str) -> None:
    assert interval(lo, hi, "x", dtype) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("0x1.8000000000000p+1", "3 (0x1.8p+1)"),
        ("inf", "inf"),
        ("nan", "NaN"),
        ("mean", "mean"),
        (["0x1.0p+0", "-0x1.0p+1"], "[1, -2]"),
        ([["0x1.0p+0", "inf"], ["nan", 3]], "[[1, inf], [NaN, 3]]"),
        (["0x1.0p+0"] * 20, "[1, 1, 1, 1, 1, 1, 1, 1, …]"),
        ({"fill": "0x1.0p+0", "shape": [3, 4]}, "shape (3, 4) filled with 1"),
        ({"fill": "0x0.0p+0", "shape": [9], "set": {"4": "inf"}}, "shape (9) filled with 0, 1 entries set"),
        (7, "7"),
        (None, "None"),
    ],
)
def test_inputs_are_shown_to_people(value: object, text: str) -> None:
    assert input_text(value) == text


def test_a_negative_zero_is_no_end_of_its_own() -> None:
    assert interval("-0x0.0p+0", "0x1.0p+0") == "0 ≤ x ≤ 1"
    assert interval("-0x1.0p+0", "-0x0.0p+0") == "-1 ≤ x ≤ 0"
    assert interval("-0x0.0p+0", "-0x0.0p+0") == "x = -0"
