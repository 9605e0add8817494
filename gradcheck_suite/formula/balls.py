"""The balls that everything computes with: those of python-flint, or where it is missing numbers of mpmath.

The numbers have just that part of the interface of balls which judging point by point needs, and no radius:
whatever rests on them is uncertified, and labelled so (see `arithmetic`).  Series of balls, and with them
Taylor covers and sweeps, exist only with python-flint.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import mpmath
from mpmath.libmp import from_float, from_man_exp, mpf_neg

# More accurate than any format asks for.
_EXACT_BITS: Final = 2**30
_BINARY64_LIMIT: Final = mpmath.mpf(2) ** 1024


class _Number:
    """An mpmath number with the interface of a ball of radius 0; operations round to mpmath's precision.

    It is made of an int, a float, a pair (man, exp), an mpf or one of its own kind, exactly, or of the text
    of a special value.
    """

    __slots__ = ("number",)

    def __init__(self, value: Any = 0) -> None:
        self.number: Any = _exact(value)

    def __add__(self, other: Any) -> _Number:
        return _Number(self.number + _plain(other))

    __radd__ = __add__

    def __sub__(self, other: Any) -> _Number:
        return _Number(self.number - _plain(other))

    def __rsub__(self, other: Any) -> _Number:
        return _Number(_plain(other) - self.number)

    def __mul__(self, other: Any) -> _Number:
        return _Number(self.number * _plain(other))

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> _Number:
        divisor = _plain(other)
        return _Number(self.number / divisor if divisor else mpmath.nan)

    def __rtruediv__(self, other: Any) -> _Number:
        return _Number(other) / self

    def __pow__(self, power: Any) -> _Number:
        return _Number(self.number ** _plain(power))

    def __neg__(self) -> _Number:
        return _Number(_negated(self.number))

    def __abs__(self) -> _Number:
        return -self if self.number < 0 else self

    def __float__(self) -> float:
        # There mpmath raises the flag of an overflow, which numpy warns of.
        if self.is_finite() and abs(self.number) >= _BINARY64_LIMIT:
            return math.inf if self.number > 0 else -math.inf
        return float(self.number)

    def __eq__(self, other: object) -> bool:
        return bool(self.number == _plain(other))

    __hash__ = None  # type: ignore[assignment]

    def __lt__(self, other: Any) -> bool:
        return bool(self.number < _plain(other))

    def __le__(self, other: Any) -> bool:
        return bool(self.number <= _plain(other))

    def __gt__(self, other: Any) -> bool:
        return bool(self.number > _plain(other))

    def __ge__(self, other: Any) -> bool:
        return bool(self.number >= _plain(other))

    def __repr__(self) -> str:
        return repr(self.number)

    def is_finite(self) -> bool:
        return bool(mpmath.isfinite(self.number))

    def is_nan(self) -> bool:
        return bool(mpmath.isnan(self.number))

    def is_zero(self) -> bool:
        return bool(self.number == 0)

    def is_exact(self) -> bool:
        return True

    def contains(self, value: Any) -> bool:
        return bool(self == value)

    def rel_accuracy_bits(self) -> int:
        return _EXACT_BITS if self.is_finite() else -_EXACT_BITS

    def man_exp(self) -> tuple[int, int]:
        sign, man, exp, _ = self.number._mpf_
        return (-int(man) if sign else int(man)), int(exp)

    def mid(self) -> _Number:
        return self

    def rad(self) -> _Number:
        return _Number(0)

    def upper(self) -> _Number:
        return self

    def abs_lower(self) -> _Number:
        return abs(self)


def _exact(value: Any) -> Any:
    """The value as an mpmath number; mpf() would round it to the present precision."""
    if isinstance(value, _Number):
        return value.number
    if isinstance(value, mpmath.mpf):
        return value
    if isinstance(value, tuple):
        return mpmath.mp.make_mpf(from_man_exp(int(value[0]), int(value[1])))
    if isinstance(value, int):
        return mpmath.mp.make_mpf(from_man_exp(value, 0))
    return mpmath.mp.make_mpf(from_float(float(value)))


def _negated(number: Any) -> Any:
    """-number without rounding: mpmath rounds even a change of sign to its present precision."""
    return mpmath.mp.make_mpf(mpf_neg(number._mpf_))


def _plain(other: Any) -> Any:
    return other.number if isinstance(other, _Number) else _Number(other).number


if TYPE_CHECKING:
    from flint import arb as arb
else:
    try:
        from flint import arb
    except ImportError:
        arb = _Number

CERTIFIED: Final[bool] = not issubclass(arb, _Number)
"""Whether there are balls, and not only numbers in their place."""
