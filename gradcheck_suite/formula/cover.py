"""The certified Taylor cover of a one-input formula: a polynomial with a proven bound on almost every float.

The floats of a format fall into *blocks*; on each, every column (the value, the first, the second derivative)
is a polynomial that lies within `TARGET` ULP of the exact one.  Evaluating it costs nanoseconds where a ball
costs microseconds.  What no block covers (zeros, neighbours of kinks, what balls could not decide) is left to
evaluation point by point.  `taylor.build` makes covers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from gradcheck_suite.floats import Exact, Format
from gradcheck_suite.formula.polynomials import Polynomials

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

HALF: Final = Format("float16 and bfloat16", 11, -126, 127, 19)
"""Holds every finite number of both 16-bit formats, so that one cover serves the two."""


@dataclass(frozen=True, slots=True)
class Cover:
    """Blocks in rising order: the floats from `first` to `last`, where t = (x - centre) * inverse.

    Reals from `low` to `high`, a little beyond the ends, belong to a block too.  `columns[k]` are the
    polynomials of the k-th derivative.
    """

    fmt: Format
    first: Floats
    last: Floats
    low: Floats
    high: Floats
    centre: Floats
    inverse: Floats
    columns: tuple[Polynomials, ...]

    def __len__(self) -> int:
        return len(self.first)

    @property
    def order(self) -> int:
        """The highest derivative."""
        return len(self.columns) - 1

    def find(self, x: Floats) -> tuple[Ints, Bools]:
        """A block for each x (float64, any reals), and whether it covers x."""
        if not len(self):
            return np.zeros(len(x), dtype=np.int64), np.zeros(len(x), dtype=bool)
        block = np.maximum(np.searchsorted(self.first, x, side="right") - 1, 0)
        following = np.minimum(block + 1, len(self) - 1)
        block = np.where((x > self.high[block]) & (x >= self.low[following]), following, block)
        return block, (x >= self.low[block]) & (x <= self.high[block])

    def evaluate(self, x: Floats, block: Ints | int, derivative: int) -> tuple[Floats, Floats]:
        """One column at reals x of the given blocks, or of one: float64 values and bounds of their error."""
        column = self.columns[derivative]
        t = (x - self.centre[block]) * self.inverse[block]
        value = np.zeros(len(x)) + column.coefficients[:, -1][block]
        for j in range(column.coefficients.shape[1] - 2, -1, -1):
            value *= t
            value += column.coefficients[:, j][block]
        power = column.power[block]
        with np.errstate(under="ignore"):
            weight = np.where(power == 0, 1.0, np.abs(t) ** power)
            return value, column.absolute[block] + column.relative[block] * weight

    def exact(self, x: Floats, block: Ints | int, derivative: int) -> Exact:
        """One column at floats x of the given blocks as exact values with their radii."""
        value, bound = self.evaluate(x, block, derivative)
        # A value that may have either sign is 0 as far as any format of the cover is concerned.
        nothing = np.abs(value) <= bound
        bound = np.where(nothing, bound + np.abs(value), bound)
        _, exponent = np.frexp(np.where(nothing, 0.0, value))
        return Exact.from_float64(np.where(nothing, 0.0, value), rad=np.ldexp(bound, -exponent))
