"""Regions of the lines of a sample: further points are judged where ends are searched, and kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from gradcheck_suite.engine.boundaries import Exhausted
from gradcheck_suite.engine.findings import Group, Interval, grouped
from gradcheck_suite.engine.judge import Verdicts
from gradcheck_suite.engine.pointwise import Judged, Subject, order_of, take
from gradcheck_suite.engine.profiles import Key, Profile, key_of
from gradcheck_suite.engine.refusals import Raised
from gradcheck_suite.engine.regions import Region, map_regions
from gradcheck_suite.floats import Exact
from gradcheck_suite.formula.points import Points
from gradcheck_suite.inputs.targets import Line

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(slots=True, kw_only=True, eq=False)
class Source:
    """Verdicts to find regions in, on one path and under one cotangent.

    Points that fail already where `over` is in force, on the vector path with cotangent 1, do not count:
    those of any severity, or where `graver` is set those of at least the same.  Of other paths only what is
    more than a remark counts.
    """

    judged: Judged
    path: str = "vector"
    over: bool = False
    graver: bool = False
    parts: list[Judged] = field(default_factory=list)

    def add(self, judged: Judged) -> int:
        """Keep further points; returns the index of the first."""
        start = len(self.judged.computed) + sum(len(p.computed) for p in self.parts)
        self.parts.append(judged)
        return start


@dataclass(slots=True, kw_only=True, eq=False)
class _Track:
    """A line of a source with its profile, and where the profile's points stand among those of the source."""

    source: Source
    line: Line
    profile: Profile
    places: list[Ints]


class Prober:
    """Maps the regions of several sources of one column together, so that a round costs one call for all."""

    def __init__(self, subject: Subject, column: str) -> None:
        self.subject, self.column = subject, column
        self.tracks: list[_Track] = []

    def explore(
        self, sources: Sequence[Source], *, allowance: int, once: bool = False
    ) -> list[tuple[Judged, list[Group]]]:
        """Each source with the points that were tried, and the groups that become findings.

        With `once` a kind and reason is followed up in the first source that shows it, and not in the others.
        """
        fmt = self.subject.fmt
        chosen = [grouped(s.judged.lines, s.judged.inputs, s.judged.verdicts, fmt) for s in sources]
        if once:
            chosen = _first_of_each(chosen)
        self.tracks = [t for s, groups in zip(sources, chosen, strict=True) for t in self._tracks(s, groups)]
        found = map_regions([t.profile for t in self.tracks], self._evaluate, allowance=allowance)
        out = []
        for source, groups in zip(sources, chosen, strict=True):
            whole = joined([source.judged, *source.parts])
            refined = [self._refined(source, g, found) for g in groups]
            if len(source.judged.lines) == 1:
                refined = [self._group(r) for r in found if self.tracks[r.profile].source is source]
            out.append((whole, _distinct(refined)))
        return out

    def _tracks(self, source: Source, groups: Sequence[Group]) -> list[_Track]:
        lines = {id(g.line): g.line for g in groups if not g.line.scattered}
        wanted: dict[int, set[Key]] = {}
        for g in groups:
            wanted.setdefault(id(g.line), set()).add(key_of(g.interval.kind, g.interval.reason))
        return [self._track(source, line, wanted[i]) for i, line in lines.items()]

    def _track(self, source: Source, line: Line, wanted: set[Key]) -> _Track:
        judged = source.judged
        members = np.arange(len(judged.computed), dtype=np.int64)[line.members]
        x = judged.inputs[line.probe][members]
        profile = Profile(
            x,
            judged.verdicts.take(members),
            self.subject.fmt,
            exhaustive=self.subject.exhaustive and len(x) == len(self.subject.tuples),
            wanted=wanted if len(judged.lines) > 1 else None,
        )
        return _Track(source=source, line=line, profile=profile, places=[members])

    # --- further points

    def _evaluate(self, batch: Sequence[tuple[int, Floats]]) -> list[Verdicts]:
        """Judge floats of several tracks; sources that share a path share the calls."""
        found: dict[int, Verdicts] = {}
        for path in dict.fromkeys(self.tracks[i].source.path for i, _ in batch):
            mine = [(i, x) for i, x in batch if self.tracks[i].source.path == path]
            found |= self._on_path(path, mine)
        return [found[i] for i, _ in batch]

    def _on_path(self, path: str, batch: Sequence[tuple[int, Floats]]) -> dict[int, Verdicts]:
        tracks = [self.tracks[i] for i, _ in batch]
        blocks = [t.line.at(x, self.subject.fmt) for t, (_, x) in zip(tracks, batch, strict=True)]
        outside = np.concatenate([self._outside(t, b) for t, b in zip(tracks, blocks, strict=True)])
        sizes = [len(x) for _, x in batch]
        inputs = {n: np.concatenate([b[n] for b in blocks]) for n in self.subject.names}
        points = self.subject.exact(inputs, order_of(self.column))
        owner = np.repeat(np.arange(len(tracks)), sizes)
        found: dict[int, Verdicts] = {}
        for source in {id(t.source): t.source for t in tracks}.values():
            own = [k for k, t in enumerate(tracks) if t.source is source]
            where = np.flatnonzero(np.isin(owner, own))
            given, exact = {n: x[where] for n, x in inputs.items()}, take(points, where)
            judged = self._judged(given, exact, path, source.judged.cotangent)
            hidden = outside[where]
            if source.over:
                known = self._judged(given, exact, "vector", 1.0, excuses=source.graver).verdicts
                hidden = hidden | hides(known, judged.verdicts, graver=source.graver)
                hidden |= judged.verdicts.mild & (path != "vector")
            judged = replace(judged, verdicts=judged.verdicts.without(hidden))
            start = source.add(judged)
            for k in np.unique(owner[where]):
                mine = np.flatnonzero(owner[where] == k)
                tracks[k].places.append(start + mine)
                found[batch[k][0]] = judged.verdicts.take(mine)
        return found

    def _judged(
        self,
        inputs: Mapping[str, Floats],
        points: Points,
        path: str,
        cotangent: float,
        *,
        excuses: bool = True,
    ) -> Judged:
        """Verdicts on one call of torch. Raises Exhausted where it does not work."""
        cotangents = None if cotangent == 1.0 else np.full(len(points.tie), cotangent)
        try:
            columns = self.subject.run(inputs, self.subject.order_of(self.column), path, cotangents).columns
        except Raised as error:
            # The op works on the sample: what this input brings out is no end of a region.
            raise Exhausted from error
        own = columns[self.column]
        return self.subject.judge_column(
            inputs, own, points, self.column, cotangent=cotangent, together=columns, excuses=excuses
        )

    def _outside(self, track: _Track, block: dict[str, Floats]) -> npt.NDArray[np.bool_]:
        """Points outside the domain; a point of the sample takes their place, for the op may refuse them."""
        domain = self.subject.op.domain
        size = len(next(iter(block.values())))
        if domain is None:
            return np.zeros(size, dtype=bool)
        beyond = ~np.broadcast_to(np.asarray(domain(self.subject.params, block), dtype=bool), size)
        inside = track.places[0][0]
        for name, values in block.items():
            values[beyond] = track.source.judged.inputs[name][inside]
        return beyond

    # --- groups

    def _refined(self, source: Source, group: Group, regions: Sequence[Region]) -> Group:
        """The group with the region that its worst point lies in, where its line was mapped."""
        for region in regions:
            track = self.tracks[region.profile]
            if track.source is not source or track.line is not group.line:
                continue
            same = (region.kind, region.reason) == (group.interval.kind, group.interval.reason)
            if same and group.worst in self._places(region):
                found = self._group(region)
                return replace(found, points=max(group.points, found.points), where=group.where)
        return group

    def _places(self, region: Region) -> Ints:
        places: Ints = np.concatenate(self.tracks[region.profile].places)[region.members]
        return places

    def _group(self, region: Region) -> Group:
        track = self.tracks[region.profile]
        where = np.concatenate(track.places)
        members, x = where[region.members], track.profile.x[region.members]
        first = 0 if np.isnan(x[0]) else int(np.argmin(x))
        last = 0 if np.isnan(x[0]) else int(np.argmax(x))
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
        worst = int(where[region.worst])
        here = _where(region)
        return Group(line=track.line, interval=interval, worst=worst, points=len(members), where=here)


def hides(known: Verdicts, verdicts: Verdicts, *, graver: bool) -> npt.NDArray[np.bool_]:
    """Points whose failure is known already: of any severity, or with `graver` of at least the same."""
    fails = known.kind > 0
    return fails & (known.severity <= verdicts.severity) if graver else fails


def _where(region: Region) -> str:
    if np.isnan(region.lo):
        return "nan"
    return "infinite" if np.isinf(region.lo) and region.lo == region.hi else "finite"


def _first_of_each(chosen: Sequence[Sequence[Group]]) -> list[list[Group]]:
    """Of each kind and reason the groups of the first source that has any."""
    owner: dict[Key, int] = {}
    for i, groups in enumerate(chosen):
        for g in groups:
            owner.setdefault(key_of(g.interval.kind, g.interval.reason), i)
    return [
        [g for g in groups if owner[key_of(g.interval.kind, g.interval.reason)] == i]
        for i, groups in enumerate(chosen)
    ]


def _distinct(groups: Sequence[Group]) -> list[Group]:
    """Groups that came out as the same region are one."""
    found: dict[tuple[object, ...], Group] = {}
    for g in groups:
        i = g.interval
        found.setdefault((id(g.line), i.kind, i.reason, i.first, i.last), g)
    return list(found.values())


def joined(parts: Sequence[Judged]) -> Judged:
    """The points of all parts, one after another; lines are those of the first."""
    first = parts[0]
    if len(parts) == 1:
        return first
    verdicts = first.verdicts
    for part in parts[1:]:
        verdicts = verdicts.joined(part.verdicts)
    limits = [p.limit for p in parts if p.limit is not None]
    return Judged(
        inputs={n: np.concatenate([p.inputs[n] for p in parts]) for n in first.inputs},
        computed=np.concatenate([p.computed for p in parts]),
        lower=Exact.concatenate([p.lower for p in parts]),
        upper=Exact.concatenate([p.upper for p in parts]),
        tie=np.concatenate([p.tie for p in parts]),
        verdicts=verdicts,
        lines=first.lines,
        cotangent=first.cotangent,
        limit=np.concatenate(limits) if len(limits) == len(parts) else None,
        starts=tuple(np.cumsum([0, *(len(p.computed) for p in parts[:-1])]).tolist()),
    )
