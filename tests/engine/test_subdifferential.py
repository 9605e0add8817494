"""Joint judgement at ties: every element of the set passes, also where coordinates alone could not tell, and
no other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch

from gradcheck_suite.engine.subdifferential import Subdifferential
from gradcheck_suite.floats import format_of
from gradcheck_suite.formula.arrays import Problem, Wanted
from gradcheck_suite.formula.context import Context
from gradcheck_suite.formula.tape import Array
from gradcheck_suite.inputs import cotangents
from gradcheck_suite.ops.declare import make_op
from gradcheck_suite.ops.record import Op, Sample
from tests.engine.toys import run, serious

FLOAT32 = format_of("float32")


def judged(
    formula: Callable[..., Any], x: Any, got: Any, *, order: int = 1, cotangent: Any = cotangents.mixed
) -> str:
    """ "inside", "outside", "undefined" or "single" for a computed gradient."""
    problem = Problem(formula=formula, inputs={"x": np.array(x, dtype=float)}, reals={}, fixed={})
    column = "d" * order + ":x"
    wanted = Wanted(order=order, cotangent=cotangent, direction=cotangents.direction)
    computed = {column: np.array(got, dtype=float)}
    found = Subdifferential(problem, wanted, (column,)).judge(computed, FLOAT32, max_ulp=4.0)
    if found.undefined[column].all():
        return "undefined"
    if not found.member[column].any():
        return "single"
    exact = found.nearest[column].to_float64()
    return (
        "inside"
        if np.array_equal(exact[found.member[column]], computed[column][found.member[column]])
        else "outside"
    )


def largest(m: Context, x: Array) -> Array:
    return m.max(x)


@pytest.mark.parametrize("got", [[1, 0, 0], [0, 1, 0], [0.5, 0.5, 0], [0.25, 0.75, 0]])
def test_elements_of_the_set_of_a_maximum(got: list[float]) -> None:
    assert judged(largest, [2.0, 2.0, 1.0], got) == "inside"


@pytest.mark.parametrize("got", [[1, 1, 0], [0, 0, 0], [0.5, 0.25, 0], [1.5, -0.5, 0]])
def test_what_coordinates_alone_would_accept_is_outside(got: list[float]) -> None:
    assert judged(largest, [2.0, 2.0, 1.0], got) == "outside"


def test_hinges_share_one_element() -> None:
    """max(0, x0 - x1) + max(0, x1 - x0) = |x0 - x1|: the gradient is (s, -s) with |s| <= 1."""

    def distance(m: Context, x: Array) -> Array:
        return m.relu(x[0] - x[1]) + m.relu(x[1] - x[0])

    assert judged(distance, [1.0, 1.0], [0.0, 0.0]) == "inside"
    assert judged(distance, [1.0, 1.0], [1.0, -1.0]) == "inside"
    assert judged(distance, [1.0, 1.0], [1.0, 1.0]) == "outside"


def test_a_small_entry_of_large_ones_is_not_what_is_outside() -> None:
    """(s + 2^-30, s + 3) for |s| <= 1: of 2^-30 beside a 3 that is off by a few ulps only the latter is told."""

    def ramp(m: Context, x: Array) -> Array:
        return m.abs(x[0] + x[1]) + x[0] * 2.0**-30 + x[1] * 3

    for ulps in (12, 40):
        got = np.array([2.0**-30, 3.0 + ulps * 2.0**-22])
        problem = Problem(formula=ramp, inputs={"x": np.zeros(2)}, reals={}, fixed={})
        wanted = Wanted(order=1, cotangent=cotangents.mixed, direction=cotangents.direction)
        found = Subdifferential(problem, wanted, ("d:x",)).judge({"d:x": got}, FLOAT32, max_ulp=4.0)
        assert (found.nearest["d:x"].to_float64() == got).tolist() == [True, False]


def test_a_sum_of_kinks_that_cancel_has_one_gradient() -> None:
    assert judged(lambda m, x: m.relu(x) - m.relu(-x), [0.0], [1.0]) == "single"


def test_every_corner_of_a_box_is_inside() -> None:
    signs = [1.0, -1.0, 1.0, 1.0, -1.0, 0.0, 0.3]
    assert judged(lambda m, x: m.sum(m.abs(x)), [0.0] * 7, signs) == "inside"
    assert judged(lambda m, x: m.sum(m.abs(x)), [0.0] * 7, [1.5, *signs[1:]]) == "outside"


def test_concave_kinks_too() -> None:
    assert judged(lambda m, x: -m.sum(m.abs(x)), [0.0] * 5, [-1.0, 1.0, -1.0, 0.5, 0.0]) == "inside"


def test_the_ball_of_a_norm_at_zero() -> None:
    assert judged(lambda m, x: m.norm(x, 2.0), [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]) == "inside"
    assert judged(lambda m, x: m.norm(x, 2.0), [0.0, 0.0, 0.0], [0.6, -0.6, 0.1]) == "inside"
    assert judged(lambda m, x: m.norm(x, 2.0), [0.0, 0.0, 0.0], [0.9, 0.9, 0.0]) == "outside"


def test_the_norm_of_zeros_is_judged_in_a_run() -> None:
    """At 0 itself the formula divides 0 by 0, as do kernels without a special case."""
    right = planted(
        lambda x: x * 0, lambda x, g: x * 0, lambda m, x: m.norm(x, keepdims=True), [[0.0], [0.0]]
    )
    assert serious(run(right, "float32", "backward")) == []
    for wrong, kind in ((lambda x, g: x * torch.nan, "nan"), (lambda x, g: x + 1.5, "tie")):
        op = planted(lambda x: x * 0, wrong, lambda m, x: m.norm(x, keepdims=True), [[0.0], [0.0]])
        assert {f.kind for f in serious(run(op, "float32", "backward"))} == {kind}


def test_where_the_value_is_no_number_its_gradient_is_none_either() -> None:
    """0/0 beside the tie of a maximum."""
    op = planted(
        lambda x: x / x.abs() + x.amax(), lambda x, g: x + 7, lambda m, x: m.max(x) + x / x, [[0.0, 0.0]]
    )
    assert serious(run(op, "float32", "backward")) == []


def test_an_even_share_of_differences_that_tie() -> None:
    """What one side of a difference gains, the other loses: raised together they gain nothing."""
    turns = np.resize([1.0, -1.0, 1.0], 7)
    x = np.concatenate([np.arange(7.0) + turns, np.arange(7.0)])
    got = np.concatenate([turns, -turns]) / 7
    formula = lambda m, x: m.max(m.abs(x[:7] - x[7:]))  # noqa: E731
    assert judged(formula, x, got) == "inside"
    assert judged(formula, x, 2 * got) == "outside"


def test_a_gradient_that_was_not_found_proves_nothing_where_sets_are_not_those_of_convex_functions() -> None:
    """The mean of |sort(a) - sort(b)|, kept in order and half-way between b above and below, wherever both tie: that is
    an element, of two among very many limits."""
    rng = np.random.RandomState(1)
    a, b = (np.resize(np.arange(13.0), 33)[rng.permutation(33)] for _ in range(2))
    ranks = [np.argsort(np.argsort(x, kind="stable"), kind="stable") for x in (a, b)]
    slopes = np.sign(np.sort(a) - np.sort(b)) / 33
    got = np.concatenate([slopes[ranks[0]], -slopes[ranks[1]]])
    formula = lambda m, x: m.mean(m.abs(m.sort(x[:33]) - m.sort(x[33:])))  # noqa: E731
    x = np.concatenate([a, b])
    assert judged(formula, x, got) in ("inside", "undefined")
    steeper = np.where(np.arange(66) == 5, 1.0, got)
    assert judged(formula, x, steeper) in ("outside", "undefined")


def test_a_limit_that_no_direction_tried_leads_to_is_no_accusation() -> None:
    """Four zeros and four ones in either sample: beside them the sorted ones may differ by any sign at every place."""
    rng = np.random.RandomState(1)
    a, b = (np.resize([0.0, 1.0], 8)[rng.permutation(8)] for _ in range(2))
    slopes = np.where(np.arange(8) % 3 == 0, 0.125, -0.125)
    ranks = [np.argsort(np.argsort(x, kind="stable"), kind="stable") for x in (a, b)]
    got = np.concatenate([slopes[ranks[0]], -slopes[ranks[1]]])
    formula = lambda m, x: m.mean(m.abs(m.sort(x[:8]) - m.sort(x[8:])))  # noqa: E731
    assert judged(formula, np.concatenate([a, b]), got) in ("inside", "undefined")


def test_an_entry_that_no_gradient_nearby_has_is_outside_of_any_set() -> None:
    """x0 x1 at 0 of max - max, neither convex nor concave: no entry is ever 2."""
    formula = lambda m, x: m.max(x[:2]) * 2 - m.max(x[1:]) - m.sort(x)[1]  # noqa: E731
    assert judged(formula, [0.0, 0.0, 0.0], [5.0, 0.0, -5.0]) == "outside"


def test_where_gradients_grow_nothing_is_judged() -> None:
    assert judged(lambda m, x: m.sqrt(m.abs(x)), [0.0], [123.0]) == "undefined"


def test_a_second_derivative_past_the_largest_float64_grows_too() -> None:
    """Beside an entry of 0 that of the 1/2-norm is about 2^1900, at any distance a step away."""
    assert judged(lambda m, x: x / m.norm(x, 0.5), [16.5, 0.0], [0.0, 0.0], order=2) == "undefined"


def test_second_derivatives_are_not_judged_where_the_first_is_a_set() -> None:
    assert judged(lambda m, x: m.sum(m.abs(x) * x), [0.0, 1.0], [7.0, 2.0], order=2) == "outside"
    assert judged(lambda m, x: m.sum(m.abs(x)), [0.0, 1.0], [7.0, 0.0], order=2) == "undefined"


def test_entries_off_the_tie_keep_their_exact_value() -> None:
    problem = Problem(formula=largest, inputs={"x": np.array([2.0, 2.0, 1.0])}, reals={}, fixed={})
    wanted = Wanted(order=1, cotangent=cotangents.mixed, direction=cotangents.direction)
    found = Subdifferential(problem, wanted, ("d:x",)).judge(
        {"d:x": np.array([1.0, 0, 0])}, FLOAT32, max_ulp=4.0
    )
    np.testing.assert_array_equal(found.member["d:x"], [True, True, False])
    assert found.nearest["d:x"].to_float64()[2] == 0


# --- planted in ops


class Planted(torch.autograd.Function):
    """A value with a gradient of the caller's."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, value: Any, backward: Any) -> torch.Tensor:
        ctx.save_for_backward(x)
        ctx.gradient = backward
        out: torch.Tensor = value(x.detach())
        return out

    @staticmethod
    def backward(ctx: Any, g: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        (x,) = ctx.saved_tensors
        return ctx.gradient(x, g), None, None


def planted(value: Any, backward: Any, formula: Any, rows: list[list[float]]) -> Op:
    def samples(params: Any, fmt: Any, *, budget: str, seed: int) -> Iterator[Sample]:
        for k, row in enumerate(rows):
            yield Sample(inputs={"input": np.array(row)}, label=f"row {k}", probe="row", at=float(k))

    call = lambda x: Planted.apply(x, value, backward)  # type: ignore[no-untyped-call]  # noqa: E731
    return make_op(
        "planted", call, formula, family="toy", callable_name="planted", pointwise=False, samples=samples
    )


def hinge_gradient(pick: Callable[[torch.Tensor], torch.Tensor]) -> Any:
    """The gradient of the mean of max(0, 1 - x0 + xj), where `pick` chooses the share of each hinge."""

    def backward(x: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
        share = pick(1 - x[0] + x[1:]) / len(x)
        return torch.cat([-share.sum().reshape(1), share]) * g

    return backward


def margin_value(x: torch.Tensor) -> torch.Tensor:
    return (1 - x[0] + x[1:]).clamp(min=0).sum() / len(x)


def margin_formula(m: Context, x: Array) -> Array:
    return m.sum(m.relu(1 - x[0] + x[1:])) / x.size


MARGIN_ROWS = [[1.0, 0.0, 0.0, 0.5], [1.0, 0.0, -3.0, 0.0], [0.5, 2.0, 0.25, 1.0]]


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_consistent_hinges_pass(share: float) -> None:
    pick = lambda z: torch.where(z > 0, 1.0, torch.where(z == 0, share, 0.0)).to(z.dtype)  # noqa: E731
    op = planted(margin_value, hinge_gradient(pick), margin_formula, MARGIN_ROWS)
    assert serious(run(op, "float32", "backward")) == []


def test_inconsistent_hinges_are_found() -> None:
    """The tied hinge counts in the gradient of one entry and not in that of the other: each alone is
    possible."""

    def backward(x: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
        z = 1 - x[0] + x[1:]
        return torch.cat([-(z >= 0).to(x.dtype).sum().reshape(1), (z > 0).to(x.dtype)]) / len(x) * g

    op = planted(margin_value, backward, margin_formula, MARGIN_ROWS)
    found = serious(run(op, "float32", "backward"))
    assert [f.kind for f in found] == ["tie"]
    assert found[0].severity == "critical"
    assert found[0].confirmed_by is not None


@pytest.mark.parametrize(
    ("value", "formula", "at_zero"),
    [
        (lambda x: torch.where(x >= 0, x, 0.01 * x), lambda m, x: m.where(x >= 0, x, m.const(0.01) * x), 0.0),
        (torch.celu, lambda m, x: m.maximum(0, x) + m.minimum(0, m.expm1(x)), 2.0),
    ],
    ids=["leaky_relu 0", "celu 2"],
)
def test_gradients_outside_the_set_at_zero_are_found(value: Any, formula: Any, at_zero: float) -> None:
    def backward(x: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
        t = x.double().requires_grad_()
        with torch.enable_grad():
            (slope,) = torch.autograd.grad(value(t).sum(), t)
        return (torch.where(x == 0, at_zero, slope) * g.double()).to(x.dtype)

    op = planted(value, backward, formula, [[0.0, 1.0, -1.0], [2.0, 0.5, -0.5]])
    found = serious(run(op, "float32", "backward"))
    assert len(found) == 1
    assert found[0].kind in {"tie", "inaccurate", "underflow"}
    assert found[0].witness is not None
    assert found[0].witness.inputs["entry"] == [0]


def test_the_element_that_is_picked_is_recorded() -> None:
    op = planted(margin_value, hinge_gradient(lambda z: (z > 0).to(z.dtype)), margin_formula, MARGIN_ROWS)
    result = run(op, "float32", "backward")
    (record,) = [f for f in result.findings if f.kind == "tie"]
    assert record.severity == "info"
    assert "picks" in record.message
