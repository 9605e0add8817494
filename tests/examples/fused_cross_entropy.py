"""Softmax and cross entropy in one function, with the gradient that falls out of the forward pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch


class FusedCrossEntropy(torch.autograd.Function):
    """-log softmax(logits)[label] for each row of (N, C) logits; the gradient is softmax - one_hot."""

    @staticmethod
    def forward(ctx: Any, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        wide = logits.double()
        largest, winner = wide.max(-1, keepdim=True)
        # The winner's own entry is 0 even where it is infinite.
        shifted = torch.where(wide == largest, torch.zeros_like(wide), wide - largest)
        # log1p of the rest keeps the digits of a loss that is almost 0.
        rest = shifted.exp().scatter(-1, winner, 0.0).sum(-1, keepdim=True)
        kept, chosen = labels != -100, labels.clamp(min=0)[:, None]
        ctx.save_for_backward(shifted, rest, kept, chosen)
        losses = (torch.log1p(rest) - shifted.gather(-1, chosen)).squeeze(-1)
        return torch.where(kept, losses, torch.zeros_like(losses)).to(logits.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None]:
        shifted, rest, kept, chosen = ctx.saved_tensors
        g = torch.where(kept, grads[0].double(), torch.zeros_like(grads[0].double()))[:, None]
        others = (shifted.exp() / (1 + rest)).scatter(-1, chosen, 0.0)
        # p - 1 of the label cancels where it has won; the probabilities of the others add up to 1 - p.
        slope = others.scatter(-1, chosen, -others.sum(-1, keepdim=True))
        return (g * slope).to(grads[0].dtype), None


def fused_cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """The loss of each row; rows with the label -100 are ignored."""
    out: torch.Tensor = FusedCrossEntropy.apply(logits, labels)  # type: ignore[no-untyped-call]
    return out


def rows_only(function: Callable[..., Any], input: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """torch's loss also takes images, and one sample without a batch axis; this one takes rows."""
    classes_last = input.movedim(1, -1) if input.ndim > 1 else input
    logits = classes_last.reshape(-1, classes_last.shape[-1])
    return function(logits, target.reshape(-1)).reshape(target.shape)  # type: ignore[no-any-return]


def pytest_gradcheck_register(register: Callable[..., Any]) -> None:
    """Judged by torch's own definition; the adapter brings torch's shapes into rows."""
    register(
        "fused_cross_entropy",
        fused_cross_entropy,
        like="cross_entropy",
        reduction="none",
        adapter=rows_only,
        dtypes=["float32", "bfloat16"],
    )
