"""From verdicts on points to findings: intervals of a probe with one kind and severity each, worded for
people.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from gradcheck_suite.engine.clusters import clusters, worst_member
from gradcheck_suite.engine.judge import KINDS, REASONS, SEVERITIES, Verdicts
from gradcheck_suite.floats import Format, to_ordinal
from gradcheck_suite.inputs.targets import Line
from gradcheck_suite.results import Finding

Floats = npt.NDArray[np.float64]

_GAP = 8
"""Good points that an interval may skip."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """Points of one kind and reason that lie together on a probe: indices into the sorted points.

    `share` is the part of the points between the ends that belong to the class.
    """

    kind: str
    severity: str
    reason: str | None
    members: npt.NDArray[np.int64]
    first: int
    last: int
    lo_exact: bool
    hi_exact: bool
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """What becomes one finding: an interval on one line, with the worst point of its class on all lines.

    Members of the interval, its ends and `worst` are indices of points; `points` counts the class on all
    lines, `where` says what the inputs are there: "finite", "infinite" or "nan".
    """

    line: Line
    interval: Interval
    worst: int
    points: int
    where: str
    simple: int | None = None

    @property
    def witness(self) -> int:
        """The point to show: a simple one that fails like the worst, where such a one is known."""
        return self.worst if self.simple is None else self.simple

    @property
    def key(self) -> tuple[str, str | None, str]:
        """What groups on several lines have in common when they make one finding."""
        return (
            self.interval.kind,
            self.interval.reason,
            "" if self.interval.severity == "info" else self.where,
        )


def grouped(
    lines: Sequence[Line], inputs: Mapping[str, Floats], verdicts: Verdicts, fmt: Format
) -> list[Group]:
    """Group failing points: on one line by intervals, on several by kind, reason and whether inputs are
    finite.

    Of several lines the one with the gravest error and then the most members is shown.
    """
    found: dict[Any, list[Group]] = {}
    for line in lines:
        members = np.arange(len(verdicts.kind))[line.members]
        if not (verdicts.kind[members] > 0).any():
            continue
        x = inputs[line.probe][members]
        for interval in intervals(x, verdicts.take(members), fmt):
            group = _group(line, interval, members, inputs, verdicts)
            key = len(found) if len(lines) == 1 else group.key
            found.setdefault(key, []).append(group)
    return [shown(groups) for groups in found.values()]


def _group(
    line: Line,
    interval: Interval,
    members: npt.NDArray[np.int64],
    inputs: Mapping[str, Floats],
    verdicts: Verdicts,
) -> Group:
    own = members[interval.members]
    if line.scattered:
        # Nothing was swept: the point stands for itself.
        own = own[[int(np.argmax(verdicts.ulp[own]))]]
    worst = worst_member(inputs[line.probe], verdicts.ulp, own)
    first, last = (
        (worst, worst) if line.scattered else (int(members[interval.first]), int(members[interval.last]))
    )
    exact = not line.scattered
    shown = replace(
        interval,
        members=own,
        first=first,
        last=last,
        lo_exact=interval.lo_exact and exact,
        hi_exact=interval.hi_exact and exact,
        share=1.0 if line.scattered else interval.share,
    )
    return Group(
        line=line, interval=shown, worst=worst, points=len(interval.members), where=_where(inputs, worst)
    )


def _where(inputs: Mapping[str, Floats], i: int) -> str:
    if any(np.isnan(x[i]) for x in inputs.values()):
        return "nan"
    return "infinite" if any(np.isinf(x[i]) for x in inputs.values()) else "finite"


def shown(groups: Sequence[Group]) -> Group:
    """The group to show for all: of the gravest a true sweep, and of these the one with most members."""
    best = max(groups, key=lambda g: (-SEVERITIES.index(g.interval.severity), not g.line.scattered, g.points))
    return replace(best, points=sum(g.points for g in groups))


def intervals(x: Floats, verdicts: Verdicts, fmt: Format) -> Iterator[Interval]:
    """Group the failing points of a probe by kind and reason; `x` rises, NaN last; every entry of `x` was
    judged.

    The severity is the gravest of the members.  An end is exact where its neighbour is the next float and of
    another class, and the interval holds no other.
    """
    ordinals = to_ordinal(np.where(np.isnan(x), 0.0, x), fmt)
    fails = verdicts.kind > 0
    for kind, reason in verdicts.classes():
        members = np.flatnonzero((verdicts.kind == kind) & (verdicts.reason == reason))
        for cluster in clusters(x, members, fails, least_gap=_GAP):
            severity = int(verdicts.severity[cluster].min())
            yield _interval(cluster, (kind, severity, reason), ordinals, len(x))


def _interval(
    members: npt.NDArray[np.int64], key: Any, ordinals: npt.NDArray[np.int64], size: int
) -> Interval:
    first, last = int(members[0]), int(members[-1])
    clean = len(members) == last - first + 1
    return Interval(
        kind=KINDS[key[0]],
        severity=SEVERITIES[key[1]],
        reason=REASONS[key[2]] or None,
        members=members,
        first=first,
        last=last,
        lo_exact=clean and (first == 0 or _adjacent(ordinals, first - 1)),
        hi_exact=clean and (last == size - 1 or _adjacent(ordinals, last)),
        share=len(members) / (last - first + 1),
    )


def _adjacent(ordinals: npt.NDArray[np.int64], i: int) -> bool:
    """Whether two points that follow each other are neighbours; of those far apart the difference overflows."""
    return int(ordinals[i + 1]) - int(ordinals[i]) <= 1


def distinct(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Number the findings of a result that would share an id: links and baselines know them by it.

    Ids name no ends, so that they stay stable when an end moves.
    """
    seen: dict[str, int] = {}
    named = []
    for f in findings:
        seen[f.id] = seen.get(f.id, 0) + 1
        named.append(f if seen[f.id] == 1 else replace(f, id=f"{f.id}.{seen[f.id]}"))
    return tuple(named)
