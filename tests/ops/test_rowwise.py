"""The references are those ops: torch in float64 agrees to a few ulps, with every option."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from gradcheck_suite.ops.record import Op
from gradcheck_suite.ops.registry import registry
from tests.ops.samples import FMT, worst_errors

NAMES = {
    "softmax", "softmin", "softmax2d", "log_softmax", "logsumexp", "normalize", "glu", "prelu",
    "nll_loss", "nll_loss2d", "cross_entropy", "cross_entropy_prob",
    "multi_margin_loss", "multilabel_margin_loss", "multilabel_soft_margin_loss",
    "softmax_upcast", "log_softmax_upcast",
}  # fmt: skip
OPS = [op for op in registry() if op.name in NAMES]
VARIANTS = [pytest.param(op, dict(v), id=op.label(v)) for op in OPS for v in op.variants]
TWICE = [p for p in VARIANTS if "double-backward" in p.values[0].directions]  # type: ignore[union-attr]

_FEW_ULPS = 64.0


def test_all_are_registered() -> None:
    assert {op.name for op in OPS} == NAMES


@pytest.mark.parametrize(("op", "variant"), VARIANTS)
def test_torch_agrees_in_value_and_gradients(op: Op, variant: dict[str, Any]) -> None:
    errors = list(worst_errors(op, variant, 1))
    assert {column for _, column, _ in errors} >= {"value", "d:input"}
    assert [found for found in errors if found[2] > _FEW_ULPS] == []


@pytest.mark.parametrize(("op", "variant"), TWICE)
def test_torch_agrees_in_second_derivatives(op: Op, variant: dict[str, Any]) -> None:
    # A power of 100 costs as many ulps for each derivative.
    errors = list(worst_errors(op, variant, 2))
    assert any(column.startswith("dd:") for _, column, _ in errors)
    assert [found for found in errors if found[2] > 4 * _FEW_ULPS] == []


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_upcast_forms_compute_in_float32(name: str, dtype: torch.dtype) -> None:
    x = torch.linspace(-20.0, 20.0, 257).to(dtype).requires_grad_()
    y = registry().get(f"{name}_upcast").call(x, dim=-1)
    assert y.dtype == dtype
    assert torch.equal(y, getattr(torch, name)(x.float(), -1).to(dtype))
    g = torch.linspace(-1.0, 1.0, 257).to(dtype)
    (slope,) = torch.autograd.grad(y, x, g)
    wide = x.detach().float().requires_grad_()
    (expected,) = torch.autograd.grad(getattr(torch, name)(wide, -1), wide, g.float())
    assert torch.equal(slope, expected.to(dtype))


@pytest.mark.parametrize("op", [op for op in OPS if op.module is not None], ids=lambda op: op.name)
def test_module_form_is_the_same_op(op: Op) -> None:
    assert op.module is not None
    assert op.samples is not None
    for variant in op.variants:
        if "tensor" in variant.values():
            continue
        samples = op.samples(op.params(variant), FMT, budget="quick", seed=0)
        sample = next(iter(samples))
        inputs = [torch.from_numpy(np.asarray(x)) for x in sample.inputs.values()]
        extra = {n: torch.from_numpy(np.asarray(x)) for n, x in sample.extra.items()}
        expected = op.call(*inputs, **extra, **variant)
        assert torch.equal(op.module(**variant)(*inputs, **extra), expected)


@pytest.mark.parametrize("op", [op for op in OPS if op.twins], ids=lambda op: op.name)
def test_twins_are_the_same_op(op: Op) -> None:
    x = torch.tensor([[0.5, -1.25], [2.0, 0.125]], dtype=torch.float64)
    rest = [torch.tensor([0.25], dtype=torch.float64)] if op.name == "prelu" else []
    for twin in op.twins:
        assert torch.equal(twin(x, *rest, **op.variants[0]), op.call(x, *rest, **op.variants[0]))
