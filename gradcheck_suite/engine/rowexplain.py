"""One call of an op whose entries depend on each other, worked out entry by entry."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from gradcheck_suite.engine.calls import Raised, Unsupported
from gradcheck_suite.engine.cases import Case
from gradcheck_suite.engine.explanation import (
    Entry,
    Explanation,
    explained,
    unjudged,
    verdict_of,
)
from gradcheck_suite.engine.judge import KINDS
from gradcheck_suite.engine.quantities import Quantity, order_of, quantities
from gradcheck_suite.engine.rows import RowJudged, RowSubject
from gradcheck_suite.engine.rowstatements import RowStatements
from gradcheck_suite.errors import UsageError
from gradcheck_suite.floats import Format, round_to
from gradcheck_suite.formula.sensitivities import sensitivities
from gradcheck_suite.ops.record import Op, Sample
from gradcheck_suite.options import Settings

_LISTED = 16
"""Entries up to which each is listed; of longer results only the worst one."""

_SHORT = 240
"""Characters of an example in a message."""


def sample_of(op: Op, variant: Mapping[str, Any], inputs: Mapping[str, Any], fmt: Format) -> Sample:
    """The call that a user typed: numbers and nested lists by name.

    Raises UsageError for a name that the op does not have or that is missing, and for lists that form no
    array.
    """
    formula = list(inspect.signature(op.formula).parameters.values())[1:]
    optional = {p.name for p in formula if p.default is not p.empty}
    needed = tuple(p.name for p in formula if p.name not in {*optional, *variant})
    known = tuple(dict.fromkeys([*op.inputs, *op.extras, *needed]))
    for name in inputs:
        if name not in known:
            raise UsageError.lacking(op.name, "input", name, known)
    models = _models(op, variant, fmt)
    missing = [n for n in known if n not in inputs and n not in optional]
    if missing:
        raise UsageError(f"{op.name} needs the input {missing[0]!r} too{_example(models)}")
    named = {n: round_to(_array(n, inputs[n], 0.0), fmt) for n in op.inputs}
    rest = {n: _array(n, x, _model(n, models)) for n, x in inputs.items() if n not in op.inputs}
    return Sample(
        inputs=named,
        extra={n: round_to(x, fmt) if _is_float(x) else x for n, x in rest.items()},
        label="the call",
    )


def _models(op: Op, variant: Mapping[str, Any], fmt: Format) -> list[Sample]:
    """Calls that the op states itself: they show what its arguments look like."""
    assert op.samples is not None
    return list(op.samples(op.params(variant), fmt, budget="quick", seed=0))


def _model(name: str, models: Sequence[Sample]) -> Any:
    return next((s.extra[name] for s in models if name in s.extra), 0)


def _example(models: Sequence[Sample]) -> str:
    """One of the shorter calls that have more than one entry, as a user would type it."""
    calls = [{**s.inputs, **s.extra} for s in models if "ordinary" in s.label or "batch" in s.label]
    texts = sorted(
        (json.dumps({n: np.asarray(x).tolist() for n, x in call.items()}) for call in calls), key=len
    )
    return f"; write all inputs as JSON, such as '{texts[0]}'" if texts and len(texts[0]) < _SHORT else ""


def _array(name: str, value: Any, model: Any) -> Any:
    """The array of an argument that looks like `model`: numbers of the dtype, whole numbers, or true and false."""
    try:
        array = np.array(value)
    except ValueError:
        raise UsageError(
            f"the lists of input {name!r} have different lengths: write rows of one length."
        ) from None
    if array.dtype == bool:
        if isinstance(model, float):
            raise UsageError(f"input {name!r} takes numbers, not true and false")
        return array
    if _is_float(model) or np.asarray(model).dtype == bool:
        return array.astype(np.float64)
    if (array != np.round(array)).any():
        raise UsageError(f"input {name!r} takes whole numbers, not {value!r}")
    return array.astype(np.int64) if isinstance(model, np.ndarray) else array.astype(np.int64).item()


def _is_float(value: Any) -> bool:
    return bool(np.asarray(value).dtype.kind == "f")


def explain_sample(case: Case, sample: Sample, settings: Settings) -> Iterator[Explanation]:
    """Every column of a direction at one call; one explanation where torch refuses or raises.

    Raises UsageError for a call that an op of torch, or its definition, does not take.
    """
    _check(case, sample, settings)
    subject = RowSubject(case.op, case.variant, case.dtype, case.order, settings, samples=(sample,))
    inputs = {n: np.asarray(x).tolist() for n, x in (*sample.inputs.items(), *sample.extra.items())}
    try:
        subject.called(0)
    except (Unsupported, Raised) as error:
        verdict = "unsupported" if isinstance(error, Unsupported) else "finding"
        first = quantities(case)[0]
        yield unjudged(first, inputs, verdict, f"{first.label} {case.direction}: {error}")
        return
    for quantity in quantities(case):
        yield _explained(quantity, subject, inputs)


def _check(case: Case, sample: Sample, settings: Settings) -> None:
    """What an op of torch refuses to compute at all is a mistake in what was typed, not a defect."""
    forward = RowSubject(case.op, case.variant, case.dtype, 0, settings, samples=(sample,))
    try:
        size = len(forward.called(0).columns["value"])
    except (Unsupported, Raised) as error:
        if case.op.custom or isinstance(error, Unsupported):
            return
        raise UsageError(f"{case.op.callable_name} does not take these inputs: {error}") from None
    if not size:
        raise UsageError(f"{case.op.name} gives no number for these inputs")
    try:
        forward.reference(0)
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        raise UsageError(f"the definition of {case.op.name} does not cover these inputs: {error}") from None


def _explained(quantity: Quantity, subject: RowSubject, inputs: dict[str, Any]) -> Explanation:
    judged = subject.judged(quantity.column)
    statements = RowStatements(quantity, subject)
    v = judged.verdicts
    # Of equally bad entries the first; entries that were not judged come last.
    worst = int(np.argmax(np.nan_to_num(v.ulp, nan=-1.0)))
    witness, _ = statements.witness(judged, worst)
    shown = dict(inputs)
    if quantity.wrt is not None:
        shown["cotangent"] = statements.cotangent(judged, worst).tolist()
    listed = range(len(judged.computed)) if len(judged.computed) <= _LISTED else ()
    return explained(
        quantity,
        v,
        worst,
        verdict=verdict_of(v, subject.reference(0).undefined[quantity.column], worst),
        say=lambda kind: statements.sentence(judged, worst, kind, witness),
        inputs=shown,
        got=float(judged.computed[worst]),
        exact=witness.exact,
        ulp=float(v.ulp[worst]),
        condition=_condition(subject, judged, worst),
        entries=tuple(_entry(statements, judged, i) for i in listed),
    )


def _entry(statements: RowStatements, judged: RowJudged, i: int) -> Entry:
    index = statements.index(judged, i)
    witness, _ = statements.witness(judged, i)
    return Entry(
        index="[" + ", ".join(map(str, index)) + "]" if index else "",
        got=float(judged.computed[i]),
        exact=witness.exact,
        ulp=float(judged.verdicts.ulp[i]),
        kind=KINDS[judged.verdicts.kind[i]] or None,
    )


def _condition(subject: RowSubject, judged: RowJudged, i: int) -> float | None:
    """The sum of |z df/dz| over all numbers of the call, over |f|, for one entry."""
    exact = float(judged.lower.to_float64()[i])
    problem = subject.problem(subject.samples[0])
    if not exact or not np.isfinite(exact) or not problem.finite or judged.tie[i]:
        return None
    wanted = subject.wanted(judged.cotangent, order_of(judged.column))
    slopes = sensitivities(problem, wanted, judged.column, int(judged.entry[i]))
    size = sum(float(np.abs(s).sum()) for s in slopes.values()) / abs(exact)
    return size if np.isfinite(size) else None
