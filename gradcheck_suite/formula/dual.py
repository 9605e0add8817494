"""Dual numbers over any field: the value and one directional derivative (forward mode).

Running the reverse tape on dual scalars gives second derivatives, forward over reverse: the dual part of a gradient is
a Hessian-vector product.  Reference: Griewank & Walther 2008, "Evaluating Derivatives", chapter 5.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from gradcheck_suite.formula.fields import BESSEL_ORDERS, Field


class NoSecondDerivative(AttributeError):
    """A function of which only the first derivative is known."""


class Dual:
    """`v + d*eps` with eps^2 = 0; `v` and `d` are scalars of one field."""

    __slots__ = ("d", "v")

    def __init__(self, v: Any, d: Any) -> None:
        self.v = v
        self.d = d

    def __add__(self, other: Any) -> Dual:
        if isinstance(other, Dual):
            return Dual(self.v + other.v, self.d + other.d)
        return Dual(self.v + other, self.d)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Dual:
        if isinstance(other, Dual):
            return Dual(self.v - other.v, self.d - other.d)
        return Dual(self.v - other, self.d)

    def __rsub__(self, other: Any) -> Dual:
        return Dual(other - self.v, -self.d)

    def __neg__(self) -> Dual:
        return Dual(-self.v, -self.d)

    def __mul__(self, other: Any) -> Dual:
        if isinstance(other, Dual):
            return Dual(self.v * other.v, self.v * other.d + self.d * other.v)
        return Dual(self.v * other, self.d * other)

    __rmul__ = __mul__

    def __repr__(self) -> str:
        return f"Dual({self.v}, {self.d})"


# The derivative of each smooth function, written over a field and a scalar of it; `y` is the function's value.
DERIVATIVES: dict[str, Callable[[Any, Any, Any], Any]] = {
    "floor": lambda f, x, y: f.zero,
    "exp": lambda f, x, y: y,
    "expm1": lambda f, x, y: f.exp(x),
    # At the end of the domain the derivative is infinite, from the one side that there is.
    "log": lambda f, x, y: f.inf if f.is_zero(x) else f.div(f.one, x),
    "log1p": lambda f, x, y: f.inf if f.is_zero(1 + x) else f.div(f.one, 1 + x),
    "sqrt": lambda f, x, y: f.div(f.one, 2 * y),
    "rsqrt": lambda f, x, y: f.div(y, -2 * x),
    "sinh": lambda f, x, y: f.cosh(x),
    "cosh": lambda f, x, y: f.sinh(x),
    "asin": lambda f, x, y: _inverse_root(f, _one_less_square(f, x)),
    "acos": lambda f, x, y: -_inverse_root(f, _one_less_square(f, x)),
    "atan": lambda f, x, y: f.div(f.one, 1 + x * x),
    "tan": lambda f, x, y: 1 + y * y,
    "asinh": lambda f, x, y: _inverse_root(f, 1 + x * x),
    "acosh": lambda f, x, y: _inverse_root(f, (x - 1) * (x + 1)),
    "atanh": lambda f, x, y: _inverse(f, _one_less_square(f, x)),
    "tanh": lambda f, x, y: f.sech2(x),
    "sech2": lambda f, x, y: -2 * (f.tanh(x) * y),
    "sigmoid": lambda f, x, y: y * f.sigmoid(-x),
    "softplus": lambda f, x, y: f.sigmoid(x),
    "erf": lambda f, x, y: f.gauss(x) * f.div(f.number(2), f.sqrt(f.pi)),
    "erfc": lambda f, x, y: f.gauss(x) * f.div(f.number(-2), f.sqrt(f.pi)),
    "gauss": lambda f, x, y: -2 * (x * y),
    "sin": lambda f, x, y: f.cos(x),
    "cos": lambda f, x, y: -f.sin(x),
    "lgamma": lambda f, x, y: f.digamma(x),
    "digamma": lambda f, x, y: f.trigamma(x),
    "trigamma": lambda f, x, y: f.psi2(x),
    "psi2": lambda f, x, y: f.psi3(x),
    "psi3": lambda f, x, y: f.psi4(x),
    "psi4": lambda f, x, y: f.psi5(x),
    "erfinv": lambda f, x, y: f.div(f.sqrt(f.pi), 2 * f.gauss(y)),
    "erfcinv": lambda f, x, y: f.div(f.sqrt(f.pi), -2 * f.gauss(y)),
    "erfcx": lambda f, x, y: f.erfcx1(x),
    "erfcx1": lambda f, x, y: f.erfcx2(x),
    "sinc": lambda f, x, y: f.sinc1(x),
    "sinc1": lambda f, x, y: f.sinc2(x),
}


def _one_less_square(f: Any, x: Any) -> Any:
    """1 - x^2: as a product near the ends of the domain; near 0 the derivative of that one would cancel."""
    square = x * x
    return 1 - square if f.compare(f.one, 4 * square) == 1 else (1 - x) * (1 + x)


def _inverse(f: Any, x: Any) -> Any:
    return f.inf if f.is_zero(x) else f.div(f.one, x)


def _inverse_root(f: Any, square: Any) -> Any:
    return f.inf if f.is_zero(square) else f.rsqrt(square)


def _bessel(order: int, scaled: str) -> Callable[[Any, Any, Any], Any]:
    """I_n' = (I_(n-1) + I_(n+1))/2 (NIST DLMF 10.29.1), less I_n itself under the factor e^-x."""
    names = [f"bessel_i{abs(k)}{scaled}" for k in (order - 1, order + 1)]

    def derivative(f: Any, x: Any, y: Any) -> Any:
        below, above = (getattr(f, name)(x) for name in names)
        slope = f.div(below + above, f.number(2))
        return slope - y if scaled else slope

    return derivative


DERIVATIVES |= {
    f"bessel_i{n}{scaled}": _bessel(n, scaled) for n in range(BESSEL_ORDERS) for scaled in ("", "e")
}


class DualField:
    """The field of dual numbers over `base`."""

    def __init__(self, base: Field) -> None:
        self.base = base
        self.name = base.name
        self.zero = self.number(0)
        self.one = self.number(1)
        self.nan = Dual(base.nan, base.nan)
        self.inf = Dual(base.inf, base.zero)
        for name, derivative in DERIVATIVES.items():
            setattr(self, name, self._lift(getattr(base, name), derivative))

    def _lift(self, function: Callable[[Any], Any], derivative: Callable[[Any, Any, Any], Any]) -> Any:
        base = self.base

        def lifted(a: Dual) -> Dual:
            y = function(a.v)
            if base.is_zero(a.d):
                # A constant stays constant, even where the derivative is infinite (log at 0).
                return Dual(y, base.zero)
            return Dual(y, derivative(base, a.v, y) * a.d)

        return lifted

    @property
    def pi(self) -> Dual:
        return Dual(self.base.pi, self.base.zero)

    def number(self, value: Any) -> Dual:
        """The constant `value`; a Dual passes through."""
        return value if isinstance(value, Dual) else Dual(self.base.number(value), self.base.zero)

    def decimal(self, text: str) -> Dual:
        return Dual(self.base.decimal(text), self.base.zero)

    def div(self, a: Any, b: Any) -> Dual:
        a, b = self.number(a), self.number(b)
        q = self.base.div(a.v, b.v)
        return Dual(q, self.base.div(a.d - q * b.d, b.v))

    def atan2(self, b: Dual, a: Dual) -> Dual:
        slope = self.base.div(a.v * b.d - b.v * a.d, a.v * a.v + b.v * b.v)
        constant = self.base.is_zero(a.d) and self.base.is_zero(b.d)
        return Dual(self.base.atan2(b.v, a.v), self.base.zero if constant else slope)

    def sign(self, a: Dual) -> int:
        return self.base.sign(a.v)

    def compare(self, a: Any, b: Any) -> int:
        return self.base.compare(self.number(a).v, self.number(b).v)

    def union(self, a: Dual, b: Dual) -> Dual:
        return Dual(self.base.union(a.v, b.v), self.base.union(a.d, b.d))

    def meet(self, a: Dual, b: Dual) -> Dual:
        return Dual(self.base.meet(a.v, b.v), a.d)

    def is_zero(self, a: Dual) -> bool:
        return self.base.is_zero(a.v) and self.base.is_zero(a.d)

    def is_nan(self, a: Dual) -> bool:
        return self.base.is_nan(a.v) or self.base.is_nan(a.d)

    def approx(self, a: Dual) -> float:
        return self.base.approx(a.v)

    def __getattr__(self, name: str) -> Any:
        raise NoSecondDerivative(f"no function {name!r} with a known second derivative")


@cache
def dual_over(base: Field) -> DualField:
    """The one field of dual numbers over `base`."""
    return DualField(base)
