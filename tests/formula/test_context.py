"""Derivatives that are not those of the value, norms of unusual order, numbers past binary64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest

from gradcheck_suite.floats import format_of
from gradcheck_suite.formula.arrays import Problem, Wanted, evaluate, reference, reference_mpmath
from gradcheck_suite.formula.context import Context
from gradcheck_suite.formula.fields import ARB
from gradcheck_suite.formula.tape import Array
from gradcheck_suite.inputs import cotangents

FMT = format_of("float64")
WANTED = Wanted(order=2, cotangent=cotangents.mixed, direction=cotangents.direction)
VALUE = Wanted(order=0, cotangent=cotangents.mixed, direction=cotangents.direction)
X = np.array([0.5, -1.25, 2.0])

Formula = Callable[[Context, Array], Any]


def problem(formula: Formula, x: Any = X) -> Problem:
    return Problem(formula=formula, inputs={"x": np.asarray(x, dtype=float)}, reals={}, fixed={})


def columns(formula: Formula, x: Any = X) -> dict[str, list[float]]:
    """Value, gradient for the cotangent (1, -1, 1/2) and its derivative along (1, 1/2, -1)."""
    with ARB.precision(200):
        found, _ = evaluate(problem(formula, x), ARB, WANTED)
    return {n: [float(ball) for ball in column] for n, column in found.items()}


def test_a_stopped_number_has_no_derivative_of_any_order() -> None:
    found = columns(lambda m, x: m.stop(x * x) * x)
    assert found["value"] == [0.125, -1.953125, 8.0]
    assert found["d:x"] == [0.25, -1.5625, 2.0]
    assert found["dd:x"] == [0.0, 0.0, 0.0]


def test_a_number_passed_through_has_the_derivatives_of_its_carrier() -> None:
    found = columns(lambda m, x: m.through(m.const(np.ones(3)), x * x * x))
    assert found["value"] == [1.0, 1.0, 1.0]
    assert found["d:x"] == [0.75, -4.6875, 6.0]
    assert found["dd:x"] == [3.0, 3.75, -6.0]


@pytest.mark.parametrize("axis", [0, 1])
def test_one_hot_max_marks_one_entry_and_is_constant(axis: int) -> None:
    x = np.array([[1.0, 5.0, 2.0], [3.0, 4.0, 2.5]])
    found = columns(lambda m, v: m.one_hot_max(v, axis) + 0 * v, x)
    want = np.zeros((2, 3))
    for i, k in enumerate(x.argmax(axis=axis)):
        want[(k, i) if axis == 0 else (i, k)] = 1.0
    assert found["value"] == want.ravel().tolist()
    assert found["d:x"] == [0.0] * 6


def test_equal_largest_entries_are_a_tie() -> None:
    with ARB.precision(100):
        _, tied = evaluate(problem(lambda m, x: m.one_hot_max(x) + 0 * x, [2.0, 1.0, 2.0]), ARB, WANTED)
        _, single = evaluate(problem(lambda m, x: m.one_hot_max(x) + 0 * x), ARB, WANTED)
    assert tied.ties
    assert not single.ties


def test_norm_of_order_zero_counts_entries_that_are_not_zero() -> None:
    found = columns(lambda m, x: m.norm(x, 0.0) + 0 * m.sum(x), [0.5, 0.0, -2.0])
    assert found["value"] == [2.0]
    assert found["d:x"] == [0.0, 0.0, 0.0]


@pytest.mark.parametrize(("p", "value"), [(-1.0, 0.0), (-np.inf, 0.0), (0.5, 4.5)])
def test_norms_of_unusual_order_with_a_zero_entry(p: float, value: float) -> None:
    found = columns(lambda m, x: m.norm(x, p), [0.5, 0.0, -2.0])
    assert found["value"][0] == pytest.approx(value)


@pytest.mark.parametrize(("p", "tie"), [(1.0, True), (1.5, True), (2.0, False), (2.5, False), (3.0, False)])
def test_a_zero_entry_is_a_kink_below_order_two(p: float, tie: bool) -> None:
    with ARB.precision(100):
        _, m = evaluate(problem(lambda m, x: m.norm(x, p), [0.5, 0.0, -2.0]), ARB, WANTED)
    assert bool(m.ties) == tie


def test_a_plain_choice_hides_the_other_branch() -> None:
    """Neither a pole nor a NaN of the branch that is not taken shows, in value or gradient."""
    mask = np.array([True, False, True])
    found = columns(lambda m, x: m.select(mask, x * x, m.log(-m.abs(x)) / 0))
    assert found["value"][0] == 0.25
    assert found["d:x"][0] == 1.0
    assert np.isnan(found["value"][1])


@pytest.mark.parametrize("formula", [lambda m, x: m.log_softmax(x), lambda m, x: m.logsumexp(x)])
def test_rows_past_binary64_are_shifted_by_their_largest_entry(formula: Formula) -> None:
    """Products of two floats near 2^513 do not fit binary64, which chooses the shift elsewhere."""
    big = 2.0**513

    def scaled(m: Context, x: Array) -> Any:
        return formula(m, x * m.const(big)) / m.const(big)

    x = np.array([-3.375, -3.125, -6.5, -2.875]) * big
    found = reference(problem(scaled, x), FMT, VALUE)
    exact = x - x.max() if len(found.columns["value"]) > 1 else x[3:]
    np.testing.assert_array_equal(found.columns["value"].to_float64(), exact)
    for bits in (200, 2000):
        with mpmath.workprec(bits):
            again = [float(v) for v in reference_mpmath(problem(scaled, x), WANTED, bits)["value"]]
        np.testing.assert_array_equal(again, exact)


def test_infinity_beside_an_inexact_number_is_infinite() -> None:
    found = reference(
        problem(lambda m, x: m.sum(m.stack([m.log(0 * m.sum(x)), m.log(m.const(3))]))),
        FMT,
        VALUE,
    )
    assert found.columns["value"].to_float64().tolist() == [-np.inf]
    assert not found.undefined["value"].any()
