"""Every reproducer of a run is executed, and shows its finding."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from gradcheck_suite.engine import collect, run_case
from gradcheck_suite.ops.registry import registry
from gradcheck_suite.options import Settings
from gradcheck_suite.results import Finding
from tests.engine.toys import bend, run, serious, slope, toy

ACTIVATIONS = tuple(op.name for op in registry() if op.family == "activation" and op.pointwise)
DIRECTIONS = ("forward", "backward", "double-backward")


def executed(finding: Finding, **names: Any) -> tuple[float, str]:
    """What a reproducer prints as computed and as exact."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(finding.reproducer, names)
    computed, exact = out.getvalue().splitlines()
    assert computed.startswith("computed ")
    assert exact.startswith("exact ")
    return float.fromhex(computed.split()[-1]), exact.split()[-1]


def check(finding: Finding, **names: Any) -> None:
    assert finding.witness is not None
    got, exact = executed(finding, **names)
    want = float.fromhex(finding.witness.got)
    assert got == want or (math.isnan(got) and math.isnan(want)), finding.reproducer
    assert exact == finding.witness.exact


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_reproducers_of_torchs_own_ops_show_their_findings(name: str) -> None:
    """float32 on every path; the values are those of this machine, whatever its instruction set."""
    usual = Settings(ops=(name,), dtypes=("float32",), budget="quick")
    settings = dataclasses.replace(usual, directions=DIRECTIONS, paths=("all",))
    for case in collect(settings, registry()):
        for result in run_case(case, settings):
            for finding in result.findings:
                check(finding)


@pytest.mark.parametrize("dtype", ["float64", "float16", "bfloat16"])
@pytest.mark.parametrize("name", ["gelu", "hardswish"])
def test_reproducers_hold_in_every_dtype(name: str, dtype: str) -> None:
    settings = Settings(ops=(name,), dtypes=(dtype,), directions=("forward", "backward"), budget="quick")
    for case in collect(settings, registry()):
        for result in run_case(case, settings):
            for finding in result.findings:
                check(finding)


def lanes(x: torch.Tensor) -> torch.Tensor:
    """Wrong beside a huge neighbour in a block of 16 lanes, as a SIMD kernel with a rare branch may be."""
    blocks = x.detach().abs().nan_to_num(nan=0.0).reshape(-1, 16)
    huge = (blocks.amax(-1, keepdim=True) > 1e30).expand(-1, 16).reshape(-1)
    return torch.where(huge & (x.abs() <= 1e30), bend(x) * 2, bend(x))


def test_a_value_that_depends_on_its_neighbours_is_reproduced_with_them() -> None:
    findings = serious(run(toy(lanes), "float32", "forward", paths=("vector",)))
    blocks = [f for f in findings if ".repeat(2)" in f.reproducer]
    assert blocks
    for finding in blocks:
        check(finding, toy=lanes)


def test_a_value_that_depends_on_autograd_is_reproduced_with_it() -> None:
    def call(x: torch.Tensor) -> torch.Tensor:
        return bend(x) * 2 if x.requires_grad else bend(x)

    findings = serious(run(toy(call), "float32", "forward", paths=("vector",)))
    assert findings
    for finding in findings:
        assert ".requires_grad_()" in finding.reproducer
        check(finding, toy=call)


def halved(x: torch.Tensor) -> torch.Tensor:
    return bend(x) * 0.5


def wrong_backward(x: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
    return g * slope(x) * 0.5


@pytest.mark.parametrize(
    ("path", "call"),
    [
        ("strided", lambda x: bend(x) if x.is_contiguous() else halved(x)),
        ("single", lambda x: halved(x) if x.numel() == 1 else bend(x)),
        ("tail", lambda x: halved(x) if x.numel() % 128 else bend(x)),
        ("channels_last", lambda x: halved(x) if x.ndim == 4 else bend(x)),
    ],
)
def test_layouts_are_reproduced(path: str, call: Callable[..., Any]) -> None:
    findings = serious(run(toy(call), "float32", "forward", paths=("vector", path)))
    assert {f.path for f in findings} == {path}
    for finding in findings:
        check(finding, toy=call)


def test_cotangents_are_reproduced() -> None:
    def backward(x: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
        return torch.where(g.abs() > 1e18, torch.full_like(x, torch.inf), g * slope(x))

    def call(x: torch.Tensor) -> torch.Tensor:
        return bend(x, backward)

    findings = serious(run(toy(call), "float32", "backward", paths=("vector",)))
    assert findings
    for finding in findings:
        assert "torch.full_like(y, float.fromhex(" in finding.reproducer
        check(finding, toy=call)
