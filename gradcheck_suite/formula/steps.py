"""Functions with jumps: rounding to integers, remainders, signs; over any field of the tape.

A jump is a tie: its value is the documented one, and a derivative may come from either side.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gradcheck_suite.formula.fields import UNDECIDED
from gradcheck_suite.formula.functions import Functions
from gradcheck_suite.formula.tape import Array, Objects, elementwise, node


class Steps(Functions):
    """What the context has of functions with jumps."""

    _present: Callable[..., Array]

    def floor(self, x: Any) -> Array:
        """The largest integer that is not above x; a jump at every integer, and no derivative."""
        x = self.const(x)
        y = self._smooth("floor", x)
        at = x >= y
        if at.tie.any():
            self.ties.append(at.tie)
        if at.undecided.any():
            self.undecided.append(at.undecided)
        return y

    def ceil(self, x: Any) -> Array:
        """The smallest integer that is not below x; a jump at every integer, and no derivative."""
        return -self.floor(-self.const(x))

    def trunc(self, x: Any) -> Array:
        """The integer part of x, towards 0; a jump at every integer but 0, and no derivative."""
        x = self.const(x)
        # Both are 0 around 0, where nothing jumps.
        size = self.floor(self.where(x >= 0, x, -x, smooth=True))
        return self.where(x >= 0, size, -size, smooth=True)

    def frac(self, x: Any) -> Array:
        """x - trunc(x), with the sign of x."""
        return self.fmod(x, 1)

    def fmod(self, x: Any, y: Any) -> Array:
        """The remainder of x / y rounded towards 0, with the sign of x, as torch.fmod."""
        over, by = self.const(x), self.const(y)
        return self._up_to(
            over - by * self.trunc(over / by), elementwise(self._signed_like, by.value, over.value)
        )

    def _signed_like(self, y: Any, x: Any) -> Any:
        """A scalar y with the sign of another, or with both."""
        signs = self.field.sign(x), self.field.sign(y)
        if UNDECIDED in signs:
            return self.field.union(y, -y)
        return y if signs[0] == signs[1] else -y

    def remainder(self, x: Any, y: Any) -> Array:
        """The remainder of x / y rounded down, with the sign of y, as torch.remainder and Python's %."""
        over, by = self.const(x), self.const(y)
        return self._up_to(over - by * self.floor(over / by), by.value)

    def _up_to(self, rest: Array, end: Objects) -> Array:
        """A remainder, which lies between 0 and the divisor that ends it: over a ball that holds many jumps the
        subtraction alone encloses as many divisors.
        """
        f = self.field
        value = elementwise(lambda a, b: f.meet(a, f.union(f.zero, b)), rest.value, end)
        return node(f, value, (rest, lambda g: g))

    def sign(self, x: Any) -> Array:
        """-1, 0 or 1; a jump at 0, and no derivative."""
        x = self.const(x)
        return self.where(x > 0, 1, self.where(x < 0, -1, 0, smooth=True))

    def heaviside(self, x: Any, at_zero: Any) -> Array:
        """0 for x < 0, 1 for x > 0, `at_zero` at 0."""
        x = self.const(x)
        return self.where(x > 0, 1, self.where(x < 0, 0, at_zero, smooth=True))

    def copysign(self, x: Any, y: Any) -> Array:
        """|x| with the sign of y, which is positive at 0 and any for NaN; a jump where y = 0."""
        size, y = self.abs(x), self.const(y)
        return self._present(size, y, self.where(y >= 0, size, -size), of="b")

    def round(self, x: Any) -> Array:
        """The nearest integer, halves to the even one, as torch.round; a jump at every half, and no
        derivative.
        """
        x = self.const(x)
        half = self.const(1) / 2
        up = self.floor(x + half)
        compare = elementwise(self.field.compare, (x + half).value, up.value)
        near = elementwise(self.field.approx, up.value).astype(np.float64)
        odd = np.where(np.isfinite(near), near, 0.0) % 2 == 1
        return up - self.const(np.asarray((compare == 0) & odd, dtype=np.int64))
