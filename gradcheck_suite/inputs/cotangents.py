"""Cotangents for ops whose outputs depend on each other: never constant, for a constant one may give 0
everywhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gradcheck_suite.floats import Format, round_to

Floats = NDArray[np.float64]
Pattern = Callable[[int], Floats]
"""The cotangent of an output with so many entries; its values are exact in every format."""

# Prime lengths, so that no axis of an array sees the same entries again and again.
_CYCLE: Final = np.array([1.0, -1.0, 0.5, 1.5, -0.75, 2.0, -1.25, 0.25, -0.5, 1.75, -2.0, 0.75, -1.5])
_LARGEST: Final = 2.0
_GOLDEN: Final = (5**0.5 - 1) / 2
"""Its multiples modulo 1 are spread evenly."""

_DIRECTION: Final = np.array([1.0, 0.5, -1.0, -0.25, 1.5, -0.75, 2.0])


def mixed(size: int) -> Floats:
    """Both signs and several magnitudes; first 1, so that a scalar loss has the usual cotangent."""
    return np.take(_CYCLE, np.arange(size), mode="wrap")


def direction(size: int) -> Floats:
    """A direction for second derivatives, unlike the cotangent; the first entry is 1."""
    return np.take(_DIRECTION, np.arange(size), mode="wrap")


def one_hot(size: int) -> Floats:
    """1 at the first entry, else 0: the gradient of one output."""
    out = np.zeros(size)
    out[:1] = 1.0
    return out


def even(size: int) -> Floats:
    """1 everywhere: what a sum hands back."""
    return np.ones(size)


def ragged(fmt: Format) -> Pattern:
    """The mixed cotangent with every digit of the format in use, which nothing narrower holds."""

    def full(size: int) -> Floats:
        return round_to(mixed(size) * (1 + np.modf(_GOLDEN * np.arange(1, size + 1))[0] / 2), fmt)

    return full


def scaled(largest: float) -> Pattern:
    """The mixed cotangent grown to `largest` (a power of two), such as the loss scale of mixed-precision
    training."""
    return lambda size: mixed(size) * 2.0 ** growth(largest)


def growth(largest: float) -> int:
    """By how many binades the mixed cotangent grows to reach `largest`."""
    return int(np.log2(largest / _LARGEST))
