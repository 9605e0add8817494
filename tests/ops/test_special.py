"""The references are those functions: torch in float64 at ordinary inputs agrees, value and gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from gradcheck_suite.engine.calls import pointwise
from gradcheck_suite.floats import format_of
from gradcheck_suite.formula.points import bind, exact_points
from gradcheck_suite.ops.record import Op
from gradcheck_suite.ops.registry import registry

FMT = format_of("float64")
NAMES = {
    "exp2", "expm1", "log1p", "logit", "entr", "xlogy", "xlog1py", "logaddexp", "logaddexp2", "erf", "erfc",
    "erfcx", "erfinv", "ndtr", "log_ndtr", "ndtri", "sinc", "clamp",
}  # fmt: skip
OPS = [op for op in registry() if op.name in NAMES]
VARIANTS = [pytest.param(op, v, id=op.label(v)) for op in OPS for v in op.variants]


def ordinary(op: Op, variant: dict[str, Any]) -> dict[str, Any]:
    line = np.array([-2.3, -1.25, -0.8, -0.31, 0.04, 0.29, 0.46, 0.77, 0.93, 1.5, 3.25])
    grid = np.meshgrid(*[line] * len(op.inputs))
    values = {n: x.ravel() for n, x in zip(op.inputs, grid, strict=True)}
    keep = np.ones(line.size ** len(op.inputs), dtype=bool)
    if op.domain is not None:
        keep &= np.asarray(op.domain(op.params(variant), values), dtype=bool)
    return {n: x[keep] for n, x in values.items()}


def test_all_are_registered_as_extended() -> None:
    assert {op.name for op in OPS if op.tier == "extended"} == NAMES


@pytest.mark.parametrize(("op", "variant"), VARIANTS)
def test_torch_agrees_at_ordinary_inputs(op: Op, variant: dict[str, Any]) -> None:
    values = ordinary(op, variant)
    got = pointwise(op, variant, values, dtype="float64", order=2)
    formula = bind(op.formula, op.params(variant), op.reals(variant))
    points = exact_points(formula, values, FMT, wrt=op.inputs, order=2)
    for column, computed in got.columns.items():
        # Where a clamp to 1 - eps takes the logarithm of eps, torch's rounding of 1 - eps is magnified.
        tolerance = 64 if column == "value" and not variant.get("eps") else 2**20
        judged = ~points.undefined[column] & ~points.tie & np.isfinite(points.columns[column].to_float64())
        assert judged.any(), column
        exact = points.columns[column].to_float64()
        with np.errstate(invalid="ignore"):
            off = np.abs(computed - exact) / (np.maximum(np.abs(exact), 1.0) * 2.0**-52)
        # Derivatives that torch forms from rounded values lose a few digits; this test only tells functions
        # apart.
        assert off[judged].max() <= tolerance, column


@pytest.mark.parametrize(("op", "variant"), VARIANTS)
def test_other_forms_are_the_same_function(op: Op, variant: dict[str, Any]) -> None:
    values = [torch.from_numpy(x) for x in ordinary(op, variant).values()]
    y = op.call(*values, **variant)
    if op.inplace is not None:
        assert torch.equal(op.inplace(*(t.clone() for t in values), **variant), y)
    if op.out is not None:
        assert torch.equal(op.out(*values, **variant, out=torch.empty_like(y)), y)
    for twin in op.twins:
        assert torch.equal(twin(*values, **variant), y)
