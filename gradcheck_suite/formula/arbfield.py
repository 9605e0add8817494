"""Balls of arb, from python-flint, as a field: the arithmetic that certifies what it computes."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from flint import arb
from flint import ctx as _flint

from gradcheck_suite.formula.fields import BESSEL_ORDERS, UNDECIDED, cotangent_slope


class ArbField:
    """Rigorous ball arithmetic (Johansson 2017, "Arb: efficient arbitrary-precision midpoint-radius interval
    arithmetic"); the working precision is the caller's `precision(bits)` context."""

    name = "arb"
    zero = arb(0)
    one = arb(1)
    nan = arb("nan")
    inf = arb("inf")

    @staticmethod
    @contextmanager
    def precision(bits: int) -> Iterator[None]:
        """Work at `bits` bits inside the block."""
        before = _flint.prec
        _flint.prec = bits
        try:
            yield
        finally:
            _flint.prec = before

    @property
    def pi(self) -> arb:
        return arb.pi()

    @staticmethod
    def number(value: Any) -> arb:
        """The exact value of an int, a float (as binary64) or an arb; infinities and NaN included."""
        return value if type(value) is arb else arb(value)

    @staticmethod
    def decimal(text: str) -> arb:
        return arb(text)

    @staticmethod
    def div(a: arb, b: arb) -> arb:
        return a / b

    @staticmethod
    def sign(a: arb) -> int:
        if a > 0:
            return 1
        if a < 0:
            return -1
        return 0 if a == 0 else UNDECIDED

    @staticmethod
    def compare(a: arb, b: arb) -> int:
        if a > b:
            return 1
        if a < b:
            return -1
        return 0 if a == b else UNDECIDED

    @staticmethod
    def union(a: arb, b: arb) -> arb:
        return a.union(b)

    @staticmethod
    def meet(a: arb, b: arb) -> arb:
        """A number in both balls; NaN stays."""
        return a.intersection(b) if a.is_finite() and b.is_finite() and a.overlaps(b) else a

    @staticmethod
    def is_zero(a: arb) -> bool:
        return bool(a.is_zero())

    @staticmethod
    def is_nan(a: arb) -> bool:
        return bool(a.is_nan())

    @staticmethod
    def approx(a: arb) -> float:
        """A binary64 number near the midpoint; for choosing shifts and signs, never for a verdict."""
        return float(a.mid())

    @staticmethod
    def centre(a: arb) -> arb:
        """The exact number in the middle of the ball."""
        return a.mid()

    floor = staticmethod(arb.floor)
    exp = staticmethod(arb.exp)
    expm1 = staticmethod(arb.expm1)
    sqrt = staticmethod(arb.sqrt)
    erf = staticmethod(arb.erf)
    erfc = staticmethod(arb.erfc)
    sin = staticmethod(arb.sin)
    cos = staticmethod(arb.cos)
    tan = staticmethod(arb.tan)
    asin = staticmethod(arb.asin)
    acos = staticmethod(arb.acos)
    atan = staticmethod(arb.atan)
    atan2 = staticmethod(arb.atan2)
    asinh = staticmethod(arb.asinh)
    acosh = staticmethod(arb.acosh)

    @staticmethod
    def tanh(a: arb) -> arb:
        return a.tanh() if a.is_finite() else arb(1 if a > 0 else -1) if a == a else arb("nan")

    def __init__(self) -> None:
        for n, name in enumerate(("trigamma", "psi2", "psi3", "psi4", "psi5"), 1):
            setattr(self, name, _psi(n))
        for n in range(BESSEL_ORDERS + 1):
            setattr(self, f"bessel_i{n}", _bessel(n, scaled=False))
            setattr(self, f"bessel_i{n}e", _bessel(n, scaled=True))

    @staticmethod
    def sinh(a: arb) -> arb:
        # By exponentials where those are far apart, for flint's sinh gives up on huge numbers.
        if abs(a) > 2:
            e = abs(a).exp() / 2
            size = e - 1 / (4 * e) if e.is_finite() else e
            return size if a > 0 else -size
        return a.sinh()

    @staticmethod
    def cosh(a: arb) -> arb:
        if abs(a) > 2:
            e = abs(a).exp() / 2
            return e + 1 / (4 * e) if e.is_finite() else e
        return a.cosh()

    @staticmethod
    def rsqrt(a: arb) -> arb:
        return arb("inf") if a.is_zero() else a.rsqrt()

    @staticmethod
    def atanh(a: arb) -> arb:
        if a == 1 or a == -1:
            return arb("inf") if a > 0 else arb("-inf")
        return a.atanh()

    @staticmethod
    def digamma(a: arb) -> arb:
        # What has no value is asked for at every precision, where flint works it out in full.
        return arb("nan") if a <= 0 and a.is_integer() else a.digamma()

    @staticmethod
    def lgamma(a: arb) -> arb:
        if a < 0:
            if a.is_integer():
                return arb("nan")
            # log|Gamma(a)| by reflection (NIST DLMF 5.5.3).
            return (arb.pi() / abs(a.sin_pi())).log() - (1 - a).lgamma()
        return a.lgamma()

    @staticmethod
    def log(a: arb) -> arb:
        return arb("-inf") if a.is_zero() else a.log()

    @staticmethod
    def log1p(a: arb) -> arb:
        return arb("-inf") if a == -1 else a.log1p()

    @staticmethod
    def sech2(a: arb) -> arb:
        # 1 - tanh^2 loses 2|x|/ln 2 bits; this form loses none.
        s = a.sech()
        return s * s

    @staticmethod
    def sigmoid(a: arb) -> arb:
        if a < 0:
            e = a.exp()
            return e / (1 + e)
        return 1 / (1 + (-a).exp())

    @staticmethod
    def softplus(a: arb) -> arb:
        if a > 0:
            return a + (-a).exp().log1p()
        return a.exp().log1p()

    @staticmethod
    def gauss(a: arb) -> arb:
        return (-(a * a)).exp()

    @staticmethod
    def erfinv(a: arb) -> arb:
        if a == 1 or a == -1:
            return arb("inf") if a > 0 else arb("-inf")
        return a.erfinv() if abs(a) < 1 else arb("nan")

    @staticmethod
    def erfcinv(a: arb) -> arb:
        if a == 0 or a == 2:
            return arb("inf") if a == 0 else arb("-inf")
        return a.erfcinv() if a > 0 and a < 2 else arb("nan")

    @staticmethod
    def erfcx(a: arb) -> arb:
        return _erfcx(a, 0)

    @staticmethod
    def erfcx1(a: arb) -> arb:
        return _erfcx(a, 1)

    @staticmethod
    def erfcx2(a: arb) -> arb:
        return _erfcx(a, 2)

    @staticmethod
    def sinc(a: arb) -> arb:
        return a.sinc_pi()

    @staticmethod
    def sinc1(a: arb) -> arb:
        if abs(a) < _SERIES_BELOW:
            return _sinc_series(a, 1)
        return (a.cos_pi() - a.sinc_pi()) / a

    @classmethod
    def sinc2(cls, a: arb) -> arb:
        if abs(a) < _SERIES_BELOW:
            return _sinc_series(a, 2)
        return -(arb.pi() ** 2) * a.sinc_pi() - 2 * cls.sinc1(a) / a


def _psi(order: int) -> Callable[[arb], Any]:
    """psi^(m)(a) = (-1)^(m+1) m! zeta(m+1, a) for m >= 1 and a > 0 (NIST DLMF 25.11.12).

    By reflection for a < 0: (-1)^m psi^(m)(1-a) - psi^(m)(a) is the m-th derivative of pi cot(pi a) (5.15.6).
    """
    sign, factor = (-1) ** order, -((-1) ** order) * math.factorial(order)
    coefficients = cotangent_slope(order)

    def psi(a: arb) -> Any:
        if a <= 0 and a.is_integer():
            return arb("nan")
        tail = factor * arb(order + 1).zeta(1 - a if a < 0 else a)
        if not a < 0:
            return tail
        c = a.cot_pi()
        slope = sum((k * c**i for i, k in enumerate(coefficients)), arb(0)) * arb.pi() ** (order + 1)
        return sign * tail - slope

    return psi


def _bessel(order: int, *, scaled: bool) -> Callable[[arb], arb]:
    n = arb(order)

    def bessel(a: arb) -> arb:
        value: arb = a.bessel_i(n, scaled=scaled)
        return value

    return bessel


_HALF = arb(1) / 2
_SERIES_FROM = 256


def _erfcx(a: arb, order: int) -> arb:
    """A derivative of f(x) = e^(x^2) erfc x, of order 0, 1 or 2.

    f(x) = U(1/2, 1/2, x^2)/sqrt(pi) (NIST DLMF 7.11.5, 13.6.8), whose derivatives follow by dU(a, b, z)/dz =
    -a U(a+1, b+1, z) (13.3.22), loses no digits and is fast where x is large.  Elsewhere derivatives follow by
    f' = 2x f - 2/sqrt(pi), which loses some; as many more are spent on it.
    """
    if a > _SERIES_FROM:
        z, root = a * a, arb.pi().sqrt()
        u = [z.hypgeom_u(k * _HALF, k * _HALF) for k in ((1,), (3,), (3, 5))[order]]
        return (u[0], -a * u[0], 3 * z * u[-1] - u[0])[order] / root
    if not a > 1:
        return _by_recurrence(a, order)
    centre, before = a.mid(), _flint.prec
    _flint.prec = before + 16 + (2 + 2 * order) * (math.frexp(float(centre))[1] + 1)
    try:
        value = _by_recurrence(centre, order)
    finally:
        _flint.prec = before
    # f is 2/sqrt(pi) times the integral of e^(-t^2 - 2xt) over t > 0 (7.7.1): without the t^2 that bounds the
    # derivative of order k by k!/(sqrt(pi) x^(k+1)).
    slope = math.factorial(order + 1) / (arb.pi().sqrt() * a.lower() ** (order + 2))
    return +value + arb(0, (slope * a.rad()).upper())


def _by_recurrence(a: arb, order: int) -> arb:
    f = (a * a).exp() * a.erfc()
    slope = 2 / arb.pi().sqrt()
    first = 2 * a * f - slope
    return (f, first, 2 * f + 2 * a * first)[order]


# Below this the closed forms of the derivatives of sin(pi x)/(pi x) cancel.
_SERIES_BELOW = arb(1) / 8


def _sinc_series(a: arb, order: int) -> arb:
    """The derivative of sum_n (-1)^n (pi a)^(2n) / (2n+1)!, by Horner's rule; |a| < 1/8.

    The terms alternate and fall by more than two thirds each, so that the first one left out bounds the rest.
    """
    angle = arb.pi() * a
    t = angle * angle
    most = abs(t).upper()
    binade = math.frexp(float(most))[1] if float(most) else -_flint.prec
    weights, bits = _sinc_weights(order, _flint.prec)
    last = next((n for n, lost in enumerate(bits) if lost - n * binade > _flint.prec + 10), len(bits) - 1)
    total = arb(0)
    for weight in weights[last - 1 :: -1]:
        total = total * t + weight
    total += arb(0, abs(weights[last] * most**last).upper())
    return arb.pi() ** 2 * (total * a if order == 1 else total)


@functools.lru_cache(maxsize=64)
def _sinc_weights(order: int, precision: int) -> tuple[list[arb], list[float]]:
    """The coefficients of the series in (pi a)^2, as many as a precision can ask for, and by how many bits each is
    smaller than the first.
    """
    weights: list[arb] = []
    bits: list[float] = []
    factorial, n = 6, 1
    while not bits or bits[-1] + 2 * len(bits) < precision + 16:
        weight = arb(2 * n if order == 1 else 2 * n * (2 * n - 1)) / factorial
        weights.append(-weight if n % 2 else weight)
        bits.append(math.log2(1 / 3) - float(abs(weight).log() / arb(2).log()))
        factorial *= (2 * n + 2) * (2 * n + 3)
        n += 1
    return weights, bits
