"""Smooth functions of the vocabulary, and what is put together of them; over any field of the tape.

Derivatives of the one-argument functions stand in `dual`; the scalars in `fields` and `arbfield`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from gradcheck_suite.formula.dual import DERIVATIVES
from gradcheck_suite.formula.tape import Array, Condition, Objects, elementwise, guarded_mul, node

if TYPE_CHECKING:
    from gradcheck_suite.formula.fields import Field


class Functions:
    """What the context has of functions of numbers."""

    field: Field
    ties: list[Any]
    undecided: list[Any]
    const: Callable[[Any], Array]
    where: Callable[..., Array]
    abs: Callable[[Any], Array]

    # --- smooth functions of one argument

    def _smooth(self, name: str, x: Any) -> Array:
        x = self.const(x)
        f = self.field
        y = elementwise(getattr(f, name), x.value)
        derivative = DERIVATIVES[name]

        def pull(g: Objects) -> Objects:
            slope = elementwise(lambda a, b: derivative(f, a, b), x.value, y)
            return elementwise(guarded_mul(f), g, slope)

        return node(f, y, (x, pull))

    def exp(self, x: Any) -> Array:
        """e^x."""
        return self._smooth("exp", x)

    def expm1(self, x: Any) -> Array:
        """e^x - 1."""
        return self._smooth("expm1", x)

    def exp2(self, x: Any) -> Array:
        """2^x."""
        return self.exp(self.const(x) * self.log(2))

    def log(self, x: Any) -> Array:
        """The natural logarithm; -inf at 0."""
        return self._smooth("log", x)

    def log2(self, x: Any) -> Array:
        """The logarithm to base 2."""
        return self.log(x) / self.log(2)

    def log10(self, x: Any) -> Array:
        """The logarithm to base 10."""
        return self.log(x) / self.log(10)

    def log1p(self, x: Any) -> Array:
        """log(1 + x)."""
        return self._smooth("log1p", x)

    def sqrt(self, x: Any) -> Array:
        """The square root; undefined below 0."""
        return self._smooth("sqrt", x)

    def rsqrt(self, x: Any) -> Array:
        """1 / sqrt(x); infinite at 0, undefined below."""
        return self._smooth("rsqrt", x)

    def square(self, x: Any) -> Array:
        """x^2."""
        number: Array = self.const(x)
        return number * number

    def reciprocal(self, x: Any) -> Array:
        """1 / x."""
        return 1 / self.const(x)

    def hypot(self, x: Any, y: Any) -> Array:
        """sqrt(x^2 + y^2); a tie where both are 0."""
        total = self.square(x) + self.square(y)
        root = self.sqrt(total)
        # Only the tie is recorded here: both branches are the root itself.
        return self.where(total > 0, root, root)

    def tanh(self, x: Any) -> Array:
        """The hyperbolic tangent."""
        return self._smooth("tanh", x)

    def sinh(self, x: Any) -> Array:
        """The hyperbolic sine."""
        return self._smooth("sinh", x)

    def cosh(self, x: Any) -> Array:
        """The hyperbolic cosine."""
        return self._smooth("cosh", x)

    def asinh(self, x: Any) -> Array:
        """The inverse hyperbolic sine."""
        return self._smooth("asinh", x)

    def acosh(self, x: Any) -> Array:
        """The inverse hyperbolic cosine; undefined below 1."""
        return self._smooth("acosh", x)

    def atanh(self, x: Any) -> Array:
        """The inverse hyperbolic tangent; infinite at -1 and 1, undefined beyond."""
        return self._smooth("atanh", x)

    def sigmoid(self, x: Any) -> Array:
        """1 / (1 + e^-x)."""
        return self._smooth("sigmoid", x)

    def logit(self, p: Any) -> Array:
        """log(p / (1 - p)), the inverse of sigmoid; infinite at 0 and 1, undefined beyond."""
        p = self.const(p)
        return self.log(p) - self.log1p(-p)

    def softplus(self, x: Any) -> Array:
        """log(1 + e^x)."""
        return self._smooth("softplus", x)

    def logsigmoid(self, x: Any) -> Array:
        """log(1 / (1 + e^-x)) = -softplus(-x)."""
        return -self.softplus(-self.const(x))

    def logaddexp(self, x: Any, y: Any) -> Array:
        """log(e^x + e^y)."""
        x, y = self.const(x), self.const(y)
        # Either form is exact; where y - x may be infinite, one of them loses nothing.
        above, below = x + self.softplus(y - x), y + self.softplus(x - y)
        return self.where(x >= y, above, below, smooth=True)

    def erf(self, x: Any) -> Array:
        """The error function."""
        return self._smooth("erf", x)

    def erfc(self, x: Any) -> Array:
        """1 - erf(x)."""
        return self._smooth("erfc", x)

    def erfinv(self, x: Any) -> Array:
        """The inverse of erf."""
        return self._smooth("erfinv", x)

    def ndtr(self, x: Any) -> Array:
        """The standard normal distribution function, erfc(-x/sqrt 2)/2."""
        return self.erfc(-self.const(x) / self.sqrt(2)) / 2

    def erfcinv(self, x: Any) -> Array:
        """The inverse of erfc."""
        return self._smooth("erfcinv", x)

    def ndtri(self, p: Any) -> Array:
        """The inverse of the standard normal distribution function, -sqrt(2) erfcinv(2p)."""
        return -self.sqrt(2) * self.erfcinv(2 * self.const(p))

    def erfcx(self, x: Any) -> Array:
        """The scaled complementary error function, e^(x^2) erfc(x)."""
        return self._smooth("erfcx", x)

    def log_ndtr(self, x: Any) -> Array:
        """The logarithm of the standard normal distribution function."""
        x = self.const(x)
        u = x / self.sqrt(2)
        tail = self.log(self.erfcx(-u) / 2) - u * u
        return self.where(x < 0, tail, self.log1p(-self.erfc(u) / 2), smooth=True)

    def sinc(self, x: Any) -> Array:
        """sin(pi x)/(pi x), 1 at 0."""
        return self._smooth("sinc", x)

    def sin(self, x: Any) -> Array:
        """The sine."""
        return self._smooth("sin", x)

    def cos(self, x: Any) -> Array:
        """The cosine."""
        return self._smooth("cos", x)

    def tan(self, x: Any) -> Array:
        """The tangent."""
        return self._smooth("tan", x)

    def asin(self, x: Any) -> Array:
        """The inverse sine; undefined beyond -1 and 1."""
        return self._smooth("asin", x)

    def acos(self, x: Any) -> Array:
        """The inverse cosine; undefined beyond -1 and 1."""
        return self._smooth("acos", x)

    def atan(self, x: Any) -> Array:
        """The inverse tangent."""
        return self._smooth("atan", x)

    def atan2(self, y: Any, x: Any) -> Array:
        """The angle of the point (x, y), from -pi to pi: pi where y = 0 and x < 0, a jump; 0 at (0, 0)."""
        y, x = self.const(y), self.const(x)
        f = self.field
        cut: Condition = (y >= 0) & (x <= 0)
        if cut.tie.any():
            self.ties.append(cut.tie)
        if cut.undecided.any():
            self.undecided.append(cut.undecided)
        square = elementwise(lambda b, a: b * b + a * a, y.value, x.value)
        slopes = elementwise(f.div, x.value, square), -elementwise(f.div, y.value, square)
        times = guarded_mul(f)
        return node(
            f,
            elementwise(f.atan2, y.value, x.value),
            (y, lambda g: elementwise(times, g, slopes[0])),
            (x, lambda g: elementwise(times, g, slopes[1])),
        )

    def lgamma(self, x: Any) -> Array:
        """log |Gamma(x)|; undefined at 0 and the negative integers."""
        return self._smooth("lgamma", x)

    def digamma(self, x: Any) -> Array:
        """The derivative of log |Gamma(x)|; undefined at 0 and the negative integers."""
        return self._smooth("digamma", x)

    def polygamma(self, n: int, x: Any) -> Array:
        """The n-th derivative of digamma, n from 0 to 3."""
        names = ("digamma", "trigamma", "psi2", "psi3")
        if n not in range(len(names)):
            raise ValueError(f"m.polygamma has the orders 0 to {len(names) - 1}, not {n!r}")
        return self._smooth(names[n], x)

    def i0(self, x: Any) -> Array:
        """The modified Bessel function of the first kind, of order 0."""
        return self._smooth("bessel_i0", x)

    def i1(self, x: Any) -> Array:
        """The modified Bessel function of the first kind, of order 1."""
        return self._smooth("bessel_i1", x)

    def i0e(self, x: Any) -> Array:
        """e^-|x| i0(x); 0 is a tie."""
        x = self.const(x)
        return self._smooth("bessel_i0e", self.abs(x))

    def i1e(self, x: Any) -> Array:
        """e^-|x| i1(x); 0 is a tie."""
        x = self.const(x)
        value = self._smooth("bessel_i1e", self.abs(x))
        return self.where(x >= 0, value, -value)

    def power(self, x: Any, p: Any) -> Array:
        """x^p for x >= 0 and a real p, with 0^p = 0 for p > 0 and x^0 = 1."""
        x, p = self.const(x), self.const(p)
        positive = self.where(
            p > 0,
            self.const(0),
            self.where(p < 0, self.const(float("inf")), self.const(1), smooth=True),
            smooth=True,
        )
        return self.where(x > 0, self.exp(p * self.log(x)), positive, smooth=True)

    def xlogy(self, x: Any, y: Any) -> Array:
        """x log y, 0 where x = 0."""
        return self._annihilated(x, self.log(y))

    def xlog1py(self, x: Any, y: Any) -> Array:
        """x log(1 + y), 0 where x = 0."""
        return self._annihilated(x, self.log1p(y))

    def _annihilated(self, x: Any, y: Any) -> Array:
        """x * y, where x = 0 makes 0 of any y, an infinite one too."""
        x, y = self.const(x), self.const(y)
        times = guarded_mul(self.field)
        return node(
            self.field,
            elementwise(times, x.value, y.value),
            (x, lambda g: elementwise(times, g, y.value)),
            (y, lambda g: elementwise(times, g, x.value)),
        )
