"""No public activation, loss or distance of the installed torch is left out; no record vanishes unseen."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
import torch

from gradcheck_suite.ops import coverage
from gradcheck_suite.ops.excluded import EXCLUDED
from gradcheck_suite.ops.record import Op
from gradcheck_suite.ops.registry import registry

OPS = tuple(registry())

MODES: dict[str, tuple[dict[str, Any], ...]] = {
    "gelu": ({"approximate": "none"}, {"approximate": "tanh"}),
    "gumbel_softmax": ({"hard": False}, {"hard": True}),
    "kl_div": ({"log_target": False}, {"log_target": True}),
    "poisson_nll_loss": ({"log_input": False}, {"full": True}),
    "gaussian_nll_loss": ({"full": True},),
    "binary_cross_entropy_with_logits": ({"pos_weight": "tensor"},),
    "cross_entropy": ({"label_smoothing": 0.1}, {"weight": "tensor"}),
    "multi_margin_loss": ({"p": 1}, {"p": 2}),
    "triplet_margin_loss": ({"swap": True}, {"eps": 0.1}, {"p": 1.0}),
    "ctc_loss": ({"zero_infinity": True},),
    "multi_head_attention": ({"need_weights": True}, {"need_weights": False}, {"add_zero_attn": True}),
    "scaled_dot_product_attention": ({"is_causal": True}, {"enable_gqa": True}),
    "pairwise_distance": ({"p": 1.0}, {"p": float("inf")}, {"p": 0.0}, {"keepdim": True}),
}
"""Options in which an op is another function: each must be among its variants."""

BEYOND_NAMES = {
    "nll_loss", "cross_entropy", "cross_entropy_prob", "scaled_dot_product_attention",
    "scaled_dot_product_attention_fused", "scaled_dot_product_attention_mask",
    "multi_head_attention_separate", "rrelu_training", "adaptive_log_prob", "linear_cross_entropy_chunked",
    "linear_cross_entropy_prob", "logaddexp", "logaddexp2", "clamp", "multi_head_attention",
    "multi_head_attention_module", "multi_head_attention_inference", "scaled_dot_product_attention_dropout",
    "softmax_upcast", "log_softmax_upcast",
}  # fmt: skip
"""Records that share all their public names with another one, or have none in the walk."""

INFERRING = {"multi_head_attention_inference"}
"""Records of what runs without autograd alone."""

REDUCED = [op for op in OPS if "reduction" in op.defaults]


def exists(name: str) -> bool:
    """Whether the installed torch has a public name."""
    try:
        return coverage.resolve(name) is not None
    except AttributeError:
        return False


def missing(ops: Iterable[Op]) -> list[str]:
    """Public names without a record, and records that only their own name could miss."""
    chosen = list(ops)
    return [*coverage.uncovered(chosen), *sorted(BEYOND_NAMES - {op.name for op in chosen})]


def test_every_public_name_is_registered_or_excluded_with_a_reason() -> None:
    assert missing(OPS) == []


@pytest.mark.parametrize("op", OPS, ids=lambda op: op.name)
def test_a_deleted_record_is_noticed(op: Op) -> None:
    assert missing(other for other in OPS if other is not op)


def test_a_new_public_name_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.nn.functional, "brandnew", lambda x: x, raising=False)
    assert missing(OPS) == ["torch.nn.functional.brandnew"]


def test_what_is_excluded_exists_and_is_not_registered() -> None:
    known = coverage.covered(OPS)
    assert not set(EXCLUDED) & known
    assert all(len(reason) > 10 for reason in EXCLUDED.values())
    # Another release of torch may lack a few of them.
    gone = [name for name in EXCLUDED if not exists(name)]
    assert len(gone) < len(EXCLUDED) / 10, gone


def test_size_of_the_walk() -> None:
    """2.13 has 56 classes and 64 functionals that are ours; a later one has no fewer."""
    known = coverage.covered(OPS)
    assert len([n for n in coverage.module_names() if n in known]) >= 56
    assert len([n for n in coverage.function_names() if n.startswith("torch.nn.") and n in known]) >= 64


@pytest.mark.parametrize("name", MODES)
def test_options_that_make_another_function_are_variants(name: str) -> None:
    op = registry().get(name)
    variants = [{**op.defaults, **variant} for variant in op.variants]
    for wanted in MODES[name]:
        assert any(wanted.items() <= variant.items() for variant in variants), wanted


@pytest.mark.parametrize("op", REDUCED, ids=lambda op: op.name)
def test_every_reduction_is_a_variant(op: Op) -> None:
    assert {op.params(v)["reduction"] for v in op.variants} >= {"none", "mean", "sum"}


@pytest.mark.parametrize("op", OPS, ids=lambda op: op.name)
def test_records_are_whole(op: Op) -> None:
    assert op.definition
    assert op.source is not None
    assert op.callable_name.startswith("torch.")
    assert op.tier in ("core", "extended")
    assert {"forward"} <= set(op.directions)
    assert "backward" in op.directions or op.name in INFERRING
    assert op.pointwise or op.samples is not None
    if hasattr(torch.nn, "LinearCrossEntropyLoss"):
        assert all(exists(name) for name in op.covers)
