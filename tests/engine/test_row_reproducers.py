"""Reproducers of ops whose entries depend on each other: each runs with torch alone and shows its finding."""

from __future__ import annotations

import contextlib
import io
import math

import pytest

from gradcheck_suite.engine import collect, run_case
from gradcheck_suite.ops.registry import registry
from gradcheck_suite.options import Settings
from gradcheck_suite.results import Finding

ROWS = (
    "pairwise_distance", "triplet_margin_with_distance_loss", "ctc_loss", "multi_head_attention",
    "multi_head_attention_separate", "scaled_dot_product_attention_mask", "gumbel_softmax",
    "adaptive_log_prob", "adaptive_log_softmax_with_loss", "linear_cross_entropy",
    "linear_cross_entropy_chunked", "normalize", "multi_head_attention_module", "multi_head_attention_inference",
    "scaled_dot_product_attention_dropout",
)  # fmt: skip
"""Several outputs, options by name, lines of their own, infinite parameters, a single input."""

DIRECTIONS = ("forward", "backward", "double-backward")


def printed(finding: Finding) -> tuple[float, str]:
    """What a reproducer prints as computed and as exact."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(finding.reproducer, {})
    computed, exact = out.getvalue().splitlines()
    return float.fromhex(computed.split()[-1]), exact.removeprefix("exact").strip()


@pytest.mark.parametrize("name", ROWS)
def test_reproducers_show_their_findings(name: str) -> None:
    settings = Settings(ops=(name,), dtypes=("float32",), directions=DIRECTIONS, budget="quick")
    shown = 0
    variants = registry().get(name).variants
    for case in collect(settings, registry()):
        if case.variant not in (dict(variants[0]), dict(variants[-1])):
            continue
        for result in run_case(case, settings):
            for finding in result.findings:
                if finding.witness is None or not finding.reproducer:
                    continue
                computed, exact = printed(finding)
                got = float.fromhex(finding.witness.got)
                assert computed == got or (math.isnan(computed) and math.isnan(got)), finding.reproducer
                assert exact == finding.witness.exact
                shown += 1
    assert shown
