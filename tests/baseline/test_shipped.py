"""The baselines of torch's own ops that the package ships: complete, not stale, and green on this
installation.
"""

from __future__ import annotations

import dataclasses

import pytest

from gradcheck_suite import engine, gate
from gradcheck_suite.baseline import SHIPPED
from gradcheck_suite.baseline.files import read_all
from gradcheck_suite.ops.registry import registry
from gradcheck_suite.options import Settings

CAPABILITIES = ("avx512", "avx2", "default")


def test_every_case_of_a_default_run_is_recorded_for_every_capability() -> None:
    cases = {case.id for case in engine.collect(Settings(ops=("core",)), registry())}
    recorded: dict[str, set[str]] = {}
    for file in read_all(SHIPPED):
        for key, environment in file.environments.items():
            recorded.setdefault(key, set()).update(environment.cases)
    assert {f"torch2.13-cpu-{name}-linux-x86_64" for name in CAPABILITIES} <= set(recorded)
    for key, names in recorded.items():
        assert {name if name in cases else name.rpartition("::")[0] for name in names} == cases, key


@pytest.mark.parametrize("op", ["relu", "sigmoid", "hardswish"])
def test_a_healthy_installation_is_green(op: str) -> None:
    settings = Settings(ops=(op,), dtypes=("float32", "float16"))
    used = gate.open_gate(settings, engine.environment(settings))
    cases = engine.collect(settings, registry())
    found = [result for case in cases for result in used.judged(engine.run_case(case, settings))]
    if not any(used.holds(result) for result in found):
        pytest.skip(f"nothing is recorded for {engine.environment(settings)['key']}")
    assert [finding.message for _, finding in used.failing(found)] == []


def test_a_regression_is_red() -> None:
    settings = Settings(ops=("relu",), dtypes=("float32",), directions=("forward",))
    used = gate.open_gate(settings, engine.environment(settings))
    (case,) = engine.collect(settings, registry())
    (found,) = engine.run_case(case, settings)
    if not used.holds(found):
        pytest.skip(f"nothing is recorded for {engine.environment(settings)['key']}")
    worse = dataclasses.replace(found, max_ulp=(found.max_ulp or 0.0) + 3.0)
    assert used.failing(used.judged([worse]))
    # With strict the package says everything that it finds, known or not.
    assert gate.open_gate(Settings(strict=True), engine.environment(settings)).shipped is None
