"""The references are those ops: torch in float64 at ordinary inputs agrees to a few ulps, value and gradient."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from gradcheck_suite.floats import format_of, ulp_error
from gradcheck_suite.formula.points import bind, exact_points
from gradcheck_suite.ops import activations  # noqa: F401  registers the ops
from gradcheck_suite.ops.record import Op
from gradcheck_suite.ops.registry import registry

FMT = format_of("float64")
OPS = [op for op in registry() if op.family == "activation" and op.pointwise and len(op.inputs) == 1]
VARIANTS = [pytest.param(op, v, id=op.label(v)) for op in OPS for v in op.variants]

ONE_INPUT = {
    "identity", "threshold", "relu", "relu6", "hardtanh", "hardsigmoid", "hardswish", "leaky_relu", "rrelu", "elu",
    "selu", "celu", "gelu", "silu", "mish", "sigmoid", "logsigmoid", "tanh", "softplus", "softsign", "tanhshrink",
    "softshrink", "hardshrink",
}  # fmt: skip


def test_all_are_registered() -> None:
    assert {op.name for op in OPS} >= ONE_INPUT


@pytest.mark.parametrize(("op", "variant"), VARIANTS)
def test_torch_agrees_at_ordinary_inputs(op: Op, variant: dict[str, Any]) -> None:
    x = np.array([-1.75, -0.8, -0.31, 0.29, 0.77, 1.5])
    if op.documented is not None:
        x = x[~np.asarray(op.documented(op.params(variant), {"input": x}), dtype=bool)]
    t = torch.from_numpy(x).requires_grad_()
    y = op.call(t, **variant)
    (g,) = torch.autograd.grad(y, t, torch.ones_like(y))
    formula = bind(op.formula, op.params(variant), op.reals(variant))
    points = exact_points(formula, {"input": x}, FMT, wrt=("input",), order=1)
    for got, column in ((y, "value"), (g, "d:input")):
        exact = points.columns[column]
        error, _ = ulp_error(got.detach().numpy(), exact, FMT)
        scale = np.maximum(np.abs(exact.to_float64()), 1e-300)
        absolute = np.abs(got.detach().numpy() - exact.to_float64())
        # torch keeps some constants of celu in float32; the harness judges that, this test only tells ops apart.
        assert np.all((error <= 64) | (absolute < 1e-6 * scale)), (column, error)


@pytest.mark.parametrize(("op", "variant"), VARIANTS)
def test_module_and_inplace_forms_are_the_same_op(op: Op, variant: dict[str, Any]) -> None:
    x = torch.tensor([-1.75, -0.8, -0.31, 0.29, 0.77, 1.5])
    y = op.call(x.clone(), **variant)
    if op.module is not None:
        assert torch.equal(op.module(**variant)(x.clone()), y)
    if op.inplace is not None:
        assert torch.equal(op.inplace(x.clone(), **variant), y)
    for twin in op.twins:
        assert torch.equal(twin(x.clone(), **variant), y)


def test_labels_read_well() -> None:
    softplus = registry().get("softplus")
    assert softplus.label({"beta": 10.0}) == "softplus[beta=10]"
    assert softplus.label({}) == "softplus"
    assert softplus.callable_name == "torch.nn.functional.softplus"


WITH_OUT = ("threshold", "gelu", "sigmoid", "logsigmoid", "tanh", "softplus", "softshrink", "hardshrink")


def test_every_out_form_of_torch_is_a_form_of_its_op() -> None:
    assert {op.name for op in registry() if op.name in ONE_INPUT and op.out is not None} == set(WITH_OUT)


@pytest.mark.parametrize("name", WITH_OUT)
def test_an_out_form_computes_the_same(name: str) -> None:
    op = registry().get(name)
    x = torch.linspace(-3, 3, 64, dtype=torch.float64)
    assert op.out is not None
    for variant in op.variants:
        result = torch.empty_like(x)
        assert op.out(x, **variant, out=result) is result
        assert torch.equal(result, op.call(x, **variant))
