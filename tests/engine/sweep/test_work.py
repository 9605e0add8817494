"""Sweeps of 16-bit dtypes against the engine, which judges floats one by one: every count must agree."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from gradcheck_suite.engine.judge import KINDS, REASONS
from gradcheck_suite.engine.pointwise import Subject
from gradcheck_suite.engine.sweep.kernels import bins_of
from gradcheck_suite.engine.sweep.plan import Plan, Task, tasks, variant_items
from gradcheck_suite.engine.sweep.tally import Key, Summary
from gradcheck_suite.engine.sweep.work import SPREAD, Worker, run_task, worker_of
from gradcheck_suite.errors import UsageError
from gradcheck_suite.floats import from_ordinal, infinity_ordinal
from gradcheck_suite.ops.registry import registry
from gradcheck_suite.options import Settings

CASES: list[tuple[str, dict[str, Any]]] = [
    ("gelu", {}),
    ("tanh", {}),
    ("softplus", {"beta": 10.0}),
    ("hardshrink", {"lambd": 0.1}),
    ("celu", {"alpha": -2.0}),
    ("hardswish", {}),
]


def plan_of(op: str, variant: dict[str, Any], dtype: str, **changes: Any) -> Plan:
    given = {"directions": ("forward", "backward"), "kernel": "numpy", **changes}
    return Plan(op=op, dtype=dtype, variant=variant_items(variant), **given)


def swept(plan: Plan) -> list[Summary]:
    worker = worker_of(plan)
    totals = [Summary() for _ in plan.directions]
    for task in tasks(plan):
        for total, part in zip(totals, worker.run(task), strict=True):
            total.add(part)
    return totals


def counts(summary: Summary) -> Counter[Key]:
    """Bad floats by kind and reason."""
    found: Counter[Key] = Counter()
    for run in summary.runs:
        found[run.key] += run.count
    return found


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize(("op", "variant"), CASES, ids=[name for name, _ in CASES])
def test_every_count_is_that_of_the_engine(op: str, variant: dict[str, Any], dtype: str) -> None:
    subject = Subject(registry().get(op), variant, dtype, 1, Settings(ops=(op,)))
    for column, summary in zip(("value", "d:input"), swept(plan_of(op, variant, dtype)), strict=True):
        judged = subject.judged(column, "vector")
        verdicts = judged.verdicts.take(np.isfinite(judged.inputs["input"]))
        bad = verdicts.kind > 0
        keys = zip(verdicts.kind[bad].tolist(), verdicts.reason[bad].tolist(), strict=True)
        assert counts(summary) == Counter(keys)
        errors = verdicts.ulp[~np.isnan(verdicts.ulp)]
        assert summary.points == len(errors) == 2 * infinity_ordinal(subject.fmt)
        assert summary.rounded == np.count_nonzero(errors <= 0.5 + SPREAD)
        assert summary.undecided == summary.uncovered == 0
        assert summary.ulp == pytest.approx(float(errors.max()), rel=1e-5)
        assert summary.histogram.sum() == summary.points
        # An error on an edge may be counted on either side of it, never further away.
        shift = np.cumsum(summary.histogram - np.bincount(bins_of(errors), minlength=256))
        assert np.abs(shift).max() < 0.05 * summary.points


def test_the_cut_into_tasks_and_chunks_changes_nothing() -> None:
    small = swept(plan_of("tanh", {}, "bfloat16", task=4096, batch=2048, chunk=512))
    large = swept(plan_of("tanh", {}, "bfloat16", degree=8))
    for a, b in zip(small, large, strict=True):
        assert (a.points, a.rounded, a.worst) == (b.points, b.rounded, b.worst)
        assert counts(a) == counts(b)


@pytest.mark.parametrize("kernel", ["numpy", "numba"])
def test_float32_agrees_with_the_engine_float_by_float(kernel: str) -> None:
    if kernel == "numba":
        pytest.importorskip("numba", reason="the extra numba is not installed")
    # Across the edge of gelu's underflow, where nearly every float fails.
    plan = plan_of("gelu", {}, "float32", kernel=kernel)
    start = (2 + 127) << 23 | 0x2F0000
    task = Task(number=0, sign=-1, start=start, stop=start + 3000)
    subject = Subject(registry().get("gelu"), {}, "float32", 1, Settings(ops=("gelu",)))
    x = -from_ordinal(np.arange(start, start + 3000), subject.fmt)
    outcome, points = subject.run(x, 1, "vector"), subject.exact(x, 1)
    for column, summary in zip(("value", "d:input"), worker_of(plan).run(task), strict=True):
        verdicts = subject.judge_column(x, outcome.columns[column], points, column).verdicts
        assert (verdicts.kind > 0).any()
        assert sum(counts(summary).values()) == np.count_nonzero(verdicts.kind)
        worst = max(summary.runs, key=lambda run: run.ulp)
        assert worst.ulp == pytest.approx(float(verdicts.ulp.max()), rel=1e-6)


@pytest.mark.parametrize(("beyond", "reason"), [(1.0, "documented"), (2.0, "")])
def test_what_is_documented_to_be_linear_and_is_not_fails(beyond: float, reason: str) -> None:
    def call(input: torch.Tensor, *, threshold: float, beta: float = 1.0) -> torch.Tensor:
        return torch.where(input * beta > threshold, beyond * input, torch.nn.functional.softplus(input))

    op = replace(registry().get("softplus"), call=call, custom=True)
    plan = plan_of("softplus", {"threshold": 1.0}, "float32", directions=("forward",))
    start = 128 << 23
    (summary,) = Worker(plan, op).run(Task(number=0, sign=1, start=start, stop=start + 2000))
    (key,) = counts(summary)
    assert (KINDS[key[0]], REASONS[key[1]]) == ("inaccurate", reason)
    assert counts(summary)[key] == 2000


def test_all_finite_floats_are_swept_once() -> None:
    for dtype in ("float32", "float16", "bfloat16"):
        plan = plan_of("tanh", {}, dtype)
        parts = tasks(plan)
        assert sum(len(task) for task in parts) == 2 * infinity_ordinal(plan.fmt)
        assert [task.number for task in parts] == list(range(len(parts)))
        for sign in (1, -1):
            ends = [(task.start, task.stop) for task in parts if task.sign == sign]
            assert [start for start, _ in ends] == [0, *(stop for _, stop in ends[:-1])]


def test_float64_is_refused() -> None:
    with pytest.raises(UsageError, match=r"2\^64"):
        _ = plan_of("tanh", {}, "float64").fmt


def test_a_task_crosses_processes_as_plain_json() -> None:
    plan = plan_of("relu", {}, "float16", task=256)
    forward, backward = run_task(plan, tasks(plan)[0])
    assert Summary.from_json(forward).points == Summary.from_json(backward).points == 256


def test_second_derivatives_can_be_swept() -> None:
    plan = plan_of("silu", {}, "float16", directions=("double-backward",))
    (summary,) = Worker(plan, registry().get("silu")).run(Task(number=0, sign=1, start=14000, stop=15000))
    assert summary.points == 1000
    assert summary.rounded > 100


def test_floats_outside_the_domain_are_left_out() -> None:
    op = registry().get("erfinv")
    one = 15 << 10
    worker = Worker(plan_of("erfinv", {}, "float16", directions=("forward",)), op)
    (summary,) = worker.run(Task(number=0, sign=1, start=one - 50, stop=one + 50))
    assert 49 <= summary.points <= 51
    assert summary.uncovered == 0
