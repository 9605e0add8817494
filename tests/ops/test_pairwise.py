"""Distances and their losses: torch in float64 agrees; clamps and kinks have sets of gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from gradcheck_suite.engine.rows import problem_of
from gradcheck_suite.engine.subdifferential import Subdifferential
from gradcheck_suite.formula.arrays import Wanted, reference
from gradcheck_suite.inputs import cotangents
from gradcheck_suite.ops.record import Op, Sample
from gradcheck_suite.ops.registry import registry
from tests.ops.samples import FMT, worst_errors

NAMES = (
    "cosine_similarity", "pairwise_distance", "pdist", "cosine_embedding_loss", "triplet_margin_loss",
    "triplet_margin_with_distance_loss",
)  # fmt: skip
OPS = [registry().get(name) for name in NAMES]
# With eps = 100 the clamp holds everywhere, and the derivative is a set; eps^100 underflows, which torch does not mend.
PLAIN = [(op, dict(v)) for op in OPS for v in op.variants if v not in ({"eps": 100.0}, {"p": 100.0})]
VARIANTS = [pytest.param(op, variant, id=op.label(variant)) for op, variant in PLAIN]
TWICE = [p for p in VARIANTS if "double-backward" in p.values[0].directions]  # type: ignore[union-attr]
WANTED = Wanted(order=1, cotangent=cotangents.mixed, direction=cotangents.direction)

# torch adds 1e-12 to both squared norms of the embedding loss; the documentation does not.
_FEW_ULPS = {"cosine_embedding_loss": 1e6}


def test_ordinary_rows_of_pdist_all_differ() -> None:
    op = registry().get("pdist")
    assert op.samples is not None
    samples = list(op.samples(op.params({}), FMT, budget="quick", seed=0))
    rows = {s.label: len(np.unique(s.inputs["input"], axis=0)) for s in samples if "four" in s.label}
    assert rows == {"four ordinary rows": 4, "four rows, two of them equal": 3}


@pytest.mark.parametrize(("op", "variant"), VARIANTS)
def test_torch_agrees_in_value_and_gradients(op: Op, variant: dict[str, Any]) -> None:
    errors = list(worst_errors(op, variant, 1))
    assert {column for _, column, _ in errors} == {"value", *(f"d:{n}" for n in op.inputs)}
    assert [found for found in errors if found[2] > _FEW_ULPS.get(op.name, 64.0)] == []


@pytest.mark.parametrize(("op", "variant"), TWICE)
def test_torch_agrees_in_second_derivatives(op: Op, variant: dict[str, Any]) -> None:
    errors = list(worst_errors(op, variant, 2))
    assert any(column.startswith("dd:") for _, column, _ in errors)
    # Second derivatives of a norm cancel, and divide by it three times.
    assert [found for found in errors if found[2] > 1e3 * _FEW_ULPS.get(op.name, 64.0)] == []


@pytest.mark.parametrize("op", [op for op in OPS if op.module is not None], ids=lambda op: op.name)
def test_module_forms_are_the_same_op(op: Op) -> None:
    assert op.module is not None
    assert op.samples is not None
    for variant in op.variants:
        sample = next(iter(op.samples(op.params(variant), FMT, budget="quick", seed=0)))
        inputs = [torch.from_numpy(x) for x in sample.inputs.values()]
        extra = {n: torch.from_numpy(x) for n, x in sample.extra.items()}
        expected = op.call(*inputs, **extra, **variant)
        assert torch.equal(op.module(**variant)(*inputs, *extra.values()), expected)


def judged(name: str, variant: dict[str, Any], sample: Sample, gradients: dict[str, Any]) -> str:
    """ "inside", "outside", "undefined" or "single" for gradients at a tie or a clamp, all inputs together."""
    op = registry().get(name)
    problem = problem_of(op, op.params(variant), op.reals(variant), sample)
    assert reference(problem, FMT, WANTED).tie
    found = Subdifferential(problem, WANTED, tuple(gradients)).judge(gradients, FMT, max_ulp=4.0)
    if all(flags.all() for flags in found.undefined.values()):
        return "undefined"
    if not any(flags.any() for flags in found.member.values()):
        return "single"
    nearest = {n: exact.to_float64() for n, exact in found.nearest.items()}
    same = [np.array_equal(nearest[n][m], gradients[n][m]) for n, m in found.member.items()]
    return "inside" if all(same) else "outside"


def test_below_the_documented_clamp_both_derivatives_are_allowed() -> None:
    """cos = a.b / (eps |b|) for |a| < eps: the clamp cuts the derivative of |a|, or lets it through."""
    a, b, eps = np.array([0.5, 0.0]), np.array([3.0, 4.0]), 1.0
    sample = Sample(inputs={"x1": a[np.newaxis], "x2": b[np.newaxis]})
    cosine = a @ b / (eps * 5.0)
    by_b = (a / eps - cosine * b / 5.0) / 5.0
    cut = b / (eps * 5.0)
    through = cut - cosine * (a / 0.5) / eps
    for weight in (0.0, 0.25, 1.0):
        got = {"d:x1": (1 - weight) * cut + weight * through, "d:x2": by_b}
        assert judged("cosine_similarity", {"eps": eps}, sample, got) == "inside"
    wrong = {"d:x1": 2 * through - cut, "d:x2": by_b}
    assert judged("cosine_similarity", {"eps": eps}, sample, wrong) == "outside"


def test_norm_of_equal_rows_takes_any_subgradient_but_none_outside() -> None:
    sample = Sample(inputs={"input": np.array([[1.0, 2.0], [1.0, 2.0]])})
    for got, where in (
        ([0.0, 0.0, 0.0, 0.0], "inside"),
        ([0.6, 0.3, -0.6, -0.3], "inside"),
        ([0.9, 0.9, -0.9, -0.9], "outside"),
        ([0.6, 0.3, 0.6, 0.3], "outside"),
    ):
        assert judged("pdist", {}, sample, {"d:input": np.array(got)}) == where


def test_a_hinge_takes_one_factor_for_all_inputs() -> None:
    one = np.ones((1, 1))
    sample = Sample(inputs={"anchor": 0 * one, "positive": one, "negative": 2 * one})
    for p, n, where in ((0.5, -0.5, "inside"), (1.0, -1.0, "inside"), (0.5, -0.25, "outside")):
        got = {"d:anchor": np.zeros(1), "d:positive": np.full(1, p), "d:negative": np.full(1, n)}
        assert judged("triplet_margin_loss", {"reduction": "none"}, sample, got) == where


def test_zero_vectors_have_no_cosine() -> None:
    op = registry().get("cosine_embedding_loss")
    sample = Sample(
        inputs={"input1": np.zeros((1, 2)), "input2": np.ones((1, 2))}, extra={"target": np.array([1])}
    )
    found = reference(problem_of(op, op.params({}), op.reals({}), sample), FMT, WANTED)
    assert found.undefined["value"].all()
