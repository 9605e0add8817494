"""Set-valued derivatives at kinks, infinite and NaN inputs: what the exact side says there."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gradcheck_suite.floats import format_of
from gradcheck_suite.formula.points import exact_points

FMT = format_of("float64")


def derivative(formula: Any, x: float) -> tuple[float, float]:
    p = exact_points(formula, {"x": np.array([x])}, FMT, wrt=("x",), order=1)
    if p.undefined["d:x"][0]:
        return (np.nan, np.nan)
    return float(p.lower["d:x"].to_float64()[0]), float(p.upper["d:x"].to_float64()[0])


def test_relu_has_the_unit_interval_at_zero() -> None:
    assert derivative(lambda m, x: m.relu(x), 0.0) == (0.0, 1.0)
    assert derivative(lambda m, x: m.relu(x), -0.0) == (0.0, 1.0)


def test_difference_of_two_kinks_is_smooth() -> None:
    """relu(x) - relu(-x) = x: choosing a side per comparison would allow 0 or 2."""
    assert derivative(lambda m, x: m.relu(x) - m.relu(-x), 0.0) == (1.0, 1.0)


def test_leaky_slope_is_the_lower_end() -> None:
    """max(0, x) + a min(0, x): a ball per node would accept [0, 1 + a]."""
    assert derivative(lambda m, x: m.maximum(0, x) + m.minimum(0, x) / 4, 0.0) == (0.25, 1.0)


def test_kinks_beside_each_other_are_kept_apart() -> None:
    """A second kink at 1e-300 does not reach into the set at 0."""
    assert derivative(lambda m, x: m.relu(x) + m.relu(x - m.const(1e-300)), 0.0) == (0.0, 1.0)
    assert derivative(lambda m, x: m.relu(x) + m.relu(x - m.const(1e-300)), 1e-300) == (1.0, 2.0)


def test_jump_takes_either_side() -> None:
    assert derivative(lambda m, x: m.where(x > 1, x * 3, x), 1.0) == (1.0, 3.0)


def test_unbounded_gradient_is_not_judged() -> None:
    assert np.isnan(derivative(lambda m, x: m.sqrt(m.abs(x)), 0.0)[0])


@pytest.mark.parametrize(
    ("formula", "x", "value"),
    [
        (lambda m, x: m.tanh(x), np.inf, 1.0),
        (lambda m, x: x * m.sigmoid(x), -np.inf, 0.0),
        (lambda m, x: x / (1 + m.abs(x)), -np.inf, -1.0),
        (lambda m, x: m.log1p(m.exp(x)), np.inf, np.inf),
    ],
)
def test_infinite_inputs_are_limits(formula: Any, x: float, value: float) -> None:
    p = exact_points(formula, {"x": np.array([x])}, FMT, wrt=("x",), order=0)
    assert not p.undefined["value"][0]
    assert p.columns["value"].to_float64()[0] == value


def test_a_limit_that_does_not_exist_is_undefined() -> None:
    p = exact_points(lambda m, x: m.sin(x), {"x": np.array([np.inf])}, FMT, wrt=("x",), order=0)
    assert p.undefined["value"][0]


def test_nan_is_expected_where_the_value_depends_on_the_input() -> None:
    nan = np.array([np.nan])
    assert exact_points(lambda m, x: m.tanh(x), {"x": nan}, FMT, wrt=("x",), order=0).nan_expected[0]
    assert not exact_points(lambda m, x: x * 0 + 3, {"x": nan}, FMT, wrt=("x",), order=0).nan_expected[0]
