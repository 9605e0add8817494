"""Correct rounding of exact values into a format."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradcheck_suite.floats._bits import Bools, Floats, between, pow2, scale
from gradcheck_suite.floats._formats import Format
from gradcheck_suite.floats._ordinals import round_to

if TYPE_CHECKING:
    from gradcheck_suite.floats._exact import Exact


def tail_outwards(exact: Exact) -> Floats:
    """lo with the sign that it has seen from hi: positive where it leads away from 0."""
    return np.copysign(1.0, exact.hi) * exact.lo


def depth_below_limit(exact: Exact, fmt: Format) -> Floats:
    """How much must be added to |hi| to reach the overflow limit, for values with exponent emax + 1.

    The limit 2^(emax+1) - ulp(max)/2 is 1 - 2^-(p+1) in units of 2^(emax+1). Both differences are exact where
    |hi| is near 1, although the limit of float64 is no binary64 number.
    """
    return (1.0 - np.abs(exact.hi)) - 2.0 ** -(fmt.precision + 1)


def overflows(exact: Exact, fmt: Format) -> Bools:
    """Whether the midpoint rounds to infinity: |r| >= 2^(emax+1) - ulp(max)/2. False where undefined."""
    at_edge = tail_outwards(exact) >= depth_below_limit(exact, fmt)
    past = (exact.exp > fmt.emax + 1) | ((exact.exp == fmt.emax + 1) & at_edge)
    over: Bools = (past & (exact.hi != 0) & ~np.isnan(exact.hi)) | np.isinf(exact.hi)
    return over


def round_exact(exact: Exact, fmt: Format) -> Floats:
    """The midpoints rounded to nearest, ties to even, with subnormals, +-0, +-inf and NaN."""
    if fmt.precision <= 24 and not exact.lo.any():
        # What binary64 cannot hold is 0 or infinite in a narrower format.
        with np.errstate(over="ignore", under="ignore"):
            return round_to(exact.hi * pow2(np.minimum(exact.exp, 1023)), fmt)
    unit = between(exact.exp - 1, fmt.emin, fmt.emax) - (fmt.precision - 1)
    shift = pow2(np.minimum(exact.exp - unit, fmt.precision + 1))
    with np.errstate(invalid="ignore", over="ignore"):
        head, tail = exact.hi * shift, exact.lo * shift
        whole = np.rint(head)
        # rint sends a tie of the head to even; the tail says on which side of the tie the value truly lies.
        part = head - whole
        whole += (part == 0.5) & (tail > 0)
        whole -= (part == -0.5) & (tail < 0)
        rounded = scale(whole, unit)
    return np.copysign(np.where(overflows(exact, fmt), np.inf, rounded), exact.hi)
