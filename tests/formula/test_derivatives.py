"""Losses and special functions: both arithmetics agree, and derivatives match differences of values.

The difference quotients are taken by mpmath at so many bits that their error is far below 2^-100: no tape, no
derivative rule takes part in them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mpmath
import numpy as np
import pytest

from gradcheck_suite.floats import Exact
from gradcheck_suite.formula.evaluate import reference_mpmath
from gradcheck_suite.formula.points import bind, exact_points
from gradcheck_suite.inputs.targets import tuples
from gradcheck_suite.ops.landscape import landscape_of
from gradcheck_suite.ops.record import Op
from gradcheck_suite.ops.registry import registry
from gradcheck_suite.ops.variants import at_variant
from tests.formula.agreement import FMT, assert_agreement

_STEP = 300
_BITS = 4000

_LOSSES = (
    "l1_loss", "mse_loss", "smooth_l1_loss", "huber_loss", "binary_cross_entropy",
    "binary_cross_entropy_with_logits", "kl_div", "poisson_nll_loss", "gaussian_nll_loss", "soft_margin_loss",
    "hinge_embedding_loss", "margin_ranking_loss",
)  # fmt: skip
_OPS = [op for op in registry() if op.name in _LOSSES or (op.family == "special" and op.pointwise)]
CASES = [
    pytest.param(at_variant(op, variant), variant, id=op.label(variant))
    for op in _OPS
    for variant in op.variants
    if at_variant(op, variant).pointwise
]


def sample(op: Op, variant: Mapping[str, Any], count: int) -> dict[str, Any]:
    """Finite points of the op, spread over its own hard ones."""
    if len(op.inputs) + len(op.extras) == 1:
        rng = np.random.RandomState(7)
        x = np.concatenate(
            [rng.normal(size=8), rng.normal(size=6) * 9, [1e-20, -1e-20, 2.0**-40, 26.5, -30.0, 0.25, 0.9375]]
        )
        values = {
            op.inputs[0]: x if op.domain is None else x[op.domain(op.params(variant), {op.inputs[0]: x})]
        }
    else:
        values = tuples(FMT, landscape_of(op, op.params(variant)), 300, 1).values
        sizes = np.array([np.abs(x) for x in values.values()])
        keep = np.flatnonzero(((sizes == 0) | ((sizes > 2.0**-60) & (sizes < 2.0**60))).all(axis=0))
        values = {n: x[keep[:: max(len(keep) // count, 1)]] for n, x in values.items()}
    return values


def exact(op: Op, variant: Mapping[str, Any], values: Mapping[str, Any], order: int) -> tuple[Any, Any]:
    formula = bind(op.formula, op.params(variant), op.reals(variant), op.extras)
    return formula, exact_points(formula, values, FMT, wrt=op.inputs, order=order)


@pytest.mark.parametrize(("op", "variant"), CASES)
def test_arb_and_mpmath_agree(op: Op, variant: dict[str, Any]) -> None:
    assert_agreement(op, variant, sample(op, variant, 12))


def number(exact_value: Exact) -> Any:
    return mpmath.ldexp(
        mpmath.mpf(float(exact_value.hi[0])) + float(exact_value.lo[0]), int(exact_value.exp[0])
    )


def difference(formula: Any, point: Mapping[str, float], name: str, order: int) -> Any:
    with mpmath.workprec(_BITS):
        h = mpmath.ldexp(abs(mpmath.mpf(point[name])) or mpmath.mpf(1), -_STEP)

        def value(k: int) -> Any:
            there = mpmath.mpf(point[name]) + k * h
            man, exp = there.man_exp  # the magnitude's: mpmath keeps the sign apart
            moved = {**point, name: (int(man) if there > 0 else -int(man), int(exp))}
            return reference_mpmath(formula, moved, wrt=(), order=0, bits=_BITS)["value"]

        return (
            (value(1) - value(-1)) / (2 * h) if order == 1 else (value(1) - 2 * value(0) + value(-1)) / h**2
        )


@pytest.mark.parametrize(("op", "variant"), CASES)
def test_derivatives_match_differences_of_values(op: Op, variant: dict[str, Any]) -> None:
    values = sample(op, variant, 6)
    formula, points = exact(op, variant, values, 2)
    compared = 0
    for order, column in ((k, f"{'d' * k}:{n}") for n in op.inputs for k in (1, 2)):
        name = column.partition(":")[2]
        for i in np.flatnonzero(~points.tie & ~points.undefined[column]):
            point = {n: float(x[i]) for n, x in values.items()}
            if name == "var" and point["var"] <= float(op.params(variant)["eps"]):
                continue  # the documented clamp hides the variance from the value, not from the derivative
            want = difference(formula, point, name, order)
            with mpmath.workprec(600):
                got, size = number(points.columns[column][int(i)]), max(abs(want), mpmath.mpf(2) ** -1070)
                if not mpmath.isfinite(got) or mpmath.isnan(want):
                    continue  # a pole, or a step that leaves the domain
                assert abs(got - want) <= size * 2.0**-60, (column, point, got, want)
            compared += 1
    assert compared >= 2 * len(op.inputs)


def test_a_difference_would_notice_a_wrong_derivative() -> None:
    """The check itself: erfcx has the derivative 2 x erfcx(x) - 2/sqrt(pi), not 2 x erfcx(x)."""
    want = difference(lambda m, x: m.erfcx(x), {"x": 0.5}, "x", 1)
    with mpmath.workprec(200):
        rule = mpmath.exp(mpmath.mpf(0.25)) * mpmath.erfc(0.5)
        assert abs(want - (rule - 2 / mpmath.sqrt(mpmath.pi))) < 1e-30
        assert abs(want - rule) > 1
