"""Points from a cover against the same points one by one: the same verdict-relevant facts, ties and NaN
included.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gradcheck_suite.floats import FORMATS, all_values, round_exact, ulp_error
from gradcheck_suite.formula import taylor
from gradcheck_suite.formula.cover import HALF
from gradcheck_suite.formula.covered import covered_points
from gradcheck_suite.formula.points import bind, exact_points
from gradcheck_suite.ops.registry import registry


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize(
    ("name", "variant"), [("silu", {}), ("hardshrink", {}), ("softplus", {"beta": 10.0}), ("relu6", {})]
)
def test_every_16_bit_float_has_the_same_points(name: str, variant: dict[str, Any], dtype: str) -> None:
    op, fmt = registry().get(name), FORMATS[dtype]
    formula = bind(op.formula, op.params(variant), op.reals(variant))
    x = all_values(fmt)
    # Every eleventh, and all that are beside a kink, 0, infinite or NaN.
    keep = np.arange(len(x)) % 11 == 0
    keep |= ~np.isfinite(x) | (np.abs(x) < 1e-6) | np.isin(np.abs(x), [0.5, 6.0])
    x = x[keep]
    cover = taylor.build(formula, HALF, order=1)
    found = covered_points(cover, formula, {"input": x}, fmt, order=1)
    want = exact_points(formula, {"input": x}, fmt, wrt=("input",), order=1)
    assert np.array_equal(found.tie, want.tie)
    assert np.array_equal(found.nan_expected, want.nan_expected)
    assert found.vertices.keys() == want.vertices.keys()
    for column in want.columns:
        assert np.array_equal(found.undefined[column], want.undefined[column])
        assert np.array_equal(found.open[column], want.open[column])
        for side in ("columns", "lower", "upper"):
            ours, theirs = getattr(found, side)[column], getattr(want, side)[column]
            rounded = round_exact(theirs, fmt)
            assert np.array_equal(round_exact(ours, fmt), rounded, equal_nan=True)
            # Measured from the same computed value, both give the same error.
            with np.errstate(invalid="ignore"):
                gap = np.abs(ulp_error(rounded, ours, fmt)[0] - ulp_error(rounded, theirs, fmt)[0])
            assert np.nanmax(np.where(np.isfinite(rounded), gap, 0.0)) < 1e-6


def test_a_cover_without_blocks_leaves_everything_to_balls() -> None:
    op, fmt = registry().get("silu"), FORMATS["float16"]
    formula = bind(op.formula, {}, {})
    x = np.array([0.5, 1.0, np.inf, np.nan, np.nan])
    nothing = taylor.build(lambda m, x: m.stop(x), HALF, order=1)
    found = covered_points(nothing, formula, {"input": x}, fmt, order=1)
    want = exact_points(formula, {"input": x}, fmt, wrt=("input",), order=1)
    for column in want.columns:
        got = found.columns[column].to_float64()
        assert np.array_equal(got, want.columns[column].to_float64(), equal_nan=True)
