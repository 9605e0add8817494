"""CTC against torch and against all alignments written out; its gradient is the partial derivative."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from gradcheck_suite.engine.rowcalls import call_sample
from gradcheck_suite.engine.rows import problem_of
from gradcheck_suite.formula.arrays import Problem, Wanted, reference
from gradcheck_suite.inputs import cotangents
from gradcheck_suite.inputs.sequences import Sequences, sequences
from gradcheck_suite.ops.record import Sample
from gradcheck_suite.ops.registry import registry
from gradcheck_suite.ops.sequence import ctc_loss
from tests.ops.samples import FMT

OP = registry().get("ctc_loss")
WANTED = Wanted(order=1, cotangent=cotangents.mixed, direction=cotangents.direction)
FINITE = [case for case in sequences(FMT, full=True, blank=0) if np.isfinite(case.log_probs).all()]


def sample_of(case: Sequences) -> Sample:
    lengths = {"input_lengths": np.array(case.input_lengths), "target_lengths": np.array(case.target_lengths)}
    return Sample(inputs={"log_probs": case.log_probs}, extra={"targets": np.array(case.targets), **lengths})


def exact(sample: Sample, variant: dict[str, Any]) -> Any:
    return reference(problem_of(OP, OP.params(variant), OP.reals(variant), sample), FMT, WANTED)


@pytest.mark.parametrize("variant", OP.variants, ids=lambda v: OP.label(v))
def test_torch_agrees_in_value(variant: dict[str, Any]) -> None:
    assert OP.samples is not None
    for sample in OP.samples(OP.params(variant), FMT, budget="quick", seed=0):
        got = call_sample(
            OP,
            variant,
            sample,
            dtype="float64",
            order=0,
            cotangent=cotangents.mixed,
            direction=cotangents.direction,
        ).columns["value"]
        np.testing.assert_allclose(got, exact(sample, variant).columns["value"].to_float64(), rtol=1e-14)


def collapsed(path: tuple[int, ...]) -> tuple[int, ...]:
    """Repeats merged, then blanks (class 0) removed."""
    return tuple(k for k, _ in itertools.groupby(path) if k)


@pytest.mark.parametrize("case", [c for c in FINITE if c.log_probs.shape[0] <= 5][:6], ids=lambda c: c.label)
def test_likelihood_is_the_sum_over_all_alignments(case: Sequences) -> None:
    steps, classes = int(case.input_lengths[0]), case.log_probs.shape[-1]
    log_probs = case.log_probs.reshape(case.log_probs.shape[0], -1, classes)[:steps, 0]
    target = tuple(np.ravel(case.targets)[: case.target_lengths[0]].tolist())
    paths = [p for p in itertools.product(range(classes), repeat=steps) if collapsed(p) == target]
    total = sum(np.exp(sum(log_probs[t, k] for t, k in enumerate(p))) for p in paths)
    found = exact(sample_of(case), {"reduction": "none"}).columns["value"].to_float64()[0]
    assert found == pytest.approx(-np.log(total) if total else np.inf, rel=1e-12)


def test_gradient_is_the_partial_derivative() -> None:
    """Minus the probability that the alignment emits a class at a step: the classes of a step sum to -1."""
    (case,) = [c for c in FINITE if c.label == "an ordinary sequence without a batch"]
    gradient = exact(sample_of(case), {"reduction": "none"}).columns["d:log_probs"].to_float64()
    np.testing.assert_allclose(gradient.reshape(case.log_probs.shape).sum(axis=1), -1.0, rtol=1e-12)


def test_torch_agrees_in_the_gradient_through_log_softmax() -> None:
    """What torch returns is the gradient of the composition with log_softmax, in another place of it."""
    logits = np.resize([0.5, -1.25, 2.0, 0.125, -0.75, 1.5, -2.5], (5, 2, 4))
    extra = {"targets": np.array([[1, 2, 2], [3, 1, 0]]), "input_lengths": [5, 4], "target_lengths": [3, 2]}
    x = torch.from_numpy(logits).requires_grad_()
    tensors: dict[str, Any] = {n: torch.as_tensor(v) for n, v in extra.items()}
    loss = F.ctc_loss(F.log_softmax(x, -1), **tensors, reduction="none")
    (got,) = torch.autograd.grad(loss, x, torch.tensor([1.0, -1.0], dtype=torch.float64))
    found = reference(
        Problem(
            formula=lambda m, x, **given: ctc_loss(m, m.log_softmax(x), reduction="none", **given),
            inputs={"x": logits},
            reals={},
            fixed={n: np.asarray(v) for n, v in extra.items()},
        ),
        FMT,
        WANTED,
    )
    np.testing.assert_allclose(got.numpy().ravel(), found.columns["d:x"].to_float64(), rtol=1e-10, atol=1e-14)


def test_no_alignment_is_an_infinite_loss_without_a_gradient() -> None:
    (case,) = [c for c in FINITE if c.label == "no room for a blank"]
    found = exact(sample_of(case), {"reduction": "none"})
    assert found.columns["value"].to_float64().tolist() == [np.inf]
    steps = case.input_lengths[0] * case.log_probs.shape[-1]
    assert found.undefined["d:log_probs"][:steps].all()


def test_zero_infinity_zeroes_the_loss_and_its_gradient() -> None:
    (case,) = [c for c in FINITE if c.label == "no room for a blank"]
    found = exact(sample_of(case), {"reduction": "none", "zero_infinity": True})
    assert found.columns["value"].to_float64().tolist() == [0.0]
    assert not found.undefined["d:log_probs"].any()
    assert not found.columns["d:log_probs"].to_float64().any()
