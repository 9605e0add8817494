"""Judging further points on the lines of a sample, where ends and larger errors are searched."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from gradcheck_suite.engine.boundaries import Exhausted
from gradcheck_suite.engine.crossings import Asked, Bracket, by_kind, by_size, kinds_of
from gradcheck_suite.engine.judge import Verdicts
from gradcheck_suite.engine.pointwise import Judged, Subject, scaled, take
from gradcheck_suite.engine.profiles import Key, Profile
from gradcheck_suite.engine.quantities import order_of
from gradcheck_suite.engine.refusals import Raised, Unsupported
from gradcheck_suite.engine.regions import Region
from gradcheck_suite.floats import Exact, from_ordinal, infinity_ordinal
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
class Track:
    """A line of a source with its profile; `places` says where the profile's points stand in the source."""

    source: Source
    line: Line
    profile: Profile
    places: list[Ints]

    @property
    def where(self) -> Ints:
        """Indices of the profile's points among those of the source."""
        places: Ints = np.concatenate(self.places)
        return places


class Prober:
    """Judges further points on lines of several sources of one column: a round costs one call for all."""

    def __init__(self, subject: Subject, column: str) -> None:
        self.subject, self.column = subject, column
        self.tracks: list[Track] = []

    def follow(self, source: Source, line: Line, *, hidden: Collection[Key] = ()) -> None:
        """Make a line of a source a track; `hidden` classes are not mapped on it."""
        judged = source.judged
        members = np.arange(len(judged.computed), dtype=np.int64)[line.members]
        x = judged.inputs[line.probe][members]
        exhaustive = self.subject.exhaustive and len(x) == len(self.subject.tuples)
        verdicts = judged.verdicts.take(members)
        profile = Profile(x, verdicts, self.subject.fmt, exhaustive=exhaustive, hidden=hidden)
        self.tracks.append(Track(source=source, line=line, profile=profile, places=[members]))

    @property
    def profiles(self) -> list[Profile]:
        """The profiles of all tracks."""
        return [t.profile for t in self.tracks]

    # --- further points

    def evaluate(self, batch: Sequence[tuple[int, Floats]]) -> list[Verdicts]:
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

    def foresee(self, brackets: Sequence[Bracket]) -> dict[Bracket, Bracket]:
        """Where classes may end between floats of tracks, on the vector path; by bracket, where there is a guess."""
        mine = [b for b in brackets if self.tracks[b.profile].source.path == "vector"]
        try:
            found = by_kind(mine, self._kinds, self.subject.fmt) if mine else {}
        except (Raised, Unsupported):
            return {}
        rest = [b for b in mine if b not in found]
        return found | (by_size(rest, self._exact, self.subject.fmt, self.subject.max_ulp) if rest else {})

    def _kinds(self, asked: Asked) -> list[Ints]:
        given, ends, cotangents = self._at(asked)
        each = np.repeat(cotangents, np.diff([0, *ends]))
        order = self.subject.order_of(self.column)
        outcome = self.subject.run(given, order, "vector", None if (each == 1).all() else each)
        return np.split(kinds_of(outcome.columns[self.column]), ends[:-1])

    def _exact(self, asked: Asked) -> list[Exact]:
        given, ends, cotangents = self._at(asked)
        column = self.subject.exact(given, order_of(self.column)).columns[self.column]
        parts = [column[start:end] for start, end in itertools.pairwise([0, *ends])]
        return [scaled(part, cotangent) for part, cotangent in zip(parts, cotangents, strict=True)]

    def _at(self, asked: Asked) -> tuple[dict[str, Floats], list[int], list[float]]:
        """Inputs of all that is asked, where each part of them ends, and its cotangent."""
        fmt = self.subject.fmt
        top = infinity_ordinal(fmt)
        tracks = [self.tracks[b.profile] for b, _ in asked]
        # What lies beyond the last float is as good as that.
        floats = [from_ordinal(np.clip(ordinals, -top, top), fmt) for _, ordinals in asked]
        blocks = [t.line.at(x, fmt) for t, x in zip(tracks, floats, strict=True)]
        for track, block in zip(tracks, blocks, strict=True):
            self._outside(track, block)
        given = {n: np.concatenate([b[n] for b in blocks]) for n in self.subject.names}
        ends = np.cumsum([len(x) for x in floats]).tolist()
        return given, ends, [t.source.judged.cotangent for t in tracks]

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

    def _outside(self, track: Track, block: dict[str, Floats]) -> npt.NDArray[np.bool_]:
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


def hides(known: Verdicts, verdicts: Verdicts, *, graver: bool) -> npt.NDArray[np.bool_]:
    """Points whose failure is known already: of any severity, or with `graver` of at least the same."""
    fails = known.kind > 0
    return fails & (known.severity <= verdicts.severity) if graver else fails


def _where(region: Region) -> str:
    if np.isnan(region.lo):
        return "nan"
    return "infinite" if np.isinf(region.lo) and region.lo == region.hi else "finite"


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
