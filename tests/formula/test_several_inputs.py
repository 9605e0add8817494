"""Formulas of several inputs at points: joint sets at ties, documented clamps, infinities, constants of a
point.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gradcheck_suite.floats import format_of
from gradcheck_suite.formula.points import Points, bind, exact_points

FMT = format_of("float64")


def at(formula: Any, order: int = 1, wrt: tuple[str, ...] = ("x", "y"), **inputs: float) -> Points:
    return exact_points(formula, {n: np.array([v]) for n, v in inputs.items()}, FMT, wrt=wrt, order=order)


def ends(points: Points, column: str) -> tuple[float, float]:
    if points.undefined[column][0]:
        return (np.nan, np.nan)
    return float(points.lower[column].to_float64()[0]), float(points.upper[column].to_float64()[0])


def distance(m: Any, x: Any, y: Any) -> Any:
    return m.abs(x - y)


def test_vertices_hold_the_derivatives_together() -> None:
    found = at(distance, x=3.0, y=3.0)
    assert ends(found, "d:x") == (-1.0, 1.0)
    assert ends(found, "d:y") == (-1.0, 1.0)
    assert sorted(map(tuple, found.vertices[0].tolist())) == [(-1.0, 1.0), (1.0, -1.0)]


def test_a_derivative_that_vanishes_at_a_tie_is_0() -> None:
    """d(w |x - y|)/dw tends to |x - y| = 0, whatever the size of the inputs."""
    found = at(lambda m, x, y, w: w * m.abs(x - y), wrt=("x", "y", "w"), x=1e300, y=1e300, w=2.0)
    assert ends(found, "d:w") == (0.0, 0.0)
    assert ends(found, "d:x") == (-2.0, 2.0)


def test_a_kink_of_one_input_leaves_the_other_single_valued() -> None:
    found = at(lambda m, x, y: m.relu(x) * y, x=0.0, y=3.0)
    assert ends(found, "d:x") == (0.0, 3.0)
    assert ends(found, "d:y") == (0.0, 0.0)


def test_constants_of_a_point_are_not_differentiated() -> None:
    formula = bind(lambda m, x, *, label: label * m.abs(x), {}, {}, ("label",))
    found = exact_points(formula, {"x": np.array([0.0]), "label": np.array([3.0])}, FMT, wrt=("x",), order=1)
    assert set(found.columns) == {"value", "d:x"}
    assert ends(found, "d:x") == (-3.0, 3.0)


def clamped(m: Any, x: Any, y: Any) -> Any:
    return y * m.documented_max(m.log(x), -100)


@pytest.mark.parametrize(
    ("x", "y", "derivative"),
    [
        (0.0, 2.0, (0.0, np.inf)),  # the clamped 0 and the unclamped 2/0
        (2.0**-200, 2.0, (0.0, 2.0**201)),
        (2.0**-200, 0.0, (0.0, 0.0)),
        (0.5, 2.0, (4.0, 4.0)),  # no clamp here
    ],
)
def test_a_documented_clamp_spans_a_set(x: float, y: float, derivative: tuple[float, float]) -> None:
    found = at(clamped, x=x, y=y)
    assert ends(found, "d:x") == derivative
    # The other input meets the clamped value, not its derivative.
    assert ends(found, "d:y") == ((-100.0, -100.0) if x < 0.1 else (np.log(0.5), np.log(0.5)))


def test_second_derivatives_are_not_judged_where_the_first_is_a_set() -> None:
    assert np.isnan(ends(at(clamped, order=2, x=2.0**-200, y=2.0), "dd:x")[0])
    assert np.isnan(ends(at(distance, order=2, x=1.0, y=1.0), "dd:x")[0])


def test_second_derivatives_at_a_kink_of_the_first_come_from_either_side() -> None:
    """huber: x^2/2 inside, |x| - 1/2 outside; at 1 the first derivative is 1, the second 0 or 1."""
    found = at(lambda m, x: m.where(x >= 1, x - m.const(0.5), x * x / 2), order=2, wrt=("x",), x=1.0)
    assert ends(found, "d:x") == (1.0, 1.0)
    assert ends(found, "dd:x") == (0.0, 1.0)


@pytest.mark.parametrize(
    ("x", "y", "value"),
    [
        (np.inf, np.inf, np.nan),  # inf - inf: the order decides
        (np.inf, -np.inf, np.inf),
        (-np.inf, 5.0, -np.inf),
        (1.0, np.inf, -np.inf),
    ],
)
def test_infinities_are_taken_in_every_order(x: float, y: float, value: float) -> None:
    found = at(lambda m, x, y: x - y, x=x, y=y)
    assert np.array_equal(ends(found, "value")[0], value, equal_nan=True)


def test_a_weight_of_exactly_0_leaves_an_infinite_input_undefined() -> None:
    found = at(lambda m, x, y: x * y, x=0.0, y=np.inf)
    assert found.undefined["value"][0]
    assert ends(found, "d:x") == (np.inf, np.inf)


def test_a_tie_at_infinity_is_not_judged() -> None:
    assert np.isnan(ends(at(lambda m, x, y: y * m.abs(x), x=0.0, y=np.inf), "d:x")[0])


def test_several_nans_stand_for_several_numbers() -> None:
    assert at(distance, x=np.nan, y=np.nan).nan_expected[0]
    assert not at(lambda m, x, y: m.relu(x) * 0 + y * 0, x=np.nan, y=np.nan).nan_expected[0]


def test_a_pole_of_one_column_leaves_the_others_judged() -> None:
    found = at(lambda m, x, y: m.xlogy(x, y), x=0.0, y=0.0)
    assert ends(found, "value") == (0.0, 0.0)
    assert found.undefined["d:x"][0]
    assert not found.undefined["value"][0]
    assert not found.open["value"][0]
