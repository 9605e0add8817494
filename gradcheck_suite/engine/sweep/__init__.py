"""Sweeps: every finite float of a narrow dtype through an op of one input, forward and backward."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gradcheck_suite.engine.sweep.executors import WorkerDied, Workers, completed, open_executor
from gradcheck_suite.engine.sweep.journal import Journal
from gradcheck_suite.engine.sweep.outcome import swept
from gradcheck_suite.engine.sweep.plan import Plan, Task, tasks, variant_items
from gradcheck_suite.engine.sweep.tally import Summary
from gradcheck_suite.engine.sweep.work import run_task

__all__ = [
    "Journal",
    "Plan",
    "Summary",
    "Task",
    "WorkerDied",
    "Workers",
    "merged",
    "open_executor",
    "progress",
    "run_task",
    "swept",
    "tasks",
    "variant_items",
]


def progress(plan: Plan, journal: Journal, workers: Workers) -> Iterator[tuple[Task, list[dict[str, Any]]]]:
    """Run the tasks that the journal lacks; every one is noted there, and yielded, as it is finished."""
    left = [task for task in tasks(plan) if task.number not in journal.done]
    for task, found in completed(run_task, plan, left, workers):
        journal.add(task.number, found)
        journal.done[task.number] = found
        yield task, found


def merged(plan: Plan, done: Mapping[int, Sequence[dict[str, Any]]]) -> list[Summary]:
    """One summary a direction, of all tasks in order."""
    totals = [Summary() for _ in plan.directions]
    for task in tasks(plan):
        for total, part in zip(totals, done[task.number], strict=True):
            total.add(Summary.from_json(part))
    return totals
