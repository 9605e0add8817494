"""One quantity of an op whose entries depend on each other, on its way to a result."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from gradcheck_suite.engine.calls import Raised, Unsupported
from gradcheck_suite.engine.cases import sample_name
from gradcheck_suite.engine.findings import distinct
from gradcheck_suite.engine.paths import GRAPH, ONE_BY_ONE, TRANSFORMS, expanded, highest_order
from gradcheck_suite.engine.quantities import Quantity, order_of, statistics, verdict_on
from gradcheck_suite.engine.regions import Region
from gradcheck_suite.engine.rowcurves import row_curve
from gradcheck_suite.engine.rowfindings import RowGroup, grouped, numbers
from gradcheck_suite.engine.rowregions import SEARCHED, region_of
from gradcheck_suite.engine.rows import RowJudged, RowSubject
from gradcheck_suite.engine.rowstatements import RowStatements
from gradcheck_suite.engine.statements import as_worst
from gradcheck_suite.options import Settings
from gradcheck_suite.results import Finding, Result, Worst

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

# Cotangents beside the first; every how many-th sample each sees, by `Subject.closely`.
_COTANGENTS = {
    True: (("scaled", 1), ("one-hot", 3), ("even", 3), ("ragged", 3)),
    False: (("scaled", 2), ("one-hot", 4)),
}
_AUDITED = 2
_AUDIT_ENTRIES = 24


class RowRunner:
    """One quantity on its way to a result."""

    def __init__(self, quantity: Quantity, subject: RowSubject, settings: Settings) -> None:
        self.quantity, self.subject, self.settings = quantity, subject, settings
        self.case, self.column = quantity.case, quantity.column
        self.statements = RowStatements(quantity, subject)
        self.searched = 0

    def result(self) -> Result:
        """The finished result."""
        try:
            raised = self._raises(range(self.subject.size))
            main = self.subject.judged(self.column)
        except Unsupported as error:
            return self.quantity.result("unsupported", str(error))
        except Raised as error:
            return self.quantity.result("findings", findings=(self.quantity.raises(str(error)),))
        if not len(main.computed):
            return self.quantity.result("findings" if raised else "ok", findings=raised)
        got = self.subject.called(int(main.owner[0])).dtypes[self.column]
        findings = [*raised, *self.quantity.dtype_findings(got), *self._findings(main)]
        findings += [*self._tie_record(main), *self._further_cotangents(main)]
        for path in expanded(self.case.op, self.settings.paths):
            if path not in (*TRANSFORMS, *ONE_BY_ONE, GRAPH):
                findings += self._path_findings(main, path)
        self._audit(main)
        return self._finished(main, findings)

    # --- findings

    def _raises(self, which: Iterable[int], path: str = "vector") -> list[Finding]:
        """One finding for each message that torch raises with, on the first sample that shows it."""
        found: dict[str, Finding] = {}
        for k in which:
            message = self._message_of(k, path)
            if message and message not in found and (path == "vector" or not self._message_of(k, "vector")):
                found[message] = self.statements.raises(message, path, k)
        return list(found.values())

    def _message_of(self, k: int, path: str) -> str:
        """What torch raises with; nothing where it does not."""
        try:
            self.subject.called(k, path)
        except Raised as error:
            return str(error)
        return ""

    def _findings(self, judged: RowJudged, among: Bools | None = None) -> list[Finding]:
        groups = grouped(judged, self.subject.samples, among=among)
        return [finding for finding in (self._stated(judged, group) for group in groups) if finding]

    def _stated(self, judged: RowJudged, group: RowGroup) -> Finding | None:
        """The finding of a group, without the samples on which arb and mpmath do not agree."""
        while True:
            stated = self.statements.witness(judged, group.witness)
            if int(judged.owner[group.witness]) not in self.statements.doubted:
                return self.statements.finding(judged, group, self._region(judged, group), *stated)
            rest = group.members[~self._doubted(judged)[group.members]]
            if not len(rest):
                return None
            group = RowGroup.of(judged, self.subject.samples, group.key, rest)

    def _doubted(self, judged: RowJudged) -> Bools:
        """The entries of samples on which arb and mpmath do not agree."""
        return np.isin(judged.owner, list(self.statements.doubted))

    def _region(self, judged: RowJudged, group: RowGroup) -> Region | None:
        """Where on its curve the witness's sample fails, for the first findings that are more than a remark."""
        usual = judged.path == "vector" and judged.cotangent == "mixed"
        if not usual or group.severity == "info" or self.searched >= SEARCHED[self.settings.budget]:
            return None
        found = region_of(self.subject, self.column, int(judged.owner[group.witness]), group.key)
        self.searched += found is not None
        return found

    def _tie_record(self, main: RowJudged) -> list[Finding]:
        """Which element of the subdifferential torch picks, on the simplest tie where the choice is open."""
        inside = [k for k in main.ties if _is_choice(main, k)]
        if not inside:
            return []
        return [self.statements.choice(main, min(inside, key=self._numbers), len(inside))]

    def _numbers(self, k: int) -> int:
        return numbers(self.subject.samples[k])

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
        if order_of(self.column) > highest_order(path):
            return []
        try:
            raised = self._raises(map(int, self.subject.on_path(path)), path)
            judged = self.subject.judged_again(main, path)
        except Unsupported:
            return []
        before = main.verdicts.take(np.flatnonzero(np.isin(main.owner, judged.owner)))
        graver = (before.kind == 0) | (judged.verdicts.severity < before.severity)
        return [*raised, *self._findings(judged, graver)]

    # --- the result

    def _audit(self, main: RowJudged) -> None:
        """mpmath computes the entries that passed of a few short samples; arb must agree there too."""
        v = main.verdicts
        fine = (v.kind == 0) & ~np.isnan(v.ulp) & ~main.tie
        short = [k for k in np.unique(main.owner[fine]) if self._numbers(k) <= _AUDIT_ENTRIES]
        for k in short[:: max(len(short) // _AUDITED, 1)][:_AUDITED]:
            for i in np.flatnonzero(fine & (main.owner == k)):
                self.statements.confirm(main, int(i))

    def _finished(self, main: RowJudged, findings: Sequence[Finding]) -> Result:
        unsure, worst = int(main.verdicts.open.sum()), self._worst(main)
        disagreed = next(iter(self.statements.doubted.values()), "")
        note = disagreed or (f"{unsure} entries could not be decided" if unsure else "")
        judged = self._judged(main)
        return self.quantity.result(
            verdict_on(findings, note),
            note=note,
            findings=distinct(findings),
            sample=sample_name(self.settings, self.subject.size),
            worst=worst,
            curve=row_curve(self.subject, self.column) if self.settings.pictures else None,
            **statistics(
                main.computed[judged], main.lower[judged], main.verdicts.ulp[judged], self.subject.fmt
            ),
        )

    def _judged(self, main: RowJudged) -> Ints:
        """The entries that have a verdict, on samples on which arb and mpmath agree."""
        return np.flatnonzero(~np.isnan(main.verdicts.ulp) & ~self._doubted(main))

    def _worst(self, main: RowJudged) -> Worst | None:
        """The largest error on a sample on which arb and mpmath agree."""
        ulp = main.verdicts.ulp
        while len(judged := self._judged(main)):
            worst = judged[ulp[judged] == ulp[judged].max()]
            i = int(min(worst, key=lambda j: self._numbers(int(main.owner[j]))))
            witness, _ = self.statements.witness(main, i)
            if int(main.owner[i]) not in self.statements.doubted:
                return as_worst(witness)
        return None


def _is_choice(main: RowJudged, k: int) -> bool:
    """Whether the entries of a sample that a tie leaves a choice all belong to the set."""
    mine = main.owner == k
    return bool(main.tie[mine].any() and not main.verdicts.kind[mine & main.tie].any())
