"""The sample of a one-input op."""

from __future__ import annotations

import numpy as np
import pytest

from gradcheck_suite.floats import FORMATS, all_values, round_to, to_ordinal
from gradcheck_suite.inputs import around, format_landmarks, sample
from gradcheck_suite.inputs.pointwise import WINDOW


@pytest.mark.parametrize("name", ["float16", "bfloat16"])
def test_short_formats_are_exhausted(name: str) -> None:
    fmt = FORMATS[name]
    assert np.array_equal(sample(fmt, [0.5], 100, 0), all_values(fmt), equal_nan=True)


@pytest.mark.parametrize("name", ["float32", "float64"])
def test_a_sample_holds_landmarks_and_every_binade(name: str) -> None:
    fmt = FORMATS[name]
    values = sample(fmt, around([0.1, 20.0], fmt), 6000, seed=0)
    numbers = values[~np.isnan(values)]
    expected = np.concatenate([format_landmarks(fmt), around([0.1, 20.0], fmt)])
    assert np.isin(expected[~np.isnan(expected)], numbers).all()
    assert np.isnan(values[-1])
    assert len(values) - len(numbers) == 1
    steps = np.diff(to_ordinal(numbers, fmt))
    assert (steps == 0).sum() == 1  # the two zeros
    assert (steps >= 0).all()
    finite = numbers[np.isfinite(numbers) & (numbers != 0)]
    for side in (finite[finite > 0], finite[finite < 0]):
        octaves = set((np.frexp(side)[1] - 1).tolist())
        assert octaves == set(range(fmt.ulp_exponent_min, fmt.emax + 1))
    assert 5400 < len(values) <= 6000


def test_what_the_budget_leaves_goes_where_functions_change() -> None:
    fmt = FORMATS["float32"]
    small, large = (sample(fmt, [], count, seed=0) for count in (1500, 8000))
    for values in (small, large):
        central = (np.abs(values) >= 2.0**-24) & (np.abs(values) < 2.0**11)
        assert central.sum() > len(values) / 3
    assert len(small) <= 1500
    assert len(large) > 7500


def test_landmarks_are_rounded_to_the_format() -> None:
    fmt = FORMATS["float32"]
    values = sample(fmt, [0.1, 1e300, np.pi], 1500, seed=0)
    assert np.isin(round_to([0.1, np.pi], fmt), values).all()
    assert 0.1 not in values


def test_a_small_budget_leaves_out_no_binade_and_no_landmark() -> None:
    fmt = FORMATS["float64"]
    values = sample(fmt, [0.1], 10, seed=0)
    assert 0.1 in values
    octaves = set((np.frexp(values[np.isfinite(values) & (values > 0)])[1] - 1).tolist())
    assert octaves == set(range(-1074, 1024))


@pytest.mark.parametrize("name", ["float64", "float32", "float16", "bfloat16"])
def test_a_sample_holds_the_window_that_textbooks_draw(name: str) -> None:
    fmt = FORMATS[name]
    window = np.arange(-64, 65) / 8
    assert np.array_equal(round_to(window, fmt), window)
    assert np.isin(window, sample(fmt, [], 600, 0)).all()


@pytest.mark.parametrize("name", ["float32", "float64"])
def test_a_sample_repeats(name: str) -> None:
    fmt = FORMATS[name]
    first, again, other = (sample(fmt, [], 2000, seed) for seed in (4, 4, 5))
    assert np.array_equal(first, again, equal_nan=True)
    drawn = np.setdiff1d(first, np.concatenate([format_landmarks(fmt), WINDOW]))
    assert np.isin(drawn, other).mean() < 0.1
