"""Running one case: its subject, and one result for each of its quantities."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from gradcheck_suite.engine.availability import refusal, unjudged
from gradcheck_suite.engine.cases import Case
from gradcheck_suite.engine.conduct import with_conduct
from gradcheck_suite.engine.pointwise import Subject
from gradcheck_suite.engine.quantities import Quantity, quantities
from gradcheck_suite.engine.rowrunner import RowRunner
from gradcheck_suite.engine.rows import RowSubject
from gradcheck_suite.engine.runner import Runner
from gradcheck_suite.formula.arithmetic import reference, uncertified
from gradcheck_suite.ops.record import Op
from gradcheck_suite.options import Settings
from gradcheck_suite.results import Result


def run_all(cases: list[Case], settings: Settings) -> Iterator[tuple[Case, list[Result]]]:
    """Every case in order, as it is finished."""
    for case in cases:
        yield case, run_case(case, settings)


def run_case(case: Case, settings: Settings) -> list[Result]:
    """Judge one case: one result per differentiable input (one for the forward direction).

    An op that misbehaves becomes a finding; only a mistake in the harness raises.
    """
    reason = refusal(case.op, settings.device)
    if reason:
        return unjudged(case, "unsupported", reason)
    with reference(settings.reference):
        return [_labelled(result) for result in _run_whole(case, settings)]


def _labelled(result: Result) -> Result:
    """Results of mpmath alone say so."""
    if not uncertified():
        return result
    return dataclasses.replace(
        result, note="; ".join(n for n in (result.note, "uncertified: mpmath alone") if n)
    )


def _run_whole(case: Case, settings: Settings) -> list[Result]:
    found = _run(case, settings)
    if case.direction == "forward" and case.order and any(_could_not_run(result) for result in found):
        # The value may be sound where the gradient, computed in the same call, is not.
        return _run(case.alone(), settings)
    return found


def _could_not_run(result: Result) -> bool:
    return result.verdict == "unsupported" or any(finding.kind == "raises" for finding in result.findings)


def _run(case: Case, settings: Settings) -> list[Result]:
    subject = subject_of(case, settings)
    if not subject.size:
        return unjudged(case, "inconclusive", "vacuous gate: no input is judged, the domain leaves none")
    results = []
    for quantity in quantities(case):
        started = time.perf_counter()
        result = _result(quantity, subject, settings)
        seconds = round(time.perf_counter() - started, 6)
        results.append(with_conduct(dataclasses.replace(result, seconds=seconds), quantity, subject))
    return results


def _result(quantity: Quantity, subject: Subject | RowSubject, settings: Settings) -> Result:
    if isinstance(subject, Subject):
        return Runner(quantity, subject, settings).result()
    return RowRunner(quantity, subject, settings).result()


def subject_of(case: Case, settings: Settings) -> Subject | RowSubject:
    """Inputs, exact values and computed ones of a case; forward and backward of one variant share them."""
    return _subject(case.op, tuple(sorted(case.variant.items())), case.dtype, case.order, settings)


@lru_cache(maxsize=2)
def _subject(
    op: Op, variant: tuple[tuple[str, Any], ...], dtype: str, order: int, settings: Settings
) -> Subject | RowSubject:
    kind = Subject if op.pointwise else RowSubject
    return kind(op, dict(variant), dtype, order, settings)
