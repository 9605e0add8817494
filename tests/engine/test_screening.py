"""What stands out of a computed curve is judged; a smooth one, however steep, has nothing that does."""

from __future__ import annotations

import numpy as np
import pytest

from gradcheck_suite.engine.screening import grid, suspects
from gradcheck_suite.floats import FORMATS, format_of, round_to

FMT = format_of("float32")


@pytest.mark.parametrize("dtype", list(FORMATS))
def test_a_grid_rises_through_all_normal_binades_of_the_format(dtype: str) -> None:
    fmt = format_of(dtype)
    x = grid(fmt, 16)
    assert (np.diff(x) > 0).all()
    assert (round_to(x, fmt) == x).all()
    _, exponents = np.frexp(x[x > 0])
    assert set(exponents - 1) == set(range(fmt.emin, fmt.emax + 1))


def test_a_single_wrong_value_is_the_gravest_suspect() -> None:
    x = grid(FMT, 256)
    y = x / 2
    place = int(np.searchsorted(x, 0.7123))
    y[place] *= 1 + 2.0**-18
    assert suspects(x, y, FMT)[0] == place


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("floats", [1, 2, 5, 40])
def test_a_step_of_a_few_units_stands_out_of_a_rounded_curve(dtype: str, floats: int) -> None:
    """In binary64 the curve itself leaves a line through neighbours by 10^5 times as much."""
    fmt = format_of(dtype)
    x = grid(fmt, 2**15)
    y = np.tanh(x)
    at = int(np.searchsorted(x, 0.613))
    y[at : at + floats] *= 1 + 24 * fmt.unit_roundoff
    found = suspects(x, round_to(y, fmt), fmt)
    assert at in found
    assert at + floats - 1 in found


def test_a_grid_holds_the_numbers_that_people_write() -> None:
    written = round_to([0.1, 0.5, 2.5, 37.0, 0.044, -20.0, 1000.0, np.pi, -np.log(2.0)], FMT)
    assert np.isin(written, grid(FMT, 64)).all()


def test_where_a_curve_ceases_to_be_finite() -> None:
    x = grid(FMT, 64)
    y = np.where(x > 20, np.nan, x)
    assert int(np.searchsorted(x, 20, side="right")) in suspects(x, y, FMT)


@pytest.mark.parametrize("function", [np.exp, np.tanh, lambda x: x * x * x, np.zeros_like])
def test_smooth_curves_have_few_suspects(function: np.ufunc) -> None:
    x = grid(FMT, 1024)
    x = x[np.abs(x) < 80]
    assert len(suspects(x, round_to(function(x), FMT), FMT)) < 12
