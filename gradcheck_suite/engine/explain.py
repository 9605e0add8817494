"""One input, worked out in full: computed and exact value and gradient, both rulers, the verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gradcheck_suite.engine import wording
from gradcheck_suite.engine.calls import Raised, Unsupported
from gradcheck_suite.engine.cases import Case
from gradcheck_suite.engine.explanation import Explanation, explained, unjudged, verdict_of
from gradcheck_suite.engine.pointwise import Judged, Subject
from gradcheck_suite.engine.quantities import Quantity, quantities
from gradcheck_suite.engine.rowexplain import explain_sample, sample_of
from gradcheck_suite.engine.statements import Statements
from gradcheck_suite.errors import UsageError
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
        raise UsageError.lacking(op.name, "input", unknown[0], known)
    point = {n: round_to(np.array([float(inputs[n])]), fmt) for n in (*called.inputs, *called.extras)}
    found = []
    for direction in directions:
        case = Case(op=called, variant=chosen, dtype=dtype, direction=direction)
        found += [_one(quantity, point, settings) for quantity in quantities(case)]
    return found


def check_parameters(op: Op, variant: Mapping[str, Any]) -> None:
    """Raises UsageError that suggests the closest parameter."""
    known = tuple(op.params(op.variants[0]))
    for name in variant:
        if name not in known:
            raise UsageError.lacking(op.name, "parameter", name, known)


def _one(quantity: Quantity, point: Mapping[str, Any], settings: Settings) -> Explanation:
    case, column = quantity.case, quantity.column
    subject = Subject(case.op, case.variant, case.dtype, case.order, settings)
    inputs = {n: float(v[0]) for n, v in point.items()}
    try:
        # 64 equal entries take the vector path, as the run itself does.
        outcome = subject.run({n: np.repeat(x, 64) for n, x in point.items()}, case.order, "vector")
    except (Unsupported, Raised) as error:
        verdict = "unsupported" if isinstance(error, Unsupported) else "finding"
        return unjudged(quantity, inputs, verdict, f"{quantity.label} {case.direction}: {error}")
    points = subject.exact(point, case.order)
    together = {n: c[:1] for n, c in outcome.columns.items()}
    judged = subject.judge_column(point, together[column], points, column, together=together)
    witness, _ = Statements(quantity, subject).witness(judged, 0)
    v = judged.verdicts
    verdict = verdict_of(v, points.undefined[column])
    if verdict == "undefined" and column == "value" and points.nan_expected[0]:
        verdict = "ok"
    got = float(judged.computed[0])

    def say(kind: str) -> str:
        phrase = quantity.phrase
        return wording.sentence(
            phrase, kind=kind, point=inputs, got=got, exact=witness.exact, ulp=witness.ulp
        )

    return explained(
        quantity,
        v,
        0,
        verdict=verdict,
        say=say,
        inputs=inputs,
        got=got,
        exact=_exact(points, judged, column, witness.exact),
        ulp=None if np.isnan(v.ulp[0]) else float(v.ulp[0]),
        condition=_condition(points, point, column),
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
