"""Judge ops and write a report: index.html, results.json and summary.md."""

from __future__ import annotations

import dataclasses
import sys
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Final

from gradcheck_suite import gate
from gradcheck_suite.cli.codes import DONE, FOUND, INTERRUPTED
from gradcheck_suite.cli.common import add_options, open_registry, settings_of
from gradcheck_suite.cli.progress import tracked
from gradcheck_suite.errors import UsageError
from gradcheck_suite.options import DEFAULT_FAIL_ON
from gradcheck_suite.preflight import require_writable

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from gradcheck_suite.engine import Case
    from gradcheck_suite.options import Settings
    from gradcheck_suite.results import Document, Result

NAME: Final = "report"
HELP: Final = "judge ops and write a report folder"
DEFAULT_FOLDER: Final = "reports"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-o", dest="report", metavar="DIR", help=f"the same as --report; default {DEFAULT_FOLDER}"
    )
    add_options(parser)


def run(arguments: argparse.Namespace) -> int:
    settings = settings_of(arguments)
    settings = dataclasses.replace(settings, report=settings.report or DEFAULT_FOLDER)
    require_writable(settings)
    registry = open_registry(settings)

    from gradcheck_suite import engine

    cases = engine.collect(settings, registry)
    used = gate.open_gate(settings, engine.environment(settings))
    found = _judge(cases, settings, used)
    results = [result for case_results in found for result in case_results]
    complete = len(found) == len(cases)
    document = engine.document(cases[: len(found)], results, settings, complete=complete)
    _tell(document, settings)
    existing = [case.id for case in engine.collect(gate.widest(settings), registry)]
    stale, notes = used.closed(results, existing)
    for line in notes:
        print(line)
    return _exit_code(document, settings, stale=bool(stale))


def _judge(cases: Sequence[Case], settings: Settings, used: gate.Gate) -> list[Sequence[Result]]:
    """The results of the cases, in order; fewer than there are cases where Ctrl-C ended the run."""
    from gradcheck_suite import engine

    found: list[Sequence[Result]] = []
    runner = engine.open_runner(settings, lambda: settings.load)
    with suppress(KeyboardInterrupt), closing(runner):
        for case in tracked(cases):
            found.append(used.judged(runner.run(case)))
    if runner.unprotected:
        print(f"custom ops ran in this process, unprotected: {runner.unprotected}", file=sys.stderr)
    return found


def _tell(document: Document, settings: Settings) -> None:
    from gradcheck_suite.outputs import index_of, on_github, tell_github, write_outputs
    from gradcheck_suite.reporters.terminal import render_terminal

    assert settings.report is not None
    try:
        write_outputs(document, settings)
    except UsageError:
        # A full disk, say: what was computed is told all the same.
        sys.stdout.write(render_terminal(document, report=None, load=settings.load))
        raise
    report = str(index_of(settings.report))
    sys.stdout.write(render_terminal(document, report=report, load=settings.load))
    if on_github():
        sys.stdout.write(tell_github(document))


def _exit_code(document: Document, settings: Settings, *, stale: bool) -> int:
    if not document.complete:
        return INTERRUPTED
    gated = settings.strict or settings.baseline is not None
    asked = settings.fail_on or (DEFAULT_FAIL_ON if gated else "never")
    return FOUND if stale or gate.at_or_above(document.results, asked) else DONE
