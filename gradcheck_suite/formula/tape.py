"""Arrays over a field with a reverse-mode tape.

An `Array` holds a numpy object array of field scalars, so that numpy supplies shapes, broadcasting and
indexing while the scalars supply the arithmetic.  A node of the tape is a whole array, never an element.
Operations record themselves only where an input does, so constants cost nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from gradcheck_suite.formula.fields import UNDECIDED, Field

Objects = npt.NDArray[Any]
Pullback = Callable[[Objects], Objects]
Axis = int | tuple[int, ...] | None

_SERIALS = itertools.count()
_LONG = 512


def objects(value: Any) -> Objects:
    """`value` as an object array; a scalar becomes 0-d (numpy's object ufuncs return bare scalars for 0-d
    input).
    """
    if type(value) is np.ndarray:
        return value
    out = np.empty((), dtype=object)
    out[()] = value
    return out


def elementwise(function: Callable[..., Any], *arrays: Objects) -> Objects:
    """Apply a scalar function over broadcast object arrays."""
    return objects(np.frompyfunc(function, len(arrays), 1)(*arrays))


def unbroadcast(g: Objects, shape: tuple[int, ...]) -> Objects:
    """Sum a cotangent down to the shape that was broadcast."""
    if g.shape == shape:
        return g
    extra = g.ndim - len(shape)
    if extra:
        g = objects(g.sum(axis=tuple(range(extra))))
    axes = tuple(i for i, n in enumerate(shape) if n == 1 and g.shape[i] != 1)
    return objects(g.sum(axis=axes, keepdims=True)) if axes else g


class Condition:
    """An elementwise comparison: `truth`, and `tie` where both sides are equal or could not be told apart."""

    __slots__ = ("tie", "truth", "undecided")

    def __init__(self, truth: Any, tie: Any, undecided: Any) -> None:
        self.truth = truth
        self.tie = tie
        self.undecided = undecided

    def __and__(self, other: Condition) -> Condition:
        # A side that is certainly false decides the whole, whatever the other does.
        settled = (~self.truth & ~self.tie) | (~other.truth & ~other.tie)
        return self._join(other, self.truth & other.truth, settled)

    def __or__(self, other: Condition) -> Condition:
        settled = (self.truth & ~self.tie) | (other.truth & ~other.tie)
        return self._join(other, self.truth | other.truth, settled)

    def _join(self, other: Condition, truth: Any, settled: Any) -> Condition:
        return Condition(
            truth, (self.tie | other.tie) & ~settled, (self.undecided | other.undecided) & ~settled
        )

    def __invert__(self) -> Condition:
        return Condition(~self.truth, self.tie, self.undecided)

    def __bool__(self) -> bool:
        raise TypeError(
            "a condition has one entry per element: use m.where(condition, a, b) instead of `if`, m.maximum and "
            "m.minimum instead of max and min, and & and | instead of `and` and `or`"
        )


class Array:
    """An array of field scalars, with the pullbacks that made it when it is on the tape.

    `serial` rises in the order in which arrays are made, so that no array comes before its parents.
    """

    __slots__ = ("field", "on_tape", "parents", "serial", "value")
    __array_ufunc__ = None  # numpy operands defer to the operators below

    def __init__(self, field: Field, value: Objects, parents: Sequence[tuple[Array, Pullback]] = ()) -> None:
        self.field = field
        self.value = value
        self.parents = parents
        self.on_tape = bool(parents)
        self.serial = next(_SERIALS)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.value.shape

    @property
    def ndim(self) -> int:
        return self.value.ndim

    @property
    def size(self) -> int:
        return self.value.size

    def __len__(self) -> int:
        return len(self.value)

    def __repr__(self) -> str:
        return f"Array({self.value!r})"

    # --- arithmetic

    def _lift(self, other: Any) -> Array:
        return other if isinstance(other, Array) else constant(self.field, other)

    def __add__(self, other: Any) -> Array:
        o = self._lift(other)
        return node(self.field, self.value + o.value, (self, lambda g: g), (o, lambda g: g))

    __radd__ = __add__

    def __sub__(self, other: Any) -> Array:
        o = self._lift(other)
        return node(self.field, self.value - o.value, (self, lambda g: g), (o, lambda g: -g))

    def __rsub__(self, other: Any) -> Array:
        return self._lift(other) - self

    def __neg__(self) -> Array:
        return node(self.field, -self.value, (self, lambda g: -g))

    def __mul__(self, other: Any) -> Array:
        o = self._lift(other)
        times = guarded_mul(self.field)
        return node(
            self.field,
            self.value * o.value,
            (self, lambda g: elementwise(times, g, o.value)),
            (o, lambda g: elementwise(times, g, self.value)),
        )

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Array:
        o = self._lift(other)
        f = self.field
        value = elementwise(f.div, self.value, o.value)

        def over(g: Objects) -> Objects:
            return elementwise(guarded_div(f), g, o.value)

        return node(f, value, (self, over), (o, lambda g: -over(g * value)))

    def __rtruediv__(self, other: Any) -> Array:
        return self._lift(other) / self

    def __pow__(self, exponent: int) -> Array:
        """An integer power, by repeated squaring; use `m.power` for a real exponent."""
        if not isinstance(exponent, int):
            raise TypeError(f"x ** {exponent!r}: use m.power(x, p) for an exponent that is not an int")
        if exponent < 0:
            return 1 / self ** (-exponent)
        result, base = constant(self.field, 1), self
        while exponent:
            if exponent & 1:
                result = result * base
            base = base * base
            exponent >>= 1
        return result

    # --- what numbers have and these do not

    def __abs__(self) -> Array:
        raise TypeError("abs(x): write m.abs(x)")

    def __bool__(self) -> bool:
        raise TypeError(
            "an array of exact numbers is neither true nor false: compare it, in m.where(x > 0, a, b)"
        )

    def __float__(self) -> float:
        raise TypeError("float(x): the numbers of a formula are exact; leave them as they are")

    def __rpow__(self, base: Any) -> Array:
        raise TypeError(f"{base!r} ** x: write m.exp(x * m.log({base!r})), m.exp2(x) or m.power({base!r}, x)")

    def __mod__(self, other: Any) -> Array:
        raise TypeError("x % y: write m.remainder(x, y) or m.fmod(x, y)")

    def __floordiv__(self, other: Any) -> Array:
        raise TypeError("x // y: write m.floor(x / y)")

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"exact numbers have no attribute {name!r}", name=name, obj=self)

    # --- comparisons

    def _compare(self, other: Any, strict: int, *, or_equal: bool) -> Condition:
        o = self._lift(other)
        sign = np.asarray(elementwise(self.field.compare, self.value, o.value), dtype=np.int8)
        undecided, equal = sign == UNDECIDED, sign == 0
        truth = (sign == strict) | equal if or_equal else sign == strict
        return Condition(truth, equal | undecided, undecided)

    def __gt__(self, other: Any) -> Condition:
        return self._compare(other, 1, or_equal=False)

    def __ge__(self, other: Any) -> Condition:
        return self._compare(other, 1, or_equal=True)

    def __lt__(self, other: Any) -> Condition:
        return self._compare(other, -1, or_equal=False)

    def __le__(self, other: Any) -> Condition:
        return self._compare(other, -1, or_equal=True)

    def __eq__(self, other: object) -> Condition:  # type: ignore[override]
        o = self._lift(other)
        sign = np.asarray(elementwise(self.field.compare, self.value, o.value), dtype=np.int8)
        return Condition(sign == 0, (sign == 0) | (sign == UNDECIDED), sign == UNDECIDED)

    def __ne__(self, other: object) -> Condition:  # type: ignore[override]
        return ~(self == other)

    __hash__ = object.__hash__

    # --- shape

    @property
    def T(self) -> Array:
        return self.transpose()

    def __getitem__(self, index: Any) -> Array:
        def pull(g: Objects) -> Objects:
            out = np.full(self.shape, self.field.zero, dtype=object)
            np.add.at(out, index, g)
            return out

        return node(self.field, objects(self.value[index]), (self, pull))

    def reshape(self, *shape: int) -> Array:
        return node(self.field, self.value.reshape(*shape), (self, lambda g: g.reshape(self.shape)))

    def transpose(self, *axes: int) -> Array:
        order = axes or tuple(reversed(range(self.ndim)))
        return node(self.field, self.value.transpose(order), (self, lambda g: g.transpose(np.argsort(order))))

    def __matmul__(self, other: Any) -> Array:
        o = self._lift(other)

        def left(g: Objects) -> Objects:
            return objects(np.matmul(g, np.swapaxes(o.value, -1, -2)))

        def right(g: Objects) -> Objects:
            return objects(np.matmul(np.swapaxes(self.value, -1, -2), g))

        return node(self.field, objects(np.matmul(self.value, o.value)), (self, left), (o, right))


def constant(field: Field, value: Any) -> Array:
    """Numbers (ints, binary64 floats, field scalars; nested, numpy or tensors) as an Array off the tape."""
    if hasattr(value, "detach"):
        value = value.detach().cpu().double().numpy()
    if isinstance(value, np.ndarray):
        return Array(field, numbers(field, value))
    if isinstance(value, list | tuple):
        return constant(field, np.array(value, dtype=object))
    return Array(field, objects(field.number(value)))


def numbers(field: Field, values: npt.NDArray[Any]) -> Objects:
    """The entries of an array as scalars of a field; those of long arrays that repeat themselves are shared."""
    if values.dtype == object:
        return elementwise(field.number, values)
    if values.size > _LONG:
        distinct, places = np.unique(values, return_inverse=True)
        if len(distinct) <= values.size // 4:
            scalars: Objects = numbers(field, distinct.astype(object))[places.reshape(values.shape)]
            return scalars
    return elementwise(field.number, values.astype(object))


def node(field: Field, value: Any, *parents: tuple[Array, Pullback]) -> Array:
    """The result of an operation; only parents that are on the tape are kept."""
    return Array(field, objects(value), [p for p in parents if p[0].on_tape])


class Variable(Array):
    """An input that derivatives are taken for."""

    __slots__ = ()

    def __init__(self, field: Field, value: Objects) -> None:
        super().__init__(field, value)
        self.on_tape = True


def guarded_div(field: Field) -> Callable[[Any, Any], Any]:
    """g / d where a cotangent of exactly 0 stays 0: a branch not taken contributes nothing, even at a pole."""
    is_zero, div = field.is_zero, field.div
    return lambda g, d: g if is_zero(g) else div(g, d)


def guarded_mul(field: Field) -> Callable[[Any, Any], Any]:
    """g * d where a cotangent of exactly 0 stays 0, also against an infinite or undefined derivative."""
    is_zero = field.is_zero
    return lambda g, d: g if is_zero(g) else g * d


def gradient(output: Array, cotangent: Objects, inputs: Sequence[Variable]) -> list[Objects]:
    """Vector-Jacobian products of `output` with `cotangent` (same shape) for each input, by reverse mode."""
    reached = _reached(output)
    cotangents: dict[int, Objects] = {output.serial: cotangent}
    for serial in sorted(reached, reverse=True):
        array = reached[serial]
        g = cotangents.get(serial) if array.__class__ is Variable else cotangents.pop(serial, None)
        if g is None:
            continue
        for parent, pull in array.parents:
            part = objects(pull(g))
            if part.shape != parent.value.shape:
                part = unbroadcast(part, parent.value.shape)
            known = cotangents.get(parent.serial)
            cotangents[parent.serial] = part if known is None else objects(known + part)
    found = [cotangents.get(v.serial) for v in inputs]
    zero = output.field.zero
    return [
        np.full(v.shape, zero, dtype=object) if g is None else g for v, g in zip(inputs, found, strict=True)
    ]


def _reached(output: Array) -> dict[int, Array]:
    """The arrays that `output` was made of, and itself, by serial."""
    reached, stack = {output.serial: output}, [output]
    while stack:
        for parent, _ in stack.pop().parents:
            if parent.serial not in reached:
                reached[parent.serial] = parent
                stack.append(parent)
    return reached
