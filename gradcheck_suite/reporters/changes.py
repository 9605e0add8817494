"""What changed from one results document to the next: which findings are new, gone, worse or better."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

from gradcheck_suite.reporters.numbers import ulp_text, value_of
from gradcheck_suite.reporters.regions import prominence, region_text
from gradcheck_suite.results import Document, Finding, Result, largest_ulp, severity_rank

Turn = Literal["new", "worse", "better", "gone"]
TURNS: Final[tuple[Turn, ...]] = ("new", "worse", "better", "gone")

# The worst of a sample moves when other points are drawn; an order of two is more than that.
_ULP_FACTOR: Final = 2.0
# An end that was not bisected to the exact float is an envelope of a sample: an eighth of a binade is noise.
_LOG2_SLACK: Final = 0.125


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What became of one finding: `before` is None where it is new, `after` where it is gone.

    `result` is the newer of the two results that hold it; `reasons` say what moved.
    """

    turn: Turn
    result: Result
    before: Finding | None
    after: Finding | None
    reasons: tuple[str, ...] = ()

    @property
    def finding(self) -> Finding:
        """The newer of the two."""
        found = self.after or self.before
        assert found is not None
        return found

    @property
    def where(self) -> str:
        """Where the finding holds, or held."""
        return region_text(self.finding, self.result.dtype)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """All changes, gravest first; the cases that only one document has, and how the environments differ.

    A case that only one document has changes nothing: its findings are neither new nor gone.
    """

    changes: tuple[Change, ...]
    only_old: tuple[str, ...]
    only_new: tuple[str, ...]
    environment: tuple[tuple[str, str, str], ...]
    unchanged: int

    def of(self, turn: Turn) -> list[Change]:
        """The changes of one turn."""
        return [change for change in self.changes if change.turn == turn]


def compare(old: Document, new: Document) -> Comparison:
    """What changed in the findings above `info` from `old` to `new`, case by case."""
    before, after = ({r.id: r for r in document.results} for document in (old, new))
    both = [(before[i], result) for i, result in after.items() if i in before]
    changes = [change for pair in both for change in _changes(*pair)]
    matched = sum(len(_grave(a)) for _, a in both) - sum(c.after is not None for c in changes)
    return Comparison(
        changes=tuple(sorted(changes, key=_order)),
        only_old=tuple(i for i in before if i not in after),
        only_new=tuple(i for i in after if i not in before),
        environment=tuple(_differences(_known(old), _known(new))),
        unchanged=matched,
    )


def _order(change: Change) -> tuple[Any, ...]:
    return (TURNS.index(change.turn), *prominence(change.result, change.finding))


def _known(document: Document) -> dict[str, Any]:
    return {f"gradcheck_suite {k}" if k == "version" else k: v for k, v in document.tool.items()} | (
        document.environment
    )


def _differences(old: dict[str, Any], new: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    for name in {**old, **new}:
        if old.get(name) != new.get(name):
            yield name, str(old.get(name, "-")), str(new.get(name, "-"))


def _grave(result: Result) -> list[Finding]:
    return [f for f in result.findings if f.severity != "info"]


def _changes(old: Result, new: Result) -> Iterator[Change]:
    left = _grave(old)
    for finding in _grave(new):
        twin = _twin(finding, left)
        if twin is None:
            yield Change(turn="new", result=new, before=None, after=finding)
            continue
        left.remove(twin)
        same_sample = old.sample == new.sample
        worse, better = _moves(twin, finding, new.dtype, same_sample)
        if worse or better:
            turn: Turn = "worse" if worse else "better"
            yield Change(turn=turn, result=new, before=twin, after=finding, reasons=(*worse, *better))
    for finding in left:
        yield Change(turn="gone", result=new, before=finding, after=None)


def _twin(finding: Finding, candidates: Iterable[Finding]) -> Finding | None:
    """The same finding in the other document: by its id, else of the same kind where the intervals meet."""
    alike = [
        f
        for f in candidates
        if (f.kind, f.probe, f.path, f.fixed) == (finding.kind, finding.probe, finding.path, finding.fixed)
    ]
    same = next((f for f in candidates if f.id == finding.id), None)
    return same or next((f for f in alike if _meet(f, finding)), None)


def _ends(finding: Finding) -> tuple[float, float]:
    low, high = value_of(finding.lo), value_of(finding.hi)
    return (-math.inf if math.isnan(low) else low, math.inf if math.isnan(high) else high)


def _meet(one: Finding, other: Finding) -> bool:
    (a, b), (c, d) = _ends(one), _ends(other)
    return a <= d and c <= b


def _moves(old: Finding, new: Finding, dtype: str, same_sample: bool) -> tuple[list[str], list[str]]:
    """What got worse and what got better, in words."""
    worse: list[str] = []
    better: list[str] = []
    if old.severity != new.severity:
        graver = severity_rank(new.severity) < severity_rank(old.severity)
        (worse if graver else better).append(f"{old.severity} became {new.severity}")
    (low, high), (new_low, new_high) = _ends(old), _ends(new)
    below = _beyond(low, new_low, old.lo_exact and new.lo_exact) * (1 if new_low < low else -1)
    above = _beyond(high, new_high, old.hi_exact and new.hi_exact) * (1 if new_high > high else -1)
    moved = f"was {region_text(old, dtype)}"
    if 1 in (below, above):
        worse.append(f"the region grew: {moved}")
    elif -1 in (below, above):
        better.append(f"the region shrank: {moved}")
    _errors(old, new, same_sample, worse, better)
    return worse, better


def _beyond(old: float, new: float, exact: bool) -> int:
    """1 where an end moved by more than the way it was found explains, else 0."""
    if old == new:
        return 0
    if exact or math.isinf(old) or math.isinf(new) or old * new <= 0:
        return 1
    return int(abs(math.log2(abs(new)) - math.log2(abs(old))) > _LOG2_SLACK)


def _errors(old: Finding, new: Finding, same_sample: bool, worse: list[str], better: list[str]) -> None:
    a, b = largest_ulp(old), largest_ulp(new)
    if not same_sample or a is None or b is None:
        return
    if a == b or math.isnan(a) or math.isnan(b):
        return
    said = f"{ulp_text(a)} ULP became {ulp_text(b)}"
    if b > a * _ULP_FACTOR:
        worse.append(said)
    elif a > b * _ULP_FACTOR:
        better.append(said)
