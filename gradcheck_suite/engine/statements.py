"""Stating a finding: an input that shows it, the exact value confirmed by mpmath, a sentence, and Python."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from gradcheck_suite.engine import wording
from gradcheck_suite.engine.against import allowed
from gradcheck_suite.engine.clusters import worst_member
from gradcheck_suite.engine.confirm import Confirmed, confirm
from gradcheck_suite.engine.differences import Difference, summary
from gradcheck_suite.engine.findings import Group
from gradcheck_suite.engine.paths import shown as shown_path
from gradcheck_suite.engine.pointwise import Judged, Subject
from gradcheck_suite.engine.quantities import Quantity
from gradcheck_suite.engine.reproducers import Shown, reproducer
from gradcheck_suite.floats import hex_of, round_exact
from gradcheck_suite.ops.record import Op
from gradcheck_suite.results import Finding, Witness, Worst

Floats = npt.NDArray[np.float64]


class Statements:
    """What a document states about one quantity of an elementwise op.

    `disagreed` says where arb and mpmath did not agree; "" where they always did.
    """

    def __init__(self, quantity: Quantity, subject: Subject) -> None:
        self.quantity, self.subject = quantity, subject
        self.case, self.column = quantity.case, quantity.column
        self.disagreed = ""

    def finding(self, judged: Judged, group: Group, path: str) -> Finding:
        """The finding that a group of failing points makes."""
        interval, name, x = group.interval, group.line.probe, judged.inputs[group.line.probe]
        witness, confirmed = self.witness(judged, group.witness)
        return Finding(
            id=self._finding_id(judged, group, path),
            kind=interval.kind,  # type: ignore[arg-type]
            severity=interval.severity,  # type: ignore[arg-type]
            status="documented" if interval.reason == "documented" else "new",
            reason=interval.reason,  # type: ignore[arg-type]
            path=path,
            probe=name,
            lo=hex_of(float(x[interval.first])),
            hi=hex_of(float(x[interval.last])),
            lo_exact=interval.lo_exact,
            hi_exact=interval.hi_exact,
            fixed=self._fixed(judged, group),
            share=round(interval.share, 6),
            points=group.points,
            witness=witness,
            confirmed_by=confirmed,
            message=self._message(judged, group, witness, path),
            reproducer=self._reproducer(judged, group.witness, witness, path),
            worst=None if group.witness == group.worst else self.worst(judged, group.worst),
        )

    def worst(self, judged: Judged, i: int) -> Worst:
        """A point as the worst one of a result, or of a finding."""
        return as_worst(self.witness(judged, i)[0])

    def witness(self, judged: Judged, i: int) -> tuple[Witness, str | None]:
        """A point as a document states it, and the precision at which mpmath confirmed it."""
        inputs: dict[str, Any] = {n: hex_of(x) for n, x in _point(judged, i).items()}
        if judged.cotangent != 1.0:
            inputs["cotangent"] = hex_of(judged.cotangent)
        confirmed = self.confirm(judged, i)
        decimal = "nan" if confirmed is None else confirmed.decimal
        witness = witnessed(inputs, float(judged.computed[i]), decimal, float(judged.verdicts.ulp[i]))
        return witness, None if confirmed is None else confirmed.by

    def confirm(self, judged: Judged, i: int) -> Confirmed | None:
        """What mpmath says of a point; None where an input is NaN."""
        point = _point(judged, i)
        if any(np.isnan(x) for x in point.values()):
            return None
        got = judged.computed[i]
        upper_is_nearer = judged.tie[i] and got > round_exact(judged.upper[i : i + 1], self.subject.fmt)[0]
        stated = (judged.upper if upper_is_nearer else judged.lower)[i : i + 1]
        confirmed = confirm(
            self.subject.formula,
            point,
            stated,
            self.subject.fmt,
            column=self.column,
            wrt=self.case.op.inputs,
            order=self.subject.order_of(self.column) if self.column != "value" else 0,
            scale=judged.cotangent,
            tie=bool(judged.tie[i]),
        )
        if not confirmed.agrees:
            self.disagreed = f"arb and mpmath do not agree at {point}"
        return confirmed

    def _reproducer(self, judged: Judged, i: int, witness: Witness, path: str) -> str:
        shown = Shown(
            op=self.case.op,
            variant=self.case.variant,
            dtype=self.case.dtype,
            direction=self.case.direction,
            column=self.column,
            path=path,
            point=_point(judged, i),
            exact=witness.exact,
            cotangent=judged.cotangent,
        )

        def compute(inputs: Mapping[str, Floats], order: int) -> Floats:
            cotangents = None if judged.cotangent == 1.0 else np.full(_size(inputs), judged.cotangent)
            return self.subject.run(inputs, order, path, cotangents).columns[self.column]

        neighbours, place = judged.call_of(i)
        order = self.subject.order_of(self.column)
        return reproducer(shown, float(judged.computed[i]), order, compute, neighbours, place)

    def _fixed(self, judged: Judged, group: Group) -> dict[str, Any]:
        held = group.line.held
        if group.line.scattered:
            held = {n: x for n, x in _point(judged, group.worst).items() if n != group.line.probe}
        if judged.cotangent != 1.0:
            held["cotangent"] = judged.cotangent
        return {n: hex_of(x) for n, x in held.items()}

    def _finding_id(self, judged: Judged, group: Group, path: str) -> str:
        if len(self.subject.names) > 1:
            parts = [*group.key, path, "" if judged.cotangent == 1.0 else "cotangent"]
        else:
            x = judged.inputs[group.line.probe]
            first, last = float(x[group.interval.first]), float(x[group.interval.last])
            infinite = "infinite" if np.isinf(first) and np.isinf(last) else ""
            parts = [group.interval.kind, group.interval.reason, path, _side(first, last), infinite]
            parts.append("" if judged.cotangent == 1.0 else f"cotangent={wording.decimal(judged.cotangent)}")
        return f"{self.quantity.id}::" + ".".join(p for p in parts if p)

    def _message(self, judged: Judged, group: Group, witness: Witness, path: str) -> str:
        i = group.witness
        shown = _point(judged, i)
        if judged.cotangent != 1.0:
            shown["cotangent"] = judged.cotangent
        text = wording.sentence(
            self.quantity.phrase,
            kind=group.interval.kind,
            point=shown,
            got=float(judged.computed[i]),
            exact=witness.exact,
            ulp=witness.ulp,
            path=path,
            vector=None if path == "vector" else self._on_the_vector_path(judged, i),
        )
        limit = None if judged.limit is None else float(judged.limit[i])
        return text + remarks(self.case.op, limit, group.interval.reason)

    def _on_the_vector_path(self, judged: Judged, i: int) -> float:
        """What the vector path computes at a point."""
        inputs = {n: x[i : i + 1] for n, x in judged.inputs.items()}
        cotangent = None if judged.cotangent == 1.0 else np.array([judged.cotangent])
        outcome = self.subject.run(inputs, self.subject.order_of(self.column), "vector", cotangent)
        return float(outcome.columns[self.column][0])

    # --- remarks on paths

    def undefined(self, unjudged: list[Difference]) -> Finding:
        """The one input that shows best that paths disagree where the definition says nothing."""
        shown = unjudged[0]
        judged, i = shown.judged, int(shown.unjudged[0])
        point, got = _point(judged, i), float(judged.computed[i])
        inputs = {n: hex_of(x) for n, x in point.items()}
        witness = Witness(inputs=inputs, got=hex_of(got), exact="nan", ulp=np.nan)
        at = hex_of(point[self.case.op.inputs[0]])
        paths = ", ".join(shown_path(d.path) for d in unjudged)
        return self._remark(
            shown,
            i,
            witness,
            (
                f"{self.quantity.label}: where no exact {self.quantity.name} is defined, other paths give "
                f"another one than the vector path: {paths}; at {_listed(point)} the vector path gives "
                f"{wording.decimal(float(shown.vector[i]))} and {shown_path(shown.path)} "
                f"{wording.decimal(got)}."
            ),
            id=f"{self.quantity.id}::path.undefined",
            reason="undefined",
            lo=at,
            hi=at,
            points=len(shown.unjudged),
        )

    def harmless(self, harmless: list[Difference]) -> Finding:
        """How paths differ from the vector path within the threshold."""
        most = max(harmless, key=lambda d: len(d.harmless) / len(d.judged.computed))
        judged, name = most.judged, self.case.op.inputs[0]
        i = worst_member(judged.inputs[name], judged.verdicts.ulp, most.harmless)
        witness, confirmed = self.witness(judged, i)
        ends = [d.judged.inputs[name][d.harmless] for d in harmless]
        return self._remark(
            most,
            i,
            witness,
            (
                f"{self.quantity.label}: the {self.quantity.name} has other last bits on other paths than on "
                f"the vector path, within the threshold: {summary(harmless)}; at {_listed(_point(judged, i))} "
                f"the vector path gives {hex_of(float(most.vector[i]))} and {shown_path(most.path)} "
                f"{witness.got}."
            ),
            id=f"{self.quantity.id}::path",
            lo=hex_of(min(float(np.nanmin(e)) for e in ends)),
            hi=hex_of(max(float(np.nanmax(e)) for e in ends)),
            share=round(len(most.harmless) / len(judged.computed), 6),
            points=len(most.harmless),
            confirmed_by=confirmed,
        )

    def _remark(self, shown: Difference, i: int, witness: Witness, message: str, **rest: Any) -> Finding:
        return Finding(
            kind="path",
            severity="info",
            path=shown.path,
            probe=self.case.op.inputs[0],
            witness=witness,
            message=message,
            reproducer=self._reproducer(shown.judged, i, witness, shown.path),
            **rest,
        )


def witnessed(inputs: dict[str, Any], got: float, exact: str, ulp: float) -> Witness:
    """A witness of its inputs as a document writes them, of what was computed, and of exact decimals."""
    try:
        gap = abs(got - float(exact))
    except ValueError:
        gap = np.nan
    return Witness(
        inputs=inputs, got=hex_of(got), exact=exact, ulp=ulp, abs_error=gap if np.isfinite(gap) else None
    )


def as_worst(witness: Witness) -> Worst:
    """A witness as the point of largest error."""
    return Worst(inputs=witness.inputs, got=witness.got, exact=witness.exact, ulp=witness.ulp)


def remarks(op: Op, limit: float | None, reason: str | None) -> str:
    """What a sentence adds: the error that another implementation allows, and what the op documents."""
    text = "" if limit is None else f" {allowed(op, limit)}"
    if reason == "documented" and op.documented_reason:
        text += f" Documented: {op.documented_reason}."
    return text


def _side(first: float, last: float) -> str:
    """Which part of a probe an interval lies in."""
    if np.isnan(first):
        return "nan"
    if first == last == 0:
        return "zero"
    return "negative" if last <= 0 else "positive" if first >= 0 else "both-signs"


def _size(inputs: Mapping[str, Floats]) -> int:
    return len(next(iter(inputs.values())))


def _point(judged: Judged, i: int) -> dict[str, float]:
    return {n: float(x[i]) for n, x in judged.inputs.items()}


def _listed(point: Mapping[str, float]) -> str:
    return ", ".join(f"{n} = {wording.decimal(x)}" for n, x in point.items())
