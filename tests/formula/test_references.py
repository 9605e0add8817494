"""Every one-input reference: arb against mpmath, and its derivatives against an independent differentiation."""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np
import pytest

from gradcheck_suite.formula.evaluate import confirmation_bits, reference_mpmath
from gradcheck_suite.formula.points import bind, exact_points
from gradcheck_suite.inputs import landmarks
from gradcheck_suite.ops.record import Op
from gradcheck_suite.ops.registry import registry
from tests.formula.agreement import FMT, assert_agreement

ONE_INPUT = [
    op for op in registry() if op.pointwise and len(op.inputs) == 1 and not op.extras and op.tier == "core"
]
VARIANTS = [pytest.param(op, v, id=op.label(v)) for op in ONE_INPUT for v in op.variants]


def points_of(op: Op, variant: dict[str, Any]) -> Any:
    rng = np.random.default_rng(7)
    near = rng.normal(size=12) * 10.0 ** rng.integers(-3, 3, 12)
    wide = np.ldexp(rng.uniform(1, 2, 16), rng.integers(-1074, 1023, 16)) * rng.choice([-1, 1], 16)
    fixed = [0.0, -0.0, 40.0, -40.0, 1e300, -1e300, 5e-324, np.inf, -np.inf]
    special = landmarks.around(list(op.landmarks(op.params(variant))), FMT, ulps=1)
    x = np.concatenate([near, wide, fixed, special])
    return (
        x
        if op.domain is None
        else x[np.asarray(op.domain(op.params(variant), {op.inputs[0]: x}), dtype=bool)]
    )


@pytest.mark.parametrize(("op", "variant"), VARIANTS)
def test_arb_and_mpmath_agree(op: Op, variant: dict[str, Any]) -> None:
    assert_agreement(op, variant, {op.inputs[0]: points_of(op, variant)})


def difference(formula: Any, name: str, x: float, order: int) -> Any:
    """A central difference at so many bits that its error is far below 2^-100: no tape, no jets, value only."""
    bits = 2000 + 4 * confirmation_bits([x])
    with mpmath.workprec(bits):
        h = mpmath.ldexp(abs(mpmath.mpf(x)), -400)

        def at(k: int) -> Any:
            there = mpmath.mpf(x) + k * h
            man, exp = there.man_exp  # the magnitude's: mpmath keeps the sign apart
            point = {name: (int(man) if there > 0 else -int(man), int(exp))}
            return reference_mpmath(formula, point, wrt=(), order=0, bits=bits)["value"]

        return (at(1) - at(-1)) / (2 * h) if order == 1 else (at(1) - 2 * at(0) + at(-1)) / h**2


@pytest.mark.parametrize(("op", "variant"), VARIANTS)
def test_derivatives_match_high_precision_differences(op: Op, variant: dict[str, Any]) -> None:
    formula = bind(op.formula, op.params(variant), op.reals(variant))
    name = op.inputs[0]
    rng = np.random.default_rng(11)
    x = np.concatenate([rng.normal(size=4), rng.normal(size=3) * 12, [1e-20, -1e-20, 37.0, -61.5]])
    points = exact_points(formula, {name: x}, FMT, wrt=op.inputs, order=2)
    for order, column in ((1, f"d:{name}"), (2, f"dd:{name}")):
        exact = points.columns[column]
        for i in np.flatnonzero(~points.tie & ~points.undefined[column]):
            want = difference(formula, name, float(x[i]), order)
            with mpmath.workprec(400):
                got = mpmath.ldexp(mpmath.mpf(float(exact.hi[i])) + float(exact.lo[i]), int(exact.exp[i]))
                size = max(abs(want), mpmath.mpf(2) ** -1070)
                assert abs(got - want) <= size * 2.0**-60, (column, x[i])


def test_difference_would_notice_a_wrong_derivative() -> None:
    """The check itself: a formula whose value is sin x has the difference cos x, not sin x."""
    want = difference(lambda m, x: m.sin(x), "x", 0.7, 1)
    assert abs(want - mpmath.cos(0.7)) < 1e-12
    assert abs(want - mpmath.sin(0.7)) > 0.1
