"""Confirmation by mpmath: no number is stated that two independent arithmetics did not agree on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import mpmath
import numpy as np

from gradcheck_suite.floats import Exact, Format
from gradcheck_suite.formula.evaluate import Formula, confirmation_bits, reference_mpmath
from gradcheck_suite.formula.ties import directions

# Infinity stands for its limit: far enough that no cotangent brings its reciprocal back into a format.
_STAND_IN = 5000
_TIE_STEP = -200
_TIE_BITS = 2600
_ZERO_SCALE = -1074
_MOST_BITS = 20_000
# Beyond 2^2^16 a number is written as infinite: mpmath cannot print exponents of exponents.
_LONGEST_EXPONENT = 2**16


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmed:
    """The exact value as mpmath has it: 25 decimal digits, the precision it took, and whether arb agrees."""

    decimal: str
    bits: int
    agrees: bool

    @property
    def by(self) -> str | None:
        """What a document says confirmed it."""
        return f"mpmath@{self.bits}" if self.agrees else None


def confirm(
    formula: Formula,
    point: Mapping[str, float],
    stated: Exact,
    fmt: Format,
    *,
    column: str,
    wrt: Sequence[str],
    order: int,
    scale: float = 1.0,
    tie: bool = False,
) -> Confirmed:
    """Compute `column` at one point by mpmath, raising the precision until it agrees with `stated` (one
    entry).

    At a tie the gradient is taken at the point, then also on every side, with and without the documented
    clamps, and the nearest is compared.
    """
    bits = confirmation_bits([x for x in point.values() if np.isfinite(x)])
    set_valued = tie and column != "value"
    sides = [(_finite(point), straight) for straight in ((False, True) if set_valued else (False,))]
    # At an infinite input the stated value is the element that the limit rounds to, half an ulp away at most.
    slack = 0.5 + 2.0**-16 if any(np.isinf(x) for x in point.values()) else 2.0**-16
    while True:
        values = [
            reference_mpmath(formula, side, wrt=wrt, order=order, bits=bits, straight=straight)[column]
            for side, straight in sides
        ]
        with mpmath.workprec(bits):
            value = min((v * scale for v in values), key=lambda v: _distance(v, stated))
            close = agrees(value, stated, fmt, slack)
            if close or bits >= _MOST_BITS:
                return Confirmed(decimal=digits(value, fmt, point), bits=bits, agrees=close)
        if set_valued and len(sides) == 2:
            sides, bits = _sides(point, wrt), max(bits, _TIE_BITS)
        else:
            bits *= 4


def digits(value: Any, fmt: Format, point: Mapping[str, float]) -> str:
    """25 digits; at an infinite input only the element that the limit rounds to has a meaning."""
    if mpmath.isnan(value):
        return "nan"
    # What cancellation leaves of an exact 0 lies below every format, whatever the cotangent.
    if abs(value) < mpmath.mpf(2) ** (fmt.ulp_exponent_min - fmt.emax - 64):
        return "0.0"
    limit = any(np.isinf(x) for x in point.values())
    if mpmath.isinf(value) or (limit and abs(value) > 2.0**1000) or mpmath.mag(value) > _LONGEST_EXPONENT:
        return "inf" if value > 0 else "-inf"
    if limit and abs(value) < 2.0**-1000:
        return "0.0"
    return str(mpmath.nstr(value, 25, strip_zeros=True))


def _finite(point: Mapping[str, float]) -> dict[str, Any]:
    return {n: (1 if x > 0 else -1, _STAND_IN) if np.isinf(x) else float(x) for n, x in point.items()}


def _sides(point: Mapping[str, float], wrt: Sequence[str]) -> list[tuple[dict[str, Any], bool]]:
    """The points beside a tie and the point itself, each with and without the documented clamps."""
    beside = [{n: _moved(x, d.get(n, 0)) for n, x in point.items()} for d in directions(wrt)]
    return [(side, straight) for side in (*beside, _finite(point)) for straight in (False, True)]


def _moved(x: float, steps: int) -> tuple[int, int]:
    """x + steps*2^-200*scale as a dyadic pair."""
    numerator, denominator = (abs(x) if x else 2.0**_ZERO_SCALE).as_integer_ratio()
    step = (numerator, 1 - denominator.bit_length() + _TIE_STEP)
    whole, below = float(x).as_integer_ratio()
    exp = 1 - below.bit_length()
    low = min(exp, step[1])
    return ((whole << (exp - low)) + steps * (step[0] << (step[1] - low)), low)


def _as_mpf(stated: Exact) -> Any:
    hi, lo, exp = float(stated.hi[0]), float(stated.lo[0]), int(stated.exp[0])
    if not np.isfinite(hi):
        return mpmath.mpf(hi)
    return mpmath.ldexp(mpmath.mpf(hi) + mpmath.mpf(lo), exp)


def _distance(value: Any, stated: Exact) -> Any:
    want = _as_mpf(stated)
    gap = abs(value - want) if value != want else mpmath.mpf(0)
    return gap if not mpmath.isnan(gap) else mpmath.inf


def agrees(value: Any, stated: Exact, fmt: Format, slack: float) -> bool:
    """Within `slack` ulp of the format, or both past its overflow limit."""
    want = _as_mpf(stated)
    if mpmath.isinf(want) or abs(want) > mpmath.mpf(2) ** (fmt.emax + 2):
        return (
            bool(abs(value) > mpmath.mpf(2) ** (fmt.emax + 1) * (1 - mpmath.mpf(2) ** -60))
            and value * want > 0
        )
    size = mpmath.mpf(2) ** (max(mpmath.mag(want) if want else fmt.emin, fmt.emin + 1) - fmt.precision)
    return bool(abs(value - want) <= size * slack)
