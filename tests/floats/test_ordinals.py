"""Ordinals, rounding and the list of all 16-bit values, against numpy's and torch's own conversions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gradcheck_suite.floats import (
    FORMATS,
    Format,
    all_values,
    from_ordinal,
    infinity_ordinal,
    round_to,
    to_ordinal,
)

ALL = list(FORMATS.values())
SIXTEEN = [FORMATS["float16"], FORMATS["bfloat16"]]
TORCH = {name: getattr(torch, name) for name in FORMATS}

every_format = pytest.mark.parametrize("fmt", ALL, ids=lambda fmt: fmt.name)
every_short_format = pytest.mark.parametrize("fmt", SIXTEEN, ids=lambda fmt: fmt.name)


def bit_patterns(fmt: Format) -> NDArray[np.float64]:
    patterns = torch.arange(2**16, dtype=torch.int32).to(torch.int16)
    return patterns.view(TORCH[fmt.name]).double().numpy()


@every_short_format
def test_all_values_are_the_bit_patterns_in_order(fmt: Format) -> None:
    values, patterns = all_values(fmt), bit_patterns(fmt)
    numbers = values[~np.isnan(values)]
    assert np.array_equal(np.sort(values), np.sort(patterns), equal_nan=True)
    assert np.isnan(values[len(numbers) :]).all()
    zero = len(numbers) // 2
    assert (numbers[zero - 1 : zero + 1] == 0).all()
    assert np.signbit(numbers[:zero]).all()
    assert not np.signbit(numbers[zero:]).any()
    assert np.array_equal(to_ordinal(numbers[zero:], fmt), np.arange(infinity_ordinal(fmt) + 1))
    assert np.array_equal(to_ordinal(numbers[:zero], fmt), np.arange(-infinity_ordinal(fmt), 1))


@pytest.mark.parametrize("name", ["float32", "float64"])
def test_only_short_formats_are_listed(name: str) -> None:
    with pytest.raises(ValueError, match="only 16-bit formats"):
        all_values(FORMATS[name])


@every_format
def test_landmarks_have_their_ordinals(fmt: Format) -> None:
    values = [
        0.0,
        -0.0,
        fmt.smallest_subnormal,
        fmt.smallest_normal,
        -fmt.smallest_normal,
        fmt.max,
        np.inf,
        -np.inf,
    ]
    first_normal, top = 2 ** (fmt.precision - 1), infinity_ordinal(fmt)
    expected = [0, 0, 1, first_normal, -first_normal, top - 1, top, -top]
    assert to_ordinal(values, fmt).tolist() == expected
    assert from_ordinal(expected, fmt).tolist() == values


@every_format
@settings(derandomize=True, deadline=None)
@given(data=st.data())
def test_neighbours_in_ordinals_are_neighbours_in_the_format(fmt: Format, data: st.DataObject) -> None:
    ordinal = data.draw(st.integers(-infinity_ordinal(fmt), infinity_ordinal(fmt) - 1))
    low, high = from_ordinal([ordinal, ordinal + 1], fmt).tolist()
    assert low < high
    assert to_ordinal([low, high], fmt).tolist() == [ordinal, ordinal + 1]
    if fmt.name == "bfloat16":
        return
    dtype = np.dtype(fmt.name).type
    with np.errstate(over="ignore"):
        assert float(np.nextafter(dtype(low), dtype(np.inf))) == high


@every_format
@pytest.mark.parametrize("value", [np.nan, 1 + 2.0**-60, 1e-60, 1e300])
def test_what_the_format_does_not_hold_has_no_ordinal(fmt: Format, value: float) -> None:
    if value == value and round_to(value, fmt) == value:
        return
    with pytest.raises(ValueError, match=f"is not a {fmt.name} number"):
        to_ordinal([1.0, value], fmt)


@every_format
def test_ordinals_end_at_infinity(fmt: Format) -> None:
    for ordinal in (infinity_ordinal(fmt) + 1, -infinity_ordinal(fmt) - 1):
        with pytest.raises(ValueError, match="lie between"):
            from_ordinal(ordinal, fmt)


def float64_sample() -> NDArray[np.float64]:
    """Random bits, and every binade of the narrower formats with its neighbourhood of ties."""
    rng = np.random.default_rng(20240601)
    bits = rng.integers(0, 2**64, 100_000, dtype=np.uint64).view(np.float64)
    spread = np.ldexp(rng.uniform(-2, 2, 200_000), rng.integers(-170, 135, 200_000))
    halfway = np.ldexp(rng.integers(0, 2**12, 200_000) * 2.0 + 1, rng.integers(-170, 125, 200_000))
    special = np.array([0.0, -0.0, np.inf, -np.inf, np.nan])
    beside = np.concatenate([np.nextafter(halfway, np.inf), np.nextafter(halfway, -np.inf)])
    return np.concatenate([bits, spread, halfway, -halfway, beside, special])


@pytest.mark.parametrize("name", ["float32", "float16"])
def test_rounding_is_that_of_numpy(name: str) -> None:
    values = float64_sample()
    with np.errstate(over="ignore", invalid="ignore"):
        expected = values.astype(name).astype(np.float64)
    rounded = round_to(values, FORMATS[name])
    assert np.array_equal(rounded, expected, equal_nan=True)
    numbers = ~np.isnan(values)
    assert np.array_equal(np.signbit(rounded[numbers]), np.signbit(values[numbers]))


def test_rounding_to_bfloat16_is_that_of_torch_from_float32() -> None:
    values = round_to(float64_sample(), FORMATS["float32"])
    expected = torch.from_numpy(values).float().bfloat16().double().numpy()
    assert np.array_equal(round_to(values, FORMATS["bfloat16"]), expected, equal_nan=True)


def test_rounding_to_bfloat16_is_not_done_twice() -> None:
    # A hair above a tie: rounding to float32 first would end on the tie, and then on the even neighbour.
    assert round_to(1 + 2.0**-8 + 2.0**-40, FORMATS["bfloat16"]) == 1 + 2.0**-7


def test_rounding_to_float64_is_a_copy() -> None:
    values = np.array([0.1, -0.0, np.inf, 5e-324])
    rounded = round_to(values, FORMATS["float64"])
    assert np.array_equal(rounded, values)
    assert not np.shares_memory(rounded, values)
