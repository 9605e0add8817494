"""Exact values of a pointwise formula at arrays of floats, special inputs and ties included.

Three kinds of point need more than one evaluation:

  * An infinite input stands for its limit: +-2^2000 and +-2^5000 take its place; where the results round to
  one element of the format, that is exact, otherwise the result is undefined.  So it is where the limit hangs
  on another number being exactly what it is: 0*inf has none, nor has -inf*log(1).
  * A NaN input stands for any number: where the value changes with it, the value must be NaN.
  * At a tie the derivative is a set, the Clarke subdifferential (Clarke 1983, "Optimization and Nonsmooth
  Analysis", theorem 2.5.1): the convex hull of the limits of gradients at points nearby.  At a documented
  clamp the clamped and the unclamped derivative span it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gradcheck_suite.floats import Exact, Format, round_exact
from gradcheck_suite.formula.arithmetic import uncertified
from gradcheck_suite.formula.balls import arb
from gradcheck_suite.formula.context import Context
from gradcheck_suite.formula.evaluate import Formula, derivatives, enclose, to_exact
from gradcheck_suite.formula.fields import ARB
from gradcheck_suite.formula.tape import Array, Objects, constant, elementwise
from gradcheck_suite.formula.ties import hull, joint, limits

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

# Stand-ins for infinity: far beyond every format (2^1024), and apart enough that a slow trend shows between
# them.
_INFINITIES = (2000, 5000)
# Stand-ins for NaN: a value that depends on the input differs at two of these.
_PROBES = (-700.25, -1.5, -0.25, 0.375, 2.5, 650.75)
# Powers of two are integers, multiples of each other and ends of periods; so much beside one is no such number.
_FRACTION = (3, -3)
_LITERAL_BITS = 256
# A hair beside 0: times any of the infinities it is infinite, by itself it is 0 in every format.
_HAIR = (1, -1900)
# Moves of the finite inputs beside an infinite one, in units of roundoff.
_MOVES = (-8, 8)


def bind(
    formula: Formula, params: Mapping[str, Any], reals: Mapping[str, Any], extras: Sequence[str] = ()
) -> Formula:
    """The formula of the inputs alone; parameters named in `reals` become exact arrays (floats or dyadic
    pairs).

    Inputs named in `extras` go to the formula by keyword, all others in order.
    """

    def bound(m: Any, **inputs: Any) -> Any:
        exact = {name: constant(m.field, m.field.number(value)) for name, value in reals.items()}
        named = {name: inputs.pop(name) for name in extras}
        # A constant may come as a plain number.
        return m.const(formula(m, *inputs.values(), **{**params, **exact, **named}))

    return bound


@dataclass(frozen=True, slots=True)
class Points:
    """Exact columns at every point: "value", "d:name", "dd:name".

    `lower` and `upper` bound the set where `tie` is true and the column is a derivative (elsewhere they equal
    the column).  `undefined[column]` marks points where nothing may be judged, `open[column]` those that the
    precision cap left undecided, `nan_expected` those whose value must be NaN.  `vertices` has, for the
    indices of points where several derivatives are a set together, that set: it is the convex hull of the
    rows, one column per input in `wrt`.
    """

    columns: dict[str, Exact]
    lower: dict[str, Exact]
    upper: dict[str, Exact]
    tie: Bools
    undefined: dict[str, Bools]
    open: dict[str, Bools]
    nan_expected: Bools
    vertices: dict[int, Floats]


def exact_points(
    formula: Formula,
    inputs: Mapping[str, Floats],
    fmt: Format,
    *,
    wrt: Sequence[str],
    order: int,
    beside: Formula | None = None,
) -> Points:
    """Exact values and derivatives at float64 arrays of inputs (values of `fmt`), one entry per point.

    Derivatives are taken for the inputs in `wrt`; the others are constants of the point. `beside` is the
    formula with `off_zero` parameters, where it has any that are 0.  An infinite derivative at finite inputs,
    as at the end of a domain, is none.
    """
    values = {n: np.asarray(x, dtype=np.float64) for n, x in inputs.items()}
    size = len(next(iter(values.values())))
    nan = np.logical_or.reduce([np.isnan(x) for x in values.values()])
    infinite = ~nan & np.logical_or.reduce([np.isinf(x) for x in values.values()])
    plain = ~nan & ~infinite
    # Special points are evaluated apart; 1 merely keeps their place.
    safe = {n: np.where(plain, x, 1.0).astype(object) for n, x in values.items()}
    found = enclose(formula, safe, fmt, wrt=wrt, order=order)
    columns = {n: to_exact(c, fmt, found.settled[n]) for n, c in found.columns.items()}
    poles = {n: plain & _not_a_number(c, found.settled[n]) for n, c in found.columns.items()}
    infinite_there = {n: plain & _is_infinite(c, columns[n]) for n, c in found.columns.items()}
    # Where there is no value there is no derivative, though its formula may go on beyond the domain.
    undefined = {n: nan | poles[n] | poles["value"] for n in columns}
    unsettled = {n: ~found.settled[n] & plain & ~undefined[n] for n in columns}
    tie = plain & (found.tie | found.clamped)
    points = Points(columns, {}, {}, tie, undefined, unsettled, np.zeros(size, dtype=bool), {})
    _at_infinity(points, (formula, beside or formula), values, infinite, fmt, wrt, order)
    _at_nan(points, formula, values, np.flatnonzero(nan), fmt)
    for n in columns:
        points.lower[n], points.upper[n] = columns[n], columns[n]
    if order:
        both = bool((found.tie & found.clamped & plain).any())
        _at_ties(points, formula, values, np.flatnonzero(found.tie & plain), fmt, wrt, order, clamped=both)
        _at_clamps(points, formula, safe, np.flatnonzero(found.clamped & plain), fmt, wrt, order)
        for n in columns:
            points.undefined[n] |= poles["value"]
    _exclude_poles(points, values, infinite_there)
    _exclude_jumps(points, formula, values, tie | infinite_there["value"], fmt)
    return points


def _exclude_jumps(
    points: Points, formula: Formula, values: Mapping[str, Floats], where: Bools, fmt: Format
) -> None:
    """At -0 no value is judged that is another just below 0: real numbers have no sign of zero."""
    minus = {n: (x == 0) & np.signbit(x) for n, x in values.items()}
    at = np.flatnonzero(where & np.logical_or.reduce(list(minus.values())))
    if not len(at):
        return
    below = {n: np.where(minus[n][at], 0.0, x[at]) for n, x in values.items()}
    moved = _pairs(
        {
            n: [(-1, _HAIR[1]) if z else v for v, z in zip(x, minus[n][at], strict=True)]
            for n, x in below.items()
        }
    )
    found = enclose(formula, moved, fmt)
    beside = round_exact(to_exact(found.columns["value"], fmt, found.settled["value"]), fmt)
    points.undefined["value"][at] |= round_exact(points.columns["value"][at], fmt) != beside


def _exclude_poles(points: Points, values: Mapping[str, Floats], infinite: Mapping[str, Bools]) -> None:
    """Nothing is a derivative that is infinite, or of an infinite value; a number that overflows is one.

    Of a set with an infinite end none is judged at -0, which lies on the other side of the pole.
    """
    minus = np.logical_or.reduce([(x == 0) & np.signbit(x) for x in values.values()])
    for n in (n for n in points.columns if n != "value"):
        ends = np.isinf(points.lower[n].hi) | np.isinf(points.upper[n].hi)
        alone = infinite[n] & ~points.tie
        points.undefined[n] |= infinite["value"] | alone | (infinite[n] & minus) | (ends & points.tie & minus)


def _is_infinite(column: Objects, exact: Exact) -> Bools:
    """Where a ball is infinity itself, unlike a finite number past the range of binary64."""
    out = np.zeros(len(column), dtype=bool)
    for i in np.flatnonzero(np.isinf(exact.hi)):
        out[i] = not column[i].mid().is_finite()
    return out


def off_zero(reals: Mapping[str, float]) -> dict[str, Any] | None:
    """The parameters with a hair in place of 0, as `bind` takes them; None where none is 0."""
    return {n: _HAIR if v == 0 else v for n, v in reals.items()} if 0.0 in reals.values() else None


def _not_a_number(column: Objects, settled: Bools) -> Bools:
    """Points that no precision gives a finite ball: outside the domain, or at a pole."""
    out = np.zeros(len(column), dtype=bool)
    rest = np.flatnonzero(~settled)
    out[rest] = [not ball.is_finite() for ball in column[rest]]
    return out


def _at_infinity(
    points: Points,
    formulas: tuple[Formula, Formula],
    values: Mapping[str, Floats],
    infinite: Bools,
    fmt: Format,
    wrt: Sequence[str],
    order: int,
) -> None:
    """Points with the same inputs infinite share their stand-ins."""
    which = {n: infinite & np.isinf(x) for n, x in values.items()}
    code = np.zeros(len(infinite), dtype=np.int64)
    for i, mask in enumerate(which.values()):
        code |= mask.astype(np.int64) << i
    for pattern in np.unique(code[infinite]):
        where = np.flatnonzero(infinite & (code == pattern))
        here = {n: x[where] for n, x in values.items()}
        names = [n for n in values if which[n][where[0]]]
        limits = [
            _columns(formulas[0], {**_exactly(here), **_replaced(here, names, e)}, fmt, wrt, order)
            for e in _stand_ins(len(names))
        ]
        between = {**_exactly(here), **_replaced_by_fractions(here, names)}
        limits[0]["value"] = _where_equal(limits[0], _columns(formulas[0], between, fmt, (), 0), fmt)
        moved = list(_others_moved(formulas, here, names, fmt, wrt, order))
        literal = _literal(formulas[0], here, fmt, wrt, order)
        for n in points.columns:
            trials = [trial[n] for trial in limits]
            first = round_exact(trials[0], fmt)
            agreed = _of_one_sign(trials)
            agreed &= np.logical_and.reduce([round_exact(t, fmt) == first for t in trials])
            for trial, domain_ends in moved:
                near = _alike(first, round_exact(trial[n], fmt), fmt)
                agreed &= near | (domain_ends & np.isnan(round_exact(trial["value"], fmt)))
            # A factor of e^-4096 is too small for the stand-ins, and for infinity is not.
            agreed &= ~np.isinf(literal[n]) | (literal[n] == first)
            # Beyond the domain there is no derivative either.
            agreed &= np.logical_or.reduce([~np.isnan(round_exact(t["value"], fmt)) for t in limits])
            result = Exact.from_float64(np.where(agreed, first, np.nan))
            points.columns[n] = points.columns[n].put(where, result)
            points.undefined[n][where] |= ~agreed


def _where_equal(trial: Mapping[str, Exact], other: Mapping[str, Exact], fmt: Format) -> Exact:
    """The values of a trial where those of another round to the same, else NaN."""
    differ = np.flatnonzero(round_exact(trial["value"], fmt) != round_exact(other["value"], fmt))
    return trial["value"].put(differ, Exact.from_float64(np.full(len(differ), np.nan)))


def _columns(
    formula: Formula, inputs: Mapping[str, Objects], fmt: Format, wrt: Sequence[str], order: int
) -> dict[str, Exact]:
    """The columns at given numbers; undefined where a set would be, which is not worked out at infinity."""
    found = enclose(formula, inputs, fmt, wrt=wrt, order=order)
    columns = {n: to_exact(c, fmt, found.settled[n]) for n, c in found.columns.items()}
    ties = np.flatnonzero(found.tie | found.clamped)
    none = Exact.from_float64(np.full(len(ties), np.nan))
    return {n: c if n == "value" or not len(ties) else c.put(ties, none) for n, c in columns.items()}


def _others_moved(
    formulas: tuple[Formula, Formula],
    here: Mapping[str, Floats],
    names: Sequence[str],
    fmt: Format,
    wrt: Sequence[str],
    order: int,
) -> Iterator[tuple[dict[str, Exact], bool]]:
    """The columns where every other number is a little off: a zero by a hair, the rest by some roundoff.

    With them whether it may have left the domain: below 0 there may be nothing.
    """
    others = [n for n in here if n not in names]
    zero = formulas[0] is not formulas[1] or any((here[n] == 0).any() for n in others)
    for exponents, sign in itertools.product(_stand_ins(len(names)), (1, -1)) if zero else ():
        hair = (sign, _HAIR[1])
        beside = {n: [hair if v == 0 else float(v) for v in here[n]] for n in others}
        inputs = {**_exactly(here), **_replaced(here, names, exponents), **_pairs(beside)}
        yield _columns(formulas[1], inputs, fmt, wrt, order), sign < 0
    for move in _MOVES if others else ():
        factor = arb((2**fmt.precision + move, -fmt.precision))
        inputs = {n: x if n in names else x * factor for n, x in _exactly(here).items()}
        replaced = _replaced(here, names, _INFINITIES[:1] * len(names))
        yield _columns(formulas[0], {**inputs, **replaced}, fmt, wrt, order), False


def _literal(
    formula: Formula, here: Mapping[str, Floats], fmt: Format, wrt: Sequence[str], order: int
) -> dict[str, Floats]:
    """The infinities that the formula as it is written reaches in extended reals, elsewhere 0.

    mpmath is not asked: some of its series have no end there.
    """
    if uncertified():
        size = len(next(iter(here.values())))
        names = ("value", *(f"{'d' * k}:{n}" for k in range(1, order + 1) for n in wrt))
        return {n: np.zeros(size) for n in names}
    with ARB.precision(_LITERAL_BITS), np.errstate(all="ignore"):
        columns, _ = derivatives(formula, ARB, _exactly(here), wrt, order)
        return {
            n: np.asarray(np.frompyfunc(_infinity, 1, 1)(c), dtype=np.float64) for n, c in columns.items()
        }


def _infinity(ball: arb) -> float:
    """The infinity that a ball is, 0 for any other."""
    return float(ball.mid()) if not (ball.is_finite() or ball.is_nan()) and abs(ball) > 1 else 0.0


def _of_one_sign(trials: Sequence[Exact]) -> Bools:
    """Where no two of the results have opposite signs, too small as they may be for the format."""
    signs = np.array([np.sign(t.hi) for t in trials])
    with np.errstate(invalid="ignore"):
        mixed = (signs > 0).any(axis=0) & (signs < 0).any(axis=0)
    return np.asarray(~mixed, dtype=bool)


def _alike(a: Floats, b: Floats, fmt: Format) -> Bools:
    """Equal, or close enough for a result that depends smoothly on what was moved."""
    with np.errstate(invalid="ignore", over="ignore"):
        size = np.fmax(np.abs(a), np.abs(b))
        near = np.isfinite(size) & (np.abs(a - b) <= size * 2.0 ** (-fmt.precision / 2))
    return np.asarray(near | (a == b), dtype=bool)


def _stand_ins(infinities: int) -> Iterator[tuple[int, ...]]:
    """Exponents for each infinite input: both sizes, and for several inputs in every order."""
    low, high = _INFINITIES
    if infinities <= 3:
        yield from itertools.product((low, high), repeat=infinities)
        return
    yield from ((low,) * infinities, (high,) * infinities)
    yield from (tuple(high if i == k else low for i in range(infinities)) for k in range(infinities))


def _exactly(values: Mapping[str, Floats]) -> dict[str, Objects]:
    """Arrays of exact numbers; what stands for infinity replaces theirs."""
    return {n: np.array([arb(float(v)) for v in x], dtype=object) for n, x in values.items()}


def _pairs(values: Mapping[str, Sequence[Any]]) -> dict[str, Objects]:
    return {n: np.array([arb(v) for v in x], dtype=object) for n, x in values.items()}


def _replaced(
    values: Mapping[str, Floats], names: Sequence[str], exponents: Sequence[int]
) -> dict[str, Objects]:
    """The named inputs with a power of two in place of each infinity."""
    return {n: _finite(values[n], e) for n, e in zip(names, exponents, strict=True)}


def _replaced_by_fractions(values: Mapping[str, Floats], names: Sequence[str]) -> dict[str, Objects]:
    """The named inputs with numbers in place of infinities that are no integers."""
    exponents = _INFINITIES[:1] * len(names)
    with ARB.precision(2 * _INFINITIES[0]):
        return {
            n: np.where(np.isinf(values[n]), x + arb(_FRACTION), x)
            for n, x in _replaced(values, names, exponents).items()
        }


def _finite(x: Floats, exponent: int) -> Objects:
    sign = np.sign(x)
    numbers = [
        arb((int(s), exponent)) if np.isinf(v) else arb(float(v)) for v, s in zip(x, sign, strict=True)
    ]
    return np.array(numbers, dtype=object)


def _at_nan(
    points: Points, formula: Formula, values: Mapping[str, Floats], where: npt.NDArray[Any], fmt: Format
) -> None:
    if not len(where):
        return
    seen: list[Floats] = []
    for k in range(len(_PROBES)):
        moved = {}
        for i, (n, x) in enumerate(values.items()):
            # Several NaNs stand for several numbers.
            number = _PROBES[(k + i) % len(_PROBES)]
            moved[n] = _finite(np.where(np.isnan(x[where]), number, x[where]), _INFINITIES[0])
        found = enclose(formula, moved, fmt)
        seen.append(to_exact(found.columns["value"], fmt, found.settled["value"]).to_float64())
    with np.errstate(invalid="ignore"):
        changes = np.logical_or.reduce([(s != seen[0]) & ~np.isnan(s) for s in seen])
    points.nan_expected[where] = changes & ~_documented_number(formula, values, where)


def _documented_number(formula: Formula, values: Mapping[str, Floats], where: npt.NDArray[Any]) -> Bools:
    """The points that are numbers by what the definition says about NaN, as fmax does."""
    field: Any = ARB
    m = Context(field, missing=True)
    literal = {n: Array(field, _finite(x[where], _INFINITIES[0])) for n, x in values.items()}
    with np.errstate(invalid="ignore"):
        value = np.broadcast_to(formula(m, **literal).value, where.shape)
    return ~np.asarray(elementwise(ARB.is_nan, value), dtype=bool) & m.placed


def _at_ties(
    points: Points,
    formula: Formula,
    values: Mapping[str, Floats],
    where: npt.NDArray[Any],
    fmt: Format,
    wrt: Sequence[str],
    order: int,
    *,
    clamped: bool,
) -> None:
    """The hull of the limits of gradients, in every direction; undefined where one has no limit."""
    if not len(where):
        return
    found = limits(formula, {n: x[where] for n, x in values.items()}, wrt, order, clamped=clamped)
    for n, columns in found.columns.items():
        lower, upper = hull(columns)
        points.lower[n] = points.lower[n].put(where, lower)
        points.upper[n] = points.upper[n].put(where, upper)
        points.undefined[n][where] = ~found.settled[n]
        points.open[n][where] = False
    _note_vertices(points, where, [found.columns[f"d:{n}"] for n in wrt])
    _exclude_second(points, where, wrt, order, fmt)


def _note_vertices(points: Points, where: npt.NDArray[Any], columns: Sequence[Sequence[Exact]]) -> None:
    """Keep the gradients that span the set jointly, where there are several inputs."""
    if len(columns) < 2:
        return
    for index, rows in zip(where.tolist(), joint(columns), strict=True):
        known = points.vertices.get(index)
        points.vertices[index] = rows if known is None else np.unique(np.vstack([known, rows]), axis=0)


def _exclude_second(
    points: Points, where: npt.NDArray[Any], wrt: Sequence[str], order: int, fmt: Format
) -> None:
    """Second derivatives are not judged where the first is itself a set."""
    for n in wrt if order >= 2 else ():
        low, high = points.lower[f"d:{n}"], points.upper[f"d:{n}"]
        is_set = round_exact(low[where], fmt) != round_exact(high[where], fmt)
        points.undefined[f"dd:{n}"][where] |= is_set


def _at_clamps(
    points: Points,
    formula: Formula,
    values: Mapping[str, Objects],
    where: npt.NDArray[Any],
    fmt: Format,
    wrt: Sequence[str],
    order: int,
) -> None:
    """The clamped derivative is known; the unclamped one widens the set."""
    if not len(where):
        return
    part = {n: x[where] for n, x in values.items()}
    found = enclose(formula, part, fmt, wrt=wrt, order=order, straight=True)
    straight = {n: to_exact(c, fmt, found.settled[n]) for n, c in found.columns.items()}
    for n in points.columns:
        if n == "value":
            continue
        lower, upper = hull([points.lower[n][where], points.upper[n][where], straight[n]])
        points.lower[n] = points.lower[n].put(where, lower)
        points.upper[n] = points.upper[n].put(where, upper)
        points.undefined[n][where] |= np.isnan(lower.hi) | np.isnan(upper.hi)
        points.open[n][where] = False
    _note_vertices(points, where, [[points.columns[f"d:{n}"][where], straight[f"d:{n}"]] for n in wrt])
    _exclude_second(points, where, wrt, order, fmt)
