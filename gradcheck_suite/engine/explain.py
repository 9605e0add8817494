"""One input, worked out in full: computed and exact value and gradient, both rulers, the verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gradcheck_suite.engine import wording
from gradcheck_suite.engine.calls import Raised, Unsupported
from gradcheck_suite.engine.cases import Case
from gradcheck_suite.engine.explanation import Explanation, unjudged, verdict_of
from gradcheck_suite.engine.judge import KINDS, REASONS, SEVERITIES
from gradcheck_suite.engine.pointwise import Judged, Subject
from gradcheck_suite.engine.rowexplain import explain_sample, sample_of
from gradcheck_suite.engine.rowrun import columns_of
from gradcheck_suite.engine.run import CaseRunner
from gradcheck_suite.errors import UsageError, suggest
from gradcheck_suite.floats import format_of, round_to
from gradcheck_suite.formula.points import Points
from gradcheck_suite.ops.record import Op
from gradcheck_suite.ops.variants import TENSOR, at_variant
from gradcheck_suite.options import Settings


def explain(
    op: Op,
    inputs: Mapping[str, Any],
    *,
    dtype: str,
    variant: Mapping[str, Any],
    settings: Settings,
    directions: Sequence[str] = ("forward", "backward"),
) -> list[Explanation]:
    """Judge an op at one input, in each direction, its gradient with respect to every input.

    Raises UsageError for an input or parameter the op lacks.
    """
    check_parameters(op, variant)
    fmt = format_of(dtype)
    chosen = {**op.variants[0], **variant, **{n: TENSOR for n in inputs if n in op.optional}}
    called = at_variant(op, chosen)
    if not called.pointwise:
        sample = sample_of(called, chosen, inputs, fmt)
        cases = [
            Case(op=called, variant=chosen, dtype=dtype, direction=direction) for direction in directions
        ]
        return [found for case in cases for found in explain_sample(case, sample, settings)]
    known = (*op.inputs, *op.extras, *op.optional)
    unknown = [n for n in inputs if n not in known]
    if unknown:
        raise UsageError(f"{op.name} has no input {unknown[0]!r}. {suggest(unknown[0], known)}")
    point = {n: round_to(np.array([float(inputs[n])]), fmt) for n in (*called.inputs, *called.extras)}
    found = []
    for direction in directions:
        case = Case(op=called, variant=chosen, dtype=dtype, direction=direction)
        found += [_one(case, column, wrt, point, settings) for column, wrt in columns_of(case)]
    return found


def check_parameters(op: Op, variant: Mapping[str, Any]) -> None:
    """Raises UsageError that suggests the closest parameter."""
    known = tuple(op.params(op.variants[0]))
    for name in variant:
        if name not in known:
            raise UsageError(f"{op.name} has no parameter {name!r}. {suggest(name, known)}")


def _one(
    case: Case, column: str, wrt: str | None, point: Mapping[str, Any], settings: Settings
) -> Explanation:
    subject = Subject(case.op, case.variant, case.dtype, case.order, settings)
    inputs = {n: float(v[0]) for n, v in point.items()}
    label = f"{case.op.label(case.variant)} {case.dtype}"
    try:
        # 64 equal entries take the vector path, as the run itself does.
        outcome = subject.run({n: np.repeat(x, 64) for n, x in point.items()}, case.order, "vector")
    except (Unsupported, Raised) as error:
        verdict = "unsupported" if isinstance(error, Unsupported) else "finding"
        return unjudged(case, wrt, inputs, verdict, f"{label} {case.direction}: {error}")
    points = subject.exact(point, case.order)
    together = {n: c[:1] for n, c in outcome.columns.items()}
    judged = subject.judge_column(point, together[column], points, column, together=together)
    runner = CaseRunner(case, subject, column, wrt, settings)
    witness, _ = runner._witness(judged, 0)
    v = judged.verdicts
    verdict = verdict_of(v, points.undefined[column])
    kind = KINDS[v.kind[0]] or None
    if kind is None and column == "value" and points.nan_expected[0]:
        verdict = "ok"
    got = float(judged.computed[0])
    return Explanation(
        direction=case.direction,
        wrt=wrt,
        inputs=inputs,
        got=got,
        exact=_exact(points, judged, column, witness.exact),
        ulp=None if np.isnan(v.ulp[0]) else float(v.ulp[0]),
        condition=_condition(points, point, column),
        verdict=verdict,
        kind=kind,
        severity=SEVERITIES[v.severity[0]] or None,
        sentence=_sentence(case, wrt, kind, verdict, v, inputs, got, witness),
    )


def _exact(points: Points, judged: Judged, column: str, nearest: str) -> str:
    """The exact value as a person reads it: of a set its ends, of what is not defined the word."""
    if points.nan_expected[0] and column == "value":
        return "nan, for the input is"
    if points.undefined[column][0]:
        return "undefined"
    low, high = (float(end.to_float64()[0]) for end in (judged.lower, judged.upper))
    if not judged.tie[0] or low == high:
        return nearest
    return f"a kink: any number from {wording.decimal(low)} to {wording.decimal(high)}"


def _condition(points: Any, point: Mapping[str, Any], column: str) -> float | None:
    """sum |x f'/f| of the column: how relative changes of the inputs are amplified in the result."""
    following = {"value": "d:", "d:": "dd:"}.get(
        "value" if column == "value" else column.partition(":")[0] + ":"
    )
    slopes = {n: f"{following}{n}" for n in point if following and f"{following}{n}" in points.columns}
    if not slopes or (column != "value" and len(point) > 1):
        return None
    with np.errstate(all="ignore"):
        value = points.columns[column].to_float64()[0]
        parts = [abs(float(point[n][0]) * points.columns[d].to_float64()[0]) for n, d in slopes.items()]
        size = float(sum(parts)) / abs(value) if value else np.nan
    return size if np.isfinite(size) else None


def _sentence(
    case: Case,
    wrt: str | None,
    kind: str | None,
    verdict: str,
    v: Any,
    inputs: dict[str, float],
    got: float,
    w: Any,
) -> str:
    what = wording.quantity(case.direction)
    if kind is None:
        says = {
            "undefined": "nothing is judged: the exact result is undefined there",
            "ok": "nothing wrong",
        }
        return f"{case.op.label(case.variant)} {case.dtype}: {what}: {says.get(verdict, verdict)}."
    text = wording.sentence(
        case.op.label(case.variant),
        case.dtype,
        case.direction,
        kind=kind,
        point=inputs,
        got=got,
        exact=w.exact,
        ulp=w.ulp,
        wrt=wrt if len(case.op.inputs) > 1 else None,
    )
    reason = REASONS[v.reason[0]]
    return f"{text} Excused: {reason}." if verdict == "excused" else text
