"""Smooth functions and steps: both arithmetics agree, and derivatives are the limits of differences.

The difference quotients are mpmath's, of values alone, at so many bits that their error is far below 2^-100.
"""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np
import pytest

from gradcheck_suite.floats import format_of
from gradcheck_suite.formula.arithmetic import as_ball
from gradcheck_suite.formula.context import Context
from gradcheck_suite.formula.evaluate import derivatives
from gradcheck_suite.formula.fields import ARB, MPMATH
from gradcheck_suite.formula.points import exact_points
from gradcheck_suite.formula.tape import Array, elementwise, objects

FMT = format_of("float64")
SPREAD = (-3.7, -0.9375, -0.25, -1e-30, 1e-30, 0.3, 0.9375, 2.5, 30.5)
TINY_TO_HUGE = (*SPREAD, -(2.0**70), 2.0**70, 2.0**-1000)
POSITIVE = tuple(x for x in TINY_TO_HUGE if x > 0)
INSIDE = (-0.9999999, -0.5, -1e-30, 2.0**-1000, 0.25, 1 - 2.0**-53)

SMOOTH: dict[str, tuple[Any, tuple[float, ...]]] = {
    "log10": (lambda x: mpmath.log10(x), POSITIVE),
    "rsqrt": (lambda x: 1 / mpmath.sqrt(x), POSITIVE),
    "square": (lambda x: x * x, TINY_TO_HUGE),
    "reciprocal": (lambda x: 1 / x, TINY_TO_HUGE),
    "sinh": (mpmath.sinh, SPREAD),
    "cosh": (mpmath.cosh, SPREAD),
    "tan": (mpmath.tan, TINY_TO_HUGE),
    "asin": (mpmath.asin, INSIDE),
    "acos": (mpmath.acos, INSIDE),
    "atan": (mpmath.atan, TINY_TO_HUGE),
    "asinh": (mpmath.asinh, TINY_TO_HUGE),
    "acosh": (mpmath.acosh, (1 + 2.0**-52, 1.5, 40.0, 2.0**70)),
    "atanh": (mpmath.atanh, INSIDE),
    "logit": (lambda x: mpmath.log(x) - mpmath.log1p(-x), tuple(x for x in INSIDE if x > 0)),
    "lgamma": (lambda x: mpmath.log(abs(mpmath.gamma(x))), SPREAD),
    "digamma": (mpmath.digamma, SPREAD),
    "i0": (lambda x: mpmath.besseli(0, x), SPREAD),
    "i1": (lambda x: mpmath.besseli(1, x), SPREAD),
    "i0e": (lambda x: mpmath.besseli(0, x) * mpmath.exp(-abs(x)), (*SPREAD, 3e6, -3e6)),
    "i1e": (lambda x: mpmath.besseli(1, x) * mpmath.exp(-abs(x)), (*SPREAD, 3e6, -3e6)),
}  # fmt: skip

# log2 of the inverse step relative to the point, and the bits that its square leaves digits of at 2^-1000.
_STEP, _BITS = 300, 4000
_SLOW = dict.fromkeys(("lgamma", "digamma", "i0", "i1", "i0e", "i1e"), (100, 800))


def one(field: Any, function: Any, x: float, order: int) -> list[Any]:
    point = {"x": elementwise(field.number, objects(x).reshape(1))}
    columns, _ = derivatives(function, field, point, ("x",), order)
    return [columns[name][0] for name in ("value", "d:x", "dd:x")[: order + 1]]


def close(found: Any, want: Any, bits: int = 100) -> bool:
    return bool(abs(found - want) <= abs(want) * mpmath.mpf(2) ** -bits + mpmath.mpf(2) ** -2400)


@pytest.mark.parametrize("name", SMOOTH)
def test_value_and_derivatives_are_those_of_mpmath(name: str) -> None:
    plain, points = SMOOTH[name]
    step, bits = _SLOW.get(name, (_STEP, _BITS))
    for x in points:
        with MPMATH.precision(bits):
            value, slope, bend = one(MPMATH, lambda m, x: getattr(m, name)(x), x, 2)
            h = mpmath.ldexp(abs(mpmath.mpf(x)), -step)
            below, at, above = (plain(mpmath.mpf(x) + k * h) for k in (-1, 0, 1))
            assert close(value, at), x
            assert close(slope, (above - below) / (2 * h)), x
            assert close(bend, (above - 2 * at + below) / h**2), x


@pytest.mark.parametrize("name", SMOOTH)
def test_balls_hold_what_mpmath_computes(name: str) -> None:
    for x in SMOOTH[name][1]:
        with MPMATH.precision(900):
            exact = [mpmath.nstr(v, 100) for v in one(MPMATH, lambda m, x: getattr(m, name)(x), x, 2)]
        with ARB.precision(700):
            balls = one(ARB, lambda m, x: getattr(m, name)(x), x, 2)
            for ball, text in zip(balls, exact, strict=True):
                want = ARB.decimal(text)
                assert not abs(ball - want) > abs(want) * 1e-60, (x, ball, text)
                assert ball.rel_accuracy_bits() > 60 or ball == 0, (x, ball)


@pytest.mark.parametrize("x", [-1e5 - 0.5, -7.3, -0.5, 0.25, 3.0, 40.5])
@pytest.mark.parametrize("n", [0, 1, 2, 3])
def test_polygamma(n: int, x: float) -> None:
    with MPMATH.precision(500):
        value, slope = one(MPMATH, lambda m, x: m.polygamma(n, x), x, 1)
        if x > -100:
            # mpmath comes up from negative numbers by recurrence, step by step.
            assert close(value, mpmath.psi(n, x), 300)
            assert close(slope, mpmath.psi(n + 1, x), 300)
        exact = [mpmath.nstr(v, 80) for v in (value, slope)]
    with ARB.precision(400):
        for ball, text in zip(one(ARB, lambda m, x: m.polygamma(n, x), x, 1), exact, strict=True):
            assert not abs(ball - ARB.decimal(text)) > abs(ARB.decimal(text)) * 1e-70


def exact(function: Any, x: Any, *, order: int = 1, **more: Any) -> Any:
    inputs = {"x": np.asarray(x, dtype=float)} | {n: np.asarray(v, dtype=float) for n, v in more.items()}
    return exact_points(function, inputs, FMT, wrt=tuple(inputs), order=order)


@pytest.mark.parametrize(
    ("name", "beyond"),
    [
        ("asin", 2.0),
        ("acos", -1.5),
        ("acosh", 0.5),
        ("acosh", -np.inf),
        ("atanh", 3.0),
        ("rsqrt", -1.0),
        ("lgamma", -2.0),
    ],
)
def test_outside_of_a_domain_neither_value_nor_derivative_is_judged(name: str, beyond: float) -> None:
    found = exact(lambda m, x: getattr(m, name)(x), [beyond], order=2)
    assert all(found.undefined[column][0] for column in ("value", "d:x", "dd:x"))


@pytest.mark.parametrize(
    ("name", "x", "value"),
    [
        ("atanh", 1.0, np.inf),
        ("atanh", -1.0, -np.inf),
        ("rsqrt", 0.0, np.inf),
        ("logit", 0.0, -np.inf),
        ("logit", 1.0, np.inf),
    ],
)
def test_ends_of_domains_are_infinite(name: str, x: float, value: float) -> None:
    found = exact(lambda m, x: getattr(m, name)(x), [x])
    assert found.columns["value"].to_float64()[0] == value
    assert not found.undefined["value"][0]
    assert found.undefined["d:x"][0]


def test_results_past_every_format_are_told_by_their_sign() -> None:
    found = exact(lambda m, x: m.sinh(x), [-np.inf, -1e300, 1e300, np.inf])
    assert found.columns["value"].to_float64().tolist() == [-np.inf, -np.inf, np.inf, np.inf]
    assert not found.undefined["value"].any()


X = np.array([-2.5, -2.0, -1.5, -0.25, 0.0, 0.25, 1.0, 1.5, 2.75])


@pytest.mark.parametrize("name", ["floor", "ceil", "trunc", "round", "sign"])
def test_steps_of_one_number(name: str) -> None:
    ours, theirs = name, {"round": np.round}.get(name) or getattr(np, name)
    found = exact(lambda m, x: getattr(m, ours)(x), X)
    assert found.columns["value"].to_float64().tolist() == theirs(X).tolist()
    assert not found.columns["d:x"].to_float64().any()


@pytest.mark.parametrize("y", [-1.5, -0.75, 0.5, 3.0])
def test_remainders(y: float) -> None:
    for name, theirs in (("fmod", np.fmod), ("remainder", np.remainder)):
        found = exact(lambda m, x, y, name=name: getattr(m, name)(x, y), X, y=np.full(len(X), y))
        assert found.columns["value"].to_float64().tolist() == theirs(X, y).tolist()
        assert found.columns["d:x"].to_float64().tolist() == [1.0] * len(X)


def test_a_remainder_of_infinity_is_undefined() -> None:
    """Stand-ins for infinity are integers, even and powers of two: that must not make them multiples."""
    for function in (lambda m, x: m.frac(x), lambda m, x: m.fmod(x, 2), lambda m, x: m.fmod(x, 3)):
        assert exact(function, [np.inf, -np.inf]).undefined["value"].all()
    assert exact(lambda m, x, y: m.fmod(x, y), [0.0], y=[0.0]).undefined["d:y"].all()


def test_a_value_that_jumps_at_zero_is_not_judged_at_minus_zero() -> None:
    found = exact(lambda m, x: m.copysign(2, x), [0.0, -0.0])
    assert found.undefined["value"].tolist() == [False, True]
    found = exact(lambda m, x, y: m.atan2(x, y), [0.0, -0.0, -0.0], y=[-1.0, -1.0, 1.0])
    assert found.undefined["value"].tolist() == [False, True, False]
    assert found.columns["value"].to_float64()[[0, 2]].tolist() == [np.pi, 0.0]
    assert not exact(lambda m, x: m.relu(x) + m.frac(x), [-0.0]).undefined["value"].any()


def test_a_sign_of_two_numbers_has_its_slopes_in_every_quadrant() -> None:
    found = exact(lambda m, x, y: m.copysign(x, y), [0.0], y=[0.0])
    assert (found.lower["d:x"].to_float64()[0], found.upper["d:x"].to_float64()[0]) == (-1.0, 1.0)


@pytest.mark.parametrize("name", [*SMOOTH, "exp", "sigmoid", "softplus", "erfc", "erfcx", "tanh"])
def test_mpmath_takes_nan_for_nan(name: str) -> None:
    with MPMATH.precision(100), np.errstate(invalid="ignore"):
        (value,) = one(MPMATH, lambda m, x: getattr(m, name)(x), float("nan"), 0)
    assert mpmath.isnan(value)


@pytest.mark.parametrize("field", [ARB, MPMATH])
def test_what_documents_where_nan_goes(field: Any) -> None:
    def missing(function: Any, *values: Any) -> tuple[list[bool], bool]:
        with field.precision(200), np.errstate(invalid="ignore"):
            m = Context(field, missing=True)
            rows = [Array(field, elementwise(field.number, np.asarray(v, dtype=object))) for v in values]
            found = elementwise(field.is_nan, function(m, *rows).value).astype(bool)
            return found.ravel().tolist(), m.placed

    nan = float("nan")
    row = [3.0, nan, 1.0, 2.0]
    assert missing(lambda m, x: m.sort(x), row) == ([False, False, False, True], True)
    assert missing(lambda m, x: m.sort(x, descending=True), row) == ([True, False, False, False], True)
    assert missing(lambda m, x: m.topk(x, 2), row) == ([True, False], True)
    assert missing(lambda m, x: m.kthvalue(x, 2), row) == ([False], True)
    assert missing(lambda m, x: m.fmax(x, 0), row) == ([False] * 4, True)
    assert missing(lambda m, x: m.copysign(1, x), row) == ([False] * 4, True)
    for function in (
        lambda m, x: m.max(x),
        lambda m, x: m.median(x),
        lambda m, x: m.quantile(x, 0.25),
        lambda m, x: m.sum(m.where(x > 0, x, 0)),
    ):
        assert missing(function, row) == ([True], False)


def test_a_factor_that_is_too_small_for_stand_ins_is_still_no_zero() -> None:
    """e^-4096 b is infinite for infinite b, though e^-4096 2^5000 is 0 in every format."""
    found = exact(lambda m, x, y: m.exp(x) * y, [-4096.0, -4096.0, -2.0], y=[np.inf, -np.inf, np.inf])
    value = found.columns["value"].to_float64()
    assert value[2] == np.inf
    assert not np.any((value == 0) & ~found.undefined["value"])


def test_a_limit_that_hangs_on_the_side_of_zero_is_none() -> None:
    """relu(1 - x y)^2 at x = -inf, y = 0: for y just below 0 it is 0, above it is infinite."""
    found = exact(lambda m, x, y: m.square(m.relu(1 - x * y)), [-np.inf], y=[0.0])
    assert found.undefined["value"].all()
    assert found.undefined["d:y"].all()
    # Where there is nothing below 0, the side is no question.
    found = exact(lambda m, x, y: x * m.log(y), [np.inf], y=[0.0])
    assert found.columns["value"].to_float64()[0] == -np.inf
    assert not found.undefined["value"].any()


BALLS = ("erfcx", "erfcx1", "erfcx2", "sinc", "sinc1", "sinc2")


@pytest.mark.parametrize("relative", [2.0**-40, 2.0**-20, 2.0**-8, 0.25, 0.5])
@pytest.mark.parametrize("name", BALLS)
def test_wide_balls_hold_every_value_in_them(name: str, relative: float) -> None:
    """Across the ends of series and of recurrences too, and around 0."""
    for centre in (0.0, 1e-30, -0.01, 0.12, 0.13, 0.9, -1.01, 1.3, 2.5, -5.0, 30.5, 255.0, 300.0, 1e6):
        radius = abs(centre) * relative or relative
        inner = [centre + radius * part for part in (-0.999, -0.5, -0.01, 0.0, 0.3, 0.75, 0.999)]
        with ARB.precision(96):
            ball = getattr(ARB, name)(ARB.number(centre) + ARB.union(ARB.number(-radius), ARB.number(radius)))
        with MPMATH.precision(300):
            values = [getattr(MPMATH, name)(mpmath.mpf(x)) for x in inner]
        with ARB.precision(300):
            slack = ARB.union(ARB.number(1), 1 + ARB.decimal("1e-60"))
            missed = [x for x, v in zip(inner, values, strict=True) if not ball.overlaps(as_ball(v) * slack)]
        assert ball.is_nan() or not missed, (centre, missed)


@pytest.mark.parametrize("centre", [0.5, 1.5, 30.5, 255.0, 300.0])
@pytest.mark.parametrize("name", BALLS[:3])
def test_balls_of_a_scaled_tail_are_narrow(name: str, centre: float) -> None:
    """Digits of exact numbers are kept, and a ball is hardly wider than its values lie apart."""
    function, radius = getattr(ARB, name), ARB.number(2.0**-20 * centre)
    with ARB.precision(96):
        assert function(ARB.number(centre)).rel_accuracy_bits() > 80
        ball = function(ARB.number(centre) + ARB.union(-radius, radius))
        apart = function(ARB.number(centre) - radius) - function(ARB.number(centre) + radius)
        assert ball.rad() < 4 * abs(apart)


@pytest.mark.parametrize("x", [0.0, 2.0**-600, 1e-9, 0.124, -0.1])
@pytest.mark.parametrize("name", ["sinc1", "sinc2"])
def test_series_keep_the_digits_of_exact_numbers(name: str, x: float) -> None:
    for bits in (64, 300, 2000):
        with ARB.precision(bits):
            value = getattr(ARB, name)(ARB.number(x))
            assert value.is_zero() or value.rel_accuracy_bits() > bits - 12


@pytest.mark.parametrize("name", BALLS)
def test_waves_and_tails_end_at_infinity(name: str) -> None:
    with MPMATH.precision(100):
        assert getattr(MPMATH, name)(mpmath.inf) == 0
