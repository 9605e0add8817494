"""Running one case: from a `Subject` to results with statistics, findings and curves."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from gradcheck_suite.engine import wording
from gradcheck_suite.engine.against import allowed
from gradcheck_suite.engine.availability import refusal, unjudged
from gradcheck_suite.engine.calls import Raised, Unsupported
from gradcheck_suite.engine.cases import Case, sample_name
from gradcheck_suite.engine.clusters import worst_member
from gradcheck_suite.engine.conduct import with_conduct
from gradcheck_suite.engine.confirm import Confirmed, confirm
from gradcheck_suite.engine.curves import curves
from gradcheck_suite.engine.differences import Difference, difference, summary
from gradcheck_suite.engine.exploring import Explored, explore
from gradcheck_suite.engine.findings import Group, Interval, distinct
from gradcheck_suite.engine.grids import grid
from gradcheck_suite.engine.paths import TRANSFORMS, expanded
from gradcheck_suite.engine.paths import shown as shown_path
from gradcheck_suite.engine.pointwise import Judged, Subject
from gradcheck_suite.engine.probing import Source
from gradcheck_suite.engine.regions import ALLOWANCES, FURTHER_ALLOWANCE
from gradcheck_suite.engine.reproducers import Shown, reproducer
from gradcheck_suite.engine.rowrun import columns_of, row_subject, run_rows
from gradcheck_suite.engine.rows import RowSubject
from gradcheck_suite.floats import hex_of, round_exact
from gradcheck_suite.formula.arithmetic import reference, uncertified
from gradcheck_suite.ops.record import Op
from gradcheck_suite.options import Settings
from gradcheck_suite.results import Finding, Result, Witness, Worst

Floats = npt.NDArray[np.float64]

_AUDITED = 6
_LINES = 8
_INFO = 4


def run_case(case: Case, settings: Settings) -> list[Result]:
    """Judge one case: one result per differentiable input (one for the forward direction).

    An op that misbehaves becomes a finding; only a mistake in the harness raises.
    """
    reason = refusal(case.op, settings.device)
    if reason:
        return unjudged(case, "unsupported", reason)
    with reference(settings.reference):
        return [_labelled(result) for result in _run_whole(case, settings)]


def _labelled(result: Result) -> Result:
    """Results of mpmath alone say so."""
    if not uncertified():
        return result
    return dataclasses.replace(
        result, note="; ".join(n for n in (result.note, "uncertified: mpmath alone") if n)
    )


def _run_whole(case: Case, settings: Settings) -> list[Result]:
    found = _run(case, settings)
    if case.direction == "forward" and case.order and any(_could_not_run(result) for result in found):
        # The value may be sound where the gradient, computed in the same call, is not.
        return _run(case.alone(), settings)
    return found


def _could_not_run(result: Result) -> bool:
    return result.verdict == "unsupported" or any(finding.kind == "raises" for finding in result.findings)


def _run(case: Case, settings: Settings) -> list[Result]:
    if not case.op.pointwise:
        return run_rows(case, settings)
    return _judged(case, _subject_of(case, settings), settings)


def subject_of(case: Case, settings: Settings) -> Subject | RowSubject:
    """Inputs, exact values and computed ones of a case."""
    return _subject_of(case, settings) if case.op.pointwise else row_subject(case, settings)


def _subject_of(case: Case, settings: Settings) -> Subject:
    return _subject(case.op, tuple(sorted(case.variant.items())), case.dtype, case.order, settings)


def _judged(case: Case, subject: Subject, settings: Settings) -> list[Result]:
    if not len(subject.tuples):
        return unjudged(case, "inconclusive", "vacuous gate: no input is judged, the domain leaves none")
    started = time.perf_counter()
    results = []
    for column, wrt in columns_of(case):
        runner = CaseRunner(case, subject, column, wrt, settings)
        results.append(with_conduct(runner.result(started), case, subject, column))
        started = time.perf_counter()
    return results


@lru_cache(maxsize=2)
def _subject(
    op: Op, variant: tuple[tuple[str, Any], ...], dtype: str, order: int, settings: Settings
) -> Subject:
    """Forward and backward of one variant share exact values and torch's results."""
    return Subject(op, dict(variant), dtype, order, settings)


class CaseRunner:
    """One column of one case on its way to a result."""

    def __init__(
        self, case: Case, subject: Subject, column: str, wrt: str | None, settings: Settings
    ) -> None:
        self.case, self.subject, self.column, self.wrt, self.settings = case, subject, column, wrt, settings
        self.label = case.op.label(case.variant)
        self.id = case.id if wrt is None or len(case.op.inputs) == 1 else f"{case.id}::{wrt}"
        self.several = len(subject.names) > 1
        self.disagreed = ""
        self.skipped: dict[str, str] = {}

    def result(self, started: float) -> Result:
        """The finished result."""
        try:
            main = self.subject.judged(self.column, "vector")
        except Unsupported as error:
            return self._bare("unsupported", str(error), (), started)
        except Raised as error:
            return self._bare("findings", "", (self._raises(str(error)),), started)
        findings = self._dtype_findings()
        sources = [Source(judged=main)]
        own = self._explored(sources, ALLOWANCES[self.settings.budget], search=True)
        findings += [*self._of(sources, own), *self._cotangent_findings(main), *self._path_findings(main)]
        self._audit(main)
        return self._finished(main, own[0].judged, tuple(findings), started)

    # --- findings

    def _explored(
        self, sources: list[Source], allowance: int, *, search: bool = False, once: bool = False
    ) -> list[Explored]:
        """The regions of all sources, of each kind in one source only with `once`."""
        # A line is one of very many through the points of several inputs: its ends matter less than one
        # input's.
        spent = allowance // _LINES if self.several else allowance
        return explore(self.subject, self.column, sources, allowance=spent, search=search, once=once)

    def _of(self, sources: list[Source], explored: list[Explored]) -> list[Finding]:
        """One finding for each region of each source."""
        return [
            self._finding(e.judged, group, s.path)
            for s, e in zip(sources, explored, strict=True)
            for group in e.groups
        ]

    def _finding(self, judged: Judged, group: Group, path: str) -> Finding:
        interval, name, x = group.interval, group.line.probe, judged.inputs[group.line.probe]
        witness, stated = self._witness(judged, group.witness)
        worst = None if group.witness == group.worst else self._worst_at(judged, group.worst)
        fixed = self._fixed(judged, group)
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
            fixed=fixed,
            share=round(interval.share, 6),
            points=group.points,
            witness=witness,
            confirmed_by=f"mpmath@{stated.bits}" if stated and stated.agrees else None,
            message=self._message(interval, judged, group.witness, witness, path),
            reproducer=self._reproducer(judged, group.witness, witness, path),
            worst=worst,
        )

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
        interval = group.interval
        x = judged.inputs[group.line.probe]
        infinite = "infinite" if np.isinf(x[interval.first]) and np.isinf(x[interval.last]) else ""
        side = _side(float(x[interval.first]), float(x[interval.last]))
        parts = [interval.kind, interval.reason or "", path, side, infinite]
        if self.several:
            return f"{self.id}::" + ".".join(
                p for p in (*group.key, path, "" if judged.cotangent == 1.0 else "cotangent") if p
            )
        parts.append("" if judged.cotangent == 1.0 else f"cotangent={wording.decimal(judged.cotangent)}")
        return f"{self.id}::" + ".".join(p for p in parts if p)

    def _message(self, interval: Interval, judged: Judged, i: int, witness: Witness, path: str) -> str:
        shown = _point(judged, i)
        if judged.cotangent != 1.0:
            shown["cotangent"] = judged.cotangent
        text = wording.sentence(
            self.label,
            self.case.dtype,
            self.case.direction,
            kind=interval.kind,
            point=shown,
            got=float(judged.computed[i]),
            exact=witness.exact,
            ulp=witness.ulp,
            wrt=self.wrt if len(self.case.op.inputs) > 1 else None,
            path=path,
            vector=None if path == "vector" else self._on_the_vector_path(judged, i),
        )
        if judged.limit is not None:
            text += f" {allowed(self.case.op, float(judged.limit[i]))}"
        if interval.reason == "documented" and self.case.op.documented_reason:
            text += f" Documented: {self.case.op.documented_reason}."
        return text

    def _on_the_vector_path(self, judged: Judged, i: int) -> float:
        """What the vector path computes at a point."""
        inputs = {n: x[i : i + 1] for n, x in judged.inputs.items()}
        outcome = self.subject.run(inputs, self.subject.order_of(self.column), "vector", _cotangents(judged))
        return float(outcome.columns[self.column][0])

    def _witness(self, judged: Judged, i: int) -> tuple[Witness, Confirmed | None]:
        point = _point(judged, i)
        got = float(judged.computed[i])
        stated, decimal = self._confirm(judged, i, point)
        inputs: dict[str, Any] = {n: hex_of(x) for n, x in point.items()}
        if judged.cotangent != 1.0:
            inputs["cotangent"] = hex_of(judged.cotangent)
        try:
            gap = abs(got - float(decimal))
        except ValueError:
            gap = None
        witness = Witness(
            inputs=inputs,
            got=hex_of(got),
            exact=decimal,
            ulp=float(judged.verdicts.ulp[i]),
            abs_error=gap if gap is not None and np.isfinite(gap) else None,
        )
        return witness, stated

    def _confirm(self, judged: Judged, i: int, point: dict[str, float]) -> tuple[Confirmed | None, str]:
        if any(np.isnan(x) for x in point.values()):
            return None, "nan"
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
        return confirmed, confirmed.decimal

    def _cotangent_findings(self, main: Judged) -> list[Finding]:
        """Findings that only another cotangent shows; those at inputs that fail already with 1 are not
        repeated.
        """
        if self.case.direction != "backward":
            return []
        sources = []
        known = main.verdicts.kind[self.subject.cotangent_points] > 0
        for cotangent in self.subject.cotangents():
            judged = self.subject.judged_cotangent(self.column, cotangent)
            judged = dataclasses.replace(judged, verdicts=judged.verdicts.without(known))
            sources.append(Source(judged=judged, over=True))
        # Of several inputs, one finding of each kind says enough about cotangents.
        return self._of(sources, self._explored(sources, FURTHER_ALLOWANCE, once=self.several))

    def _path_findings(self, main: Judged) -> list[Finding]:
        """Failures that only another path shows, and one remark each on the paths that differ harmlessly and
        where nothing is judged.
        """
        found: list[Finding] = []
        differing: list[Difference] = []
        for path in expanded(self.case.op, self.settings.paths):
            try:
                d = difference(self.subject, self.column, main, path)
            except Unsupported as error:
                self.skipped |= (
                    {path: str(error)} if path in TRANSFORMS and path in self.settings.paths else {}
                )
            except Raised as error:
                found.append(self._raises(str(error), path))
            else:
                differing += [d] if d and not any(d.same_as(other) for other in differing) else []
        sources = [d.source for d in differing]
        found += self._of(sources, self._explored(sources, FURTHER_ALLOWANCE))
        harmless = [d for d in differing if len(d.harmless)]
        unjudged = [d for d in differing if len(d.unjudged)]
        found += [self._path_remark(harmless)] if harmless else []
        return [*found, self._unjudged_remark(unjudged)] if unjudged else found

    def _unjudged_remark(self, unjudged: list[Difference]) -> Finding:
        """The one input that shows best that paths disagree where the definition says nothing."""
        shown = unjudged[0]
        judged, name = shown.judged, self.case.op.inputs[0]
        i = int(shown.unjudged[0])
        point, got = _point(judged, i), float(judged.computed[i])
        inputs = {n: hex_of(x) for n, x in point.items()}
        witness = Witness(inputs=inputs, got=hex_of(got), exact="nan", ulp=np.nan)
        where = ", ".join(f"{n} = {wording.decimal(v)}" for n, v in point.items())
        paths = ", ".join(shown_path(d.path) for d in unjudged)
        return Finding(
            id=f"{self.id}::path.undefined",
            kind="path",
            severity="info",
            reason="undefined",
            path=shown.path,
            probe=name,
            lo=hex_of(point[name]),
            hi=hex_of(point[name]),
            points=len(shown.unjudged),
            witness=witness,
            message=(
                f"{self.label} {self.case.dtype}: where no exact {wording.quantity(self.case.direction)} is "
                f"defined, other paths give another one than the vector path: {paths}; at {where} the vector "
                f"path gives {wording.decimal(float(shown.vector[i]))} and {shown_path(shown.path)} "
                f"{wording.decimal(got)}."
            ),
            reproducer=self._reproducer(judged, i, witness, shown.path),
        )

    def _path_remark(self, harmless: list[Difference]) -> Finding:
        most = max(harmless, key=lambda d: len(d.harmless) / len(d.judged.computed))
        judged, name = most.judged, self.case.op.inputs[0]
        x = judged.inputs[name]
        worst = worst_member(x, judged.verdicts.ulp, most.harmless)
        witness, stated = self._witness(judged, worst)
        shown = ", ".join(f"{n} = {wording.decimal(v)}" for n, v in _point(judged, worst).items())
        ends = [x[d.harmless] if d is most else d.judged.inputs[name][d.harmless] for d in harmless]
        return Finding(
            id=f"{self.id}::path",
            kind="path",
            severity="info",
            path=most.path,
            probe=name,
            lo=hex_of(min(float(np.nanmin(e)) for e in ends)),
            hi=hex_of(max(float(np.nanmax(e)) for e in ends)),
            share=round(len(most.harmless) / len(judged.computed), 6),
            points=len(most.harmless),
            witness=witness,
            confirmed_by=f"mpmath@{stated.bits}" if stated and stated.agrees else None,
            message=(
                f"{self.label} {self.case.dtype}: the {wording.quantity(self.case.direction)} has other last "
                f"bits on other paths than on the vector path, within the threshold: {summary(harmless)}; "
                f"at {shown} the vector path gives {hex_of(float(most.vector[worst]))} "
                f"and {shown_path(most.path)} {witness.got}."
            ),
            reproducer=self._reproducer(judged, worst, witness, most.path),
        )

    def _dtype_findings(self) -> list[Finding]:
        outcome = self.subject.outcome("vector", self.subject.order_of(self.column))
        got = outcome.dtypes[self.column]
        if got == self.case.dtype:
            return []
        what = wording.quantity(self.case.direction)
        text = f"{self.label} {self.case.dtype}: the {what} comes in {got}, not {self.case.dtype}."
        return [Finding(id=f"{self.id}::dtype", kind="dtype", severity="major", message=text)]

    def _raises(self, message: str, path: str = "vector") -> Finding:
        text = f"{self.label} {self.case.dtype} {self.case.direction} raises on the {path} path: {message}"
        return Finding(
            id=f"{self.id}::raises.{path}", kind="raises", severity="critical", path=path, message=text
        )

    # --- the result

    def _audit(self, main: Judged) -> None:
        """mpmath computes a fixed sample of the points that passed; arb must agree there too."""
        finite = np.logical_and.reduce([np.isfinite(x) for x in main.inputs.values()])
        fine = np.flatnonzero((main.verdicts.kind == 0) & ~np.isnan(main.verdicts.ulp) & finite)
        for i in fine[:: max(len(fine) // _AUDITED, 1)][:_AUDITED]:
            self._confirm(main, int(i), _point(main, int(i)))

    def _finished(self, main: Judged, seen: Judged, findings: tuple[Finding, ...], started: float) -> Result:
        serious = any(f.severity != "info" for f in findings)
        unsure = int(main.verdicts.open.sum())
        note = self.disagreed or (f"{unsure} points could not be decided" if unsure else "")
        verdict = "findings" if serious else "inconclusive" if note else "ok"
        note = "; ".join(
            [*filter(None, [note]), *(f"path {p} skipped: {why}" for p, why in self.skipped.items())]
        )
        judged = ~np.isnan(main.verdicts.ulp)
        errors = main.verdicts.ulp[judged]
        correct = main.computed == round_exact(main.lower, self.subject.fmt)
        drawn = curves(main, self.subject.fmt) if self.settings.pictures else ()
        return Result(
            **self._identity(),
            verdict=verdict,  # type: ignore[arg-type]
            points=int(judged.sum()),
            exhaustive=self.subject.exhaustive,
            sample="exhaustive"
            if self.subject.exhaustive
            else sample_name(self.settings, len(self.subject.tuples)),
            seconds=round(time.perf_counter() - started, 6),
            max_ulp=float(np.nanmax(seen.verdicts.ulp)) if len(errors) else None,
            p99_ulp=float(np.quantile(errors, 0.99, method="higher")) if len(errors) else None,
            correctly_rounded=float(correct[judged].mean()) if len(errors) else None,
            worst=self._worst(seen) if len(errors) else None,
            note=note,
            findings=distinct(findings),
            curve=drawn[0] if drawn else None,
            other_curves=drawn[1:],
            grid=grid(self.subject, self.column)
            if self.settings.pictures and self._is_first_variant
            else None,
        )

    @property
    def _is_first_variant(self) -> bool:
        """Whether the case is of the variant that stands for the op in pictures."""
        return self.case.variant == dict(self.case.op.variants[0])

    def _worst(self, main: Judged) -> Worst:
        judged = np.flatnonzero(~np.isnan(main.verdicts.ulp))
        i = worst_member(main.inputs[self.case.op.inputs[0]], main.verdicts.ulp, judged)
        return self._worst_at(main, i)

    def _worst_at(self, main: Judged, i: int) -> Worst:
        witness, _ = self._witness(main, i)
        return Worst(inputs=witness.inputs, got=witness.got, exact=witness.exact, ulp=witness.ulp)

    def _bare(self, verdict: str, note: str, findings: tuple[Finding, ...], started: float) -> Result:
        seconds = round(time.perf_counter() - started, 6)
        return Result(**self._identity(), verdict=verdict, note=note, findings=findings, seconds=seconds)  # type: ignore[arg-type]

    def _identity(self) -> dict[str, Any]:
        case = self.case
        return {
            "id": self.id,
            "op": case.op.name,
            "callable": case.op.callable_name,
            "variant": case.variant,
            "custom": case.op.custom,
            "dtype": case.dtype,
            "direction": case.direction,
            "wrt": self.wrt,
        }


def _side(first: float, last: float) -> str:
    """Which part of a probe an interval lies in."""
    if np.isnan(first):
        return "nan"
    if first == last == 0:
        return "zero"
    return "negative" if last <= 0 else "positive" if first >= 0 else "both-signs"


def _cotangents(judged: Judged) -> Floats | None:
    """The cotangent of one point; None for 1."""
    return None if judged.cotangent == 1.0 else np.array([judged.cotangent])


def _size(inputs: Mapping[str, Floats]) -> int:
    return len(next(iter(inputs.values())))


def _point(judged: Judged, i: int) -> dict[str, float]:
    return {n: float(x[i]) for n, x in judged.inputs.items()}


def run_all(cases: list[Case], settings: Settings) -> Iterator[tuple[Case, list[Result]]]:
    """Every case in order, as it is finished."""
    for case in cases:
        yield case, run_case(case, settings)
