"""The ULP error of computed values against exact ones."""

from __future__ import annotations

from typing import Final

import numpy as np

from gradcheck_suite.floats._bits import Bools, Floats, Ints, as_floats, between, pow2, scale
from gradcheck_suite.floats._exact import Exact
from gradcheck_suite.floats._formats import Format
from gradcheck_suite.floats._rounding import depth_below_limit, overflows, tail_outwards

# Three rounded operations lead to an ULP error (a subtraction, the correction by lo, and the sum of the
# bound); what underflows on the way adds less than two steps of 2^-1022.
_ROUNDING: Final = 2.0**-50
_UNDERFLOW: Final = 2.0**-1020


def ulp_exponent(exact: Exact, fmt: Format) -> Ints:
    """log2 of the ulp of every exact value: clamp(floor(log2|r|), emin, emax) - (p - 1).

    Where the enclosure reaches below a power of two, the ulp below it, so that the larger error is stated;
    the smallest ulp where it reaches 0. An undefined or infinite value has an ulp without meaning.
    """
    exponent = exact.exp - 1
    reaches_below = np.flatnonzero(_reaches_down(exact))
    if len(reaches_below):
        exponent[reaches_below] = _lowest_binade(exact[reaches_below])
    return between(exponent, fmt.emin, fmt.emax) - (fmt.precision - 1)


def ulp_error(computed: Floats, exact: Exact, fmt: Format) -> tuple[Floats, Floats]:
    """|computed - r| / ulp(r) as a real number, and a proven bound on how far the stated figure is from it.

    `computed` is a float64 array with the length of `exact`; an exact value counts as infinite when it rounds
    to infinity. Equal infinities have error 0; otherwise an infinity on either side is measured as
    +-2^(emax+1). A computed NaN has error inf; where the exact value is undefined, error and bound are nan. A
    figure beyond binary64 is inf, and an enclosure too wide to say anything has the bound inf. Where the
    enclosure straddles a power of two, the figure is in units of the smaller ulp.
    """
    computed = as_floats(computed)
    unit = ulp_exponent(exact, fmt)
    with np.errstate(invalid="ignore", over="ignore"):
        shift = exact.exp - unit
        factor = pow2(np.minimum(shift, 1023))
        scaled = scale(computed, -unit) if fmt.ulp_exponent_min < -1022 else computed * pow2(-unit)
        error = np.abs((scaled - exact.hi * factor) - exact.lo * factor)
        bound = exact.rad * factor * (1 + _ROUNDING)
        bound += _ROUNDING * np.where(error < np.inf, error, 0.0) + _UNDERFLOW
    bound[(shift > 1023) & (exact.rad > 0)] = np.inf
    special = np.flatnonzero(
        (exact.exp > fmt.emax) | (exact.rad >= 0.25) | ~np.isfinite(exact.hi) | ~np.isfinite(computed)
    )
    if len(special):
        error[special], bound[special] = _special_errors(
            computed[special], exact[special], fmt, error[special], bound[special]
        )
    return error, bound


def _special_errors(
    computed: Floats, exact: Exact, fmt: Format, error: Floats, bound: Floats
) -> tuple[Floats, Floats]:
    """The figures where a side is infinite or NaN, or the exact value is at or past the overflow limit."""
    over = overflows(exact, fmt)
    unit = np.where(over, fmt.ulp_exponent_max, ulp_exponent(exact, fmt))
    with np.errstate(invalid="ignore", over="ignore"):
        limit = pow2(fmt.emax + 1 - unit)
        got = np.where(np.isinf(computed), np.copysign(limit, computed), scale(computed, -unit))
        factor = pow2(np.minimum(exact.exp - unit, 1023))
        true = np.where(over, np.copysign(limit, exact.hi), exact.hi * factor)
        distance = np.abs((got - true) - np.where(over, 0.0, exact.lo * factor))
    replaced = over | np.isinf(computed)
    error = np.where(replaced, distance, error)
    settled = np.where(error < np.inf, error * _ROUNDING, 0.0) + _UNDERFLOW
    bound = np.where(over, settled, np.where(replaced, bound + settled, bound))
    bound = np.where(_near_limit(exact, fmt), _bound_near_limit(exact, fmt, bound), bound)
    undefined = np.isnan(exact.hi)
    missing = np.isnan(computed) & ~undefined
    return (
        np.where(missing, np.inf, np.where(undefined, np.nan, error)),
        np.where(missing, 0.0, np.where(undefined, np.nan, bound)),
    )


def _near_limit(exact: Exact, fmt: Format) -> Bools:
    """Whether the enclosure may hold values on both sides of the overflow limit; errs towards yes."""
    tail = tail_outwards(exact)
    at_edge = np.abs(tail - depth_below_limit(exact, fmt)) <= 2 * exact.rad
    with np.errstate(over="ignore"):
        reaches_up = (1.0 + exact.rad) * pow2(exact.exp - fmt.emax) >= 1.5
    below, above = exact.exp <= fmt.emax, exact.exp > fmt.emax + 1
    # Two binades above the limit, only an enclosure as wide as its midpoint comes down to it.
    reaches_down = _reaches_down(exact) & ((exact.exp == fmt.emax + 2) | (exact.rad >= 0.25))
    near: Bools = np.where(below, reaches_up, np.where(above, reaches_down, at_edge)) & (exact.rad > 0)
    return near


def _bound_near_limit(exact: Exact, fmt: Format, bound: Floats) -> Floats:
    """The limit itself is a jump of half an ulp; below the last binade the ulp is not known either: inf."""
    with np.errstate(invalid="ignore", over="ignore"):
        reach = exact.rad * pow2(exact.exp - fmt.ulp_exponent_max)
    wide = (exact.rad >= 0.25) | (ulp_exponent(exact, fmt) < fmt.ulp_exponent_max)
    return np.where(wide, np.inf, (bound + reach + 0.5) * (1 + _ROUNDING))


def _reaches_down(exact: Exact) -> Bools:
    """Whether the enclosure leaves the binade of its midpoint towards 0."""
    # Both differences are exact where they are small, so that the sign of the sum is the right one.
    return ((np.abs(exact.hi) - 0.5) - exact.rad) + tail_outwards(exact) < 0


def _lowest_binade(exact: Exact) -> Ints:
    """floor(log2) of the smallest magnitude in each enclosure; far below every format where it holds 0."""
    lowest = (np.abs(exact.hi) - exact.rad) + tail_outwards(exact)
    # One step down: the sum may have been rounded up to a power of two.
    lowest = np.nextafter(lowest, -np.inf)
    _, exponent = np.frexp(lowest)
    return np.where(lowest > 0, exact.exp + exponent - 1, np.minimum(exact.exp, 0) - (1 << 20))
