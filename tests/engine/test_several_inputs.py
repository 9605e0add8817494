"""Ops of several inputs: planted defects are found, where they belong; sound ops and real ties are left
alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from gradcheck_suite import engine
from gradcheck_suite.engine import Case, run_case
from gradcheck_suite.floats import parse_float
from gradcheck_suite.formula.context import Context
from gradcheck_suite.formula.tape import Array
from gradcheck_suite.ops.declare import make_op
from gradcheck_suite.ops.record import Op
from gradcheck_suite.ops.registry import registry
from gradcheck_suite.ops.variants import at_variant
from gradcheck_suite.options import Settings
from gradcheck_suite.results import Finding, Result
from tests.engine.toys import DTYPES, serious, slope

Gradients = Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]


def right(d: torch.Tensor, g: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return g * slope(d), -g * slope(d)


class Bend(torch.autograd.Function):
    """max(d, d/2) with d = x - y; one rounding, and gradients without any."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, y: torch.Tensor, gradients: Gradients) -> torch.Tensor:
        ctx.save_for_backward(x - y)
        ctx.gradients = gradients
        return torch.where(x > y, x - y, (x - y) * 0.5)

    @staticmethod
    def backward(ctx: Any, g: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, None]:
        (d,) = ctx.saved_tensors
        return (*ctx.gradients(d, g), None)


def bend(x: torch.Tensor, y: torch.Tensor, gradients: Gradients) -> torch.Tensor:
    out: torch.Tensor = Bend.apply(x, y, gradients)  # type: ignore[no-untyped-call]
    return out


def bend_formula(m: Context, x: Array, y: Array) -> Array:
    return m.maximum(x - y, (x - y) / 2)


def moderate(params: Any, values: Any) -> Any:
    """No difference overflows, even in float16."""
    return np.logical_and.reduce([~((np.abs(x) > 1e4) & np.isfinite(x)) for x in values.values()])


def toy(gradients: Gradients = right, formula: Callable[..., Any] = bend_formula, **options: Any) -> Op:
    options = {"inputs": ("x", "y"), "offsets": lambda p: (0.0,), "domain": moderate, **options}
    call = options.pop("call", lambda x, y: bend(x, y, gradients))
    return make_op(
        "toy", call, formula, family="toy", tier="custom", custom=True, callable_name="toy", **options
    )


def run(op: Op, dtype: str, direction: str, variant: dict[str, Any] | None = None) -> list[Result]:
    chosen = dict(op.variants[0]) if variant is None else variant
    case = Case(op=at_variant(op, chosen), variant=chosen, dtype=dtype, direction=direction)
    return run_case(case, Settings(directions=("forward", "backward", "double-backward")))


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_sound_op_is_silent(dtype: str) -> None:
    (forward,) = run(toy(), dtype, "forward")
    x, y = run(toy(), dtype, "backward")
    assert (x.wrt, y.wrt) == ("x", "y")
    assert x.id.endswith("::backward::x")
    for result in (forward, x, y):
        assert serious(result) == []
        assert result.points > 300


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_wrong_gradient_belongs_to_its_input(dtype: str) -> None:
    x, y = run(toy(lambda d, g: (g * slope(d), g * slope(d))), dtype, "backward")
    assert serious(x) == []
    kinds = {f.kind for f in serious(y)}
    assert "sign" in kinds
    assert all(f.confirmed_by for f in serious(y) if "nan" not in str(f.witness))


def half_sums(d: torch.Tensor, g: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Each entry of the gradient possible at d = 0, but not both at once."""
    x, y = right(d, g)
    return torch.where(d == 0, 0.5 * g, x), torch.where(d == 0, -g, y)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_tie_is_judged_over_all_inputs_together(dtype: str) -> None:
    x, y = run(toy(half_sums), dtype, "backward")
    assert {f.kind for f in serious(x)} == {"tie"}
    assert serious(y) == []
    (finding,) = [f for f in serious(x) if "cotangent" not in f.fixed]
    assert finding.fixed == {"x - y": "0x0.0p+0"}
    assert finding.witness is not None
    assert finding.witness.inputs["x"] == finding.witness.inputs["y"]


def test_findings_are_few_and_say_what_is_fixed() -> None:
    """Wrong on half of the plane: one finding of a sweep, with the other input fixed."""

    def doubled(d: torch.Tensor, g: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x, y = right(d, g)
        return torch.where(d > 1, 2 * x, x), y

    x, _ = run(toy(doubled), "float32", "backward")
    (finding,) = [f for f in serious(x) if "cotangent" not in f.fixed and "inf" not in str(f.witness)]
    assert finding.probe in ("x", "y")
    assert finding.fixed
    assert set(finding.witness.inputs) == {"x", "y"} if finding.witness else False
    assert finding.points > 20
    assert len(serious(x)) <= 6


def test_nan_of_one_input_must_show() -> None:
    op = toy(call=lambda x, y: torch.where(torch.isnan(y), 0 * x, bend(x, y, right)))
    (result,) = run(op, "float32", "forward")
    assert {f.kind for f in serious(result)} == {"masked"}


def test_extra_tensors_reach_call_and_formula_by_name() -> None:
    def formula(m: Context, x: Array, *, label: Array) -> Array:
        return label * m.relu(x)

    options: dict[str, Any] = {
        "inputs": ("x",),
        "extras": ("label",),
        "partners": lambda p: {"label": (-1.0, 1.0)},
        "domain": lambda p, v: abs(v["label"]) == 1,
        "landmarks": lambda p: (0.0,),
    }
    sound = toy(formula=formula, call=lambda x, *, label: label * torch.relu(x), **options)
    assert [serious(r) for d in ("forward", "backward") for r in run(sound, "float32", d)] == [[], []]
    deaf = toy(formula=formula, call=lambda x, *, label: torch.relu(x), **options)
    (result,) = run(deaf, "float32", "forward")
    (finding,) = [f for f in serious(result) if f.kind == "sign"][:1]
    assert finding.witness is not None
    assert parse_float(finding.witness.inputs["label"]) == -1.0


def at_equal(findings: list[Finding], a: str, b: str) -> list[Finding]:
    """Findings whose witness has two inputs equal."""
    witnesses = [(f, f.witness.inputs) for f in findings if f.witness]
    return [f for f, inputs in witnesses if inputs[a] == inputs[b] and "inf" not in str(inputs[a])]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("name", "pair"),
    [
        ("mse_loss", ("input", "target")),
        ("l1_loss", ("input", "target")),
        ("smooth_l1_loss", ("input", "target")),
        ("huber_loss", ("input", "target")),
        ("margin_ranking_loss", ("input1", "input2")),
    ],
)
def test_identical_tensors_are_no_defect(name: str, pair: tuple[str, str], dtype: str) -> None:
    for direction in ("forward", "backward"):
        for result in run(registry().get(name), dtype, direction, {"reduction": "none"}):
            assert at_equal(serious(result), *pair) == []


def verdicts(name: str, point: dict[str, float], dtype: str = "float32", **variant: Any) -> dict[Any, str]:
    found = engine.explain(
        registry().get(name),
        point,
        dtype=dtype,
        variant=variant,
        settings=Settings(),
        directions=("forward", "backward"),
    )
    return {e.wrt or "value": e.verdict if e.kind is None else f"{e.verdict}: {e.kind}" for e in found}


@pytest.mark.parametrize("dtype", DTYPES)
def test_real_ties_and_clamps_are_in_order(dtype: str) -> None:
    fine = {"value": "ok", "input": "ok"}
    # The clamped derivative 0 and the unclamped -1/0 span everything below 0.
    assert verdicts("binary_cross_entropy", {"input": 0.0, "target": 1.0}, dtype)["input"] == "ok"
    assert verdicts("binary_cross_entropy", {"input": 1.0, "target": 0.0}, dtype)["input"] == "ok"
    assert verdicts("hinge_embedding_loss", {"input": 1.0, "target": -1.0}, dtype) == fine
    assert verdicts("hinge_embedding_loss", {"input": 2.0, "target": -1.0}, dtype, margin=2.0) == fine
    ranked = verdicts("margin_ranking_loss", {"input1": 3.0, "input2": 1.0, "target": 1.0}, dtype, margin=2.0)
    assert set(ranked.values()) == {"ok"}
    if dtype != "float16":  # there the square of eps is 0
        assert set(
            verdicts("gaussian_nll_loss", {"input": 1.0, "target": 1.0, "var": 0.0}, dtype).values()
        ) == {"ok"}


def test_binary_cross_entropy_loses_its_gradient_beside_the_clamp() -> None:
    """-log(1 - x) has the derivative 1/(1 - x) = 1 at 0; torch divides x - y = 0 by a guard of 1e-12."""
    assert verdicts("binary_cross_entropy", {"input": 0.0, "target": 0.0})["input"] == "finding: underflow"


def test_explaining_several_inputs_names_each() -> None:
    found = engine.explain(
        registry().get("mse_loss"),
        {"input": 1.0, "target": 2.0},
        dtype="float32",
        variant={},
        settings=Settings(),
    )
    assert [(e.direction, e.wrt) for e in found] == [
        ("forward", None),
        ("backward", "input"),
        ("backward", "target"),
    ]
    assert [e.got for e in found] == [1.0, -2.0, 2.0]
    assert [float(e.exact) for e in found] == [1.0, -2.0, 2.0]
    assert found[0].condition == 6.0  # |1 * -2| + |2 * 2| over 1


def test_an_optional_tensor_is_asked_for_by_giving_it() -> None:
    weighted = verdicts("mse_loss", {"input": 1.0, "target": 3.0, "weight": 0.5})
    assert weighted == {"value": "ok", "input": "ok", "target": "ok", "weight": "ok"}
    assert verdicts("binary_cross_entropy", {"input": 0.5, "target": 1.0, "weight": 0.5}).keys() == {
        "value",
        "input",
        "target",
    }


def test_second_derivatives_of_each_input() -> None:
    for result in run(registry().get("mse_loss"), "float32", "double-backward", {"reduction": "none"}):
        assert result.max_ulp == 0
        assert result.verdict == "ok"


@pytest.mark.parametrize("axis", [0, -1])
def test_a_formula_may_sort_several_numbers_of_a_point(axis: int) -> None:
    op = toy(
        call=lambda x, y: torch.stack([x, y, x + y]).median(0).values,
        formula=lambda m, x, y: m.median(m.stack([x, y, x + y], axis), axis),
    )
    (result,) = run_case(
        Case(op=op, variant={}, dtype="float32", direction="forward"), Settings(budget="quick")
    )
    assert result.verdict == "ok"
