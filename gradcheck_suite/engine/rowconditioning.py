"""The second ruler for rows: the range of the exact result when every number of a call moves by C*u.

The range is probed from inside: at the sign patterns of the exact first derivative of the worst entries,
which reach its ends to first order, and at fixed pseudo-random ones.  Too small a range is the strict side.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from gradcheck_suite.engine.boxes import ends_of
from gradcheck_suite.engine.conditioning import rounded, units, widened
from gradcheck_suite.floats import Exact, Format, round_exact
from gradcheck_suite.formula.arithmetic import uncertified
from gradcheck_suite.formula.arrays import (
    Pattern,
    Problem,
    Wanted,
    at_stand_ins,
    enclose,
    evaluate,
    exact_numbers,
)
from gradcheck_suite.formula.balls import arb
from gradcheck_suite.formula.context import Context
from gradcheck_suite.formula.evaluate import start_precision
from gradcheck_suite.formula.fields import ARB
from gradcheck_suite.formula.sensitivities import sensitivities

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

COTANGENT, DIRECTION = "cotangent", "direction"
"""The names under which the signs of the cotangent and of the direction stand in a pattern."""

_RANDOM = 6
"""Pseudo-random sign patterns, each with its opposite."""

_GUIDED = 10
"""Entries of a sample whose own first derivative is asked for a pattern; equal ones count once."""

_SLACK = 4.0
"""An error beyond so many times the first-order range is not looked into further."""

_DIGITS = 10
# Moves of inputs in narrow formats are rounded to binary64.
_A_LITTLE_MORE = 1 + 2.0**-18
_SMALL, _LONG = 128, 8192
_DEEP = 1 / 16


@dataclass(frozen=True, slots=True)
class Signs:
    """A direction of +-1 for every number of a call."""

    by_name: Mapping[str, Floats]

    def opposite(self) -> Signs:
        """The same with all signs turned."""
        return Signs({n: -s for n, s in self.by_name.items()})


def excused(
    problem: Problem,
    wanted: Wanted,
    column: str,
    entries: Ints,
    computed: Floats,
    centre: Exact,
    ulp: Floats,
    fmt: Format,
    *,
    kinks: Callable[[], Kinks],
) -> Bools:
    """Which failing entries of one sample's flat `column` hold a computed value inside the range; NaN never
    does.

    `kinks` gives `kinks_of` the problem.
    """
    usable = ~np.isnan(computed)
    if problem.has_nan:
        # A NaN stands for any number: there is nothing to move.
        return np.zeros(len(entries), dtype=bool)
    moving = at_stand_ins(problem)
    dismissed, smooth = _dismissed(moving, wanted, column, entries[usable], computed[usable], fmt)
    usable[usable] = ~dismissed
    if not usable.any():
        return usable
    crossed = Kinks((), vague=False) if smooth else kinks()
    if crossed.vague and wanted.order > 1:
        return usable
    search = _Range(moving, wanted, column, entries, computed, centre, fmt, kinks=bool(crossed.moves))
    search.look()
    if search.kinks:
        for signs in (*crossed.moves, *(_scattered(problem, seed) for seed in range(_RANDOM))):
            search.widen(signs, search.step)
    guides = list(_representatives(computed, centre, np.where(usable, ulp, -1.0)))
    count = _GUIDED if problem.size <= _SMALL else _GUIDED // 4 if problem.size <= _LONG else 1
    for worst in guides[:count]:
        if not search.inside[worst]:
            search.guide(worst)
    if len(guides) > count and not dismissed.any() and search.inside[guides[:count]].all():
        # The largest errors of a long sample speak for its smaller ones.
        return usable
    return _shared(search.inside, computed, centre) & usable


def _dismissed(
    problem: Problem, wanted: Wanted, column: str, entries: Ints, computed: Floats, fmt: Format
) -> tuple[Bools, bool]:
    """Which entries lie outside of the enclosure of the column over all moves at once: no move leads there.

    Nothing is said where a comparison is undecided, or equal, somewhere among the moves; elsewhere these meet no
    kink, which is stated beside.
    """
    nothing = np.zeros(len(entries), dtype=bool)
    if uncertified() or not len(entries):
        return nothing, False
    most = float(units(longest(problem))) * fmt.unit_roundoff
    with ARB.precision(start_precision(fmt)):
        box, under = _boxed(problem, wanted, arb(1, most * _A_LITTLE_MORE))
        columns, m = evaluate(box, ARB, under)
        if m.undecided or m.ties or m.clamped:
            return nothing, False
        ends = ends_of(columns[column][entries])
    below, above = widened(*rounded(ends, fmt), most, fmt)
    return (computed < below) | (computed > above), True


def _boxed(problem: Problem, wanted: Wanted, factor: Any) -> tuple[Problem, Wanted]:
    """Every number of the call, of the cotangent and of the directions times a ball around 1."""

    def box(value: Any) -> Any:
        return exact_numbers(ARB, value) * factor

    def boxed(pattern: Pattern) -> Pattern:
        return lambda size: box(pattern(size))

    return replace(
        problem,
        inputs={n: box(x) for n, x in problem.inputs.items()},
        reals={n: box(x) for n, x in problem.reals.items()},
    ), replace(
        wanted,
        cotangent=boxed(wanted.cotangent),
        directions={n: boxed(wanted.direction_of(n)) for n in problem.inputs},
    )


class _Range:
    """The range of the exact entries as far as it has been explored, and which computed values lie inside."""

    def __init__(
        self,
        problem: Problem,
        wanted: Wanted,
        column: str,
        entries: Ints,
        computed: Floats,
        centre: Exact,
        fmt: Format,
        *,
        kinks: bool,
    ) -> None:
        self.problem, self.wanted, self.column, self.entries, self.fmt = problem, wanted, column, entries, fmt
        self.computed, self.exact = computed, centre.to_float64()
        self.lowest = round_exact(centre, fmt)
        self.highest = self.lowest.copy()
        self.inside = np.zeros(len(entries), dtype=bool)
        self.step = float(units(longest(problem)))
        self.kinks = kinks

    def guide(self, i: int) -> None:
        """Widen along the exact first derivative of entry i, unless even four times its reach would not do.

        The first step is no longer than the error asks for: a full one may turn back where the function
        bends.
        """
        slopes = sensitivities(self.problem, self.wanted, self.column, int(self.entries[i]))
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            slope = sum(float(np.abs(s).sum()) for s in slopes.values())
            reach = self.step * self.fmt.unit_roundoff * (abs(self.exact[i]) + slope)
            # An infinity lies where the next binade would begin.
            computed = np.clip(self.computed[i], -(2.0**self.fmt.emax) * 2, 2.0**self.fmt.emax * 2)
            error = abs(computed - self.exact[i])
            binade = np.frexp(self.exact[i])[1] if self.exact[i] else self.fmt.emin
            grain = 2.0 ** max(self.fmt.ulp_exponent_min, binade - self.fmt.precision)
            part = 2 * (error + grain) / reach
        signs = Signs({n: np.where(s < 0, -1.0, 1.0) for n, s in slopes.items()})
        if part < _DEEP and not self.kinks:
            # So deep inside the first-order range that the bend of the function cannot matter.
            self.inside[i] = True
        elif part < 1:
            self.widen(signs, self.step * part)
        if not self.inside[i] and part < 2 * _SLACK:
            self.widen(signs, self.step)

    def widen(self, signs: Signs, step: float) -> None:
        """Take in the exact entries when every number moves by step*u along the signs, and against them."""
        for direction in (signs, signs.opposite()):
            moved, seen = move(self.problem, self.wanted, direction, self.fmt, step)
            found = enclose(moved, self.fmt, seen).column(self.column, self.fmt)
            value = round_exact(found[self.entries], self.fmt)
            self.lowest, self.highest = np.fmin(self.lowest, value), np.fmax(self.highest, value)
        self.look()

    def look(self) -> None:
        """Mark what lies inside the range by now; the size of a gradient is moved by the cotangent, except
        across a kink."""
        own = self.step * self.fmt.unit_roundoff if self.column == "value" or self.kinks else 0.0
        lowest, highest = widened(self.lowest, self.highest, own, self.fmt)
        with np.errstate(invalid="ignore"):
            self.inside |= (self.computed >= lowest) & (self.computed <= highest)


@dataclass(frozen=True, slots=True)
class Kinks:
    """The moves that lead across a kink or a jump, which no derivative at one point tells of.

    `vague` says that gradients behind it are sets, so that second derivatives are nothing to compare with.
    """

    moves: tuple[Signs, ...]
    vague: bool


def kinks_of(problem: Problem, wanted: Wanted, fmt: Format) -> Kinks:
    """The kinks within reach of a problem."""
    forward = replace(wanted, order=0)
    problem = at_stand_ins(problem)
    here = _evaluated(problem, forward, fmt).branches
    moves, vague = [], False
    for signs in _scouts(problem) if here else ():
        for direction in (signs, signs.opposite()):
            there = _evaluated(*move(problem, forward, direction, fmt), fmt)
            if any((a != b).any() for a, b in zip(here, there.branches, strict=True)):
                vague |= bool(there.ties)
                moves.append(signs)
                break
    return Kinks(tuple(moves), vague)


def _evaluated(problem: Problem, forward: Wanted, fmt: Format) -> Context:
    with ARB.precision(start_precision(fmt)):
        return evaluate(problem, ARB, forward)[1]


def _scouts(problem: Problem) -> Iterator[Signs]:
    """Inputs against parameters, every other input against the rest, and a pattern by a fixed rule.

    Kinks lie where two numbers are equal, such as a norm and eps, or an anchor and a negative: what moves all
    of them alike stays on its side.
    """
    alike, drawn = _scattered(problem, 0).by_name, _scattered(problem, 1)
    yield Signs({n: -s if n in problem.reals else s for n, s in alike.items()})
    if len(problem.inputs) > 1:
        second = tuple(problem.inputs)[1::2]
        yield Signs({n: -s if n in second else s for n, s in alike.items()})
    yield drawn


def _representatives(computed: Floats, centre: Exact, ulp: Floats) -> Iterator[int]:
    """One entry for each pair of a computed and an exact value, the worst first."""
    seen: set[tuple[float, float, int]] = set()
    for i in np.argsort(-ulp, kind="stable"):
        key = _key(computed, centre, int(i))
        if ulp[i] >= 0 and key not in seen:
            seen.add(key)
            yield int(i)


def _shared(inside: Bools, computed: Floats, centre: Exact) -> Bools:
    """Entries that show the same computed and exact value as one that lies inside do so too."""
    known = {_key(computed, centre, int(i)) for i in np.flatnonzero(inside)}
    return np.array([_key(computed, centre, i) in known for i in range(len(inside))], dtype=bool)


def _key(computed: Floats, centre: Exact, i: int) -> tuple[float, float, int]:
    return float(computed[i]), float(centre.hi[i]), int(centre.exp[i])


def _scattered(problem: Problem, seed: int) -> Signs:
    """Pattern 0 moves everything alike; the others are drawn by a fixed rule."""
    numbers = {**problem.inputs, **problem.reals}
    return _drawn(tuple((n, np.shape(_numbers(x))) for n, x in numbers.items()), seed)


@functools.lru_cache(maxsize=256)
def _drawn(shapes: tuple[tuple[str, tuple[int, ...]], ...], seed: int) -> Signs:
    sizes = dict(shapes)
    rng = np.random.RandomState(seed)  # the legacy generator's stream is frozen
    drawn = {n: np.where(rng.randint(0, 2, shape) == 0, -1.0, 1.0) for n, shape in sizes.items()}
    if seed == 0:
        drawn = {n: np.ones(shape) for n, shape in sizes.items()}
    seeds = {n: np.where(rng.randint(0, 2, 1 << 12) == 0, -1.0, 1.0) for n in (COTANGENT, DIRECTION)}
    return Signs({**drawn, **seeds})


def longest(problem: Problem) -> int:
    """An upper bound of the longest sum: the longest axis of any input."""
    return max((max(np.shape(_numbers(x)), default=1) for x in problem.inputs.values()), default=1)


def move(
    problem: Problem, wanted: Wanted, signs: Signs, fmt: Format, step: float | None = None
) -> tuple[Problem, Wanted]:
    """Every number of the call times 1 +- step*u (C by default), the cotangent and the direction too."""
    step = float(units(longest(problem))) if step is None else step
    inputs = {n: _moved(x, signs.by_name[n], step, fmt) for n, x in problem.inputs.items()}
    reals = {n: _moved(x, signs.by_name[n], step, fmt) for n, x in problem.reals.items()}

    def moved(pattern: Pattern, s: Floats) -> Pattern:
        return lambda size: _moved(np.asarray(pattern(size)), np.resize(s, size), step, fmt)

    # The signs of the directions of all inputs lie one after another.
    sizes = [np.size(_numbers(x)) for x in inputs.values()]
    seeds = np.resize(signs.by_name[DIRECTION].reshape(-1), sum(sizes))
    parts = np.split(seeds, np.cumsum(sizes)[:-1])
    return replace(problem, inputs=inputs, reals=reals), replace(
        wanted,
        cotangent=moved(wanted.cotangent, signs.by_name[COTANGENT].reshape(-1)),
        directions={n: moved(wanted.direction_of(n), s) for n, s in zip(inputs, parts, strict=True)},
    )


def _numbers(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value
    out = np.empty((), dtype=object)
    out[()] = value
    return out


def _moved(value: Any, signs: Floats, step: float, fmt: Format) -> Any:
    array = _numbers(value)
    signs = np.broadcast_to(signs, array.shape)
    if array.dtype == np.float64 and fmt.precision < 53:
        # That binary64 rounds the product is a further move of 2^-53, far below u.
        return array * (1.0 + signs * (step * fmt.unit_roundoff))
    # Ten digits of the step, so that the factor is a short dyadic number.
    size, binade = np.frexp(step)
    exponent, few = int(binade) - _DIGITS - fmt.precision, int(size * 2**_DIGITS)
    exact = np.frompyfunc(lambda x, s: _times(x, 2**-exponent + int(s) * few, exponent), 2, 1)
    return _numbers(exact(array, signs))


def _times(value: Any, numerator: int, exponent: int) -> Any:
    if isinstance(value, tuple):
        return (value[0] * numerator, value[1] + exponent)
    whole, below = float(value).as_integer_ratio()
    return arb((whole * numerator, exponent + 1 - below.bit_length()))
