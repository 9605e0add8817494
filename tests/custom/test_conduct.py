"""How an op behaves beside what it computes; gates that let everything pass."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest
import torch

from gradcheck_suite.samples import rows
from tests.custom.ops import half, half_formula, judged, serious

OP: dict[str, Any] = {"formula": half_formula, "landmarks": [0.0]}
ROWS: dict[str, Any] = {
    "formula": lambda m, input: input * 2,
    "samples": rows(-1, lengths=(1, 3)),
    "directions": ["forward"],
}


def overwriting(x: torch.Tensor) -> torch.Tensor:
    y = half(x)
    x.data.zero_()
    return y


def test_an_op_that_overwrites_its_input_is_one_finding() -> None:
    found = serious(judged("mine", overwriting, **OP))
    assert [(f.kind, f.severity) for f in found if "overwrites" in f.message] == [("raises", "critical")]
    assert "its input 'x', which belongs to the caller" in found[0].message


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_sample_survives_it(dtype: str) -> None:
    """Only the overwriting is found, not zeros everywhere: every call gets copies."""
    found = judged("mine", overwriting, **OP, directions=["forward"], settings={"dtypes": (dtype,)})
    assert len(serious(found)) == 1


def test_rows_that_are_overwritten() -> None:
    def double(x: torch.Tensor) -> torch.Tensor:
        y = x.detach() * 2
        x.data.zero_()
        return y

    assert [f.kind for f in serious(judged("mine", double, **ROWS))] == ["raises"]


class Scribbling(torch.autograd.Function):
    """Half of x, with a way back that uses somebody else's memory: of the input, or of the cotangent."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, place: str) -> torch.Tensor:
        ctx.save_for_backward(x)
        ctx.place = place
        return x / 2

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None]:
        g = grads[0] / 2
        target = ctx.saved_tensors[0] if ctx.place == "input" else grads[0]
        if target.is_contiguous():
            target.data.copy_(g)
        return g, None


@pytest.mark.parametrize(
    ("place", "said"), [("input", "its input 'x'"), ("cotangent", "the gradient that it is")]
)
def test_a_way_back_that_overwrites_is_a_finding_of_the_gradient(place: str, said: str) -> None:
    found = judged("mine", lambda x: Scribbling.apply(x, place), formula=lambda m, x: x / 2)  # type: ignore[no-untyped-call]
    assert [len(r.findings) for r in found if r.direction == "forward"] == [0]
    assert [f.kind for f in serious(found)].count("raises") == 1
    assert any(f"overwrites {said}" in f.message for f in serious(found))


def test_a_cotangent_that_is_overwritten_is_one_finding_for_all_inputs() -> None:
    class Product(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
            ctx.save_for_backward(a, b)
            return a * b

        @staticmethod
        def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            a, b = ctx.saved_tensors
            first = grads[0] * b
            return first, grads[0].mul_(a) if grads[0].is_contiguous() else grads[0] * a

    found = serious(judged("mine", Product.apply, formula=lambda m, a, b: a * b))
    assert [f.id for f in found] == ["mine::float32::backward::a::raises.changes-cotangent"]


def noisy() -> Any:
    calls = itertools.count()

    def op(x: torch.Tensor) -> torch.Tensor:
        # One bit in one entry, every second call.
        y = half(x).clone()
        with torch.no_grad():
            y.view(-1)[y.numel() // 3] *= 1 + 2.0**-23 * (next(calls) % 2)
        return y

    return op


def test_an_op_that_is_not_deterministic_is_one_finding() -> None:
    (found,) = judged("mine", noisy(), **OP, directions=["forward"])
    assert [(f.kind, f.severity) for f in serious([found])] == [("path", "minor")]
    (message,) = [f.message for f in serious([found])]
    assert "not deterministic: the value of the same input differs from call to call in 1 entries" in message


def test_rows_that_are_not_deterministic() -> None:
    # Each sample is called twice, and nothing regular may be in step with that.
    coin = random.Random(1)
    found = serious(judged("mine", lambda x: x * 2 * (1 + 2.0**-23 * coin.getrandbits(1)), **ROWS))
    assert "path" in {f.kind for f in found}


@pytest.mark.parametrize("fn", [half, lambda x: half(x) * 0, lambda x: half(x) * 0 + 1])
def test_a_gate_that_everything_passes_is_called_vacuous(fn: Any) -> None:
    found = judged("mine", fn, **OP, max_ulp=1e300, domain=lambda p, v: v["x"].__abs__() < 1e30)
    assert {r.verdict for r in found} == {"inconclusive"}
    assert all("vacuous gate" in r.note and "max_ulp=1e+300" in r.note for r in found)


def test_a_path_that_an_op_cannot_take_is_told_and_leaves_no_doubt() -> None:
    asked = {"paths": ("vector", "vmap")}
    found = judged("mine", half, **OP, settings=asked)
    assert {r.verdict for r in found} == {"ok"}
    assert all(r.note.startswith("path vmap skipped") for r in found)
    bounded = {"max_ulp": 1e300, "domain": lambda p, v: abs(v["x"]) < 1e30}
    vacuous = judged("mine", half, **OP, **bounded, settings=asked)
    assert {r.verdict for r in vacuous} == {"inconclusive"}
    assert all("vacuous gate" in r.note and "path vmap skipped" in r.note for r in vacuous)


def test_a_domain_without_inputs_is_called_vacuous() -> None:
    found = judged("mine", half, **OP, domain=lambda p, v: v["x"] > float("inf"))
    assert {r.verdict for r in found} == {"inconclusive"}
    assert all("no input is judged" in r.note for r in found)


def test_an_op_whose_gradient_is_zero_is_not_vacuous() -> None:
    def floor(x: torch.Tensor) -> torch.Tensor:
        return x * 0 + 2

    found = judged("mine", floor, formula=lambda m, x: x * 0 + 2, domain=lambda p, v: abs(v["x"]) < 1e30)
    assert [r.verdict for r in found] == ["ok", "ok"]


def test_torchs_own_ops_are_not_called_twice() -> None:
    calls = []

    def op(x: torch.Tensor) -> torch.Tensor:
        calls.append(x.numel())
        return half(x)

    judged("mine", op, **OP, directions=["forward"], settings={"paths": ("vector",)})
    # The screening of curves goes by portions of many more.
    assert len([size for size in calls if size < 2**16]) <= 4
