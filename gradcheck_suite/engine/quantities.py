"""The quantities that a case judges, its value or its derivatives, and what results about each have in common."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gradcheck_suite.engine import wording
from gradcheck_suite.engine.cases import Case
from gradcheck_suite.floats import Exact, Format, round_exact
from gradcheck_suite.results import Finding, Result, Verdict

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantity:
    """The value of a case, or its derivative with respect to the input `wrt`; `column` holds its numbers."""

    case: Case
    column: str
    wrt: str | None

    @property
    def told(self) -> str | None:
        """The input that has to be named: that of a derivative, where the op has several."""
        return self.wrt if len(self.case.op.inputs) > 1 else None

    @property
    def id(self) -> str:
        """The id of its result."""
        return f"{self.case.id}::{self.told}" if self.told else self.case.id

    @property
    def label(self) -> str:
        """Op and dtype, "softplus[beta=10] float32"."""
        return f"{self.case.op.label(self.case.variant)} {self.case.dtype}"

    @property
    def name(self) -> str:
        """What it is: "value", "gradient" or "second derivative"."""
        return wording.quantity(self.case.direction)

    @property
    def phrase(self) -> str:
        """What sentences about it begin with, "softplus[beta=10] float32: the gradient"."""
        return f"{self.label}: the {self.name}" + (f" with respect to {self.told}" if self.told else "")

    def result(
        self, verdict: Verdict, note: str = "", findings: Iterable[Finding] = (), **rest: Any
    ) -> Result:
        """A result; `rest` are further fields of it."""
        case = self.case
        return Result(
            id=self.id,
            op=case.op.name,
            callable=case.op.callable_name,
            variant=case.variant,
            custom=case.op.custom,
            dtype=case.dtype,
            direction=case.direction,
            wrt=self.wrt,
            verdict=verdict,
            note=note,
            findings=tuple(findings),
            **rest,
        )

    def raises(self, message: str, path: str = "vector", where: str = "", reproducer: str = "") -> Finding:
        """The finding that a call of torch raises."""
        return Finding(
            id=f"{self.id}::raises.{path}",
            kind="raises",
            severity="critical",
            path=path,
            message=f"{self.label} {self.case.direction} raises on the {path} path{where}: {message}",
            reproducer=reproducer,
        )

    def dtype_findings(self, got: str) -> list[Finding]:
        """A finding where torch returns another dtype than it was given."""
        if got == self.case.dtype:
            return []
        text = f"{self.label}: the {self.name} comes in {got}, not {self.case.dtype}."
        return [Finding(id=f"{self.id}::dtype", kind="dtype", severity="major", message=text)]


def quantities(case: Case) -> list[Quantity]:
    """The quantities of a case: one for each input that is differentiated by, or the value."""
    if case.direction == "forward":
        return [Quantity(case=case, column="value", wrt=None)]
    prefix = "d" if case.direction == "backward" else "dd"
    return [Quantity(case=case, column=f"{prefix}:{n}", wrt=n) for n in case.op.inputs]


def order_of(column: str) -> int:
    """The order of derivative that a column holds."""
    return 0 if column == "value" else len(column.partition(":")[0])


def verdict_on(findings: Iterable[Finding], doubt: str) -> Verdict:
    """The verdict of a result: findings that are more than remarks count before doubts."""
    if any(f.severity != "info" for f in findings):
        return "findings"
    return "inconclusive" if doubt else "ok"


def statistics(computed: Floats, exact: Exact, ulp: Floats, fmt: Format) -> dict[str, Any]:
    """Fields of a result about the points that were judged; `ulp` are their errors."""
    if not len(ulp):
        return {"points": 0}
    return {
        "points": len(ulp),
        "max_ulp": float(ulp.max()),
        "p99_ulp": float(np.quantile(ulp, 0.99, method="higher")),
        "correctly_rounded": float((computed == round_exact(exact, fmt)).mean()),
    }
