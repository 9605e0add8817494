"""Toy ops with known answers: correctly rounded ones, and the same with one defect planted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from gradcheck_suite.engine import Case, run_case
from gradcheck_suite.formula.context import Context
from gradcheck_suite.formula.tape import Array
from gradcheck_suite.ops.declare import make_op
from gradcheck_suite.ops.record import Op
from gradcheck_suite.options import Settings
from gradcheck_suite.results import Finding, Result

DTYPES = ("float64", "float32", "float16", "bfloat16")
PRECISION = {"float64": 53, "float32": 24, "float16": 11, "bfloat16": 8}

Backward = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def slope(x: torch.Tensor) -> torch.Tensor:
    """The derivative of max(x, x/2), exact in every dtype down to the smallest normal number."""
    return torch.where(x > 0, torch.ones_like(x), torch.full_like(x, 0.5))


class Bend(torch.autograd.Function):
    """max(x, x/2): value and gradient need one exact operation each, so they are correctly rounded."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, backward: Backward) -> torch.Tensor:
        ctx.save_for_backward(x)
        ctx.gradient = backward
        return torch.where(x > 0, x, x * 0.5)

    @staticmethod
    def backward(ctx: Any, g: torch.Tensor) -> tuple[torch.Tensor, None]:
        (x,) = ctx.saved_tensors
        return ctx.gradient(x, g), None


def bend(x: torch.Tensor, backward: Backward = lambda x, g: g * slope(x)) -> torch.Tensor:
    """The toy op with a gradient of the caller's."""
    out: torch.Tensor = Bend.apply(x, backward)  # type: ignore[no-untyped-call]
    return out


def bend_formula(m: Context, x: Array) -> Array:
    """The exact definition."""
    return m.maximum(x, x / 2)


def toy(call: Callable[..., Any], formula: Callable[..., Any] = bend_formula, **options: Any) -> Op:
    """A custom op of one input; its kink at 0 is a landmark."""
    options.setdefault("landmarks", lambda p: (0.0,))
    return make_op(
        "toy", call, formula, family="toy", tier="custom", custom=True, callable_name="toy", **options
    )


def run(op: Op, dtype: str, direction: str, **settings: Any) -> Result:
    """The one result of the default variant."""
    case = Case(op=op, variant=dict(op.variants[0]), dtype=dtype, direction=direction)
    (result,) = run_case(case, Settings(**settings))
    return result


def serious(result: Result) -> list[Finding]:
    """Findings above info."""
    return [f for f in result.findings if f.severity != "info"]
