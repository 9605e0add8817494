"""Exact values of whole arrays: infinities by their limits, NaN by what depends on it, precision raised until
settled."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gradcheck_suite.floats import format_of
from gradcheck_suite.formula.arrays import (
    Problem,
    Reference,
    Wanted,
    enclose,
    reference,
    reference_mpmath,
)
from gradcheck_suite.formula.context import Context
from gradcheck_suite.formula.fields import ARB
from gradcheck_suite.formula.sensitivities import sensitivities
from gradcheck_suite.formula.tape import (
    Array,
    numbers,
)
from gradcheck_suite.inputs import cotangents

FLOAT32 = format_of("float32")
INF = np.inf


def wanted(order: int) -> Wanted:
    return Wanted(order=order, cotangent=cotangents.mixed, direction=cotangents.direction)


def softmax(m: Context, x: Array) -> Array:
    return m.softmax(x)


def exact(formula: Any, x: Any, order: int = 1, **reals: Any) -> Reference:
    problem = Problem(formula=formula, inputs={"x": np.array(x, dtype=float)}, reals=reals, fixed={})
    return reference(problem, FLOAT32, wanted(order))


def test_masked_entries_have_the_value_and_the_gradient_of_their_limit() -> None:
    found = exact(softmax, [1.0, -INF, 1.0])
    np.testing.assert_array_equal(found.columns["value"].to_float64(), [0.5, 0.0, 0.5])
    assert found.columns["d:x"].to_float64()[1] == 0
    assert not any(flags.any() for flags in found.undefined.values())


def test_one_infinite_entry_wins() -> None:
    np.testing.assert_array_equal(exact(softmax, [1.0, INF, 2.0]).columns["value"].to_float64(), [0, 1, 0])


@pytest.mark.parametrize("row", [[INF, INF, 0.0], [-INF, -INF], [-INF] * 17, [INF, 0.0, INF, 1.0]])
def test_the_order_of_several_infinities_makes_the_result_undefined(row: list[float]) -> None:
    assert exact(softmax, row).undefined["value"].any()


def test_where_the_value_has_no_limit_its_gradient_has_none() -> None:
    """The cotangent (1, -1) of log_softmax gives (1, -1), whatever two numbers stand in for -inf."""
    found = exact(lambda m, x: m.log_softmax(x), [-INF, -INF])
    assert found.undefined["value"].all()
    assert found.undefined["d:x"].all()


def test_where_the_value_is_undefined_so_is_its_gradient() -> None:
    none = np.zeros(2, dtype=bool)
    found = exact(lambda m, x: m.sum(m.select(none, x, 0)) / m.sum(m.select(none, 1, 0)), [1.0, 2.0])
    assert found.undefined["value"].all()
    assert found.undefined["d:x"].all()


def test_infinities_that_no_order_can_change_are_exact() -> None:
    found = exact(lambda m, x: m.sum(m.exp(x)), [-INF, -INF, 0.0])
    assert found.columns["value"].to_float64()[0] == 1
    assert not found.undefined["value"][0]


def test_nan_is_expected_only_where_the_value_depends_on_it() -> None:
    found = exact(lambda m, x: x * np.array([1, 0, 1]), [1.0, np.nan, np.nan])
    np.testing.assert_array_equal(found.nan_expected, [False, False, True])
    assert found.undefined["d:x"].all()


def test_precision_rises_until_a_cancelling_sum_is_settled() -> None:
    found = exact(lambda m, x: m.sum(x), [2.0**100, 2.0**-100, -(2.0**100)])
    assert found.columns["value"].to_float64()[0] == 2.0**-100
    assert not found.open["value"].any()


def test_exact_zero_of_a_cancelling_gradient_is_zero() -> None:
    problem = Problem(formula=softmax, inputs={"x": np.array([0.5, 1.25, -3.0])}, reals={}, fixed={})
    constant = Wanted(order=1, cotangent=np.ones, direction=cotangents.direction)
    assert (enclose(problem, FLOAT32, constant).exact(FLOAT32)["d:x"].hi == 0).all()


def test_a_pole_is_undefined_and_not_undecided() -> None:
    found = exact(lambda m, x: m.log(x), [-1.0, 2.0])
    np.testing.assert_array_equal(found.undefined["value"], [True, False])
    assert not found.open["value"].any()


@pytest.mark.parametrize(("row", "tie"), [([1.0, 2.0], False), ([2.0, 2.0], True)])
def test_ties_are_flagged(row: list[float], tie: bool) -> None:
    assert exact(lambda m, x: m.max(x), row).tie is tie


def test_several_outputs_are_one_column() -> None:
    found = exact(lambda m, x: (m.sum(x), x * 2), [1.0, 3.0])
    np.testing.assert_array_equal(found.columns["value"].to_float64(), [4.0, 2.0, 6.0])


def test_reals_are_exact_and_constant() -> None:
    found = exact(lambda m, x, *, scale: x * scale, [1.0, 3.0], scale=0.1)
    np.testing.assert_array_equal(
        found.columns["value"].to_float64(), [0.1, 3 * 0.1 if 3 * 0.1 == 0.3 else 0.30000000000000004]
    )


def test_mpmath_agrees() -> None:
    problem = Problem(formula=softmax, inputs={"x": np.array([0.5, -1.25, 3.0])}, reals={}, fixed={})
    balls = reference(problem, FLOAT32, wanted(2)).columns
    points = reference_mpmath(problem, wanted(2), 200)
    for name, column in balls.items():
        np.testing.assert_allclose(column.to_float64(), np.array(points[name], dtype=float), rtol=1e-14)


def test_relative_moves_of_0_are_none_even_where_the_function_is_vertical() -> None:
    problem = Problem(
        formula=lambda m, x: m.xlogy(x, x), inputs={"x": np.array([0.0, 0.5])}, reals={}, fixed={}
    )
    slopes = sensitivities(problem, wanted(1), "d:x", 1)
    np.testing.assert_array_equal(slopes["x"], [0.0, -1.0])


@pytest.mark.parametrize("column", ["value", "d:x", "dd:x"])
def test_sensitivities_are_relative_differences(column: str) -> None:
    x, w = np.array([0.5, -1.25, 0.75]), 0.3
    step = 2.0**-20

    def formula(m: Context, x: Array, *, w: Array) -> Array:
        return m.softmax(x * w) * x

    def value(factors: Any, real: float) -> float:
        problem = Problem(formula=formula, inputs={"x": x * factors}, reals={"w": w * real}, fixed={})
        return float(reference(problem, format_of("float64"), wanted(2)).columns[column].to_float64()[1])

    problem = Problem(formula=formula, inputs={"x": x}, reals={"w": w}, fixed={})
    slopes = sensitivities(problem, wanted(2), column, 1)
    for i in range(3):
        move = np.ones(3)
        move[i] += step
        difference = (value(move, 1.0) - value(2 - move, 1.0)) / (2 * step)
        assert slopes["x"][i] == pytest.approx(difference, rel=1e-4, abs=1e-8)
    difference = (value(np.ones(3), 1 + step) - value(np.ones(3), 1 - step)) / (2 * step)
    assert float(slopes["w"]) == pytest.approx(difference, rel=1e-4, abs=1e-8)


def test_a_limit_that_hangs_on_another_entry_being_0_is_none() -> None:
    def product(m: Context, x: Array) -> Array:
        return x[:1] * x[1:]

    assert exact(product, [0.0, INF], 0).undefined["value"].all()
    assert exact(product, [2.0, INF], 0).columns["value"].to_float64() == INF
    # A parameter of 0 is an option that is not taken.
    off = exact(lambda m, x, share: m.sum(x) + share * m.sum(m.exp(x)), [0.0, -INF], 0, share=0.0)
    assert off.columns["value"].to_float64() == -INF


def test_long_arrays_that_repeat_themselves_hold_the_same_numbers() -> None:
    values = np.resize(np.array([[0.1, -3.0], [2.0**-1074, 7.0]]), (400, 2))
    field: Any = ARB
    found = numbers(field, values)
    assert found.shape == values.shape
    assert found[0, 0] is found[2, 0]
    assert (found.astype(np.float64) == values).all()
