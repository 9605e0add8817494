"""References that are algorithms: sorting, running sums, rounding, roots; over any field of the tape.

Each is exact real arithmetic like the rest of the context, with the derivative that the mathematics has: a
sorted entry's is that of the entry that it is, a root's comes from the implicit function theorem.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from gradcheck_suite.formula.tape import Array, Objects, elementwise, gradient, node, objects

if TYPE_CHECKING:
    from gradcheck_suite.formula.fields import Field

_HALVINGS: Final = 48
"""Bisections before Newton's method; a bracket of 2^-48 of the first is small enough for it to converge."""

_STEPS: Final = 9
"""Newton doubles the digits: 48 bits become 24,000."""


class Algorithms:
    """What the context adds to its functions."""

    field: Field
    ties: list[Any]
    undecided: list[Any]
    const: Callable[[Any], Array]
    variable: Callable[[Any], Array]
    minimum: Callable[[Any, Any], Array]
    maximum: Callable[[Any, Any], Array]
    concat: Callable[..., Array]
    stack: Callable[..., Array]
    sum: Callable[..., Array]
    mean: Callable[..., Array]
    norm: Callable[..., Array]
    sqrt: Callable[[Any], Array]
    logsumexp: Callable[..., Array]
    _smooth: Callable[[str, Any], Array]

    def sort(self, x: Any, axis: int = -1) -> Array:
        """The entries in rising order along an axis; equal entries are a tie."""
        rows: Array = self.const(x)
        size = rows.shape[axis]
        # Neighbours are compared and exchanged, as often as the farthest entry may have to travel.
        for turn in range(size):
            start = turn % 2
            pairs = (size - start) // 2
            if pairs:
                rows = self._exchanged(rows, axis, start, pairs)
        return rows

    def _exchanged(self, x: Array, axis: int, start: int, pairs: int) -> Array:
        left = np.arange(start, start + 2 * pairs, 2)
        a, b = _taken(x, left, axis), _taken(x, left + 1, axis)
        apart = self.concat([self.minimum(a, b), self.maximum(a, b)], axis)
        rest = np.setdiff1d(np.arange(x.shape[axis]), np.concatenate([left, left + 1]))
        joined = self.concat([apart, _taken(x, rest, axis)], axis) if len(rest) else apart
        return _taken(joined, np.argsort(np.concatenate([left, left + 1, rest])), axis)

    def cumsum(self, x: Any, axis: int = -1) -> Array:
        """Running sums along an axis."""
        x = self.const(x)

        def pull(g: Objects) -> Objects:
            return np.flip(np.flip(g, axis).cumsum(axis=axis), axis)

        return node(self.field, objects(x.value.cumsum(axis=axis)), (x, pull))

    def prod(self, x: Any, axis: int = -1) -> Array:
        """The product along an axis."""
        running = self.cumprod(x, axis)
        return _taken(running, running.shape[axis] - 1, axis)

    def cumprod(self, x: Any, axis: int = -1) -> Array:
        """Running products along an axis."""
        rows: Array = self.const(x)
        found = [_taken(rows, 0, axis)]
        for i in range(1, rows.shape[axis]):
            found.append(found[-1] * _taken(rows, i, axis))
        return self.stack(found, axis)

    def logcumsumexp(self, x: Any, axis: int = -1) -> Array:
        """Running logarithms of sums of exponentials along an axis."""
        rows: Array = self.const(x)
        heads = (_taken(rows, np.arange(i + 1), axis) for i in range(rows.shape[axis]))
        found: Array = self.stack([self.logsumexp(head, axis) for head in heads], axis)
        return found

    def var(self, x: Any, axis: int = -1, *, correction: int = 1, keepdims: bool = False) -> Array:
        """The variance along an axis, over n - correction: 1 as torch.var, 0 as layer norms have it."""
        x = self.const(x)
        apart = x - self.mean(x, axis, keepdims=True)
        variance: Array = self.sum(apart * apart, axis, keepdims=keepdims) / (x.shape[axis] - correction)
        return variance

    def std(self, x: Any, axis: int = -1, *, correction: int = 1, keepdims: bool = False) -> Array:
        """The standard deviation along an axis, a norm; 0 is a tie."""
        x = self.const(x)
        apart = x - self.mean(x, axis, keepdims=True)
        length = self.norm(apart, 2.0, axis, keepdims=keepdims)
        deviation: Array = length / self.sqrt(x.shape[axis] - correction)
        return deviation

    def topk(self, x: Any, k: int, axis: int = -1) -> Array:
        """The k largest entries along an axis, in falling order; equal entries are a tie."""
        rows = self.sort(x, axis)
        size = rows.shape[axis]
        return _taken(rows, np.arange(size - 1, size - 1 - k, -1), axis)

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

    def root(self, function: Callable[[Array], Array], low: Any, high: Any) -> Array:
        """Where `function`, entry by entry and of one sign of slope, crosses 0 between `low` and `high`.

        First derivatives come from the implicit function theorem; there are no second ones. Undefined where
        the two ends have one sign, or where the slope may vanish between them.
        """
        f = self.field
        lo, hi = np.broadcast_arrays(self.const(low).value, self.const(high).value)
        first = elementwise(f.sign, function(self.const(lo)).value)
        last = elementwise(f.sign, function(self.const(hi)).value)
        for _ in range(_HALVINGS):
            middle = elementwise(lambda a, b: f.div(a + b, f.number(2)), lo, hi)
            sign = elementwise(f.sign, function(self.const(middle)).value)
            exact = sign == 0
            lo = np.where((sign == first) | exact, middle, lo)
            hi = np.where((sign == last) | exact, middle, hi)
        bracket = elementwise(f.union, lo, hi)
        # A field without enclosures has no union; one of its ends is as good a start.
        found = objects(np.where(elementwise(f.is_nan, bracket).astype(bool), lo, bracket))
        for _ in range(_STEPS):
            centre = elementwise(f.centre, found)
            # The mean value theorem: the root lies within this of the centre, by the slopes between the ends.
            found = centre - elementwise(
                f.div, function(self.const(centre)).value, self._slope(function, found)
            )
        bad = np.asarray(first == last, dtype=bool)
        found = np.where(bad, elementwise(lambda _: f.nan, found), found)
        slope = self._slope(function, found)
        # As a function of the inputs, f(root) is 0: its derivative over the slope is minus that of the root.
        return node(f, found, (function(self.const(found)), lambda g: -elementwise(f.div, g, slope)))

    def _slope(self, function: Callable[[Array], Array], at: Objects) -> Objects:
        t = self.variable(at)
        value = function(t)
        ones = elementwise(lambda _: self.field.one, value.value)
        (slope,) = gradient(value, ones, [t])  # type: ignore[list-item]
        return slope


def _taken(x: Array, where: Any, axis: int) -> Array:
    index: list[Any] = [slice(None)] * x.ndim
    index[axis] = where
    return x[tuple(index)]
