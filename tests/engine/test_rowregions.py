"""Regions along the curve of a sample: their ends are adjacent floats, found by torch's own answers."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from gradcheck_suite.engine.rows import RowSubject
from gradcheck_suite.floats import Format, format_of, from_ordinal, round_to, to_ordinal
from gradcheck_suite.formula.arrays import Reference
from gradcheck_suite.inputs.pairs import pairs, triplets
from gradcheck_suite.ops.declare import make_op
from gradcheck_suite.ops.record import Op, Sample
from gradcheck_suite.ops.registry import registry
from tests.engine.toys import run, serious


def naive_norm(x: torch.Tensor) -> torch.Tensor:
    return (x * x).sum().sqrt()


def scaled(dtype: str) -> Op:
    """The norm of (3, 4), whose square overflows, on the curve of all its multiples."""
    fmt = format_of(dtype)
    start = Sample(inputs={}, label="multiples of (3, 4)", probe="scale")

    def at(scale: float) -> Sample:
        with np.errstate(over="ignore"):
            inputs = {"input": np.asarray(round_to(np.array([3.0, 4.0]) * scale, fmt))}
        return dataclasses.replace(start, inputs=inputs, at=scale, curve=at)

    def samples(params: Any, fmt: Any, *, budget: str, seed: int) -> Iterator[Sample]:
        yield at(1.0)
        yield at(2.0 ** (fmt.emax - 4))

    return make_op(
        "norm",
        naive_norm,
        lambda m, x: m.norm(x),
        family="toy",
        callable_name="norm",
        pointwise=False,
        samples=samples,
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_an_overflow_has_ends_on_adjacent_floats(dtype: str) -> None:
    fmt = format_of(dtype)
    (found,) = serious(run(scaled(dtype), dtype, "forward"))
    assert found.kind == "overflow"
    assert found.lo is not None
    assert found.hi is not None
    assert found.lo_exact

    def overflows(scale: float) -> bool:
        x = torch.tensor([3.0 * scale, 4.0 * scale], dtype=getattr(torch, dtype))
        return bool(torch.isinf(naive_norm(x)))

    first = np.array([float.fromhex(found.lo)])
    before = float(from_ordinal(to_ordinal(first, fmt) - 1, fmt)[0])
    assert overflows(float(first[0]))
    assert not overflows(before)
    assert float.fromhex(found.hi) > first[0]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_both_ends_are_guessed_by_the_entry_that_fails(dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """0 from where the exact result leaves the normal numbers to where a square underflows. Another entry, rightly,
    becomes 0 close by, which is no end; few of the floats in between are ever judged."""
    judged: list[float] = []
    evaluated = RowSubject.reference

    def counted(self: RowSubject, k: int, cotangent: str = "mixed") -> Reference:
        judged.append(float(self.samples[k].inputs["input"][0]))
        return evaluated(self, k, cotangent)

    monkeypatch.setattr(RowSubject, "reference", counted)
    fmt = format_of(dtype)
    (found,) = serious(run(sunk(), dtype, "forward"))
    assert (found.kind, found.lo_exact, found.hi_exact) == ("underflow", True, True)
    # Half of the smallest number rounds to 0.
    last = float.fromhex(found.hi or "")
    assert last**2 <= 2.0 ** (fmt.ulp_exponent_min - 1) < after(last, fmt) ** 2
    first = float.fromhex(found.lo or "")
    normal = 8 * fmt.smallest_normal
    # In binary64 the number before it rounds to it, divided by 8.
    assert normal in (first, after(first, fmt))
    assert len(set(judged)) < 70


def after(x: float, fmt: Format) -> float:
    return float(from_ordinal(to_ordinal(np.array([x]), fmt) + 1, fmt)[0])


def sunk() -> Op:
    """An eighth of the first entry by way of its square, and the square of an eighth of the second."""
    start = Sample(inputs={}, label="both entries", probe="scale")

    def at(scale: float) -> Sample:
        return dataclasses.replace(start, inputs={"input": np.array([scale, scale])}, at=scale, curve=at)

    def samples(params: Any, fmt: Any, *, budget: str, seed: int) -> Iterator[Sample]:
        yield at(1.0)
        yield at(2.0 ** (fmt.emin // 2 - 40))

    def call(x: torch.Tensor) -> torch.Tensor:
        return torch.stack([(x[0] * x[0]).sqrt() / 8, (x[1] / 8) ** 2])

    return make_op(
        "sunk",
        call,
        lambda m, x: m.stack([x[0] / 8, (x[1] / 8) ** 2]),
        family="toy",
        callable_name="sunk",
        pointwise=False,
        samples=samples,
    )


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
def test_pairs_and_triplets_lie_on_their_curves(dtype: str) -> None:
    fmt = format_of(dtype)
    curved = 0
    for pair in pairs(fmt, full=True):
        if pair.curve is not None:
            curved += 1
            np.testing.assert_array_equal(pair.curve(pair.at), (pair.x, pair.y))
    for triplet in triplets(fmt, full=True):
        if triplet.curve is not None:
            curved += 1
            vectors = (triplet.anchor, triplet.positive, triplet.negative)
            np.testing.assert_array_equal(triplet.curve(triplet.at), vectors)
    assert curved >= 8


@pytest.mark.parametrize("name", ["normalize", "cosine_similarity", "pairwise_distance", "pdist"])
def test_the_curve_of_a_sample_leads_through_it(name: str) -> None:
    op = registry().get(name)
    fmt = format_of("float32")
    assert op.samples is not None
    params = op.params(op.variants[0])
    curved = [s for s in op.samples(params, fmt, budget="default", seed=0) if s.curve is not None]
    assert curved
    for sample in curved:
        assert sample.curve is not None
        assert sample.at is not None
        for n, x in sample.curve(sample.at).inputs.items():
            np.testing.assert_array_equal(x, sample.inputs[n])


CURVED = {
    "glu": "gate", "multi_margin_loss": "gap", "multilabel_margin_loss": "scale", "cross_entropy_prob": "gap",
    "multilabel_soft_margin_loss": "gap", "linear_cross_entropy": "scale",
    "scaled_dot_product_attention": "scale", "scaled_dot_product_attention_fused": "scale",
    "ctc_loss": "scale",
}  # fmt: skip


@pytest.mark.parametrize("dtype", ["float64", "float16"])
@pytest.mark.parametrize("name", CURVED)
def test_samples_lie_on_their_curves(name: str, dtype: str) -> None:
    op = registry().get(name)
    assert op.samples is not None
    variant = {"reduction": "none"} if name == "ctc_loss" else op.variants[0]
    samples = op.samples(op.params(variant), format_of(dtype), budget="default", seed=0)
    curved = [s for s in samples if s.curve is not None]
    assert CURVED[name] in {s.probe for s in curved}
    for sample in curved:
        assert sample.curve is not None
        assert sample.at is not None
        again = sample.curve(sample.at)
        assert (again.at, again.probe) == (sample.at, sample.probe)
        for key, value in sample.inputs.items():
            np.testing.assert_array_equal(again.inputs[key], value)


def test_dear_curves_are_left_to_larger_budgets() -> None:
    def dear(op: Op) -> Op:
        assert op.samples is not None
        own = op.samples

        def samples(params: Any, fmt: Any, **options: Any) -> Iterator[Sample]:
            for sample in own(params, fmt, **options):
                yield dataclasses.replace(sample, curve_budget="thorough")

        return dataclasses.replace(op, samples=samples)

    (found,) = serious(run(dear(scaled("float32")), "float32", "forward"))
    assert not found.lo_exact
    (found,) = serious(run(dear(scaled("float32")), "float32", "forward", budget="thorough"))
    assert found.lo_exact


def test_gates_have_exact_ends() -> None:
    """A sigmoid of large negative numbers is 0 long before its product with a large value is."""
    glu = registry().get("glu")
    (found,) = [f for f in serious(run(glu, "float32", "forward")) if f.probe == "gate"]
    assert (found.kind, found.lo_exact, found.hi_exact) == ("underflow", True, True)
