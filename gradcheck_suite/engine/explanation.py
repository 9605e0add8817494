"""What `gradcheck at` tells of one quantity at one input."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from gradcheck_suite.engine.judge import KINDS, REASONS, SEVERITIES, Verdicts
from gradcheck_suite.engine.quantities import Quantity

_SAYS: Final = {
    "undefined": "nothing is judged: the exact result is undefined there",
    "ok": "nothing wrong",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry of an array: its index as text, computed and exact value, the error in ULP."""

    index: str
    got: float
    exact: str
    ulp: float
    kind: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """One quantity at one input; of an array its worst entry, with all of them in `entries` where they are
    few.

    `got` is what torch computed, `exact` has 25 digits, `ulp` is the error.  `condition` is the relative
    condition number, the sum of |x f'(x) / f(x)| over the inputs, where it is known.  `verdict` is "ok",
    "finding", "excused", "undefined", "inconclusive" or "unsupported".
    """

    direction: str
    wrt: str | None
    inputs: dict[str, Any]
    got: float | None
    exact: str
    ulp: float | None
    condition: float | None
    verdict: str
    kind: str | None
    severity: str | None
    sentence: str
    entries: tuple[Entry, ...] = ()


def unjudged(quantity: Quantity, inputs: dict[str, Any], verdict: str, sentence: str) -> Explanation:
    """The explanation of a call that torch refused ("unsupported") or that raised ("finding")."""
    return Explanation(
        direction=quantity.case.direction,
        wrt=quantity.wrt,
        inputs=inputs,
        got=None,
        exact="",
        ulp=None,
        condition=None,
        verdict=verdict,
        kind="raises" if verdict == "finding" else None,
        severity="critical" if verdict == "finding" else None,
        sentence=sentence,
    )


def explained(
    quantity: Quantity, v: Verdicts, i: int, *, verdict: str, say: Callable[[str], str], **rest: Any
) -> Explanation:
    """The explanation of what torch computed; `say` words a kind of finding, `rest` are further fields."""
    kind = KINDS[v.kind[i]] or None
    nothing = f"{quantity.label}: {quantity.name}: {_SAYS.get(verdict, verdict)}."
    sentence = say(kind) if kind else nothing
    if verdict == "excused":
        sentence += f" Excused: {REASONS[v.reason[i]]}."
    return Explanation(
        direction=quantity.case.direction,
        wrt=quantity.wrt,
        verdict=verdict,
        kind=kind,
        severity=SEVERITIES[v.severity[i]] or None,
        sentence=sentence,
        **rest,
    )


def verdict_of(v: Verdicts, undefined: Any, i: int = 0) -> str:
    """The word for the verdict on entry i."""
    if v.open[i]:
        return "inconclusive"
    if not v.kind[i]:
        return "undefined" if undefined[i] or np.isnan(v.ulp[i]) else "ok"
    return "excused" if SEVERITIES[v.severity[i]] == "info" else "finding"
