"""Certified polynomials against rational arithmetic: bounds hold for binary64 evaluation, and are in ULP."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from gradcheck_suite.floats import FORMATS
from gradcheck_suite.formula.cover import Cover
from gradcheck_suite.formula.polynomials import TARGET, Candidates, Polynomials, certify, ulp_below

FLOAT32 = FORMATS["float32"]
LENGTH = 9


def certified(
    coefficients: np.ndarray, *, error: float = 0.0, nearest: float = 0.0, powers: range = range(1)
) -> tuple[Polynomials, np.ndarray]:
    rows = len(coefficients)
    errors = np.full((rows, LENGTH + 1), 0.0)
    errors[:, -1] = error
    given = Candidates(coefficients, errors, np.full(rows, nearest), np.ones(rows))
    return certify(given, FLOAT32, powers)


def one_block(polynomials: Polynomials) -> Cover:
    low, high = np.array([-1.0]), np.array([1.0])
    return Cover(FLOAT32, low, high, low, high, np.zeros(1), np.ones(1), (polynomials,))


def exactly(coefficients: np.ndarray, t: float) -> Fraction:
    return sum((Fraction(c) * Fraction(t) ** j for j, c in enumerate(coefficients.tolist())), Fraction(0))


@pytest.mark.parametrize("seed", range(20))
def test_binary64_evaluation_stays_within_the_bound(seed: int) -> None:
    rng = np.random.default_rng(seed)
    coefficients = rng.standard_normal((1, LENGTH)) * 2.0 ** rng.integers(-60, 60)
    coefficients[0, 0] = np.copysign(40 * np.abs(coefficients).max(), coefficients[0, 0])
    found, good = certified(coefficients)
    assert good[0]
    t = np.concatenate([rng.uniform(-1, 1, 200), [-1.0, 1.0, 0.0, 2.0**-40]])
    value, bound = one_block(found).evaluate(t, 0, 0)
    gaps = [
        abs(Fraction(v) - exactly(coefficients[0], x))
        for v, x in zip(value.tolist(), t.tolist(), strict=True)
    ]
    assert all(gap <= Fraction(b) for gap, b in zip(gaps, bound.tolist(), strict=True))
    # A bound that were far too wide would split blocks for nothing.
    assert max(gaps) * 400 > Fraction(float(bound[0]))


def test_accepted_means_within_the_target_in_ulp() -> None:
    rng = np.random.default_rng(5)
    coefficients = rng.standard_normal((400, LENGTH)) * 2.0 ** -np.arange(LENGTH)
    errors = 2.0 ** rng.integers(-60, -30, 400)
    given = Candidates(coefficients, np.tile(errors[:, None], LENGTH + 1), np.zeros(400), np.ones(400))
    found, good = certify(given, FLOAT32, (0,))
    assert 20 < good.sum() < 380
    for row in np.flatnonzero(good):
        t = np.linspace(-1, 1, 41)
        smallest = min(abs(exactly(coefficients[row], x)) for x in t.tolist())
        total = found.absolute[row] + found.relative[row]
        assert total <= TARGET * ulp_below(np.array([float(smallest)]), FLOAT32)[0]
        assert total >= errors[row]


def test_an_error_that_falls_with_the_column_is_measured_against_it() -> None:
    # sin t on the floats down to the smallest: next to 0 its absolute error must vanish like t.
    coefficients = np.zeros((1, LENGTH))
    coefficients[0, 1::2] = [1, -1 / 6, 1 / 120, -1 / 5040]
    for powers, accepted in ((range(1), False), (range(2), True)):
        found, good = certified(coefficients * 2.0**-3, error=2.0**-60, nearest=2.0**-146, powers=powers)
        assert good[0] == accepted
    assert found.power[0] == 1
    _, bound = one_block(found).evaluate(np.array([2.0**-140]), 0, 0)
    assert 0 < bound[0] < 2.0**-180


def test_terms_that_are_nothing_beside_the_smallest_float_do_not_decide_the_order() -> None:
    coefficients = np.zeros((1, LENGTH))
    coefficients[0, :2] = 2.0**-220, 0.5
    found, good = certified(coefficients, nearest=2.0**-150, powers=range(3))
    assert good[0]
    assert found.power[0] == 1
    assert found.coefficients[0, 0] == 0


def test_columns_below_the_smallest_float_need_an_absolute_bound_only() -> None:
    tiny = np.zeros((2, LENGTH))
    tiny[:, 0] = 2.0**-175, 2.0**-140
    errors = np.zeros((2, LENGTH + 1))
    errors[:, -1] = 2.0**-172, 2.0**-168
    _, good = certify(Candidates(tiny, errors, np.zeros(2), np.ones(2)), FLOAT32, (0,))
    assert good.tolist() == [True, False]


def test_columns_past_the_overflow_limit_need_none() -> None:
    huge = np.zeros((2, LENGTH))
    huge[:, 0] = 2.0**140, 2.0**120
    _, good = certified(huge, error=2.0**130)
    assert good.tolist() == [True, False]


def test_what_is_not_finite_is_refused() -> None:
    coefficients = np.zeros((2, LENGTH))
    coefficients[0, 3], coefficients[1, 0] = np.inf, np.nan
    _, good = certified(coefficients)
    assert not good.any()


@pytest.mark.parametrize(
    ("size", "exponent"), [(1.0, -23), (0.99, -24), (0.0, -149), (2.0**-140, -149), (1e300, 104)]
)
def test_the_ulp_of_a_lower_bound(size: float, exponent: int) -> None:
    assert ulp_below(np.array([size]), FLOAT32)[0] == 2.0**exponent
