"""Building a certified Taylor cover from a formula.

Three kinds of block, for each sign of the input:

* *grid*: 2^k consecutive floats inside a binade.  A jet at the centre gives the coefficients, a jet over the
  ball of the block a proven remainder (Lagrange's form).  A block that fails is halved, down to `_LEAVES`; a
  comparison that the ball cannot decide fails it, which isolates kinks.
* *origin*: every float below a power of two, subnormals included, expanded at 0.  One such block replaces a
  hundred binades wherever a formula is smooth on one side of 0.
* *tail*: every float above a power of two, where a column is constant or affine but for a remainder that
  integrals of its next derivatives bound.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from flint import arb

from gradcheck_suite.floats import Format, from_ordinal
from gradcheck_suite.formula.cover import Cover
from gradcheck_suite.formula.growth import grown_signs
from gradcheck_suite.formula.jets import JETS, JetContext, NoJet, coefficients, variable
from gradcheck_suite.formula.polynomials import TARGET, Candidates, Polynomials, certify
from gradcheck_suite.formula.tape import Array, Objects

Formula = Callable[..., Any]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

DEGREE: Final = 10
# The first precision decides formulas of ordinary size down to 2^-149; naive ones that cancel more take the
# next.
_BITS: Final = (192, 768)
# log2 of the smallest block, by order: fewer floats are cheaper one by one, unless a second derivative is
# wanted.
_LEAVES: Final = (4, 4, 2)
# A formula that needs more blocks is covered in part.
_MOST_NODES: Final = {11: 5_000, 24: 100_000}
# How often a binade is halved before a block is given up whose centre is far beyond the format.
_BEYOND: Final = 2
# exponent that stands for 0: below every float of the narrow formats by so much that the shift is part of no
# verdict.
_ORIGIN: Final = -220
# Floats between two of these exponents are enclosed at once.  A radius has 30 bits, so that a ball keeps
# clear of 0 over 28 binades and no more; functions bend near 1, where single binades tell more exactly where.
_MARKS: Final = (*range(_ORIGIN, -31, 27), -31, *range(-12, 13), 39, 66, 93, 120, 128)
# Beyond any exponent of a format; a float64 can still be multiplied with it.
_TINY: Final = 2.0**-1070


def build(formula: Formula, fmt: Format, *, order: int = 1, degree: int = DEGREE, margin: int = 1) -> Cover:
    """The cover of `formula(m, x=Array)` on the floats of `fmt` (at most 24 bits) for derivatives up to
    `order`.

    A block's polynomials hold for reals up to `margin` floats beyond its ends, where its kind allows.  Empty
    where the formula has no Taylor arithmetic.
    """
    expansion = _Expansion(formula, order, degree)
    nothing = _blocks(fmt, np.zeros((6, 0)), [_constants(np.zeros(0), np.zeros(0), degree)] * (order + 1))
    try:
        parts = [part for sign in (1, -1) for part in _side(expansion, fmt, sign, margin)]
    except NoJet:
        parts = []
    return _joined([nothing, *parts])


def _side(expansion: _Expansion, fmt: Format, sign: int, margin: int) -> Iterator[Cover]:
    segments = _Segments(expansion, sign)
    start, stop = 0, fmt.emax + 1
    origin = _origin(segments, fmt)
    if origin is not None:
        start = origin.mark
        yield origin.cover
        if start > fmt.emax:
            return
    lowest = start if origin else None
    tail = _tail(segments, fmt, lowest) or _overflow(expansion, segments, fmt, lowest)
    if tail is not None:
        stop = tail.mark
        yield tail.cover
    yield from _grid(expansion, fmt, sign, range(start if origin else fmt.emin - 1, stop), margin)


# ---------------------------------------------------------------- jets as numbers


@dataclass(frozen=True, slots=True)
class _Expanded:
    """Coefficients of jets, one jet a row.

    `mid` and `rad` enclose each coefficient at the centre; `least` and `most` bound its magnitude over the
    ball; `undecided` marks rows where a comparison was.
    """

    mid: Floats
    rad: Floats
    least: Floats
    most: Floats
    undecided: Bools


class _Expansion:
    """A formula with the order of derivatives and the degree that are wanted."""

    def __init__(self, formula: Formula, order: int, degree: int) -> None:
        self.formula, self.order, self.degree = formula, order, degree

    def jets(self, centres: Floats, radii: Floats, scales: Floats, bits: int = _BITS[0]) -> _Expanded:
        """Taylor coefficients 0..degree at x = centre + scale*t, and over |x - centre| <= radius."""
        length = self.degree + 1
        with JETS.precision(bits, length):
            x: Objects = np.empty(len(centres), dtype=object)
            x[:] = [variable(arb(c), arb(s), r) for c, s, r in zip(centres, scales, radii, strict=True)]
            m = JetContext(JETS)
            y = np.broadcast_to(m.const(self.formula(m, x=Array(JETS, x))).value, x.shape)
            rows = [coefficients(jet, length) for jet in y]
            undecided = np.zeros(len(centres), dtype=bool)
            for mask in m.undecided:
                undecided |= mask
            at, over = [row[0] for row in rows], [row[1] for row in rows]
            return _Expanded(
                mid=_table(at, lambda c: float(c.mid())),
                rad=_table(at, lambda c: _up(c.rad())),
                least=_table(over, lambda c: float(c.abs_lower())) * (1 - 2.0**-50),
                most=_table(over, lambda c: _up(c.abs_upper())),
                undecided=undecided,
            )


def _table(rows: list[list[arb]], number: Callable[[arb], float]) -> Floats:
    return np.array([[number(c) for c in row] for row in rows], dtype=np.float64)


def _up(size: arb) -> float:
    """A binary64 number not below a magnitude; 0 only for 0, NaN for what is not finite."""
    if not size.is_finite():
        return math.nan
    return 0.0 if size.is_zero() else float(size) * (1 + 2.0**-50) + _TINY


def _falling(degree: int, derivative: int) -> Floats:
    """j!/(j - m)! for j = m..degree: what coefficient j contributes to the m-th derivative."""
    return np.array([math.perm(j, derivative) for j in range(derivative, degree + 1)], dtype=np.float64)


# ---------------------------------------------------------------- blocks


def _blocks(fmt: Format, places: Floats, columns: list[Polynomials]) -> Cover:
    """`places` has the rows first, last, low, high, centre, inverse."""
    first, last, low, high, centre, inverse = places
    return Cover(fmt, first, last, low, high, centre, inverse, tuple(columns))


def _joined(parts: list[Cover]) -> Cover:
    """One cover of the blocks of several, in rising order."""
    names = ("first", "last", "low", "high", "centre", "inverse")
    places = np.stack([np.concatenate([getattr(p, n) for p in parts]) for n in names])
    rank = np.argsort(places[0], kind="stable")
    columns = [Polynomials.join(c).take(rank) for c in zip(*(p.columns for p in parts), strict=True)]
    return _blocks(parts[0].fmt, places[:, rank], columns)


def _constants(values: Floats, errors: Floats, length: int) -> Polynomials:
    return Polynomials.constants(values, errors, length)


def _flat(sign: Floats, least: Floats, most: Floats, fmt: Format, length: int) -> tuple[Polynomials, Bools]:
    """Columns that are nothing on a whole block, or all past the overflow limit: one number does for them."""
    nothing = most <= TARGET / 2 * 2.0**fmt.ulp_exponent_min
    huge = least >= 2.0 ** (fmt.emax + 2)
    values = np.where(huge, sign * 2.0 ** (fmt.emax + 4), 0.0)
    return _constants(values, np.where(nothing, most, 0.0), length), nothing | huge


# ---------------------------------------------------------------- grid


@dataclass(frozen=True, slots=True)
class _Nodes:
    """Aligned blocks to be tried: the ordinals of their first floats, log2 of their sizes, the precision."""

    start: Ints
    size: Ints
    level: Ints

    def __len__(self) -> int:
        return len(self.start)

    def take(self, where: Any) -> _Nodes:
        return _Nodes(self.start[where], self.size[where], self.level[where])

    def halves(self) -> _Nodes:
        half = self.size - 1
        start = np.concatenate([self.start, self.start + (np.int64(1) << half)])
        return _Nodes(start, np.tile(half, 2), np.tile(self.level, 2))

    def sharper(self) -> _Nodes:
        return _Nodes(self.start, self.size, self.level + 1)

    def join(self, other: _Nodes) -> _Nodes:
        return _Nodes(
            *(np.concatenate([getattr(self, n), getattr(other, n)]) for n in ("start", "size", "level"))
        )


def _grid(expansion: _Expansion, fmt: Format, sign: int, exponents: range, margin: int) -> Iterator[Cover]:
    """Blocks in the binades of these exponents; emin - 1 stands for the subnormals."""
    width = fmt.precision - 1
    start = np.array([(e - fmt.emin + 1) << width for e in exponents], dtype=np.int64)
    nodes = _Nodes(start, np.full(len(start), width), np.zeros(len(start), dtype=np.int64))
    tried = 0
    while len(nodes) and tried < _MOST_NODES.get(fmt.precision, 5_000):
        tried += len(nodes)
        waiting = _Nodes(*(np.zeros(0, dtype=np.int64) for _ in range(3)))
        for level in np.unique(nodes.level):
            part = nodes.take(nodes.level == level)
            tried_now = _try_grid(expansion, fmt, sign, part, _BITS[level], margin)
            yield tried_now.cover
            again = tried_now.failed & tried_now.lost & (level + 1 < len(_BITS))
            split = (
                tried_now.failed
                & ~again
                & (part.size > np.maximum(width - tried_now.patience, _LEAVES[expansion.order]))
            )
            waiting = waiting.join(part.take(again).sharper()).join(part.take(split).halves())
        nodes = waiting


@dataclass(frozen=True, slots=True)
class _Attempt:
    """The blocks that succeed; of all nodes, which fail and which lost their digits.

    `patience` is how often a binade may be halved for them.
    """

    cover: Cover
    failed: Bools
    lost: Bools
    patience: Ints


def _try_grid(
    expansion: _Expansion, fmt: Format, sign: int, nodes: _Nodes, bits: int, margin: int
) -> _Attempt:
    inner, outer = from_ordinal(nodes.start, fmt), from_ordinal(nodes.start + (1 << nodes.size) - 1, fmt)
    centre, half = (
        sign * (inner + outer) / 2,
        (from_ordinal(nodes.start + 1, fmt) - inner) * 2.0 ** (nodes.size - 1),
    )
    reach = 1 + (2 * margin - 1) * np.ldexp(1.0, -nodes.size)
    jets = expansion.jets(centre, half * reach, half, bits)
    good, columns = ~jets.undecided, []
    for m in range(expansion.order + 1):
        found, certain = _grid_column(jets, half, reach, fmt, m)
        columns.append(found)
        good &= certain
    with np.errstate(invalid="ignore"):
        lost = jets.rad.max(axis=1) > 2.0**-90 * np.abs(jets.mid).max(axis=1)
    ends = np.sort(sign * np.stack([inner, outer]), axis=0)
    places = np.stack([*ends, centre - half * reach, centre + half * reach, centre, 1 / half])
    cover = _blocks(fmt, places[:, good], [c.take(good) for c in columns])
    void, beyond = np.isnan(jets.rad[:, 0]) & ~jets.undecided, np.abs(jets.mid[:, 0]) > 2.0 ** (fmt.emax + 64)
    patience = np.where(beyond, _BEYOND, fmt.precision)
    where = np.flatnonzero(void)
    patience[where[_void_at_both(expansion, sign * inner[where], sign * outer[where])]] = 0
    return _Attempt(cover, ~good, lost, patience)


def _void_at_both(expansion: _Expansion, first: Floats, last: Floats) -> Bools:
    """Whether the formula has no value at either end of blocks: they are taken to lie outside its domain."""
    size = len(first)
    if not size:
        return np.zeros(0, dtype=bool)
    ends = np.concatenate([first, last])
    jets = expansion.jets(ends, np.zeros(2 * size), np.ones(2 * size))
    void = np.isnan(jets.rad[:, 0])
    return void[:size] & void[size:]


def _grid_column(
    jets: _Expanded, half: Floats, reach: Floats, fmt: Format, derivative: int
) -> tuple[Polynomials, Bools]:
    rows, length = jets.mid.shape[0], jets.mid.shape[1] - 1
    weight = _falling(length, derivative)
    unit = (half**-derivative)[:, np.newaxis]
    coefficients, errors = np.zeros((rows, length)), np.zeros((rows, length + 1))
    kept = length - derivative
    with np.errstate(over="ignore", invalid="ignore"):
        coefficients[:, :kept] = jets.mid[:, derivative:length] * weight[:-1] * unit
        errors[:, :kept] = jets.rad[:, derivative:length] * weight[:-1] * unit
        errors[:, kept] = jets.most[:, length] * weight[-1] * unit[:, 0]
        least, most = (size[:, derivative] * weight[0] * unit[:, 0] for size in (jets.least, jets.most))
    found, good = certify(Candidates(coefficients, errors, np.zeros(rows), reach), fmt, (0,))
    flat, certain = _flat(np.sign(jets.mid[:, derivative]), least, most, fmt, length)
    found.put(np.flatnonzero(certain), flat.take(certain))
    return found, good | certain


# ---------------------------------------------------------------- origin and tail


@dataclass(frozen=True, slots=True)
class _Wide:
    """A block that ends at 2^mark, or begins there."""

    mark: int
    cover: Cover


class _Segments:
    """Enclosures over the intervals between neighbouring marks on one side of 0, and jets at the marks.

    Segment i lies between marks i and i + 1; its coefficients are scaled by its upper end, so that they
    neither overflow nor underflow; those `at` mark i by the mark.  The jet at the `start`, which stands for
    0, is not scaled.
    """

    def __init__(self, expansion: _Expansion, sign: int) -> None:
        self.sign, self.order, self.degree = sign, expansion.order, expansion.degree
        self.marks = np.array(_MARKS, dtype=np.int64)
        points = np.ldexp(1.0, self.marks)
        low, high = points[:-1], points[1:]
        self.over = expansion.jets(sign * (low + high) / 2, (high - low) / 2, high)
        self.at = expansion.jets(sign * points, np.zeros(len(points)), points)
        self.start = expansion.jets(sign * points[:1], np.zeros(1), np.ones(1))


def _origin(segments: _Segments, fmt: Format) -> _Wide | None:
    """The longest block that begins at 0, if there is one."""
    marks = segments.marks[1:]
    usable = np.flatnonzero((marks > fmt.emin) & (marks <= fmt.emax + 1))
    good = np.logical_and.accumulate(~segments.over.undecided)[usable]
    columns = []
    for m in range(segments.order + 1):
        found, certain = _origin_column(segments, usable, fmt, m)
        columns.append(found)
        good &= certain
    if not good.any():
        return None
    best = int(np.flatnonzero(good)[-1])
    mark, top = int(marks[usable[best]]), 2.0 ** int(marks[usable[best]])
    ends = np.sort(segments.sign * np.array([fmt.smallest_subnormal, top * (1 - fmt.unit_roundoff)]))
    reach = np.sort(segments.sign * np.array([fmt.smallest_subnormal / 2, top]))
    places = np.array([*ends, *reach, 0.0, 1 / top])[:, np.newaxis]
    return _Wide(mark, _blocks(fmt, places, [c.take([best]) for c in columns]))


def _origin_column(
    segments: _Segments, usable: Ints, fmt: Format, derivative: int
) -> tuple[Polynomials, Bools]:
    degree, marks = segments.degree, segments.marks
    weight, kept, rows = _falling(degree, derivative), degree - derivative, len(usable)
    coefficients, errors = np.zeros((rows, degree)), np.zeros((rows, degree + 1))
    tops = marks[1:][usable]
    powers = np.arange(kept)
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        # Powers of x become powers of t = x/2^top.
        shift = tops[:, np.newaxis] * powers
        coefficients[:, :kept] = np.ldexp(segments.start.mid[0, derivative:degree] * weight[:-1], shift)
        errors[:, :kept] = np.ldexp(segments.start.rad[0, derivative:degree] * weight[:-1], shift)
        remainders = np.stack(
            [
                np.ldexp(segments.over.most[:, degree], (top - marks[1:]) * degree - top * derivative)
                for top in tops
            ]
        )
        errors[:, kept] = weight[-1] * np.maximum.accumulate(remainders, axis=1)[np.arange(rows), usable]
        errors[:, 0] += np.ldexp((np.abs(coefficients) * np.arange(degree)).sum(axis=1), _ORIGIN - tops)
    nearest = np.ldexp(fmt.smallest_subnormal / 2, -tops)
    return certify(Candidates(coefficients, errors, nearest, np.ones(rows)), fmt, range(6))


def _tail(segments: _Segments, fmt: Format, start: int | None) -> _Wide | None:
    """The longest block that ends at the largest float, if there is one; it need not begin below 2^start."""
    marks = segments.marks[:-1]
    usable = np.flatnonzero((marks >= (fmt.emin if start is None else start)) & (marks <= fmt.emax))
    decided = np.logical_and.accumulate(~segments.over.undecided[::-1])[::-1][usable]
    good, columns = decided, []
    for m in range(segments.order + 1):
        found, certain = _tail_column(segments, usable, fmt, m)
        columns.append(found)
        good = good & certain
    if not good.any():
        return None
    best = int(np.flatnonzero(good)[0])
    return _from_mark(int(marks[usable[best]]), segments.sign, fmt, [c.take([best]) for c in columns])


def _from_mark(mark: int, sign: int, fmt: Format, columns: list[Polynomials]) -> _Wide:
    ends = np.sort(sign * np.array([2.0**mark, fmt.max]))
    reach = np.sort(sign * np.array([2.0**mark, 2.0 ** (fmt.emax + 1)]))
    places = np.array([*ends, *reach, 0.0, 2.0 ** -(fmt.emax + 1)])[:, np.newaxis]
    return _Wide(mark, _blocks(fmt, places, columns))


def _overflow(expansion: _Expansion, segments: _Segments, fmt: Format, start: int | None) -> _Wide | None:
    """The longest block that ends at the largest float on which all columns are past the overflow limit."""
    least = fmt.emin if start is None else start
    for mark in (int(m) for m in segments.marks if least <= m <= fmt.emax):
        signs = grown_signs(expansion.formula, mark, segments.sign, fmt.emax + 2, expansion.order)
        if signs is not None:
            sizes = [np.array([s * 2.0 ** (fmt.emax + 4)]) for s in signs]
            columns = [_constants(size, np.zeros(1), expansion.degree) for size in sizes]
            return _from_mark(mark, segments.sign, fmt, columns)
    return None


def _tail_column(
    segments: _Segments, usable: Ints, fmt: Format, derivative: int
) -> tuple[Polynomials, Bools]:
    m, over, at, length = derivative, segments.over, segments.at, segments.degree
    low, high = segments.marks[usable], segments.marks[1:]
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        # Integrals over a segment of |g'| and |g''|, for g the m-th derivative; then over all segments from
        # one on.
        first = np.ldexp(over.most[:, m + 1] * math.factorial(m + 1), -high * m)
        second = np.ldexp(over.most[:, m + 2] * math.factorial(m + 2), -high * (m + 1))
        beyond_first, beyond_second = (
            np.cumsum(i[::-1])[::-1][usable] * (1 + 2.0**-40) for i in (first, second)
        )
        # g and x g' at the beginning of the tail.
        value = np.ldexp(at.mid[usable, m] * math.factorial(m), -low * m)
        value_rad = np.ldexp(at.rad[usable, m] * math.factorial(m), -low * m)
        slope = segments.sign * np.ldexp(at.mid[usable, m + 1] * math.factorial(m + 1), -low * m)
        slope_rad = np.ldexp(at.rad[usable, m + 1] * math.factorial(m + 1), -low * m)
        top = fmt.emax + 1
        least = np.minimum.accumulate(np.ldexp(over.least[:, m], -high * m)[::-1])[::-1][usable]
        most = np.maximum.accumulate(np.ldexp(over.most[:, m], -high * m)[::-1])[::-1][usable]
    rows = len(usable)
    ones, nearest = np.ones(rows), np.ldexp(1.0, low - top)
    coefficients, errors = np.zeros((rows, length)), np.zeros((rows, length + 1))
    coefficients[:, 0], errors[:, 0] = value, value_rad + beyond_first
    found, good = certify(Candidates(coefficients, errors, nearest, ones), fmt, (0,))
    with np.errstate(over="ignore", invalid="ignore"):
        coefficients[:, 0] = value - slope
        errors[:, 0] = value_rad + slope_rad + 2.0**-52 * (np.abs(value) + np.abs(slope))
        coefficients[:, 1] = np.ldexp(slope, top - low) * segments.sign
        errors[:, 1] = np.ldexp(slope_rad, top - low) + np.ldexp(beyond_second, top)
    affine, fits = certify(Candidates(coefficients, errors, nearest, ones), fmt, (0, 1))
    flat, certain = _flat(
        np.sign(over.mid[usable, m]), least * math.factorial(m), most * math.factorial(m), fmt, length
    )
    for polynomials, sure in ((affine, fits & ~good), (flat, certain)):
        found.put(np.flatnonzero(sure), polynomials.take(sure))
    return found, good | fits | certain
