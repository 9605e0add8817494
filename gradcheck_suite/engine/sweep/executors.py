"""Where the tasks of a sweep run: in this process, in processes of this machine, or on a Dask cluster."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from typing import Any, Final

from gradcheck_suite.engine.sweep.plan import Plan, Task
from gradcheck_suite.errors import GradcheckError, UsageError

_DASK: Final = "dask:"
# Tasks that wait in an executor for each of its workers, so that none is ever idle.
_AHEAD: Final = 3


class WorkerDied(GradcheckError):
    """A process that worked on a task ended without an answer."""


@contextmanager
def open_executor(where: str, jobs: int) -> Iterator[Executor | None]:
    """The executor that `where` names: "processes", or "dask:ADDRESS" of a scheduler; None for this process.

    Raises UsageError for another name, and where dask is missing or its scheduler does not answer.
    """
    if where.startswith(_DASK):
        with _dask(where.removeprefix(_DASK)) as executor:
            yield executor
    elif where != "processes":
        raise UsageError(f"unknown executor {where!r}; there are processes and dask:ADDRESS")
    elif jobs == 1:
        yield None
    else:
        # torch's threads do not survive a fork.
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(jobs, mp_context=context) as pool:
            yield pool


@contextmanager
def _dask(address: str) -> Iterator[Executor]:
    try:
        from distributed import Client
    except ImportError:
        raise UsageError("--executor dask:ADDRESS needs dask; pip install 'gradcheck-suite[dask]'") from None
    try:
        client = Client(address, timeout="10s")
    except (OSError, ValueError) as error:
        raise UsageError(f"no Dask scheduler answers at {address!r}: {error}") from error
    with client:
        yield client.get_executor()


def completed(
    work: Callable[[Plan, Task], Any], plan: Plan, tasks: Sequence[Task], executor: Executor | None, jobs: int
) -> Iterator[tuple[Task, Any]]:
    """Every task with its result, as it is finished. Raises WorkerDied where a process is lost."""
    if executor is None:
        yield from ((task, work(plan, task)) for task in tasks)
        return
    waiting = iter(tasks)
    running: dict[Future[Any], Task] = {}
    try:
        while True:
            while len(running) < _AHEAD * jobs and (task := next(waiting, None)) is not None:
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
