"""Forward Taylor arithmetic: the same formulas over power series with ball coefficients, without a tape.

A `Jet` is a function of one variable t, known in two ways, each an `arb_series` of fixed length:

* `series`: its value and derivatives at t = 0;
* `ball`: for every k an enclosure of f^(k)(t)/k! over all t of an interval around 0, which a proven remainder
  needs.

Reference: Moore, Kearfott & Cloud 2009, "Introduction to Interval Analysis", chapter 9.  Numbers that do not
depend on t stay plain `arb`s: they cost a tenth, and the scalar field has sharper functions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from flint import arb, arb_series
from flint import ctx as _flint

from gradcheck_suite.formula.context import Context, Unsuited
from gradcheck_suite.formula.fields import ARB, UNDECIDED
from gradcheck_suite.formula.tape import Array


class NoJet(Unsuited):
    """The formula uses something without Taylor arithmetic; its points are evaluated one by one."""


class Jet:
    """A function of t as two `arb_series`, in a wrapper because numpy takes a bare one for a sequence of
    numbers.

    `span` is the ball of all t.  `sign` is 1 or -1 where the function has that sign throughout, 0 where that
    is not known: a ball that holds e^x for a wide range of x reaches below 0, though e^x does not.
    """

    __slots__ = ("ball", "series", "sign", "span")

    def __init__(self, series: arb_series, ball: arb_series, span: arb, sign: int = 0) -> None:
        self.series = series
        self.ball = ball
        self.span = span
        self.sign = sign

    def __add__(self, other: Any) -> Jet:
        sign = self.sign if self.sign and (sign_of(other) == self.sign or _is_nothing(other)) else 0
        if isinstance(other, Jet):
            return Jet(self.series + other.series, self.ball + other.ball, self.span, sign)
        return Jet(self.series + other, self.ball + other, self.span, sign)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Jet:
        return self.__add__(-other)

    def __rsub__(self, other: Any) -> Jet:
        return (-self).__add__(other)

    def __mul__(self, other: Any) -> Jet:
        sign = self.sign * sign_of(other)
        if isinstance(other, Jet):
            return Jet(self.series * other.series, self.ball * other.ball, self.span, sign)
        return Jet(self.series * other, self.ball * other, self.span, sign)

    __rmul__ = __mul__

    def __neg__(self) -> Jet:
        return Jet(-self.series, -self.ball, self.span, -self.sign)

    def __repr__(self) -> str:
        return f"Jet({self.series}; {self.ball})"


def sign_of(a: Any) -> int:
    """1 or -1 where a has that sign certainly, else 0."""
    if isinstance(a, Jet):
        return a.sign
    return 1 if a > 0 else -1 if a < 0 else 0


def _is_nothing(a: Any) -> bool:
    """Whether a is the constant 0, and not merely of unknown sign."""
    return not isinstance(a, Jet) and bool(a == 0)


def variable(centre: arb, scale: arb, radius: float = 0.0) -> Jet:
    """The input x = centre + scale*t for |x - centre| <= radius."""
    ball = arb(centre, radius)
    sign = 1 if ball > 0 else -1 if ball < 0 else 0
    return Jet(arb_series([centre, scale]), arb_series([ball, scale]), arb(0, radius) / scale, sign)


def coefficients(value: Any, length: int) -> tuple[list[arb], list[arb]]:
    """Taylor coefficients at t = 0, and their enclosures over all t, of a scalar of the field."""
    if isinstance(value, Jet):
        return _padded(value.series.coeffs(), length), _padded(value.ball.coeffs(), length)
    constant = _padded([value], length)
    return constant, constant


def _padded(known: list[arb], length: int) -> list[arb]:
    return known[:length] + [arb(0)] * (length - len(known))


# ---------------------------------------------------------------- functions


def _divide(a: Any, b: Jet) -> Jet:
    """a / b for b a jet; every coefficient undefined where b may be 0."""
    constant = not isinstance(a, Jet)
    series = _over(a if constant else a.series, b.series)
    centre = series[0]
    if constant or not centre.is_finite():
        return Jet(series, _over(a if constant else a.ball, b.ball), b.span, sign_of(a) * b.sign)
    # With q the quotient at the centre, a/b = q + (a - q b)/b, and the mean value theorem bounds the
    # numerator: in x/(1 + x) for large x a ball of the quotient itself would drown the difference of 1 that
    # the derivatives consist of.
    middle = centre.mid()
    rest = a.ball - middle * b.ball
    mean = (a.series[0] - middle * b.series[0]) + rest[1] * b.span
    if mean.is_finite() and mean.rad() < rest[0].rad():
        rest[0] = mean
    return Jet(series, middle + _over(rest, b.ball), b.span, a.sign * b.sign)


def _over(a: Any, b: arb_series) -> arb_series:
    if b[0] != 0:
        quotient: arb_series = a / b
        return quotient
    return arb_series([arb("nan")] * _flint.cap)


def _lifted(name: str, make: Callable[[Jet], Jet], sign: Callable[[Jet], int]) -> Callable[[Any], Any]:
    """A smooth function of a scalar of the field; values come from the sharp scalar function."""
    scalar = getattr(ARB, name)

    def function(a: Any) -> Any:
        if not isinstance(a, Jet):
            return scalar(a)
        found = make(a)
        # Compositions lose digits in the value itself: 1 - 2e/(1 + e) for tanh near 0, log of 1 + e for
        # log1p.
        found.series[0] = scalar(a.series[0])
        whole = scalar(a.ball[0])
        # The mean value theorem serves where the scalar function has no answer for a wide ball.
        found.ball[0] = whole if whole.is_finite() else found.series[0] + found.ball[1] * a.span
        return Jet(found.series, found.ball, found.span, sign(found) or sign(a))

    return function


def _each(function: Callable[[arb_series], arb_series]) -> Callable[[Jet], Jet]:
    """A function that python-flint has for series."""
    return lambda a: Jet(function(a.series), function(a.ball), a.span)


_exp = _each(arb_series.exp)
_log = _each(arb_series.log)


def _negative(a: Jet) -> bool:
    """The sign of the midpoint, which chooses between two forms that are both valid."""
    return bool(a.series[0].mid() < 0)


def _tanh(a: Jet) -> Jet:
    if _negative(a):
        return -_tanh(-a)
    e = _exp(-2 * a)
    return 1 - _divide(2 * e, 1 + e)


def _sech2(a: Jet) -> Jet:
    e = _exp(2 * a if _negative(a) else -2 * a)
    one = 1 + e
    return _divide(4 * e, one * one)


def _sigmoid(a: Jet) -> Jet:
    if _negative(a):
        e = _exp(a)
        return _divide(e, 1 + e)
    return _divide(arb(1), 1 + _exp(-a))


def _softplus(a: Jet) -> Jet:
    return _log(1 + _exp(a)) if _negative(a) else a + _log(1 + _exp(-a))


def _inverse(name: str, sign: int) -> Callable[[arb_series], arb_series]:
    """erfinv and erfcinv: y' = +-sqrt(pi)/2 exp(y^2) s' gives one more coefficient of y a round."""

    def series(s: arb_series) -> arb_series:
        y0, slope = getattr(ARB, name)(s[0]), s.derivative() * (sign * arb.pi().sqrt() / 2)
        y = arb_series([y0])
        for _ in range(_flint.cap - 1):
            y = ((y * y).exp() * slope).integral()
            y[0] = y0
        return y

    return series


def _integrated(slope: Callable[[arb_series], arb_series]) -> Callable[[Jet], Jet]:
    """A function by its derivative: the integral of slope(s) s'. The value is overwritten."""
    return _each(lambda s: (slope(s) * s.derivative()).integral())


def _sinh(a: Jet) -> Jet:
    return (_exp(a) - _exp(-a)) * (arb(1) / 2)


def _cosh(a: Jet) -> Jet:
    return (_exp(a) + _exp(-a)) * (arb(1) / 2)


def _polygamma(order: int) -> Callable[[arb_series], arb_series]:
    """psi^(m)(a) = (-1)^(m+1) m! zeta(m+1, a) for m >= 1 (NIST DLMF 25.11.12), here with m = k + order.

    psi itself is the scalar digamma; order -1 stands for the logarithm of Gamma.  The value is overwritten.
    """

    def coefficient(a: arb, k: int) -> arb:
        m = k + order
        if m == 0:
            # By the mean value theorem: flint gives up on wide balls.
            middle = a.mid()
            found: arb = middle.digamma() + _zeta(2, a) * (a - middle)
            return found
        # m!/k!
        weight = arb(math.perm(m, order)) if order >= 0 else arb(1) / k
        found = (-1) ** (m + 1) * weight * _zeta(m + 1, a)
        return found

    def series(s: arb_series) -> arb_series:
        return _compose([arb(0), *(coefficient(s[0], k) for k in range(1, _flint.cap))], s)

    return series


def _zeta(s: int, a: arb) -> arb:
    """The Hurwitz zeta function of s > 1 over a ball, by its ends: it falls with a > 0.

    For a wide ball flint takes its time, and finds nothing.
    """
    low, high = a.lower(), a.upper()
    if not low > 0:
        return arb("nan")
    found: arb = arb(s).zeta(low).union(arb(s).zeta(high))
    return found


def _compose(outer: Sequence[arb], s: arb_series) -> arb_series:
    """sum_k outer[k] (s - s_0)^k by Horner's rule."""
    step = s - s[0]
    total = arb_series([outer[-1]])
    for coefficient in reversed(outer[:-1]):
        total = total * step + coefficient
    return total


def _no_sign(a: Jet) -> int:
    return 0


def _positive(a: Jet) -> int:
    return 1


def _same_sign(a: Jet) -> int:
    return a.sign


_FUNCTIONS: dict[str, tuple[Callable[[Jet], Jet], Callable[[Jet], int]]] = {
    "exp": (_exp, _positive),
    "expm1": (_exp, _same_sign),
    "log": (_log, _no_sign),
    "log1p": (lambda a: _log(1 + a), _same_sign),
    "sqrt": (_each(arb_series.sqrt), _no_sign),
    "rsqrt": (_each(arb_series.rsqrt), _positive),
    "sinh": (_sinh, _same_sign),
    "cosh": (_cosh, _positive),
    "asinh": (_integrated(lambda s: (1 + s * s).rsqrt()), _same_sign),
    "acosh": (_integrated(lambda s: ((s - 1) * (s + 1)).rsqrt()), _no_sign),
    "atanh": (_integrated(lambda s: _over(arb(1), (1 - s) * (1 + s))), _same_sign),
    "tanh": (_tanh, _same_sign),
    "sech2": (_sech2, _positive),
    "sigmoid": (_sigmoid, _positive),
    "softplus": (_softplus, _positive),
    "erf": (_each(arb_series.erf), _same_sign),
    "erfc": (_each(arb_series.erfc), _positive),
    "gauss": (lambda a: _exp(-(a * a)), _positive),
    "sin": (_each(arb_series.sin), _no_sign),
    "cos": (_each(arb_series.cos), _no_sign),
    "tan": (_each(arb_series.tan), _no_sign),
    "asin": (_each(arb_series.asin), _same_sign),
    "acos": (_each(arb_series.acos), _no_sign),
    "atan": (_each(arb_series.atan), _same_sign),
    "lgamma": (_each(_polygamma(-1)), _no_sign),
    "digamma": (_each(_polygamma(0)), _no_sign),
    "trigamma": (_each(_polygamma(1)), _no_sign),
    **{f"psi{n}": (_each(_polygamma(n)), _no_sign) for n in (2, 3, 4, 5)},
    "erfinv": (_each(_inverse("erfinv", 1)), _same_sign),
    "erfcinv": (_each(_inverse("erfcinv", -1)), _no_sign),
    "sinc": (lambda a: _divide(_each(arb_series.sin_pi)(a), arb.pi() * a), _no_sign),
}


# ---------------------------------------------------------------- the field


class JetField:
    """The field of jets over arb balls; length and precision are those of the `precision` context."""

    name = "jets"
    zero = arb(0)
    one = arb(1)
    nan = arb("nan")
    inf = arb("inf")

    def __init__(self) -> None:
        for name, (make, sign) in _FUNCTIONS.items():
            setattr(self, name, _lifted(name, make, sign))

    @staticmethod
    @contextmanager
    def precision(bits: int, length: int) -> Iterator[None]:
        """Work with `length` coefficients of `bits` bits inside the block."""
        cap = _flint.cap
        _flint.cap = length
        try:
            with ARB.precision(bits):
                yield
        finally:
            _flint.cap = cap

    @property
    def pi(self) -> arb:
        return arb.pi()

    @staticmethod
    def number(value: Any) -> Any:
        return value if isinstance(value, Jet) else ARB.number(value)

    @staticmethod
    def decimal(text: str) -> arb:
        return arb(text)

    @staticmethod
    def div(a: Any, b: Any) -> Any:
        if isinstance(b, Jet):
            return _divide(a, b)
        # A ball around 0 makes every coefficient infinite, as it should.
        return a * (1 / b) if isinstance(a, Jet) else a / b

    @staticmethod
    def sign(a: Any) -> int:
        return JetField.compare(a, arb(0))

    @staticmethod
    def compare(a: Any, b: Any) -> int:
        """The sign of a - b for all t."""
        found = ARB.compare(_ball(a), _ball(b))
        if found == UNDECIDED:
            first, second = sign_of(a), sign_of(b)
            if first * second < 0 or (first and _is_nothing(b)) or (second and _is_nothing(a)):
                return first or -second
        return found

    @staticmethod
    def union(a: Any, b: Any) -> arb:
        """Nothing can be said across a kink: whoever meets an undecided comparison splits its interval."""
        return arb("nan")

    @staticmethod
    def meet(a: Any, b: Any) -> Any:
        """The jet itself: a polynomial has no narrower one."""
        return a

    @staticmethod
    def is_zero(a: Any) -> bool:
        return a.ball.length() == 0 if isinstance(a, Jet) else bool(a.is_zero())

    @staticmethod
    def is_nan(a: Any) -> bool:
        return bool(_ball(a).is_nan())

    @staticmethod
    def approx(a: Any) -> float:
        return ARB.approx(_ball(a))

    def __getattr__(self, name: str) -> Any:
        raise NoJet(f"no Taylor arithmetic for the function {name!r}")


def _ball(a: Any) -> arb:
    return a.ball[0] if isinstance(a, Jet) else a


class JetContext(Context):
    """The context of jets: refuses forms whose derivative is not that of their value, or is a set."""

    def stop(self, x: Array) -> Array:
        """Refused: the derivative of a straight-through form is not that of its value."""
        raise NoJet("m.stop has a value whose derivative is not the one wanted")

    def documented_max(self, x: Any, lo: Any) -> Array:
        """Refused: below a documented clamp the derivative is a set."""
        raise NoJet("m.documented_max has a set of derivatives where it holds")


JETS = JetField()

__all__ = ["JETS", "Jet", "JetContext", "JetField", "NoJet", "coefficients", "variable"]
