"""Judging by mpmath alone reaches the same verdicts, and says that it is uncertified."""

from __future__ import annotations

import pytest
import torch

from gradcheck_suite.engine import Case, run_case
from gradcheck_suite.ops.registry import registry
from gradcheck_suite.options import Settings
from tests.engine.toys import bend, run, serious, toy


@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_a_correct_op_is_silent_and_labelled(direction: str) -> None:
    result = run(toy(bend), "float32", direction, reference="mpmath", budget="quick")
    assert serious(result) == []
    assert "uncertified" in result.note


def test_a_planted_gradient_is_found() -> None:
    op = toy(lambda x: bend(x, lambda x, g: torch.zeros_like(x)))
    assert serious(run(op, "float32", "backward", reference="mpmath", budget="quick"))


def test_both_references_agree_on_a_real_op() -> None:
    case = Case(op=registry().get("sigmoid"), variant={}, dtype="float32", direction="backward")
    (by_arb,), (by_mpmath,) = (
        run_case(case, Settings(reference=name, budget="quick", paths=("vector",)))
        for name in ("arb", "mpmath")
    )
    assert [(f.kind, f.lo, f.hi) for f in by_arb.findings] == [
        (f.kind, f.lo, f.hi) for f in by_mpmath.findings
    ]
    assert by_arb.max_ulp == pytest.approx(by_mpmath.max_ulp, rel=1e-9)
