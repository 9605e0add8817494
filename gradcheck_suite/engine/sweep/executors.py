"""Where the tasks of a sweep run: in this process, in processes of this machine, or on a Dask cluster."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from gradcheck_suite.engine.sweep.plan import Plan, Task
from gradcheck_suite.errors import GradcheckError, UsageError

_DASK: Final = "dask:"
# Tasks that wait in an executor for each of its workers, so that none is ever idle.
_AHEAD: Final = 3


class WorkerDied(GradcheckError):
    """A process that worked on a task ended without an answer."""


@dataclass(frozen=True, slots=True)
class Workers:
    """An executor, None for this process, and how many tasks it works on at a time."""

    executor: Executor | None
    count: int


@contextmanager
def open_executor(where: str, jobs: int) -> Iterator[Workers]:
    """The workers that `where` names: "processes", `jobs` of them, or "dask:ADDRESS", those of a scheduler.

    Raises UsageError for another name, and where dask is missing or its scheduler does not answer.
    """
    if where.startswith(_DASK):
        with _dask(where.removeprefix(_DASK)) as workers:
            yield workers
    elif where != "processes":
        raise UsageError(f"unknown executor {where!r}; there are processes and dask:ADDRESS")
    elif jobs == 1:
        yield Workers(None, 1)
    else:
        # torch's threads do not survive a fork.
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(jobs, mp_context=context, initializer=_end_with_parent) as pool:
            yield Workers(pool, jobs)


def _end_with_parent() -> None:
    """End this process when the one that started it is gone: killed, that one cannot say that nothing is left to
    do, and its workers would wait forever.
    """
    threading.Thread(target=_wait_for_end, daemon=True).start()


def _wait_for_end() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@contextmanager
def _dask(address: str) -> Iterator[Workers]:
    try:
        distributed: Any = importlib.import_module("distributed")
    except ImportError:
        raise UsageError("--executor dask:ADDRESS needs dask; pip install 'gradcheck-suite[dask]'") from None
    try:
        client = distributed.Client(address, timeout="10s")
    except (OSError, ValueError) as error:
        raise UsageError(f"no Dask scheduler answers at {address!r}: {error}") from error
    with client:
        yield Workers(client.get_executor(), max(1, sum(client.nthreads().values())))


def completed(
    work: Callable[[Plan, Task], Any], plan: Plan, tasks: Sequence[Task], workers: Workers
) -> Iterator[tuple[Task, Any]]:
    """Every task with its result, as it is finished. Raises WorkerDied where a process is lost."""
    executor = workers.executor
    if executor is None:
        yield from ((task, work(plan, task)) for task in tasks)
        return
    waiting = iter(tasks)
    running: dict[Future[Any], Task] = {}
    try:
        while True:
            while len(running) < _AHEAD * workers.count and (task := next(waiting, None)) is not None:
                running[executor.submit(work, plan, task)] = task
            if not running:
                return
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                yield running.pop(future), future.result()
    except BrokenExecutor as error:
        raise WorkerDied("a process of the sweep died; --resume goes on with what is left") from error
    finally:
        for future in running:
            future.cancel()
