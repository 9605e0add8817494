"""Exact points at infinite inputs and at the ends of domains: what counts as a limit, and what as none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gradcheck_suite.floats import format_of
from gradcheck_suite.formula.context import Context
from gradcheck_suite.formula.points import Points, bind, exact_points, off_zero

FMT = format_of("float32")
INF = np.inf


def at(formula: Any, dtype: str = "float32", order: int = 0, **inputs: float) -> Points:
    values = {n: np.array([x]) for n, x in inputs.items()}
    return exact_points(formula, values, format_of(dtype), wrt=tuple(inputs), order=order)


def value(points: Points) -> float | None:
    """The exact value, or None where there is none."""
    return None if points.undefined["value"][0] else float(points.columns["value"].to_float64()[0])


def test_a_limit_of_one_input_is_exact() -> None:
    assert value(at(lambda m, x: x * m.sigmoid(x), x=-INF)) == 0
    assert value(at(lambda m, x: m.tanh(x), x=INF)) == 1
    assert value(at(lambda m, x, y: x + y, x=INF, y=-3.0)) == INF


@pytest.mark.parametrize(("x", "y"), [(-INF, 0.0), (INF, -0.0)])
def test_zero_times_infinity_has_no_limit(x: float, y: float) -> None:
    assert value(at(lambda m, x, y: x * y, x=x, y=y)) is None


def test_a_limit_that_hangs_on_another_number_being_exactly_1_is_none() -> None:
    log = lambda m, x, y: m.xlogy(x, y)  # noqa: E731
    assert value(at(log, x=-INF, y=1.0)) is None
    assert value(at(log, x=-INF, y=2.0)) == -INF
    assert value(at(log, x=0.0, y=INF)) == 0


def test_a_parameter_of_0_leaves_an_infinite_input_undefined() -> None:
    def leaky(m: Context, x: Any, *, slope: Any) -> Any:
        return m.where(x >= 0, x, slope * x)

    x = {"x": np.array([-INF, -1.0, INF])}
    reals = {"slope": 0.0}
    formula, beside = bind(leaky, {}, reals), bind(leaky, {}, off_zero(reals) or {})
    points = exact_points(formula, x, FMT, wrt=("x",), order=1, beside=beside)
    assert points.undefined["value"].tolist() == [True, False, False]
    assert not points.undefined["d:x"].any()
    assert off_zero({"slope": 0.5}) is None


def test_infinity_minus_infinity_is_undefined_however_small_its_multiple() -> None:
    """1e-30 times either infinity's gradient is 0 in float16, with either sign."""
    slope = lambda m, x, y: m.abs(x - y) * m.decimal("1e-30")  # noqa: E731
    assert at(slope, "float16", 1, x=INF, y=INF).undefined["d:x"][0]


def test_an_infinite_derivative_at_the_end_of_a_domain_is_none() -> None:
    points = at(lambda m, x: m.log(x), order=1, x=0.0)
    assert value(points) == -INF
    assert points.undefined["d:x"][0]


def test_an_infinite_value_has_no_derivative() -> None:
    """log(max(x, 0)) is -inf for every x below 0: that is no constant."""
    points = at(lambda m, x: m.log(m.maximum(x, 0)), order=1, x=-1.0)
    assert value(points) == -INF
    assert points.undefined["d:x"][0]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_derivative_past_the_range_is_a_number_that_overflows(dtype: str) -> None:
    points = at(lambda m, x: m.exp(x), dtype, 1, x=2000.0)
    assert not points.undefined["d:x"][0]


def test_neighbours_that_binary64_cannot_tell_apart_still_have_a_largest() -> None:
    """The larger of two numbers near 2^512 is the logarithm of the sum of their exponentials, to any precision."""
    from gradcheck_suite.formula.evaluate import reference_mpmath

    def binary(m: Context, x: Any, y: Any) -> Any:
        two = m.log(2)
        return m.logsumexp(m.stack([x * two, y * two]), axis=0) / two

    x, y = np.nextafter(2.0**512, 0), 2.0**512
    found = reference_mpmath(binary, {"x": x, "y": y}, wrt=(), order=0, bits=400)["value"]
    assert float(found) == y


def test_a_set_with_one_infinite_end_is_judged_but_for_minus_zero() -> None:
    """At 0 the clamped derivative 0 and the unclamped 1/0 span a set; -0 lies on the other side of the pole."""
    clamped = lambda m, x: m.documented_max(m.log(x), -100)  # noqa: E731
    points = exact_points(clamped, {"x": np.array([0.0, -0.0])}, FMT, wrt=("x",), order=1)
    assert points.undefined["d:x"].tolist() == [False, True]
    assert points.upper["d:x"].to_float64()[0] == INF
