"""From verdicts on points to regions: where on a probe an op fails in one way, with ends to the exact float.

Points are gathered into clusters of one kind and reason, which may nest.  Then all ends are searched together
(`boundaries`).  An end is called exact only where the class ends cleanly: the floats tried at every distance
inside belong to it, those outside do not.  Everything else is an envelope, with the share of bad floats in
it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from gradcheck_suite.engine.boundaries import Boundary, Exhausted, Foresee, locate
from gradcheck_suite.engine.clusters import clusters, joined_sides, worst_member
from gradcheck_suite.engine.judge import KINDS, REASONS, SEVERITIES, Verdicts
from gradcheck_suite.engine.profiles import Key, Profile
from gradcheck_suite.floats import from_ordinal, infinity_ordinal

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

ALLOWANCES = {"quick": 800, "default": 2000, "thorough": 40_000}
"""Evaluations that the ends of one case may take, by budget."""

FURTHER_ALLOWANCE = 800
"""Evaluations that the ends which only other cotangents, or only other paths show may take."""

_FADING = KINDS.index("inaccurate")
_ILL_CONDITIONED = REASONS.index("ill-conditioned")
# An accuracy loss is full of good points.
_FADING_GAP, _CLEAN_GAP = 8, 1
# What is found while ends are searched may be of another class yet: it is searched in turn, this often.
_PASSES = 3
# An inaccuracy that sets in at once is a branch; one that creeps over the threshold has no end to speak of.
_JUMP = 2.0
# What fades out ends within a thousandth: the last bad float that was seen says little about the next.
_COARSE_BITS = 11
# Ends are checked over this many binades on both sides.
_REACH_BINADES = 2
_FRUGAL_REACH, _FRUGAL_GAP = 8, 64

Evaluate = Callable[[Sequence[tuple[int, Floats]]], Sequence[Verdicts]]
"""Verdicts at floats of several profiles, by index: one call of torch and of the reference for all."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Region:
    """An interval of a probe on which an op fails in one way.

    `members` are indices of the points seen that belong to it, in the profile's order of evaluation (the
    sample first, then what was tried); `worst` is the one of largest error.  `share` is the part of the
    floats between `lo` and `hi` that belong to the class, counted where every float was tried, else estimated
    from those seen.
    """

    profile: int
    kind: str
    severity: str
    reason: str | None
    lo: float
    hi: float
    lo_exact: bool
    hi_exact: bool
    share: float
    members: Ints
    worst: int


@dataclass(slots=True, kw_only=True, eq=False)
class _Span:
    """A region in the making: a class, the ordinals it covers, and the searches of its ends."""

    profile: int
    key: Key
    lo: int
    hi: int
    nan: bool = False
    below: Boundary | None = None
    above: Boundary | None = None

    def settle(self) -> None:
        """Take over what the search found."""
        self.lo = self.below.inner if self.below else self.lo
        self.hi = self.above.inner if self.above else self.hi

    def covers(self, ordinals: Ints, x: Floats) -> npt.NDArray[np.bool_]:
        """Which points lie in it."""
        nan = np.isnan(x)
        return nan if self.nan else ~nan & (ordinals >= self.lo) & (ordinals <= self.hi)


def longest_pause(key: Key) -> int:
    """The good points between two members of a class that are one region all the same."""
    return _FADING_GAP if key[0] == _FADING else _CLEAN_GAP


def map_regions(
    profiles: Sequence[Profile],
    evaluate: Evaluate,
    *,
    allowance: int,
    frugal: bool = False,
    foresee: Foresee | None = None,
) -> list[Region]:
    """Regions of all profiles, which gain the points that were tried; at most `allowance` evaluations.

    `frugal` is for points that are dear: ends are bisected, and checked in their nearest surroundings only. Ends that
    `foresee` guesses need fewer evaluations.
    """
    search = _Search(profiles, evaluate, allowance)
    spans: list[_Span] = []
    for _ in range(_PASSES):
        fresh = [s for i in range(len(profiles)) for s in _spans(i, profiles[i], spans)]
        if not fresh:
            break
        ends = [b for s in fresh for b in (s.below, s.above) if b is not None]
        if frugal:
            locate(ends, search.ask, reach=_FRUGAL_REACH, ways=1, foresee=foresee, worth_a_guess=_FRUGAL_GAP)
        else:
            reach = _REACH_BINADES << (profiles[0].fmt.precision - 1)
            locate(ends, search.ask, reach=reach, foresee=foresee)
        for span in fresh:
            span.settle()
        spans += fresh
    found = [_region(profiles[s.profile], s) for s in _merged(spans)]
    found += [_region(profile, s) for i, profile in enumerate(profiles) for s in _excused(i, profile)]
    return sorted(found, key=_in_order)


def _in_order(region: Region) -> tuple[int, int, int, bool, float]:
    """By profile, kind and reason, then along the probe, NaN last."""
    nan = bool(np.isnan(region.lo))
    kind, reason = KINDS.index(region.kind), REASONS.index(region.reason or "")
    return region.profile, kind, reason, nan, 0.0 if nan else region.lo


class _Search:
    """Answers questions about membership, trying each float once, until the allowance is spent."""

    def __init__(self, profiles: Sequence[Profile], evaluate: Evaluate, allowance: int) -> None:
        self.profiles, self.evaluate, self.left = profiles, evaluate, allowance

    def ask(self, questions: Sequence[tuple[Boundary, int]]) -> list[bool]:
        """Membership of each ordinal in the class of its boundary. Raises Exhausted."""
        self._try({(b.profile, o) for b, o in questions if self.profiles[b.profile].index(o) is None})
        answers = []
        for b, ordinal in questions:
            index = self.profiles[b.profile].index(ordinal)
            assert index is not None
            answers.append(self.profiles[b.profile].belongs(index, b.key))
        return answers

    def _try(self, wanted: set[tuple[int, int]]) -> None:
        if len(wanted) > self.left:
            raise Exhausted
        self.left -= len(wanted)
        by_profile: dict[int, list[int]] = {}
        for profile, ordinal in sorted(wanted):
            by_profile.setdefault(profile, []).append(ordinal)
        batch = [(i, from_ordinal(np.array(o), self.profiles[i].fmt)) for i, o in by_profile.items()]
        if batch:
            for (i, ordinals), verdicts in zip(by_profile.items(), self.evaluate(batch), strict=True):
                self.profiles[i].extend(ordinals, verdicts)


# --- spans


def _spans(number: int, profile: Profile, covered: Sequence[_Span]) -> Iterator[_Span]:
    """Clusters of points whose class no span covers yet, with a boundary at each end that is not known."""
    order = profile.order()
    x, ordinals = profile.x[order], profile.ordinals[order]
    fails = (profile.verdicts.kind > 0) & (profile.verdicts.reason != _ILL_CONDITIONED)
    for key in profile.classes():
        if key[1] == _ILL_CONDITIONED:
            continue
        member = profile.of(key)[order]
        fresh = member.copy()
        for span in covered:
            if (span.profile, span.key) == (number, key):
                fresh &= ~span.covers(ordinals, x)
        numbers = ordinals[~np.isnan(x)]
        members = numbers[member[: len(numbers)]]
        for cluster in clusters(x, np.flatnonzero(fresh), fails[order], least_gap=longest_pause(key)):
            span = _Span(profile=number, key=key, lo=int(ordinals[cluster[0]]), hi=int(ordinals[cluster[-1]]))
            span.nan = bool(np.isnan(x[cluster[0]]))
            if not span.nan and not profile.exhaustive:
                top = infinity_ordinal(profile.fmt)
                coarse = 1 << max(profile.fmt.precision - _COARSE_BITS, 0)
                span.below = _boundary(span, span.lo, span.hi, numbers, members, -top, coarse)
                span.above = _boundary(span, span.hi, span.lo, numbers, members, top, coarse)
            yield span


def _boundary(
    span: _Span, inner: int, far: int, numbers: Ints, members: Ints, top: int, coarse: int
) -> Boundary | None:
    """The search of one end of a span, outwards from `inner`; None where the span ends with the floats."""
    if inner == top:
        return None
    upwards = top > 0
    beyond = numbers[numbers > inner] if upwards else numbers[numbers < inner]
    others = members[members > inner] if upwards else members[members < inner]
    nearest, first = (np.min, 1) if upwards else (np.max, -1)
    return Boundary(
        profile=span.profile,
        key=span.key,
        inner=inner,
        # Where the sample ends, its domain may reach on: the end is searched up to infinity.
        outer=int(nearest(beyond)) if len(beyond) else top + first,
        far=far,
        limit=int(nearest(others)) if len(others) else top + first,
        gradual=span.key[0] == _FADING,
        coarse=coarse,
    )


def _merged(spans: Sequence[_Span]) -> list[_Span]:
    """Spans of one class joined where they touch, and where one fades into the next over a short gap."""
    out: list[_Span] = []
    for span in sorted(spans, key=lambda s: (s.profile, s.key, s.nan, s.lo)):
        out.append(span)
        # A wider span reaches further: what it swallowed may bring it near the one before.
        while len(out) > 1 and _touch(out[-2], out[-1]):
            right = out.pop()
            out[-1] = _fused(out[-1], right)
    return out


def _fused(left: _Span, right: _Span) -> _Span:
    """Both as one; unless they just touch, the wider does not end cleanly on the side of the narrower."""
    if right.lo - left.hi != 1:
        splinter = left.below if left.hi - left.lo < right.hi - right.lo else right.above
        if splinter is not None:
            splinter.mixed = True
    wider = right if right.hi > left.hi else left
    return replace(left, hi=wider.hi, above=wider.above)


def _touch(left: _Span, right: _Span) -> bool:
    if (left.profile, left.key, left.nan) != (right.profile, right.key, right.nan):
        return False
    gap, width = right.lo - left.hi, max(left.hi - left.lo, right.hi - right.lo)
    if gap <= 1:
        return True
    if left.hi < 0 < right.lo:
        return False
    clean = left.above is not None and left.above.exact and right.below is not None and right.below.exact
    return not clean and gap < width


def _excused(number: int, profile: Profile) -> Iterator[_Span]:
    """What conditioning excuses has no ends worth a search: one envelope on either side of 0."""
    order = profile.order()
    for key in profile.classes():
        if key[1] != _ILL_CONDITIONED:
            continue
        member = np.flatnonzero(profile.of(key)[order])
        for part in joined_sides(profile.x[order], member):
            ordinals = profile.ordinals[order][part]
            yield _Span(profile=number, key=key, lo=int(ordinals[0]), hi=int(ordinals[-1]))


# --- regions


def _region(profile: Profile, span: _Span) -> Region:
    inside = span.covers(profile.ordinals, profile.x)
    members = np.flatnonzero(inside & profile.of(span.key))
    searched = span.key[1] != _ILL_CONDITIONED or profile.exhaustive
    ends = sorted(profile.x[members].tolist())
    return Region(
        profile=span.profile,
        kind=KINDS[span.key[0]],
        severity=SEVERITIES[int(profile.verdicts.severity[members].min())],
        reason=REASONS[span.key[1]] or None,
        lo=ends[0],
        hi=ends[-1],
        lo_exact=searched and _is_exact(profile, span.below),
        hi_exact=searched and _is_exact(profile, span.above),
        share=1.0 if span.nan else profile.share(np.flatnonzero(inside), span.key, span.lo, span.hi),
        members=members,
        worst=worst_member(profile.x, profile.verdicts.ulp, members),
    )


def _is_exact(profile: Profile, end: Boundary | None) -> bool:
    if end is None:
        return True
    if not end.exact:
        return False
    if not end.gradual:
        return True
    inner, outer = profile.index(end.inner), profile.index(end.outer)
    if inner is None or outer is None:
        return True
    ulp = profile.verdicts.ulp
    return bool(profile.verdicts.kind[outer] > 0 or ulp[inner] > _JUMP * ulp[outer])
