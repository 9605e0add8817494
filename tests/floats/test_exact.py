"""Exact values: what is stored, against rational arithmetic."""

from __future__ import annotations

import random
from fractions import Fraction

import numpy as np
import pytest
from flint import arb
from flint import ctx as flint_context
from hypothesis import given, settings
from hypothesis import strategies as st

from gradcheck_suite.floats import FORMATS, Exact, overflows, round_exact, ulp_error

exactly = settings(derandomize=True, deadline=None, max_examples=300)
TWO = Fraction(2)


def stored(exact: Exact, index: int = 0) -> Fraction:
    return (Fraction(float(exact.hi[index])) + Fraction(float(exact.lo[index]))) * TWO ** int(
        exact.exp[index]
    )


def check_normalised(exact: Exact) -> None:
    for hi, lo in zip(exact.hi.tolist(), exact.lo.tolist(), strict=True):
        assert hi == hi + lo
        assert hi == 0 or Fraction(1, 2) <= abs(Fraction(hi) + Fraction(lo)) < 1


mantissas = st.one_of(
    st.integers(-(2**260), 2**260),
    st.builds(lambda k, d: 2**k + d, st.integers(50, 250), st.integers(-3, 3)),
    st.builds(lambda k, z: -((2**k - 1) << z), st.integers(1, 200), st.integers(0, 60)),
)


@exactly
@given(mantissas, st.integers(-9000, 9000))
def test_from_man_exp_is_within_its_radius(man: int, exp: int) -> None:
    exact = Exact.from_man_exp([(man, exp)])
    check_normalised(exact)
    value = man * TWO**exp
    assert exact.exp[0] == exp + man.bit_length()
    assert abs(stored(exact) - value) <= Fraction(float(exact.rad[0])) * TWO ** int(exact.exp[0])
    assert exact.rad[0] <= 2.0**-106
    significant = man >> max(0, (man & -man).bit_length() - 1)
    if man.bit_length() <= 106 or significant.bit_length() < 106:
        assert stored(exact) == value
        assert exact.rad[0] == 0


def test_from_man_exp_reads_what_arb_gives() -> None:
    before = flint_context.prec
    flint_context.prec = 150
    try:
        balls = [arb(n).sqrt() for n in range(2, 300)]
        exact = Exact.from_man_exp([ball.mid().man_exp() for ball in balls])
    finally:
        flint_context.prec = before
    check_normalised(exact)
    for index in range(len(exact)):
        assert abs(stored(exact, index) ** 2 - (index + 2)) <= Fraction(index + 2, 2**103)


def test_a_hair_beside_a_power_of_two_or_a_midpoint_is_kept() -> None:
    hair = 2**300
    pairs = [(s * (hair + d), -300) for s in (1, -1) for d in (1, -1)]
    exact = Exact.from_man_exp(pairs)
    assert exact.exp.tolist() == [1, 0, 1, 0]
    assert [abs(stored(exact, i)) > 1 for i in range(4)] == [True, False, True, False]
    midpoint = (2**24 + 1) * 2**300  # between two float32 numbers
    beside = Exact.from_man_exp([(midpoint + d, -300) for d in (1, 0, -1)])
    assert round_exact(beside, FORMATS["float32"]).tolist() == [2**24 + 2, 2**24, 2**24]


def test_exponents_past_int64_keep_their_meaning() -> None:
    exact = Exact.from_man_exp([(3, 2**200), (-3, 2**200), (3, -(2**200)), (-3, 2**63 - 1)])
    assert (Exact.from_man_exp([(3, 2**63 - 1), (3, 1 - 2**63)]).exp == [2**60 + 2, 2 - 2**60]).all()
    for fmt in FORMATS.values():
        assert overflows(exact, fmt).tolist() == [True, True, False, True]
        assert round_exact(exact, fmt).tolist() == [np.inf, -np.inf, 0.0, -np.inf]
        error, bound = ulp_error(np.array([np.inf, -np.inf, 0.0, -np.inf]), exact, fmt)
        assert (error < 1e-300).all()
        assert (bound < 1e-300).all()


def test_zero_keeps_the_exponent_that_its_radius_needs() -> None:
    exact = Exact.from_man_exp([(0, -400)], rad=1.0)
    assert (exact.hi[0], exact.lo[0], exact.exp[0], exact.rad[0]) == (0, 0, -400, 1)


def test_the_exponent_of_zero_or_of_an_undefined_value_means_nothing() -> None:
    exact = Exact.from_sum([0.0, -0.0, np.nan], [0.0, -0.0, 0.0], exp=9000)
    for fmt in FORMATS.values():
        assert not overflows(exact, fmt).any()
        assert [value.hex() for value in round_exact(exact, fmt).tolist()] == ["0x0.0p+0", "-0x0.0p+0", "nan"]
        error, bound = ulp_error(np.full(3, fmt.smallest_subnormal), exact, fmt)
        assert np.array_equal(error, [1.0, 1.0, np.nan], equal_nan=True)
        assert (bound[:2] < 1e-14).all()


def test_negation_turns_both_parts() -> None:
    exact = Exact.from_fractions([Fraction(1, 3), Fraction(-2, 7)])
    assert (exact.lo != 0).all()
    assert [stored(exact.neg(), i) for i in range(2)] == [-stored(exact, i) for i in range(2)]


@exactly
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_float64_numbers_are_taken_exactly(value: float) -> None:
    exact = Exact.from_float64(value)
    check_normalised(exact)
    assert stored(exact) == Fraction(value)
    assert exact.rad[0] == 0
    assert exact.to_float64()[0].hex() == value.hex()


def test_infinities_and_nan_are_kept() -> None:
    values = Exact.from_float64([np.inf, -np.inf, np.nan])
    assert np.array_equal(values.to_float64(), [np.inf, -np.inf, np.nan], equal_nan=True)


@exactly
@given(st.fractions(), st.integers(-6000, 6000))
def test_from_fractions_is_within_its_radius(value: Fraction, exponent: int) -> None:
    value *= TWO**exponent
    exact = Exact.from_fractions([value])
    check_normalised(exact)
    unit = TWO ** int(exact.exp[0])
    assert abs(stored(exact) - value) <= Fraction(float(exact.rad[0])) * unit
    assert exact.rad[0] <= 2.0**-106


normal = st.floats(2.0**-400, 2.0**400).flatmap(lambda x: st.sampled_from([x, -x, 2.0 ** round(np.log2(x))]))


@exactly
@given(normal, st.floats(-1, 1), st.integers(-5000, 5000), st.floats(0, 1e-20))
def test_from_sum_normalises_without_error(high: float, ratio: float, exp: int, rad: float) -> None:
    low = high * ratio * 2.0**-53 if abs(ratio) > 2.0**-400 else 0.0
    exact = Exact.from_sum(high, low, exp=exp, rad=rad)
    check_normalised(exact)
    assert stored(exact) == (Fraction(high) + Fraction(low)) * TWO**exp
    if rad > 2.0**-300:
        assert Fraction(float(exact.rad[0])) * TWO ** int(exact.exp[0]) == Fraction(rad) * TWO**exp


def test_from_sum_keeps_zero_infinities_and_nan() -> None:
    exact = Exact.from_sum([0.0, np.inf, -np.inf, np.nan], [0.0, 0.0, 1.0, 0.0])
    assert np.array_equal(exact.to_float64(), [0.0, np.inf, -np.inf, np.nan], equal_nan=True)
    assert (exact.lo == 0).all()


def test_selecting_replacing_and_joining() -> None:
    exact = Exact.from_float64([1.0, 2.0, 3.0, 4.0], rad=[0.0, 1e-30, 0.0, 0.0])
    assert exact[1].to_float64().tolist() == [2.0]
    assert exact[np.array([False, True, True, False])].rad.tolist() == [1e-30, 0.0]
    assert exact[1:].take([2, 0]).to_float64().tolist() == [4.0, 2.0]
    assert Exact.concatenate([exact[:1], exact[2:].neg()]).to_float64().tolist() == [1.0, -3.0, -4.0]
    changed = exact.put(np.array([0, 3]), Exact.from_float64([np.nan, -8.0]))
    assert np.array_equal(changed.to_float64(), [np.nan, 2.0, 3.0, -8.0], equal_nan=True)
    assert exact.to_float64().tolist() == [1.0, 2.0, 3.0, 4.0]
    assert len(changed) == 4


def test_no_numbers_at_all() -> None:
    exact = Exact.from_man_exp([])
    assert len(exact) == 0
    error, bound = ulp_error(np.empty(0), exact, FORMATS["float32"])
    assert (len(error), len(bound)) == (0, 0)


@pytest.mark.parametrize("size", [53, 54, 105, 106, 107, 108, 200])
def test_mantissas_of_all_ones(size: int) -> None:
    rng = random.Random(size)
    for man in ((1 << size) - 1, -((1 << size) - 1), (1 << size) - rng.randrange(2, 9)):
        exact = Exact.from_man_exp([(man, -size)])
        check_normalised(exact)
        assert abs(stored(exact) - man * TWO**-size) <= Fraction(float(exact.rad[0]))


@pytest.mark.parametrize("factor", [1.0, 1.1, 1 + 2.0**-26, 1 + 2.0**-52, 1.9999999])
def test_a_product_lies_within_its_radius(factor: float) -> None:
    numbers = [Fraction(1, 3), Fraction(-7, 3), Fraction(10) ** 300, Fraction(1, 7) * Fraction(2) ** -1100]
    found = Exact.from_fractions(numbers).times(factor)
    for i, number in enumerate(numbers):
        unit = Fraction(2) ** int(found.exp[i])
        value = (Fraction(float(found.hi[i])) + Fraction(float(found.lo[i]))) * unit
        assert abs(value - number * Fraction(factor)) <= Fraction(float(found.rad[i])) * unit


def test_products_of_what_is_not_finite_stay_as_they_are() -> None:
    found = Exact.from_float64([np.inf, np.nan, 0.0]).times(1.5)
    assert found.hi[0] == np.inf
    assert np.isnan(found.hi[1])
    assert found.to_float64()[2] == 0
