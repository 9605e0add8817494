"""ULP errors and correct rounding against their definitions, written out in rational arithmetic."""

from __future__ import annotations

import math
import random
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradcheck_suite.floats import (
    FORMATS,
    Exact,
    Format,
    from_ordinal,
    infinity_ordinal,
    overflows,
    round_exact,
    to_ordinal,
    ulp_error,
    ulp_exponent,
)

TWO = Fraction(2)
exactly = settings(derandomize=True, deadline=None, max_examples=200)
every_format = pytest.mark.parametrize("fmt", list(FORMATS.values()), ids=lambda fmt: fmt.name)


def floor_log2(value: Fraction) -> int:
    size = abs(value)
    exponent = size.numerator.bit_length() - size.denominator.bit_length()
    return exponent if size >= TWO**exponent else exponent - 1


def unit_exponent(value: Fraction, fmt: Format) -> int:
    exponent = fmt.emin if value == 0 else max(fmt.emin, min(fmt.emax, floor_log2(value)))
    return exponent - fmt.precision + 1


def limit(fmt: Format) -> Fraction:
    return TWO ** (fmt.emax + 1) - TWO ** (fmt.emax - fmt.precision)


def true_error(computed: float, value: Fraction, fmt: Format) -> Fraction:
    """The definition, for a computed value that is not NaN."""
    past = TWO ** (fmt.emax + 1)
    got = past * (1 if computed > 0 else -1) if math.isinf(computed) else Fraction(computed)
    if abs(value) >= limit(fmt):
        value = past if value > 0 else -past
    return abs(got - value) / TWO ** unit_exponent(value, fmt)


def true_rounding(value: Fraction, fmt: Format) -> float:
    unit = TWO ** unit_exponent(value, fmt)
    size = math.inf if abs(value) >= limit(fmt) else float(round(abs(value) / unit) * unit)
    return -size if value < 0 else size


def adversarial(fmt: Format) -> list[Fraction]:
    """Powers of two, numbers of the format and midpoints, each with hairs beside it."""
    p, emin, emax = fmt.precision, fmt.emin, fmt.emax
    rng = random.Random(fmt.precision)
    subnormal = [emin - p - 3, emin - p, emin - p + 1, emin - p + 2, emin - 2, emin - 1]
    exponents = [-5000, *subnormal, emin, emin + 1, -1, 0, 1, emax - 1, emax, emax + 1, 9000]
    depths = [1, 2, p - 2, p - 1, p, p + 1, p + 2, 52, 53, 54, 55, 60, 100, 104, 105, 106, 107, 150]
    hairs = [Fraction(0), *(sign * TWO**-k for k in depths for sign in (1, -1))]
    hairs += [Fraction(rng.getrandbits(200), 2**200) for _ in range(3)]
    centres = [Fraction(1), 1 + Fraction(3, 2**p), 2 - TWO**-p, 2 - TWO ** (1 - p)]
    values = [
        (c + h) * TWO**e for e in exponents for c in centres for h in hairs if c == 1 or abs(h) < TWO**-p
    ]
    return [Fraction(0), *values, *(-value for value in values)]


@every_format
def test_rounding_is_correct(fmt: Format) -> None:
    values = adversarial(fmt)
    exact = Exact.from_fractions(values)
    rounded = round_exact(exact, fmt).tolist()
    assert rounded == [true_rounding(value, fmt) for value in values]
    signs = [math.copysign(1.0, number) for number in rounded]
    assert signs == [-1.0 if value < 0 else 1.0 for value in values]
    assert overflows(exact, fmt).tolist() == [abs(value) >= limit(fmt) for value in values]
    to_ordinal(rounded, fmt)


@every_format
def test_ulp_is_that_of_the_exact_value(fmt: Format) -> None:
    values = adversarial(fmt)
    stated = ulp_exponent(Exact.from_fractions(values), fmt).tolist()
    assert stated == [unit_exponent(value, fmt) for value in values]


def agree(computed: list[float], values: list[Fraction], fmt: Format) -> None:
    errors, bounds = ulp_error(np.array(computed), Exact.from_fractions(values), fmt)
    for got, value, error, bound in zip(computed, values, errors.tolist(), bounds.tolist(), strict=True):
        expected = true_error(got, value, fmt)
        if expected >= TWO**1024:
            assert (error, bound < 1) == (math.inf, True)
            continue
        assert abs(Fraction(error) - expected) <= Fraction(bound), (got, value)
        # A value that 106 bits cannot tell from the limit leaves open on which side of that jump it lies.
        at_limit = abs(abs(value) - limit(fmt)) < TWO ** (fmt.emax - 100)
        assert bound <= 1e-14 * (error + 1) + 0.5 * at_limit


@every_format
def test_error_of_computed_values_near_the_exact_one(fmt: Format) -> None:
    values = adversarial(fmt)
    top = infinity_ordinal(fmt)
    nearest = to_ordinal(round_exact(Exact.from_fractions(values), fmt), fmt)
    # Seven offsets do not divide the pattern of hairs, so that each meets every kind of value.
    for offsets in ([0, 1, -1, 2, -5, 100, 0], [-1, 0, 1, 0, 3, 1, -2]):
        shifted = nearest + np.resize(offsets, len(values))
        agree(from_ordinal(np.clip(shifted, -top, top), fmt).tolist(), values, fmt)


@every_format
def test_error_of_computed_values_anywhere(fmt: Format) -> None:
    values = adversarial(fmt)
    landmarks = [0.0, 1.0, fmt.max, fmt.smallest_normal, fmt.smallest_subnormal, math.inf]
    agree(np.resize([*landmarks, *(-value for value in landmarks)], len(values)).tolist(), values, fmt)
    agree([math.inf] * len(values), values, fmt)


@every_format
@exactly
@given(data=st.data())
def test_error_of_any_pair(fmt: Format, data: st.DataObject) -> None:
    top = infinity_ordinal(fmt)
    computed = float(from_ordinal(data.draw(st.integers(-top, top)), fmt))
    value = data.draw(st.fractions()) * TWO ** data.draw(st.integers(fmt.emin - 60, fmt.emax + 4))
    agree([computed], [value], fmt)


@every_format
def test_nan_and_infinities(fmt: Format) -> None:
    exact = Exact.from_float64([np.nan, np.nan, 1.0, np.inf, np.inf, np.inf, -np.inf, np.inf, np.inf])
    computed = np.array([np.nan, 1.0, np.nan, np.nan, np.inf, -np.inf, -np.inf, fmt.max, 0.0])
    error, bound = ulp_error(computed, exact, fmt)
    whole = 2.0**fmt.precision
    expected = [np.nan, np.nan, np.inf, np.inf, 0.0, 2 * whole, 0.0, 1.0, whole]
    assert np.array_equal(error, expected, equal_nan=True)
    assert np.isnan(bound[:2]).all()
    assert (bound[2:4] == 0).all()
    assert (bound[4:] <= 1e-14 * (error[4:] + 1)).all()
    assert overflows(exact, fmt).tolist() == [False, False, False, *[True] * 6]


@every_format
def test_signed_zeros_are_equal(fmt: Format) -> None:
    error, _ = ulp_error(np.array([0.0, -0.0]), Exact.from_float64([-0.0, 0.0]), fmt)
    assert error.tolist() == [0.0, 0.0]


def enclosures(fmt: Format) -> st.SearchStrategy[tuple[Fraction, Fraction]]:
    """Midpoints and radii, mostly where the definition has its edges: powers of two, 0 and the limit."""
    edges = st.sampled_from([fmt.emin - fmt.precision, fmt.emin, -3, 0, fmt.emax, fmt.emax + 1, fmt.emax + 2])
    near = st.sampled_from([1 + TWO**-k for k in (1, 9, 30, 70)] + [1 - TWO**-k for k in (1, 9, 30, 70)])
    limit_at = [1 - TWO ** -(fmt.precision + 1)] * 2 + [Fraction(0), Fraction(1)]
    mids = st.builds(
        lambda e, c, s: s * c * TWO**e,
        edges,
        st.one_of(near, st.sampled_from(limit_at)),
        st.sampled_from([1, -1]),
    )
    sizes = st.builds(lambda k, c: c * TWO**-k, st.integers(-3, 80), st.fractions(1, 2, max_denominator=64))
    return st.tuples(mids, sizes)


@every_format
@exactly
@given(data=st.data())
def test_bound_covers_the_whole_enclosure(fmt: Format, data: st.DataObject) -> None:
    """Whatever value of the enclosure is the true one, its error in the stated ulp is within the bound."""
    mid, size = data.draw(enclosures(fmt))
    exact = Exact.from_fractions([mid])
    exact = Exact(exact.hi, exact.lo, exact.exp, np.array([float(size)]))
    radius = Fraction(float(size)) * TWO ** int(exact.exp[0])
    top = infinity_ordinal(fmt)
    nearest = int(to_ordinal(round_exact(exact, fmt), fmt)[0])
    near = st.integers(max(-top, nearest - 20), min(top, nearest + 20))
    computed = float(from_ordinal(data.draw(near | st.integers(-top, top)), fmt))
    error, bound = (float(array[0]) for array in ulp_error(np.array([computed]), exact, fmt))
    if math.isinf(bound):
        # Only where the enclosure leaves the verdict open: as wide as a binade, or over the limit.
        assert size >= Fraction(1, 4) or abs(mid) + radius >= limit(fmt) > abs(mid) - radius
        return
    stated = int(ulp_exponent(exact, fmt)[0])
    for step in (-1, Fraction(-99, 100), Fraction(-1, 3), 0, Fraction(1, 2), 1):
        value = mid + step * radius
        # The stated ulp is the smallest of the enclosure, so that the stated error is the largest.
        assert stated <= unit_exponent(value, fmt)
        figure = true_error(computed, value, fmt) * TWO ** (unit_exponent(value, fmt) - stated)
        if figure < TWO**1023:
            assert abs(figure - Fraction(error)) <= Fraction(bound)


@every_format
@pytest.mark.parametrize("side", [-1, 1])
def test_an_enclosure_over_the_limit_leaves_half_an_ulp_open(fmt: Format, side: int) -> None:
    radius = TWO**-80
    middle = limit(fmt) * TWO ** -(fmt.emax + 1) + Fraction(9, 10) * side * radius
    exact = Exact.from_fractions([middle * TWO ** (fmt.emax + 1)])
    for size, spread in ((float(radius), 0.5), (0.25 * float(radius), 0.0)):
        ball = Exact(exact.hi, exact.lo, exact.exp, np.array([size]))
        bounds = [ulp_error(np.array([got]), ball, fmt)[1][0] for got in (fmt.max, np.inf)]
        assert [round(bound, 3) for bound in bounds] == [spread, spread]


@every_format
def test_the_larger_figure_is_stated_where_the_enclosure_straddles_a_power_of_two(fmt: Format) -> None:
    above = 1.0 + 2.0 ** (1 - fmt.precision)
    sharp = ulp_error(np.array([above]), Exact.from_float64(1.0), fmt)[0]
    straddling = ulp_error(np.array([above]), Exact.from_float64(1.0, rad=1e-25), fmt)[0]
    assert (sharp.tolist(), straddling.tolist()) == ([1.0], [2.0])


@every_format
def test_an_enclosure_of_zero_is_judged_by_the_smallest_ulp(fmt: Format) -> None:
    tiny = Exact.from_man_exp([(0, -5000), (1, -5001)], rad=1.0)
    error, bound = ulp_error(np.array([0.0, fmt.smallest_subnormal]), tiny, fmt)
    assert error.tolist() == [0.0, 1.0]
    assert (bound < 1e-15).all()


@every_format
def test_an_enclosure_of_everything_settles_nothing(fmt: Format) -> None:
    exact = Exact.from_float64([1.0, 0.0, fmt.max], rad=np.inf)
    for computed in (0.0, 1.0, np.inf):
        assert np.isinf(ulp_error(np.full(3, computed), exact, fmt)[1]).all()
