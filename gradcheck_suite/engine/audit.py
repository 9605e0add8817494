"""Auditing a gate: mutate the op, judge the mutants, and see which of them the gate lets through."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gradcheck_suite.engine.calls import Raised, Unsupported
from gradcheck_suite.engine.cases import Case
from gradcheck_suite.engine.judge import KINDS, SEVERITIES, Verdicts
from gradcheck_suite.engine.mutants import MUTANTS, SWAP, TAILS, Mutant, Seen
from gradcheck_suite.engine.pointwise import Subject
from gradcheck_suite.engine.quantities import quantities
from gradcheck_suite.engine.rows import RowSubject
from gradcheck_suite.engine.run import subject_of
from gradcheck_suite.ops.record import Op
from gradcheck_suite.ops.variants import at_variant
from gradcheck_suite.options import DEFAULT_FAIL_ON, Settings

_DIRECTIONS: Final = ("forward", "backward")


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of a mutant in one dtype: "caught" (with the kind and the size of the error that told),
    "survives" or "changes nothing".
    """

    mutant: str
    dtype: str
    outcome: str
    kind: str = ""
    ulp: float | None = None


def audit(op: Op, dtypes: tuple[str, ...], settings: Settings) -> Iterator[Verdict]:
    """The verdict on each mutant of the op's first variant, in each dtype.

    A mutant is caught where an input fails the gate that the op itself passes there: so an op with known
    defects can be audited too. Only the vector path and the usual cotangent are tried; a gate catches no
    less. Raises Raised or Unsupported where the op itself does not work.
    """
    variant = dict(op.variants[0])
    for dtype in dtypes:
        for direction in _DIRECTIONS:
            if direction in op.directions:
                case = Case(op=at_variant(op, variant), variant=variant, dtype=dtype, direction=direction)
                yield from _direction(case, settings)


def applicable(op: Op) -> list[Mutant]:
    """The mutants that make sense for an op."""
    several = len(op.inputs) > 1
    return [m for m in MUTANTS if m.direction in op.directions and (m is not SWAP or several)]


def _direction(case: Case, settings: Settings) -> Iterator[Verdict]:
    subject = subject_of(case, settings)
    own = {q.column: _verdicts(subject, q.column) for q in quantities(case)}
    for mutant in applicable(case.op):
        if mutant.direction == case.direction:
            yield _verdict(case, mutant, subject, own, settings)


def _verdict(
    case: Case, mutant: Mutant, subject: Subject | RowSubject, own: dict[str, Verdicts], settings: Settings
) -> Verdict:
    seen = Seen()
    for tail in TAILS if mutant.has_tail else TAILS[:1]:
        seen = Seen()
        call = mutant.plant(case.op, case.dtype, tail, seen)
        twin = subject.twin(replace(case.op, call=call, module=None, inplace=None, out=None, twins=()))
        for column in own:
            try:
                found = _verdicts(twin, column)
            except (Raised, Unsupported):
                return Verdict(mutant=mutant.name, dtype=case.dtype, outcome="caught", kind="raises")
            fresh = _fresh(own[column], found, settings.fail_on or DEFAULT_FAIL_ON)
            if len(fresh):
                worst = fresh[np.argmax(found.ulp[fresh])]
                kind, ulp = KINDS[found.kind[worst]], float(found.ulp[worst])
                return Verdict(mutant=mutant.name, dtype=case.dtype, outcome="caught", kind=kind, ulp=ulp)
    return Verdict(
        mutant=mutant.name, dtype=case.dtype, outcome="survives" if seen.changed else "changes nothing"
    )


def _verdicts(subject: Subject | RowSubject, column: str) -> Verdicts:
    judged: Any = subject.judged(column, "vector")
    verdicts: Verdicts = judged.verdicts
    return verdicts


def _fresh(own: Verdicts, found: Verdicts, fail_on: str) -> npt.NDArray[np.int64]:
    """The points that fail from `fail_on` on, and did not fail, or not as gravely, before."""
    if fail_on == "never":
        return np.zeros(0, dtype=np.int64)
    fails = (found.kind > 0) & (found.severity <= SEVERITIES.index(fail_on))
    return np.flatnonzero(fails & ((own.kind == 0) | (own.severity > found.severity)))
