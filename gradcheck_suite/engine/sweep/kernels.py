"""The inner loop of a sweep: errors in ULP of computed values against a polynomial, and their tally.

Two implementations of the same arithmetic: numpy, and numba where it is installed (the extra `numba`).  Both
work on some ten thousand floats at a time, which stay in the second-level cache.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from gradcheck_suite.floats import Format

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

BINS: Final = 256
"""Bins of the histogram: eight an octave; the first holds all below 2^-5 ULP, the last all above 2^26."""

_PER_OCTAVE: Final = 3
_LOWEST: Final = -5
# The bits of a binary64 number from its exponent to the third bit of its mantissa number the bins.
_SHIFT: Final = 52 - _PER_OCTAVE
_BASE: Final = ((1023 + _LOWEST) << _PER_OCTAVE) - 1
_MAGNITUDE: Final = 0x7FFFFFFFFFFFFFFF
# A value this little above a power of two, in binary64 bits, may be below it: the smaller ulp states the
# larger error.
_HAIR: Final = 1 << 10
# What fits the first-level cache, several times.
_TILE: Final = 512


def bin_edges() -> Floats:
    """The lower edge of every bin but the first, in ULP."""
    numbers = (np.arange(1, BINS, dtype=np.int64) + _BASE) << _SHIFT
    return numbers.view(np.float64)


def bins_of(error: Floats) -> Ints:
    """The bin of every error."""
    bins: Ints = (error.view(np.int64) >> _SHIFT) - _BASE
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


class Kernel(Protocol):
    """|got - r|/ulp(r), r the piece's polynomial at x, counted into a histogram; NaN counts as most."""

    name: str

    def run(self, x: Singles, got: Singles, piece: Piece, scale: Scale, histogram: Ints) -> Tally: ...

    def polynomial(self, t: Floats, coefficients: Floats) -> Floats:
        """Horner's rule at every t."""
        ...


class NumpyKernel:
    """Passes over whole arrays; most are spared where all values of a piece have one ulp."""

    name = "numpy"

    def __init__(self) -> None:
        self._t, self._v = np.empty(0), np.empty(0)

    def run(self, x: Singles, got: Singles, piece: Piece, scale: Scale, histogram: Ints) -> Tally:
        """See Kernel."""
        if len(self._t) < len(x):
            self._t, self._v = np.empty(len(x)), np.empty(len(x))
        v = self._evaluated(x, piece)
        error = errors(v, got, scale, self._t[: len(v)])
        bits = error.view(np.int64)
        at = int(bits.argmax())
        worst, threshold = int(bits[at]), bits_of(piece.suspicious)
        rounded = int(np.count_nonzero(error <= piece.half))
        suspects = np.flatnonzero(bits > threshold) if worst > threshold else np.zeros(0, dtype=np.int64)
        bins = bits >> _SHIFT
        bins -= _BASE
        np.clip(bins, 0, BINS - 1, out=bins)
        histogram += np.bincount(bins, minlength=BINS)
        return Tally(rounded, worst, at, suspects)

    def polynomial(self, t: Floats, coefficients: Floats) -> Floats:
        """See Kernel."""
        v = np.full(len(t), coefficients[-1])
        for c in coefficients[-2::-1]:
            v *= t
            v += c
        return v

    def _evaluated(self, x: Singles, piece: Piece) -> Floats:
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


def _factors(v: Floats, low: float, high: float, scale: Scale) -> Floats | float:
    """1/ulp of every value; one number where it is the same for all of them."""
    least = 0.0 if low <= 0 <= high else min(abs(low), abs(high))
    ends = [
        min(max((bits_of(s) - _HAIR) >> 52, scale.lowest), scale.highest) for s in (least, max(-low, high))
    ]
    if ends[0] == ends[1]:
        return float(np.int64((scale.inverse - ends[0]) << 52).view(np.float64))
    exponents: Ints = np.bitwise_and(v.view(np.int64), _MAGNITUDE)
    exponents -= _HAIR
    exponents >>= 52
    np.clip(exponents, scale.lowest, scale.highest, out=exponents)
    np.subtract(scale.inverse, exponents, out=exponents)
    exponents <<= 52
    return exponents.view(np.float64)


class NumbaKernel:
    """Compiled loops; compiling them takes some seconds, once on a machine."""

    name = "numba"

    def __init__(self) -> None:
        self._run, self._polynomial = _compiled(), _compiled_polynomial()
        self._suspects = np.empty(0, dtype=np.int64)

    def run(self, x: Singles, got: Singles, piece: Piece, scale: Scale, histogram: Ints) -> Tally:
        """See Kernel."""
        if len(self._suspects) < len(x):
            self._suspects = np.empty(len(x), dtype=np.int64)
        rounded, worst, at, count = self._run(
            x, got, piece.centre, piece.inverse, piece.polynomial,
            piece.half, bits_of(piece.suspicious),
            scale.limit, scale.infinity, scale.lowest, scale.highest, scale.inverse,
            histogram, self._suspects,
        )  # fmt: skip
        return Tally(int(rounded), int(worst), int(at), self._suspects[:count].copy())

    def polynomial(self, t: Floats, coefficients: Floats) -> Floats:
        """See Kernel."""
        values = np.empty(len(t))
        self._polynomial(t, coefficients, values)
        return values


def _compiled() -> Callable[..., Any]:
    import numba

    # One loop for one thing, over slices that begin at 0: then LLVM turns each into vector instructions.
    @numba.njit(cache=True, nogil=True)
    def run(  # type: ignore[no-untyped-def]
        x,
        got,
        centre,
        inverse,
        c,
        half,
        threshold,
        limit,
        infinity,
        lowest,
        highest,
        base,
        histogram,
        suspects,
    ):
        t, v, factor = np.empty(_TILE), np.empty(_TILE), np.empty(_TILE)
        bits, factor_bits = v.view(np.int64), factor.view(np.int64)
        bins = np.empty(_TILE, dtype=np.uint8)
        # Four histograms in turn: a counter that was just written cannot be read at once.
        part = np.zeros((4, BINS), dtype=np.int64)
        rounded, worst, at, count = 0, np.int64(-1), 0, 0
        for start in range(0, x.size, _TILE):
            xs, gs = x[start : start + _TILE], got[start : start + _TILE]
            size = xs.size
            for i in range(size):
                t[i] = (np.float64(xs[i]) - centre) * inverse
                v[i] = c[c.size - 1]
            for j in range(c.size - 2, -1, -1):
                cj = c[j]
                for i in range(size):
                    v[i] = v[i] * t[i] + cj
            for i in range(size):
                r = v[i]
                r = infinity if r >= limit else r
                v[i] = -infinity if r <= -limit else r
            for i in range(size):
                e = ((bits[i] & _MAGNITUDE) - _HAIR) >> 52
                e = lowest if e < lowest else e
                e = highest if e > highest else e
                factor_bits[i] = (base - e) << 52
            for i in range(size):
                g = np.float64(gs[i])
                g = infinity if g > infinity else g
                g = -infinity if g < -infinity else g
                v[i] = np.abs(g - v[i]) * factor[i]
            top = np.int64(-1)
            for i in range(size):
                top = max(top, bits[i])
            for i in range(size):
                rounded += v[i] <= half
            for i in range(size):
                k = (bits[i] >> _SHIFT) - _BASE
                k = 0 if k < 0 else k
                bins[i] = BINS - 1 if k > BINS - 1 else k
            for i in range(0, size - 3, 4):
                part[0, bins[i]] += 1
                part[1, bins[i + 1]] += 1
                part[2, bins[i + 2]] += 1
                part[3, bins[i + 3]] += 1
            for i in range(size - size % 4, size):
                part[0, bins[i]] += 1
            if top > worst:
                for i in range(size):
                    if bits[i] > worst:
                        worst, at = bits[i], start + i
            if top > threshold:
                for i in range(size):
                    if bits[i] > threshold:
                        suspects[count] = start + i
                        count += 1
        for k in range(BINS):
            histogram[k] += part[0, k] + part[1, k] + part[2, k] + part[3, k]
        return rounded, worst, at, count

    compiled: Callable[..., Any] = run
    return compiled


def _compiled_polynomial() -> Callable[..., Any]:
    import numba

    @numba.njit(cache=True, nogil=True)
    def polynomial(t, c, values):  # type: ignore[no-untyped-def]
        for start in range(0, t.size, _TILE):
            ts, vs = t[start : start + _TILE], values[start : start + _TILE]
            for i in range(ts.size):
                vs[i] = c[c.size - 1]
            for j in range(c.size - 2, -1, -1):
                cj = c[j]
                for i in range(ts.size):
                    vs[i] = vs[i] * ts[i] + cj

    compiled: Callable[..., Any] = polynomial
    return compiled


def best_kernel() -> Kernel:
    """numba's where it is installed."""
    try:
        return NumbaKernel()
    except ImportError:
        return NumpyKernel()
