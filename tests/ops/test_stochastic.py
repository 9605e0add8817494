"""Ops that draw random numbers: given what they drew, torch in float64 agrees."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from gradcheck_suite.engine.rows import problem_of
from gradcheck_suite.formula.arrays import Wanted, reference
from gradcheck_suite.inputs import cotangents
from gradcheck_suite.ops.record import Op
from gradcheck_suite.ops.registry import registry
from tests.ops.samples import FMT, worst_errors

OPS = [registry().get(name) for name in ("rrelu_training", "gumbel_softmax")]
VARIANTS = [pytest.param(op, dict(v), id=op.label(v)) for op in OPS for v in op.variants]
WANTED = Wanted(order=1, cotangent=cotangents.mixed, direction=cotangents.direction)


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize(("op", "variant"), VARIANTS)
def test_torch_agrees(op: Op, variant: dict[str, Any], order: int) -> None:
    errors = list(worst_errors(op, variant, order))
    assert {column.partition(":")[0] for _, column, _ in errors} == set(("value", "d", "dd")[: order + 1])
    # 1/tau of 10 amplifies the rounding of logits and noise.
    assert [found for found in errors if found[2] > 4096.0] == []


@pytest.mark.parametrize("variant", OPS[0].variants, ids=lambda v: OPS[0].label(v))
def test_slopes_lie_in_the_interval_and_vary(variant: dict[str, Any]) -> None:
    op = OPS[0]
    assert op.samples is not None
    params = op.params(variant)
    sample = next(iter(op.samples(params, FMT, budget="quick", seed=0)))
    slopes = sample.extra["slope"]
    assert params["lower"] <= slopes.min() <= slopes.max() <= params["upper"]
    negative = slopes[sample.inputs["input"] < 0]
    assert len(np.unique(negative)) > 20 or params["lower"] == params["upper"]


def test_slopes_are_those_of_the_forward_value() -> None:
    op = OPS[0]
    assert op.samples is not None
    samples = op.samples(op.params({}), FMT, budget="quick", seed=0)
    (sample,) = [s for s in samples if s.label == "ordinary entries"]
    got = op.call(torch.from_numpy(sample.inputs["input"]), slope=torch.zeros(1), seed=sample.extra["seed"])
    ratio = got.numpy() / sample.inputs["input"]
    negative = sample.inputs["input"] < 0
    np.testing.assert_allclose(ratio[negative], sample.extra["slope"][negative], rtol=1e-15)
    assert (ratio[~negative] == 1).all()


def test_a_call_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(7)
    before = torch.random.get_rng_state()
    x = torch.tensor([-1.0, 2.0])
    OPS[0].call(x, slope=x, seed=1)
    OPS[1].call(x, gumbels=x, seed=1, hard=True)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_replayed_noise_is_what_gumbel_softmax_draws() -> None:
    op = OPS[1]
    assert op.samples is not None
    sample = next(iter(op.samples(op.params({}), FMT, budget="quick", seed=0)))
    noise = torch.from_numpy(sample.extra["gumbels"])
    x = torch.from_numpy(sample.inputs["logits"])
    with torch.random.fork_rng():
        torch.manual_seed(sample.extra["seed"])
        assert torch.equal(F.gumbel_softmax(x), F.softmax(x + noise, -1))


def test_hard_sample_is_one_hot_with_the_soft_gradient() -> None:
    op = OPS[1]
    assert op.samples is not None
    sample = next(iter(op.samples(op.params({}), FMT, budget="quick", seed=0)))
    found = {
        hard: reference(problem_of(op, op.params({"hard": hard}), op.reals({}), sample), FMT, WANTED)
        for hard in (False, True)
    }
    hard, soft = found[True].columns, found[False].columns
    assert sorted(hard["value"].to_float64().tolist()) == [0.0] * (len(hard["value"]) - 1) + [1.0]
    assert hard["value"].to_float64().argmax() == soft["value"].to_float64().argmax()
    np.testing.assert_allclose(hard["d:logits"].to_float64(), soft["d:logits"].to_float64(), rtol=1e-15)
