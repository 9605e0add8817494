"""From verdicts on a sample to what becomes findings: searched, mapped to regions, simply witnessed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from gradcheck_suite.engine.boundaries import Exhausted
from gradcheck_suite.engine.findings import Group, Interval, grouped
from gradcheck_suite.engine.judge import SEVERITIES
from gradcheck_suite.engine.pointwise import Judged, Subject
from gradcheck_suite.engine.probing import Prober, Source, joined
from gradcheck_suite.engine.profiles import Key, key_of
from gradcheck_suite.engine.quantities import order_of
from gradcheck_suite.engine.refusals import Raised, Unsupported
from gradcheck_suite.engine.regions import Region, map_regions
from gradcheck_suite.engine.screening import grid, suspects
from gradcheck_suite.engine.search import EFFORTS, Effort, climb, extend, simplest, wander
from gradcheck_suite.floats import to_ordinal
from gradcheck_suite.inputs.targets import Line

_SEARCHED_LINES = 3
"""Lines of a sample of several inputs that are searched for larger errors: those with the largest."""


_SCREENED_LINES = 12
_SCREENED = (2**15, 1024)
"""Floats of each middle binade that an op of one, or of several inputs is asked at."""

_SCREENED_ELSEWHERE = (2**18, 2**12)
"""Floats of all other binades together, of both signs."""

_PORTION, _PATIENCE = 2**18, 1.0
"""Floats of one call, and seconds that one may take: ten times what torch needs for a slow op."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Explored:
    """A source with the points that were tried, and the groups that become findings."""

    judged: Judged
    groups: list[Group]


def explore(
    subject: Subject,
    column: str,
    sources: Sequence[Source],
    *,
    allowance: int,
    search: bool = False,
    once: bool = False,
) -> list[Explored]:
    """Map the regions of several sources of a column together; `allowance` evaluations may go to their ends.

    With `search` larger errors are searched first.  With `once` a kind and reason is followed up in the first
    source that shows it, and left out of the others.
    """
    prober = Prober(subject, column)
    chosen = [grouped(s.judged.lines, s.judged.inputs, s.judged.verdicts, subject.fmt) for s in sources]
    if once:
        chosen = _first_of_each(chosen)
    effort = EFFORTS[_effort(subject)]
    search = search and not subject.exhaustive
    for source, groups in zip(sources, chosen, strict=True):
        _follow(prober, source, groups, search)
    if search and subject.op.custom:
        _screen(prober, sources[0])
    if search:
        _search(prober, effort)
    regions = map_regions(prober.profiles, prober.evaluate, allowance=allowance, foresee=prober.foresee)
    shown = [_shown(prober, s, groups, regions) for s, groups in zip(sources, chosen, strict=True)]
    simple = _simple(prober, [r for pairs in shown for _, r in pairs if r is not None], effort)
    return [
        Explored(judged=joined([s.judged, *s.parts]), groups=[_group(prober, g, r, simple) for g, r in pairs])
        for s, pairs in zip(sources, shown, strict=True)
    ]


def _screen(prober: Prober, source: Source) -> None:
    """Judge what stands out of the computed curves of a source's lines, and follow the lines where that fails."""
    subject, fmt = prober.subject, prober.subject.fmt
    lines = [line for line in source.judged.lines if not line.scattered and line.follower is None]
    lines = lines[:_SCREENED_LINES]
    several = len(lines) > 1
    x = grid(fmt, _SCREENED[several], max(_SCREENED_ELSEWHERE[several] // (4 * fmt.emax), 8))
    blocks = [line.at(x, fmt) for line in lines]
    inside = [np.flatnonzero(subject.inside(block)) for block in blocks]
    parts = [{n: v[i] for n, v in block.items()} for block, i in zip(blocks, inside, strict=True)]
    if not parts or not sum(map(len, inside)):
        return
    together = {n: np.concatenate([part[n] for part in parts]) for n in subject.names}
    try:
        found = _asked(prober, together, source.path)
    except (Raised, Unsupported):
        return
    if found is None:
        return
    computed = np.split(found, np.cumsum([len(i) for i in inside])[:-1])
    for line, part, y in zip(lines, parts, computed, strict=True):
        odd = suspects(part[line.probe], y, fmt)
        if len(odd):
            _followed_up(prober, source, line, {n: v[odd] for n, v in part.items()}, y[odd])


def _asked(prober: Prober, inputs: dict[str, Floats], path: str) -> Floats | None:
    """What the op computes at very many points; nothing of one that takes so long that it seems to hang, such as a loop
    in Python.
    """
    subject, size = prober.subject, len(inputs[prober.subject.names[0]])
    parts, started = [], time.monotonic()
    for start in range(0, size, _PORTION):
        some = {n: x[start : start + _PORTION] for n, x in inputs.items()}
        parts.append(subject.run(some, subject.order_of(prober.column), path).columns[prober.column])
        if time.monotonic() - started > _PATIENCE * len(parts):
            return None
    return np.concatenate(parts)


def _followed_up(
    prober: Prober, source: Source, line: Line, inputs: dict[str, Floats], computed: Floats
) -> None:
    """Add those of some points of a line that fail to its profile."""
    subject, column = prober.subject, prober.column
    points = subject.exact(inputs, order_of(column))
    verdicts = subject.judge_column(inputs, computed, points, column).verdicts
    bad = inputs[line.probe][~verdicts.mild]
    if not len(bad):
        return
    known = [i for i, t in enumerate(prober.tracks) if t.source is source and t.line is line]
    if not known:
        prober.follow(source, line)
        known = [len(prober.tracks) - 1]
    extend(prober.profiles, {known[0]: {int(o) for o in to_ordinal(bad, subject.fmt)}}, prober.evaluate)


def _effort(subject: Subject) -> str:
    """Less where a line is one of very many, as with several inputs, and where points are dear."""
    budget = subject.settings.budget
    dear = len(subject.names) > 1 or subject.order > 1
    return "quick" if budget == "default" and dear else budget


def _key(group: Group) -> Key:
    return key_of(group.interval.kind, group.interval.reason)


def _first_of_each(chosen: Sequence[Sequence[Group]]) -> list[list[Group]]:
    """Of each kind and reason the groups of the first source that has any."""
    owner: dict[Key, int] = {}
    for i, groups in enumerate(chosen):
        for g in groups:
            owner.setdefault(_key(g), i)
    return [[g for g in groups if owner[_key(g)] == i] for i, groups in enumerate(chosen)]


def _follow(prober: Prober, source: Source, groups: Sequence[Group], search: bool) -> None:
    """Make tracks of the lines that show a group, and with `search` of those with the largest errors."""
    lines = {id(g.line): g.line for g in groups if not g.line.scattered}
    if search:
        lines |= {id(line): line for line in _worst_lines(source.judged)}
    several = len(source.judged.lines) > 1
    keys = {_key(g) for g in groups} if several else set()
    for i, line in lines.items():
        own = {_key(g) for g in groups if id(g.line) == i}
        prober.follow(source, line, hidden=keys - own)


def _worst_lines(judged: Judged) -> list[Line]:
    errors = np.where(np.isfinite(judged.verdicts.ulp), judged.verdicts.ulp, -1.0)
    index = np.arange(len(errors))
    lines = [line for line in judged.lines if not line.scattered]
    ranked = sorted(lines, key=lambda line: -float(errors[index[line.members]].max(initial=-1.0)))
    return ranked[:_SEARCHED_LINES]


def _search(prober: Prober, effort: Effort) -> None:
    try:
        climb(prober.profiles, prober.evaluate, effort)
        wander(prober.profiles, prober.evaluate, effort.examples)
    except Exhausted:
        return


# --- groups

Shown = tuple[Group | None, Region | None]
"""A group of the sample with the region that it lies in; a region that only the search found has no group."""


def _shown(prober: Prober, source: Source, groups: Sequence[Group], regions: Sequence[Region]) -> list[Shown]:
    own = [r for r in regions if prober.tracks[r.profile].source is source]
    if len(source.judged.lines) == 1:
        return [(None, r) for r in own]
    matched = [(g, _holding(prober, g, own)) for g in groups]
    known = {_key(g) for g in groups}
    fresh: dict[Key, Region] = {}
    for r in own:
        key = key_of(r.kind, r.reason)
        if key not in known and (key not in fresh or _graver(r, fresh[key])):
            fresh[key] = r
    return [*_distinct(matched), *((None, r) for r in fresh.values())]


def _graver(a: Region, b: Region) -> bool:
    return (SEVERITIES.index(a.severity), -len(a.members)) < (SEVERITIES.index(b.severity), -len(b.members))


def _holding(prober: Prober, group: Group, regions: Sequence[Region]) -> Region | None:
    """The region that the worst point of a group lies in; None where its line was not mapped."""
    for r in regions:
        track = prober.tracks[r.profile]
        same = (r.kind, r.reason) == (group.interval.kind, group.interval.reason)
        if same and track.line is group.line and group.worst in track.where[r.members]:
            return r
    return None


def _distinct(shown: Sequence[Shown]) -> list[Shown]:
    """Groups that lie in the same region are one."""
    found: dict[int, Shown] = {}
    for g, r in shown:
        found.setdefault(id(g) if r is None else id(r), (g, r))
    return list(found.values())


def _simple(prober: Prober, regions: Sequence[Region], effort: Effort) -> dict[int, int]:
    """By id of a region, the point to show for it."""
    try:
        points = simplest(prober.profiles, regions, prober.evaluate, effort)
    except Exhausted:
        points = [r.worst for r in regions]
    return {id(r): i for r, i in zip(regions, points, strict=True)}


def _group(prober: Prober, group: Group | None, region: Region | None, simple: dict[int, int]) -> Group:
    if region is None:
        assert group is not None
        return group
    track = prober.tracks[region.profile]
    where = track.where
    members, x = where[region.members], track.profile.x[region.members]
    # Both zeros are one end: a region starts at -0 and ends at +0.
    order = np.lexsort((~np.signbit(x), x))
    first, last = (0, 0) if np.isnan(x[0]) else (int(order[0]), int(order[-1]))
    interval = Interval(
        kind=region.kind,
        severity=region.severity,
        reason=region.reason,
        members=members,
        first=int(members[first]),
        last=int(members[last]),
        lo_exact=region.lo_exact,
        hi_exact=region.hi_exact,
        share=region.share,
    )
    shown, ulp = simple[id(region)], track.profile.verdicts.ulp
    # The simple witness came last, and may be worse than the worst point until then.
    worst = shown if ulp[shown] > ulp[region.worst] else region.worst
    found = Group(
        line=track.line,
        interval=interval,
        worst=int(where[worst]),
        points=len(members),
        where=_part(region),
        simple=int(where[shown]),
    )
    if group is None:
        return found
    return replace(found, points=max(group.points, found.points), where=group.where)


def _part(region: Region) -> str:
    if np.isnan(region.lo):
        return "nan"
    return "infinite" if np.isinf(region.lo) and region.lo == region.hi else "finite"
