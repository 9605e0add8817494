"""Custom ops with one trait each, and what registers and runs them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from gradcheck_suite import engine
from gradcheck_suite.ops.registry import Registry, registry
from gradcheck_suite.options import Settings
from gradcheck_suite.registration import Registrar
from gradcheck_suite.results import Finding, Result

Backward = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


class Half(torch.autograd.Function):
    """max(x, x/2) with a gradient of the caller's: value and gradient need one exact operation each."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, backward: Backward) -> torch.Tensor:
        ctx.save_for_backward(x)
        ctx.gradient = backward
        return torch.where(x > 0, x, x / 2)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None]:
        (x,) = ctx.saved_tensors
        return ctx.gradient(x, grads[0]), None


def half_slope(x: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
    """The right gradient."""
    return torch.where(x > 0, g, g / 2)


def half(x: torch.Tensor, backward: Backward = half_slope) -> torch.Tensor:
    """The op."""
    out: torch.Tensor = Half.apply(x, backward)  # type: ignore[no-untyped-call]
    return out


def half_formula(m: Any, x: Any) -> Any:
    """Its definition."""
    return m.maximum(x, x / 2)


def registered(*arguments: Any, **options: Any) -> Registry:
    """torch's ops and one more."""
    ops = registry().copy()
    Registrar(ops)(*arguments, **options)
    return ops


def results(ops: Registry, **settings: Any) -> list[Result]:
    """All results of the custom ops, quickly."""
    options = {"ops": ("custom",), "dtypes": ("float32",), "budget": "quick", **settings}
    used = Settings(**options)
    return [r for case in engine.collect(used, ops) for r in engine.run_case(case, used)]


def judged(*arguments: Any, settings: dict[str, Any] | None = None, **options: Any) -> list[Result]:
    """The results of an op registered so."""
    return results(registered(*arguments, **options), **(settings or {}))


def serious(found: list[Result]) -> list[Finding]:
    """Findings above info."""
    return [f for r in found for f in r.findings if f.severity != "info"]
