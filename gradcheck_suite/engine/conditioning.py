"""The second ruler: is a computed value inside the range of exact results of inputs moved by their own
rounding?

A value inside that range is ill-conditioned, not wrong: no algorithm that rounds its inputs, parameters or
cotangent once could be asked for more.  The range is of exact *results*; magnitudes of intermediate values of
a formula never enter, or a cancelling formula would excuse itself.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from gradcheck_suite.engine.boxes import Ends, bounds, enclosures, is_subnormal
from gradcheck_suite.engine.quantities import order_of
from gradcheck_suite.floats import Exact, Format, round_exact, round_to
from gradcheck_suite.formula.arithmetic import uncertified
from gradcheck_suite.formula.balls import arb
from gradcheck_suite.formula.evaluate import Formula, Masks, enclose, start_precision, to_exact
from gradcheck_suite.formula.fields import ARB
from gradcheck_suite.formula.tape import Objects, elementwise

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

_RANDOM_CORNERS = 12
_MOST, _NOT_MUCH_WIDER = 0.5, 6.0
_BATCH = 2000
_BOX_BITS = 128
_INNER, _SCOUTS = 64, 3
# Moves along one line, first few and then more; of results without any order two thirds of all turn back.
_FEW, _MORE, _TURNS = 12, 24, 12
# By how many times their span results of a few moves may miss others, and what part of it a crest lies beyond many.
_NEAR, _CREST = 64, 1 / 8
# No simple fraction: a whole number of periods would show nothing.
_THIRD = 0.34567
# Fractions of a unit that a move is drawn in. A part of it more, and no whole number of periods is ever moved by.
_MOVE_BITS, _PRIME = 20, 1_000_003
# Of random moves, how many are tried at once, and which of the largest results is set against the largest.
_AT_ONCE, _APART = 16, 3
# Enough for a binary64 number moved in any way; digits that a moved number keeps beyond its format's.
_EXACT_BITS, _FINE_BITS, _PLAIN_BITS = 4096, 64, 20
# In 16 bits the range of a smooth function is wide too: ends are far apart from so many times their moves on, and
# from so many of the smallest floats.
_FAR, _GRAINS = 64, 4
# Moves out of the domain would be tried at every precision; a range that lacks one is too small, never too large.
_PATIENCE = 500

Move = tuple[float, ...]
"""By how many units of roundoff each input and parameter is moved."""


class MovedColumn(Protocol):
    """The rounded column of a one-input op at moved inputs and parameters, where that costs less than balls."""

    least: int
    """Points from which on it does."""

    def at(self, x: Floats, move: Move) -> tuple[Floats, Bools]:
        """The column at some inputs, the parameters moved as told, and where it is known."""
        ...


def units(longest_sum: int = 1) -> int:
    """C of the rule C*u: eight roundings, and one more for every doubling of the longest sum."""
    return 8 + int(np.ceil(np.log2(max(longest_sum, 1))))


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of a formula, times a cotangent (`scale`), in a format: "value", "d:x" or "dd:x".

    `formula` takes the inputs and, by keyword, the real parameters `reals`.
    """

    formula: Formula
    reals: Mapping[str, float]
    name: str
    fmt: Format
    scale: float = 1.0

    @property
    def order(self) -> int:
        """The order of derivative that it holds."""
        return order_of(self.name)

    @property
    def wrt(self) -> tuple[str, ...]:
        """The input that it is a derivative with respect to; none for the value."""
        return (self.name.partition(":")[2],) if self.order else ()


def excused(
    column: Column,
    inputs: Mapping[str, Floats],
    computed: Floats,
    centre: tuple[Exact, Exact],
    *,
    moved_column: MovedColumn | None = None,
) -> Bools:
    """Which of the points hold a computed value inside the range of the exact column.

    Every entry of `inputs` moves, whether or not the column is a derivative with respect to it, and so does every
    parameter. `inputs` and `computed` are the failing points only; `centre` is their exact lower and upper value.
    NaN is never inside; points with an infinite or NaN input are never excused, for nothing moves them.
    """
    found = _Ranges(column, inputs, computed, centre, moved_column)
    found.decide()
    corners = list(_patterns(len(inputs) + len(column.reals)))
    found.widen(corners)
    # An end point says little of what lies between: a wave has another phase there, behind a jump the other branch
    # is seen from afar, and of many jumps all ends may lie at the same height.
    inner = _inner(len(inputs) + len(column.reals))
    found.sample(inner, found.open | found.leaps() | found.widened_by(inner[:_SCOUTS]))
    found.enclose()
    found.ride()
    return found.inside


class _Ranges:
    """Ranges of the exact column at some points, which grow with every move that is tried."""

    def __init__(
        self,
        column: Column,
        inputs: Mapping[str, Floats],
        computed: Floats,
        centre: tuple[Exact, Exact],
        moved_column: MovedColumn | None,
    ) -> None:
        self.formula, self.reals, self.inputs, self.computed = column.formula, column.reals, inputs, computed
        self.column, self.wrt, self.order, self.scale = column.name, column.wrt, column.order, column.scale
        self.fmt, self.moved_column = column.fmt, moved_column
        self.lowest, self.highest = (round_exact(end, self.fmt) for end in centre)
        sets = np.flatnonzero((centre[0].hi != centre[1].hi) | (centre[0].exp != centre[1].exp))
        self.single = centre[0].put(sets, Exact.from_float64(np.full(len(sets), np.nan)))
        self.movable: Bools = np.logical_and.reduce([np.isfinite(x) for x in inputs.values()])
        self.movable &= ~np.isnan(computed)
        self.open: Bools = np.zeros(len(computed), dtype=bool)

    @property
    def inside(self) -> Bools:
        """Which computed values lie in their range."""
        below, above = self._ends()
        with np.errstate(invalid="ignore"):
            inside: Bools = self.movable & (self.computed >= below) & (self.computed <= above)
        return inside

    def widen(self, moves: Sequence[Move]) -> None:
        """Take in the results of some moves, many of them in one evaluation where there are few points."""
        rest = list(moves)
        while rest:
            where = np.flatnonzero(self.movable & ~self.inside)
            if not len(where):
                return
            # What is inside already needs no more of them.
            now, rest = rest[: max(_BATCH // len(where), 1)], rest[max(_BATCH // len(where), 1) :]
            self._take(where, np.array(self._at(where, now)))

    def sample(self, moves: Sequence[Move], only: Bools) -> None:
        """Take in moves at random; beyond results that the corners do not show also as much as the largest lie
        apart: the next would be larger, as the crest of a wave is, but hardly the edge of a jump.
        """
        seen: list[Floats] = []
        where = np.flatnonzero(self.movable & ~self.inside & only)
        corners = np.array(self._ends())
        for start in range(0, len(moves), _AT_ONCE):
            if not len(where):
                return
            seen += self._at(where, moves[start : start + _AT_ONCE])
            self._take(where, _beyond(np.sort(seen, axis=0), corners[:, where]))
            # Where so many show nothing that the corners did not, the next will not either.
            left = ~self.inside[where] & _any_beyond(seen, corners[:, where])
            where, seen = where[left], [value[left] for value in seen]

    def enclose(self) -> None:
        """Take in the enclosure of the whole box, where the results seen span most of themselves and it is not
        much wider, nor of a sign that none of them has: as with the values of a wave, of which no sample hits
        every crest.  A kink inside is a result that none hits either.

        Elsewhere it says nothing: that of a cancelling formula is as wide as its intermediate results, and that
        of a steep tail reaches beyond 0, which no result does.
        """
        where = np.flatnonzero(self.movable & ~self.inside & self._spans() & np.isfinite(self.computed))
        if not len(where):
            return
        ends, masks = self._enclosed(where, _BOX_BITS)
        with np.errstate(invalid="ignore", over="ignore"):
            low, high = self.lowest[where], self.highest[where]
            close = ends[1] - ends[0] <= _NOT_MUCH_WIDER * (high - low)
            close &= masks.tie | (((ends[0] >= 0) | (low < 0)) & ((ends[1] <= 0) | (high > 0)))
        self._take(where[close], np.array(ends)[:, close])

    def ride(self) -> None:
        """Take in the crests that moves along one line show, where a value lies not far from the results seen.

        Of a wave whose phase is not known to a period results turn back again and again, as no smooth branches do:
        corners are then results like any other, and an end is hardly ever seen itself.
        """
        with np.errstate(invalid="ignore", over="ignore"):
            span = _NEAR * (self.highest - self.lowest)
            near = (self.computed >= self.lowest - span) & (self.computed <= self.highest + span)
        where = np.flatnonzero(self.movable & ~self.inside & near)
        few, more, order = _line(self._moving)
        if not len(where):
            return
        seen = np.array(self._at(where, few)[: len(few)])
        turning = _turns(seen) > 0
        where, seen = where[turning], seen[:, turning]
        if not len(where):
            return
        seen = np.concatenate([seen, self._at(where, more)[: len(more)]])[order]
        self._take(where, seen)
        ends, moved = _outermost(np.sort(seen, axis=0))
        waves = _turns(seen) >= _TURNS
        # Behind a jump few results may lie, and those next to them on another branch.
        with np.errstate(invalid="ignore", over="ignore"):
            most = np.where(waves, np.inf, (ends[1] - ends[0]) * _CREST)
            moved = np.clip(moved, ends[0] - most, ends[1] + most)
        # Of a sign that no result has, the end has none either.
        moved = np.where(np.sign(moved) == -np.sign(ends), 0.0, moved)
        beyond = np.array([ends[0] < np.fmin(seen[0], seen[-1]), ends[1] > np.fmax(seen[0], seen[-1])])
        self._take(where, np.where(beyond | waves, moved, ends))

    @property
    def _moving(self) -> int:
        """How many quantities move."""
        return len(self.inputs) + len(self.reals)

    def _spans(self) -> Bools:
        """Where the results seen span most of their size."""
        with np.errstate(invalid="ignore", over="ignore"):
            size = np.fmax(np.abs(self.lowest), np.abs(self.highest))
            return np.asarray(self.highest - self.lowest > size * _MOST)

    def decide(self) -> None:
        """Let go of what no move of any number leads to, and take in what some move certainly reaches.

        Where a comparison is undecided in the box, or a documented clamp holds, a gradient is not enclosed.
        """
        where = np.flatnonzero(self.movable & (self.computed == self.computed))
        if not len(where) or uncertified() or self._is_covered(where):
            return
        ends, masks = self._enclosed(where, start_precision(self.fmt))
        kinked = masks.tie | masks.clamped | masks.undecided
        self.open[where] = masks.tie
        self._reject(where, ends, ~kinked if self.column != "value" else np.ones_like(kinked))
        where = where[self.movable[where] & ~kinked & np.isfinite(self.single.hi[where])]
        if not len(where) or self.order > 1:
            return
        found = bounds(
            self.formula,
            self._quantities(where),
            self.single[where],
            column=self.column,
            scale=self.scale,
            fmt=self.fmt,
            units=units(),
        )
        self._reject(where, found.most, np.ones(len(where), dtype=bool))
        low, high = widened(*rounded(found.least, self.fmt), units() * self.fmt.unit_roundoff, self.fmt)
        inside = (self.computed[where] >= low) & (self.computed[where] <= high)
        self._take(where[inside], self.computed[None, where[inside]])

    def _enclosed(self, where: Ints, bits: int) -> tuple[Ends, Masks]:
        return enclosures(
            self.formula,
            self._quantities(where),
            column=self.column,
            wrt=self.wrt,
            order=self.order,
            scale=self.scale,
            fmt=self.fmt,
            units=units(),
            bits=bits,
        )

    def _reject(self, where: Ints, ends: Ends, certain: Bools) -> None:
        """Let go of points outside of ends that no move leads beyond."""
        below, above = widened(*rounded(ends, self.fmt), units() * self.fmt.unit_roundoff, self.fmt)
        beyond = (self.computed[where] < below) | (self.computed[where] > above)
        self.movable[where[beyond & certain]] = False

    def _quantities(self, where: Ints) -> dict[str, Floats]:
        """All that moves, at some points."""
        given = {n: x[where] for n, x in self.inputs.items()}
        return given | {n: np.full(len(where), v) for n, v in self.reals.items()}

    def _take(self, where: Ints, values: Floats) -> None:
        """Widen the ranges of some points to results, one row a move."""
        self.lowest[where] = np.fmin(self.lowest[where], np.fmin.reduce(values))
        self.highest[where] = np.fmax(self.highest[where], np.fmax.reduce(values))

    def leaps(self) -> Bools:
        """The points whose range is too wide for a smooth function: the ends lie on two branches."""
        far = max(2.0 ** (-self.fmt.precision / 2), min(_FAR * units() * self.fmt.unit_roundoff, _MOST))
        with np.errstate(invalid="ignore", over="ignore"):
            size = np.fmax(np.abs(self.lowest), np.abs(self.highest))
            wide: Bools = self.highest - self.lowest > size * far + _GRAINS * self.fmt.smallest_subnormal
        return wide

    def widened_by(self, moves: Sequence[Move]) -> Bools:
        """The points whose range one of some moves widens by more than the rounding of its ends."""
        where = np.flatnonzero(self.movable & ~self.inside)
        out = np.zeros(len(self.computed), dtype=bool)
        ends = [end[where] for end in self._ends()]
        for value in self._at(where, moves) if len(where) else ():
            with np.errstate(invalid="ignore"):
                out[where] |= (value < ends[0]) | (value > ends[1])
        return out

    def _ends(self) -> tuple[Floats, Floats]:
        return widened(self.lowest, self.highest, units() * self.fmt.unit_roundoff, self.fmt)

    def _at(self, where: Ints, moves: Sequence[Move]) -> list[Floats]:
        """The rounded column at some points after each move; with documented clamps also without them."""
        if self.moved_column is None or not self._is_covered(where):
            return self._by_balls(where, moves)
        return [self._covered(self.moved_column, where, move) for move in moves]

    def _is_covered(self, where: Ints) -> bool:
        return self.moved_column is not None and len(where) >= self.moved_column.least

    def _covered(self, column: MovedColumn, where: Ints, move: Move) -> Floats:
        (x,) = self.inputs.values()
        here, unit = x[where], self.fmt.smallest_subnormal
        tiny = is_subnormal(here, self.fmt)
        moved = np.where(tiny, here + move[0] * unit / 2, here * (1 + move[0] * self.fmt.unit_roundoff))
        value, known = column.at(moved, move[1:])
        rest = np.flatnonzero(~known)
        if len(rest):
            value[rest] = self._by_balls(where[rest], [move])[0]
        return value

    def _by_balls(self, where: Ints, moves: Sequence[Move]) -> list[Floats]:
        moved = {
            n: np.concatenate(_moved(x, [move[i] for move in moves], self.fmt))
            for i, (n, x) in enumerate(self._quantities(where).items())
        }
        return [part for column in self._columns(moved) for part in np.split(column, len(moves))]

    def _columns(self, moved: Mapping[str, Objects]) -> Iterator[Floats]:
        for straight in (False, True):
            found = enclose(
                self.formula,
                moved,
                self.fmt,
                wrt=self.wrt,
                order=self.order,
                straight=straight,
                patience=_PATIENCE,
            )
            balls = elementwise(lambda ball: ball * arb(self.scale), found.columns[self.column])
            value = round_exact(to_exact(balls, self.fmt, found.settled[self.column]), self.fmt)
            if self.column != "value":
                # At a tie the derivative is a set, which the centre holds already; the tape follows one
                # branch only.
                value[found.tie] = np.nan
            yield value
            if self.column == "value" or not found.clamped.any():
                return


def factor(move: float, fmt: Format) -> tuple[int, int]:
    """1 + move*u as a dyadic pair; a fraction of a unit has digits that no input shifts away."""
    bits = fmt.emax + 64
    step = round(move * 2**_MOVE_BITS) << (bits - _MOVE_BITS)
    step += step // _PRIME if move != round(move) else 0
    return 2 ** (fmt.precision + bits) + step, -fmt.precision - bits


@functools.cache
def _inner(quantities: int) -> list[Move]:
    """Moves by less than C units in random directions, the first of them by about a third of that."""
    rng = np.random.RandomState(quantities + 1)
    drawn = rng.uniform(-units(), units(), (_INNER, quantities))
    drawn[0] = rng.choice([-1.0, 1.0], quantities) * units() * _THIRD
    return [tuple(map(float, move)) for move in drawn]


@functools.cache
def _line(quantities: int) -> tuple[list[Move], list[Move], Ints]:
    """Moves along one line, few and more, and the order of all.

    The few are Chebyshev's nodes, for a crest may be close to an end; the others are unevenly spaced, for a whole
    number of periods would show nothing.
    """
    rng = np.random.RandomState(quantities + 1)
    line = units() * rng.choice([-1.0, 1.0], quantities)
    if quantities > 1:
        line *= rng.uniform(0.5, 1.0, quantities)
    steps = np.concatenate([np.cos(np.pi * np.arange(_FEW + 1) / _FEW), rng.uniform(-1.0, 1.0, _MORE)])
    moves = [tuple(map(float, step * line)) for step in steps]
    return moves[: _FEW + 1], moves[_FEW + 1 :], np.argsort(steps)


def _turns(values: Floats) -> Ints:
    """How often each column turns back from row to row; equal rounded results go on as those before."""
    with np.errstate(invalid="ignore"):
        steps = np.nan_to_num(np.sign(np.diff(values, axis=0)))
    for before, now in itertools.pairwise(steps):
        now[now == 0] = before[now == 0]
    return np.asarray((steps[1:] * steps[:-1] < 0).sum(axis=0))


def _patterns(quantities: int) -> Iterator[Move]:
    """Moves by C units: every corner for up to four quantities, beyond that a dozen corners and each alone."""
    signs: Iterable[Sequence[int]] = itertools.product((-1, 1), repeat=quantities)
    if quantities > 4:
        rng = np.random.RandomState(quantities)
        both = [[s] * quantities for s in (-1, 1)]
        alone = [[s if i == k else 0 for k in range(quantities)] for i in range(quantities) for s in (-1, 1)]
        signs = [*both, *alone, *rng.choice([-1, 1], (_RANDOM_CORNERS, quantities)).tolist()]
    yield from (tuple(float(s * units()) for s in pattern) for pattern in signs)


def _moved(x: Floats, moves: Sequence[float], fmt: Format) -> list[Objects]:
    """Exact numbers, each moved by its rounding times each of the moves: u times itself, of a subnormal half a unit.

    For narrow formats binary64 has digits enough, as long as numbers are so small that many lie behind the point.
    """
    tiny, size = is_subnormal(x, fmt), np.abs(x)
    if fmt.precision <= 24 and size.max(initial=0.0) <= 2.0**_PLAIN_BITS:
        half = fmt.smallest_subnormal / 2
        return [np.where(tiny, x + m * half, x * (1 + m * fmt.unit_roundoff)).astype(object) for m in moves]
    return [_moved_exactly(x, move, fmt, tiny, size > 2.0**_FINE_BITS) for move in moves]


def _moved_exactly(x: Floats, move: float, fmt: Format, tiny: Bools, large: Bools) -> Objects:
    whole, exponent = factor(move, fmt)
    half = arb((whole - (1 << -exponent), exponent + fmt.precision + fmt.ulp_exponent_min - 1))
    moved = np.empty(len(x), dtype=object)
    with ARB.precision(_EXACT_BITS):
        moved[large] = x[large].astype(object) * arb((whole, exponent))
        moved[tiny] = x[tiny].astype(object) + half
    # A function costs by the digits of its argument; none below these make a difference to a small number.
    with ARB.precision(fmt.precision + 2 * _FINE_BITS):
        usual = np.flatnonzero(~large & ~tiny)
        products = x[usual].astype(object) * arb((whole, exponent))
        moved[usual] = [product.mid() for product in products]
    return moved


def _any_beyond(values: Sequence[Floats], known: Floats) -> Bools:
    """For which columns one of the rows lies outside the known ends."""
    found = np.array(values)
    with np.errstate(invalid="ignore"):
        outside: Bools = ((found < known[0]) | (found > known[1])).any(axis=0)
    return outside


def _beyond(values: Floats, known: Floats) -> Floats:
    """Of sorted rows (NaN last) the first and the last; where these exceed the known ends, moved outwards."""
    ends, moved = _outermost(values)
    with np.errstate(invalid="ignore"):
        fresh = np.array([ends[0] < known[0], ends[1] > known[1]])
    return np.where(fresh, moved, ends)


def _outermost(values: Floats) -> tuple[Floats, Floats]:
    """Of sorted rows (NaN last) the first and the last, as they are and moved outwards as far as a few more lie
    behind.
    """
    last = np.maximum(np.count_nonzero(~np.isnan(values), axis=0) - 1, 0)
    index = np.arange(values.shape[1])
    ends = np.array([values[0], values[last, index]])
    behind = [values[np.minimum(_APART, last), index], values[np.maximum(last - _APART, 0), index]]
    with np.errstate(invalid="ignore", over="ignore"):
        moved = ends + (ends - behind)
    return ends, np.where(np.isfinite(moved), moved, ends)


def moved_real(value: float, move: float, fmt: Format) -> tuple[int, int]:
    """A real parameter moved by so many units, exactly, as a dyadic pair (man, exp)."""
    numerator, denominator = value.as_integer_ratio()
    whole, exponent = factor(move, fmt)
    return numerator * whole, exponent + 1 - denominator.bit_length()


def rounded(ends: Sequence[Floats], fmt: Format) -> tuple[Floats, Floats]:
    """Lower and upper ends of binary64 in the format: rounding to nearest changes no order, so that what lies
    between the ends does so when rounded.
    """
    with np.errstate(over="ignore"):
        return round_to(ends[0], fmt), round_to(ends[1], fmt)


def widened(lowest: Floats, highest: Floats, relative: float, fmt: Format) -> tuple[Floats, Floats]:
    """The ends moved outwards by a part of themselves and rounded: the |output| in S = |output| + sum |z d
    output/d z|.

    For a gradient it is the cotangent that moves; for a value it is the rounding of the result, C times.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        below = round_to(lowest - np.abs(lowest) * relative, fmt)
        return below, round_to(highest + np.abs(highest) * relative, fmt)
