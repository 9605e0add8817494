"""Regions of an op whose entries depend on each other, along the curve that a sample lies on.

A finding starts from one sample, such as a row with one winner and a gap of 104.  Where the sample knows its
curve, the same call is made at other gaps, of every magnitude, and the ends of the failure are searched in
float ordinals.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import numpy.typing as npt

from gradcheck_suite.engine.boundaries import Exhausted
from gradcheck_suite.engine.crossings import Asked, Bracket, by_kind, by_size, kinds_of
from gradcheck_suite.engine.judge import KINDS, REASONS, Verdicts
from gradcheck_suite.engine.profiles import Key, Profile
from gradcheck_suite.engine.refusals import Raised, Unsupported
from gradcheck_suite.engine.regions import Region, longest_pause, map_regions
from gradcheck_suite.engine.rows import RowJudged, RowSubject
from gradcheck_suite.floats import Exact, from_ordinal, infinity_ordinal, round_to

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

ALLOWANCES: Final = {"quick": 0, "default": 150, "thorough": 2000}
"""Calls that the ends of one finding may take, by budget."""

SEARCHED: Final = {"quick": 0, "default": 2, "thorough": 16}
"""Findings of a case whose ends are searched, by budget."""

_LARGEST: Final = 48  # entries of a sample whose curve is followed
_ENTRIES: Final = 16_000  # of all calls together
_CENTRAL: Final = (-2, 10)  # exponents between which exponentials underflow, overflow and lose their digits
_OUTER: Final = 8
_STRIDE: Final = 2  # places that are judged together
_WAYS: Final = 3  # every call is one of its own: little is gained by more


def region_of(subject: RowSubject, column: str, k: int, key: Key) -> Region | None:
    """The region of a class of failure around sample k, on the sample's curve; None where it has none.

    A point of the curve belongs to the class where any entry of its call does. `key` has the codes of kind
    and reason.
    """
    sample, budget = subject.samples[k], subject.settings.budget
    size = sum(int(np.size(x)) for x in sample.inputs.values())
    allowance = min(ALLOWANCES[budget], _ENTRIES // size)
    if sample.curve is None or sample.at is None or not ALLOWANCES[budget] or size > _LARGEST:
        return None
    if budget != "thorough" and sample.curve_budget == "thorough":
        return None
    if budget != "thorough" and dict(subject.variant) != dict(subject.op.variants[0]):
        # The regions of the first variant say where an op fails; those of its options take as long again each.
        return None
    follow = _Curve(subject, column, k, key)
    try:
        profile = follow.profile()
        left = allowance - len(profile.x)
        regions = map_regions([profile], follow.evaluate, allowance=left, frugal=True, foresee=follow.foresee)
    except (Exhausted, Raised, Unsupported):
        return None
    return next((r for r in regions if r.lo <= sample.at <= r.hi), None)


def _all_but(key: Key) -> set[Key]:
    """Every class but one: what is of no interest where one finding is followed."""
    every = {(kind, reason) for kind in range(len(KINDS)) for reason in range(len(REASONS))}
    return every - {key}


class _Curve:
    """One sample's curve, judged at any of its places."""

    def __init__(self, subject: RowSubject, column: str, k: int, key: Key) -> None:
        self.fmt, self.sample = subject.fmt, subject.samples[k]
        self.line, self.column, self.key = subject.along_curve(k), column, key
        self.members: dict[int, set[int]] = {}
        """By sample the entries that belong to the class, where any do."""

    def profile(self) -> Profile:
        """Verdicts from the sample's own place outwards, as far as the class reaches and a little farther."""
        places = self.places()
        own = int(np.flatnonzero(places == self.sample.at)[0])
        below, above = self._outwards(places[own::-1]), self._outwards(places[own:])
        first, last = own - len(below.kind) + 1, own + len(above.kind)
        verdicts = below.take(np.arange(own - first, 0, -1)).joined(above)
        return Profile(places[first:last], verdicts, self.fmt, hidden=_all_but(self.key))

    def _outwards(self, places: Floats) -> Verdicts:
        """Verdicts on the first of the places, until the class has ended."""
        found = self.verdicts(places[:1])
        while len(found.kind) < len(places) and not self._ended(found):
            found = found.joined(self.verdicts(places[len(found.kind) :][:_STRIDE]))
        return found

    def _ended(self, outwards: Verdicts) -> bool:
        last = int(np.flatnonzero(outwards.of(self.key))[-1])
        return int((outwards.kind[last:] == 0).sum()) > longest_pause(self.key)

    def places(self) -> Floats:
        """Places of every magnitude, of the sample's sign, denser where exponentials end; the sample's own."""
        fmt, at = self.fmt, self.sample.at
        assert at is not None
        low, high = _CENTRAL
        central = [m * 2.0**k for k in range(low, high) for m in (1.0, 1.5)]
        below, above = np.linspace(fmt.emin, low - 1, _OUTER), np.linspace(high, fmt.emax, _OUTER)
        outer = 2.0 ** np.concatenate([below, above]).round()
        size = round_to(
            np.concatenate([central, outer, [0.0, 2.0**fmt.ulp_exponent_min, fmt.max, abs(at)]]), fmt
        )
        return np.unique(np.copysign(size[np.isfinite(size)], at) + 0.0)

    def evaluate(self, batch: Sequence[tuple[int, Floats]]) -> list[Verdicts]:
        """Verdicts as `map_regions` asks for them."""
        return [self.verdicts(x) for _, x in batch]

    def foresee(self, brackets: Sequence[Bracket]) -> dict[Bracket, Bracket]:
        """Where the class may end between floats; by bracket, where there is a guess."""
        try:
            found = by_kind(brackets, self._kinds, self.fmt, ways=_WAYS)
            rest = [b for b in brackets if b not in found]
            return found | by_size(rest, self._exact, self.fmt, self.line.max_ulp)
        except (Raised, Unsupported):
            return {}

    def _kinds(self, asked: Asked) -> list[Ints]:
        return [self._alike(bracket, ordinals) for bracket, ordinals in asked]

    def _alike(self, bracket: Bracket, ordinals: Sequence[int] | Ints) -> Ints:
        """Whether any of the entries that fail at the inner end has the kind that it has there and not at the outer."""
        inner, outer, *calls = (self._kinds_at(o) for o in (bracket.inner, bracket.outer, *ordinals))
        failing = self._failing(bracket)
        telling = failing[inner[failing] != outer[failing]]
        return np.array([(inner == each)[telling].any() for each in calls], dtype=np.int64)

    def _kinds_at(self, ordinal: int) -> Ints:
        return kinds_of(self.line.called(self._sample(ordinal)).columns[self.column])

    def _exact(self, asked: Asked) -> list[Exact]:
        return [self._last(bracket, ordinals) for bracket, ordinals in asked]

    def _last(self, bracket: Bracket, ordinals: Sequence[int] | Ints) -> Exact:
        """Exact results of that of the entries that fail at the inner end which is largest at the outer one."""
        failing = self._failing(bracket)
        ends = (self._exact_at(ordinal)[failing] for ordinal in (bracket.inner, bracket.outer))
        with np.errstate(divide="ignore"):
            sizes = [np.nan_to_num(np.log2(np.abs(end.hi)) + end.exp, nan=-np.inf) for end in ends]
        entry = failing[np.lexsort(sizes)[-1]]
        return Exact.concatenate([self._exact_at(ordinal)[entry : entry + 1] for ordinal in ordinals])

    def _failing(self, bracket: Bracket) -> Ints:
        return np.array(sorted(self.members[self._sample(bracket.inner)]), dtype=np.int64)

    def _exact_at(self, ordinal: int) -> Exact:
        return self.line.reference(self._sample(ordinal)).columns[self.column]

    def _sample(self, ordinal: int) -> int:
        """The sample at a float; what lies beyond the last one is as good as that."""
        top = infinity_ordinal(self.fmt) - 1
        return int(self._samples(from_ordinal(np.array([min(max(ordinal, -top), top)]), self.fmt))[0])

    def verdicts(self, places: Floats) -> Verdicts:
        """One verdict a place: of its entries one that belongs to the class, or else the worst. Raises Raised."""
        which = self._samples(places)
        judged = self.line.judged(self.column, only=which)
        for i in np.flatnonzero(judged.verdicts.of(self.key)):
            self.members.setdefault(int(judged.owner[i]), set()).add(int(judged.entry[i]))
        return _by_sample(judged, which, self.key)

    def _samples(self, places: Floats) -> Ints:
        """The samples at places of the curve, made where they are new."""
        assert self.sample.curve is not None
        known = {sample.at: k for k, sample in enumerate(self.line.samples)}
        fresh = [float(t) for t in places if float(t) not in known]
        added = self.line.extend(replace(self.sample.curve(t), at=t) for t in fresh)
        known |= dict(zip(fresh, added, strict=True))
        return np.array([known[float(t)] for t in places], dtype=np.int64)


def _by_sample(judged: RowJudged, which: Ints, key: Key) -> Verdicts:
    v = judged.verdicts
    chosen = np.full(len(which), -1, dtype=np.int64)
    for i, k in enumerate(which):
        entries = np.flatnonzero(judged.owner == k)
        if len(entries):
            member = (v.kind[entries] == key[0]) & (v.reason[entries] == key[1])
            error = np.nan_to_num(v.ulp[entries], nan=-1.0, posinf=np.inf)
            chosen[i] = entries[np.lexsort((-error, ~member))[0]]
    found = chosen >= 0
    taken = v.take(np.where(found, chosen, 0)) if len(v.kind) else _nothing(len(which))
    return taken.without(~found)


def _nothing(count: int) -> Verdicts:
    none = np.zeros(count, dtype=np.int8)
    return Verdicts(kind=none, severity=none, reason=none, ulp=np.full(count, np.nan), open=none.astype(bool))
