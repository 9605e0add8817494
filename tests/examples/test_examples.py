"""The examples are what they say: sound ones pass their gate, the one with a lossy backward is told where it
loses.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gradcheck_suite import engine
from gradcheck_suite.gate import open_gate
from gradcheck_suite.loading import register_all
from gradcheck_suite.options import Settings
from gradcheck_suite.results import Finding, Result

HERE = Path(__file__).parent


def results(file: str, op: str) -> tuple[tuple[Result, ...], list[Finding]]:
    """The results of an op of an example, and the findings that fail its gate."""
    settings = Settings(ops=(op,))
    cases = engine.collect(settings, register_all([str(HERE / file)]))
    gate = open_gate(settings, engine.environment(settings))
    found = gate.judged(result for case in cases for result in engine.run_case(case, settings))
    return found, [finding for _, finding in gate.failing(found)]


@pytest.mark.parametrize(
    ("file", "op"),
    [
        ("squareplus.py", "squareplus"),
        ("fused_cross_entropy.py", "fused_cross_entropy"),
        ("library_op.py", "squared_relu"),
        ("focal_loss.py", "focal_loss"),
    ],
)
def test_a_sound_op_passes(file: str, op: str) -> None:
    found, failing = results(file, op)
    assert [f.message for f in failing] == []
    assert {r.verdict for r in found} == {"ok"}
    assert min(r.points for r in found) > 300


def test_a_lossy_backward_is_told_with_input_computed_and_exact() -> None:
    found, failing = results("squareplus.py", "squareplus_losing_tail")
    assert [r.direction for r in found if r.verdict == "ok"] == ["forward", "forward"]
    lost = [f for f in failing if f.kind == "underflow" and "float32" in f.message]
    assert lost
    assert lost[0].hi == "-0x1.0000000000000p+13"  # -8192, where 1 + x/s becomes 0
    told = r"the gradient underflows: at x = -\S+ \(-0x\S+\) it computes 0, exact is \d\.\d+"
    assert re.search(told, lost[0].message)


def test_names_are_those_that_programs_use() -> None:
    ops = register_all([str(HERE / "library_op.py"), str(HERE / "squareplus.py")])
    assert ops.get("squared_relu").callable_name == "torch.ops.gradcheck_examples.squared_relu"
    assert ops.get("squareplus").callable_name == "squareplus.Squareplus.apply"
    source = ops.get("squareplus").source
    assert source is not None
    assert (HERE / "squareplus.py").samefile(source.file)
