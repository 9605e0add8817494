"""Adaptive softmax and linear cross entropy: torch in float64 agrees, with every weight as an input."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from gradcheck_suite.engine import Case, run_case
from gradcheck_suite.ops import composite
from gradcheck_suite.ops.record import Op
from gradcheck_suite.ops.registry import registry
from gradcheck_suite.ops.variants import at_variant
from gradcheck_suite.options import Settings
from tests.ops.samples import FMT, worst_errors

NAMES = (
    "adaptive_log_prob", "adaptive_log_softmax_with_loss", "linear_cross_entropy",
    "linear_cross_entropy_chunked", "linear_cross_entropy_prob",
)  # fmt: skip
OPS = [registry().get(name) for name in NAMES]
VARIANTS = [pytest.param(op, dict(v), id=op.label(v)) for op in OPS for v in op.variants]
TWICE = [p for p in VARIANTS if "double-backward" in p.values[0].directions]  # type: ignore[union-attr]


@pytest.mark.parametrize(("op", "variant"), VARIANTS)
def test_torch_agrees_in_value_and_gradients(op: Op, variant: dict[str, Any]) -> None:
    errors = list(worst_errors(op, variant, 1))
    columns = {"value", *(f"d:{n}" for n in at_variant(op, variant).inputs)}
    assert {column for _, column, _ in errors} == columns
    assert [found for found in errors if found[2] > 64.0] == []


@pytest.mark.parametrize(("op", "variant"), TWICE)
def test_torch_agrees_in_second_derivatives(op: Op, variant: dict[str, Any]) -> None:
    errors = list(worst_errors(op, variant, 2))
    assert any(column.startswith("dd:") for _, column, _ in errors)
    assert [found for found in errors if found[2] > 4096.0] == []


def test_adaptive_call_is_the_module() -> None:
    op = registry().get("adaptive_log_softmax_with_loss")
    assert op.samples is not None
    sample = next(iter(op.samples(op.params({}), FMT, budget="quick", seed=0)))
    tensors = {n: torch.from_numpy(x) for n, x in sample.inputs.items()}
    module = nn.AdaptiveLogSoftmaxWithLoss(4, 7, [2, 4], 2.0).to(torch.float64)
    tails = {f"tail_{i}_{j}": f"tail.{i}.{j}.weight" for i in (0, 1) for j in (0, 1)}
    names = {"head": "head.weight", **tails}
    module.load_state_dict({names[n]: x for n, x in tensors.items() if n != "input"})
    expected = module(tensors["input"], torch.from_numpy(sample.extra["target"]))
    got = op.call(*tensors.values(), target=torch.from_numpy(sample.extra["target"]))
    assert all(torch.equal(a, b) for a, b in zip(got, expected, strict=True))
    probabilities = registry().get("adaptive_log_prob").call(*tensors.values())
    assert torch.equal(probabilities, module.log_prob(tensors["input"]))


def test_older_torch_is_unsupported_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(composite, "_linear", composite._absent)
    for name in ("linear_cross_entropy", "linear_cross_entropy_chunked"):
        case = Case(op=registry().get(name), variant={}, dtype="float32", direction="forward")
        (result,) = run_case(case, Settings(budget="quick"))
        assert result.verdict == "unsupported"
        assert "has no torch.nn.functional.linear_cross_entropy" in result.note


def test_every_weight_matters() -> None:
    """The samples reach both tail clusters, so that no gradient is 0 by accident."""
    op = registry().get("adaptive_log_softmax_with_loss")
    assert op.samples is not None
    samples = op.samples(op.params({}), FMT, budget="quick", seed=0)
    targets = np.concatenate([np.ravel(s.extra["target"]) for s in samples])
    assert set(np.searchsorted([2, 4], targets, side="right").tolist()) == {0, 1, 2}
