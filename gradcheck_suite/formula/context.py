"""The mathematical vocabulary `m` in which every reference is written.

A reference is `def f(m, x, *, beta): ...`: exact real arithmetic over arrays, with the functions below.  It states no
derivative, no tolerance and no rounding.  The same function object is evaluated in every arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gradcheck_suite.formula.algorithms import Algorithms
from gradcheck_suite.formula.dual import Dual, DualField
from gradcheck_suite.formula.fields import Field
from gradcheck_suite.formula.steps import Steps
from gradcheck_suite.formula.tape import (
    Array,
    Axis,
    Condition,
    Objects,
    Variable,
    constant,
    elementwise,
    node,
    objects,
)

_CLOSE = 2.0**20
"""Numbers so small that two of one binary64 approximation differ by far less than 1."""


class Unsuited(Exception):
    """An interpreter cannot evaluate a formula, which is none of the formula's fault."""


class Context(Steps, Algorithms):
    """Functions over `Array`s of one field; records where a comparison was a tie or could not be decided.

    `clamped` records where a documented clamp holds; `straight` asks for the derivative that does not see it.
    `missing` says that NaN among the inputs is a missing number and not an unknown one: it spreads, but for
    what documents where it goes, which `placed` records.  `stopped` records that a derivative is none of the
    value.
    """

    def __init__(self, field: Field, *, straight: bool = False, missing: bool = False) -> None:
        self.field = field
        self.straight = straight
        self.missing = missing
        self.placed = False
        self.stopped = False
        self.ties: list[Any] = []
        self.undecided: list[Any] = []
        self.branches: list[Any] = []
        self.clamped: list[Any] = []

    # --- constants

    @property
    def pi(self) -> Array:
        """The number pi."""
        return Array(self.field, objects(self.field.pi))

    @property
    def inf(self) -> Array:
        """Positive infinity, for masks: exp(-inf) = 0 and max(-inf, c) = c."""
        return self.const(float("inf"))

    def const(self, value: Any) -> Array:
        """Numbers as an array: the exact value of an int or of a binary64 float, nested lists or numpy arrays too."""
        return value if isinstance(value, Array) else constant(self.field, value)

    def decimal(self, text: str) -> Array:
        """The real number that a decimal string denotes, which no binary float may represent."""
        return Array(self.field, objects(self.field.decimal(text)))

    def variable(self, value: Any) -> Variable:
        """An input on the tape (used by the evaluators, not by formulas)."""
        return Variable(self.field, self.const(value).value)

    def stop(self, x: Array) -> Array:
        """The value of x without its derivatives of any order: documented straight-through forms."""
        self.stopped = True
        value = self.const(x).value
        if isinstance(self.field, DualField):
            value = elementwise(lambda a: Dual(a.v, self.field.base.zero), value)
        return Array(self.field, value)

    def through(self, value: Any, carrier: Array) -> Array:
        """The number `value` with the derivative of `carrier`: value + (carrier - stop(carrier)), without rounding."""
        return node(self.field, self.stop(value).value, (carrier, lambda g: g))

    # --- piecewise functions

    def where(self, condition: Any, a: Any, b: Any, *, smooth: bool = False) -> Array:
        """a where the condition holds, else b; the branch not taken contributes nothing, whatever its value.

        `smooth=True` states that both branches agree in value and derivative at the boundary, so equality there is no
        tie.  Where a ball cannot decide, the result encloses both branches. The condition is a comparison of
        arrays, or plain booleans as for `select`.
        """
        if not isinstance(condition, Condition):
            return self.select(condition, a, b)
        a, b = self.const(a), self.const(b)
        f = self.field
        if not smooth:
            self.branches.append(condition.truth)
            if condition.tie.any():
                self.ties.append(condition.tie)
        truth, value = condition.truth, objects(np.where(condition.truth, a.value, b.value))
        if condition.undecided.any():
            self.undecided.append(condition.undecided)
            either = f.nan if self.missing else elementwise(f.union, a.value, b.value)
            value = objects(np.where(condition.undecided, either, value))
        return node(
            f,
            value,
            (a, lambda g: objects(np.where(truth, g, f.zero))),
            (b, lambda g: objects(np.where(truth, f.zero, g))),
        )

    def maximum(self, a: Any, b: Any) -> Array:
        """The larger of two, elementwise; equality is a tie."""
        a, b = self.const(a), self.const(b)
        return self.where(a >= b, a, b)

    def minimum(self, a: Any, b: Any) -> Array:
        """The smaller of two, elementwise; equality is a tie."""
        a, b = self.const(a), self.const(b)
        return self.where(a <= b, a, b)

    def fmax(self, a: Any, b: Any) -> Array:
        """The larger of two, elementwise, as C's and torch's fmax: the other one where one is NaN."""
        a, b = self.const(a), self.const(b)
        return self._present(a, b, self.maximum(a, b))

    def fmin(self, a: Any, b: Any) -> Array:
        """The smaller of two, elementwise, as C's and torch's fmin: the other one where one is NaN."""
        a, b = self.const(a), self.const(b)
        return self._present(a, b, self.minimum(a, b))

    def _present(self, a: Array, b: Array, both: Array, *, of: str = "ab") -> Array:
        """`both` but where one of two (of those named in `of`) is missing; there the other one."""
        if not self.missing:
            return both
        for name, x, other in (("b", b, a), ("a", a, b)):
            gone = elementwise(self.field.is_nan, x.value).astype(bool)
            if name in of and gone.any():
                both, self.placed = self.select(gone, other, both), True
        return both

    def clamp(self, x: Any, lo: Any, hi: Any) -> Array:
        """min(max(x, lo), hi)."""
        return self.minimum(self.maximum(x, lo), hi)

    def documented_max(self, x: Any, lo: Any) -> Array:
        """max(x, lo) where the documentation states the clamp: its derivative is any from that of lo to that of x."""
        x, lo = self.const(x), self.const(lo)
        below = x <= lo
        self.branches.append(below.truth)
        if below.truth.any() or below.undecided.any():
            self.clamped.append(below.truth | below.undecided)
        if not self.straight:
            return self.where(below, lo, x, smooth=True)
        value = self.where(below, lo, self.stop(x), smooth=True).value
        return node(self.field, value, (x, lambda g: g))

    def relu(self, x: Any) -> Array:
        """max(x, 0)."""
        return self.maximum(x, 0)

    def abs(self, x: Any) -> Array:
        """|x|; 0 is a tie."""
        x = self.const(x)
        return self.where(x >= 0, x, -x)

    # --- rows

    def sum(self, x: Any, axis: Axis = None, *, keepdims: bool = False) -> Array:
        """The sum over an axis, several, or all."""
        x = self.const(x)
        value = (
            objects(x.value.sum(axis=axis, keepdims=keepdims))
            if x.size
            else self._empty_sum(x, axis, keepdims)
        )
        return node(self.field, value, (x, lambda g: _spread(g, x.shape, axis, keepdims)))

    def _empty_sum(self, x: Array, axis: Axis, keepdims: bool) -> Objects:
        shape = np.zeros(x.shape).sum(axis=axis, keepdims=keepdims).shape
        return np.full(shape, self.field.zero, dtype=object)

    def mean(self, x: Any, axis: Axis = None, *, keepdims: bool = False) -> Array:
        """The arithmetic mean over an axis, several, or all."""
        x = self.const(x)
        total = self.sum(x, axis, keepdims=keepdims)
        return total / (x.size // max(total.size, 1))  # type: ignore[no-any-return]

    def max(self, x: Any, axis: Axis = -1, *, keepdims: bool = False) -> Array:
        """The largest entry along an axis, several, or all; equal largest entries are a tie."""
        x = self.const(x)
        if not isinstance(axis, int):
            return self._over_all(self.max, x, axis, keepdims)
        rows = self._split(x, axis)
        best = rows[0]
        for row in rows[1:]:
            best = self.maximum(best, row)
        return self.stack([best], axis) if keepdims else best

    def min(self, x: Any, axis: Axis = -1, *, keepdims: bool = False) -> Array:
        """The smallest entry along an axis, several, or all; equal smallest entries are a tie."""
        return -self.max(-self.const(x), axis, keepdims=keepdims)

    amax, amin = max, min

    def _over_all(
        self, function: Callable[..., Array], x: Array, axis: tuple[int, ...] | None, keepdims: bool
    ) -> Array:
        """A function along one axis, along several axes that are made one."""
        axes = tuple(range(x.ndim)) if axis is None else tuple(a % x.ndim for a in axis)
        rest = [a for a in range(x.ndim) if a not in axes]
        together = x.transpose(*rest, *axes).reshape(*(x.shape[a] for a in rest), -1)
        shape = [1 if a in axes else n for a, n in enumerate(x.shape)]
        found = function(together, -1)
        return found.reshape(*shape) if keepdims else found

    def one_hot_max(self, x: Any, axis: int = -1) -> Array:
        """1 at the largest entry along an axis, else 0, with no derivative; equal largest entries are a tie."""
        x = self.const(x)
        rows = self._split(x, axis)
        best, winner = rows[0], np.zeros(rows[0].shape, dtype=np.int64)
        unsure = np.zeros(rows[0].shape, dtype=bool)
        for i, row in enumerate(rows[1:], 1):
            better = row > best
            best = self.where(better, row, best)
            winner = np.where(better.truth, i, winner)
            unsure |= better.undecided
        marks = [
            self.where(Condition(winner == i, unsure, unsure), 1, 0, smooth=True) for i in range(len(rows))
        ]
        return self.stack(marks, axis)

    def _split(self, x: Array, axis: int) -> list[Array]:
        index: list[Any] = [slice(None)] * x.ndim
        parts = []
        for i in range(x.shape[axis]):
            index[axis] = i
            parts.append(x[tuple(index)])
        return parts

    def _shift(self, x: Array, axis: int) -> Objects:
        # Any shift is exact in real arithmetic; one near the maximum keeps every exponential at most about 1.
        with np.errstate(over="ignore"):
            near = elementwise(self.field.approx, x.value).astype(np.float64)
        # Beyond that neighbouring binary64 numbers lie far apart, and so may exponents that they stand for.
        close = bool((np.abs(near) < _CLOSE).all())
        best = near.argmax(axis=axis) if close else self._largest(x.value, axis)
        return np.take_along_axis(x.value, np.expand_dims(best, axis), axis=axis)

    def _largest(self, value: Objects, axis: int) -> Any:
        """Where the largest entry lies, by comparisons: for numbers that binary64 does not tell apart."""
        greater = np.frompyfunc(lambda a, b: self.field.compare(a, b) == 1, 2, 1)
        rows = np.moveaxis(value, axis, 0)
        best, index = rows[:1], np.zeros((1, *rows.shape[1:]), dtype=np.int64)
        for i in range(1, len(rows)):
            row = rows[i : i + 1]
            better = np.asarray(greater(row, best), dtype=bool)
            best, index = np.where(better, row, best), np.where(better, i, index)
        return index[0]

    def _exponentials(self, x: Array, axis: int) -> tuple[Objects, Objects, Objects]:
        f = self.field
        shift = self._shift(x, axis)
        e = elementwise(f.exp, x.value - shift)
        return e, objects(e.sum(axis=axis, keepdims=True)), shift

    def logsumexp(self, x: Any, axis: Axis = -1, *, keepdims: bool = False) -> Array:
        """log of the sum of exponentials along an axis, several, or all."""
        x = self.const(x)
        if not isinstance(axis, int):
            return self._over_all(self.logsumexp, x, axis, keepdims)
        f = self.field
        e, total, shift = self._exponentials(x, axis)
        value = shift + elementwise(f.log, total)
        out = value if keepdims else objects(np.squeeze(value, axis))

        def pull(g: Objects) -> Objects:
            wide = g if keepdims else np.expand_dims(g, axis)
            return wide * elementwise(f.div, e, total)

        return node(f, out, (x, pull))

    def softmax(self, x: Any, axis: int = -1) -> Array:
        """e^x_i / sum_j e^x_j along an axis."""
        x = self.const(x)
        e, total, _ = self._exponentials(x, axis)
        y = elementwise(self.field.div, e, total)

        def pull(g: Objects) -> Objects:
            return y * (g - objects((g * y).sum(axis=axis, keepdims=True)))  # type: ignore[no-any-return]

        return node(self.field, y, (x, pull))

    def log_softmax(self, x: Any, axis: int = -1) -> Array:
        """x_i - logsumexp(x) along an axis."""
        x = self.const(x)
        f = self.field
        e, total, shift = self._exponentials(x, axis)
        y = (x.value - shift) - elementwise(f.log, total)

        def pull(g: Objects) -> Objects:
            return g - elementwise(f.div, e, total) * objects(g.sum(axis=axis, keepdims=True))  # type: ignore[no-any-return]

        return node(f, y, (x, pull))

    def norm(self, x: Any, p: float = 2.0, axis: Axis = -1, *, keepdims: bool = False) -> Array:
        """The p-norm (sum |x|^p)^(1/p) for any real p; 0 is a tie wherever the norm has a kink there.

        Its limits: max |x| for p = inf, min |x| for p = -inf; for p = 0 the number of entries that are not 0.
        """
        x = self.const(x)
        if abs(p) == float("inf"):
            if not isinstance(axis, int):
                raise TypeError(f"norm with p={p} takes one axis, not {axis!r}")
            return (self.max if p > 0 else self.min)(self.abs(x), axis, keepdims=keepdims)
        if p == 0:
            return self.sum(self.where((x > 0) | (x < 0), 1, 0, smooth=True), axis, keepdims=keepdims)
        if p == 1:
            return self.sum(self.abs(x), axis, keepdims=keepdims)
        # |x|^p has two continuous derivatives at 0 for p >= 2 only.
        powers = x * x if p == 2 else self.power(self.where(x >= 0, x, -x, smooth=p >= 2), p)
        total = self.sum(powers, axis, keepdims=keepdims)
        root = self.sqrt(total) if p == 2 else self.power(total, self.const(1) / self.const(float(p)))
        # Only ties are recorded here: both branches are the root itself.
        return self.where(total > 0, root, root)

    # --- arrangement

    def broadcast(self, x: Any, shape: tuple[int, ...]) -> Array:
        """x repeated to a shape, as numpy broadcasts."""
        x = self.const(x)
        return node(self.field, np.broadcast_to(x.value, shape), (x, lambda g: g))

    def select(self, mask: Any, a: Any, b: Any) -> Array:
        """a where a plain boolean array is true, else b; the other one contributes nothing, whatever its value."""
        truth = np.asarray(mask, dtype=bool)
        no = np.zeros_like(truth)
        return self.where(Condition(truth, no, no), a, b, smooth=True)

    def stack(self, arrays: Sequence[Array], axis: int = 0) -> Array:
        """Arrays of one shape along a new axis."""
        parts = [self.const(a) for a in arrays]
        value = np.stack([p.value for p in parts], axis=axis)

        def take(i: int) -> Callable[[Objects], Objects]:
            return lambda g: objects(g.take(i, axis=axis))

        return node(self.field, value, *[(p, take(i)) for i, p in enumerate(parts)])

    def concat(self, arrays: Sequence[Array], axis: int = 0) -> Array:
        """Arrays joined along an axis that they have."""
        parts = [self.const(a) for a in arrays]
        ends = np.cumsum([p.shape[axis] for p in parts])

        def cut(i: int) -> Callable[[Objects], Objects]:
            window = np.arange(ends[i] - parts[i].shape[axis], ends[i])
            return lambda g: objects(g.take(window, axis=axis))

        value = np.concatenate([p.value for p in parts], axis=axis)
        return node(self.field, value, *[(p, cut(i)) for i, p in enumerate(parts)])

    def gather(self, x: Any, index: Any, axis: int = -1) -> Array:
        """Entries picked along an axis by an integer array of the same rank (as numpy.take_along_axis)."""
        x = self.const(x)
        where = np.asarray(index, dtype=np.int64)
        grid = list(np.ogrid[tuple(slice(n) for n in where.shape)])
        grid[axis] = where
        return x[tuple(grid)]  # type: ignore[no-any-return]

    def matmul(self, a: Any, b: Any) -> Array:
        """The matrix product over the last two axes, broadcast over the others."""
        return self.const(a) @ self.const(b)

    def dot(self, a: Any, b: Any, axis: int = -1) -> Array:
        """The sum of products along an axis."""
        return self.sum(self.const(a) * b, axis)

    def outer(self, a: Any, b: Any) -> Array:
        """Products of every entry of one last axis with every entry of another."""
        a, b = self.const(a), self.const(b)
        return a[..., :, np.newaxis] * b[..., np.newaxis, :]  # type: ignore[no-any-return]

    def einsum(self, indices: str, *operands: Any) -> Array:
        """Sums of products by named indices, as torch.einsum without an ellipsis: "bij,jk->bik"."""
        arrays = [self.const(x) for x in operands]
        names, out = _indices(indices, arrays)
        f = self.field
        sizes = {
            n: size
            for part, x in zip(names, arrays, strict=True)
            for n, size in zip(part, x.shape, strict=True)
        }

        def along(i: int) -> Callable[[Objects], Objects]:
            others = [k for k in range(len(arrays)) if k != i]
            # What is summed over in this operand alone.
            lost = [n for n in names[i] if not any(n in part for part in (out, *(names[k] for k in others)))]
            ones = np.full([sizes[n] for n in lost], f.one, dtype=object)
            terms = ",".join([out, *(names[k] for k in others), "".join(lost)])
            given = [arrays[k].value for k in others]
            return lambda g: objects(np.einsum(f"{terms}->{names[i]}", g, *given, ones))

        value = objects(np.einsum(f"{','.join(names)}->{out}", *(x.value for x in arrays)))
        return node(f, value, *((x, along(i)) for i, x in enumerate(arrays)))

    def flip(self, x: Any, axis: int = -1) -> Array:
        """The entries along an axis in the opposite order."""
        return self._reordered(x, axis, lambda n: np.arange(n)[::-1])

    def roll(self, x: Any, shift: int, axis: int = -1) -> Array:
        """The entries along an axis moved on by `shift` places, the last ones to the front."""
        return self._reordered(x, axis, lambda n: np.roll(np.arange(n), shift))

    def _reordered(self, x: Any, axis: int, order: Callable[[int], Any]) -> Array:
        x = self.const(x)
        index: list[Any] = [slice(None)] * x.ndim
        index[axis] = order(x.shape[axis])
        return x[tuple(index)]  # type: ignore[no-any-return]

    def one_hot(self, index: Any, classes: int) -> Array:
        """Rows of the identity picked by an integer array."""
        return self.const(np.eye(classes, dtype=np.int64)[np.asarray(index, dtype=np.int64)])


def _indices(text: str, arrays: Sequence[Array]) -> tuple[list[str], str]:
    """The indices of each operand of an einsum, and of its result."""
    inputs, arrow, out = text.replace(" ", "").partition("->")
    names = inputs.split(",")
    every = "".join(names)
    out = out if arrow else "".join(sorted(n for n in set(every) if every.count(n) == 1))
    if [len(part) for part in names] != [x.ndim for x in arrays] or "." in text:
        raise ValueError(f"einsum({text!r}) needs one letter for each axis of {len(arrays)} operands")
    if any(len(set(part)) < len(part) for part in (*names, out)) or set(out) - set(every):
        raise ValueError(
            f"einsum({text!r}): an index stands once in each operand, and in the result if in one"
        )
    return names, out


def _spread(g: Objects, shape: tuple[int, ...], axis: Axis, keepdims: bool) -> Objects:
    if axis is not None and not keepdims:
        g = np.expand_dims(g, axis)
    return np.broadcast_to(g, shape)
