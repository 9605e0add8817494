"""What reports tell people to write instead of an op is judged as the op is, and must come out better."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from gradcheck_suite.engine import run_case
from gradcheck_suite.engine.cases import Case
from gradcheck_suite.ops.record import Op
from gradcheck_suite.ops.registry import registry
from gradcheck_suite.ops.variants import at_variant
from gradcheck_suite.options import Settings
from gradcheck_suite.reporters.numbers import value_of
from gradcheck_suite.results import SEVERITIES, Finding

Call = Callable[..., torch.Tensor]

# A form that stands for more than its own op: the op by whose definition it is judged, and what it replaces.
COMPOSED: dict[str, tuple[str, tuple[str, ...], Call]] = {
    "softmax": ("log_softmax", ("input",), lambda input, dim: torch.softmax(input, dim).log()),
    "binary_cross_entropy": (
        "binary_cross_entropy_with_logits",
        ("logits", "target"),
        lambda logits, target, reduction: F.binary_cross_entropy(
            torch.sigmoid(logits), target, reduction=reduction
        ),
    ),
}
FORMS = [op.name for op in registry() if op.stable_form is not None]


def compiled(form: str, names: tuple[str, ...], defaults: dict[str, Any]) -> Call:
    """The form as a callable: in 16-bit dtypes computed in float32 and rounded, as torch's own kernels do."""
    *steps, result = form.splitlines()
    code = compile("\n".join(steps), "form", "exec"), compile(result, "form", "eval")

    def call(*inputs: torch.Tensor, **params: Any) -> torch.Tensor:
        dtype = inputs[0].dtype
        wide = torch.float32 if dtype.itemsize == 2 else dtype
        given = {**defaults, **dict(zip(names, inputs, strict=False)), **params}
        scope = {n: v.to(wide) if is_floating(v) else v for n, v in given.items()}
        scope["torch"] = torch
        exec(code[0], scope)
        out: torch.Tensor = eval(code[1], scope)
        return out.to(dtype)

    return call


def is_floating(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.is_floating_point()


def judged(op: Op, call: Call, dtype: str) -> tuple[int, ...]:
    """How many findings of each severity, gravest first, a callable has by an op's definition."""
    variant = dict(op.variants[0])
    plain = dataclasses.replace(
        at_variant(op, variant), call=call, module=None, inplace=None, out=None, twins=(), documented=None
    )
    settings = Settings(paths=("vector",), budget="quick")
    found = [
        finding.severity
        for direction in ("forward", "backward")
        for result in run_case(Case(op=plain, variant=variant, dtype=dtype, direction=direction), settings)
        for finding in result.findings
        if is_ordinary(finding)
    ]
    counts = Counter(found)
    return tuple(counts[severity] for severity in SEVERITIES[:3])


def is_ordinary(finding: Finding) -> bool:
    """Not about an infinite input, nor about a cotangent at the end of the format."""
    infinite = finding.lo is not None and finding.lo == finding.hi and not math.isfinite(value_of(finding.lo))
    return "cotangent" not in finding.fixed and not infinite and finding.probe != "special entries"


@pytest.mark.parametrize("name", FORMS)
def test_a_stable_form_has_fewer_findings_than_its_op(name: str) -> None:
    op = registry().get(name)
    assert op.stable_form is not None
    definition, names, replaced = COMPOSED.get(name, (name, (*op.inputs, *op.extras), op.call))
    record = registry().get(definition)
    form = compiled(op.stable_form, names, record.params(dict(record.variants[0])))
    dtypes = ("float64", "float32") if record.pointwise else ("float32",)
    before, after = ([judged(record, call, dtype) for dtype in dtypes] for call in (replaced, form))
    assert all(new <= old for new, old in zip(after, before, strict=True)), (before, after)
    assert after != before


def test_the_form_of_one_minus_sigmoid() -> None:
    # 1 - sigmoid(x) = sigmoid(-x), the remark beside sigmoid's form.
    sigmoid = registry().get("sigmoid")
    mirrored = dataclasses.replace(sigmoid, formula=lambda m, x: m.sigmoid(-x), directions=("forward",))
    assert judged(mirrored, lambda x: torch.sigmoid(-x), "float32") < judged(
        mirrored, lambda x: 1 - torch.sigmoid(x), "float32"
    )
