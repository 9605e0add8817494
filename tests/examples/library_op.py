"""An op registered with torch.library, as a C++ or Triton kernel would be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch


@torch.library.custom_op("gradcheck_examples::squared_relu", mutates_args=())
def squared_relu(x: torch.Tensor) -> torch.Tensor:
    """max(x, 0)^2, the activation of Primer (So et al. 2021)."""
    return torch.relu(x) ** 2


@squared_relu.register_fake
def _(x: torch.Tensor) -> torch.Tensor:
    return torch.empty_like(x)


def _save(ctx: Any, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _backward(ctx: Any, g: torch.Tensor) -> torch.Tensor:
    (x,) = ctx.saved_tensors
    # 2 * relu(x) would overflow before g makes it small again.
    return 2 * (g * torch.relu(x))


squared_relu.register_autograd(_backward, setup_context=_save)


def pytest_gradcheck_register(register: Callable[..., Any]) -> None:
    """The op as programs call it."""

    def formula(m: Any, x: Any) -> Any:
        return m.maximum(x, 0) ** 2

    register("squared_relu", torch.ops.gradcheck_examples.squared_relu, formula=formula, landmarks=[0.0])
