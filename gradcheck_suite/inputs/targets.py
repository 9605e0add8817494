"""The inputs of an op of several: an input and its targets, weights or variances, where they meet badly.

A *line* is a sweep of one input with the others fixed, or fixed relative to it; regions are read along lines.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gradcheck_suite.floats import Format, from_ordinal, infinity_ordinal, round_to, to_ordinal
from gradcheck_suite.inputs.landmarks import approaching, around, distinct
from gradcheck_suite.inputs.pointwise import WINDOW
from gradcheck_suite.inputs.strata import binades

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Domain = Callable[[Mapping[str, Floats]], Any]

SIGNS: Final = (-1.0, 1.0)
"""The labels of losses with a margin."""

_CONTEXTS: Final = 8
_WINDOW: Final = WINDOW[::2]
_NEAR_ULPS: Final = (-3, -1, 0, 1, 3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """Points on one probe: their indices, in rising order of the input that is swept (NaN last).

    `fixed` holds the other inputs; `follower` is one that keeps the distance `behind` from the probe instead
    (rounded to the format).  Scattered points share nothing: no sweep leads through them.
    """

    probe: str
    members: Any
    fixed: dict[str, float]
    follower: str | None = None
    behind: float = 0.0
    scattered: bool = False

    @property
    def held(self) -> dict[str, float]:
        """What does not change along the line, the distance of a follower included."""
        distance = {f"{self.probe} - {self.follower}": self.behind} if self.follower else {}
        return {**distance, **self.fixed}

    def at(self, x: Floats, fmt: Format) -> dict[str, Floats]:
        """Further points of the line: every input where the probe is `x`."""
        values = {self.probe: x, **{n: np.full(len(x), v) for n, v in self.fixed.items()}}
        if self.follower:
            moved = round_to(x - self.behind, fmt)
            values[self.follower] = np.where(np.isfinite(x), np.clip(moved, -fmt.max, fmt.max), moved)
        return values


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuples:
    """Points of several inputs: one array per input, equally long, and the lines that they lie on."""

    values: dict[str, Floats]
    lines: tuple[Line, ...]

    def __len__(self) -> int:
        return len(next(iter(self.values.values())))


@dataclass(frozen=True, slots=True, kw_only=True)
class Landscape:
    """What is special about an op's inputs: `landmarks` of the first, `partners` of the others by name.

    `offsets` are distances between the first two at which something happens; `domain` marks points that may
    be judged. Where an input has no partners listed, the usual targets stand in; one that has is infinite
    only where the list says. Those in `closed` take no values but their partners, as labels do.
    """

    names: tuple[str, ...]
    landmarks: Sequence[float]
    partners: Mapping[str, Sequence[float]]
    offsets: Sequence[float]
    domain: Domain | None = None
    closed: frozenset[str] = frozenset()


def usual(fmt: Format) -> list[float]:
    """Targets that most ops have trouble with: 0, 1, 1/2, next to 0 and to 1, negative, tiny, huge."""
    eps = 2 * fmt.unit_roundoff
    return [
        0.0,
        1.0,
        0.5,
        eps,
        1 - eps,
        -2.75,
        fmt.smallest_subnormal,
        fmt.max,
        fmt.smallest_normal,
        -fmt.max,
    ]


def tuples(fmt: Format, wanted: Landscape, count: int, seed: int) -> Tuples:
    """About `count` points of several inputs in `fmt`, deterministic, every one inside the domain."""
    found = _joined(wanted, _lines(fmt, wanted, count, seed))
    if 0 < len(found) < count // 2:
        # A narrow domain lets few points through.
        more = min(4 * count, count * count // (2 * len(found)))
        found = _joined(wanted, _lines(fmt, wanted, more, seed))
    return found


def _joined(wanted: Landscape, lines: Iterable[tuple[Line, dict[str, Floats]]]) -> Tuples:
    kept, parts, start = [], [], 0
    for line, values in lines:
        good = np.ones(len(values[line.probe]), dtype=bool)
        if wanted.domain is not None:
            with np.errstate(all="ignore"):
                good = np.broadcast_to(np.asarray(wanted.domain(values), dtype=bool), good.shape)
        if not good.any():
            continue
        inside = {n: x[good] for n, x in values.items()}
        size = int(good.sum())
        kept.append(replace(line, members=np.arange(start, start + size)))
        parts.append(inside)
        start += size
    values = {n: np.concatenate([np.zeros(0), *(part[n] for part in parts)]) for n in wanted.names}
    return Tuples(values=values, lines=tuple(kept))


def _lines(fmt: Format, wanted: Landscape, count: int, seed: int) -> Iterator[tuple[Line, dict[str, Floats]]]:
    first, *others = wanted.names
    partners = {n: _listed(fmt, wanted, n) or usual(fmt) for n in others}
    contexts = _contexts(partners)
    share = count // 16
    main = spread(fmt, wanted.landmarks, 4 * share // 3 * _CONTEXTS // min(len(contexts), _CONTEXTS), seed)
    for i, context in enumerate(contexts[:_CONTEXTS]):
        points = main if i < 2 else main[np.isfinite(main)][i % 2 :: 2]
        # One line has what a picture needs.
        yield _sweep(first, points if i else distinct(np.concatenate([points, _WINDOW])), context)
    middles = _of(fmt, [1.0, *wanted.landmarks[:2], -0.5, 37.0])
    for k, name in enumerate(others):
        if name in wanted.closed:
            continue
        swept = spread(
            fmt, [p for p in _listed(fmt, wanted, name) if np.isfinite(p)], share // 2, seed + 1 + k
        )
        swept = swept[~np.isinf(swept) | np.isin(swept, _infinities(wanted, name))]
        rest = [{n: v for n, v in context.items() if n != name} for context in contexts]
        for x, context in zip(middles, itertools.cycle(rest), strict=False):
            yield _sweep(name, swept, {first: float(x), **context})
    if others and others[0] not in wanted.closed:
        yield from _diagonals(fmt, wanted, contexts, max(share // 3, 8), seed)
    yield from _specials(fmt, wanted, contexts)
    yield _scattered(fmt, wanted, partners, 2 * share, seed)


def _of(fmt: Format, values: Sequence[float]) -> list[float]:
    return list(dict.fromkeys(float(v) for v in round_to(np.array(values, dtype=np.float64), fmt)))


def _listed(fmt: Format, wanted: Landscape, name: str) -> list[float]:
    """The partners of an input as the format holds them; one that it cannot is left out."""
    values = [(v, float(round_to([v], fmt)[0])) for v in wanted.partners.get(name, ())]
    return list(dict.fromkeys(held for v, held in values if np.isinf(v) or np.isfinite(held)))


def _contexts(partners: Mapping[str, Sequence[float]]) -> list[dict[str, float]]:
    """Values of the other inputs: each of the second input's, the further ones taking turns."""
    if not partners:
        return [{}]
    names = list(partners)
    cycles = [itertools.cycle(partners[n]) for n in names[1:]]
    seen = []
    for _ in range(2 if len(names) > 1 else 1):
        for value in partners[names[0]]:
            seen.append({names[0]: value, **{n: next(c) for n, c in zip(names[1:], cycles, strict=True)}})
        for c in cycles:
            # Another pairing on the second round.
            next(c)
    return seen


def spread(fmt: Format, landmarks: Sequence[float], count: int, seed: int) -> Floats:
    """About `count` floats for one input: landmarks and the distances from them, ends of the format, binades."""
    ends = [
        fmt.smallest_subnormal,
        fmt.smallest_normal,
        fmt.unit_roundoff,
        1.0,
        2.0 ** (fmt.emin // 2 - 3),
        2.0 ** (fmt.emax // 2 + 1),
        0.875 * fmt.max,
        fmt.max,
    ]
    near = [around(landmarks, fmt, ulps=2), approaching(landmarks, fmt)[seed % 3 :: 4]]
    both = round_to([0.0, *ends, *(-e for e in ends), np.inf, -np.inf, np.nan], fmt)
    fixed = distinct(np.concatenate([*near, both, _exponents(fmt)]))
    everywhere = binades(fmt, 1, seed)
    room = max(count - len(fixed), count // 3)
    # Half of them where functions change their character.
    central = binades(fmt, max(1, room // 64), seed + 1, low=-fmt.precision // 2, high=6)
    parts = [part[:: max(1, 2 * len(part) // room)] for part in (everywhere, central)]
    return distinct(np.concatenate([fixed, *parts]))


def _exponents(fmt: Format) -> Floats:
    """Where exp leaves the format and where 1 + exp(-x) rounds to 1, of both signs."""
    logs = np.log([fmt.max, 1 / fmt.unit_roundoff, 1 / fmt.smallest_normal])
    return round_to(np.concatenate([logs, -logs, [-float(np.log(2.0)) * fmt.ulp_exponent_min]]), fmt)


def _sweep(probe: str, x: Floats, fixed: Mapping[str, float]) -> tuple[Line, dict[str, Floats]]:
    line = Line(probe=probe, members=None, fixed=dict(fixed))
    return line, {probe: x, **{n: np.full(len(x), v) for n, v in fixed.items()}}


def _diagonals(
    fmt: Format, wanted: Landscape, contexts: Sequence[Mapping[str, float]], count: int, seed: int
) -> Iterator[tuple[Line, dict[str, Floats]]]:
    """The second input equal to the first, a few ulps beside it, and at the op's offsets from it."""
    first, second, *_ = wanted.names
    if second in wanted.partners and not wanted.offsets:
        return
    x = spread(fmt, wanted.landmarks, count, seed + 9)
    x = x[np.isfinite(x)]
    x = x[:: max(1, len(x) // count)]
    rest = {n: v for n, v in contexts[0].items() if n != second}
    for offset, ulps in _offsets(wanted.offsets or (0.0,)):
        line = Line(
            probe=first, members=None, fixed=rest, follower=second, behind=offset, scattered=bool(ulps)
        )
        values = line.at(x, fmt)
        yield line, {**values, second: _moved(fmt, values[second], ulps)}


def _offsets(offsets: Sequence[float]) -> Iterator[tuple[float, int]]:
    for offset in dict.fromkeys((0.0, *offsets)):
        for sign in (1.0, -1.0) if offset else (1.0,):
            for ulps in _NEAR_ULPS if not offset else (-1, 0, 1):
                yield sign * offset, ulps


def _moved(fmt: Format, values: Floats, ulps: int) -> Floats:
    top = infinity_ordinal(fmt) - 1
    return from_ordinal(np.clip(to_ordinal(values, fmt) + ulps, -top, top), fmt)


def _specials(
    fmt: Format, wanted: Landscape, contexts: Sequence[Mapping[str, float]]
) -> Iterator[tuple[Line, dict[str, Floats]]]:
    """Infinite and NaN inputs beside the first, each with a few ordinary and special ones."""
    first, *others = wanted.names
    x = np.array([-np.inf, -fmt.max, -1.5, 0.0, fmt.smallest_normal, 1.0, 37.0, np.inf, np.nan])
    for name in others:
        for value in (*_infinities(wanted, name), *(() if name in wanted.closed else (np.nan,))):
            yield _sweep(first, x, {**contexts[0], name: value})


def _infinities(wanted: Landscape, name: str) -> list[float]:
    listed = wanted.partners.get(name, (np.inf, -np.inf))
    return [x for x in listed if np.isinf(x)]


def _scattered(
    fmt: Format, wanted: Landscape, partners: Mapping[str, Sequence[float]], count: int, seed: int
) -> tuple[Line, dict[str, Floats]]:
    """Independent draws for every input: half from its own values, half from the middle binades."""
    rng = np.random.RandomState(seed + len(wanted.names))
    values = {}
    for i, name in enumerate(wanted.names):
        pool = binades(fmt, 8, seed + 20 + i, low=-8, high=5)
        drawn = pool[rng.randint(0, len(pool), count)]
        listed = np.array(partners.get(name, _of(fmt, [1.0, *wanted.landmarks])))
        use = rng.randint(0, 2, count) == 0 if i else np.zeros(count, dtype=bool)
        use |= name in wanted.closed
        values[name] = np.where(use, listed[rng.randint(0, len(listed), count)], drawn)
    order = np.argsort(values[wanted.names[0]], kind="stable")
    return Line(probe=wanted.names[0], members=None, fixed={}, scattered=True), {
        n: v[order] for n, v in values.items()
    }
