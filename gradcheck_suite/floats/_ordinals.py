"""Float ordinals: the floats of a format numbered in order, so that neighbours differ by one."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from gradcheck_suite.floats._bits import Floats, Ints, as_floats, between, binade, pow2
from gradcheck_suite.floats._formats import Format


def infinity_ordinal(fmt: Format) -> int:
    """The ordinal of +inf: one more than that of the largest finite number."""
    return (fmt.emax - fmt.emin + 2) << (fmt.precision - 1)


def to_ordinal(values: ArrayLike, fmt: Format) -> Ints:
    """The signed ordinals of float64 values that `fmt` holds: 0 for +-0, 1 for the smallest subnormal, ...

    Monotone, of the shape of `values`. ValueError for NaN and for values that are not in the format.
    """
    floats = as_floats(values)
    # Scaled so that the smallest normal numbers coincide, binary64 bits number the floats of `fmt` too.
    with np.errstate(over="ignore"):
        bits = (np.abs(floats) * 2.0 ** (-1022 - fmt.emin)).view(np.int64)
    size = np.minimum(bits >> (53 - fmt.precision), infinity_ordinal(fmt))
    ordinals: Ints = np.where(np.signbit(floats), -size, size)
    wrong = np.flatnonzero(_value(ordinals, fmt) != floats)
    if len(wrong):
        raise ValueError(f"{float(floats.flat[wrong[0]])!r} is not a {fmt.name} number and has no ordinal")
    return ordinals


def from_ordinal(ordinals: Any, fmt: Format) -> Floats:
    """The float64 values with these ordinals (integers of any shape); ValueError past those of +-inf."""
    numbers = np.asarray(ordinals, dtype=np.int64)
    top = infinity_ordinal(fmt)
    if np.any(np.abs(numbers) > top):
        raise ValueError(f"ordinals of {fmt.name} lie between -{top} and {top}")
    return _value(numbers, fmt)


def _value(ordinals: Ints, fmt: Format) -> Floats:
    size = np.abs(ordinals)
    sizes = np.asarray(size << (53 - fmt.precision)).view(np.float64) * 2.0 ** (fmt.emin + 1022)
    return np.where(ordinals < 0, -1.0, 1.0) * np.where(size >= infinity_ordinal(fmt), np.inf, sizes)


def round_to(values: ArrayLike, fmt: Format) -> Floats:
    """float64 values rounded to nearest in `fmt`, ties to even, with subnormals and overflow to +-inf."""
    floats = as_floats(values)
    if fmt.bits == 64:
        return floats.copy()
    ulp = pow2(between(binade(floats), fmt.emin, fmt.emax) - (fmt.precision - 1))
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        rounded = np.asarray(np.rint(floats / ulp) * ulp)
        past = np.abs(rounded) > fmt.max
    return np.where(past, np.copysign(np.inf, floats), rounded) if past.any() else rounded


def all_values(fmt: Format) -> Floats:
    """Every bit pattern of a 16-bit format, float64[65536]: -inf ... -0, +0 ... +inf, then the NaNs."""
    if fmt.bits != 16:
        raise ValueError(f"{fmt.name} has 2^{fmt.bits} bit patterns: only 16-bit formats are listed in full")
    top = infinity_ordinal(fmt)
    numbers = from_ordinal(np.arange(-top, top + 1), fmt)
    return np.concatenate([numbers[:top], [-0.0], numbers[top:], np.full(2**16 - 2 * (top + 1), np.nan)])
