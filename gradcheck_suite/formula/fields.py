"""Scalar arithmetics in which a formula can be evaluated: arb balls and mpmath numbers.

A *field* supplies scalar constructors, comparisons and the smooth one-argument functions.  Everything above
it (`tape`, `context`) is written once against this interface, so the two arithmetics share no numerical code.

Every field works in extended reals: log 0 = -inf, exp(-inf) = 0.  A result that does not exist is `nan`; a
field never raises for a numerical reason, because the branch of a `where` that is not selected is evaluated
too.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import mpmath

from gradcheck_suite.formula.balls import CERTIFIED, arb

if TYPE_CHECKING:
    from gradcheck_suite.formula.arbfield import ArbField

# exp(+-2^64) is outside every format by a factor of 2^(2^64), which no product of format numbers brings back;
# mpmath would take milliseconds for the exponential of a large float64 and seconds for that of 2^5000.
_EXP_LIMIT = mpmath.mpf(2) ** 64
_FAR_EXP_LIMIT = mpmath.mpf(2) ** 1100
_HALF = mpmath.mpf(1) / 2
# erfc(2^60) < 2^-(2^119): no format, and no bound used here, can tell it from 0.  mpmath raises OverflowError
# there.
_ERFC_LIMIT = mpmath.mpf(2) ** 60

BESSEL_ORDERS = 5
"""Orders of modified Bessel functions that have a derivative; one more has values."""

SMOOTH = (
    "exp",
    "expm1",
    "log",
    "log1p",
    "sqrt",
    "rsqrt",
    "sinh",
    "cosh",
    "asinh",
    "acosh",
    "atanh",
    "tanh",
    "sech2",
    "sigmoid",
    "softplus",
    "erf",
    "erfc",
    "gauss",
    "sin",
    "cos",
    "tan",
    "asin",
    "acos",
    "atan",
    "lgamma",
    "digamma",
    "trigamma",
    "psi2",
    "psi3",
    "psi4",
    "psi5",
    "erfinv",
    "erfcinv",
    "erfcx",
    "erfcx1",
    "erfcx2",
    "sinc",
    "sinc1",
    "sinc2",
    *(f"bessel_i{n}{scaled}" for n in range(BESSEL_ORDERS + 1) for scaled in ("", "e")),
)


class Field(Protocol):
    """What `tape` and `context` need from a scalar arithmetic; scalars are opaque objects with + - * and
    unary -.
    """

    name: str
    zero: Any
    one: Any
    nan: Any
    inf: Any

    @property
    def pi(self) -> Any: ...
    def number(self, value: Any) -> Any: ...
    def decimal(self, text: str) -> Any: ...
    def div(self, a: Any, b: Any) -> Any: ...
    def sign(self, a: Any) -> int: ...
    def compare(self, a: Any, b: Any) -> int: ...
    def union(self, a: Any, b: Any) -> Any: ...
    def meet(self, a: Any, b: Any) -> Any: ...
    def is_zero(self, a: Any) -> bool: ...
    def is_nan(self, a: Any) -> bool: ...
    def approx(self, a: Any) -> float: ...
    def __getattr__(self, name: str) -> Any: ...


UNDECIDED = 2
"""What `sign` and `compare` return when a ball straddles the boundary."""


class MpField:
    """mpmath's floating point at the precision of the caller's `precision(bits)` context; states no error
    bound.
    """

    name = "mpmath"
    zero = mpmath.mpf(0)
    one = mpmath.mpf(1)
    nan = mpmath.mpf("nan")
    inf = mpmath.mpf("inf")

    @staticmethod
    @contextmanager
    def precision(bits: int) -> Iterator[None]:
        """Work at `bits` bits inside the block."""
        with mpmath.workprec(bits):
            yield

    @property
    def pi(self) -> Any:
        return +mpmath.pi

    @staticmethod
    def number(value: Any) -> Any:
        """The exact value of an int, a float (as binary64), a dyadic pair or an mpf, and the midpoint of a
        ball.
        """
        if isinstance(value, arb):
            return mpmath.mpf(_dyadic(value)) if value.is_finite() else mpmath.mpf(float(value.mid()))
        return mpmath.mpf(value)

    @staticmethod
    def decimal(text: str) -> Any:
        return mpmath.mpf(text)

    @staticmethod
    def div(a: Any, b: Any) -> Any:
        return a / b if b else mpmath.mpf("nan")

    @staticmethod
    def sign(a: Any) -> int:
        if a == 0:
            return 0
        return 1 if a > 0 else -1 if a < 0 else UNDECIDED

    @staticmethod
    def compare(a: Any, b: Any) -> int:
        if a == b:
            return 0
        return 1 if a > b else -1 if a < b else UNDECIDED

    @staticmethod
    def union(a: Any, b: Any) -> Any:
        return mpmath.mpf("nan")

    @staticmethod
    def meet(a: Any, b: Any) -> Any:
        """The number itself, which has no radius."""
        return a

    @staticmethod
    def is_zero(a: Any) -> bool:
        return bool(a == 0)

    @staticmethod
    def is_nan(a: Any) -> bool:
        return bool(mpmath.isnan(a))

    @staticmethod
    def approx(a: Any) -> float:
        return float(a)

    @staticmethod
    def centre(a: Any) -> Any:
        """The number itself."""
        return a

    @staticmethod
    def floor(a: Any) -> Any:
        """The largest integer that is not above a."""
        return mpmath.floor(a)

    exp_limit = _EXP_LIMIT
    """Beyond it an exponential is that of the limit."""

    @classmethod
    @contextmanager
    def far_exponentials(cls) -> Iterator[None]:
        """Tell exponentials apart as far as float64 reaches: log(e^x + e^y) is x or y again."""
        before, cls.exp_limit = cls.exp_limit, _FAR_EXP_LIMIT
        try:
            yield
        finally:
            cls.exp_limit = before

    @classmethod
    def exp(cls, a: Any) -> Any:
        if abs(a) > cls.exp_limit and not mpmath.isinf(a):
            a = cls.exp_limit if a > 0 else -cls.exp_limit
        if not mpmath.isfinite(a) or abs(a) <= _EXP_LIMIT:
            return _exponential(a._mpf_, mpmath.mp.prec)
        # Of a large whole number mpmath raises e to a power, fifty times as slowly as it takes e^(a + 1/2).
        with mpmath.extraprec(mpmath.mag(a) + 32):
            return mpmath.exp(a + _HALF) / mpmath.exp(_HALF)

    @classmethod
    def expm1(cls, a: Any) -> Any:
        return cls.exp(a) - 1 if abs(a) > 1 else mpmath.expm1(a)

    @staticmethod
    def log(a: Any) -> Any:
        if a < 0:
            return mpmath.mpf("nan")
        return mpmath.log(a) if a else mpmath.mpf("-inf")

    @classmethod
    def log1p(cls, a: Any) -> Any:
        if a == -1:
            return mpmath.mpf("-inf")
        return mpmath.log1p(a) if a > -1 else mpmath.mpf("nan")

    @staticmethod
    def sqrt(a: Any) -> Any:
        return mpmath.sqrt(a) if a >= 0 else mpmath.mpf("nan")

    @staticmethod
    def rsqrt(a: Any) -> Any:
        if not a:
            return mpmath.inf
        return 1 / mpmath.sqrt(a) if a > 0 else mpmath.mpf("nan")

    tanh = staticmethod(mpmath.tanh)
    sin = staticmethod(mpmath.sin)
    cos = staticmethod(mpmath.cos)
    tan = staticmethod(mpmath.tan)
    atan = staticmethod(mpmath.atan)
    atan2 = staticmethod(mpmath.atan2)

    @classmethod
    def sinh(cls, a: Any) -> Any:
        return (cls.exp(a) - cls.exp(-a)) / 2 if abs(a) > 1 else mpmath.sinh(a)

    @classmethod
    def cosh(cls, a: Any) -> Any:
        return (cls.exp(a) + cls.exp(-a)) / 2

    @staticmethod
    def asin(a: Any) -> Any:
        return mpmath.asin(a) if abs(a) <= 1 else mpmath.mpf("nan")

    @staticmethod
    def acos(a: Any) -> Any:
        return mpmath.acos(a) if abs(a) <= 1 else mpmath.mpf("nan")

    asinh = staticmethod(mpmath.asinh)

    @staticmethod
    def acosh(a: Any) -> Any:
        return mpmath.acosh(a) if a >= 1 else mpmath.mpf("nan")

    @staticmethod
    def atanh(a: Any) -> Any:
        if abs(a) >= 1:
            return a * mpmath.inf if abs(a) == 1 else mpmath.mpf("nan")
        return mpmath.atanh(a)

    @staticmethod
    def lgamma(a: Any) -> Any:
        if a > 0:
            return mpmath.loggamma(a)
        if a != a or a == mpmath.floor(a):
            return mpmath.mpf("nan")
        return mpmath.log(mpmath.pi / abs(mpmath.sinpi(a))) - mpmath.loggamma(1 - a)

    def __init__(self) -> None:
        for n, name in enumerate(("digamma", "trigamma", "psi2", "psi3", "psi4", "psi5")):
            setattr(self, name, _psi(n))
        for n in range(BESSEL_ORDERS + 1):
            setattr(self, f"bessel_i{n}", lambda a, n=n: self.exp(abs(a)) * _bessel_scaled(n, a))
            setattr(self, f"bessel_i{n}e", lambda a, n=n: self._bessel_falling(n, a))
        # What looks for the size of a number, or for the end of a series, finds none in NaN.
        for name in SMOOTH:
            setattr(self, name, _of_numbers(getattr(self, name)))

    @classmethod
    def _bessel_falling(cls, order: int, a: Any) -> Any:
        """e^-a I_n(a)."""
        scaled = _bessel_scaled(order, a)
        return scaled if a >= 0 else scaled * cls.exp(-2 * a)

    @classmethod
    def sech2(cls, a: Any) -> Any:
        e = cls.exp(-2 * abs(a))
        return 4 * e / (1 + e) ** 2

    @classmethod
    def sigmoid(cls, a: Any) -> Any:
        return 1 / (1 + cls.exp(-a))

    @classmethod
    def softplus(cls, a: Any) -> Any:
        return mpmath.log1p(cls.exp(a)) if a <= 0 else a + mpmath.log1p(cls.exp(-a))

    @staticmethod
    def erf(a: Any) -> Any:
        return mpmath.erf(a) if abs(a) < _ERFC_LIMIT else mpmath.sign(a)

    @staticmethod
    def erfc(a: Any) -> Any:
        if a > _ERFC_LIMIT:
            return mpmath.mpf(0)
        return mpmath.erfc(a) if a > -_ERFC_LIMIT else mpmath.mpf(2)

    @classmethod
    def gauss(cls, a: Any) -> Any:
        return cls.exp(-(a * a))

    @staticmethod
    def erfinv(a: Any) -> Any:
        if abs(a) >= 1:
            return mpmath.mpf("nan") if abs(a) > 1 else a * mpmath.inf
        return _inverse_erf(a) if abs(a) <= 0.5 else mpmath.sign(a) * _inverse_erfc(1 - abs(a))

    @classmethod
    def erfcinv(cls, a: Any) -> Any:
        if not 0 < a < 2:
            return mpmath.inf if a == 0 else -mpmath.inf if a == 2 else mpmath.mpf("nan")
        if abs(1 - a) <= 0.5:
            return _inverse_erf(1 - a)
        return _inverse_erfc(a) if a < 1 else -_inverse_erfc(2 - a)

    @classmethod
    def erfcx(cls, a: Any) -> Any:
        if a < 2**20:
            return cls.exp(a * a) * cls.erfc(a)
        return cls._erfcx_tail(a, 0)

    @classmethod
    def erfcx1(cls, a: Any) -> Any:
        if a < 2**20:
            with mpmath.extraprec(64):
                return 2 * a * cls.erfcx(a) - 2 / mpmath.sqrt(mpmath.pi)
        return cls._erfcx_tail(a, 1)

    @classmethod
    def erfcx2(cls, a: Any) -> Any:
        if a < 2**20:
            with mpmath.extraprec(128):
                return 2 * cls.erfcx(a) + 2 * a * cls.erfcx1(a)
        return cls._erfcx_tail(a, 2)

    @staticmethod
    def _erfcx_tail(a: Any, order: int) -> Any:
        """The asymptotic series sum_k (-1)^k (2k-1)!!/(2^k sqrt(pi)) a^-(2k+1) (DLMF 7.12.1), differentiated
        termwise; 0 at infinity, where its terms would never fall below the sum.
        """
        if mpmath.isinf(a):
            return mpmath.mpf(0)
        total, coefficient, k = mpmath.mpf(0), 1 / mpmath.sqrt(mpmath.pi), 0
        while True:
            power = 2 * k + 1
            scale = (1, -power, power * (power + 1))[order]
            term = coefficient * scale / a ** (power + order)
            if k and abs(term) < abs(total) * mpmath.eps / 8:
                return total
            total += term
            coefficient *= -mpmath.mpf(2 * k + 1) / 2
            k += 1

    @staticmethod
    def sinc(a: Any) -> Any:
        return mpmath.sincpi(a)

    @classmethod
    def sinc1(cls, a: Any) -> Any:
        if not a or mpmath.isinf(a):
            return mpmath.mpf(0)
        with mpmath.extraprec(2 * _below_one(a)):
            return (mpmath.cospi(a) - mpmath.sincpi(a)) / a

    @classmethod
    def sinc2(cls, a: Any) -> Any:
        if not a:
            return -(mpmath.pi**2) / 3
        if mpmath.isinf(a):
            return mpmath.mpf(0)
        with mpmath.extraprec(2 * _below_one(a)):
            return -(mpmath.pi**2) * mpmath.sincpi(a) - 2 * cls.sinc1(a) / a


@functools.lru_cache(maxsize=256)
def _exponential(number: Any, bits: int) -> Any:
    """e^x at the present precision, of mpmath's raw number; long rows hold few different ones."""
    return mpmath.exp(mpmath.make_mpf(number))


def _inverse_erf(b: Any) -> Any:
    """y with erf y = b, |b| <= 1/2."""
    root = mpmath.sqrt(mpmath.pi) / 2
    return _newton(b * root, lambda y: (mpmath.erf(y) - b) * mpmath.exp(y * y) * mpmath.sqrt(mpmath.pi) / 2)


def _inverse_erfc(a: Any) -> Any:
    """y with erfc y = a, 0 < a <= 1/2: the logarithm of erfc is nearly a parabola."""
    half = -mpmath.log(a)
    start = mpmath.sqrt(max(half - mpmath.log(mpmath.pi * max(half, 1)) / 2, mpmath.mpf("0.2")))

    def step(y: Any) -> Any:
        tail = mpmath.erfc(y)
        return (mpmath.log(a) - mpmath.log(tail)) * tail * mpmath.exp(y * y) * mpmath.sqrt(mpmath.pi) / 2

    return _newton(start, step)


def _newton(start: Any, step: Any) -> Any:
    """Newton's method, the precision doubled with every step once it converges: two full evaluations."""
    full, y = mpmath.mp.prec + 32, start
    with mpmath.workprec(96):
        for _ in range(60):
            change = step(y)
            y = y - change
            if abs(change) <= abs(y) * mpmath.mpf(2) ** -80:
                break
    bits = 64
    while bits < full:
        bits = min(2 * bits - 16, full)
        with mpmath.workprec(bits + 32):
            y = y - step(y)
    return +y


def _of_numbers(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda a: function(a) if a == a else a


def _psi(order: int) -> Callable[[Any], Any]:
    """The polygamma functions; below 0 by reflection, for mpmath counts down to there step by step."""
    slope = cotangent_slope(order)

    def psi(a: Any) -> Any:
        if a > 0:
            return mpmath.psi(order, a)
        if a != a or a == mpmath.floor(a):
            return mpmath.mpf("nan")
        c = mpmath.cospi(a) / mpmath.sinpi(a)
        return (-1) ** order * mpmath.psi(order, 1 - a) - mpmath.polyval(slope[::-1], c) * mpmath.pi ** (
            order + 1
        )

    return psi


def cotangent_slope(order: int) -> list[int]:
    """The coefficients, from the constant one on, of a polynomial in c = cot(pi a): the derivative of that order
    of cot(pi a), over pi^order. That of c is -(1 + c^2).
    """
    found = [0, 1]
    for _ in range(order):
        slope = [k * a for k, a in enumerate(found)][1:]
        found = [-a - b for a, b in zip([*slope, 0, 0], [0, 0, *slope], strict=True)]
    return found


def _bessel_scaled(order: int, a: Any) -> Any:
    """e^-|a| I_n(a); where a is large by its series sum_k (-1)^k a_k(n) a^-k / sqrt(2 pi a) (DLMF 10.40.1).

    Its terms fall until k is about 2a, far below the precision for such a.
    """
    if mpmath.isnan(a):
        return a
    size = abs(a)
    if size <= mpmath.mp.prec + 64:
        value = mpmath.besseli(order, size) * mpmath.exp(-size)
    else:
        total, term, k = mpmath.mpf(0), mpmath.mpf(1), 0
        while abs(term) > mpmath.eps / 8:
            total += term
            k += 1
            term *= -mpmath.mpf(4 * order**2 - (2 * k - 1) ** 2) / (8 * k * size)
        value = total / mpmath.sqrt(2 * mpmath.pi * size)
    return -value if a < 0 and order % 2 else value


def _below_one(a: Any) -> int:
    """Bits between 1 and the magnitude of a."""
    return 32 + max(0, -int(mpmath.mag(a)))


def _dyadic(ball: arb) -> tuple[int, int]:
    man, exp = ball.mid().man_exp()
    return int(man), int(exp)


MPMATH = MpField()


class StandInField:
    """mpmath in the place of balls, where python-flint is missing: every ball is its midpoint."""

    name = "arb"
    zero = arb(0)
    one = arb(1)
    nan = arb("nan")
    inf = arb("inf")

    @staticmethod
    def precision(bits: int) -> AbstractContextManager[None]:
        """Work at `bits` bits inside the block."""
        return MPMATH.precision(bits)

    @property
    def pi(self) -> Any:
        return arb(MPMATH.pi)

    @staticmethod
    def number(value: Any) -> Any:
        """The exact value of an int, a float (as binary64) or a ball; infinities and NaN included."""
        return value if isinstance(value, arb) else arb(value)

    @staticmethod
    def decimal(text: str) -> Any:
        return arb(MPMATH.decimal(text))

    @staticmethod
    def div(a: Any, b: Any) -> Any:
        return a / b

    @staticmethod
    def sign(a: Any) -> int:
        return MPMATH.sign(a.number)

    @staticmethod
    def compare(a: Any, b: Any) -> int:
        return MPMATH.compare(a.number, b.number)

    @staticmethod
    def union(a: Any, b: Any) -> Any:
        return a if a == b else arb("nan")

    @staticmethod
    def meet(a: Any, b: Any) -> Any:
        """The number itself, which has no radius."""
        return a

    @staticmethod
    def is_zero(a: Any) -> bool:
        return bool(a.is_zero())

    @staticmethod
    def is_nan(a: Any) -> bool:
        return bool(a.is_nan())

    @staticmethod
    def approx(a: Any) -> float:
        """A binary64 number near the midpoint; for choosing shifts and signs, never for a verdict."""
        return float(a)

    @staticmethod
    def centre(a: Any) -> Any:
        """The number itself."""
        return a

    def __getattr__(self, name: str) -> Any:
        function = getattr(MPMATH, name)
        return lambda *given: arb(function(*(a.number for a in given)))


def _field_of_balls() -> Any:
    if not CERTIFIED:
        return StandInField()
    from gradcheck_suite.formula.arbfield import ArbField

    return ArbField()


ARB: ArbField = _field_of_balls()
