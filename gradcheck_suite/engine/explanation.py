"""What `gradcheck at` tells of one quantity at one input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from gradcheck_suite.engine.cases import Case
from gradcheck_suite.engine.judge import SEVERITIES, Verdicts


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


def unjudged(case: Case, wrt: str | None, inputs: dict[str, Any], verdict: str, sentence: str) -> Explanation:
    """The explanation of a call that torch refused ("unsupported") or that raised ("finding")."""
    return Explanation(
        direction=case.direction,
        wrt=wrt,
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


def verdict_of(v: Verdicts, undefined: Any, i: int = 0) -> str:
    """The word for the verdict on entry i."""
    if v.open[i]:
        return "inconclusive"
    if not v.kind[i]:
        return "undefined" if undefined[i] or np.isnan(v.ulp[i]) else "ok"
    return "excused" if SEVERITIES[v.severity[i]] == "info" else "finding"
