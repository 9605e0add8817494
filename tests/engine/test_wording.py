"""How sentences write numbers."""

from __future__ import annotations

import math

import pytest

from gradcheck_suite.engine.wording import decimal, hexadecimal, sentence, shorter


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-0.0, "-0"),
        (37.0, "37"),
        (-2.5, "-2.5"),
        (1e30, "1e+30"),
        (math.inf, "inf"),
        (math.nan, "nan"),
    ],
)
def test_decimals_are_the_shortest_that_read_back(value: float, text: str) -> None:
    assert decimal(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (40.0, "0x1.4p+5"),
        (-1.0, "-0x1p+0"),
        (0.1, "0x1.999999999999ap-4"),
        (1024.0, "0x1p+10"),
        (math.inf, "inf"),
    ],
)
def test_hex_has_no_zeros_at_its_end(value: float, text: str) -> None:
    assert hexadecimal(value) == text


def test_a_sentence_names_op_dtype_input_computed_and_exact() -> None:
    text = sentence(
        "sigmoid float64: the gradient", kind="underflow", point={"input": 40.0, "cotangent": -0.0}, got=0.0,
        exact="4.248354255291588996e-18", ulp=5.51468e15,
    )  # fmt: skip
    assert text == (
        "sigmoid float64: the gradient underflows: at input = 40 (0x1.4p+5), cotangent = -0 torch computes 0, "
        "exact is 4.248354255291589e-18, 5.51468e+15 ULP."
    )


@pytest.mark.parametrize(
    ("exact", "text"),
    [
        ("4.248354255291588959232207e-18", "4.24835425529158896e-18"),
        ("0.1000000014901161193847656", "0.100000001490116119"),
        ("-0.00001234567890123456789012345", "-0.0000123456789012345679"),
        ("65541.00000000000000000000049", "65541"),
        ("1.0", "1.0"),
        ("0.0", "0.0"),
        ("-inf", "-inf"),
        ("nan", "nan"),
    ],
)
def test_exact_values_are_rounded_not_cut(exact: str, text: str) -> None:
    assert shorter(exact) == text


def test_outside_a_set_its_nearest_element_is_stated() -> None:
    text = sentence("relu float32: the gradient", kind="tie", point={"x": 0.0}, got=2.0, exact="1.0", ulp=8e6)
    assert "the gradient lies outside the subdifferential: at x = 0 torch computes 2" in text
    assert "its nearest element is 1.0" in text
