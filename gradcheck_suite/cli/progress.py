"""Progress on the error stream: a bar in a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gradcheck_suite.engine import Case

_SECONDS_BETWEEN_LINES: Final = 5.0


def tracked(cases: Sequence[Case]) -> Iterator[Case]:
    """Yield the cases one after the other and show how far the work has come."""
    return _with_bar(cases) if sys.stderr.isatty() else _with_lines(cases)


def _with_bar(cases: Sequence[Case]) -> Iterator[Case]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=len(cases))
        for case in cases:
            # Brackets of a variant are markup to rich.
            progress.update(task, description=case.id.replace("[", r"\["))
            yield case
            progress.advance(task)


def _with_lines(cases: Sequence[Case]) -> Iterator[Case]:
    told = time.monotonic()
    for index, case in enumerate(cases):
        if index == 0 or time.monotonic() - told > _SECONDS_BETWEEN_LINES:
            print(f"{index}/{len(cases)} {case.id}", file=sys.stderr, flush=True)
            told = time.monotonic()
        yield case
    print(f"{len(cases)}/{len(cases)} done", file=sys.stderr, flush=True)
