"""Samples meet what a kernel of the usual form gets wrong: each is told by a property of its exact result."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from gradcheck_suite.floats import FORMATS, Format, format_of
from gradcheck_suite.inputs.attention import attentions
from gradcheck_suite.inputs.classes import images
from gradcheck_suite.inputs.pairs import pairs, triplets
from gradcheck_suite.inputs.rows import rows
from gradcheck_suite.inputs.targets import tuples
from gradcheck_suite.ops.landscape import landscape_of
from gradcheck_suite.ops.record import Sample
from gradcheck_suite.ops.registry import registry
from gradcheck_suite.ops.variants import at_variant

EACH = [pytest.param(fmt, id=name) for name, fmt in FORMATS.items()]
NARROW = [pytest.param(format_of(name), id=name) for name in FORMATS if name != "float64"]
"""Formats whose hard results are ordinary numbers in binary64."""


def samples(name: str, variant: dict[str, Any], fmt: Format) -> Iterator[Sample]:
    """What an op states for a variant in a default run."""
    op = at_variant(registry().get(name), variant)
    assert op.samples is not None
    yield from op.samples(op.params(variant), fmt, budget="default", seed=0)


def points(name: str, variant: dict[str, Any], fmt: Format) -> dict[str, Any]:
    """The points of an elementwise op in a default run, those of finite inputs."""
    op = registry().get(name)
    values = tuples(fmt, landscape_of(op, op.params(variant)), 700, 0).values
    finite = np.logical_and.reduce([np.isfinite(x) for x in values.values()])
    return {n: x[finite] for n, x in values.items()}


@pytest.mark.parametrize("fmt", EACH)
def test_a_log_of_a_sum_is_what_the_losers_add(fmt: Format) -> None:
    added = []
    for sample in samples("logsumexp", {"dim": -1}, fmt):
        x = np.sort(sample.inputs["input"])
        if x[-1] == 0 and np.isfinite(x).all():
            added.append(float(np.exp(x[:-1]).sum()))
    assert any(fmt.smallest_normal < a < 0.75 * fmt.unit_roundoff for a in added)
    assert any(fmt.unit_roundoff < a < fmt.unit_roundoff**0.5 for a in added)


@pytest.mark.parametrize("fmt", EACH)
def test_a_winner_leaves_more_than_the_unit_roundoff_but_less_than_its_root(fmt: Format) -> None:
    gaps = [row.at for row in rows(fmt, (2,)) if row.probe == "gap" and row.at > 0]
    assert any(fmt.unit_roundoff < np.exp(-gap) < fmt.unit_roundoff**0.7 for gap in gaps)


def test_smoothed_labels_meet_classes_whose_sum_leaves_the_format() -> None:
    fmt = format_of("float16")
    found = False
    for sample in samples("cross_entropy", {"label_smoothing": 0.1}, fmt):
        x = sample.inputs["input"].reshape(-1, sample.inputs["input"].shape[-1])[0]
        logs = x - x.max() - np.log(np.exp(x - x.max()).sum())
        found |= bool(abs(logs.sum()) > fmt.max > abs(logs).max())
    assert found


@pytest.mark.parametrize("fmt", EACH)
def test_a_mean_over_an_image_is_of_losses_whose_sum_overflows(fmt: Format) -> None:
    found = False
    for batch in images(fmt, -100):
        picked = np.take_along_axis(batch.logits, np.maximum(batch.target, 0)[:, np.newaxis], 1)
        losses = np.abs(picked) / fmt.max
        found |= bool(losses.sum() > 1 > 2 * losses.mean() > 0)
    assert found


@pytest.mark.parametrize("fmt", EACH)
def test_right_answers_meet_every_kind_of_weight(fmt: Format) -> None:
    labels = [s.label for s in samples("cross_entropy", {"reduction": "none", "weight": "tensor"}, fmt)]
    mine = [label for label in labels if label.startswith("three rows with winners of their class")]
    assert len(mine) == len(set(mine)) == 4


@pytest.mark.parametrize("fmt", NARROW)
def test_powers_of_differences_overflow_where_no_norm_does(fmt: Format) -> None:
    for p in (1.5, 2.0, 3.0):
        found = False
        for pair in pairs(fmt, full=False):
            d = np.abs(pair.x - pair.y)
            powers = (d**p).sum()
            found |= bool(powers > fmt.max and powers ** (1 / p) < fmt.max)
        assert found, p


@pytest.mark.parametrize("fmt", EACH)
def test_nearly_parallel_vectors_lie_along_an_axis(fmt: Format) -> None:
    found = False
    for pair in pairs(fmt, full=True):
        x, y = np.abs(pair.x), np.abs(pair.y)
        close = len(x) > 1 and bool(((x != y) & (abs(x - y) <= 4 * fmt.unit_roundoff * x)).all())
        found |= close and bool(np.sort(x)[-1] > 32 * np.sort(x)[-2])
    assert found


@pytest.mark.parametrize("fmt", NARROW)
def test_large_triplets_have_a_loss(fmt: Format) -> None:
    found = False
    for t in triplets(fmt, full=False):
        near, far = (np.square(t.anchor - x).sum() for x in (t.negative, t.positive))
        found |= bool(far > near > fmt.max)
    assert found


@pytest.mark.parametrize("fmt", EACH)
def test_a_single_query_is_sure_of_its_key(fmt: Format) -> None:
    left = []
    for case in attentions(fmt, full=True):
        if len(case.query) == 1:
            (scores,) = case.query @ case.key.T / np.sqrt(case.query.shape[1])
            left.append(float(np.exp(scores - scores.max()).sum() - 1))
    assert any(0 < x < 1e-9 for x in left)


@pytest.mark.parametrize("p", [1.0, 1.5, 3.0, np.inf])
@pytest.mark.parametrize("fmt", EACH)
def test_every_norm_meets_a_dominating_entry_and_powers_that_underflow(fmt: Format, p: float) -> None:
    dominated = small = False
    for sample in samples("normalize", {"p": p}, fmt):
        x = np.sort(np.abs(sample.inputs["input"].reshape(-1)))
        if len(x) > 1 and np.isfinite(x).all() and x[0] > 0:
            dominated |= bool(x[-1] * 2.0 ** -(fmt.precision // 2) >= x[-2] / 4 and x[-1] > 16 * x[-2])
            small |= bool(x[-1] < 8 * 2.0 ** (fmt.emin // 2 - 2) and x[-1] > fmt.smallest_normal)
    assert dominated
    assert small


@pytest.mark.parametrize("fmt", EACH)
def test_a_count_that_is_what_was_expected_cancels(fmt: Format) -> None:
    given = {"reduction": "none", "full": True}
    plain = points("poisson_nll_loss", {**given, "log_input": False}, fmt)
    assert ((plain["input"] == plain["target"]) & (plain["target"] > 64)).any()
    logs = points("poisson_nll_loss", given, fmt)
    near = np.abs(logs["input"] - np.log(np.maximum(logs["target"], 1))) < 64 * fmt.unit_roundoff
    assert (near & (logs["target"] > 64)).any()


@pytest.mark.parametrize("fmt", EACH)
def test_a_small_probability_is_far_from_the_expected_one(fmt: Format) -> None:
    x = points("kl_div", {"reduction": "none", "log_target": True}, fmt)
    log_p = x["target"]
    loss = log_p + np.log(np.maximum(log_p - x["input"], fmt.smallest_normal))
    assert ((log_p < np.log(2.0) * (fmt.ulp_exponent_min - 1)) & (loss > np.log(fmt.smallest_normal))).any()
