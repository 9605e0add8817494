"""Registering ops: borrowed and own definitions, and everything that real libraries need."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from gradcheck_suite.errors import UsageError
from gradcheck_suite.ops.registry import registry
from gradcheck_suite.registration import Registrar
from gradcheck_suite.samples import Sample, labelled_rows, rows, shaped
from tests.custom.ops import half, half_formula, judged, registered, serious


def test_an_op_like_another_takes_its_reference_at_the_given_parameters() -> None:
    ops = registered("mine", torch.tanh, like="elu", alpha=0.3, max_ulp=2.0, dtypes=["float32"])
    mine, model = ops.get("mine"), ops.get("elu")
    assert mine.formula is model.formula
    assert mine.params(mine.variants[0])["alpha"] == 0.3
    assert (mine.max_ulp, mine.dtypes, mine.custom) == (2.0, ("float32",), True)
    assert mine.callable_name == "torch.tanh"


def test_the_registry_of_torch_stays_as_it_was() -> None:
    before = registry().names()
    Registrar(registry().copy())("mine", torch.tanh, like="tanh")
    assert registry().names() == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"like": "elu", "alhpa": 1.0}, r"'alhpa'.*did you mean 'alpha'"),
        ({"like": "elu", "dtype": ["float32"]}, r"register\(\) no option, 'dtype'; did you mean 'dtypes'"),
        ({"like": "gleu"}, "'gleu'.*did you mean .*'gelu'"),
        ({"like": "elu", "variants": [{"beta": 1.0}]}, "elu has no parameter 'beta'"),
        ({"like": "elu", "formula": half_formula}, "both like= and a formula"),
        ({"like": "elu", "inputs": ["x"]}, "need a formula"),
        ({"formula": half_formula, "inputs": ["y"]}, "the formula of mine has no tensor 'y'"),
        ({"formula": lambda m: 1}, "takes no tensor"),
        ({"formula": half_formula, "dtypes": ["flaot32"]}, "unknown dtype 'flaot32'"),
        ({"formula": half_formula, "directions": ["back"]}, "unknown direction 'back'"),
        ({"formula": half_formula, "max_ulp": 0.25}, "max_ulp=0.25 of mine is impossible to pass"),
        ({"formula": half_formula, "against_factor": 0.0}, "against_factor=0 of mine must be positive"),
    ],
)
def test_a_mistake_is_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        registered("mine", torch.tanh, **options)


@pytest.mark.parametrize("name", ["", "a b", "a::b", "a[b]", "1a", "core", "gelu"])
def test_a_name_that_ids_cannot_hold_or_that_is_taken(name: str) -> None:
    with pytest.raises(UsageError):
        registered(name, torch.tanh, like="tanh")


def test_a_definition_may_follow_but_has_to_come() -> None:
    register = Registrar(registry().copy())
    declare = register("mine", half)
    with pytest.raises(UsageError, match="mine is registered without a definition"):
        register.close()
    declare(half_formula)
    register.close()


def test_defaults() -> None:
    op = registered("mine", half, formula=half_formula).get("mine")
    assert op.dtypes == ("float64", "float32", "float16", "bfloat16")
    assert op.directions == ("forward", "backward")
    assert op.source is not None
    assert op.source.file.endswith("ops.py")
    assert op.callable_name == "tests.custom.ops.half"
    assert "m.maximum(x, x / 2)" in op.definition


def test_torch_dtypes_are_understood() -> None:
    assert registered("mine", half, formula=half_formula, dtypes=[torch.float32]).get("mine").dtypes == (
        "float32",
    )


def test_a_decorator_takes_the_formula_and_returns_it() -> None:
    ops = registry().copy()
    register = Registrar(ops)

    def formula(m: Any, x: Any) -> Any:
        return m.maximum(x, x / 2)

    # As with @register("mine", half) above the definition.
    assert register("mine", half)(formula) is formula
    assert ops.get("mine").formula.__wrapped__ is formula  # type: ignore[attr-defined]


def test_a_grid_of_variants_reaches_the_op_and_the_formula() -> None:
    def formula(m: Any, x: Any, *, alpha: Any = 1.0, sign: str = "plus") -> Any:
        return x * alpha if sign == "plus" else -x * alpha

    def op(x: torch.Tensor, *, alpha: float = 1.0, sign: str = "plus") -> torch.Tensor:
        return x * alpha if sign == "plus" else -x * alpha

    found = judged("mine", op, formula=formula, variants={"alpha": [0.5, 2.0], "sign": ["plus", "minus"]})
    assert [r.id for r in found if r.direction == "forward"] == [
        f"mine[alpha={alpha},sign={sign}]::float32::forward"
        for alpha in ("0.5", "2")
        for sign in ("plus", "minus")
    ]
    assert not serious(found)


def test_parameters_at_which_it_equals_another_are_not_passed_on() -> None:
    assert not serious(judged("mine", lambda x: F.leaky_relu(x, 0.5), like="leaky_relu", negative_slope=0.5))


def test_without_a_default_variant_all_of_them_are_tried() -> None:
    ops = registered("mine", torch.softmax, like="softmax")
    assert ops.get("mine").variants == ops.get("softmax").variants
    assert registered("mine", torch.softmax, like="softmax", dim=-1).get("mine").variants == ({},)


def test_rows_along_every_axis() -> None:
    options: dict[str, Any] = {
        "like": "softmax",
        "directions": ["forward"],
        "domain": lambda p, v: np.isfinite(v["input"]),
    }

    def wide(x: torch.Tensor, dim: int) -> torch.Tensor:
        return torch.softmax(x.double(), dim).to(x.dtype)

    assert not serious(judged("mine", wide, **options))
    wrong_axis = judged("mine", lambda x, dim: wide(x, -1), **options)
    assert {r.variant["dim"] for r in wrong_axis if r.verdict == "findings"} == {0, 1}


def test_rows_with_a_formula_of_their_own() -> None:
    def formula(m: Any, input: Any) -> Any:
        return input - m.max(input, -1, keepdims=True)

    def op(x: torch.Tensor) -> torch.Tensor:
        return x - x.amax(-1, keepdim=True)

    options: dict[str, Any] = {
        "formula": formula,
        "samples": rows(-1, lengths=(1, 3)),
        "domain": lambda p, v: np.isfinite(v["input"]),
        "directions": ["forward"],
    }
    assert not serious(judged("mine", op, **options))
    assert serious(judged("mine", lambda x: op(x) * 1.001, **options))


def test_tensors_by_position_and_labels_by_another_name() -> None:
    def fused(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(logits, labels, reduction="none")

    def swapped(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return fused(logits, (labels + 1).clamp(0, logits.shape[1] - 1))

    def formula(m: Any, logits: Any, target: Any) -> Any:
        kept = m.gather(m.log_softmax(logits), np.maximum(target, 0)[:, None])[:, 0]
        return -kept * m.const((target >= 0).astype(np.int64))

    options: dict[str, Any] = {
        "formula": formula,
        "inputs": ["logits"],
        "samples": labelled_rows(),
        "directions": ["forward"],
    }
    found = serious(judged("mine", fused, **options))
    assert not [f for f in found if f.kind == "raises"]
    assert len(serious(judged("mine", swapped, **options))) > len(found)


def test_a_function_that_takes_tensors_by_position_only() -> None:
    class Fused(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: torch.Tensor, sign: torch.Tensor) -> torch.Tensor:
            ctx.save_for_backward(x, sign)
            return F.soft_margin_loss(x, sign, reduction="none")

        @staticmethod
        def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None]:
            x, sign = ctx.saved_tensors
            return -grads[0] * sign * torch.sigmoid(-sign * x), None

    found = judged("mine", Fused.apply, like="soft_margin_loss", reduction="none")
    assert all(r.points for r in found)
    assert not [f for f in serious(found) if f.kind == "raises"]


def test_several_tensors_with_a_gradient_each() -> None:
    def formula(m: Any, a: Any, b: Any) -> Any:
        return a - b

    found = judged("mine", torch.sub, formula=formula)
    assert [r.wrt for r in found] == [None, "a", "b"]
    assert not serious(found)
    wrong = judged("mine", lambda a, b: b - a, formula=formula)
    assert {r.wrt for r in wrong if r.verdict == "findings"} == {None, "a", "b"}


def test_near_equal_pairs_are_tried() -> None:
    """A difference computed after adding 1: wrong only where both are close to each other and small."""
    ops = registered(
        "mine", lambda a, b: (a + 1) - (b + 1), formula=lambda m, a, b: a - b, directions=["forward"]
    )
    assert serious(
        judged("mine", ops.get("mine").call, formula=lambda m, a, b: a - b, directions=["forward"])
    )


def test_a_constraint_between_tensors() -> None:
    def op(low: torch.Tensor, high: torch.Tensor) -> torch.Tensor:
        return torch.where(low < high, high - low, torch.full_like(low, torch.nan))

    options: dict[str, Any] = {"formula": lambda m, low, high: high - low}
    ordered = judged("mine", op, domain=lambda p, v: v["low"] < v["high"], **options)
    assert all(r.points > 50 for r in ordered)
    assert not serious(ordered)
    assert serious(judged("mine", op, **options))


def test_arguments_without_a_gradient() -> None:
    def formula(m: Any, x: Any, sign: Any) -> Any:
        return m.where(sign > 0, x, -x)

    def op(x: torch.Tensor, sign: torch.Tensor) -> torch.Tensor:
        return torch.where(sign > 0, x, -x)

    found = judged("mine", op, formula=formula, inputs=["x"], partners=lambda p: {"sign": (-1.0, 1.0)})
    assert [r.wrt for r in found] == [None, "x"]
    assert not serious(found)


def test_labels_take_the_values_that_are_stated_and_no_others() -> None:
    """The gradient is right for 0 and 1; any other label would be taken for one of them."""

    class Crossed(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
            ctx.save_for_backward(x, label)
            assert torch.isin(label, torch.tensor([0.0, 1.0])).all()
            return F.softplus(torch.where(label == 1, -x, x))

        @staticmethod
        def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None]:
            x, label = ctx.saved_tensors
            sign = torch.where(label == 1, -1.0, 1.0)
            return grads[0] * sign * torch.sigmoid(sign * x), None

    options: dict[str, Any] = {"inputs": ["x"], "partners": lambda p: {"label": (0.0, 1.0)}}
    found = judged("mine", Crossed.apply, formula=lambda m, x, label: m.softplus(x) - x * label, **options)
    assert not [f for f in serious(found) if f.kind == "raises"]
    assert not [f for f in serious(found) if f.path != "vector" or "label" in (f.probe or "")]
    assert [r.wrt for r in found if r.points > 50] == [None, "x"]


def test_outputs_are_judged_by_themselves() -> None:
    def op(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return x / 2, x * 3

    options: dict[str, Any] = {"outputs": ["half", "double"], "directions": ["forward"]}
    found = judged("mine", op, formula=lambda m, x: (x / 2, x * 2), **options)
    assert [(r.id, r.verdict) for r in found] == [
        ("mine[output=half]::float32::forward", "ok"),
        ("mine[output=double]::float32::forward", "findings"),
    ]
    one = judged("mine", lambda x: x / 2, formula=lambda m, x: (x / 2, x * 2), **options)
    assert [f.kind for f in serious(one)] == ["raises", "raises"]
    assert "2 outputs are registered, but it returns one Tensor" in serious(one)[0].message


def test_parameters_of_a_module_are_further_inputs() -> None:
    class Scale(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(3))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * self.weight

    options: dict[str, Any] = {
        "formula": lambda m, x, weight: x * weight,
        "samples": shaped({"x": (2, 3), "weight": (3,)}),
    }
    module = Scale()
    found = judged("mine", module, **options)
    assert [r.wrt for r in found] == [None, "x", "weight"]
    assert not [f for f in serious(found) if f.kind in ("raises", "dtype")]
    assert found[0].verdict == "ok"
    assert torch.equal(module.weight.detach(), torch.ones(3))


def test_an_adapter_calls_in_its_own_way() -> None:
    def mean_only(x: list[torch.Tensor]) -> torch.Tensor:
        return x[0].sum() / len(x[0])

    def adapter(fn: Any, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = fn([x])
        return out

    found = judged(
        "mine",
        mean_only,
        formula=lambda m, x: m.mean(x),
        adapter=adapter,
        samples=shaped({"x": (2,)}),
        directions=["forward"],
    )
    assert not [f for f in serious(found) if f.kind == "raises"]


def test_a_reference_may_be_an_algorithm() -> None:
    """The square root by Newton's iteration, as many steps as the working precision needs."""

    def formula(m: Any, x: Any) -> Any:
        y = m.const(1.0)
        for _ in range(14):
            y = (y + x / y) / 2
        return y

    options: dict[str, Any] = {"formula": formula, "domain": lambda p, v: (v["x"] > 0.01) & (v["x"] < 100)}
    assert not serious(judged("mine", torch.sqrt, **options))
    assert serious(judged("mine", lambda x: torch.sqrt(x) * 1.00001, **options))


def test_a_straight_through_gradient_has_a_formula_of_its_own() -> None:
    class Step(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: torch.Tensor, factor: float) -> torch.Tensor:
            ctx.factor = factor
            return torch.where(x > 0, torch.ones_like(x), x * 0)

        @staticmethod
        def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None]:
            return grads[0] * ctx.factor, None

    options: dict[str, Any] = {
        "formula": lambda m, x: m.where(x > 0, 1, 0),
        "gradient": lambda m, x: m.const(1),
        "domain": lambda p, v: np.isfinite(v["x"]),
    }
    assert not serious(judged("mine", lambda x: Step.apply(x, 1.0), **options))  # type: ignore[no-untyped-call]
    wrong = judged("mine", lambda x: Step.apply(x, 2.0), **options)  # type: ignore[no-untyped-call]
    assert {r.direction for r in wrong if r.verdict == "findings"} == {"backward"}


def test_an_op_without_a_gradient() -> None:
    options: dict[str, Any] = {"formula": lambda m, x: m.maximum(x, 0), "landmarks": [0.0]}

    def detached(x: torch.Tensor) -> torch.Tensor:
        return torch.relu(x).detach()

    assert [r.verdict for r in judged("mine", detached, directions=["forward"], **options)] == ["ok"]
    both = judged("mine", detached, **options)
    assert [(r.direction, r.verdict) for r in both] == [("forward", "ok"), ("backward", "findings")]
    assert "no grad_fn" in serious(both)[0].message


def test_an_op_that_overwrites_its_input() -> None:
    assert not serious(judged("mine", torch.relu_, like="relu", inplace=True))
    assert [f.kind for f in serious(judged("mine", torch.relu_, like="relu", directions=["forward"]))] == [
        "raises"
    ]


@pytest.mark.parametrize("dtype", ["float64", "bfloat16"])
def test_a_borrowed_deviation_excuses_what_is_documented_and_nothing_else(dtype: str) -> None:
    """softplus is documented to turn linear: a NaN, a gradient of 0 or a value of 2x there is none of that."""

    def linear(x: torch.Tensor) -> torch.Tensor:
        return torch.where(x > 20, x, F.softplus(x.clamp(max=20)))

    def naive(x: torch.Tensor) -> torch.Tensor:
        return torch.where(x > 20, x, torch.log1p(torch.exp(x)))

    def found(op: Any) -> set[tuple[str, str]]:
        results = judged("mine", op, like="softplus", settings={"dtypes": (dtype,)})
        beyond = [f for f in serious(results) if float.fromhex(str(f.hi)) > 20]
        return {(f.kind, f.id.split("::")[2]) for f in beyond}

    assert found(linear) == set()
    assert ("nan", "backward") in found(naive)
    assert ("underflow", "backward") in found(lambda x: torch.where(x > 20, x.detach() + 0 * x, linear(x)))
    assert ("inaccurate", "forward") in found(lambda x: torch.where(x > 20, 2 * x, linear(x)))


def test_documented_deviations_never_fail() -> None:
    def op(x: torch.Tensor) -> torch.Tensor:
        return torch.where(x > 4, torch.zeros_like(x), half(x))

    options: dict[str, Any] = {"formula": half_formula, "landmarks": [0.0], "directions": ["forward"]}
    assert serious(judged("mine", op, **options))
    found = judged(
        "mine", op, documented=lambda p, v: v["x"] > 4, documented_reason="it saturates", **options
    )
    assert not serious(found)
    assert {f.status for f in found[0].findings if f.severity == "info"} == {"documented"}
    assert any("it saturates" in f.message for f in found[0].findings)


def test_a_documented_deviation_may_state_its_form() -> None:
    """It saturates at 2 from 4 on: a slope or another number there is none of that."""

    def saturating(x: torch.Tensor, *, at: float = 2.0) -> torch.Tensor:
        return torch.where(x > 4, torch.full_like(x, at) + 0 * x.detach().clamp(0, 1), half(x))

    options: dict[str, Any] = {
        "formula": half_formula,
        "documented": lambda p, v: v["x"] > 4,
        "documented_form": lambda m, x: m.const(2),
    }
    assert not [f for f in serious(judged("mine", saturating, **options)) if f.kind != "masked"]
    other = serious(judged("mine", lambda x: saturating(x, at=3.0), **options, directions=["forward"]))
    assert "inaccurate" in {f.kind for f in other}
    with pytest.raises(UsageError, match="say where with documented="):
        judged("mine", half, formula=half_formula, documented_form=lambda m, x: x)


def test_an_op_for_other_devices_is_skipped_with_a_reason() -> None:
    (found,) = judged("mine", half, formula=half_formula, devices=["cuda"], directions=["forward"])
    assert (found.verdict, found.note) == ("unsupported", "mine runs on cuda only, not on cpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
def test_a_missing_device_is_a_reason_to_skip() -> None:
    (found,) = judged("mine", half, formula=half_formula, directions=["forward"], settings={"device": "cuda"})
    assert found.verdict == "unsupported"
    assert "there is no device 'cuda' here" in found.note


def test_samples_of_ones_own() -> None:
    def samples(params: Any, fmt: Any, *, budget: str, seed: int) -> Any:
        yield Sample(inputs={"x": np.array([[1.0, 2.0], [3.0, 4.0]])}, extra={"k": 1}, label="two rows")

    def formula(m: Any, x: Any, *, k: int) -> Any:
        return x[:, k]

    options: dict[str, Any] = {"formula": formula, "samples": samples}
    assert not serious(judged("mine", lambda x, k: x[:, k], **options))
    assert serious(judged("mine", lambda x, k: x[:, 0], **options))


def test_shapes_must_be_given() -> None:
    with pytest.raises(UsageError, match="shaped needs the shapes"):
        shaped()


def test_shaped_inputs_meet_their_condition_and_take_arguments() -> None:
    generate = shaped(
        {"a": (2, 3), "b": (2, 3)},
        {"a": (1, 1), "b": (1, 1)},
        arguments={"axis": 1, "count": lambda inputs: inputs["a"].size},
        where=lambda params, inputs: inputs["a"] <= inputs["b"],
    )
    from gradcheck_suite.floats import format_of

    found = list(generate({}, format_of("float16"), budget="default", seed=0))
    assert all((sample.inputs["a"] <= sample.inputs["b"]).all() for sample in found)
    assert {sample.extra["count"] for sample in found} == {1, 6}
    assert {sample.extra["axis"] for sample in found} == {1}
    assert any("ulps" in sample.probe for sample in found)


def test_dtypes_that_nobody_stated_may_be_refused() -> None:
    def only_float32(x: torch.Tensor) -> torch.Tensor:
        if x.dtype != torch.float32:
            raise ValueError(f"expected torch.float32, got {x.dtype}")
        return half(x)

    def broken(x: torch.Tensor) -> torch.Tensor:
        raise ValueError("out of order")

    options: dict[str, Any] = {"formula": half_formula, "landmarks": [0.0], "directions": ["forward"]}
    settings = {"dtypes": ("float32", "float16")}
    assert [r.verdict for r in judged("mine", only_float32, **options, settings=settings)] == [
        "ok",
        "unsupported",
    ]
    assert [r.verdict for r in judged("mine", broken, **options, settings=settings)] == [
        "findings",
        "findings",
    ]
    stated = judged("mine", only_float32, **options, dtypes=["float32", "float16"], settings=settings)
    assert [r.verdict for r in stated] == ["ok", "findings"]


def test_reproducers_call_the_op_as_the_engine_does() -> None:
    def op(logits: torch.Tensor, labels: torch.Tensor, *, gamma: float) -> tuple[torch.Tensor, torch.Tensor]:
        return logits * 2, labels * gamma

    def formula(m: Any, x: Any, sign: Any, *, gamma: Any = 2.0) -> Any:
        return x, sign * gamma

    made = registered("mine", op, formula=formula, inputs=["x"], outputs=["first", "second"]).get("mine")
    assert made.code is not None
    text = made.code({"x": "x", "sign": "sign", "gamma": "0.5", "output": "'second'"})
    assert text == "y = tests.custom.test_registration." + (
        "test_reproducers_call_the_op_as_the_engine_does.<locals>.op(x, sign, gamma=0.5)[1]"
    )
    borrowed = registered("mine", lambda logits, labels: logits, like="nll_loss", reduction="none").get(
        "mine"
    )
    assert borrowed.code is not None
    assert borrowed.code({"input": "input", "target": "torch.tensor([1])"}).endswith(
        "(input, torch.tensor([1]))"
    )
    adapted = registered("mine", op, formula=formula, adapter=lambda fn, *t: fn(*t)).get("mine")
    assert adapted.code is not None
    assert adapted.code({"x": "x", "sign": "sign"}).startswith("# It is registered with an adapter")
