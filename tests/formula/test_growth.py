"""Growth: what is said to exceed every format does, and nothing is said where that is not certain."""

from __future__ import annotations

from typing import Any

import pytest

from gradcheck_suite.formula.growth import grown_signs


@pytest.mark.parametrize(
    ("formula", "sign", "signs"),
    [
        (lambda m, x: m.exp(x), 1, [1, 1, 1]),
        (lambda m, x: -3 * m.expm1(-x / 2), -1, [-1, 1, -1]),
        (lambda m, x: x * m.exp(x), 1, [1, 1, 1]),
        (lambda m, x: m.exp2(x) + x, 1, [1, 1, 1]),
        (lambda m, x: m.maximum(0, x) + m.minimum(0, -2 * m.expm1(x / -2)), -1, [-1, 1, -1]),
        (lambda m, x: m.where(x > 0, m.exp(x), m.tanh(x)), 1, [1, 1, 1]),
    ],
)
def test_what_grows_past_every_format_is_found(formula: Any, sign: int, signs: list[int]) -> None:
    assert grown_signs(formula, 9, sign, 130, 2) == signs


@pytest.mark.parametrize(
    ("formula", "sign"),
    [
        (lambda m, x: m.exp(x), -1),
        (lambda m, x: m.exp(x) - m.exp(x), 1),
        (lambda m, x: m.exp(-x) * m.exp(x), 1),
        (lambda m, x: m.tanh(x), 1),
        (lambda m, x: x, 1),
        (lambda m, x: x * x * x, 1),
        (lambda m, x: m.where(x > 1000, m.exp(x), 0), 1),
        (lambda m, x: 1 / m.exp(x), 1),
        (lambda m, x: m.softmax(m.stack([x, 2 * x]))[0], 1),
    ],
)
def test_what_is_not_certain_is_not_said(formula: Any, sign: int) -> None:
    assert grown_signs(formula, 9, sign, 130, 1) is None


def test_it_takes_an_input_large_enough() -> None:
    assert grown_signs(lambda m, x: m.exp(x), 6, 1, 130, 0) is None
    assert grown_signs(lambda m, x: m.exp(x), 7, 1, 130, 0) == [1]
