"""`gradcheck audit`, and the gate of `gradcheck report`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Call

OPS = """
import torch

class Half(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return torch.where(x > 0, x, x / 2)

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return torch.where(x < -12, torch.zeros_like(g), torch.where(x > 0, g, g / 2))

def broken(x):
    raise ValueError("out of order")

def pytest_gradcheck_register(register):
    options = {"formula": lambda m, x: m.maximum(x, x / 2), "dtypes": ["float32"]}
    register("half", Half.apply, **options)
    register("loose", Half.apply, max_ulp=1e300, domain=lambda p, v: abs(v["x"]) < 1e30, **options)
    register("broken", broken, **options)
"""


@pytest.fixture
def ops(folder: Path) -> str:
    path = folder / "my_ops.py"
    path.write_text(OPS)
    return str(path)


def test_a_gate_that_catches_everything(call: Call, ops: str) -> None:
    code, out, _ = call("audit", "half", "--load", ops, "--budget=quick")
    assert code == 0
    assert "the gate of half catches all 12" in out
    assert "gradient 0 in a tail          caught: underflow" in out
    # It is registered for one of the two usual dtypes.
    assert "bfloat16" not in out
    assert not any(line.endswith(" ") for line in out.splitlines())


def test_a_gate_that_guards_nothing_is_called_so(call: Call, ops: str) -> None:
    code, out, _ = call("audit", "loose", "--load", ops, "--budget=quick")
    assert code == 1
    assert "SURVIVES" in out
    assert "the gate of loose" in out
    assert "lets" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("hlaf",), "did you mean 'half'"),
        (("half", "--dtypes=float16"), "half is not registered for float16; choose --dtypes of float32"),
        (("broken",), "broken cannot be audited, for it does not work itself: ValueError: out of order"),
        (("half", "--max-ulp=0.25"), "impossible to pass: even a correctly rounded result"),
    ],
)
def test_mistakes(call: Call, ops: str, arguments: tuple[str, ...], message: str) -> None:
    code, _, err = call("audit", *arguments, "--load", ops)
    assert code == 2
    assert message in err
    assert "Traceback" not in err


def test_a_report_is_held_to_a_baseline(call: Call, ops: str) -> None:
    report = ("report", "--load", ops, "--ops=half", "--budget=quick", "--in-process", "--baseline=base")
    code, _, err = call(*report)
    assert (code, "there is no baseline in" in err) == (2, True)
    code, out, _ = call(*report, "--update-baseline=all", "--force-update")
    assert code == 0
    assert "recorded 2 results (all) in base" in out
    assert call(*report)[0] == 0
    # Stricter than what was recorded, and from scratch.
    assert call(*report[:-1], "--fail-on=minor")[0] == 1

    Path(ops).write_text(OPS.replace("x < -12", "x < -2"))
    code, out, _ = call(*report)
    assert code == 1
    Path(ops).write_text(OPS.replace('register("half"', 'register("other"'))
    code, out, _ = call(*report[:3], "--ops=other", *report[4:])
    assert code == 1
    assert "stale: the baseline has half::float32::backward, a case that no longer exists" in out
