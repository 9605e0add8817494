"""Where a formula has certainly left every format: signs and lower bounds of its value and derivatives.

A ball has a midpoint and a radius of 30 bits, so one that holds e^x for x from 128 to 2^128 holds 0 too, and
says nothing about an overflow that no float in that range escapes.  This arithmetic keeps just what decides
it: for the value and two derivatives their sign and a lower bound of log2 of their size.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

from flint import arb

from gradcheck_suite.formula.context import Unsuited
from gradcheck_suite.formula.fields import ARB
from gradcheck_suite.formula.jets import JetContext
from gradcheck_suite.formula.tape import Array, objects

_LOG2_E: Final = 1.4426
# Beyond this the size of an exponent means nothing any more.
_CAP: Final = 1e300

Part = tuple[int, float] | None
"""Sign and lower bound of log2|.|; sign 0 is exactly 0, None is unknown."""

_ZERO: Final[Part] = (0, -math.inf)


class Unknown(Unsuited):
    """Nothing is known here: an undecided comparison, or a function that this arithmetic does not have."""


class Growth:
    """A value with its first and second derivative."""

    __slots__ = ("parts",)

    def __init__(self, *parts: Part) -> None:
        self.parts = parts

    def __add__(self, other: Any) -> Growth:
        pairs = zip(self.parts, _lift(other).parts, strict=True)
        return Growth(*(_sum(a, b) for a, b in pairs))

    __radd__ = __add__

    def __neg__(self) -> Growth:
        return Growth(*(None if p is None else (-p[0], p[1]) for p in self.parts))

    def __sub__(self, other: Any) -> Growth:
        return self.__add__(-_lift(other))

    def __rsub__(self, other: Any) -> Growth:
        return (-self).__add__(other)

    def __mul__(self, other: Any) -> Growth:
        (a0, a1, a2), (b0, b1, b2) = self.parts, _lift(other).parts
        first = _sum(_times(a1, b0), _times(a0, b1))
        mixed = _times(_times(a1, b1), (1, 1.0))
        return Growth(_times(a0, b0), first, _sum(_sum(_times(a2, b0), mixed), _times(a0, b2)))

    __rmul__ = __mul__


def _sum(a: Part, b: Part) -> Part:
    if a == _ZERO or b == _ZERO:
        return b if a == _ZERO else a
    if a is None or b is None or a[0] != b[0]:
        return None
    return a[0], max(a[1], b[1])


def _times(a: Part, b: Part) -> Part:
    if a == _ZERO or b == _ZERO:
        return _ZERO
    return None if a is None or b is None else (a[0] * b[0], a[1] + b[1])


def _lift(value: Any) -> Growth:
    if isinstance(value, Growth):
        return value
    number = ARB.number(value)
    if number == 0:
        return Growth(_ZERO, _ZERO, _ZERO)
    sign = 1 if number > 0 else -1 if number < 0 else 0
    size = float(number.abs_lower())
    known = sign and 0 < size < math.inf
    return Growth((sign, math.log2(size) - 2.0**-40) if known else None, _ZERO, _ZERO)


def _exp(a: Growth) -> Growth:
    a0, a1, a2 = a.parts
    e: Part = (1, _exponent(a0))
    return Growth(e, _times(e, a1), _times(e, _sum(_times(a1, a1), a2)))


def _exponent(a: Part) -> float:
    """A lower bound of log2 e^a."""
    if a is None or a[0] <= 0:
        return -math.inf if a is None or a[0] < 0 else 0.0
    return min(_LOG2_E * math.pow(2.0, min(a[1], 990.0)), _CAP)


def _expm1(a: Growth) -> Growth:
    sign, grown = a.parts[0], _exp(a).parts
    if sign is None:
        return Growth(None, *grown[1:])
    # e^a - 1 >= a, and >= e^a/2 from a = 1 on.
    size = max(_exponent(sign) - 1.0, sign[1]) if sign[0] > 0 else -math.inf
    return Growth(_ZERO if sign[0] == 0 else (sign[0], size), *grown[1:])


class GrowthField:
    """The field of `Growth`s; whatever it does not know is Unknown or None."""

    name = "growth"
    zero = arb(0)
    one = arb(1)
    nan = arb("nan")
    inf = arb("inf")

    @property
    def pi(self) -> arb:
        return arb.pi()

    @staticmethod
    def number(value: Any) -> Any:
        return value if isinstance(value, Growth) else ARB.number(value)

    @staticmethod
    def decimal(text: str) -> arb:
        return arb(text)

    @staticmethod
    def div(a: Any, b: Any) -> Any:
        if isinstance(b, Growth):
            return Growth(None, None, None)
        return a * (1 / b) if isinstance(a, Growth) else a / b

    @staticmethod
    def compare(a: Any, b: Any) -> int:
        """The sign of a - b. Raises Unknown where the signs of the two do not tell it."""
        if not isinstance(a, Growth) and not isinstance(b, Growth):
            return ARB.compare(a, b)
        difference = (_lift(a) - b).parts[0]
        if difference is None:
            raise Unknown
        sign: int = difference[0]
        return sign

    @staticmethod
    def union(a: Any, b: Any) -> Any:
        raise Unknown

    @staticmethod
    def meet(a: Any, b: Any) -> Any:
        raise Unknown

    @staticmethod
    def is_zero(a: Any) -> bool:
        return all(part == _ZERO for part in _lift(a).parts)

    @staticmethod
    def is_nan(a: Any) -> bool:
        return not isinstance(a, Growth) and bool(a.is_nan())

    @staticmethod
    def approx(a: Any) -> float:
        raise Unknown

    def __getattr__(self, name: str) -> Callable[[Any], Any]:
        known = {"exp": _exp, "expm1": _expm1}.get(name)

        def function(a: Any) -> Any:
            if not isinstance(a, Growth):
                return getattr(ARB, name)(a)
            return known(a) if known else Growth(None, None, None)

        return function


GROWTH: Final = GrowthField()


def grown_signs(
    formula: Callable[..., Any], mark: int, sign: int, exponent: int, order: int
) -> list[int] | None:
    """The signs of the value and `order` derivatives where all of them exceed 2^exponent from 2^mark on; else
    None.

    `sign` is that of the input, whose size may be anything from 2^mark on.
    """
    x = Growth((sign, float(mark)), (1, 0.0), _ZERO)
    try:
        found = _lift(formula(JetContext(GROWTH), x=Array(GROWTH, objects(x))).value[()])
    except Unknown:
        return None
    parts = found.parts[: order + 1]
    if any(p is None or p[0] == 0 or p[1] < exponent for p in parts):
        return None
    return [p[0] for p in parts if p is not None]
