"""Every row primitive against differences of its own values: both arithmetics share the tape, so that their
agreement alone would prove nothing about a wrong vector-Jacobian product."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest

from gradcheck_suite.formula.arrays import Problem, Wanted, evaluate
from gradcheck_suite.formula.context import Context
from gradcheck_suite.formula.fields import ARB, MPMATH
from gradcheck_suite.formula.tape import Array
from gradcheck_suite.inputs import cotangents

_BITS = 1200
_STEP = 200  # log2 of the inverse step: central differences are then exact to about 2^-400 relative
_AGREE = mpmath.mpf(2) ** -120

RNG = np.random.RandomState(20)
ROWS = {
    "random": RNG.uniform(-2.0, 2.0, 6),
    "one winner": np.array([0.25, 40.0, 0.5, -0.375, 0.125, 1.0]),
    "mixed magnitudes": np.array([1e-30, -3.0, 1e10, -1e-3, 1e6, 0.5]),
    "nearly equal": 1.0 + np.arange(6) * 2.0**-40,
    "large": np.array([700.0, 699.5, -800.0, 650.0, 0.5, -1.0]),
}

Formula = Callable[[Context, Array], Array]

PRIMITIVES: dict[str, Formula] = {
    "softmax": lambda m, x: m.softmax(x),
    "softmax of columns": lambda m, x: m.softmax(x.reshape(3, 2), 0),
    "log_softmax": lambda m, x: m.log_softmax(x),
    "log_softmax of columns": lambda m, x: m.log_softmax(x.reshape(2, 3), 0),
    "logsumexp": lambda m, x: m.logsumexp(x),
    "logsumexp kept": lambda m, x: m.logsumexp(x.reshape(2, 3), 1, keepdims=True),
    "sum": lambda m, x: m.sum(x * x),
    "sum over an axis": lambda m, x: m.sum((x * x).reshape(2, 3), 0),
    "sum over two axes": lambda m, x: m.sum((x * x * x).reshape(1, 2, 3), (0, 2), keepdims=True),
    "mean": lambda m, x: m.mean((x * x).reshape(3, 2), 1),
    "max": lambda m, x: m.max((x * x).reshape(2, 3), 1),
    "min": lambda m, x: m.min((x * x).reshape(2, 3), 0, keepdims=True),
    "norm 1": lambda m, x: m.norm(x, 1.0),
    "norm 2": lambda m, x: m.norm(x, 2.0),
    "norm 2 of columns": lambda m, x: m.norm(x.reshape(3, 2), 2.0, 0, keepdims=True),
    "norm 3": lambda m, x: m.norm(x, 3.0),
    "norm 1.5": lambda m, x: m.norm(x, 1.5),
    "norm inf": lambda m, x: m.norm(x, float("inf")),
    "norm -inf": lambda m, x: m.norm(x, float("-inf")),
    "norm -1": lambda m, x: m.norm(x, -1.0),
    "gather": lambda m, x: m.gather((x * x).reshape(2, 3), np.array([[2, 0], [1, 1]])),
    "indexing": lambda m, x: (x * x)[[0, 2, 2, 5]],
    "slices": lambda m, x: (x * x)[1:5:2],
    "stack": lambda m, x: m.stack([x[:3] * x[3:], x[:3] / (x[3:] * x[3:] + 1)], 1),
    "concat": lambda m, x: m.concat([x[:2] * x[2:4], x * x]),
    "matmul": lambda m, x: m.matmul(x.reshape(2, 3), x.reshape(3, 2)),
    "batched matmul": lambda m, x: m.matmul(x.reshape(2, 1, 3), x.reshape(3, 2)),
    "transpose": lambda m, x: (x * x).reshape(1, 2, 3).transpose(2, 0, 1),
    "division": lambda m, x: x[:3] / (x[3:] * x[3:] + 2),
    "division by a row's own sum": lambda m, x: x / m.sum(x * x + 1),
    "power": lambda m, x: m.power(x * x + 1, 0.3),
    "where": lambda m, x: m.where(x > 0.3, x * x, m.exp(-x * x)),
    "select": lambda m, x: m.select(np.array([True, False] * 3), x * x, x * x * x),
    "broadcasting": lambda m, x: x[:3].reshape(3, 1) * x[3:].reshape(1, 3) - x[0],
    "broadcast": lambda m, x: m.broadcast(x[:2] * x[4:], (3, 2)) * x[:3].reshape(3, 1),
    "clamp": lambda m, x: m.clamp(x * x, 0.2, 2.5),
    "xlogy": lambda m, x: m.xlogy(x, x * x + 1),
    "amax over two axes": lambda m, x: m.amax((x * x).reshape(1, 2, 3), (0, 2)),
    "logsumexp of everything": lambda m, x: m.logsumexp(x.reshape(2, 3), None),
    "cummax": lambda m, x: m.cummax(x * x),
    "median": lambda m, x: m.median(x * x),
    "quantile": lambda m, x: m.quantile(x * x, 0.375),
    "var over two axes": lambda m, x: m.var(x.reshape(1, 2, 3), (0, 2), correction=0),
    "diff": lambda m, x: m.diff(x * x),
    "dot": lambda m, x: m.dot(x.reshape(2, 3), x[:3] * x[3:]),
    "outer": lambda m, x: m.outer(x[:2], x[2:] * x[2:]),
    "flip": lambda m, x: m.flip(x * x * x),
    "roll": lambda m, x: m.roll((x * x).reshape(2, 3), 1, 1) * x.reshape(2, 3),
    "einsum": lambda m, x: m.einsum("bij,jk->bik", x.reshape(1, 2, 3), x.reshape(3, 2)),
    "einsum with sums": lambda m, x: m.einsum("ij,jk,j", x.reshape(2, 3), x.reshape(3, 2), x[:3]),
    "hypot": lambda m, x: m.hypot(x[:3], x[3:]),
    "logaddexp": lambda m, x: m.logaddexp(x[:3], x[3:]),
    "atan2": lambda m, x: m.atan2(x[:3], x[3:]),
    "fmod": lambda m, x: m.fmod(x[:3], x[3:] * x[3:] + 0.3),
    "copysign": lambda m, x: m.copysign(x[:3] * x[:3], x[3:]),
    "fmax": lambda m, x: m.fmax(x[:3], x[3:]),
}  # fmt: skip


def _wanted(order: int) -> Wanted:
    return Wanted(order=order, cotangent=cotangents.mixed, direction=cotangents.direction)


def _problem(formula: Formula, x: Any) -> Problem:
    return Problem(formula=formula, inputs={"x": x}, reals={}, fixed={})


def _moved(x: Any, direction: Any, sign: int) -> Any:
    out = np.empty(len(x), dtype=object)
    for i, (v, d) in enumerate(zip(x, direction, strict=True)):
        out[i] = mpmath.mpf(float(v)) + sign * mpmath.mpf(float(d)) * mpmath.mpf(2) ** -_STEP
    return out


def _difference(formula: Formula, x: Any, direction: Any, column: str, order: int) -> Any:
    with MPMATH.precision(_BITS):
        ahead, _ = evaluate(_problem(formula, _moved(x, direction, 1)), MPMATH, _wanted(order))
        behind, _ = evaluate(_problem(formula, _moved(x, direction, -1)), MPMATH, _wanted(order))
        return (ahead[column] - behind[column]) * mpmath.mpf(2) ** (_STEP - 1)


def _assert_close(got: Any, want: Any, size: Any) -> None:
    """Agreement relative to the largest entry: a difference cannot see an entry 2^-400 times smaller."""
    for a, b in zip(np.ravel(got), np.ravel(want), strict=True):
        floor = mpmath.mpf(2) ** -600  # 1 - e^-(10^10) is 1 at any affordable precision
        assert abs(a - b) <= _AGREE * max(abs(b), size * mpmath.mpf(2) ** -100) + floor, (a, b)


def _largest(values: Any) -> Any:
    return max(abs(v) for v in np.ravel(values))


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize("name", PRIMITIVES)
def test_gradient_is_the_limit_of_differences(name: str, row: str) -> None:
    formula, x = PRIMITIVES[name], ROWS[row]
    with MPMATH.precision(_BITS):
        columns, _ = evaluate(_problem(formula, x), MPMATH, _wanted(1))
        weights = np.array([mpmath.mpf(float(c)) for c in cotangents.mixed(len(columns["value"]))])
        for i in range(len(x)):
            slopes = _difference(formula, x, np.eye(len(x))[i], "value", 0)
            want = mpmath.fsum(slopes * weights)
            _assert_close([columns["d:x"][i]], [want], _largest(slopes) + _largest(columns["d:x"]))


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize("name", PRIMITIVES)
def test_second_derivative_is_the_limit_of_differences_of_gradients(name: str, row: str) -> None:
    formula, x = PRIMITIVES[name], ROWS[row]
    with MPMATH.precision(_BITS):
        columns, _ = evaluate(_problem(formula, x), MPMATH, _wanted(2))
        want = _difference(formula, x, cotangents.direction(len(x)), "d:x", 1)
        _assert_close(columns["dd:x"], want, _largest(want) + _largest(columns["d:x"]))


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize("name", PRIMITIVES)
def test_balls_contain_what_mpmath_computes(name: str, row: str) -> None:
    problem = _problem(PRIMITIVES[name], ROWS[row])
    with MPMATH.precision(_BITS):
        points, _ = evaluate(problem, MPMATH, _wanted(2))
        exact = {n: [mpmath.nstr(v, 60, min_fixed=0, max_fixed=0) for v in c] for n, c in points.items()}
    with ARB.precision(300):
        balls, _ = evaluate(problem, ARB, _wanted(2))
        for n, column in balls.items():
            for ball, text in zip(column, exact[n], strict=True):
                decimal = ARB.decimal(text)
                gap = abs(ball - decimal)
                assert not gap > abs(decimal) * 1e-55 + ARB.decimal("1e-80"), (n, ball, text)


def test_exponentials_of_huge_whole_numbers_and_of_none() -> None:
    with mpmath.workprec(900), MPMATH.far_exponentials():
        x = 3 * mpmath.mpf(2) ** 100
        for sign in (1, -1):
            value = MPMATH.exp(sign * x)
            with mpmath.workprec(2000):
                assert abs(mpmath.log(value) - sign * x) < mpmath.mpf(2) ** -850
        assert mpmath.isnan(MPMATH.exp(mpmath.nan))
        assert MPMATH.exp(-mpmath.inf) == 0
