"""Algorithms over the context, in both arithmetics, against numpy and known derivatives."""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np
import pytest
import torch

from gradcheck_suite.formula.context import Context
from gradcheck_suite.formula.fields import ARB, MPMATH
from gradcheck_suite.formula.tape import elementwise, gradient

FIELDS = [ARB, MPMATH]


def floats(m: Context, values: Any) -> Any:
    return elementwise(m.field.approx, values).astype(np.float64)


def value_and_gradient(field: Any, function: Any, x: Any, g: Any) -> tuple[Any, Any, Context]:
    with field.precision(200):
        m = Context(field)
        variable = m.variable(np.asarray(x, dtype=np.float64).astype(object))
        y = function(m, variable)
        weights = np.broadcast_to(np.asarray(g, dtype=np.float64), y.shape).astype(object)
        (slope,) = gradient(y, elementwise(field.number, weights), [variable])
        return floats(m, y.value), floats(m, slope), m


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("shape", [(1, 1), (5, 4), (2, 7)])
def test_sort(field: Any, axis: int, shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(3)
    x, g = rng.standard_normal(shape), rng.standard_normal(shape)
    y, slope, m = value_and_gradient(field, lambda m, x: m.sort(x, axis), x, g)
    assert np.array_equal(y, np.sort(x, axis))
    expected = np.empty(shape)
    np.put_along_axis(expected, np.argsort(x, axis), g, axis)
    assert np.array_equal(slope, expected)
    assert not any(np.any(tie) for tie in m.ties)


@pytest.mark.parametrize("field", FIELDS)
def test_equal_entries_of_a_sort_are_a_tie(field: Any) -> None:
    y, _, m = value_and_gradient(field, lambda m, x: m.sort(x), [2.0, 1.0, 2.0], 1.0)
    assert y.tolist() == [1.0, 2.0, 2.0]
    assert any(np.any(tie) for tie in m.ties)


def test_entries_that_are_told_apart_are_exchanged_at_once() -> None:
    """Neighbour by neighbour takes a step for each entry, which only equal ones need."""
    rows = np.random.default_rng(5).standard_normal((2, 33))

    field: Any = ARB

    def nodes(x: Any) -> tuple[int, int]:
        with ARB.precision(64):
            m = Context(field)
            y, depth = m.sort(m.variable(np.asarray(x).astype(object))), 0
            parents = list(y.parents)
            while parents:
                depth += 1
                parents = [p for x, _ in parents[:1] for p in x.parents]
            return depth, len(m.branches)

    at_once, compared = nodes(rows)
    rows[1, 5] = rows[1, 7]
    stepwise, as_often = nodes(rows)
    assert at_once < 3 < 33 <= stepwise
    # Whether two calls take the same branches is told by comparing one record with the other.
    assert compared == as_often


@pytest.mark.parametrize("field", FIELDS)
def test_cumsum(field: Any) -> None:
    x = np.arange(6.0).reshape(2, 3)
    y, slope, _ = value_and_gradient(field, lambda m, x: m.cumsum(x), x, [1.0, 10.0, 100.0])
    assert np.array_equal(y, x.cumsum(-1))
    assert slope.tolist() == [[111.0, 110.0, 100.0]] * 2


@pytest.mark.parametrize("field", FIELDS)
def test_floor_and_round(field: Any) -> None:
    x = [-2.5, -1.5, -0.5, 0.0, 0.5, 1.0, 1.5, 2.25, 2.5, 1e18]
    for name, expected in (("floor", np.floor(x)), ("round", np.round(x))):
        y, slope, m = value_and_gradient(field, lambda m, x, name=name: getattr(m, name)(x), x, 1.0)
        assert np.array_equal(y, expected)
        assert not slope.any()
        assert any(np.any(tie) for tie in m.ties)


@pytest.mark.parametrize("field", FIELDS)
def test_the_jump_of_a_floor_is_told_from_what_is_just_below(field: Any) -> None:
    with field.precision(300):
        m = Context(field)
        below = m.const(3) - m.exp(m.const(-100))
        assert floats(m, m.floor(below).value) == 2.0
        assert not m.ties


@pytest.mark.parametrize("field", FIELDS)
def test_root(field: Any) -> None:
    """y + y^3 = x, whose derivative is 1 / (1 + 3 y^2)."""
    y = np.array([-3.0, -0.5, 0.0, 1.0, 40.0])
    x = y + y**3
    found, slope, _ = value_and_gradient(
        field, lambda m, x: m.root(lambda t: t + t**3 - x, -1 - m.abs(x), 1 + m.abs(x)), x, 1.0
    )
    assert np.allclose(found, y, rtol=1e-15)
    assert np.allclose(slope, 1 / (1 + 3 * y**2), rtol=1e-15)


def test_a_root_is_enclosed_to_the_working_precision() -> None:
    with ARB.precision(500), mpmath.workprec(600):
        arb: Any = ARB
        m = Context(arb)
        ball: Any = m.root(lambda t: t * t - 2, 1, 2).value[()]
        assert ball.rel_accuracy_bits() > 480
        exact = mpmath.sqrt(2)
        man, exp = ball.mid().man_exp()
        assert abs(mpmath.ldexp(mpmath.mpf(int(man)), int(exp)) - exact) < mpmath.mpf(2) ** -480


def test_a_bracket_without_a_root_is_undefined() -> None:
    with ARB.precision(100):
        arb: Any = ARB
        m = Context(arb)
        assert arb.is_nan(m.root(lambda t: t * t + 1, -1, 2).value[()])


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("axis", [0, -1])
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (lambda m, x, axis: m.prod(x, axis), torch.prod),
        (lambda m, x, axis: m.cumprod(x, axis), torch.cumprod),
        (lambda m, x, axis: m.logcumsumexp(x, axis), torch.logcumsumexp),
        (lambda m, x, axis: m.var(x, axis), torch.var),
        (lambda m, x, axis: m.std(x, axis, correction=0), lambda x, axis: torch.std(x, axis, correction=0)),
        (lambda m, x, axis: m.topk(x, 2, axis), lambda x, axis: torch.topk(x, 2, axis).values),
    ],
    ids=["prod", "cumprod", "logcumsumexp", "var", "std", "topk"],
)
def test_functions_of_rows_are_those_of_torch(field: Any, axis: int, ours: Any, theirs: Any) -> None:
    x = np.random.default_rng(5).standard_normal((3, 4))
    leaf = torch.tensor(x, requires_grad=True)
    expected = theirs(leaf, axis)
    seed = np.linspace(-1.0, 2.0, expected.numel()).reshape(expected.shape)
    (grad,) = torch.autograd.grad(expected, leaf, torch.tensor(seed))
    y, slope, _ = value_and_gradient(field, lambda m, x: ours(m, x, axis), x, seed)
    assert np.allclose(y, expected.detach().numpy(), rtol=1e-13)
    assert np.allclose(slope, grad.numpy(), rtol=1e-12, atol=1e-14)
