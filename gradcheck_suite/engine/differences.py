"""Comparing the ways of calling an op: where a path computes other bits than the vector path does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from gradcheck_suite.engine import paths
from gradcheck_suite.engine.judge import Verdicts
from gradcheck_suite.engine.pointwise import Judged, Subject, lines_within, take
from gradcheck_suite.engine.probing import Source, hides
from gradcheck_suite.engine.refusals import Unsupported

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What a path computes at points of the sample, judged; `vector` holds the other values.

    `harmless` indexes the points with other bits that are no more than remarks on both paths, `unjudged` those
    with other numbers of which no exact value says which is right; `source` has the failures that the vector
    path does not show.
    """

    path: str
    judged: Judged
    vector: Floats
    harmless: Ints
    unjudged: Ints
    source: Source

    def same_as(self, other: Difference) -> bool:
        """Whether both paths computed the same bits at the same points: one of them says it all."""
        a, b = self.judged.computed, other.judged.computed
        return len(a) == len(b) and not other_bits(a, b).any()


def difference(subject: Subject, column: str, main: Judged, path: str) -> Difference | None:
    """How a path differs from the verdicts `main` of the vector path; None where every bit is the same.

    Raises Unsupported where the path does not exist for this column, and Raised where it fails.
    """
    if path == paths.GRAPH and not _differs_at_few(subject, column, main, path):
        return None
    where, computed = _computed(subject, column, path)
    vector = main.computed[where]
    differs = other_bits(computed, vector)
    if not differs.any():
        return None
    judged = _judged(subject, column, main, where, computed, differs)
    before = main.verdicts.take(where)
    mild = judged.verdicts.mild
    fine = differs & mild & before.mild & ~np.isnan(judged.verdicts.ulp)
    known = ~differs | mild | hides(before, judged.verdicts, graver=True)
    shown = replace(judged, verdicts=judged.verdicts.without(known))
    source = Source(judged=shown, path=path, over=True, graver=True)
    return Difference(
        path=path,
        judged=judged,
        vector=vector,
        harmless=np.flatnonzero(fine),
        unjudged=_unjudged(judged, before, computed, vector),
        source=source,
    )


def _unjudged(judged: Judged, before: Verdicts, computed: Floats, vector: Floats) -> Ints:
    """Where neither path is judged, as for a gradient at a NaN, and the two are different numbers."""
    left = np.isnan(judged.verdicts.ulp) & ~judged.verdicts.open & np.isnan(before.ulp) & ~before.open
    equal = np.isclose(computed, vector, rtol=2.0**-7, atol=0.0, equal_nan=True)
    return np.flatnonzero(left & ~equal)


def other_bits(a: Floats, b: Floats) -> Bools:
    """Where two arrays differ, signs of zeros included; all NaNs are alike."""
    both_nan = np.isnan(a) & np.isnan(b)
    zeros: Bools = (a == 0) & (b == 0) & (np.signbit(a) != np.signbit(b))
    with np.errstate(invalid="ignore"):
        differs: Bools = ((a != b) & ~both_nan) | zeros
    return differs


def _differs_at_few(subject: Subject, column: str, main: Judged, path: str) -> bool:
    """Whether a gradient that is recorded has other bits anywhere: where another formula computes it, at many points.

    For most ops it is the same code, and the whole sample would say no more.
    """
    if not column.startswith("d:"):
        raise Unsupported("only a gradient can be recorded")
    few = subject.single_points
    found = subject.run(subject.at(few), subject.order_of(column), path)
    return bool(other_bits(found.columns[column], main.computed[few]).any())


def _computed(subject: Subject, column: str, path: str) -> tuple[Ints, Floats]:
    """Indices into the sample, and what the path computes there."""
    order = subject.order_of(column)
    if path in paths.ONE_BY_ONE:
        where = subject.single_points
        columns = subject.outcome_at_few(path, order).columns
    else:
        where = np.arange(len(subject.tuples), dtype=np.int64)
        columns = subject.outcome(path, order).columns
    if column not in columns:
        raise Unsupported(f"the path {paths.shown(path)} has no such derivative")
    return where, columns[column]


def _judged(
    subject: Subject, column: str, main: Judged, where: Ints, computed: Floats, differs: Bools
) -> Judged:
    """Verdicts of the path; only where bits differ is there anything to judge anew."""
    whole = _points(main, where)
    verdicts = _rejudged(subject, column, whole, where, computed, np.flatnonzero(differs), excuses=False)
    # The second ruler is dear, and of no use where the vector path fails as gravely.
    before = whole.verdicts
    graver = (verdicts.kind > 0) & ((before.kind == 0) | (verdicts.severity < before.severity))
    judged = replace(whole, verdicts=verdicts)
    anew = np.flatnonzero(differs & graver)
    verdicts = _rejudged(subject, column, judged, where, computed, anew, excuses=True)
    lines = main.lines if len(where) == len(main.computed) else lines_within(main.lines, where)
    return replace(whole, computed=computed, verdicts=verdicts, lines=lines)


def _rejudged(
    subject: Subject, column: str, whole: Judged, where: Ints, computed: Floats, at: Ints, *, excuses: bool
) -> Verdicts:
    """The verdicts of `whole`, those `at` some of its points judged anew."""
    if not len(at):
        return whole.verdicts
    few = where[at]
    points = take(subject.reference, few)
    found = subject.judge_column(subject.at(few), computed[at], points, column, excuses=excuses)
    return _put(whole.verdicts, at, found.verdicts)


def _points(judged: Judged, where: Ints) -> Judged:
    if len(where) == len(judged.computed):
        return judged
    return replace(
        judged,
        inputs={n: x[where] for n, x in judged.inputs.items()},
        computed=judged.computed[where],
        lower=judged.lower[where],
        upper=judged.upper[where],
        tie=judged.tie[where],
        verdicts=judged.verdicts.take(where),
        limit=None if judged.limit is None else judged.limit[where],
    )


def _put(verdicts: Verdicts, where: Ints, other: Verdicts) -> Verdicts:
    """The verdicts, those at `where` replaced."""
    return verdicts.joined(other).take(_replaced(len(verdicts.kind), where))


def _replaced(size: int, where: Ints) -> Ints:
    index = np.arange(size, dtype=np.int64)
    index[where] = size + np.arange(len(where))
    return index


def summary(differences: Sequence[Difference]) -> str:
    """Which paths differ from the vector path within the threshold, and at how many inputs."""
    return ", ".join(
        f"{paths.shown(d.path)} ({len(d.harmless)} of {len(d.judged.computed)} inputs)" for d in differences
    )
