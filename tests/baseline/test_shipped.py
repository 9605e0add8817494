"""The baselines of torch's own ops that the package ships: complete, green on a healthy installation of any make,
and red on a regression.

Where nothing is recorded for this torch, or for the instruction set that it chose here, there is nothing to test.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from gradcheck_suite import engine, gate
from gradcheck_suite.baseline import SHIPPED
from gradcheck_suite.baseline.files import read_all
from gradcheck_suite.engine.mutants import changed
from gradcheck_suite.gate import Gate
from gradcheck_suite.ops.registry import registry
from gradcheck_suite.options import Settings
from gradcheck_suite.results import Result

CAPABILITIES = ("avx512", "avx2", "default")


def recorded() -> dict[str, set[str]]:
    """The ids of all entries by environment."""
    found: dict[str, set[str]] = {}
    for file in read_all(SHIPPED):
        for key, environment in file.environments.items():
            found.setdefault(key, set()).update(environment.cases)
    return found


def used(settings: Settings, **changes: Any) -> Gate:
    """The gate of a default run, in this environment but for `changes`; skips where nothing is recorded for it."""
    environment = {**engine.environment(settings), **changes}
    if environment["key"] not in recorded():
        pytest.skip(f"nothing is recorded for {environment['key']}")
    return gate.open_gate(settings, environment)


def test_every_case_of_a_default_run_is_recorded_for_every_capability() -> None:
    found = recorded()
    version = ".".join(torch.__version__.split(".")[:2])
    keys = [f"torch{version}-cpu-{name}-linux-x86_64" for name in CAPABILITIES]
    if not found.keys() & set(keys):
        pytest.skip(f"nothing is recorded for torch {version}")
    cases = {case.id for case in engine.collect(Settings(ops=("core",)), registry())}
    for key in keys:
        named = {name if name in cases else name.rpartition("::")[0] for name in found[key]}
        missing, stale = sorted(cases - named), sorted(named - cases)
        assert (missing, stale) == ([], []), f"{key}: record the ops again with .ci/record-baselines OP..."


@pytest.mark.parametrize("changes", [{}, {"arithmetic": "another"}], ids=["alike", "otherwise"])
@pytest.mark.parametrize("op", ["relu", "sigmoid", "hardswish"])
def test_a_healthy_installation_is_green(op: str, changes: dict[str, str]) -> None:
    settings = Settings(ops=(op,), dtypes=("float32", "float16"))
    gated = used(settings, **changes)
    cases = engine.collect(settings, registry())
    found = [result for case in cases for result in gated.judged(engine.run_case(case, settings))]
    assert all(gated.holds(result) for result in found)
    assert [finding.message for _, finding in gated.failing(found)] == []


def scaled(g: Tensor, x: Tensor) -> Tensor:
    return torch.where(x.abs() > 12, g * 1.0009, g)


def zeroed(g: Tensor, x: Tensor) -> Tensor:
    return torch.where((x < -50) & (x > -60), torch.zeros_like(g), g)


def coarse(g: Tensor, x: Tensor) -> Tensor:
    return g * (1 + 2.0**-19)


def planted(alter: Callable[[Tensor, Tensor], Tensor]) -> Result:
    """softplus in float32 with that change to its gradient, and nothing else, judged as a default run does."""
    op = registry().get("softplus")

    def call(x: Tensor, **parameters: Any) -> Any:
        values = x.detach()
        return op.call(changed(x, gradient=lambda g: alter(g, values)), **parameters)

    broken = dataclasses.replace(op, call=call, module=None, inplace=None, out=None, twins=())
    case = engine.Case(op=broken, variant=dict(op.variants[0]), dtype="float32", direction="backward")
    (found,) = engine.run_case(case, Settings())
    return found


@pytest.mark.parametrize("changes", [{}, {"arithmetic": "another"}], ids=["alike", "otherwise"])
@pytest.mark.parametrize(
    ("alter", "kind", "lo", "hi"),
    [(scaled, "inaccurate", -95.0, -12.0), (zeroed, "underflow", -60.0, -50.0), (coarse, "", 0.0, 0.0)],
    ids=["scaled", "zeroed", "coarse"],
)
def test_a_regression_is_red_and_its_region_named(
    alter: Callable[[Tensor, Tensor], Tensor], kind: str, lo: float, hi: float, changes: dict[str, str]
) -> None:
    gated = used(Settings(), **changes)
    (found,) = gated.judged([planted(alter)])
    failing = [finding for _, finding in gated.failing([found])]
    assert failing
    if not kind:
        assert re.search(
            "the largest error grew from|The baseline has nothing of the kind", failing[-1].message
        )
        return
    (named,) = [f for f in failing if f.kind == kind and f.lo is not None and float.fromhex(f.lo) < 0]
    assert named.hi is not None
    assert float.fromhex(str(named.lo)) == pytest.approx(lo, rel=0.1)
    assert float.fromhex(named.hi) == pytest.approx(hi, rel=0.02)
    assert "The baseline has" in named.message


def test_strict_says_everything_known_or_not() -> None:
    settings = Settings(strict=True)
    assert gate.open_gate(settings, engine.environment(settings)).shipped is None
