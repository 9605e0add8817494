"""Powers of two from bits."""

from __future__ import annotations

import numpy as np
import pytest

from gradcheck_suite.floats._bits import binade, pow2, scale


def test_powers_of_two_over_the_whole_range() -> None:
    exponents = np.arange(-1100, 1100, dtype=np.int64)
    with np.errstate(over="ignore"):
        expected = np.maximum(np.ldexp(1.0, exponents), 2.0**-1022)
    assert np.array_equal(pow2(exponents), expected)
    assert exponents[0] == -1100


@pytest.mark.parametrize("value", [1.5, -3.0, 5e-324, 1.7e308, 0.0, -0.0, np.inf])
def test_scaling_is_exact_also_where_the_power_is_out_of_range(value: float) -> None:
    exponents = np.arange(-2044, 2045, dtype=np.int64)
    with np.errstate(over="ignore"):
        expected = np.ldexp(value, exponents)
        scaled = scale(np.full(len(exponents), value), exponents)
    normal = (np.abs(expected) >= 2.0**-1022) | (expected == 0)
    assert np.array_equal(scaled[normal], expected[normal])
    assert (np.abs(scaled[~normal]) <= 2.0**-1022).all()


def test_binade() -> None:
    values = np.array([1.0, 1.999, -2.0, 0.3, 2.0**-1022, 2.0**-1023, 0.0, np.inf])
    assert binade(values).tolist() == [0, 0, 1, -2, -1022, -1023, -1023, 1024]
