"""Exact values of a pointwise formula at arrays of floats, special inputs and ties included.

Three kinds of point need more than one evaluation:

* An infinite input stands for its limit: +-2^2000 and +-2^5000 take its place; where the results round to one element of
  the format, that is exact, otherwise the result is undefined.
* A NaN input stands for any number: where the value changes with it, the value must be NaN.
* At a tie the derivative is a set, the Clarke subdifferential (Clarke 1983, "Optimization and Nonsmooth Analysis",
  theorem 2.5.1): the convex hull of the limits of gradients at points nearby.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from flint import arb, ctx

from gradcheck_suite.floats import Exact, Format, round_exact
from gradcheck_suite.formula.evaluate import Formula, derivatives, enclose, to_exact
from gradcheck_suite.formula.fields import ARB
from gradcheck_suite.formula.tape import Objects, constant

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

# Stand-ins for infinity: far beyond every format (2^1024), and apart enough that a slow trend shows between them.
_INFINITIES = (2000, 5000)
# Stand-ins for NaN: a value that depends on the input differs at two of these.
_PROBES = (-700.25, -1.5, -0.25, 0.375, 2.5, 650.75)
# A tie is left by this much, relative to the input; bits enough to tell x from x + h, and kinks near it apart.
_STEP_BITS = (200, 260)
_TIE_PRECISION = 3072
# The scale of a zero input: below every float64, so that no kink at a tiny parameter is jumped over.
_ZERO_SCALE = -1074


def bind(formula: Formula, params: Mapping[str, Any], reals: Mapping[str, Any]) -> Formula:
    """The formula of the inputs alone; parameters named in `reals` become exact arrays (floats or dyadic pairs)."""

    def bound(m: Any, **inputs: Any) -> Any:
        exact = {name: constant(m.field, _scalar(m.field, value)) for name, value in reals.items()}
        return formula(m, *inputs.values(), **{**params, **exact})

    return bound


def _scalar(field: Any, value: Any) -> Any:
    return field.number(value)


@dataclass(frozen=True, slots=True)
class Points:
    """Exact columns at every point: "value", "d:name", "dd:name".

    `lower` and `upper` bound the set where `tie` is true and the column is a derivative (elsewhere they equal the
    column).  `undefined[column]` marks points where nothing may be judged, `open[column]` those that the precision cap
    left undecided, `nan_expected` those whose value must be NaN.
    """

    columns: dict[str, Exact]
    lower: dict[str, Exact]
    upper: dict[str, Exact]
    tie: Bools
    undefined: dict[str, Bools]
    open: dict[str, Bools]
    nan_expected: Bools


def exact_points(
    formula: Formula, inputs: Mapping[str, Floats], fmt: Format, *, wrt: Sequence[str], order: int
) -> Points:
    """Exact values and derivatives at float64 arrays of inputs (values of `fmt`), one entry per point."""
    values = {n: np.asarray(x, dtype=np.float64) for n, x in inputs.items()}
    size = len(next(iter(values.values())))
    nan = np.logical_or.reduce([np.isnan(x) for x in values.values()])
    infinite = ~nan & np.logical_or.reduce([np.isinf(x) for x in values.values()])
    plain = ~nan & ~infinite
    # Special points are evaluated apart; 1 merely keeps their place.
    safe = {n: np.where(plain, x, 1.0).astype(object) for n, x in values.items()}
    found = enclose(formula, safe, fmt, wrt=wrt, order=order)
    columns = {n: to_exact(c, fmt, found.settled) for n, c in found.columns.items()}
    undefined = {n: nan.copy() for n in columns}
    unsettled = {n: ~found.settled & plain & ~_not_a_number(found.columns[n], found.settled) for n in columns}
    for n, c in found.columns.items():
        undefined[n] |= plain & _not_a_number(c, found.settled)
    points = Points(columns, {}, {}, found.tie & plain, undefined, unsettled, np.zeros(size, dtype=bool))
    _at_infinity(points, formula, values, np.flatnonzero(infinite), fmt, wrt, order)
    _at_nan(points, formula, values, np.flatnonzero(nan), fmt)
    for n in columns:
        points.lower[n], points.upper[n] = columns[n], columns[n]
    if order and points.tie.any():
        _at_ties(points, formula, values, np.flatnonzero(points.tie), fmt, wrt, order)
    return points


def _not_a_number(column: Objects, settled: Bools) -> Bools:
    """Points that no precision gives a finite ball: outside the domain, or at a pole."""
    out = np.zeros(len(column), dtype=bool)
    rest = np.flatnonzero(~settled)
    out[rest] = [not ball.is_finite() for ball in column[rest]]
    return out


def _at_infinity(
    points: Points,
    formula: Formula,
    values: Mapping[str, Floats],
    where: npt.NDArray[Any],
    fmt: Format,
    wrt: Sequence[str],
    order: int,
) -> None:
    if not len(where):
        return
    trials = [trial for trial in _stand_ins(len(values))]
    rounded: dict[str, list[Floats]] = {n: [] for n in points.columns}
    last: dict[str, Exact] = {}
    for exponents in trials:
        moved = {
            n: _replaced(x[where], exponent) for (n, x), exponent in zip(values.items(), exponents, strict=True)
        }
        found = enclose(formula, moved, fmt, wrt=wrt, order=order)
        for n, column in found.columns.items():
            last[n] = to_exact(column, fmt, found.settled)
            rounded[n].append(round_exact(last[n], fmt))
    for n in points.columns:
        agreed = np.logical_and.reduce([r == rounded[n][0] for r in rounded[n]])
        result = Exact.from_float64(np.where(agreed, rounded[n][0], np.nan))
        points.columns[n] = points.columns[n].put(where, result)
        points.undefined[n][where] |= ~agreed


def _stand_ins(inputs: int) -> list[tuple[int, ...]]:
    """Exponents for each input's infinities: both sizes, and for several inputs in every order."""
    low, high = _INFINITIES
    if inputs == 1:
        return [(low,), (high,)]
    mixed = [tuple(high if i == k else low for i in range(inputs)) for k in range(inputs)]
    return [(low,) * inputs, (high,) * inputs, *mixed]


def _replaced(x: Floats, exponent: int) -> Objects:
    out = x.astype(object)
    for i in np.flatnonzero(np.isinf(x)):
        out[i] = arb((1 if x[i] > 0 else -1, exponent))
    return out


def _at_nan(
    points: Points, formula: Formula, values: Mapping[str, Floats], where: npt.NDArray[Any], fmt: Format
) -> None:
    if not len(where):
        return
    seen: list[Floats] = []
    for probe in _PROBES:
        moved = {n: np.where(np.isfinite(x[where]), x[where], probe).astype(object) for n, x in values.items()}
        found = enclose(formula, moved, fmt)
        seen.append(to_exact(found.columns["value"], fmt, found.settled).to_float64())
    with np.errstate(invalid="ignore"):
        changes = np.logical_or.reduce([(s != seen[0]) & ~np.isnan(s) for s in seen])
    points.nan_expected[where] = changes


def _at_ties(
    points: Points,
    formula: Formula,
    values: Mapping[str, Floats],
    where: npt.NDArray[Any],
    fmt: Format,
    wrt: Sequence[str],
    order: int,
) -> None:
    directions = _directions(len(values))
    sets: dict[str, list[list[Exact]]] = {}
    for bits in _STEP_BITS:
        for direction in directions:
            found = _beside(formula, values, where, wrt, order, bits, direction)
            for n, column in found.items():
                if n != "value":
                    sets.setdefault(n, [[] for _ in _STEP_BITS])[_STEP_BITS.index(bits)].append(column)
    for n, (near, nearer) in sets.items():
        lower, upper = _hull(near)
        bounded = _same_hull((lower, upper), _hull(nearer))
        points.lower[n] = points.lower[n].put(where, lower)
        points.upper[n] = points.upper[n].put(where, upper)
        points.undefined[n][where] = ~bounded
        points.open[n][where] = False
    for n in wrt if order >= 2 else ():
        low, high = points.lower[f"d:{n}"], points.upper[f"d:{n}"]
        is_set = round_exact(low[where], fmt) != round_exact(high[where], fmt)
        points.undefined[f"dd:{n}"][where] |= is_set


def _directions(inputs: int) -> list[tuple[int, ...]]:
    """Directions out of a tie: +-1 for one input; generic integer vectors and their opposites for several."""
    if inputs == 1:
        return [(1,), (-1,)]
    rng = np.random.default_rng(inputs)
    generic = [tuple(int(v) for v in rng.integers(-997, 998, inputs)) for _ in range(4 * 2**inputs)]
    return [d for g in generic for d in (g, tuple(-v for v in g))]


def _beside(
    formula: Formula,
    values: Mapping[str, Floats],
    where: npt.NDArray[Any],
    wrt: Sequence[str],
    order: int,
    bits: int,
    direction: tuple[int, ...],
) -> dict[str, Exact]:
    with ARB.precision(_TIE_PRECISION):
        moved: dict[str, Objects] = {}
        for (n, x), d in zip(values.items(), direction, strict=True):
            scales = np.where(x[where] == 0, 2.0**_ZERO_SCALE, x[where])
            step = arb((d, -bits))
            moved[n] = np.array([arb(float(v)) + abs(arb(float(s))) * step for v, s in zip(x[where], scales)])
        found, _ = derivatives(formula, ARB, moved, wrt, order)
        assert ctx.prec == _TIE_PRECISION
        return {n: _sharp(column) for n, column in found.items()}


def _sharp(column: Objects) -> Exact:
    """Balls of the tie precision as exact values; undefined where they did not stay sharp."""
    good = np.array([b.is_finite() and (b.rel_accuracy_bits() > 80 or b.is_exact()) or _tiny(b) for b in column])
    pairs = [b.mid().man_exp() if ok else (0, 0) for b, ok in zip(column, good, strict=True)]
    exact = Exact.from_man_exp(pairs, rad=2.0**-70)
    bad = np.flatnonzero(~good)
    return exact.put(bad, Exact.from_float64(np.full(len(bad), np.nan))) if len(bad) else exact


def _tiny(ball: arb) -> bool:
    return bool(ball.is_finite() and ball.abs_upper() < arb((1, -1200)))


def _hull(columns: Sequence[Exact]) -> tuple[Exact, Exact]:
    """The least and the greatest of several exact columns, entry by entry (NaN wins)."""
    lower = upper = columns[0]
    for column in columns[1:]:
        below, above = np.flatnonzero(_less(column, lower)), np.flatnonzero(_less(upper, column))
        lower, upper = lower.put(below, column[below]), upper.put(above, column[above])
    return lower, upper


def _less(a: Exact, b: Exact) -> Bools:
    with np.errstate(invalid="ignore", over="ignore"):
        va, vb = a.to_float64(), b.to_float64()
        return (va < vb) | np.isnan(va)


def _same_hull(a: tuple[Exact, Exact], b: tuple[Exact, Exact]) -> Bools:
    """Whether two hulls agree to 40 bits: limits of gradients settle, a gradient that grows without bound does not."""
    same = np.ones(len(a[0]), dtype=bool)
    with np.errstate(invalid="ignore", over="ignore"):
        for x, y in zip(a, b, strict=True):
            vx, vy = x.to_float64(), y.to_float64()
            same &= np.abs(vx - vy) <= 2.0**-40 * np.maximum(np.abs(vx), np.abs(vy)) + 2.0**-1070
    return same


Select = Callable[[npt.NDArray[Any]], Any]
