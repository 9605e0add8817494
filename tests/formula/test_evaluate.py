"""Precision that rises by what inputs ask for, point by point."""

from __future__ import annotations

import numpy as np
import pytest

from gradcheck_suite.floats import format_of
from gradcheck_suite.formula.context import Context
from gradcheck_suite.formula.evaluate import PRECISION_CAP, Formula, derivatives, enclose, start_precision
from gradcheck_suite.formula.fields import ARB
from gradcheck_suite.formula.tape import Array, elementwise

flint = pytest.importorskip("flint")

FLOAT64 = format_of("float64")


def recorded(formula: Formula) -> tuple[Formula, list[tuple[int, int]]]:
    """The formula, and the bits and the number of points of each of its evaluations."""
    seen: list[tuple[int, int]] = []

    def seeing(m: Context, x: Array) -> Array:
        seen.append((flint.ctx.prec, x.size))
        result: Array = formula(m, x)
        return result

    return seeing, seen


def cancelling(m: Context, x: Array) -> Array:
    return x - m.tanh(x)


def test_what_cancels_is_settled_by_the_first_rise_each_point_at_its_own_precision() -> None:
    """x - tanh x loses two bits for every binade that x is below 1."""
    formula, seen = recorded(cancelling)
    x = np.array([1e-100, 0.3, 1e-20, -1e-20], dtype=object)
    found = enclose(formula, {"x": x}, FLOAT64, wrt=("x",), order=1)
    assert all(settled.all() for settled in found.settled.values())
    (first, *rises) = seen
    assert first == (start_precision(FLOAT64), 4)
    assert [size for _, size in rises] == [2, 1]
    assert [bits for bits, _ in rises] == sorted(bits for bits, _ in rises)
    assert rises[1][0] >= start_precision(FLOAT64) + 2 * 332
    with ARB.precision(2000):
        for ball, v in zip(found.columns["value"], x, strict=True):
            exact = ARB.number(v) - ARB.tanh(ARB.number(v))
            assert ball.overlaps(exact)


def test_what_no_precision_settles_is_given_up_at_the_cap_or_where_told() -> None:
    """log(-1) is no number."""
    formula, seen = recorded(lambda m, x: m.log(x))
    found = enclose(formula, {"x": np.array([-1.0, 2.0], dtype=object)}, FLOAT64)
    assert found.settled["value"].tolist() == [False, True]
    assert seen[-1] == (PRECISION_CAP, 1)
    assert [bits for bits, _ in seen] == sorted({bits for bits, _ in seen})
    formula, seen = recorded(lambda m, x: m.log(x))
    assert not enclose(formula, {"x": np.array([-1.0], dtype=object)}, FLOAT64, patience=150).settled[
        "value"
    ][0]
    assert [bits for bits, _ in seen] == [96, 256]


@pytest.mark.parametrize("axis", [0, -1])
@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_comparisons_among_several_numbers_of_a_point_are_those_of_the_point(size: int, axis: int) -> None:
    """Of the first point alone two numbers are equal; more points are marked only where axes are as long."""
    x = np.arange(1.0, size + 1)
    given = {"x": x, "y": np.where(x == 1, x, x + 0.25)}
    balls = {n: elementwise(ARB.number, v.astype(object)) for n, v in given.items()}
    with ARB.precision(96):
        _, masks = derivatives(
            lambda m, x, y: m.median(m.stack([x, y, x + y], axis), axis), ARB, balls, ("x",), 1
        )
    assert masks.tie[0]
    assert size < 7 or not masks.tie[1:].any()
