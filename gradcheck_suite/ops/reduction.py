"""The reductions that losses share."""

from __future__ import annotations

from gradcheck_suite.formula.context import Context
from gradcheck_suite.formula.tape import Array


def reduced(m: Context, losses: Array, reduction: str) -> Array:
    """`losses` as they are, their sum, or their sum over their number: torch's "none", "sum" and "mean"."""
    if reduction == "none":
        return losses
    return m.sum(losses) if reduction == "sum" else m.mean(losses)
