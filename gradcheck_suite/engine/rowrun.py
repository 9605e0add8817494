"""Running one case of an op whose entries depend on each other: verdicts on samples become results."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from gradcheck_suite.engine import rowwording as words
from gradcheck_suite.engine import wording
from gradcheck_suite.engine.against import allowed
from gradcheck_suite.engine.arguments import reproducer, written
from gradcheck_suite.engine.availability import unjudged
from gradcheck_suite.engine.calls import Raised, Unsupported
from gradcheck_suite.engine.cases import Case, sample_name
from gradcheck_suite.engine.conduct import with_conduct
from gradcheck_suite.engine.confirm import Confirmed
from gradcheck_suite.engine.findings import distinct
from gradcheck_suite.engine.judge import KINDS, REASONS, SEVERITIES
from gradcheck_suite.engine.paths import ONE_BY_ONE, TRANSFORMS, expanded
from gradcheck_suite.engine.profiles import Key
from gradcheck_suite.engine.regions import Region
from gradcheck_suite.engine.rowconfirm import confirm_entry
from gradcheck_suite.engine.rowcurves import row_curve
from gradcheck_suite.engine.rowregions import SEARCHED, region_of
from gradcheck_suite.engine.rows import RowJudged, RowSubject
from gradcheck_suite.engine.subdifferential import TieVerdict
from gradcheck_suite.floats import hex_of, round_exact
from gradcheck_suite.inputs import cotangents
from gradcheck_suite.ops.record import Op, Sample
from gradcheck_suite.options import Settings
from gradcheck_suite.results import Finding, Result, Witness, Worst

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Shapes = tuple[tuple[int, ...], ...]

# Cotangents beside the first; every how many-th sample each sees, by `Subject.closely`.
_COTANGENTS = {
    True: (("scaled", 1), ("one-hot", 3), ("even", 3), ("ragged", 3)),
    False: (("scaled", 2), ("one-hot", 4)),
}
_AUDITED = 2
_AUDIT_ENTRIES = 24


def run_rows(case: Case, settings: Settings) -> list[Result]:
    """Judge one case: one result per differentiable input (one for the forward direction)."""
    return judged_rows(case, row_subject(case, settings), settings)


def row_subject(case: Case, settings: Settings) -> RowSubject:
    """The subject of a case; directions of one variant share it."""
    return _subject(case.op, tuple(sorted(case.variant.items())), case.dtype, case.order, settings)


def judged_rows(case: Case, subject: RowSubject, settings: Settings) -> list[Result]:
    """The results of a case on a subject."""
    if not subject.samples:
        return unjudged(case, "inconclusive", "vacuous gate: no input is judged, the domain leaves none")
    started = time.perf_counter()
    results = []
    for column, wrt in columns_of(case):
        runner = RowRunner(case, subject, column, wrt, settings)
        results.append(with_conduct(runner.result(started), case, subject, column))
        started = time.perf_counter()
    return results


@lru_cache(maxsize=2)
def _subject(op: Op, variant: Any, dtype: str, order: int, settings: Settings) -> RowSubject:
    return RowSubject(op, dict(variant), dtype, order, settings)


def columns_of(case: Case) -> list[tuple[str, str | None]]:
    """The columns of a direction, each with the input that it belongs to."""
    if case.direction == "forward":
        return [("value", None)]
    prefix = "d" if case.direction == "backward" else "dd"
    return [(f"{prefix}:{n}", n) for n in case.op.inputs]


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Failing entries that make one finding: one kind and reason (`key` has their codes) on one probe."""

    key: Key
    kind: str
    reason: str | None
    severity: str
    probe: str
    members: Ints


class RowRunner:
    """One column of one case on its way to a result."""

    def __init__(
        self, case: Case, subject: RowSubject, column: str, wrt: str | None, settings: Settings
    ) -> None:
        self.case, self.subject, self.column, self.wrt, self.settings = case, subject, column, wrt, settings
        self.label = case.op.label(case.variant)
        self.id = case.id if wrt is None or len(case.op.inputs) == 1 else f"{case.id}::{wrt}"
        self.doubted: dict[int, str] = {}
        self.searched = 0

    def result(self, started: float) -> Result:
        """The finished result."""
        try:
            raised = self._raises(range(len(self.subject.samples)))
            main = self.subject.judged(self.column)
        except Unsupported as error:
            return self._bare("unsupported", str(error), (), started)
        except Raised as error:
            return self._bare("findings", "", (self._raised(str(error), "vector", None),), started)
        if not len(main.computed):
            return self._bare("findings" if raised else "ok", "", tuple(raised), started)
        findings = [*raised, *self._dtype_findings(main), *self._findings(main), *self._tie_record(main)]
        findings += self._further_cotangents(main)
        for path in expanded(self.case.op, self.settings.paths):
            if path not in (*TRANSFORMS, *ONE_BY_ONE):
                findings += self._path_findings(main, path)
        self._audit(main)
        return self._finished(main, tuple(findings), started)

    # --- findings

    def _raises(self, which: Iterable[int], path: str = "vector") -> list[Finding]:
        """One finding for each message that torch raises with, on the first sample that shows it."""
        found: dict[str, Finding] = {}
        for k in which:
            message = self._message_of(k, path)
            if message and message not in found and (path == "vector" or not self._message_of(k, "vector")):
                found[message] = self._raised(message, path, k)
        return list(found.values())

    def _message_of(self, k: int, path: str) -> str:
        """What torch raises with; nothing where it does not."""
        try:
            self.subject.called(k, path)
        except Raised as error:
            return str(error)
        return ""

    def _raised(self, message: str, path: str, k: int | None) -> Finding:
        where = f" for {self.subject.samples[k].label}" if k is not None else ""
        called = f"{self.label} {self.case.dtype} {self.case.direction}"
        return Finding(
            id=f"{self.id}::raises.{path}",
            kind="raises",
            severity="critical",
            path=path,
            message=f"{called} raises on the {path} path{where}: {message}",
            reproducer="" if k is None or path == "vector" else self._raising(k, path),
        )

    def _raising(self, k: int, path: str) -> str:
        """Python that raises, as the vector path does not."""
        shapes = self.subject.called(k).shapes
        of = [np.shape(self.subject.samples[k].inputs[self.wrt])] if self.wrt is not None else shapes
        flat = len(shapes) > 1 and self.wrt is None
        return self._code(k, path, "mixed", shapes, (0,) if flat else (0,) * len(of[0]), "not an exception")

    def _dtype_findings(self, main: RowJudged) -> list[Finding]:
        got = self.subject.called(int(main.owner[0])).dtypes[self.column]
        if got == self.case.dtype:
            return []
        what = wording.quantity(self.case.direction)
        text = f"{self.label} {self.case.dtype}: the {what} comes in {got}, not {self.case.dtype}."
        return [Finding(id=f"{self.id}::dtype", kind="dtype", severity="major", message=text)]

    def _findings(self, judged: RowJudged, fresh: Any = None) -> list[Finding]:
        found = (self._stated(judged, group) for group in self._groups(judged, fresh))
        return [finding for finding in found if finding]

    def _stated(self, judged: RowJudged, group: Group) -> Finding | None:
        """The finding of a group, without the samples on which arb and mpmath do not agree."""
        while True:
            i = self._simplest(judged, group.members)
            witness, confirmed = self.witness(judged, i)
            if int(judged.owner[i]) not in self.doubted:
                return self._finding(judged, group, i, witness, confirmed)
            rest = group.members[~np.isin(judged.owner[group.members], list(self.doubted))]
            if not len(rest):
                return None
            group = self._group(judged, group.key, rest)

    def _groups(self, judged: RowJudged, fresh: Any = None) -> list[Group]:
        """Failing entries by kind, reason and probe; what is excused is one group for all probes."""
        v = judged.verdicts
        failing = np.flatnonzero((v.kind > 0) & (True if fresh is None else fresh))
        probes = [s.probe for s in self.subject.samples]
        keys: dict[tuple[int, int, str], list[int]] = {}
        for i in failing:
            excused = SEVERITIES[v.severity[i]] == "info"
            probe = "" if excused else probes[judged.owner[i]]
            keys.setdefault((int(v.kind[i]), int(v.reason[i]), probe), []).append(int(i))
        return [self._group(judged, key[:2], np.array(members)) for key, members in sorted(keys.items())]

    def _group(self, judged: RowJudged, key: Key, members: Ints) -> Group:
        witness = self._simplest(judged, members)
        return Group(
            key=key,
            kind=KINDS[key[0]],
            reason=REASONS[key[1]] or None,
            severity=SEVERITIES[int(judged.verdicts.severity[members].min())],
            probe=self.subject.samples[judged.owner[witness]].probe,
            members=members,
        )

    def _simplest(self, judged: RowJudged, members: Ints) -> int:
        """The witness: of the members with nearly the largest error one of the shortest samples."""
        v = judged.verdicts
        grave = members[v.severity[members] == v.severity[members].min()]
        errors = v.ulp[grave]
        bad = grave[errors >= errors.max() / 16] if np.isfinite(errors.max()) else grave[np.isinf(errors)]
        owners, of = np.unique(judged.owner[bad], return_inverse=True)
        sizes = np.array([self._sample_size(int(k)) for k in owners])[of.reshape(-1)]
        return int(bad[np.lexsort((bad, -v.ulp[bad], sizes))[0]])

    def _sample_size(self, k: int) -> int:
        sample = self.subject.samples[k]
        return sum(int(np.size(x)) for x in (*sample.inputs.values(), *sample.extra.values()))

    def _finding(
        self, judged: RowJudged, group: Group, i: int, witness: Witness, confirmed: str | None
    ) -> Finding:
        lo, hi, share, points = self._extent(judged, group)
        region = self._region(judged, group, i)
        if region is not None:
            lo, hi, share = region.lo, region.hi, round(region.share, 6)
        parts = [group.kind, group.reason or "", judged.path, group.probe.replace(" ", "-")]
        parts.append("" if judged.cotangent == "mixed" else f"cotangent={judged.cotangent}")
        return Finding(
            id=f"{self.id}::" + ".".join(p for p in parts if p),
            kind=group.kind,  # type: ignore[arg-type]
            severity=group.severity,  # type: ignore[arg-type]
            status="documented" if group.reason == "documented" else "new",
            reason=group.reason,  # type: ignore[arg-type]
            path=judged.path,
            probe=group.probe,
            lo=hex_of(lo),
            hi=hex_of(hi),
            lo_exact=region is not None and region.lo_exact,
            hi_exact=region is not None and region.hi_exact,
            fixed={} if judged.cotangent == "mixed" else {"cotangent": judged.cotangent},
            share=share,
            points=points,
            witness=witness,
            confirmed_by=confirmed,
            message=self._message(judged, i, group, witness),
            reproducer=self._reproducer(judged, i, witness.exact),
        )

    def _region(self, judged: RowJudged, group: Group, i: int) -> Region | None:
        """Where on its curve the witness's sample fails, for the first findings that are more than a remark."""
        usual = judged.path == "vector" and judged.cotangent == "mixed"
        if not usual or group.severity == "info" or self.searched >= SEARCHED[self.settings.budget]:
            return None
        k = int(judged.owner[i])
        found = region_of(self.subject, self.column, k, group.key)
        self.searched += found is not None
        return found

    def _extent(self, judged: RowJudged, group: Group) -> tuple[float, float, float, int]:
        """Ends on the probe, the part of the samples between them that fail, and how many fail in all."""
        owners = np.unique(judged.owner[group.members])
        samples = self.subject.samples
        places = [self._at(k) for k in owners if samples[k].probe == group.probe]
        lo, hi = min(places), max(places)
        between = [
            k for k in np.unique(judged.owner) if samples[k].probe == group.probe and lo <= self._at(k) <= hi
        ]
        return lo, hi, round(len(places) / max(len(between), 1), 6), len(owners)

    def _at(self, k: int) -> float:
        at = self.subject.samples[k].at
        return float(k) if at is None else float(at)

    def _message(self, judged: RowJudged, i: int, group: Group, witness: Witness) -> str:
        sample = self.subject.samples[judged.owner[i]]
        text = words.sentence(
            self.label,
            self.case.dtype,
            self.case.direction,
            self.wrt if len(self.case.op.inputs) > 1 else None,
            kind=group.kind,
            where=words.place(sample, self.index(judged, i), judged.cotangent),
            got=float(judged.computed[i]),
            exact=witness.exact,
            ulp=witness.ulp,
        )
        if judged.limit is not None:
            text += f" {allowed(self.case.op, float(judged.limit[i]))}"
        if group.reason == "documented" and self.case.op.documented_reason:
            text += f" Documented: {self.case.op.documented_reason}."
        return text

    def index(self, judged: RowJudged, i: int) -> tuple[int, ...]:
        """The entry's place in its tensor; with several outputs, the number of the output comes first."""
        k, flat = int(judged.owner[i]), int(judged.entry[i])
        if self.wrt is not None:
            shape = np.shape(self.subject.samples[k].inputs[self.wrt])
            return tuple(int(j) for j in np.unravel_index(flat, shape)) if shape else ()
        shapes = self.subject.called(k, judged.path, judged.cotangent).shapes
        for number, shape in enumerate(shapes):
            size = int(np.prod(shape))
            if flat < size:
                inner = tuple(int(j) for j in np.unravel_index(flat, shape)) if shape else ()
                return (number, *inner) if len(shapes) > 1 else inner
            flat -= size
        raise IndexError(flat)

    def witness(self, judged: RowJudged, i: int) -> tuple[Witness, str | None]:
        """One entry as a document states it, and the precision at which mpmath confirmed it."""
        sample = self.subject.samples[judged.owner[i]]
        got = float(judged.computed[i])
        decimal, confirmed = self._confirm(judged, i)
        try:
            gap = abs(got - float(decimal))
        except ValueError:
            gap = np.nan
        witness = Witness(
            inputs=self._inputs(judged, i, sample),
            got=hex_of(got),
            exact=decimal,
            ulp=float(judged.verdicts.ulp[i]),
            abs_error=gap if np.isfinite(gap) else None,
        )
        return witness, confirmed

    def _inputs(self, judged: RowJudged, i: int, sample: Sample) -> dict[str, Any]:
        inputs = {n: written(x) for n, x in (*sample.inputs.items(), *sample.extra.items())}
        if self.wrt is not None:
            inputs["cotangent"] = written(self.cotangent(judged, i))
        if index := self.index(judged, i):
            inputs["entry"] = list(index)
        return inputs

    def cotangent(self, judged: RowJudged, i: int) -> Floats:
        """The cotangent under which an entry was computed, in the shape of the output where there is one."""
        shapes = self.subject.called(int(judged.owner[i]), judged.path, judged.cotangent).shapes
        return self._seed(shapes, judged.cotangent)

    def _seed(self, shapes: Shapes, cotangent: str) -> Floats:
        flat = self.subject.pattern(cotangent)(sum(int(np.prod(s)) for s in shapes))
        return flat.reshape(shapes[0]) if len(shapes) == 1 else flat

    def _confirm(self, judged: RowJudged, i: int) -> tuple[str, str | None]:
        """The exact value in decimals, and the precision at which mpmath agreed."""
        k = int(judged.owner[i])
        if np.isnan(judged.lower.hi[i]):
            return "nan", None
        nearby = judged.ties[k] if k in judged.ties and judged.ties[k].weights else None
        confirmed = self._confirmed(judged, i, nearby if judged.tie[i] else None)
        if not confirmed.agrees and nearby:
            # A tie that leaves this entry no choice: at the point itself a formula sees one side of each kink.
            confirmed = self._confirmed(judged, i, nearby)
        # A choice that belongs to a set is stated as computed; the combination made of it is only as near.
        if not confirmed.agrees and not (judged.tie[i] and judged.verdicts.kind[i] == 0):
            self.doubted[k] = f"arb and mpmath do not agree on {self.subject.samples[k].label}"
        return confirmed.decimal, f"mpmath@{confirmed.bits}" if confirmed.agrees else None

    def _confirmed(self, judged: RowJudged, i: int, tie: TieVerdict | None) -> Confirmed:
        k, order = int(judged.owner[i]), words.order_of(self.column)
        return confirm_entry(
            self.subject.problem(self.subject.samples[k]),
            self.subject.wanted(judged.cotangent, order),
            self.column,
            int(judged.entry[i]),
            judged.lower[i : i + 1],
            self.subject.fmt,
            by_mpmath=lambda bits: self.subject.by_mpmath(k, judged.cotangent, order, bits),
            tie=tie,
        )

    def _reproducer(self, judged: RowJudged, i: int, exact: str) -> str:
        k = int(judged.owner[i])
        shapes = self.subject.called(k, judged.path, judged.cotangent).shapes
        flat = len(shapes) > 1 and self.wrt is None
        index = (int(judged.entry[i]),) if flat else self.index(judged, i)
        return self._code(k, judged.path, judged.cotangent, shapes, index, exact)

    def _code(
        self, k: int, path: str, cotangent: str, shapes: Shapes, index: tuple[int, ...], exact: str
    ) -> str:
        sample = self.subject.samples[k]
        return reproducer(
            self.case.op,
            self.case.variant,
            sample,
            dtype=self.case.dtype,
            direction=self.case.direction,
            wrt=self.wrt,
            index=index,
            cotangent=self._seed(shapes, cotangent),
            outputs=len(shapes),
            tangents={
                n: cotangents.direction(np.size(x)).reshape(np.shape(x)) for n, x in sample.inputs.items()
            },
            exact=exact,
            path=path,
        )

    def _tie_record(self, main: RowJudged) -> list[Finding]:
        """Which element of the subdifferential torch picks, on the simplest tie where the choice is open."""
        inside = [k for k in main.ties if self._is_choice(main, k)]
        if not inside:
            return []
        k = min(inside, key=self._sample_size)
        sample = self.subject.samples[k]
        where = np.flatnonzero((main.owner == k) & main.tie)
        at = hex_of(self._at(k))
        text = words.choice(self.label, self.case.dtype, sample, main.entry[where], main.computed[where])
        return [
            Finding(
                id=f"{self.id}::tie.choice",
                kind="tie",
                severity="info",
                path=main.path,
                probe=sample.probe,
                lo=at,
                hi=at,
                points=len(inside),
                message=text,
            )
        ]

    @staticmethod
    def _is_choice(main: RowJudged, k: int) -> bool:
        mine = main.owner == k
        return bool(main.tie[mine].any() and not main.verdicts.kind[mine & main.tie].any())

    def _further_cotangents(self, main: RowJudged) -> list[Finding]:
        """What only another cotangent shows; samples that fail with the usual one are not repeated."""
        if self.case.direction != "backward":
            return []
        # A set of gradients only grows with the cotangent: ties were judged with the first one.
        known = [*main.owner[main.verdicts.kind > 0], *main.ties]
        rest = self.subject.small[~np.isin(self.subject.small, known)]
        found = []
        for name, every in _COTANGENTS[self.subject.closely]:
            judged = self.subject.judged(self.column, "vector", name, rest[::every])
            found += self._findings(judged)
        return found

    def _path_findings(self, main: RowJudged, path: str) -> list[Finding]:
        """What only another path shows, such as tensors without contiguous dimensions."""
        if path == "out" and self.column != "value":
            # Autograd does not go through results that are written elsewhere.
            return []
        try:
            raised = self._raises(map(int, self.subject.on_path(path)), path)
            judged = self.subject.judged_again(main, path)
        except Unsupported:
            return []
        before = main.verdicts.take(np.flatnonzero(np.isin(main.owner, judged.owner)))
        fresh = (judged.verdicts.kind > 0) & (
            (before.kind == 0) | (judged.verdicts.severity < before.severity)
        )
        return [*raised, *self._findings(judged, fresh)]

    # --- the result

    def _audit(self, main: RowJudged) -> None:
        """mpmath computes the entries that passed of a few short samples; arb must agree there too."""
        v = main.verdicts
        fine = (v.kind == 0) & ~np.isnan(v.ulp) & ~main.tie
        short = [k for k in np.unique(main.owner[fine]) if self._sample_size(int(k)) <= _AUDIT_ENTRIES]
        for k in short[:: max(len(short) // _AUDITED, 1)][:_AUDITED]:
            for i in np.flatnonzero(fine & (main.owner == k)):
                self._confirm(main, int(i))

    def _finished(self, main: RowJudged, findings: tuple[Finding, ...], started: float) -> Result:
        serious = any(f.severity != "info" for f in findings)
        unsure = int(main.verdicts.open.sum())
        worst = self._worst(main)
        disagreed = next(iter(self.doubted.values()), "")
        note = disagreed or (f"{unsure} entries could not be decided" if unsure else "")
        verdict = "findings" if serious else "inconclusive" if note else "ok"
        judged = ~np.isnan(main.verdicts.ulp) & ~np.isin(main.owner, list(self.doubted))
        errors = main.verdicts.ulp[judged]
        correct = main.computed == round_exact(main.lower, self.subject.fmt)
        return Result(
            **self._identity(),
            verdict=verdict,  # type: ignore[arg-type]
            points=int(judged.sum()),
            sample=sample_name(self.settings, len(self.subject.samples)),
            seconds=round(time.perf_counter() - started, 6),
            max_ulp=float(errors.max()) if len(errors) else None,
            p99_ulp=float(np.quantile(errors, 0.99, method="higher")) if len(errors) else None,
            correctly_rounded=float(correct[judged].mean()) if len(errors) else None,
            worst=worst,
            note=note,
            findings=distinct(findings),
            curve=row_curve(self.subject, self.column) if self.settings.pictures else None,
        )

    def _worst(self, main: RowJudged) -> Worst | None:
        """The largest error on a sample on which arb and mpmath agree."""
        ulp = main.verdicts.ulp
        while True:
            judged = np.flatnonzero(~np.isnan(ulp) & ~np.isin(main.owner, list(self.doubted)))
            if not len(judged):
                return None
            worst = judged[ulp[judged] == ulp[judged].max()]
            i = int(min(worst, key=lambda j: self._sample_size(int(main.owner[j]))))
            witness, _ = self.witness(main, i)
            if int(main.owner[i]) not in self.doubted:
                return Worst(inputs=witness.inputs, got=witness.got, exact=witness.exact, ulp=witness.ulp)

    def _bare(self, verdict: str, note: str, findings: tuple[Finding, ...], started: float) -> Result:
        seconds = round(time.perf_counter() - started, 6)
        return Result(**self._identity(), verdict=verdict, note=note, findings=findings, seconds=seconds)  # type: ignore[arg-type]

    def _identity(self) -> Mapping[str, Any]:
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
