"""The references are those losses: torch in float64 at ordinary inputs agrees, options and reductions
included.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from gradcheck_suite.engine.calls import pointwise
from gradcheck_suite.floats import format_of, ulp_error
from gradcheck_suite.formula.points import bind, exact_points
from gradcheck_suite.inputs.targets import tuples
from gradcheck_suite.ops.landscape import landscape_of
from gradcheck_suite.ops.record import Op
from gradcheck_suite.ops.registry import registry
from gradcheck_suite.ops.variants import at_variant
from tests.ops.samples import worst_errors

FMT = format_of("float64")
LOSSES = {
    "l1_loss", "mse_loss", "smooth_l1_loss", "huber_loss", "binary_cross_entropy",
    "binary_cross_entropy_with_logits", "kl_div", "poisson_nll_loss", "gaussian_nll_loss", "soft_margin_loss",
    "hinge_embedding_loss", "margin_ranking_loss",
}  # fmt: skip
_OPS = [op for op in registry() if op.name in LOSSES]
EACH = [
    pytest.param(op, v, id=op.label(v)) for op in _OPS for v in op.variants if v.get("reduction") == "none"
]
REDUCED = [
    pytest.param(op, v, id=op.label(v)) for op in _OPS for v in op.variants if v.get("reduction") != "none"
]


NAN_AT_0 = {("kl_div", "d:target"), ("poisson_nll_loss", "d:target")}
"""Where torch forms 0 log 0 in the gradient of a target of 0: the harness reports that, this test passes it
over.
"""


def ordinary(op: Op, variant: dict[str, Any]) -> dict[str, Any]:
    """Points of middling size, away from kinks and from the ends of a domain; nothing cancels below a
    hundredth.
    """
    values = tuples(FMT, landscape_of(op, op.params(variant)), 600, 0).values
    sizes = np.array([np.abs(x) for x in values.values()])
    keep = ((sizes > 0.01) & (sizes < 16)).all(axis=0)
    if op.domain is not None:
        keep &= np.abs(sizes[0] - 1) > 0.01
    names = list(op.inputs)
    if len(names) > 1:
        x, y = (np.where(keep, values[n], 0.0) for n in names[:2])
        keep &= np.abs(x - y) > 0.01 * (np.abs(x) + np.abs(y))
        for offset in op.offsets(op.params(variant)):
            keep &= np.abs(np.abs(x - y) - abs(offset)) > 1e-6
    return {n: x[keep] for n, x in values.items()}


@pytest.mark.parametrize(("op", "variant"), EACH)
def test_torch_agrees_entry_by_entry(op: Op, variant: dict[str, Any]) -> None:
    """The error is measured in ulps of 1 where a result is less: it may be a small difference of numbers near
    1.
    """
    called = at_variant(op, variant)
    values = ordinary(called, variant)
    assert len(values[called.inputs[0]]) >= 20
    order = 2
    got = pointwise(called, variant, values, dtype="float64", order=order)
    formula = bind(called.formula, called.params(variant), called.reals(variant), called.extras)
    points = exact_points(formula, values, FMT, wrt=called.inputs, order=order)
    assert set(got.columns) == set(points.columns)
    for column, computed in got.columns.items():
        judged = ~points.undefined[column] & ~points.tie
        assert judged.any(), column
        exact = points.columns[column].to_float64()
        with np.errstate(invalid="ignore"):
            off = np.abs(computed - exact) / (np.maximum(np.abs(exact), 1.0) * 2.0**-52)
        worst = int(np.argmax(np.where(judged, off, 0)))
        # The second derivative of binary_cross_entropy has a guard of 1e-12 in its denominator.
        assert off[worst] <= (2**22 if column.startswith("dd") else 64), (
            column,
            {n: float(x[worst]) for n, x in values.items()},
            computed[worst],
            exact[worst],
        )


@pytest.mark.parametrize(("op", "variant"), REDUCED)
def test_torch_agrees_on_arrays(op: Op, variant: dict[str, Any]) -> None:
    seen = 0
    for label, column, error in worst_errors(op, variant, 1):
        if "ordinary" not in label:
            continue
        assert error <= 2**11 or (np.isnan(error) and (op.name, column) in NAN_AT_0), (label, column)
        seen += 1
    assert seen >= 6


@pytest.mark.filterwarnings("ignore:reduction. 'mean' divides:UserWarning")
@pytest.mark.parametrize(("op", "variant"), [*EACH, *REDUCED])
def test_module_is_the_same_op(op: Op, variant: dict[str, Any]) -> None:
    called = at_variant(op, variant)
    if called.module is None:
        pytest.skip("the module takes these tensors when it is built")
    values = {n: torch.from_numpy(x[:7].copy()) for n, x in ordinary(called, variant).items()}
    first, *others = (values[n] for n in (*called.inputs, *called.extras))
    module = called.module(**called.arguments(variant))(first, *others)
    form = called.call(
        *(values[n] for n in called.inputs),
        **{n: values[n] for n in called.extras},
        **called.arguments(variant),
    )
    assert torch.equal(module, form)


def test_denominators_of_weighted_means() -> None:
    """l1_loss and mse_loss divide by the sum of the weights, huber_loss by the number of entries."""
    x, y, w = (torch.tensor(v, dtype=torch.float64) for v in ([1.0, 4.0], [0.5, 2.0], [3.0, 1.0]))
    given: dict[str, Any] = {"weight": w}  # the type stubs lack it
    assert F.l1_loss(x, y, **given).item() == (3 * 0.5 + 2) / 4
    assert F.mse_loss(x, y, **given).item() == (3 * 0.25 + 4) / 4
    assert F.huber_loss(x, y, **given).item() == (3 * 0.125 + 1.5) / 2


def test_labels_name_what_is_passed() -> None:
    op = registry().get("mse_loss")
    assert op.label({"reduction": "none", "weight": "tensor"}) == "mse_loss[reduction=none,weight=tensor]"
    called = at_variant(op, {"reduction": "none", "weight": "tensor"})
    assert called.inputs == ("input", "target", "weight")
    assert called.pointwise
    assert at_variant(op, {"reduction": "none", "weight": "tensor"}) is called
    assert not at_variant(op, {}).pointwise
    assert at_variant(op, {}).inputs == ("input", "target")


def test_weights_of_binary_cross_entropy_are_no_inputs() -> None:
    called = at_variant(registry().get("binary_cross_entropy"), {"reduction": "none", "weight": "tensor"})
    assert called.inputs == ("input", "target")
    assert called.extras == ("weight",)


def test_error_measure_would_notice_another_op() -> None:
    """The tolerance of 64 ulps of 1 lies far below the difference of any two losses."""
    points = exact_points(lambda m, x: x * x, {"x": np.array([1.5])}, FMT, wrt=("x",), order=1)
    error, _ = ulp_error(np.array([1.5]), points.columns["value"], FMT)
    assert error[0] > 1e14


@pytest.mark.parametrize("name", ["nll_loss", "cross_entropy"])
def test_means_are_tried_with_more_weight_than_the_format_holds(name: str) -> None:
    op = at_variant(registry().get(name), {"weight": "tensor"})
    fmt = format_of("float16")
    assert op.samples is not None
    samples = list(op.samples(op.params({"weight": "tensor"}), fmt, budget="default", seed=0))
    sums = [s.extra["weight"][s.extra["target"].clip(0)].sum() for s in samples]
    assert max(sums) > fmt.max


@pytest.mark.parametrize("name", ["l1_loss", "mse_loss", "soft_margin_loss", "poisson_nll_loss"])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_means_are_tried_of_losses_whose_sum_overflows(name: str, dtype: str) -> None:
    """Each finite alone: of the distance, its square or its exponential one reaches the end of the format."""
    op, fmt = at_variant(registry().get(name), {}), format_of(dtype)
    assert op.samples is not None
    found = list(op.samples(op.params({}), fmt, budget="default", seed=0))
    huge = [s.inputs[op.inputs[0]][0] for s in found if s.label == "3 times one huge entry"]
    assert len(huge) == 4
    sizes = np.abs(np.array(huge)) / np.array([fmt.max, fmt.max, fmt.max**0.5, np.log(fmt.max)])
    assert ((sizes > 0.8) & (sizes < 1)).all()
