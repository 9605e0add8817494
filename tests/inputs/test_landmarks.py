"""Landmarks of a format and of an op."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gradcheck_suite.floats import FORMATS, Format, from_ordinal, infinity_ordinal, round_to, to_ordinal
from gradcheck_suite.inputs import approaching, around, format_landmarks
from gradcheck_suite.inputs.landmarks import distinct

every_format = pytest.mark.parametrize("fmt", list(FORMATS.values()), ids=lambda fmt: fmt.name)


def same(values: np.ndarray, expected: list[float]) -> bool:
    """Equal, and equal in the sign of zero."""
    return [float(v).hex() for v in values] == [float(v).hex() for v in expected]


def test_distinct_keeps_both_zeros_and_one_nan() -> None:
    values = [0.0, math.nan, 1.0, -0.0, math.inf, -1.0, 1.0, -0.0, math.nan, -math.inf]
    assert same(distinct(values), [-math.inf, -1.0, -0.0, 0.0, 1.0, math.inf, math.nan])
    assert same(distinct([0.0, 0.0]), [0.0])
    assert same(distinct([-0.0]), [-0.0])
    assert len(distinct([])) == 0


@every_format
@pytest.mark.parametrize("point", [0.1, -0.3, 1.0, 20.0, 1 / 3])
def test_around_a_point_are_its_neighbours(fmt: Format, point: float) -> None:
    values = around([point], fmt, ulps=3)
    centre = int(to_ordinal(round_to(point, fmt), fmt))
    assert to_ordinal(values, fmt).tolist() == list(range(centre - 3, centre + 4))
    assert values[2] < point < values[4]


@every_format
def test_around_zero_are_both_zeros(fmt: Format) -> None:
    tiny = fmt.smallest_subnormal
    for zero in (0.0, -0.0):
        assert same(around([zero], fmt, ulps=1), [-tiny, -0.0, 0.0, tiny])


@every_format
def test_around_stays_within_the_format(fmt: Format) -> None:
    below = float(from_ordinal(infinity_ordinal(fmt) - 2, fmt))
    assert same(around([fmt.max, math.inf, math.nan], fmt, ulps=1), [below, fmt.max, math.inf])
    assert same(around([-math.inf], fmt, ulps=2), [-math.inf, -fmt.max, -below])
    assert len(around([], fmt)) == 0


def test_a_point_past_the_range_stands_for_infinity() -> None:
    fmt = FORMATS["float16"]
    assert same(around([1e6], fmt, ulps=1), [fmt.max, math.inf])
    assert same(around([1e-30], fmt, ulps=0), [-0.0, 0.0])


@every_format
def test_approaching_halves_the_distance_down_to_one_ulp(fmt: Format) -> None:
    values = approaching([1.0], fmt)
    assert len(values) == 2 * fmt.precision + 1
    above = values[values > 1] - 1
    assert above.tolist() == [2.0 ** (1 - fmt.precision + k) for k in range(fmt.precision)]


@every_format
def test_format_landmarks_are_complete(fmt: Format) -> None:
    values = format_landmarks(fmt)
    signed = {(value, math.copysign(1.0, value)) for value in values.tolist()}
    largest_subnormal = fmt.smallest_normal - fmt.smallest_subnormal
    expected = [0.0, fmt.smallest_subnormal, largest_subnormal, fmt.smallest_normal, 1.0, fmt.max, math.inf]
    rounded = [math.log(fmt.max), math.sqrt(fmt.max), -math.log(fmt.smallest_subnormal), fmt.max / 2]
    for value in [*expected, *round_to(rounded, fmt).tolist()]:
        assert {(value, 1.0), (-value, -1.0)} <= signed
    assert np.isnan(values[-1])
    assert not np.isnan(values[:-1]).any()


@every_format
def test_format_landmarks_are_sorted_numbers_of_the_format_and_symmetric(fmt: Format) -> None:
    values = format_landmarks(fmt)[:-1]
    ordinals = to_ordinal(values, fmt)
    assert (np.diff(ordinals) > 0).sum() == len(values) - 2
    assert same(values, (-values[::-1]).tolist())
    assert {-2, -1, 0, 1, 2} <= set((ordinals - to_ordinal(1.0, fmt)).tolist())
