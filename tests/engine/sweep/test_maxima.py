"""The largest error that a sweep states, by another cut of the floats and by a plain loop in mpmath."""

from __future__ import annotations

import pytest

from tests.benchmarks.maxima import DIRECTIONS, maxima


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("op", ["tanh", "silu", "softplus"])
def test_the_largest_error_is_found_again(op: str, dtype: str) -> None:
    found = maxima(op, dtype)
    assert [m.direction for m in found] == list(DIRECTIONS)
    for maximum in found:
        assert maximum.swept[0] > 0.4
        assert maximum.agrees, maximum
