"""One quantity of an elementwise op on its way to a result: collecting findings, and statistics."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from gradcheck_suite.engine.calls import Raised, Unsupported
from gradcheck_suite.engine.cases import sample_name
from gradcheck_suite.engine.clusters import worst_member
from gradcheck_suite.engine.curves import curves
from gradcheck_suite.engine.differences import Difference, difference
from gradcheck_suite.engine.exploring import Explored, explore
from gradcheck_suite.engine.findings import distinct
from gradcheck_suite.engine.grids import grid
from gradcheck_suite.engine.paths import TRANSFORMS, expanded
from gradcheck_suite.engine.pointwise import Judged, Subject
from gradcheck_suite.engine.probing import Source
from gradcheck_suite.engine.quantities import Quantity, statistics, verdict_on
from gradcheck_suite.engine.regions import ALLOWANCES, FURTHER_ALLOWANCE
from gradcheck_suite.engine.statements import Statements
from gradcheck_suite.options import Settings
from gradcheck_suite.results import Finding, Result, Worst

Floats = npt.NDArray[np.float64]

_AUDITED = 6
_LINES = 8


class Runner:
    """One quantity on its way to a result."""

    def __init__(self, quantity: Quantity, subject: Subject, settings: Settings) -> None:
        self.quantity, self.subject, self.settings = quantity, subject, settings
        self.case, self.column = quantity.case, quantity.column
        self.several = len(subject.names) > 1
        self.statements = Statements(quantity, subject)
        self.skipped: dict[str, str] = {}

    def result(self) -> Result:
        """The finished result."""
        try:
            main = self.subject.judged(self.column, "vector")
        except Unsupported as error:
            return self.quantity.result("unsupported", str(error))
        except Raised as error:
            return self.quantity.result("findings", findings=(self.quantity.raises(str(error)),))
        outcome = self.subject.outcome("vector", self.subject.order_of(self.column))
        findings = self.quantity.dtype_findings(outcome.dtypes[self.column])
        sources = [Source(judged=main)]
        own = self._explored(sources, ALLOWANCES[self.settings.budget], search=True)
        findings += [*self._of(sources, own), *self._cotangent_findings(main), *self._path_findings(main)]
        self._audit(main)
        return self._finished(main, own[0].judged, findings)

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
            self.statements.finding(e.judged, group, s.path)
            for s, e in zip(sources, explored, strict=True)
            for group in e.groups
        ]

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
                found.append(self.quantity.raises(str(error), path))
            else:
                differing += [d] if d and not any(d.same_as(other) for other in differing) else []
        sources = [d.source for d in differing]
        found += self._of(sources, self._explored(sources, FURTHER_ALLOWANCE))
        harmless = [d for d in differing if len(d.harmless)]
        unjudged = [d for d in differing if len(d.unjudged)]
        found += [self.statements.harmless(harmless)] if harmless else []
        return [*found, self.statements.undefined(unjudged)] if unjudged else found

    # --- the result

    def _audit(self, main: Judged) -> None:
        """mpmath computes a fixed sample of the points that passed; arb must agree there too."""
        finite = np.logical_and.reduce([np.isfinite(x) for x in main.inputs.values()])
        fine = np.flatnonzero((main.verdicts.kind == 0) & ~np.isnan(main.verdicts.ulp) & finite)
        for i in fine[:: max(len(fine) // _AUDITED, 1)][:_AUDITED]:
            self.statements.confirm(main, int(i))

    def _finished(self, main: Judged, seen: Judged, findings: Sequence[Finding]) -> Result:
        """The result; `main` has the sample, `seen` all points that were tried."""
        unsure, subject = int(main.verdicts.open.sum()), self.subject
        judged = np.flatnonzero(~np.isnan(main.verdicts.ulp))
        counted = statistics(
            main.computed[judged], main.lower[judged], main.verdicts.ulp[judged], subject.fmt
        )
        if len(judged):
            counted["max_ulp"] = float(np.nanmax(seen.verdicts.ulp))
            counted["worst"] = self._worst(seen)
        # After all that is stated was confirmed, the worst point last.
        doubt = self.statements.disagreed or (f"{unsure} points could not be decided" if unsure else "")
        skipped = (f"path {p} skipped: {why}" for p, why in self.skipped.items())
        drawn = curves(main, subject.fmt) if self.settings.pictures else ()
        first = self.case.variant == dict(self.case.op.variants[0])
        return self.quantity.result(
            verdict_on(findings, doubt),
            note="; ".join(filter(None, [doubt, *skipped])),
            findings=distinct(findings),
            exhaustive=subject.exhaustive,
            sample="exhaustive" if subject.exhaustive else sample_name(self.settings, subject.size),
            curve=drawn[0] if drawn else None,
            other_curves=drawn[1:],
            grid=grid(subject, self.column) if self.settings.pictures and first else None,
            **counted,
        )

    def _worst(self, seen: Judged) -> Worst:
        judged = np.flatnonzero(~np.isnan(seen.verdicts.ulp))
        i = worst_member(seen.inputs[self.case.op.inputs[0]], seen.verdicts.ulp, judged)
        return self.statements.worst(seen, i)
