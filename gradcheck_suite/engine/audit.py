"""Auditing a gate: mutate the op, judge the mutants, and see which of them the gate lets through."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from gradcheck_suite.baseline.compare import SAME_ENVIRONMENT, judged
from gradcheck_suite.baseline.record import entry_of
from gradcheck_suite.engine.cases import Case
from gradcheck_suite.engine.mutants import MUTANTS, SWAP, TAILS, Mutant, Seen
from gradcheck_suite.engine.run import run_alike
from gradcheck_suite.gate import Gate
from gradcheck_suite.ops.record import Op
from gradcheck_suite.ops.variants import at_variant
from gradcheck_suite.results import Finding, Result


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of a mutant in one dtype: "caught", "survives" or "changes nothing"; the finding that
    caught it.
    """

    mutant: str
    dtype: str
    outcome: str
    finding: Finding | None = None


def audit(op: Op, dtypes: tuple[str, ...], gate: Gate) -> Iterator[Verdict]:
    """The verdict on each mutant of the op's first variant, in each dtype.

    A mutant is caught where the gate fails it for something that it does not fail the op itself for: the op's
    own results serve as the baseline, so that an op with known defects can be audited too.
    """
    variant = dict(op.variants[0])
    for dtype in dtypes:
        for direction in ("forward", "backward"):
            if direction in op.directions:
                case = Case(op=at_variant(op, variant), variant=variant, dtype=dtype, direction=direction)
                yield from _direction(case, gate)


def applicable(op: Op) -> list[Mutant]:
    """The mutants that make sense for an op."""
    several = len(op.inputs) > 1
    return [m for m in MUTANTS if m.direction in op.directions and (m is not SWAP or several)]


def _direction(case: Case, gate: Gate) -> Iterator[Verdict]:
    own = {result.id: result for result in run_alike(case, case.op.call, gate.settings)}
    for mutant in applicable(case.op):
        if mutant.direction == case.direction:
            yield _verdict(case, mutant, own, gate)


def _verdict(case: Case, mutant: Mutant, own: dict[str, Result], gate: Gate) -> Verdict:
    for tail in TAILS if mutant.has_tail else TAILS[:1]:
        seen = Seen()
        call = mutant.plant(case.op, case.dtype, tail, seen)
        failing = [f for r in run_alike(case, call, gate.settings) for f in _failing(r, own, gate)]
        if failing:
            return Verdict(mutant=mutant.name, dtype=case.dtype, outcome="caught", finding=failing[0])
        if seen.changed and not mutant.has_tail:
            return Verdict(mutant=mutant.name, dtype=case.dtype, outcome="survives")
    outcome = "survives" if seen.changed else "changes nothing"
    return Verdict(mutant=mutant.name, dtype=case.dtype, outcome=outcome)


def _failing(result: Result, own: dict[str, Result], gate: Gate) -> list[Finding]:
    told_apart: Any = judged(result, entry_of(own[result.id]), SAME_ENVIRONMENT)
    held = replace(gate, settings=replace(gate.settings, strict=True), own=None, shipped=None)
    return [finding for _, finding in held.failing([told_apart])]
