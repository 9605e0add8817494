"""The second ruler without a single move: what balls that hold all moves of a point's numbers at once tell.

No move leads out of the enclosure of the column over its box.  That of a cancelling formula is wide; the mean
value theorem gives a narrow one, for the column moves by no more than its slopes in the box allow.  By no less
than the least of them either: so far its range certainly reaches (Neumaier 1990, "Interval Methods for Systems
of Equations", section 2.3).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from gradcheck_suite.floats import Exact, Format
from gradcheck_suite.formula.balls import arb
from gradcheck_suite.formula.evaluate import (
    PRECISION_CAP,
    Formula,
    Masks,
    derivatives,
    sloped,
    start_precision,
)
from gradcheck_suite.formula.fields import ARB
from gradcheck_suite.formula.tape import Objects, elementwise

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Ends = tuple[Floats, Floats]
"""Lower and upper, rounded to nearest."""

_CANCELLED = 32
# A number that is moved is rounded, to many bits; radii of balls to 30.
_A_LITTLE_MORE, _A_LITTLE_LESS = 1 + 2.0**-18, 1 - 2.0**-18


class Bounds(NamedTuple):
    """Of a column at every point: ends that no move leads beyond, and ends that some moves reach; NaN where nothing
    is known.
    """

    most: Ends
    least: Ends


def enclosures(
    formula: Formula,
    quantities: Mapping[str, Floats],
    *,
    column: str,
    wrt: Sequence[str],
    order: int,
    scale: float,
    fmt: Format,
    units: float,
    bits: int,
) -> tuple[Ends, Masks]:
    """Ends of a column times `scale` over all moves, as its formula encloses them, and what is decided there."""
    with ARB.precision(bits):
        found, masks = derivatives(formula, ARB, boxes(quantities, fmt, units), wrt, order)
        return ends_of(found[column] * arb(scale)), masks


def bounds(
    formula: Formula,
    quantities: Mapping[str, Floats],
    centre: Exact,
    *,
    column: str,
    scale: float,
    fmt: Format,
    units: float,
    bits: int = 0,
) -> Bounds:
    """How far moves of all quantities by some units of roundoff can take a column times `scale`, by its slopes.

    `centre` is the exact result without a move.  Nothing is known where a comparison is undecided in the box,
    where a documented clamp holds, or of second derivatives.  Without `bits` the format says how many are worked
    with, and more are taken where these do not do.
    """
    size, start = len(centre), start_precision(fmt)
    most, least = ((np.full(size, np.nan), np.full(size, np.nan)) for _ in range(2))
    with ARB.precision(bits or start):
        slopes, masks = sloped(formula, ARB, boxes(quantities, fmt, units), column)
        smooth = np.flatnonzero(~(masks.tie | masks.clamped | masks.undecided) & np.isfinite(centre.hi))
        if not slopes or not len(smooth):
            return Bounds(most, least)
        outer, inner = _radii({n: x[smooth] for n, x in quantities.items()}, fmt, units)
        here = _balls(centre[smooth])
        apart, sure = np.zeros(len(smooth), dtype=object), np.zeros(len(smooth), dtype=object)
        for name, slope in slopes.items():
            by = slope[smooth] * arb(scale)
            apart = apart + by * elementwise(_around, outer[name].astype(object))
            sure = sure + elementwise(arb.abs_lower, by) * inner[name].astype(object)
        most[0][smooth], most[1][smooth] = ends_of(here + apart)
        least[0][smooth], least[1][smooth] = ends_of(here - sure)[1], ends_of(here + sure)[0]
    rest, lost = _cancelled(most, centre)
    if len(rest) and not bits:
        given = {n: x[rest] for n, x in quantities.items()}
        enough = min(start + lost + _CANCELLED, PRECISION_CAP)
        again = bounds(
            formula, given, centre[rest], column=column, scale=scale, fmt=fmt, units=units, bits=enough
        )
        for known, better in zip((*most, *least), (*again.most, *again.least), strict=True):
            known[rest] = better
    return Bounds(most, least)


def _cancelled(ends: Ends, centre: Exact) -> tuple[npt.NDArray[np.int64], int]:
    """Points whose bounds are too wide for any box, so that digits were lost, and how many bits at most."""
    low, high = ends
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        lost = np.log2(high - low) - np.log2(np.abs(centre.hi)) - centre.exp
    where = np.flatnonzero((low <= 0) & (high >= 0) & (lost > _CANCELLED) & np.isfinite(lost))
    return where, int(lost[where].max(initial=0.0))


def boxes(quantities: Mapping[str, Floats], fmt: Format, units: float) -> dict[str, Objects]:
    """Balls of all that some units of roundoff make of each number; of a subnormal one, of half its spacing."""
    radii = _radii(quantities, fmt, units)[0]
    return {n: elementwise(arb, x.astype(object), radii[n].astype(object)) for n, x in quantities.items()}


def _radii(
    quantities: Mapping[str, Floats], fmt: Format, units: float
) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """How far each number moves at most, rounded up, and how far some move takes it, rounded down."""
    outer, inner = {}, {}
    for n, x in quantities.items():
        tiny = is_subnormal(x, fmt)
        # Of the smallest numbers of binary64 a radius is rounded itself.
        reach = np.where(tiny, fmt.smallest_subnormal * (units / 2), np.abs(x) * (fmt.unit_roundoff * units))
        outer[n] = np.nextafter(reach * _A_LITTLE_MORE, np.inf)
        inner[n] = np.where(tiny, reach, np.nextafter(reach * _A_LITTLE_LESS, 0.0))
    return outer, inner


def is_subnormal(x: Floats, fmt: Format) -> Bools:
    """Which numbers are subnormal in a format, 0 apart."""
    return np.asarray((x != 0) & (np.abs(x) < fmt.smallest_normal), dtype=bool)


def _around(radius: float) -> arb:
    return arb(0, radius)


def ends_of(balls: Objects) -> Ends:
    """Lower and upper ends of balls."""
    ends = [(float(b.lower()), float(b.upper())) for b in balls]
    lower, upper = np.array(ends, dtype=np.float64).reshape(len(balls), 2).T.copy()
    return lower, upper


def _balls(exact: Exact) -> Objects:
    """Balls that hold each of some finite numbers."""
    parts = zip(exact.hi.tolist(), exact.lo.tolist(), exact.exp.tolist(), exact.rad.tolist(), strict=True)
    return np.array([(arb(hi) + arb(lo, rad)) * arb((1, exp)) for hi, lo, exp, rad in parts], dtype=object)
