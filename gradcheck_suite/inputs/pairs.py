"""Adversarial pairs and triplets of vectors for distances.

Equal and nearly equal vectors, zeros, ties, and scales whose squares leave the range.  numpy only.

Every pair is deterministic and holds values of the format.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gradcheck_suite.floats import Format, from_ordinal, round_to, to_ordinal

Floats = NDArray[np.float64]

_X: Final = np.array([0.5, -1.25, 2.0, 0.125, -0.75, 1.5, -2.5, 0.875, 3.0, -0.25, 1.0, -1.75, 0.0625])
_Y: Final = np.array([-0.375, 1.0, 1.75, -2.25, 0.5, 0.25, -1.5, 2.75, -0.875, 1.25, -3.0])


@dataclass(frozen=True, slots=True)
class Pair:
    """Two vectors of one length, what is hard about them, and where they lie on a probe."""

    x: Floats
    y: Floats
    label: str
    probe: str
    at: float
    curve: Callable[[float], tuple[Floats, ...]] | None = field(default=None, repr=False, compare=False)
    """Both vectors at another place of the probe."""


def pairs(fmt: Format, *, full: bool, shortest: int = 1, longest: int = 512) -> Iterator[Pair]:
    """All families, or only those that any further option of a distance should meet too; finite values.

    A cosine needs a `shortest` of 2: of vectors of one entry it is a sign, and any gradient rounding noise.
    """
    yield from ordinary((shortest, 2 * shortest, 3, 17) if full else (3,))
    for n in (shortest, 3) if full else (3,):
        yield from _gaps(fmt, n, full=full)
    yield from _zeros(3, full=full)
    yield from _scales(fmt, 3, full=full)
    yield _same_differences()
    if full:
        yield _partly_equal()
        yield _dominated(fmt)
        yield from _angles(fmt)
        yield from _mixed(fmt, 17)
        yield from long_vectors(fmt, longest)


def special_pairs() -> Iterator[Pair]:
    """Pairs with an infinite entry or a NaN."""
    x, y = _vectors(3)
    for value, name in ((np.inf, "+inf"), (-np.inf, "-inf"), (np.nan, "NaN")):
        changed = x.copy()
        changed[1] = value
        yield Pair(changed, y, f"one entry {name}", "special entries", 1.0)


def _vectors(n: int) -> tuple[Floats, Floats]:
    return np.resize(_X, n), np.resize(_Y, n)


def ordinary(lengths: tuple[int, ...]) -> Iterator[Pair]:
    """Entries between 1/16 and 3, of both signs."""
    for n in lengths:
        yield Pair(*_vectors(n), f"ordinary vectors, length {n}", "length", float(n))


def _gaps(fmt: Format, n: int, *, full: bool) -> Iterator[Pair]:
    """Vectors that are equal, one ulp apart, and half of the significand apart."""
    x = round_to(np.resize(_X, n), fmt)
    for ulps in (0, 1, 2 ** (fmt.precision // 2)) if full else (0, 1):
        y = np.asarray(from_ordinal(to_ordinal(x, fmt) + ulps * np.resize([1, -1, 1], n), fmt))
        name = "equal vectors" if ulps == 0 else f"vectors {ulps} ulp apart"
        yield Pair(x, y, f"{name}, length {n}", "ulps apart", float(ulps))
    if full:
        yield Pair(x, -x, f"opposite vectors, length {n}", "factor", -1.0)


def _zeros(n: int, *, full: bool) -> Iterator[Pair]:
    x, zero = np.resize(_X, n), np.zeros(n)
    yield Pair(zero, x, "first vector zero", "zero vectors", 1.0)
    if full:
        yield Pair(x, zero, "second vector zero", "zero vectors", 1.0)
        yield Pair(zero, zero, "both vectors zero", "zero vectors", 2.0)


def _scales(fmt: Format, n: int, *, full: bool) -> Iterator[Pair]:
    """Scales at which squares underflow or overflow although norms and distances do not."""
    x, y = _vectors(n)
    low, high = fmt.emin // 2, fmt.emax // 2
    # The greatest overflows as a power of 3/2 already, and as a square of a reciprocal underflows.
    exponents = [low - fmt.precision // 2, high + 1, 3 * fmt.emax // 4]
    if full:
        subnormal = fmt.emin - fmt.precision + 5
        exponents += [subnormal, fmt.emin, low, low - 4, high - 1, fmt.emax - 3]
    for e in sorted(exponents):
        a, b = _scaled(fmt, e, x, y)
        yield Pair(a, b, f"both vectors scaled by 2^{e}", "scale", 2.0**e, _scaling(fmt, x, y))
    if full:
        sub = fmt.smallest_subnormal
        yield Pair(np.full(n, sub), np.full(n, -sub), "entries of the smallest subnormal", "scale", sub)
        curve, at = _apart(fmt, x, y), 2.0 ** (fmt.emax - 3)
        yield Pair(*curve(at), "first vector huge, second tiny", "reciprocal scales", at, curve)


def _scaled(fmt: Format, exponent: int, *vectors: Floats) -> tuple[Floats, ...]:
    return tuple(np.asarray(round_to(np.ldexp(v, exponent), fmt)) for v in vectors)


def _scaling(fmt: Format, *vectors: Floats) -> Callable[[float], tuple[Floats, ...]]:
    """The vectors times any scale; past the largest float they are infinite."""

    def at(scale: float) -> tuple[Floats, ...]:
        with np.errstate(over="ignore"):
            return tuple(np.asarray(round_to(v * scale, fmt)) for v in vectors)

    return at


def _apart(fmt: Format, x: Floats, y: Floats) -> Callable[[float], tuple[Floats, Floats]]:
    """The first vector times any scale, the second by it."""

    def at(scale: float) -> tuple[Floats, Floats]:
        with np.errstate(over="ignore", divide="ignore"):
            return np.asarray(round_to(x * scale, fmt)), np.asarray(round_to(y / scale, fmt))

    return at


def _same_differences() -> Pair:
    x = np.array([2.0, -1.0, 3.0])
    return Pair(x, x - 1.0, "differences of one size", "tied entries", 3.0)


def _partly_equal() -> Pair:
    x, y = _vectors(3)
    y[1] = x[1]
    return Pair(x, y, "one entry equal", "equal entries", 1.0)


def _dominated(fmt: Format) -> Pair:
    """Vectors that are almost parallel to one axis, and an ulp apart."""
    x = np.asarray(round_to([67.0, 0.49, -1.3], fmt))
    y = np.asarray(from_ordinal(to_ordinal(x, fmt) + np.array([1, -1, 1]), fmt))
    return Pair(x, y, "vectors 1 ulp apart, one entry far above the others", "ulps apart", 1.0)


def _angles(fmt: Format) -> Iterator[Pair]:
    """Orthogonal vectors, plainly and by cancellation, and parallel ones of other lengths."""
    big = 2.0 ** (fmt.precision // 2 + 2)
    yield Pair(np.array([1.0, 0.0]), np.array([0.0, 1.0]), "orthogonal axes", "angle", 90.0)
    yield Pair(np.array([big, 1.0, -big]), np.array([1.0, 1.0, 1.0]), "a product that cancels", "angle", 89.0)
    x = np.resize(_X, 5)
    yield Pair(x, 3 * x, "parallel vectors", "factor", 3.0)


def _mixed(fmt: Format, n: int) -> Iterator[Pair]:
    """Entries of many binades of both signs."""
    span = min(fmt.emax // 2 - 2, 40)
    x = 2.0 ** np.round(np.linspace(-span, span, n)) * np.resize([1.0, -1.0, -1.0], n)
    yield Pair(x, np.roll(x, 1) * 0.75, "entries of many magnitudes", "ratio", 2.0 ** (2 * span / (n - 1)))


def long_vectors(fmt: Format, n: int) -> Iterator[Pair]:
    """Squares whose sum passes the largest float16 number, and equal small differences."""
    x, y = np.resize(_X, n), np.resize(_Y, n)
    yield Pair(x, y, f"ordinary vectors, length {n}", "length", float(n))
    wide = 2.0 ** (4 if n < 4096 else 3)
    x = np.full(n, wide)
    yield Pair(x, -x / 2, f"equal entries of {wide:g}, length {n}", "length", float(n))


def near(fmt: Format, value: float, ulps: int = 1) -> Floats:
    """The float nearest to `value` and its neighbours."""
    centre = to_ordinal(np.asarray(round_to([value], fmt)), fmt)
    return np.asarray(from_ordinal(centre + np.arange(-ulps, ulps + 1), fmt))


@dataclass(frozen=True, slots=True)
class Triplet:
    """Anchor, positive and negative of one length, what is hard about them, and where they lie on a probe."""

    anchor: Floats
    positive: Floats
    negative: Floats
    label: str
    probe: str
    at: float
    curve: Callable[[float], tuple[Floats, ...]] | None = field(default=None, repr=False, compare=False)
    """The three vectors at another place of the probe."""


def triplets(fmt: Format, *, full: bool) -> Iterator[Triplet]:
    """Triplets beside and on the hinge max(0, d(a, p) - d(a, n) + margin), and at kinks of the distance."""
    a, p = _vectors(3)
    n = np.roll(p, 1) * 2
    yield Triplet(a, p, n, "ordinary vectors", "length", 3.0)
    yield Triplet(a, a, p, "positive equals the anchor", "equal vectors", 1.0)
    yield Triplet(a, p, a, "negative equals the anchor", "equal vectors", 1.0)
    yield Triplet(a, a, a, "all three equal", "equal vectors", 3.0)
    yield from _on_the_hinge()
    yield Triplet(a, n, p, "negative nearer than the positive", "swap", 1.0)
    low = fmt.emin // 2 - fmt.precision // 2
    # Where the vectors are large the positive is the farther one: no margin would make a loss of less.
    for e, order in ((fmt.emax // 2 + 1, (a, n, p)), (low, (a, p, n))):
        x, y, z = _scaled(fmt, e, *order)
        along = _scaling(fmt, *order)
        yield Triplet(x, y, z, f"all vectors scaled by 2^{e}", "scale", 2.0**e, along)
    if full:
        for length in (1, 17, 257):
            x, y = _vectors(length)
            yield Triplet(x, y, np.roll(y, 1), f"ordinary vectors, length {length}", "length", float(length))
        big = 2.0 ** (fmt.precision - 2)
        yield Triplet(a, a + big, a - big, "two great distances that cancel", "distance", big)
        near_a = np.asarray(from_ordinal(to_ordinal(round_to(a, fmt), fmt) + 1, fmt))
        yield Triplet(a, near_a, a, "positive one ulp from the anchor", "ulps apart", 1.0)


def _on_the_hinge() -> Iterator[Triplet]:
    # On a line |0 - 1 + e| - |0 - 2 + e| + 1 = 0 for every e below 1: exactly at the hinge of a margin of 1.
    zero, one = np.zeros(1), np.ones(1)
    yield Triplet(zero, one, 2 * one, "exactly at the hinge of a margin of 1", "margin", 1.0)
    yield Triplet(zero, 3 * one, 5 * one, "distances one step past the hinge", "margin", 2.0)
    # The positive is as far from the negative as the anchor is.
    positive, negative = np.array([2.0, 0.0]), np.array([1.0, 3.0])
    yield Triplet(np.zeros(2), positive, negative, "a swap that changes nothing", "swap", 0.0)


def special_triplets() -> Iterator[Triplet]:
    """Triplets with an infinite entry or a NaN."""
    a, p = _vectors(3)
    for value, name in ((np.inf, "+inf"), (np.nan, "NaN")):
        changed = p.copy()
        changed[1] = value
        yield Triplet(a, changed, np.roll(a, 1), f"one entry of the positive {name}", "special entries", 1.0)
