"""References that are algorithms: sorting, running sums, roots; over any field of the tape.

Each is exact real arithmetic like the rest of the context, with the derivative that the mathematics has: a
sorted entry's is that of the entry that it is, a root's comes from the implicit function theorem.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cmp_to_key, partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from gradcheck_suite.formula.tape import Array, Axis, Objects, elementwise, gradient, node, objects

if TYPE_CHECKING:
    from gradcheck_suite.formula.fields import Field

_HALVINGS: Final = 48
"""Bisections before Newton's method; a bracket of 2^-48 of the first is small enough for it to converge."""

_STEPS: Final = 9
"""Newton doubles the digits: 48 bits become 24,000."""


class _Tied(Exception):
    """Two entries are equal, or the precision does not tell."""


class Algorithms:
    """What the context adds to its functions."""

    field: Field
    ties: list[Any]
    branches: list[Any]
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
    flip: Callable[..., Array]
    gather: Callable[..., Array]
    _present: Callable[..., Array]
    _annihilated: Callable[[Any, Any], Array]
    where: Callable[..., Array]
    sqrt: Callable[[Any], Array]
    logsumexp: Callable[..., Array]

    def sort(self, x: Any, axis: int = -1, *, descending: bool = False) -> Array:
        """The entries in rising order along an axis, NaN behind all numbers; equal entries are a tie."""
        rows = self._sorted(x, axis, nan_last=True)
        return self.flip(rows, axis) if descending else rows

    def kthvalue(self, x: Any, k: int, axis: int = -1) -> Array:
        """The k-th smallest entry along an axis, k from 1, NaN behind all numbers."""
        return _taken(self.sort(x, axis), k - 1, axis)

    def median(self, x: Any, axis: int = -1) -> Array:
        """The middle entry in rising order along an axis, the lower of two; NaN where an entry is."""
        rows = self._sorted(x, axis, nan_last=False)
        return _taken(rows, (rows.shape[axis] - 1) // 2, axis)

    def quantile(self, x: Any, q: Any, axis: int = -1) -> Array:
        """The entry at q (n - 1) in rising order along an axis, interpolated linearly; NaN where an entry is."""
        rows = self._sorted(x, axis, nan_last=False)
        shape = [-1 if a == axis % rows.ndim else 1 for a in range(rows.ndim)]
        apart = self.const(np.arange(rows.shape[axis])).reshape(*shape) - self.const(q) * (
            rows.shape[axis] - 1
        )
        near = 1 - self.where(apart >= 0, apart, -apart, smooth=True)
        return self.sum(self._annihilated(self.where(near > 0, near, 0, smooth=True), rows), axis)

    def _sorted(self, x: Any, axis: int, *, nan_last: bool) -> Array:
        rows: Array = self.const(x)
        order = self._order(rows, axis)
        if order is not None:
            self._note_branches(np.argsort(order, axis), axis)
            return self.gather(rows, order, axis)
        for left in _neighbours(rows.shape[axis]):
            rows = self._exchanged(rows, axis, left, nan_last=nan_last)
        return rows

    def _note_branches(self, ranks: Any, axis: int) -> None:
        """Record the comparisons by which neighbours with these ranks would be exchanged."""
        lines = np.moveaxis(ranks, axis, -1).copy()
        for left in _neighbours(lines.shape[-1]):
            a, b = lines[..., left], lines[..., left + 1]
            self.branches += [np.moveaxis(a <= b, -1, axis), np.moveaxis(a >= b, -1, axis)]
            lines[..., left], lines[..., left + 1] = np.minimum(a, b), np.maximum(a, b)

    def _order(self, rows: Array, axis: int) -> Any:
        """The places of the entries in rising order along an axis; None where some are equal, or not told apart."""
        lines = np.moveaxis(rows.value, axis, -1)
        order = np.empty(lines.shape, dtype=np.int64)
        try:
            for place in np.ndindex(*lines.shape[:-1]):
                order[place] = sorted(
                    range(lines.shape[-1]), key=cmp_to_key(partial(self._rising, lines[place]))
                )
        except _Tied:
            return None
        return np.moveaxis(order, -1, axis)

    def _rising(self, line: Objects, i: int, j: int) -> int:
        found = self.field.compare(line[i], line[j])
        if found not in (1, -1):
            raise _Tied
        return found

    def _exchanged(self, x: Array, axis: int, left: Any, *, nan_last: bool) -> Array:
        a, b = _taken(x, left, axis), _taken(x, left + 1, axis)
        low, high = self.minimum(a, b), self.maximum(a, b)
        # Of a number and NaN the number comes first; what is NaN of the two stays `high`, which is undecided.
        apart = self.concat([self._present(a, b, low) if nan_last else low, high], axis)
        rest = np.setdiff1d(np.arange(x.shape[axis]), np.concatenate([left, left + 1]))
        joined = self.concat([apart, _taken(x, rest, axis)], axis) if len(rest) else apart
        return _taken(joined, np.argsort(np.concatenate([left, left + 1, rest])), axis)

    def cumsum(self, x: Any, axis: int = -1) -> Array:
        """Running sums along an axis."""
        x = self.const(x)

        def pull(g: Objects) -> Objects:
            return np.flip(np.flip(g, axis).cumsum(axis=axis), axis)

        return node(self.field, objects(x.value.cumsum(axis=axis)), (x, pull))

    def cummax(self, x: Any, axis: int = -1) -> Array:
        """Running maxima along an axis; equal entries are a tie."""
        rows: Array = self.const(x)
        found = [_taken(rows, 0, axis)]
        for i in range(1, rows.shape[axis]):
            found.append(self.maximum(found[-1], _taken(rows, i, axis)))
        return self.stack(found, axis)

    def cummin(self, x: Any, axis: int = -1) -> Array:
        """Running minima along an axis; equal entries are a tie."""
        return -self.cummax(-self.const(x), axis)

    def diff(self, x: Any, axis: int = -1) -> Array:
        """The differences between neighbours along an axis."""
        rows: Array = self.const(x)
        size = rows.shape[axis]
        return _taken(rows, np.arange(1, size), axis) - _taken(rows, np.arange(size - 1), axis)

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

    def var(self, x: Any, axis: Axis = -1, *, correction: int = 1, keepdims: bool = False) -> Array:
        """The variance along axes, over n - correction: 1 as torch.var, 0 as layer norms have it."""
        x = self.const(x)
        centre = self.mean(x, axis, keepdims=True)
        apart, count = x - centre, x.size // centre.size
        variance: Array = self.sum(apart * apart, axis, keepdims=keepdims) / (count - correction)
        return variance

    def std(self, x: Any, axis: Axis = -1, *, correction: int = 1, keepdims: bool = False) -> Array:
        """The standard deviation along axes, a norm; 0 is a tie."""
        x = self.const(x)
        centre = self.mean(x, axis, keepdims=True)
        apart, count = x - centre, x.size // centre.size
        length = self.norm(apart, 2.0, axis, keepdims=keepdims)
        deviation: Array = length / self.sqrt(count - correction)
        return deviation

    def topk(self, x: Any, k: int, axis: int = -1) -> Array:
        """The k largest entries along an axis, in falling order; equal entries are a tie."""
        rows = self.sort(x, axis)
        size = rows.shape[axis]
        return _taken(rows, np.arange(size - 1, size - 1 - k, -1), axis)

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


def _neighbours(size: int) -> Iterator[Any]:
    """The left ones of the neighbours that are compared and exchanged, as often as the farthest may have to travel."""
    for turn in range(size):
        left = np.arange(turn % 2, size - 1, 2)
        if len(left):
            yield left


def _taken(x: Array, where: Any, axis: int) -> Array:
    index: list[Any] = [slice(None)] * x.ndim
    index[axis] = where
    return x[tuple(index)]
