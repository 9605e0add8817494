"""Every planted mistake is caught at default settings, by ops of every kind, in float32 and bfloat16."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from gradcheck_suite.engine.audit import applicable, audit
from gradcheck_suite.loading import register_all
from gradcheck_suite.ops.registry import Registry
from gradcheck_suite.options import Settings
from tests.custom.ops import half, half_formula, half_slope, judged, registered, serious

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture(scope="module")
def ops() -> Registry:
    return register_all([str(EXAMPLES / "focal_loss.py")])


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", ["gelu", "softmax", "cross_entropy", "focal_loss"])
def test_every_mutant_is_caught(ops: Registry, name: str, dtype: str) -> None:
    verdicts = list(audit(ops.get(name), (dtype,), Settings()))
    assert len(verdicts) == len(applicable(ops.get(name))) >= 12
    assert [v.mutant for v in verdicts if v.outcome != "caught"] == []


def test_swapped_inputs() -> None:
    ops = registered("mine", torch.sub, formula=lambda m, a, b: a - b)
    outcomes = {v.mutant: v.outcome for v in audit(ops.get("mine"), ("float32",), Settings())}
    assert outcomes.pop("swaps its first two inputs") == "caught"
    assert set(outcomes.values()) == {"caught"}


def test_mutants_survive_a_gate_that_guards_nothing() -> None:
    ops = registered(
        "mine", half, formula=half_formula, max_ulp=1e300, domain=lambda p, v: abs(v["x"]) < 1e30
    )
    verdicts = list(audit(ops.get("mine"), ("float32",), Settings(budget="quick")))
    survivors = {v.mutant for v in verdicts if v.outcome == "survives"}
    assert {"value all 0", "gradient all 0", "value constant", "detaches every second entry"} <= survivors
    assert {v.mutant for v in verdicts if v.outcome == "caught"} <= {
        "value NaN in a tail",
        "gradient NaN in a tail",
    }


def test_a_scaled_gradient_is_caught_where_it_can_be_told() -> None:
    def wrong(x: torch.Tensor) -> torch.Tensor:
        return half(x, lambda x, g: half_slope(x, g) * 1.0009)

    found = judged("mine", wrong, formula=half_formula, settings={"dtypes": ("float64", "float32")})
    assert {(r.dtype, r.direction) for r in found if r.verdict == "findings"} == {
        ("float64", "backward"),
        ("float32", "backward"),
    }


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_gradient_outside_the_set_at_a_tie_is_caught(dtype: str) -> None:
    def wrong(x: torch.Tensor) -> torch.Tensor:
        return half(x, lambda x, g: torch.where(x == 0, 2 * g, half_slope(x, g)))

    found = judged(
        "mine", wrong, formula=half_formula, directions=["backward"], settings={"dtypes": (dtype,)}
    )
    assert {f.kind for f in serious(found)} == {"tie"}


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_one_wrong_gradient_among_all_floats_is_caught(dtype: str) -> None:
    place = 0.3330078125 if dtype == "float16" else 0.333984375

    def wrong(x: torch.Tensor) -> torch.Tensor:
        return half(x, lambda x, g: torch.where(x == place, g * 1.5, half_slope(x, g)))

    found = serious(
        judged("mine", wrong, formula=half_formula, directions=["backward"], settings={"dtypes": (dtype,)})
    )
    assert {(f.lo, f.hi) for f in found if "cotangent" not in f.fixed} == {(place.hex(), place.hex())}
