"""One input, worked out in full: computed and exact value and gradient, both rulers, the verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gradcheck_suite.engine import wording
from gradcheck_suite.engine.calls import Raised, Unsupported
from gradcheck_suite.engine.cases import Case
from gradcheck_suite.engine.judge import KINDS, REASONS, SEVERITIES
from gradcheck_suite.engine.pointwise import Subject
from gradcheck_suite.engine.run import CaseRunner
from gradcheck_suite.errors import UsageError, suggest
from gradcheck_suite.floats import format_of, round_to
from gradcheck_suite.ops.record import Op
from gradcheck_suite.options import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """One quantity at one input.

    `got` is what torch computed, `exact` has 25 digits, `ulp` is the error.  `condition` is the relative condition
    number |x f'(x) / f(x)| where it is known.  `verdict` is "ok", "finding", "excused", "undefined", "inconclusive" or
    "unsupported".
    """

    direction: str
    wrt: str | None
    inputs: dict[str, Any]
    got: float | None
    exact: str
    ulp: float | None
    condition: float | None
    verdict: str
    kind: str | None
    severity: str | None
    sentence: str


def explain(
    op: Op,
    inputs: Mapping[str, Any],
    *,
    dtype: str,
    variant: Mapping[str, Any],
    settings: Settings,
    directions: Sequence[str] = ("forward", "backward"),
) -> list[Explanation]:
    """Judge an op at one input, in each direction. Raises UsageError for an input or parameter the op lacks."""
    check_parameters(op, variant)
    fmt = format_of(dtype)
    if not op.variants[0] and not variant:
        chosen: dict[str, Any] = {}
    else:
        chosen = {**op.variants[0], **variant}
    unknown = [n for n in inputs if n not in op.inputs]
    if unknown:
        raise UsageError(f"{op.name} has no input {unknown[0]!r}. {suggest(unknown[0], op.inputs)}")
    point = {n: round_to(np.array([float(v)]), fmt) for n, v in inputs.items()}
    found = []
    for direction in directions:
        case = Case(op=op, variant=chosen, dtype=dtype, direction=direction)
        found.append(_one(case, point, settings))
    return found


def check_parameters(op: Op, variant: Mapping[str, Any]) -> None:
    """Raises UsageError that suggests the closest parameter."""
    known = tuple(op.params(op.variants[0]))
    for name in variant:
        if name not in known:
            raise UsageError(f"{op.name} has no parameter {name!r}. {suggest(name, known)}")


def _one(case: Case, point: Mapping[str, Any], settings: Settings) -> Explanation:
    order = {"forward": 1, "backward": 1, "double-backward": 2}[case.direction]
    subject = Subject(case.op, case.variant, case.dtype, order, settings)
    wrt = case.op.inputs[0]
    column = {"forward": "value", "backward": f"d:{wrt}", "double-backward": f"dd:{wrt}"}[case.direction]
    x = point[wrt]
    inputs = {n: float(v[0]) for n, v in point.items()}
    label = f"{case.op.label(case.variant)} {case.dtype}"
    try:
        # 64 equal entries take the vector path, as the run itself does.
        outcome = subject.run(np.repeat(x, 64), order, "vector")
    except (Unsupported, Raised) as error:
        verdict = "unsupported" if isinstance(error, Unsupported) else "finding"
        return _unjudged(case, wrt, inputs, verdict, f"{label} {case.direction}: {error}")
    points = subject.exact(x, order)
    judged = subject.judge_column(x, outcome.columns[column][:1], points, column)
    runner = CaseRunner(case, subject, column, wrt, settings)
    witness, _ = runner._witness(judged, 0)
    v = judged.verdicts
    verdict = _verdict(v, points.undefined[column])
    kind = KINDS[v.kind[0]] or None
    got = float(judged.computed[0])
    return Explanation(
        direction=case.direction,
        wrt=None if case.direction == "forward" else wrt,
        inputs=inputs,
        got=got,
        exact=witness.exact,
        ulp=float(v.ulp[0]),
        condition=_condition(points, x, column),
        verdict=verdict,
        kind=kind,
        severity=SEVERITIES[v.severity[0]] or None,
        sentence=_sentence(case, kind, verdict, v, inputs, got, witness),
    )


def _unjudged(case: Case, wrt: str, inputs: dict[str, float], verdict: str, sentence: str) -> Explanation:
    return Explanation(
        direction=case.direction,
        wrt=None if case.direction == "forward" else wrt,
        inputs=inputs,
        got=None,
        exact="",
        ulp=None,
        condition=None,
        verdict=verdict,
        kind="raises" if verdict == "finding" else None,
        severity="critical" if verdict == "finding" else None,
        sentence=sentence,
    )


def _verdict(v: Any, undefined: Any) -> str:
    if v.open[0]:
        return "inconclusive"
    if undefined[0] and not v.kind[0]:
        return "undefined"
    if not v.kind[0]:
        return "ok"
    return "excused" if SEVERITIES[v.severity[0]] == "info" else "finding"


def _condition(points: Any, x: Any, column: str) -> float | None:
    """|x f'/f| of the column: how a relative change of the input is amplified in the result."""
    following = {"value": "d:", "d:": "dd:"}.get(column[:2] if column != "value" else "value")
    derivative = next((n for n in points.columns if following and n.startswith(following)), None)
    if derivative is None:
        return None
    with np.errstate(all="ignore"):
        value = points.columns[column].to_float64()[0]
        slope = points.columns[derivative].to_float64()[0]
        size = abs(float(x[0]) * slope / value) if value else np.nan
    return size if np.isfinite(size) else None


def _sentence(case: Case, kind: str | None, verdict: str, v: Any, inputs: dict[str, float], got: float, w: Any) -> str:
    what = wording.quantity(case.direction)
    if kind is None:
        reason = {"undefined": "nothing is judged: the exact result is undefined there", "ok": "nothing wrong"}
        return f"{case.op.label(case.variant)} {case.dtype}: {what}: {reason.get(verdict, verdict)}."
    text = wording.sentence(
        case.op.label(case.variant),
        case.dtype,
        case.direction,
        kind=kind,
        point=inputs,
        got=got,
        exact=w.exact,
        ulp=w.ulp,
    )
    reason = REASONS[v.reason[0]]
    return f"{text} Excused: {reason}." if verdict == "excused" else text
