"""Squareplus (Barron 2021, "Squareplus: A Softplus-Like Algebraic Rectifier") with a backward that loses its
tail.

The derivative (1 + x / sqrt(x^2 + 4)) / 2 is right on paper. In float32 the sum cancels for negative x, and
is 0 below -8192, where the derivative is still 1.5e-8. Multiplied out, 2 / (s (s - x)) with s = sqrt(x^2 + 4)
keeps every digit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch


class SquareplusLosingTail(torch.autograd.Function):
    """(x + sqrt(x^2 + 4)) / 2, computed well, with a gradient that cancels."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(x)
        wide = x.float()
        s = torch.hypot(wide, torch.full_like(wide, 2.0))
        return torch.where(wide > 0, wide / 2 + s / 2, 2 / (s - wide)).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> torch.Tensor:
        (x,) = ctx.saved_tensors
        wide, g = x.float(), grads[0].float()
        slope: torch.Tensor = (1 + wide / torch.hypot(wide, torch.full_like(wide, 2.0))) / 2
        return (g * slope).to(x.dtype)


class Squareplus(SquareplusLosingTail):
    """The same with every digit of the gradient."""

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> torch.Tensor:
        (x,) = ctx.saved_tensors
        wide, g = x.float(), grads[0].float()
        s = torch.hypot(wide, torch.full_like(wide, 2.0))
        # One factor at a time: s * (s - x) overflows long before its reciprocal is of no consequence.
        tail = (g / s) * (2 / (s - wide))
        return torch.where(wide > 0, g * (1 - 2 / (s * (s + wide))), tail).to(x.dtype)


def formula(m: Any, x: Any) -> Any:
    """The definition in exact real arithmetic, where nothing cancels: what both are meant to compute."""
    return (x + m.sqrt(x * x + 4)) / 2


def pytest_gradcheck_register(register: Callable[..., Any]) -> None:
    """What a conftest.py holds."""
    for name, function in {"squareplus_losing_tail": SquareplusLosingTail, "squareplus": Squareplus}.items():
        register(name, function.apply, formula=formula, dtypes=["float32", "bfloat16"])
