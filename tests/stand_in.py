"""An engine's `run_case` that answers at once, with planted verdicts.

What plugin and command line do with results is tested without torch's figures, which differ between machines.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gradcheck_suite import engine
from gradcheck_suite.results import Curve, Finding, Result, Severity, Verdict, Witness

if TYPE_CHECKING:
    from collections.abc import Callable

    from gradcheck_suite.options import Settings

CRITICAL = "tanh float32: the gradient is 0 at input = 20, where it should be 1.7e-17 (underflow)."
MINOR = "silu float32: the value is off by 7 ULP at input = 3."
INFO = "relu: the strided path differs in its last bits."
OPEN = "3 points could not be decided"
MISSING = "there is no float16 kernel"

# By op: the verdict, the severity and the message of the finding, and the note.
PLAN: dict[str, tuple[Verdict, Severity | None, str, str]] = {
    "tanh": ("findings", "critical", CRITICAL, ""),
    "silu": ("findings", "minor", MINOR, ""),
    "relu": ("ok", "info", INFO, ""),
    "mish": ("inconclusive", None, "", OPEN),
    "selu": ("unsupported", None, "", MISSING),
    "mine": ("findings", "critical", CRITICAL, ""),
    "slightly_off": ("findings", "minor", MINOR, ""),
    "undecided": ("inconclusive", None, "", OPEN),
}


def run_case(case: engine.Case, settings: Settings) -> list[Result]:
    """One planted result; `gelu` stands for a mistake in the harness itself."""
    name = case.op.name
    if name == "gelu":
        raise ZeroDivisionError("planted")
    if name == "elu":
        raise KeyboardInterrupt
    verdict, severity, message, note = PLAN.get(name, ("ok", None, "", ""))
    return [_result(case, verdict, severity, message, note)]


def _result(
    case: engine.Case, verdict: Verdict, severity: Severity | None, message: str, note: str
) -> Result:
    return Result(
        id=case.id,
        op=case.op.name,
        callable=case.op.callable_name,
        dtype=case.dtype,
        direction=case.direction,
        verdict=verdict,
        variant=dict(case.variant),
        custom=case.op.custom,
        wrt="input" if case.direction == "backward" else None,
        points=10,
        max_ulp=None if verdict == "unsupported" else 0.5,
        note=note,
        findings=() if severity is None else (_finding(case.id, severity, message),),
        curve=Curve(probe="input", x=(0.0, 1.0), got=(0.0, 1.0), exact=(0.0, 1.0), ulp=(0.0, 0.0)),
    )


def _finding(case_id: str, severity: Severity, message: str) -> Finding:
    return Finding(
        id=f"{case_id}::planted",
        kind="path" if severity == "info" else "underflow" if severity == "critical" else "inaccurate",
        severity=severity,
        lo="0x1.4p+4",
        hi="0x1.4p+4",
        witness=Witness(inputs={"input": "0x1.4p+4"}, got="0x0.0p+0", exact="1.7e-17", ulp=7.0),
        message=message,
        reproducer="import torch",
    )


def install(replace: Callable[[Any, str, Any], None] = setattr) -> None:
    """Put the stand-in in the engine's place; `replace` may be a MonkeyPatch's setattr."""
    replace(engine, "run_case", run_case)
    replace(engine, "open_runner", lambda settings, sources: _InProcess(settings))


class _InProcess:
    """A runner without a worker: a process of its own would not know the stand-in."""

    unprotected = ""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def run(self, case: engine.Case) -> list[Result]:
        return engine.run_case(case, self.settings)

    def close(self) -> None:
        pass
