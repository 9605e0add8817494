"""From the summaries of a sweep to a result that stands in the document beside the others."""

from __future__ import annotations

import dataclasses
from typing import Final

import numpy as np
import numpy.typing as npt

from gradcheck_suite.engine.cases import Case
from gradcheck_suite.engine.findings import Group, Interval, distinct, grouped
from gradcheck_suite.engine.judge import KINDS, REASONS, SEVERITIES
from gradcheck_suite.engine.pointwise import Judged, Subject
from gradcheck_suite.engine.quantities import quantities, verdict_on
from gradcheck_suite.engine.run import run_case
from gradcheck_suite.engine.statements import Statements
from gradcheck_suite.engine.sweep.kernels import bin_edges
from gradcheck_suite.engine.sweep.tally import Run, Summary, joined
from gradcheck_suite.floats import from_ordinal
from gradcheck_suite.inputs.targets import Line
from gradcheck_suite.options import Settings
from gradcheck_suite.results import Finding, Histogram, Result, Worst

Floats = npt.NDArray[np.float64]

_MOST_RUNS: Final = 3
"""Regions of one kind and reason on either side of 0."""


def swept(case: Case, summary: Summary, settings: Settings, *, seconds: float) -> Result:
    """The result of a case whose every finite float was judged.

    Other paths, other cotangents, infinities and NaN are judged as in any run, and their findings kept.
    """
    (usual,) = run_case(case, settings)
    if summary.worst is None:
        return usual
    subject = Subject(case.op, case.variant, case.dtype, case.order, settings)
    (quantity,) = quantities(case)
    statements = Statements(quantity, subject)
    elsewhere = [f for f in usual.findings if f.path != "vector" or "cotangent" in f.fixed or f.lo is None]
    own = [_finding(statements, run) for run in joined(summary.runs, most=_MOST_RUNS)]
    findings = (*own, *_special(statements), *elsewhere)
    worst = _worst(statements, summary.worst)
    note = "; ".join(filter(None, [*_unsure(summary), statements.disagreed]))
    return dataclasses.replace(
        usual,
        verdict=verdict_on(findings, note),
        points=summary.points,
        exhaustive=True,
        sample="sweep",
        seconds=round(seconds, 6),
        max_ulp=worst.ulp,
        p99_ulp=quantile(summary, 0.99),
        correctly_rounded=summary.rounded / summary.points,
        worst=worst,
        histogram=histogram(summary),
        note=note,
        findings=distinct(findings),
    )


def _unsure(summary: Summary) -> list[str]:
    told = []
    if summary.undecided:
        told.append(f"{summary.undecided} floats could not be decided")
    if summary.uncovered:
        told.append(f"{summary.uncovered} floats are beyond what the cover can certify and were not judged")
    return told


def histogram(summary: Summary) -> Histogram:
    """The errors counted by size, without empty bins at the ends."""
    edges, counts = bin_edges(), summary.histogram
    full = np.flatnonzero(counts)
    first, last = int(full[0]), int(full[-1])
    return Histogram(
        edges=tuple(float(e) for e in edges[first:last]),
        counts=tuple(int(c) for c in counts[first : last + 1]),
    )


def quantile(summary: Summary, part: float) -> float:
    """The upper edge of the bin that the quantile lies in, or the largest error where that is less."""
    reached = np.cumsum(summary.histogram) >= np.ceil(part * summary.points)
    i = int(np.argmax(reached))
    edges = bin_edges()
    return min(float(edges[i]), summary.ulp) if i < len(edges) else summary.ulp


# ---------------------------------------------------------------- findings


def _judged(statements: Statements, x: Floats) -> Judged:
    """Some floats as the engine judges them, on the vector path."""
    subject, name = statements.subject, statements.case.op.inputs[0]
    order = subject.order_of(statements.column)
    outcome = subject.run({name: x}, order, "vector")
    line = Line(probe=name, members=slice(None), fixed={})
    points = subject.exact(x, order)
    return subject.judge_column(
        x, outcome.columns[statements.column], points, statements.column, lines=(line,)
    )


def _finding(statements: Statements, run: Run) -> Finding:
    ordinals = np.unique([run.first, run.worst, run.last])
    judged = _judged(statements, from_ordinal(ordinals, statements.subject.fmt))
    first, worst, last = (int(np.flatnonzero(ordinals == o)[0]) for o in (run.first, run.worst, run.last))
    interval = Interval(
        kind=KINDS[run.kind],
        severity=SEVERITIES[run.severity],
        reason=REASONS[run.reason] or None,
        members=np.arange(len(ordinals)),
        first=first,
        last=last,
        lo_exact=run.share == 1.0,
        hi_exact=run.share == 1.0,
        share=run.share,
    )
    group = Group(line=judged.lines[0], interval=interval, worst=worst, points=run.count, where="finite")
    return statements.finding(judged, group, "vector")


def _special(statements: Statements) -> list[Finding]:
    """Findings at the infinities and at NaN."""
    found = []
    # One at a time: beside each other they would look like an interval.
    for value in (-np.inf, np.inf, np.nan):
        judged = _judged(statements, np.array([value]))
        groups = grouped(judged.lines, judged.inputs, judged.verdicts, statements.subject.fmt)
        found += [statements.finding(judged, group, "vector") for group in groups]
    return found


def _worst(statements: Statements, ordinal: int) -> Worst:
    judged = _judged(statements, from_ordinal([ordinal], statements.subject.fmt))
    return statements.worst(judged, 0)
