"""One sweep in this process, in others, and on a Dask cluster that loses a worker: the same summaries."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gradcheck_suite.engine import sweep
from gradcheck_suite.errors import UsageError

PLAN = sweep.Plan(
    op="tanh", dtype="bfloat16", directions=("forward", "backward"), task=1 << 9, chunk=1 << 9, kernel="numpy"
)


def summaries(
    where: str, jobs: int, path: Path, *, resume: bool = False, after: Callable[[int], object] = abs
) -> list[dict[str, Any]]:
    """The merged summaries; `after` is called with the number of tasks finished."""
    journal = sweep.Journal(path, PLAN.identity(), resume=resume)
    try:
        with sweep.open_executor(where, jobs) as workers:
            for count, _ in enumerate(sweep.progress(PLAN, journal, workers)):
                after(count + 1)
    finally:
        journal.close(remove=False)
    return [summary.to_json() for summary in sweep.merged(PLAN, journal.done)]


def done(path: Path) -> int:
    journal = sweep.Journal(path, PLAN.identity(), resume=True)
    journal.close(remove=False)
    return len(journal.done)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    return summaries("processes", 1, tmp_path_factory.mktemp("alone") / "journal")


def test_processes_give_the_same_summaries_though_one_is_lost(
    alone: list[dict[str, Any]], tmp_path: Path
) -> None:
    def kill_one(count: int) -> None:
        if count == 4:
            multiprocessing.active_children()[0].kill()

    path = tmp_path / "journal"
    with pytest.raises(sweep.WorkerDied, match="--resume"):
        summaries("processes", 2, path, after=kill_one)
    assert 4 <= done(path) < len(sweep.tasks(PLAN))
    assert summaries("processes", 2, path, resume=True) == alone


@pytest.mark.filterwarnings("ignore")
def test_dask_gives_the_same_summaries_though_a_worker_dies(
    alone: list[dict[str, Any]], tmp_path: Path
) -> None:
    distributed = pytest.importorskip("distributed", reason="the extra dask is not installed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=50
    ) as cluster:

        def kill_one(count: int) -> None:
            if count == 10:
                os.kill(next(iter(cluster.workers.values())).pid, signal.SIGKILL)

        where = f"dask:{cluster.scheduler_address}"
        assert summaries(where, 1, tmp_path / "journal", after=kill_one) == alone


def test_an_unknown_executor_is_told() -> None:
    with pytest.raises(UsageError, match="processes and dask:ADDRESS"), sweep.open_executor("threads", 2):
        pass


def test_missing_dask_is_told_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with (
        pytest.raises(UsageError, match=r"gradcheck-suite\[dask\]"),
        sweep.open_executor("dask:tcp://x:1", 2),
    ):
        pass
