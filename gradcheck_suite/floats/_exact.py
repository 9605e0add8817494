"""Exact real numbers, or tight enclosures of them, in arrays that know no overflow and no underflow."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gradcheck_suite.floats._bits import Floats, Ints, as_floats, between, pow2
from gradcheck_suite.floats._formats import FLOAT64
from gradcheck_suite.floats._rounding import round_exact

# 106 bits fill a pair of binary64 significands.
_PAIR_BITS: Final = 106
_LOW_MASK: Final = (1 << 53) - 1
# Where no format tells a value from 0 or from infinity any more, and int64 sums of exponents cannot wrap.
_EXPONENT_LIMIT: Final = 1 << 60


@dataclass(slots=True, eq=False)
class Exact:
    """An array of real numbers, each lying within `rad * 2^exp` of `(hi + lo) * 2^exp`.

    One-dimensional arrays of equal length: hi, lo, rad float64, exp int64. For a finite number other than 0,
    0.5 <= |hi + lo| < 1 and hi is the binary64 number nearest to hi + lo, so |hi| may be 1. 0 is hi = lo = 0,
    hi = +-inf stands for an infinite value, hi = nan for an undefined one (lo and rad are then 0).

    A pair without the exponent would not do: for float64 lo underflows, and values past the range vanish.
    It is never changed, but not declared frozen: making one would then take as long as computing with it.
    """

    hi: Floats
    lo: Floats
    exp: Ints
    rad: Floats

    @classmethod
    def from_float64(cls, values: ArrayLike, *, rad: ArrayLike = 0.0) -> Exact:
        """float64 numbers, infinities and NaN, taken exactly; `rad` in units of the resulting 2^exp."""
        hi, exp = np.frexp(np.atleast_1d(as_floats(values)))
        return cls(hi, np.zeros_like(hi), exp.astype(np.int64), _radii(rad, hi))

    @classmethod
    def from_sum(cls, high: ArrayLike, low: ArrayLike, *, exp: ArrayLike = 0, rad: ArrayLike = 0.0) -> Exact:
        """(high + low) * 2^exp, normalised; `rad` in units of the *given* 2^exp. |low| may not exceed |high|.

        Both parts are taken exactly as long as neither is subnormal in binary64.
        """
        high, low = np.broadcast_arrays(np.atleast_1d(as_floats(high)), as_floats(low))
        # Fast two-sum (Dekker 1971): without error as long as nothing overflows.
        with np.errstate(invalid="ignore", over="ignore"):
            total = high + low
            rest = np.where(np.isfinite(total), low - (total - high), 0.0)
        hi, shift = np.frexp(total)
        lo = np.ldexp(rest, -shift)
        # A power of two with a negative tail lies in the binade below.
        below = (np.abs(hi) == 0.5) & (np.copysign(1.0, hi) * lo < 0)
        hi, lo, shift = np.where(below, 2 * hi, hi), np.where(below, 2 * lo, lo), shift - below
        radii = np.ldexp(np.broadcast_to(as_floats(rad), hi.shape), -shift)
        return cls(hi, lo, shift + np.asarray(exp, dtype=np.int64), radii)

    @classmethod
    def from_man_exp(cls, pairs: Sequence[tuple[Any, Any]], *, rad: ArrayLike = 0.0) -> Exact:
        """man * 2^exp of integer pairs, any size (Python's or python-flint's); exact up to 106 bits of man.

        In units of the resulting 2^exp (exp = the pair's exp + the bits of man, of which 0 has none) a longer
        man is off by less than 2^-106, which rad includes; the argument `rad` is a further radius in the same
        units. A shortened man keeps a sticky last bit, so that a number a hair beside a power of two or a
        midpoint is not taken for it. Exponents are clipped to +-2^60, where every format has 0 or infinity.
        """
        mans = _as_ints([man for man, _ in pairs])
        bits = list(map(int.bit_length, mans))
        fits = [
            (man >> drop) | 1 if (drop := width - _PAIR_BITS) > 0 and man & 1 else _fit(man, drop)
            for man, width in zip(mans, bits, strict=True)
        ]
        widths = np.array(bits, dtype=np.int64)
        tails = np.array([fit & _LOW_MASK for fit in fits], dtype=np.int64)
        shortened = (widths > _PAIR_BITS) & ((tails & 1) == 1)
        high = np.array([fit >> 53 for fit in fits], dtype=np.float64) * 2.0**-53
        low = tails * 2.0**-106
        hi = high + low
        lost = np.where(shortened, 2.0**-106, 0.0)
        exp = _clipped(_as_ints([exp for _, exp in pairs])) + widths
        return cls(hi, low - (hi - high), exp, lost + _radii(rad, hi))

    @classmethod
    def from_fractions(cls, values: Iterable[Fraction]) -> Exact:
        """Rational numbers, to within 2^-106 of 2^exp, and without error when 106 bits hold them."""
        return cls.from_man_exp([_man_exp(value) for value in values])

    @classmethod
    def concatenate(cls, parts: Sequence[Exact]) -> Exact:
        """The parts, one after another."""
        return cls(
            np.concatenate([part.hi for part in parts]),
            np.concatenate([part.lo for part in parts]),
            np.concatenate([part.exp for part in parts]),
            np.concatenate([part.rad for part in parts]),
        )

    def __len__(self) -> int:
        return len(self.hi)

    def __getitem__(self, index: int | np.integer[Any] | slice | NDArray[Any]) -> Exact:
        """The selected numbers; a single index gives an array of length one."""
        if isinstance(index, int | np.integer):
            index = np.array([index])
        return Exact(self.hi[index], self.lo[index], self.exp[index], self.rad[index])

    def take(self, indices: ArrayLike) -> Exact:
        """The numbers at `indices`."""
        return self[np.asarray(indices, dtype=np.int64)]

    def put(self, where: NDArray[Any], other: Exact) -> Exact:
        """A copy with the numbers at `where` (a mask or indices) replaced by those of `other`, in order."""
        copy = Exact(self.hi.copy(), self.lo.copy(), self.exp.copy(), self.rad.copy())
        copy.hi[where], copy.lo[where] = other.hi, other.lo
        copy.exp[where], copy.rad[where] = other.exp, other.rad
        return copy

    def neg(self) -> Exact:
        """The negated numbers."""
        return Exact(-self.hi, -self.lo, self.exp, self.rad)

    def shifted(self, binades: int) -> Exact:
        """The numbers times 2^binades."""
        return Exact(self.hi, self.lo, self.exp + binades, self.rad)

    def times(self, factor: float) -> Exact:
        """The numbers times a binary64 number of 1 <= factor < 2, to within a radius of 2^-104.

        Dekker's product (1971) of hi and the factor, whose error is a binary64 number too, and the product of lo.
        """
        finite = np.isfinite(self.hi)
        hi, lo = np.where(finite, self.hi, 0.0), np.where(finite, self.lo, 0.0)
        product = hi * factor
        (a, b), (c, d) = _halves(hi), _halves(np.full(len(hi), factor))
        error = b * d - (((product - a * c) - b * c) - a * d)
        rad = self.rad * factor + 2.0**-104 * np.abs(product)
        found = Exact.from_sum(product, error + lo * factor, exp=self.exp, rad=rad)
        rest = np.flatnonzero(~finite)
        return found.put(rest, self[rest]) if len(rest) else found

    def to_float64(self) -> Floats:
        """The nearest float64 numbers, ties to even; what is out of range becomes +-inf or +-0."""
        if not len(self.hi) or (self.exp.min() > -1021 and self.exp.max() <= 1023):
            return self.hi * pow2(self.exp)
        return round_exact(self, FLOAT64)


def _halves(x: Floats) -> tuple[Floats, Floats]:
    """x as a sum of two numbers of 26 bits (Veltkamp 1968)."""
    wide = x * (2.0**27 + 1)
    high = wide - (wide - x)
    return high, x - high


def _radii(rad: ArrayLike, like: Floats) -> Floats:
    radii = np.empty_like(like)
    radii[...] = rad
    return radii


def _as_ints(numbers: Sequence[Any]) -> Sequence[int]:
    return list(map(int, numbers))


def _fit(man: int, drop: int) -> int:
    """`man` shifted to 106 bits: the path of short mantissas, and of long ones that end in zeros."""
    if drop <= 0:
        return man << -drop
    sticky = man & ((1 << drop) - 1) != 0
    return (man >> drop) | sticky


def _clipped(exps: Sequence[int]) -> Ints:
    try:
        exact = np.array(exps, dtype=np.int64)
    except OverflowError:
        exact = np.array([max(-_EXPONENT_LIMIT, min(_EXPONENT_LIMIT, exp)) for exp in exps], dtype=np.int64)
    return between(exact, -_EXPONENT_LIMIT, _EXPONENT_LIMIT)


def _man_exp(value: Fraction) -> tuple[int, int]:
    shift = 128 - (value.numerator.bit_length() - value.denominator.bit_length())
    scaled = value.numerator << max(shift, 0)
    quotient, remainder = divmod(scaled, value.denominator << max(-shift, 0))
    return (quotient << 1) | (remainder != 0), -shift - 1
