"""The inner loop of a sweep: errors in ULP of computed values against a polynomial, and their tally.

Two implementations of the same arithmetic: numpy, and numba where it is installed (`compiled`).  Both
work on some hundred or ten thousand floats at a time, which stay in a cache.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from gradcheck_suite.floats import Format, round_to

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

BINS: Final = 256
"""Bins of the histogram: eight an octave; the first holds all below 2^-5 ULP, the last all above 2^26."""

_PER_OCTAVE: Final = 3
_LOWEST: Final = -5
# The bits of a binary64 number from its exponent to the third bit of its mantissa number the bins.
SHIFT: Final = 52 - _PER_OCTAVE
BASE: Final = ((1023 + _LOWEST) << _PER_OCTAVE) - 1
MAGNITUDE: Final = 0x7FFFFFFFFFFFFFFF
# Floats that numpy's passes go through at a time, which stay in the second-level cache.
_PART: Final = 1 << 15
# A value this little above a power of two, in binary64 bits, may be below it: the smaller ulp states the
# larger error.
HAIR: Final = 1 << 10


def bin_edges() -> Floats:
    """The lower edge of every bin but the first, in ULP."""
    numbers = (np.arange(1, BINS, dtype=np.int64) + BASE) << SHIFT
    return numbers.view(np.float64)


def bins_of(error: Floats) -> Ints:
    """The bin of every error."""
    bins: Ints = (error.view(np.int64) >> SHIFT) - BASE
    return np.clip(bins, 0, BINS - 1)


def bits_of(value: float) -> int:
    """The bits of a binary64 number; of two that are not negative, those of the larger are the larger."""
    return int(np.float64(value).view(np.int64))


@dataclass(frozen=True, slots=True)
class Scale:
    """A format as the kernels need it: the overflow limit, what stands for infinity, exponents biased as in
    binary64.

    `inverse` less a biased exponent is that of 1/ulp.
    """

    limit: float
    infinity: float
    lowest: int
    highest: int
    inverse: int

    @classmethod
    def of(cls, fmt: Format) -> Scale:
        """The figures of a format of at most 24 bits."""
        limit = 2.0 ** (fmt.emax + 1) - 2.0 ** (fmt.ulp_exponent_max - 1)
        return cls(limit, 2.0 ** (fmt.emax + 1), fmt.emin + 1023, fmt.emax + 1023, 2046 + fmt.precision - 1)


@dataclass(frozen=True, slots=True)
class Piece:
    """A polynomial in t = (x - centre)*inverse, and which of its errors matter.

    `half` is what counts as correctly rounded; errors above `suspicious`, and NaN, are listed.
    """

    centre: float
    inverse: float
    polynomial: Floats
    half: float
    suspicious: float


@dataclass(frozen=True, slots=True)
class Tally:
    """Of some errors: how many are within half an ulp, bits and index of the largest, the suspects."""

    rounded: int
    worst: int
    at: int
    suspects: Ints

    def then(self, other: Tally, start: int) -> Tally:
        """This, and a tally of what follows from index `start` on."""
        worst, at = (other.worst, start + other.at) if other.worst > self.worst else (self.worst, self.at)
        suspects = np.concatenate([self.suspects, start + other.suspects])
        return Tally(self.rounded + other.rounded, worst, at, suspects)


def _small(piece: Piece) -> float:
    """An error below which one is in the first bin, correctly rounded and not suspicious."""
    return min(piece.half, piece.suspicious, 2.0**_LOWEST)


class Kernel(Protocol):
    """|got - r|/ulp(r), r the piece's polynomial at x, counted into a histogram; NaN counts as most."""

    name: str

    def run(self, x: Singles, got: Singles, piece: Piece, scale: Scale, histogram: Ints) -> Tally: ...

    def closely(self, x: Floats, got: Singles, piece: Piece, scale: Scale) -> tuple[Floats, Floats]:
        """The polynomial at every x, and the errors; NaN for NaN."""
        ...

    def within(self, x: Floats, got: Floats, exact: Floats, piece: Piece, step: float, fmt: Format) -> Bools:
        """Which computed values lie between the polynomial's rounded values at x, x*(1 - step) and x*(1 + step),
        or beyond by no more than `step` times these; `exact` are those at x.
        """
        ...


class NumpyKernel:
    """Passes over whole arrays; most are spared where all values of a piece have one ulp."""

    name = "numpy"

    def __init__(self) -> None:
        self._t, self._v = np.empty(0), np.empty(0)

    def run(self, x: Singles, got: Singles, piece: Piece, scale: Scale, histogram: Ints) -> Tally:
        """See Kernel."""
        tally = Tally(0, -1, 0, np.zeros(0, dtype=np.int64))
        for start in range(0, len(x), _PART):
            part = slice(start, start + _PART)
            tally = tally.then(self._part(x[part], got[part], piece, scale, histogram), start)
        return tally

    def _part(self, x: Singles, got: Singles, piece: Piece, scale: Scale, histogram: Ints) -> Tally:
        v = self._evaluated(x, piece)
        error = errors(v, got, scale, self._t[: len(v)])
        bits = error.view(np.int64)
        at = int(bits.argmax())
        worst, none = int(bits[at]), np.zeros(0, dtype=np.int64)
        if worst < bits_of(_small(piece)):
            histogram[0] += len(x)
            return Tally(len(x), worst, at, none)
        threshold = bits_of(piece.suspicious)
        rounded = int(np.count_nonzero(error <= piece.half))
        suspects = np.flatnonzero(bits > threshold) if worst > threshold else none
        bins = bits >> SHIFT
        bins -= BASE
        np.clip(bins, 0, BINS - 1, out=bins)
        histogram += np.bincount(bins, minlength=BINS)
        return Tally(rounded, worst, at, suspects)

    def closely(self, x: Floats, got: Singles, piece: Piece, scale: Scale) -> tuple[Floats, Floats]:
        """See Kernel."""
        exact = self._evaluated(x, piece).copy()
        error = errors(exact.copy(), got, scale, np.empty(len(x)))
        return exact, error

    def within(self, x: Floats, got: Floats, exact: Floats, piece: Piece, step: float, fmt: Format) -> Bools:
        """See Kernel."""
        lowest = highest = exact
        for s in (-step, step):
            v = self._evaluated(x * (1 + s), piece)
            lowest, highest = np.minimum(lowest, v), np.maximum(highest, v)
        return between(got, lowest, highest, step, fmt)

    def _evaluated(self, x: npt.NDArray[Any], piece: Piece) -> Floats:
        """The polynomial at every x, in a buffer that the next call overwrites."""
        if len(self._t) < len(x):
            self._t, self._v = np.empty(len(x)), np.empty(len(x))
        t, v = self._t[: len(x)], self._v[: len(x)]
        np.subtract(x, piece.centre, out=t, dtype=np.float64)
        t *= piece.inverse
        v.fill(piece.polynomial[-1])
        for c in piece.polynomial[-2::-1]:
            v *= t
            v += c
        return v


def errors(values: Floats, got: npt.NDArray[Any], scale: Scale, out: Floats) -> Floats:
    """|got - v|/ulp(v) into `out`, NaN for NaN; the infinite becomes the format's limit, in `values` too."""
    low, high = float(values.min()), float(values.max())
    if max(-low, high) >= scale.limit:
        values[values >= scale.limit], values[values <= -scale.limit] = scale.infinity, -scale.infinity
    factor = _factors(values, low, high, scale)
    np.subtract(got, values, out=out, dtype=np.float64)
    np.abs(out, out=out)
    out *= factor
    if not out.max() < np.inf:
        where = np.flatnonzero(np.isinf(got))
        gap = np.abs(np.copysign(scale.infinity, got[where].astype(np.float64)) - values[where])
        out[where] = gap * (factor if isinstance(factor, float) else factor[where])
    return out


def between(values: Floats, lowest: Floats, highest: Floats, relative: float, fmt: Format) -> Bools:
    """Which values lie between the rounded ends of ranges, or beyond by no more than that part of these."""
    lowest, highest = rounded(lowest, fmt), rounded(highest, fmt)
    with np.errstate(over="ignore", invalid="ignore"):
        inside: Bools = values >= rounded(lowest - np.abs(lowest) * relative, fmt)
        inside &= values <= rounded(highest + np.abs(highest) * relative, fmt)
    return inside


def rounded(values: Floats, fmt: Format) -> Floats:
    """`round_to`, by the processor's own conversion where the format is float32."""
    if fmt.bits != 32:
        return round_to(values, fmt)
    with np.errstate(over="ignore"):
        return values.astype(np.float32).astype(np.float64)


def _factors(v: Floats, low: float, high: float, scale: Scale) -> Floats | float:
    """1/ulp of every value; one number where it is the same for all of them."""
    least = 0.0 if low <= 0 <= high else min(abs(low), abs(high))
    ends = [
        min(max((bits_of(s) - HAIR) >> 52, scale.lowest), scale.highest) for s in (least, max(-low, high))
    ]
    if ends[0] == ends[1]:
        return float(np.int64((scale.inverse - ends[0]) << 52).view(np.float64))
    exponents: Ints = np.bitwise_and(v.view(np.int64), MAGNITUDE)
    exponents -= HAIR
    exponents >>= 52
    np.clip(exponents, scale.lowest, scale.highest, out=exponents)
    np.subtract(scale.inverse, exponents, out=exponents)
    exponents <<= 52
    return exponents.view(np.float64)


class NumbaKernel(NumpyKernel):
    """Compiled loops; importing them raises ImportError where numba is missing."""

    name = "numba"

    def __init__(self) -> None:
        super().__init__()
        self._compiled: Any = importlib.import_module("gradcheck_suite.engine.sweep.compiled")
        self._suspects = np.empty(0, dtype=np.int64)

    def run(self, x: Singles, got: Singles, piece: Piece, scale: Scale, histogram: Ints) -> Tally:
        """See Kernel."""
        if len(self._suspects) < len(x):
            self._suspects = np.empty(len(x), dtype=np.int64)
        rounded, worst, at, count = self._compiled.run(
            x, got, piece.centre, piece.inverse, piece.polynomial,
            piece.half, bits_of(_small(piece)), bits_of(piece.suspicious),
            scale.limit, scale.infinity, scale.lowest, scale.highest, scale.inverse,
            histogram, self._suspects,
        )  # fmt: skip
        return Tally(int(rounded), int(worst), int(at), self._suspects[:count].copy())

    def closely(self, x: Floats, got: Singles, piece: Piece, scale: Scale) -> tuple[Floats, Floats]:
        """See Kernel."""
        exact, error = np.empty(len(x)), np.empty(len(x))
        self._compiled.closely(
            x, got, piece.centre, piece.inverse, piece.polynomial,
            scale.limit, scale.infinity, scale.lowest, scale.highest, scale.inverse,
            exact, error,
        )  # fmt: skip
        return exact, error

    def within(self, x: Floats, got: Floats, exact: Floats, piece: Piece, step: float, fmt: Format) -> Bools:
        """See Kernel."""
        if fmt.bits != 32:
            return super().within(x, got, exact, piece, step, fmt)
        inside = np.empty(len(x), dtype=bool)
        self._compiled.within(x, got, exact, step, piece.centre, piece.inverse, piece.polynomial, inside)
        return inside


def best_kernel() -> Kernel:
    """numba's where it is installed."""
    try:
        return NumbaKernel()
    except ImportError:
        return NumpyKernel()
