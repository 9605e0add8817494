"""The searched worst case: larger errors near those of a sample, and the simplest input that shows one.

The climb tries floats around the worst ones at distances that shrink from binades to single floats, all seeds
in one call.  It draws nothing at random, so that a run repeats whatever else is loaded.  A thorough search
adds Hypothesis, which aims at log2 of the error (`hypothesis.target`); it is derandomized and keeps no
database.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import frexp, log2
from typing import Final

import numpy as np
import numpy.typing as npt

from gradcheck_suite.engine.judge import KINDS, SEVERITIES
from gradcheck_suite.engine.profiles import Profile
from gradcheck_suite.engine.regions import Evaluate, Region
from gradcheck_suite.floats import Format, from_ordinal, infinity_ordinal, round_to, to_ordinal

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_INACCURATE = KINDS.index("inaccurate")
_SPREAD = 3
"""Binades around the worst point in which a simpler one is looked for."""

_SIMPLEST, _FIRST, _STAGES = 12, 4, 3
"""Simple numbers that are tried for a region, those among them that are first, and the stages of all."""

_KEPT = 2.0
"""A simpler witness may show an error smaller by this factor, no more."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How much a search may do: seeds and rounds of the climb, examples of Hypothesis, bits of a witness."""

    seeds: int
    rounds: int
    examples: int
    simple_bits: int


EFFORTS: Final[Mapping[str, Effort]] = {
    "quick": Effort(3, 2, 0, 3),
    "default": Effort(6, 6, 0, 4),
    "thorough": Effort(32, 9, 200, 8),
}


# --- larger errors


def climb(profiles: Sequence[Profile], evaluate: Evaluate, effort: Effort) -> None:
    """Extend the profiles by floats around their largest errors, those of other failures left aside.

    Each round cuts the gaps on both sides of the worst points in four.
    """
    for _ in range(effort.rounds):
        tries: dict[int, set[int]] = {}
        for i, ordinal in _seeds(profiles, effort.seeds):
            tries.setdefault(i, set()).update(_beside(profiles[i], ordinal))
        if not extend(profiles, tries, evaluate):
            return


def extend(profiles: Sequence[Profile], tries: Mapping[int, set[int]], evaluate: Evaluate) -> bool:
    """Judge the ordinals that are not known yet; whether there were any."""
    fresh = {i: sorted(o for o in ordinals if profiles[i].index(o) is None) for i, ordinals in tries.items()}
    batch = [(i, ordinals) for i, ordinals in sorted(fresh.items()) if ordinals]
    values = [(i, from_ordinal(np.array(o, dtype=np.int64), profiles[i].fmt)) for i, o in batch]
    if batch:
        for (i, ordinals), verdicts in zip(batch, evaluate(values), strict=True):
            profiles[i].extend(ordinals, verdicts)
    return bool(batch)


def _objective(profile: Profile) -> Floats:
    """log2 of the error where there is something to climb: other failures are as bad as can be already."""
    v = profile.verdicts
    open_to = (v.kind == 0) | ((v.kind == _INACCURATE) & (v.reason == 0))
    with np.errstate(divide="ignore", invalid="ignore"):
        score = np.where(open_to & np.isfinite(profile.x), np.log2(v.ulp), -np.inf)
    return np.where(np.isfinite(score), score, -np.inf)


def _seeds(profiles: Sequence[Profile], count: int) -> list[tuple[int, int]]:
    """The points of largest error, at most one in each binade of a profile."""
    ranked: list[tuple[float, int, int]] = []
    for i, profile in enumerate(profiles):
        score = _objective(profile)
        best = np.argsort(-score, kind="stable")[: 8 * count]
        ranked += [(-float(score[j]), i, int(profile.ordinals[j])) for j in best if np.isfinite(score[j])]
    chosen: dict[tuple[int, int], tuple[int, int]] = {}
    for _, i, ordinal in sorted(ranked):
        chosen.setdefault((i, ordinal >> (profiles[i].fmt.precision - 1)), (i, ordinal))
        if len(chosen) == count:
            break
    return list(chosen.values())


def _beside(profile: Profile, ordinal: int) -> Iterator[int]:
    """Floats that cut the gaps to the known finite floats on both sides in four.

    Neighbours much nearer than the gap on the other side are passed over: landmarks come in clusters.
    """
    top = infinity_ordinal(profile.fmt)
    known = profile.ordinals[np.isfinite(profile.x)]
    below, above = known[known < ordinal], known[known > ordinal]
    widest = max(_distance(ordinal, below, np.max), _distance(ordinal, above, np.min))
    below, above = below[ordinal - below >= widest // 8], above[above - ordinal >= widest // 8]
    ends = (int(below.max()) if len(below) else -top + 1, int(above.min()) if len(above) else top - 1)
    for end in ends:
        yield from (ordinal + (end - ordinal) * k // 4 for k in (1, 2, 3))


def _distance(ordinal: int, others: Ints, nearest: Callable[[Ints], np.int64]) -> int:
    return abs(int(nearest(others)) - ordinal) if len(others) else 0


# --- by Hypothesis


def wander(profiles: Sequence[Profile], evaluate: Evaluate, examples: int) -> None:
    """Let Hypothesis look for larger errors anywhere on the profiles."""
    import hypothesis
    from hypothesis import strategies as st

    if not profiles or not examples:
        return

    @hypothesis.settings(
        database=None,
        derandomize=True,
        max_examples=examples,
        deadline=None,
        phases=(hypothesis.Phase.generate, hypothesis.Phase.target),
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(st.data())
    def aim(data: st.DataObject) -> None:
        i = data.draw(st.integers(0, len(profiles) - 1))
        top = infinity_ordinal(profiles[i].fmt) - 1
        centre = data.draw(st.integers(-top, top))
        hypothesis.target(_best_near(profiles, i, centre, evaluate))

    with _elsewhere():
        aim()


def _best_near(profiles: Sequence[Profile], i: int, centre: int, evaluate: Evaluate) -> float:
    """log2 of the largest error among a float and its neighbours at growing distances."""
    profile = profiles[i]
    top = infinity_ordinal(profile.fmt)
    steps = [0, *(sign << k for k in range(0, profile.fmt.precision, 4) for sign in (1, -1))]
    near = sorted({o for o in (centre + step for step in steps) if abs(o) < top})
    extend(profiles, {i: set(near)}, evaluate)
    known = [j for j in map(profile.index, near) if j is not None]
    best = float(_objective(profile)[known].max())
    return max(best, -1e3)


@contextmanager
def _elsewhere() -> Iterator[None]:
    """Let what Hypothesis caches go to a folder that vanishes: none appears in a user's repository."""
    from hypothesis import configuration

    before = getattr(configuration, "__hypothesis_home_directory", None)
    with tempfile.TemporaryDirectory(prefix="gradcheck-") as folder:
        configuration.set_hypothesis_home_dir(folder)
        try:
            yield
        finally:
            configuration.set_hypothesis_home_dir(before)


# --- simpler witnesses


def simplest(
    profiles: Sequence[Profile], regions: Sequence[Region], evaluate: Evaluate, effort: Effort
) -> list[int]:
    """For each region the point to show: the simplest that fails as gravely, with half the error or more.

    Returns indices into the profiles' points.
    """
    options = [_simple(profiles[r.profile], r, effort.simple_bits) for r in regions]
    shown: dict[int, int] = {}
    # Most regions show one of the first: others are tried for the rest of them only.
    for length in range(_STAGES):
        tries: dict[int, set[int]] = {}
        rest = [i for i in range(len(regions)) if i not in shown]
        for i in rest:
            tries.setdefault(regions[i].profile, set()).update(options[i][length])
        extend(profiles, tries, evaluate)
        for i in rest:
            found = _first(profiles[regions[i].profile], regions[i], options[i][length])
            if found is not None:
                shown[i] = found
    return [shown.get(i, r.worst) for i, r in enumerate(regions)]


def _simple(profile: Profile, region: Region, bits: int) -> list[list[int]]:
    """Ordinals of the simplest numbers in a region and near its worst point, of others of few bits, and of more."""
    worst = float(profile.x[region.worst])
    if worst == 0 or not np.isfinite(worst) or region.reason == "ill-conditioned":
        return [[]] * _STAGES
    values = np.concatenate([_short(worst, bits), _cut(worst, bits, profile.fmt)])
    inside = (values >= region.lo) & (values <= region.hi) & (round_to(values, profile.fmt) == values)
    inside &= (values != 0) & np.isfinite(values)  # what under- or overflows is no shorter form
    ordered = sorted(set(values[inside].tolist()), key=lambda v: (_bits(v), abs(log2(v / worst)), abs(v)))
    few = [v for v in ordered if _bits(v) <= bits][:_SIMPLEST]
    cut = [v for v in ordered if _bits(v) > bits]
    stages = few[:_FIRST], few[_FIRST:], cut
    return [to_ordinal(np.array(values), profile.fmt).tolist() for values in stages]


def _short(worst: float, bits: int) -> Floats:
    """All numbers of at most so many significant bits within a few binades of one, and of its sign."""
    _, exponent = frexp(worst)
    whole = np.arange(1 << (bits - 1), 1 << bits, dtype=np.float64)
    powers = np.arange(exponent - _SPREAD, exponent + _SPREAD + 1) - bits
    with np.errstate(over="ignore", under="ignore"):
        return np.ravel(np.copysign(np.ldexp(whole[:, np.newaxis], powers), worst))


def _cut(worst: float, bits: int, fmt: Format) -> Floats:
    """One number rounded both ways to several more lengths."""
    lengths = np.arange(bits + 1, fmt.precision, max(fmt.precision // 8, 1))
    mantissa, exponent = frexp(worst)
    whole = np.trunc(np.ldexp(mantissa, lengths))
    both = np.concatenate([whole, whole + np.sign(worst)])
    with np.errstate(over="ignore", under="ignore"):
        return np.asarray(np.ldexp(both, exponent - np.tile(lengths, 2)))


def _bits(value: float) -> int:
    """Significant bits of a number."""
    numerator = abs(value.as_integer_ratio()[0])
    return (numerator // (numerator & -numerator)).bit_length()


def _first(profile: Profile, region: Region, ordinals: Sequence[int]) -> int | None:
    """The first option that shows the region as its worst point does."""
    v = profile.verdicts
    for ordinal in ordinals:
        i = profile.index(ordinal)
        if i is None or KINDS[v.kind[i]] != region.kind or v.reason[i] != v.reason[region.worst]:
            continue
        if SEVERITIES[v.severity[i]] == region.severity and v.ulp[i] * _KEPT >= v.ulp[region.worst]:
            return i
    return None
