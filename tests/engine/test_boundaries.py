"""Findings of a toy op with known regions: every end of every region, to the exact float, in every dtype."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from gradcheck_suite.engine.boundaries import Boundary
from gradcheck_suite.floats import format_of, from_ordinal, hex_of, round_to, to_ordinal
from tests.engine.toys import DTYPES, bend, run, serious, slope, toy

DIRECTIONS = ["forward", "backward"]


def nearest(value: float, dtype: str) -> float:
    return float(round_to(np.array([value]), format_of(dtype))[0])


def step(x: float, dtype: str, steps: int) -> float:
    """The float so many steps away."""
    fmt = format_of(dtype)
    return float(from_ordinal(to_ordinal(np.array([x]), fmt) + steps, fmt)[0])


def broken(x: torch.Tensor, good: torch.Tensor, dtype: str) -> torch.Tensor:
    """Zero between two floats, infinite from a third, NaN from a fourth on."""
    low, high, overflow, nan = (nearest(v, dtype) for v in (-0.7, -0.0123, 33.3, 777.0))
    bad = torch.where((x >= low) & (x <= high), torch.zeros_like(x), good)
    bad = torch.where(x >= overflow, torch.full_like(x, torch.inf), bad)
    return torch.where(x >= nan, torch.full_like(x, torch.nan), bad)


def op(dtype: str, direction: str) -> Any:
    if direction == "forward":
        return toy(lambda x: broken(x, bend(x), dtype))
    return toy(lambda x: bend(x, lambda x, g: broken(x, g * slope(x), dtype)))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_every_end_is_found_to_the_float(dtype: str, direction: str) -> None:
    found = [f for f in serious(run(op(dtype, direction), dtype, direction)) if not f.fixed]
    overflow, nan = nearest(33.3, dtype), nearest(777.0, dtype)
    assert {(f.kind, f.lo, f.hi) for f in found if np.isfinite(float.fromhex(str(f.lo)))} == {
        ("underflow", hex_of(nearest(-0.7, dtype)), hex_of(nearest(-0.0123, dtype))),
        ("overflow", hex_of(overflow), hex_of(step(nan, dtype, -1))),
        ("nan", hex_of(nan), "inf"),
    }
    assert all(f.lo_exact and f.hi_exact and f.share == 1.0 for f in found)


@pytest.mark.parametrize("dtype", DTYPES)
def test_classes_nest(dtype: str) -> None:
    """A patch of NaN in a gradient of 0."""
    lo, hi, low, high = (nearest(v, dtype) for v in (1e-3, 40.0, 0.2, 0.3))

    def backward(x: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
        zero = torch.where((x >= lo) & (x <= hi), torch.zeros_like(x), g * slope(x))
        return torch.where((x >= low) & (x <= high), torch.full_like(x, torch.nan), zero)

    found = [f for f in serious(run(toy(lambda x: bend(x, backward)), dtype, "backward")) if not f.fixed]
    assert {(f.kind, f.lo, f.hi, f.lo_exact, f.hi_exact) for f in found} == {
        ("underflow", hex_of(lo), hex_of(hi), True, True),
        ("nan", hex_of(low), hex_of(high), True, True),
    }
    share = {f.kind: f.share for f in found}
    assert share["nan"] == 1.0
    assert 0.9 < share["underflow"] < 1.0


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_cotangent_that_alone_fails_has_exact_ends_too(dtype: str) -> None:
    """The gradient overflows under huge cotangents for 3 < x <= 300 only."""
    lo, hi = step(3.0, dtype, 1), 300.0

    def backward(x: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
        huge = (g.abs() > 2.0**40) & (x > 3) & (x <= 300)
        return torch.where(huge, torch.full_like(x, torch.inf), g * slope(x))

    (finding,) = serious(run(toy(lambda x: bend(x, backward)), dtype, "backward"))
    assert (finding.kind, finding.lo, finding.hi) == ("overflow", hex_of(lo), hex_of(hi))
    assert finding.fixed == {"cotangent": hex_of(2.0 ** (format_of(dtype).emax // 2))}
    assert finding.lo_exact
    assert finding.hi_exact


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_searching_respects_the_domain(dtype: str) -> None:
    """The op refuses inputs outside of its domain; its region reaches to the edge of it."""

    def refuse(x: torch.Tensor) -> torch.Tensor:
        if bool(((x < 0.1) | (x > 7)).any()):
            raise ValueError("outside")
        return torch.where(x >= 3.3, torch.zeros_like(x), bend(x))

    inside = toy(refuse, domain=lambda params, values: (values["input"] >= 0.1) & (values["input"] <= 7))
    (finding,) = serious(run(inside, dtype, "forward"))
    assert finding.kind == "underflow"
    assert (finding.lo, finding.hi) == (hex_of(nearest(3.3, dtype)), hex_of(7.0))
    assert finding.lo_exact
    assert finding.hi_exact


def test_classes_that_adjoin_ask_for_the_same_floats() -> None:
    def boundary(inner: int, outer: int) -> Boundary:
        return Boundary(
            profile=0, key=(1, 0), inner=inner, outer=outer, far=inner, limit=outer, gradual=False, coarse=1
        )

    left, right = boundary(-1000, 12_347), boundary(12_347, -1000)
    assert left.between(7) == right.between(7)[::-1]
    assert len(set(left.between(7))) == 7
