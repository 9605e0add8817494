"""Kernels against the ULP error of `floats`, which rational arithmetic verifies, and against each other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gradcheck_suite.engine.sweep.kernels import (
    BINS,
    Kernel,
    NumbaKernel,
    NumpyKernel,
    Piece,
    Scale,
    Tally,
    bin_edges,
    bins_of,
    bits_of,
)
from gradcheck_suite.floats import FORMATS, Exact, Format, round_to, ulp_error

FLOAT32 = FORMATS["float32"]


def kernel(name: str) -> Kernel:
    if name == "numba":
        pytest.importorskip("numba", reason="the extra numba is not installed")
        return NumbaKernel()
    return NumpyKernel()


def run(
    name: str, x: Any, got: Any, polynomial: list[float], fmt: Format = FLOAT32, **changes: float
) -> tuple[Tally, Any]:
    given = {"centre": 0.0, "inverse": 1.0, "half": 0.5, "suspicious": 4.0, **changes}
    histogram = np.zeros(BINS, dtype=np.int64)
    piece = Piece(polynomial=np.array(polynomial), **given)
    found = kernel(name).run(x, got.astype(np.float32), piece, Scale.of(fmt), histogram)
    return found, histogram


@pytest.mark.parametrize("name", ["numpy", "numba"])
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("scale", [1.0, 2.0**-130, 2.0**-14, 2.0**126])
def test_errors_are_those_of_floats(name: str, dtype: str, scale: float) -> None:
    fmt, rng = FORMATS[dtype], np.random.default_rng(3)
    x = round_to(rng.uniform(0.5, 1.5, 5000) * min(scale, fmt.max / 8), fmt)
    # 3x is exact in binary64; computed values are off by up to 20 ulp, some are infinite or NaN.
    exact = Exact.from_float64(3.0 * x)
    with np.errstate(over="ignore"):
        got = round_to(3.0 * x * (1 + rng.integers(-20, 21, len(x)) * 2.0**-fmt.precision), fmt)
    got[::97], got[::101], got[::103] = np.inf, -np.inf, np.nan
    want, _ = ulp_error(got, exact, fmt)
    want[np.isnan(got)] = np.nan
    found, histogram = run(name, x.astype(np.float32), got, [0.0, 3.0], fmt)
    known = ~np.isnan(want)
    counts = np.bincount(bins_of(want[known]), minlength=BINS)
    counts[-1] += np.count_nonzero(~known)
    assert np.array_equal(histogram, counts)
    assert found.rounded == np.count_nonzero(want <= 0.5)
    assert found.suspects.tolist() == np.flatnonzero(~(want <= 4.0)).tolist()
    assert np.isnan(want[found.at])


@pytest.mark.parametrize("name", ["numpy", "numba"])
def test_exact_values_past_the_limit_are_the_limit(name: str) -> None:
    x = np.array([1.0, 1.0, 1.0, -1.0, 1.0], dtype=np.float32)
    got = np.array([np.inf, FLOAT32.max, 1.0, -np.inf, -np.inf])
    _, histogram = run(name, x, got, [0.0, 2.0**200])
    exact = Exact.from_float64(x.astype(np.float64) * 2.0**200)
    assert np.array_equal(histogram, np.bincount(bins_of(ulp_error(got, exact, FLOAT32)[0]), minlength=BINS))


@pytest.mark.parametrize("name", ["numpy", "numba"])
def test_the_first_of_the_largest_errors_is_told(name: str) -> None:
    x = np.arange(1, 1001, dtype=np.float32)
    got = np.full(1000, 3.0)
    got[[650, 700]] = 5e4
    found, _ = run(name, x, got, [3.0])
    assert (found.at, found.worst) == (650, bits_of((5e4 - 3) * 2.0**22))


@pytest.mark.parametrize("size", [1, 3, 511, 512, 513, 4097, 70_000])
def test_both_kernels_agree_on_every_length(size: int) -> None:
    rng = np.random.default_rng(size)
    x = rng.uniform(-1, 1, size).astype(np.float32)
    polynomial = rng.standard_normal(7).tolist()
    got = np.polynomial.polynomial.polyval(x.astype(np.float64), polynomial).astype(np.float32)
    got[:: max(size // 3, 1)] *= np.float32(1.00001)
    told = []
    for name in ("numpy", "numba"):
        found, histogram = run(name, x, got, polynomial, suspicious=1.0)
        told.append((found.rounded, found.worst, found.at, found.suspects.tolist(), histogram.tolist()))
    assert told[0] == told[1]


@pytest.mark.parametrize("name", ["numpy", "numba"])
def test_errors_too_small_for_a_bin_are_counted_like_others(name: str) -> None:
    x = np.ones(2000, dtype=np.float32)
    values = np.full(2000, 1 + 2.0**-23)
    values[1500:] = 1 + 2.0**-22
    found, histogram = run(name, x, values, [1 + 2.0**-23 + 2.0**-29])
    assert (found.rounded, found.at, histogram[0], histogram.sum()) == (1500, 1500, 1500, 2000)
    stricter, _ = run(name, x, values, [1 + 2.0**-23 + 2.0**-29], half=2.0**-7, suspicious=2.0**-7)
    assert (stricter.rounded, stricter.suspects.tolist()) == (0, list(range(2000)))


@pytest.mark.parametrize("name", ["numpy", "numba"])
@pytest.mark.parametrize("polynomial", [[1.0, 2.0, -0.5], [2.0**130, 2.0**127], [-(2.0**-140), 2.0**-149]])
def test_a_second_look_gives_the_same_errors_and_the_values(name: str, polynomial: list[float]) -> None:
    rng = np.random.default_rng(2)
    x = rng.uniform(-1, 1, 1300).astype(np.float32)
    exact = np.polynomial.polynomial.polyval(x.astype(np.float64), polynomial)
    with np.errstate(over="ignore"):
        got = (exact * (1 + rng.integers(-9, 10, len(x)) * 2.0**-23)).astype(np.float32)
    got[::97], got[::101], got[::103] = np.inf, -np.inf, np.nan
    piece = Piece(centre=0.0, inverse=1.0, polynomial=np.array(polynomial), half=0.5, suspicious=4.0)
    values, errors = kernel(name).closely(x.astype(np.float64), got, piece, Scale.of(FLOAT32))
    want, _ = ulp_error(got.astype(np.float64), Exact.from_float64(exact), FLOAT32)
    known = ~np.isnan(got)
    assert np.array_equal(values, exact)
    assert np.array_equal(errors[known], want[known])
    assert np.isnan(errors[~known]).all()


@pytest.mark.parametrize("name", ["numpy", "numba"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("polynomial", [[1.0, 2.0, -0.5], [0.0, 2.0**128], [0.0, -(2.0**-126)]])
def test_ranges_are_those_of_moved_inputs(name: str, dtype: str, polynomial: list[float]) -> None:
    fmt, rng, step = FORMATS[dtype], np.random.default_rng(4), 2.0**-5
    x = round_to(rng.uniform(-1, 1, 700), fmt)
    piece = Piece(centre=0.25, inverse=2.0, polynomial=np.array(polynomial), half=0.5, suspicious=4.0)

    def at(moved: Any) -> Any:
        return np.polynomial.polynomial.polyval((moved - 0.25) * 2.0, polynomial)

    exact = at(x)
    got = round_to(exact * (1 + rng.uniform(-0.2, 0.2, len(x))), fmt)
    got[::97], got[::101], got[::103] = np.inf, -np.inf, np.nan
    ends = [round_to(v, fmt) for v in (exact, at(x * (1 - step)), at(x * (1 + step)))]
    low, high = np.min(ends, axis=0), np.max(ends, axis=0)
    with np.errstate(invalid="ignore", over="ignore"):
        want = got >= round_to(low - np.abs(low) * step, fmt)
        want &= got <= round_to(high + np.abs(high) * step, fmt)
    assert 50 < np.count_nonzero(want) < len(x) - 50
    assert np.array_equal(kernel(name).within(x, got, exact, piece, step, fmt), want)


@pytest.mark.parametrize("name", ["numpy", "numba"])
def test_polynomials_are_evaluated_in_binary64(name: str) -> None:
    # In float32 the difference from the centre would lose half of its digits.
    centre = 1.0 + 2.0**-30
    x = (1 + np.arange(64) * 2.0**-23).astype(np.float32)
    values = (x.astype(np.float64) - centre) * 2.0**20 + 1
    found, _ = run(name, x, values, [1.0, 1.0], centre=centre, inverse=2.0**20)
    assert found.rounded == 64


def test_bins_are_eighths_of_octaves() -> None:
    edges = bin_edges()
    assert len(edges) == BINS - 1
    assert edges[0] == 2.0**-5
    assert 1.0 in edges
    assert np.array_equal(edges[8:], 2 * edges[:-8])
    assert bins_of(np.array([0.0, 2.0**-5, 1.0, np.inf])).tolist() == [0, 1, 41, BINS - 1]
    assert bins_of(edges).tolist() == list(range(1, BINS))
