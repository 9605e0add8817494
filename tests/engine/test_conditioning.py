"""The second ruler: conditioning excuses what no algorithm could avoid, and nothing else."""

from __future__ import annotations

import numpy as np
import torch

from gradcheck_suite.engine.conditioning import units
from gradcheck_suite.formula.context import Context
from gradcheck_suite.formula.tape import Array
from tests.engine.toys import run, serious, toy


def cancelling(m: Context, x: Array) -> Array:
    return x - m.tanh(x)


def test_a_cancelling_formula_does_not_excuse_itself() -> None:
    """x - tanh x has condition number 3 near 0: the digits that the subtraction loses are a defect."""
    result = run(toy(lambda x: x - torch.tanh(x), cancelling), "float32", "forward")
    near_zero = [f for f in serious(result) if f.lo and abs(float.fromhex(f.lo)) < 0.1]
    assert near_zero


def shifted(m: Context, x: Array) -> Array:
    return x - m.decimal("0.1")


def test_a_result_that_inherits_its_input_rounding_is_excused() -> None:
    """x - 0.1 near 0.1 is ill-conditioned in x: a difference of the constant's rounding is no defect."""
    result = run(toy(lambda x: x - 0.1, shifted, landmarks=lambda p: (0.1,)), "float32", "forward")
    assert serious(result) == []
    assert {f.reason for f in result.findings} <= {"ill-conditioned", None}
    assert "ill-conditioned" in {f.reason for f in result.findings}


def jump(m: Context, x: Array, *, level: Array) -> Array:
    return m.where(x > level, x, 0)


def test_the_side_of_a_rounded_parameter_is_excused() -> None:
    """0.1 rounds up in bfloat16; which side of the jump an input at the rounded 0.1 falls on is conditioning."""

    def call(x: torch.Tensor, *, level: float) -> torch.Tensor:
        return torch.where(x <= torch.tensor(level, dtype=x.dtype), torch.zeros_like(x), x)

    op = toy(call, jump, variants=[{"level": 0.1}], variants_only=True, landmarks=lambda p: (p["level"],))
    for dtype in ("float32", "float16", "bfloat16"):
        for direction in ("forward", "backward"):
            assert serious(run(op, dtype, direction)) == []


def test_nan_is_never_excused() -> None:
    def call(x: torch.Tensor) -> torch.Tensor:
        return torch.where((x - 0.1).abs() < 1e-6, torch.full_like(x, torch.nan), x - 0.1)

    result = run(toy(call, shifted, landmarks=lambda p: (0.1,)), "float32", "forward")
    assert "nan" in {f.kind for f in serious(result)}


def test_longer_sums_are_allowed_more_units() -> None:
    assert units() == 8
    assert units(2) == 9
    assert units(1000) == 18
    assert np.all(np.diff([units(n) for n in range(1, 300)]) >= 0)
