"""Exact values of a pointwise formula at arrays of floats, special inputs and ties included.

Three kinds of point need more than one evaluation:

  * An infinite input stands for its limit: +-2^2000 and +-2^5000 take its place; where the results round to
  one element of the format, that is exact, otherwise the result is undefined.
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
from gradcheck_suite.formula.balls import arb
from gradcheck_suite.formula.evaluate import Formula, enclose, to_exact
from gradcheck_suite.formula.tape import Objects, constant
from gradcheck_suite.formula.ties import hull, joint, limits

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

# Stand-ins for infinity: far beyond every format (2^1024), and apart enough that a slow trend shows between
# them.
_INFINITIES = (2000, 5000)
# Stand-ins for NaN: a value that depends on the input differs at two of these.
_PROBES = (-700.25, -1.5, -0.25, 0.375, 2.5, 650.75)
# apart.


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
        return formula(m, *inputs.values(), **{**params, **exact, **named})

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
    formula: Formula, inputs: Mapping[str, Floats], fmt: Format, *, wrt: Sequence[str], order: int
) -> Points:
    """Exact values and derivatives at float64 arrays of inputs (values of `fmt`), one entry per point.

    Derivatives are taken for the inputs in `wrt`; the others are constants of the point.
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
    undefined = {n: nan | poles[n] for n in columns}
    unsettled = {n: ~found.settled[n] & plain & ~poles[n] for n in columns}
    tie = plain & (found.tie | found.clamped)
    points = Points(columns, {}, {}, tie, undefined, unsettled, np.zeros(size, dtype=bool), {})
    _at_infinity(points, formula, values, infinite, fmt, wrt, order)
    _at_nan(points, formula, values, np.flatnonzero(nan), fmt)
    for n in columns:
        points.lower[n], points.upper[n] = columns[n], columns[n]
    if order:
        both = bool((found.tie & found.clamped & plain).any())
        _at_ties(points, formula, values, np.flatnonzero(found.tie & plain), fmt, wrt, order, clamped=both)
        _at_clamps(points, formula, safe, np.flatnonzero(found.clamped & plain), fmt, wrt, order)
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
        names = [n for n in values if which[n][where[0]]]
        rounded: dict[str, list[Floats]] = {n: [] for n in points.columns}
        for exponents in _stand_ins(len(names)):
            moved = {n: x[where].astype(object) for n, x in values.items()}
            moved |= {n: _replaced(values[n][where], e) for n, e in zip(names, exponents, strict=True)}
            found = enclose(formula, moved, fmt, wrt=wrt, order=order)
            for n, column in found.columns.items():
                rounded[n].append(round_exact(to_exact(column, fmt, found.settled[n]), fmt))
                if n != "value":
                    # A set at infinity is not worked out.
                    rounded[n][-1][found.tie | found.clamped] = np.nan
        for n, trials in rounded.items():
            agreed = np.logical_and.reduce([r == trials[0] for r in trials])
            result = Exact.from_float64(np.where(agreed, trials[0], np.nan))
            points.columns[n] = points.columns[n].put(where, result)
            points.undefined[n][where] |= ~agreed


def _stand_ins(infinities: int) -> Iterator[tuple[int, ...]]:
    """Exponents for each infinite input: both sizes, and for several inputs in every order."""
    low, high = _INFINITIES
    if infinities <= 3:
        yield from itertools.product((low, high), repeat=infinities)
        return
    yield from ((low,) * infinities, (high,) * infinities)
    yield from (tuple(high if i == k else low for i in range(infinities)) for k in range(infinities))


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
    for k in range(len(_PROBES)):
        moved = {}
        for i, (n, x) in enumerate(values.items()):
            # Several NaNs stand for several numbers.
            number = _PROBES[(k + i) % len(_PROBES)]
            moved[n] = _replaced(np.where(np.isnan(x[where]), number, x[where]), _INFINITIES[0])
        found = enclose(formula, moved, fmt)
        seen.append(to_exact(found.columns["value"], fmt, found.settled["value"]).to_float64())
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
