"""Sentences about samples: what a person reads of a row."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from gradcheck_suite.engine import wording
from gradcheck_suite.ops.record import Sample

Floats = npt.NDArray[np.float64]

_SHOWN = 6


def place(sample: Sample, index: tuple[int, ...], cotangent: str) -> str:
    """ "one winner, all others equal, length 17 (gap = 4), entry [3]"."""
    parts = [sample.label or "the sample"]
    if sample.at is not None:
        parts[0] += f" ({sample.probe} = {wording.decimal(float(sample.at))})"
    if index:
        parts.append(f"entry [{', '.join(map(str, index))}]")
    if cotangent != "mixed":
        parts.append(f"{cotangent} cotangent")
    return ", ".join(parts)


def sentence(phrase: str, *, kind: str, where: str, got: float, exact: str, ulp: float) -> str:
    """One sentence that names op, dtype and quantity (`phrase`), the sample, computed and exact value."""
    size = "" if ulp == float("inf") else f", {ulp:.6g} ULP"
    nearest = "its nearest element has" if kind == "tie" else "exact is"
    return (
        f"{phrase} {wording.failure(kind)}: for {where}, "
        f"torch computes {wording.decimal(got)}, {nearest} {wording.shorter(exact)}{size}."
    )


def choice(label: str, sample: Sample, entries: npt.NDArray[Any], values: Floats) -> str:
    """Which element of a set of gradients was picked."""
    shown = ", ".join(
        f"[{int(e)}] {wording.decimal(float(v))}" for e, v in zip(entries[:_SHOWN], values, strict=False)
    )
    more = ", …" if len(entries) > _SHOWN else ""
    return (
        f"{label}: at a tie ({sample.label}) the gradient may be any element of the subdifferential; "
        f"torch picks {shown}{more}."
    )
