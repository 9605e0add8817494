"""How a custom op behaves beside what it computes: is it deterministic, does it leave its inputs alone, is
its gate real?
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt

from gradcheck_suite.engine.calls import COTANGENT, Raised, Unsupported
from gradcheck_suite.engine.cases import Case
from gradcheck_suite.engine.judge import SEVERITIES
from gradcheck_suite.engine.pointwise import Subject, take
from gradcheck_suite.engine.quantities import Quantity, verdict_on
from gradcheck_suite.engine.rows import RowSubject
from gradcheck_suite.results import Finding, Result

Floats = npt.NDArray[np.float64]

_INFO: Final = SEVERITIES.index("info")
_TORCH, _IT = " torch computes ", " it computes "
"""A custom op is not torch's."""

_DTYPE: Final = re.compile(r"dtype|scalar type|\b(?:b?float(?:16|32|64)|half|double)\b", re.IGNORECASE)
"""What an op says that refuses a dtype."""

_TRIED: Final = 12
"""Samples on which rows are called again."""


def with_conduct(result: Result, quantity: Quantity, subject: Subject | RowSubject) -> Result:
    """The result with findings on the conduct of a custom op, and with a note where its gate lets everything
    pass.
    """
    if not quantity.case.op.custom or result.verdict == "unsupported":
        return result
    if not result.sample:
        return _refused(result, quantity.case)
    own = (dataclasses.replace(f, message=f.message.replace(_TORCH, _IT)) for f in result.findings)
    findings = (*own, *_findings(quantity, subject))
    doubt = result.note if result.verdict == "inconclusive" else ""
    if not doubt and is_vacuous(subject, quantity.column):
        doubt = f"vacuous gate: nothing but zeros, or ones, would pass it ({_why(result, subject)})"
    # What is skipped is told beside, and no doubt about the rest.
    note = "; ".join(dict.fromkeys(filter(None, [doubt, result.note])))
    return dataclasses.replace(result, findings=findings, note=note, verdict=verdict_on(findings, doubt))


def _refused(result: Result, case: Case) -> Result:
    """An op that raises over a dtype that nobody claims it to have does not support it."""
    # Ahead of this word stands the case, with its dtype.
    said = [finding.message.partition(" path")[2] for finding in result.findings]
    if not case.op.any_dtype or not said or not all(_DTYPE.search(text) for text in said):
        return result
    return dataclasses.replace(result, verdict="unsupported", note=result.findings[0].message, findings=())


def _findings(quantity: Quantity, subject: Subject | RowSubject) -> Iterator[Finding]:
    case = quantity.case
    label = f"{quantity.label} {case.direction}"
    changed = _changed(subject, quantity.column) if case.direction != "double-backward" else ()
    # Forward and backward share the call that overwrites; the value alone is computed once more where one is found.
    told = case.direction == "backward" and "forward" in case.op.directions and _changed_by_value(subject)
    if changed and not told:
        yield Finding(
            id=f"{quantity.id}::raises.changes-inputs",
            kind="raises",
            severity="critical",
            message=f"{label} overwrites its input {changed[0]!r}, which belongs to the caller.",
        )
    # One call goes back to all inputs.
    if quantity.column == f"d:{case.op.inputs[0]}" and _changes_cotangent(subject):
        yield Finding(
            id=f"{quantity.id}::raises.changes-cotangent",
            kind="raises",
            severity="critical",
            message=f"{label} overwrites the gradient that it is handed, which others may be handed too.",
        )
    differs = _differs(subject, quantity.column)
    if differs:
        yield Finding(
            id=f"{quantity.id}::path.again",
            kind="path",
            severity="minor",
            path="again",
            message=f"{label} is not deterministic: the {quantity.name} of the same input {differs}.",
        )


def _changed(subject: Subject | RowSubject, column: str) -> tuple[str, ...]:
    """The inputs that the op wrote to."""
    if isinstance(subject, Subject):
        return subject.outcome("vector", subject.order_of(column)).changed
    names = {name for k in _few(subject) for name in subject.called(k).changed}
    return tuple(n for n in subject.op.inputs if n in names)


def _changed_by_value(subject: Subject | RowSubject) -> bool:
    """Whether computing the value alone writes to inputs; rows are not asked."""
    return not isinstance(subject, Subject) or bool(subject.outcome("vector", 0).changed)


def _changes_cotangent(subject: Subject | RowSubject) -> bool:
    """Whether an elementwise op writes to the cotangent on its way back."""
    if not isinstance(subject, Subject):
        return False
    where = subject.cotangent_points
    try:
        return COTANGENT in subject.run(subject.at(where), 1, "vector", np.ones(len(where))).changed
    except (Raised, Unsupported):
        return False


def _differs(subject: Subject | RowSubject, column: str) -> str:
    """How a second call differs from the first, bit by bit; "" where it does not."""
    try:
        pairs = list(_twice(subject, column))
    except (Raised, Unsupported) as error:
        return f"is computed once and then not again: {error}"
    count = sum(int((~_same(first, second)).sum()) for first, second in pairs)
    if not count:
        return ""
    first, second = next((a, b) for a, b in pairs if not _same(a, b).all())
    i = int(np.flatnonzero(~_same(first, second))[0])
    return (
        f"differs from call to call in {count} entries, such as {float(first[i])!r} and {float(second[i])!r}"
    )


def _twice(subject: Subject | RowSubject, column: str) -> Iterator[tuple[Floats, Floats]]:
    if isinstance(subject, Subject):
        order = subject.order_of(column)
        # Twice more: what alternates from call to call may be in step with all those made so far.
        for _ in range(2):
            again = subject.run(subject.tuples.values, order, "vector")
            yield subject.outcome("vector", order).columns[column], again.columns[column]
        return
    for k in _few(subject):
        yield subject.called(k).columns[column], subject.call_again(k).columns[column]


def _same(a: Floats, b: Floats) -> npt.NDArray[np.bool_]:
    if a.shape != b.shape:
        return np.zeros(1, dtype=bool)
    same: npt.NDArray[np.bool_] = (a == b) | (np.isnan(a) & np.isnan(b))
    return same


def is_vacuous(subject: Subject | RowSubject, column: str) -> bool:
    """Whether a result of zeros and a result of ones would both pass: then so does everything."""
    return all(not _fails(subject, column, constant) for constant in (0.0, 1.0))


def _fails(subject: Subject | RowSubject, column: str, constant: float) -> bool:
    if isinstance(subject, Subject):
        where = subject.cotangent_points
        computed = np.full(len(where), constant)
        judged = subject.judge_column(subject.at(where), computed, take(subject.reference, where), column)
        return bool(((judged.verdicts.kind > 0) & (judged.verdicts.severity < _INFO)).any())
    for k in _few(subject):
        verdicts = subject.judged_as(column, k, constant).verdicts
        if ((verdicts.kind > 0) & (verdicts.severity < _INFO)).any():
            return True
    return False


def _why(result: Result, subject: Subject | RowSubject) -> str:
    if not result.points:
        return "no input is judged"
    return f"max_ulp={subject.max_ulp:g}, {result.points} points"


def _few(subject: RowSubject) -> list[int]:
    """Some small samples on which the op works."""
    found = []
    for k in subject.small:
        try:
            subject.called(int(k))
        except Raised:
            continue
        found.append(int(k))
        if len(found) == _TRIED:
            break
    return found
