"""Cotangents: a product whose factors the dtype cannot hold says nothing of the op, any other says as much as ever."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gradcheck_suite.engine.judge import KINDS, REASONS, SEVERITIES, Verdicts, judge
from gradcheck_suite.engine.products import below_the_range
from gradcheck_suite.floats import Exact, format_of
from gradcheck_suite.formula.context import Context
from gradcheck_suite.formula.tape import Array
from tests.engine.toys import bend, run, serious, slope, toy


def exponential(m: Context, x: Array) -> Array:
    return m.exp(x)


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
def test_a_derivative_that_the_dtype_cannot_hold_is_no_defect_under_any_cotangent(dtype: str) -> None:
    """exp(-120) is 0 in float32, so 2^63 of it is 0 as well; 0 times exp(200) is NaN, for that is infinite."""
    found = serious(run(toy(torch.exp, exponential), dtype, "backward"))
    assert [f.message for f in found if f.fixed.get("cotangent")] == []


def test_a_loss_scale_must_lift_the_small_derivatives_of_float16() -> None:
    found = serious(run(toy(torch.exp, exponential), "float16", "backward"))
    lifted = [f for f in found if f.fixed.get("cotangent") == (2.0**15).hex()]
    assert "underflow" in {f.kind for f in lifted}


def test_a_cotangent_multiplied_in_the_wrong_order_is_found() -> None:
    """g*1e30*1e-30 overflows where both the derivative and its product with g are ordinary numbers."""
    op = toy(lambda x: bend(x, lambda x, g: g * 1e30 * (slope(x) * 1e-30)))
    kinds = {f.kind for f in serious(run(op, "float32", "backward")) if f.fixed.get("cotangent")}
    assert "overflow" in kinds


def verdicts(got: float, exact: float, dtype: str, cotangent: float) -> tuple[str, str, str]:
    fmt = format_of(dtype)
    product, derivative = (Exact.from_float64(np.array([v])) for v in (exact * cotangent, exact))
    computed = np.array([got])
    found: Verdicts = judge(computed, product, product, fmt, max_ulp=4.0)
    found = below_the_range(found, computed, (derivative, derivative), fmt, cotangent)
    return KINDS[found.kind[0]], SEVERITIES[found.severity[0]], REASONS[found.reason[0]]


def test_what_a_subnormal_derivative_or_cotangent_explains() -> None:
    tiny, scale = 1e-42, 2.0**63
    assert verdicts(0.0, tiny, "float32", scale) == ("underflow", "info", "subnormal")
    assert verdicts(2 * tiny * scale, tiny, "float32", scale) == ("inaccurate", "info", "subnormal")
    assert verdicts(1.0, tiny, "float32", scale)[1] == "major"
    assert verdicts(0.0, 1e-30, "float32", scale) == ("underflow", "critical", "")
    assert verdicts(0.0, 1e30, "float32", 2.0**-147) == ("underflow", "info", "subnormal")
    assert verdicts(0.0, 1e4, "float16", 2.0**-22) == ("underflow", "minor", "subnormal")
    assert verdicts(0.0, 1e-8, "float16", 2.0**15) == ("underflow", "critical", "")


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
def test_a_small_cotangent_must_not_be_multiplied_by_a_small_number_first(dtype: str) -> None:
    """g*2^-94*2^94 underflows under a g of 2^-63 in float32: the derivative and its product are ordinary numbers."""
    fmt = format_of(dtype)
    small = 2.0 ** (3 * fmt.emin // 4)
    op = toy(lambda x: bend(x, lambda x, g: g * small * (slope(x) / small)))
    found = [f for f in serious(run(op, dtype, "backward")) if f.kind == "underflow"]
    assert (2.0 ** (fmt.emin // 2)).hex() in {f.fixed.get("cotangent") for f in found}
