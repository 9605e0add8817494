"""What a part of a sweep found in one column; parts add up, and read back from JSON as they were."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gradcheck_suite.engine.sweep.kernels import BINS

Ints = npt.NDArray[np.int64]
Codes = npt.NDArray[np.int8]
Floats = npt.NDArray[np.float64]
Key = tuple[int, int]

# Bad floats further apart than this, and than the fewer of those on either side, are not of one region.
_GAP: Final = 8
_MOST_RUNS: Final = 16
# Kinds are below 16, reasons below 8: a class is one byte.
_REASON_BITS: Final = 3


@dataclass(frozen=True, slots=True)
class Run:
    """Bad floats of one kind and reason that lie together: signed ordinals of the first, the last and the
    worst.

    `severity` is the gravest among them; codes are those of `judge`.
    """

    kind: int
    reason: int
    severity: int
    first: int
    last: int
    count: int
    worst: int
    ulp: float

    @property
    def key(self) -> Key:
        """Kind and reason."""
        return self.kind, self.reason

    @property
    def share(self) -> float:
        """The part of the floats between the ends that is bad; the two zeros have one ordinal."""
        return min(1.0, self.count / (self.last - self.first + 1))

    def join(self, other: Run) -> Run:
        """Both as one."""
        worse = other if _badness(other) > _badness(self) else self
        return replace(
            self,
            severity=min(self.severity, other.severity),
            first=min(self.first, other.first),
            last=max(self.last, other.last),
            count=self.count + other.count,
            worst=worse.worst,
            ulp=worse.ulp,
        )


def _badness(run: Run) -> tuple[float, int, int]:
    """Of equal errors the smaller magnitude, then the positive one."""
    return run.ulp, -abs(run.worst), run.worst


@dataclass(slots=True)
class Summary:
    """Counts of one column: floats judged, those within half an ulp, and those that could not be decided or
    certified.

    `worst` is the signed ordinal of the largest error `ulp`, None before anything was judged.
    """

    points: int = 0
    rounded: int = 0
    undecided: int = 0
    uncovered: int = 0
    ulp: float = -1.0
    worst: int | None = None
    histogram: Ints = field(default_factory=lambda: np.zeros(BINS, dtype=np.int64))
    runs: list[Run] = field(default_factory=list)

    def note_worst(self, ulp: float, ordinal: int) -> None:
        """Keep the larger of two errors; of equals the smaller magnitude, then the positive one."""
        known = (self.ulp, -abs(self.worst or 0), self.worst or 0)
        if self.worst is None or (ulp, -abs(ordinal), ordinal) > known:
            self.ulp, self.worst = ulp, ordinal

    def add(self, other: Summary) -> None:
        """Take another part in."""
        self.points += other.points
        self.rounded += other.rounded
        self.undecided += other.undecided
        self.uncovered += other.uncovered
        self.histogram += other.histogram
        self.runs += other.runs
        if other.worst is not None:
            self.note_worst(other.ulp, other.worst)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; bins that are empty are left out."""
        bins = {str(i): int(self.histogram[i]) for i in np.flatnonzero(self.histogram)}
        plain = {n: getattr(self, n) for n in ("points", "rounded", "undecided", "uncovered", "worst")}
        runs = [{**asdict(run), "ulp": float(run.ulp).hex()} for run in self.runs]
        return {**plain, "ulp": float(self.ulp).hex(), "histogram": bins, "runs": runs}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Summary:
        """What `to_json` wrote."""
        summary = cls(**{n: data[n] for n in ("points", "rounded", "undecided", "uncovered", "worst")})
        summary.ulp = float.fromhex(data["ulp"])
        for i, count in data["histogram"].items():
            summary.histogram[int(i)] = count
        summary.runs = [Run(**{**run, "ulp": float.fromhex(run["ulp"])}) for run in data["runs"]]
        return summary


def runs_of(ordinals: Ints, kind: Codes, reason: Codes, severity: Codes, ulp: Floats) -> list[Run]:
    """Bad floats as runs, class by class; ordinals are signed, all of one sign and rising in magnitude."""
    code = kind << _REASON_BITS | reason
    keys = [int(code[0])] if code.min() == code.max() else [int(k) for k in np.flatnonzero(np.bincount(code))]
    found: list[Run] = []
    for code_of_key in keys:
        key = code_of_key >> _REASON_BITS, code_of_key & (1 << _REASON_BITS) - 1
        own = slice(None) if len(keys) == 1 else np.flatnonzero(code == code_of_key)
        places, grave, large = ordinals[own], severity[own], ulp[own]
        found += [_run(places[part], grave[part], large[part], key) for part in _split(places)]
    return found


def _split(ordinals: Ints) -> list[slice]:
    """Cut numbers that rise in magnitude where a gap is wider than `_GAP` and than the smaller side has
    members.
    """
    if abs(int(ordinals[-1]) - int(ordinals[0])) + 1 - len(ordinals) <= _GAP:
        return [slice(0, len(ordinals))]
    gaps = np.abs(np.diff(ordinals)) - 1
    cuts = np.flatnonzero(gaps > _GAP)
    cuts = cuts[gaps[cuts] > np.minimum(cuts + 1, len(ordinals) - cuts - 1)]
    widest = np.sort(cuts[np.argsort(-gaps[cuts], kind="stable")][: _MOST_RUNS - 1]) + 1
    return [slice(a, b) for a, b in itertools.pairwise([0, *map(int, widest), len(ordinals)])]


def _run(ordinals: Ints, severity: Codes, ulp: Floats, key: Key) -> Run:
    # Of equal errors argmax takes the first, which has the smallest magnitude.
    worst = int(np.argmax(ulp))
    ends = int(ordinals[0]), int(ordinals[-1])
    return Run(
        kind=key[0],
        reason=key[1],
        severity=int(severity.min()),
        first=min(ends),
        last=max(ends),
        count=len(ordinals),
        worst=int(ordinals[worst]),
        ulp=float(ulp[worst]),
    )


def joined(runs: Iterable[Run], *, most: int) -> list[Run]:
    """Runs of one class joined where they lie close; at most `most` of a class on either side of 0."""
    by_side: dict[tuple[Key, int], list[Run]] = {}
    for run in sorted(runs, key=lambda r: r.first):
        sides = by_side.setdefault((run.key, int(np.sign(run.last + run.first))), [])
        if sides and _close(sides[-1], run):
            sides[-1] = sides[-1].join(run)
        else:
            sides.append(run)
    return [run for side in by_side.values() for run in _thinned(side, most)]


def _close(a: Run, b: Run) -> bool:
    return b.first - a.last - 1 <= max(min(a.count, b.count), _GAP)


def _thinned(runs: list[Run], most: int) -> list[Run]:
    """The narrowest gaps closed until few enough are left."""
    gaps = np.array([b.first - a.last for a, b in itertools.pairwise(runs)])
    cuts = np.sort(np.argsort(-gaps, kind="stable")[: most - 1]) + 1
    ends = [0, *map(int, cuts), len(runs)]
    return [functools.reduce(Run.join, runs[a:b]) for a, b in itertools.pairwise(ends)]
