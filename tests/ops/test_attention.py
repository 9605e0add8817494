"""Attention: torch in float64 agrees on every kernel and option; rows without a key are not judged."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from gradcheck_suite.engine import Case, run_case
from gradcheck_suite.engine.rows import problem_of
from gradcheck_suite.formula.arrays import Wanted, reference
from gradcheck_suite.inputs import cotangents
from gradcheck_suite.ops.record import Op, Sample
from gradcheck_suite.ops.registry import registry
from gradcheck_suite.options import Settings
from tests.ops.samples import FMT, worst_errors

NAMES = (
    "scaled_dot_product_attention", "scaled_dot_product_attention_fused", "scaled_dot_product_attention_mask",
    "multi_head_attention", "multi_head_attention_separate", "multi_head_attention_module",
    "multi_head_attention_inference", "scaled_dot_product_attention_dropout",
)  # fmt: skip
OPS = [registry().get(name) for name in NAMES]
VARIANTS = [pytest.param(op, dict(v), id=op.label(v)) for op in OPS for v in op.variants]
WANTED = Wanted(order=1, cotangent=cotangents.mixed, direction=cotangents.direction)


def twice_differentiable(op: Op, variant: dict[str, Any]) -> bool:
    """torch's fused kernel has no second derivative; asking for no weights takes that kernel."""
    return "double-backward" in op.directions and variant.get("need_weights", True)


TWICE = [p for p in VARIANTS if twice_differentiable(*p.values)]  # type: ignore[arg-type]


@pytest.mark.parametrize(("op", "variant"), VARIANTS)
def test_torch_agrees_in_value_and_gradients(op: Op, variant: dict[str, Any]) -> None:
    order = 1 if "backward" in op.directions else 0
    errors = list(worst_errors(op, variant, order))
    assert {column for _, column, _ in errors} == {"value", *(f"d:{n}" for n in op.inputs if order)}
    assert [found for found in errors if found[2] > 64.0] == []


@pytest.mark.parametrize(("op", "variant"), TWICE)
def test_torch_agrees_in_second_derivatives(op: Op, variant: dict[str, Any]) -> None:
    errors = list(worst_errors(op, variant, 2))
    assert any(column.startswith("dd:") for _, column, _ in errors)
    assert [found for found in errors if found[2] > 4096.0] == []


def test_module_is_the_functional_form() -> None:
    """What the record calls is what nn.MultiheadAttention computes with the weights of a sample."""
    op = registry().get("multi_head_attention")
    assert op.samples is not None
    sample = next(iter(op.samples(op.params({}), FMT, budget="quick", seed=0)))
    tensors = {n: torch.from_numpy(x) for n, x in {**sample.inputs, **sample.extra}.items()}
    module = nn.MultiheadAttention(4, 2, dtype=torch.float64)
    bias = torch.cat([tensors["query_bias"], tensors["key_bias"], tensors["value_bias"]])
    module.load_state_dict(
        {
            "in_proj_weight": tensors["in_proj_weight"],
            "in_proj_bias": bias,
            "out_proj.weight": tensors["out_proj_weight"],
            "out_proj.bias": tensors["out_proj_bias"],
        }
    )
    expected = module(tensors["query"], tensors["key"], tensors["value"])
    inputs = [torch.from_numpy(x) for x in sample.inputs.values()]
    for got, want in zip(op.call(*inputs, key_bias=tensors["key_bias"]), expected, strict=True):
        assert torch.equal(got, want)


def masked_sample(rank: int) -> Sample:
    """Two queries, of which the first sees no key and the second one."""
    q, k = np.array([[1.0, 2.0], [0.5, -1.0]]), np.array([[0.25, 1.0], [3.0, -0.5]])
    shape = (1, 2, 2) if rank == 3 else (1, 1, 2, 2)
    inputs = {"query": q.reshape(shape), "key": k.reshape(shape), "value": (q + k).reshape(shape)}
    return Sample(inputs=inputs, extra={"attn_mask": np.array([[False, False], [True, False]])})


@pytest.mark.parametrize("rank", [3, 4])
def test_row_without_a_key_is_undefined_and_the_others_are_not(rank: int) -> None:
    op = registry().get("scaled_dot_product_attention" + ("_fused" if rank == 4 else ""))
    problem = problem_of(op, op.params({}), op.reals({}), masked_sample(rank))
    found = reference(problem, FMT, WANTED)
    assert found.undefined["value"].tolist() == [True, True, False, False]
    assert found.undefined["d:query"].tolist() == [True, True, False, False]
    assert found.undefined["d:key"].all()


@pytest.mark.parametrize("name", [*NAMES[:2], *NAMES[3:]])
@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_fully_masked_row_is_no_finding(name: str, direction: str) -> None:
    case = Case(op=registry().get(name), variant={}, dtype="float32", direction=direction)
    for result in run_case(case, Settings(budget="quick")):
        assert [f for f in result.findings if f.severity != "info" and f.probe == "masked keys"] == []


def test_huge_equal_masks_are_ill_conditioned() -> None:
    """1e38 beside scores near 1 leaves nothing of them in float32, and the exact weights depend on them."""
    op = registry().get("scaled_dot_product_attention_mask")
    for direction in ("forward", "backward"):
        for result in run_case(Case(op=op, variant={}, dtype="float32", direction=direction), Settings()):
            found = [f for f in result.findings if f.probe == "mask" and f.severity != "info"]
            assert [f for f in found if float.fromhex(f.hi or "0") > 1e30] == []


def test_a_nan_in_a_query_must_show() -> None:
    """torch's fused kernel on the CPU gives 0 for such a row, as for one without any key."""
    op = registry().get("scaled_dot_product_attention_fused")
    assert op.samples is not None
    samples = op.samples(op.params({}), FMT, budget="default", seed=0)
    (sample,) = [s for s in samples if s.label == "one entry of a query NaN"]
    expected = reference(problem_of(op, op.params({}), {}, sample), FMT, WANTED).nan_expected
    width = sample.inputs["value"].shape[-1]
    assert expected[:width].all()
    assert not expected[width:].any()
