"""Whether an op can run where it is asked to: skipped with a reason, not accused."""

from __future__ import annotations

from functools import cache

import torch

from gradcheck_suite.engine.cases import Case
from gradcheck_suite.engine.quantities import quantities
from gradcheck_suite.ops.record import Op
from gradcheck_suite.results import Result, Verdict


@cache
def missing_device(device: str) -> str:
    """Why nothing can run on `device`; "" where something can."""
    try:
        torch.empty(1, device=device)
    except Exception as error:
        return f"there is no device {device!r} here ({str(error).splitlines()[0]})"
    return ""


def refusal(op: Op, device: str) -> str:
    """Why the op cannot run on `device`; "" where it can."""
    reason = missing_device(device)
    if not reason and op.devices and torch.device(device).type not in op.devices:
        reason = f"{op.name} runs on {' and '.join(op.devices)} only, not on {device}"
    return reason


def unjudged(case: Case, verdict: Verdict, note: str) -> list[Result]:
    """The results of a case that was not judged, one for each that it would have."""
    return [quantity.result(verdict, note) for quantity in quantities(case)]
