"""Polynomials that stand for a function on a block of floats, with a proven bound in ULP.

On a block, x = centre + scale*t with |t| <= reach (about 1).  A column (the value, or a derivative) is
represented by sum_j c_j t^j with binary64 coefficients; the error against the exact column is at most
absolute + relative*|t|^power. With power > 0 the error falls with the column itself, which a block that
reaches down to x = 0 needs: there tanh x is x, and its error must be small beside that.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gradcheck_suite.floats import Format

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

TARGET: Final = 2.0**-20
"""Every accepted polynomial lies within this many ULP of the exact column at every float of its block."""

_UNIT: Final = 2.0**-53
_UNDERFLOW: Final = 2.0**-1000


def rounding(coefficients: Floats) -> Floats:
    """Relative to sum |c_j||t|^j: Horner in binary64 (2D), t itself (D), the coefficients (2), some to spare.

    D is the degree of each row, for a leading zero makes no error.  Higham 2002, "Accuracy and Stability of
    Numerical Algorithms", section 5.1.
    """
    degree = ((coefficients != 0) * np.arange(coefficients.shape[1])).max(axis=1)
    relative: Floats = (3 * degree + 6) * _UNIT
    return relative


@dataclass(frozen=True, slots=True)
class Candidates:
    """Polynomials to be certified, one a row.

    `errors[:, j]` bounds what |t|^j multiplies of the error so far: radii of the coefficients, the remainder
    of the series.  It is one longer than `coefficients`.  |t| runs over [nearest, reach].
    """

    coefficients: Floats
    errors: Floats
    nearest: Floats
    reach: Floats


@dataclass(frozen=True, slots=True)
class Polynomials:
    """Certified polynomials, one a row, with |column| >= floor*|t|^power up to the error."""

    coefficients: Floats
    power: Ints
    floor: Floats
    absolute: Floats
    relative: Floats

    def __len__(self) -> int:
        return len(self.power)

    def take(self, where: Any) -> Polynomials:
        """Some of the rows."""
        return Polynomials(*(getattr(self, name)[where] for name in _FIELDS))

    def put(self, where: Any, other: Polynomials) -> None:
        """Replace rows in place."""
        for name in _FIELDS:
            getattr(self, name)[where] = getattr(other, name)

    @classmethod
    def join(cls, parts: Iterable[Polynomials]) -> Polynomials:
        """All rows, one part after another."""
        kept = list(parts)
        return cls(*(np.concatenate([getattr(p, name) for p in kept]) for name in _FIELDS))

    @classmethod
    def constants(cls, values: Floats, errors: Floats, length: int) -> Polynomials:
        """Constant columns within `errors`."""
        rows = len(values)
        coefficients = np.zeros((rows, length))
        coefficients[:, 0] = values
        power = np.zeros(rows, dtype=np.int64)
        return cls(coefficients, power, np.abs(values), errors + _UNDERFLOW, np.zeros(rows))


_FIELDS: Final = ("coefficients", "power", "floor", "absolute", "relative")


def certify(given: Candidates, fmt: Format, powers: Iterable[int]) -> tuple[Polynomials, Bools]:
    """Bounds for each candidate, and which of them are within TARGET; the first sufficient power is taken."""
    rows, length = given.coefficients.shape
    best = Polynomials.constants(np.zeros(rows), np.full(rows, np.inf), length)
    done = np.zeros(rows, dtype=bool)
    for power in powers:
        rest = np.flatnonzero(~done)
        if not len(rest):
            break
        with np.errstate(all="ignore"):
            found, good = _with_power(_take(given, rest), fmt, power)
        best.put(rest[good], found.take(good))
        done[rest[good]] = True
    return best, done


def _take(given: Candidates, where: Any) -> Candidates:
    return Candidates(
        given.coefficients[where], given.errors[where], given.nearest[where], given.reach[where]
    )


def _with_power(given: Candidates, fmt: Format, power: int) -> tuple[Polynomials, Bools]:
    length = given.coefficients.shape[1]
    coefficients, size = given.coefficients.copy(), np.abs(given.coefficients)
    reach = given.reach[:, np.newaxis] ** np.arange(length + 1)
    tiny = TARGET * 2.0**fmt.ulp_exponent_min
    # Terms below |t|^power are dropped where all of them together are nothing beside the smallest float ...
    below = (size * reach[:, :length] + given.errors[:, :length] * reach[:, :length])[:, :power].sum(axis=1)
    drop = below <= tiny / 4
    coefficients[drop, :power] = 0
    # The least of these also covers what underflows in binary64.
    absolute = np.where(drop, below, 0.0) + _UNDERFLOW
    # ... and are measured at the smallest |t| otherwise, where they weigh most against |t|^power.
    weight = np.empty_like(reach)
    weight[:, power:] = reach[:, : length + 1 - power]
    weight[:, :power] = given.nearest[:, np.newaxis] ** (np.arange(power) - power)
    weight[drop, :power] = 0
    spread = (size * weight[:, :length]).sum(axis=1)
    lead = size[:, power]
    # `lead` stands at |t|^power, all others may go against it.
    floor = 2 * lead - spread
    relative = (spread * rounding(coefficients) + (given.errors * weight).sum(axis=1)) * (1 + 2.0**-40)
    found = Polynomials(coefficients, np.full(len(lead), power), np.maximum(floor, 0.0), absolute, relative)
    top = absolute + relative * reach[:, power]
    least = floor * given.nearest**power - top
    good = (top <= tiny) | (top <= TARGET * ulp_below(least, fmt))
    if power:
        # ulp(r) >= 2^-p |r|, and |r| is floor*|t|^power or more, but for a part of 2^-20 at most.
        good |= (absolute <= tiny / 2) & (relative <= 0.49 * TARGET * 2.0**-fmt.precision * floor)
    good |= least >= 2.0 ** (fmt.emax + 2)
    return found, good & np.isfinite(top) & np.isfinite(coefficients).all(axis=1)


def ulp_below(size: Floats, fmt: Format) -> Floats:
    """The ulp of magnitudes, which may be lower bounds; the smallest ulp where nothing is known."""
    _, exponent = np.frexp(np.where(size > 0, size, 0.0))
    exponent = np.where(size > 0, exponent - 1, fmt.emin)
    unit: Floats = np.ldexp(1.0, np.clip(exponent, fmt.emin, fmt.emax) - (fmt.precision - 1))
    return unit
