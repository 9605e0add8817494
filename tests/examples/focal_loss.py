"""The focal loss (Lin et al. 2017, "Focal Loss for Dense Object Detection", equation 4) with a formula of its
own.

torch has no such op, so nothing can be borrowed: the definition is written once, in exact real arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F


def focal_loss(logits: torch.Tensor, labels: torch.Tensor, *, gamma: float = 2.0) -> torch.Tensor:
    """-(1 - p)^gamma log p, where p is the probability of the label, 0 or 1."""
    wide = logits.double()
    signed = torch.where(labels > 0, wide, -wide)
    loss = torch.exp(gamma * F.logsigmoid(-signed)) * -F.logsigmoid(signed)
    return loss.to(logits.dtype)


def formula(m: Any, logits: Any, labels: Any, *, gamma: Any = 2.0) -> Any:
    """The definition; log sigmoid is written so that it has no digits to lose."""
    signed = m.where(labels > 0, logits, -logits)
    return m.exp(gamma * m.logsigmoid(-signed)) * -m.logsigmoid(signed)


def pytest_gradcheck_register(register: Callable[..., Any]) -> None:
    """Labels are 0 or 1 and not differentiated, logits are finite; two values of gamma."""
    register(
        "focal_loss",
        focal_loss,
        formula=formula,
        inputs=["logits"],
        partners=lambda params: {"labels": (0.0, 1.0)},
        domain=lambda params, values: np.isin(values["labels"], (0, 1)) & np.isfinite(values["logits"]),
        variants=[{"gamma": 2.0}, {"gamma": 0.5}],
        dtypes=["float32", "bfloat16"],
    )
