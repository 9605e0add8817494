"""Sweep every finite float of a narrow dtype through an op of one input, forward and backward."""

from __future__ import annotations

import dataclasses
import os
import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from gradcheck_suite import gate
from gradcheck_suite.cli.codes import DONE, FOUND, INTERRUPTED
from gradcheck_suite.cli.common import add_options, op_named, open_registry, settings_of
from gradcheck_suite.errors import UsageError
from gradcheck_suite.preflight import require_writable

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from gradcheck_suite.engine.cases import Case
    from gradcheck_suite.engine.sweep import Plan
    from gradcheck_suite.ops.record import Op
    from gradcheck_suite.options import Settings
    from gradcheck_suite.results import Document, Result

NAME: Final = "sweep"
HELP: Final = "judge an op at every finite float"
DEFAULT_FOLDER: Final = "reports"
_USED: Final = frozenset({"max-ulp", "fail-on", "load", "json", "report"})
_SECONDS_BETWEEN_LINES: Final = 5.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("op", metavar="OP", help="name of an op of one input, such as gelu")
    parser.add_argument(
        "--dtype", default="float32", metavar="NAME", help="float32 (the default), float16 or bfloat16"
    )
    parser.add_argument(
        "--direction", "--directions", dest="directions", metavar="LIST",
        help="forward, backward, double-backward, comma-separated; default forward,backward",
    )  # fmt: skip
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", dest="overrides",
        help="a parameter of the op, such as beta=10; may be repeated",
    )  # fmt: skip
    parser.add_argument("-j", "--jobs", metavar="N", help="processes; default one for each core")
    parser.add_argument(
        "--executor", default="processes", metavar="WHERE",
        help="processes of this machine (the default), or dask:ADDRESS of a scheduler (needs the extra dask)",
    )  # fmt: skip
    parser.add_argument("--resume", action="store_true", help="go on with a sweep that was interrupted")
    parser.add_argument(
        "-o", dest="report", metavar="DIR", help=f"the same as --report; default {DEFAULT_FOLDER}"
    )
    add_options(parser, only=_USED)


def run(arguments: argparse.Namespace) -> int:
    settings = _settings(arguments)
    _require_flint()
    require_writable(settings)
    registry = open_registry(settings)
    op, variant = _variant(op_named(arguments.op, registry, settings), arguments.overrides)

    from gradcheck_suite.engine.sweep import WorkerDied

    plan = _plan(op, variant, arguments.dtype, settings)
    cases = _cases(op, variant, arguments.dtype, settings)
    known = _known_results(cases, settings)
    _require_sweepable(cases, settings)
    try:
        results = _swept(plan, cases, settings, arguments)
    except KeyboardInterrupt:
        print("gradcheck: interrupted; --resume goes on with what is left", file=sys.stderr)
        return INTERRUPTED
    except WorkerDied as error:
        raise UsageError(str(error)) from error
    _tell(_document(cases, results, settings, known), results, settings)
    return FOUND if gate.at_or_above(results, settings.fail_on or "never") else DONE


def _require_flint() -> None:
    from gradcheck_suite.formula.balls import CERTIFIED

    if not CERTIFIED:
        raise UsageError(
            "a sweep needs the Taylor covers of python-flint, which cannot be imported; install it with: "
            "pip install 'python-flint>=0.7', or sample the op with 'gradcheck report'"
        )


def _settings(arguments: argparse.Namespace) -> Settings:
    settings = settings_of(arguments)
    anywhere = settings.report or settings.json
    report = settings.report if anywhere else DEFAULT_FOLDER
    return dataclasses.replace(settings, report=report, ops=(arguments.op,), dtypes=(arguments.dtype,))


def _variant(op: Op, overrides: Sequence[str]) -> tuple[Op, dict[str, Any]]:
    """The op as its variant calls it, and that variant. Raises UsageError where it has no line to sweep."""
    from gradcheck_suite.cli.inputs import parse_override, suited
    from gradcheck_suite.ops.variants import at_variant

    chosen = {**op.variants[0], **suited(op, dict(parse_override(text) for text in overrides))}
    called = at_variant(op, chosen)
    if not called.pointwise or len(called.inputs) != 1 or called.extras:
        raise UsageError(
            f"{op.name} is no elementwise op of one input: 'gradcheck report --ops {op.name}' samples it"
        )
    if op.against is not None:
        raise UsageError(f"{op.name} is judged against another callable, which a sweep does not do")
    return called, chosen


def _plan(op: Op, variant: dict[str, Any], dtype: str, settings: Settings) -> Plan:
    from gradcheck_suite.engine.sweep import Plan, variant_items

    plan = Plan(
        op=op.name,
        dtype=dtype,
        directions=settings.directions,
        variant=variant_items(variant),
        max_ulp=settings.max_ulp,
        load=settings.load,
    )
    _ = plan.fmt
    return plan


def _cases(op: Op, variant: dict[str, Any], dtype: str, settings: Settings) -> list[Case]:
    from gradcheck_suite.engine.cases import Case

    if dtype not in op.dtypes:
        raise UsageError(f"{op.name} is not registered for {dtype}; it has {', '.join(op.dtypes)}")
    missing = [d for d in settings.directions if d not in op.directions]
    if missing:
        raise UsageError(f"{op.name} has no direction {missing[0]}; it has {', '.join(op.directions)}")
    return [Case(op=op, variant=variant, dtype=dtype, direction=d) for d in settings.directions]


def _known_results(cases: Sequence[Case], settings: Settings) -> Document | None:
    """The document that the results will join, read before hours are spent. Raises UsageError."""
    from gradcheck_suite import engine, results
    from gradcheck_suite.merging import require_same_environment

    path = Path(settings.report) / "results.json" if settings.report else Path(str(settings.json))
    if not path.exists():
        return None
    known = results.read(path)
    require_same_environment(known, engine.document(cases, [], settings))
    return known


def _require_sweepable(cases: Sequence[Case], settings: Settings) -> None:
    """Try the op on a few floats. Raises UsageError where it cannot be swept."""
    from gradcheck_suite.engine.sweep.trial import require_sweepable

    require_sweepable(cases[-1], settings)


def _swept(
    plan: Plan, cases: Sequence[Case], settings: Settings, arguments: argparse.Namespace
) -> list[Result]:
    from gradcheck_suite.engine import sweep

    started, jobs = time.perf_counter(), _jobs(arguments.jobs)
    journal = sweep.Journal(_journal_path(plan, settings), _identity(plan, settings), resume=arguments.resume)
    try:
        with sweep.open_executor(arguments.executor, jobs) as workers:
            steps = sweep.progress(plan, journal, workers)
            total = sum(len(task) for task in sweep.tasks(plan))
            ahead = sum(len(task) for task in sweep.tasks(plan) if task.number in journal.done)
            for _ in shown(
                (len(task) for task, _ in steps), cases[0].op.label(cases[0].variant), total, ahead
            ):
                pass
    except BaseException:
        journal.close(remove=False)
        raise
    seconds = (time.perf_counter() - started) / len(cases)
    summaries = sweep.merged(plan, journal.done)
    results = [sweep.swept(c, s, settings, seconds=seconds) for c, s in zip(cases, summaries, strict=True)]
    journal.close(remove=True)
    return results


def _jobs(text: str | None) -> int:
    if text is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not text.strip().isdecimal() or int(text) < 1:
        raise UsageError(f"-j {text.strip()}: a number of processes is needed, such as 2")
    return int(text)


def _journal_path(plan: Plan, settings: Settings) -> Path:
    folder = Path(settings.report) if settings.report else Path(str(settings.json)).parent
    named = [plan.op, *(f"{n}={v}" for n, v in plan.variant), plan.dtype, *plan.directions]
    return folder / "sweeps" / (re.sub(r"[^\w=.+-]", "_", "-".join(named)) + ".jsonl")


def _identity(plan: Plan, settings: Settings) -> dict[str, Any]:
    from gradcheck_suite import __version__, engine

    return {**plan.identity(), "version": __version__, "environment": engine.environment(settings)["key"]}


def _document(
    cases: Sequence[Case], found: Sequence[Result], settings: Settings, known: Document | None
) -> Document:
    from gradcheck_suite import engine
    from gradcheck_suite.merging import merged

    fresh = engine.document(cases, found, settings)
    return fresh if known is None else merged(known, fresh)


def _tell(document: Document, found: Sequence[Result], settings: Settings) -> None:
    from gradcheck_suite.outputs import index_of, write_outputs
    from gradcheck_suite.reporters.terminal import render_terminal

    write_outputs(document, settings)
    shown_alone = dataclasses.replace(document, results=tuple(found))
    report = str(index_of(settings.report)) if settings.report else None
    sys.stdout.write("".join(f"{line}\n" for result in found for line in _lines(result)))
    sys.stdout.write(render_terminal(shown_alone, report=report, load=settings.load))


def _lines(result: Result) -> Iterator[str]:
    """What only a sweep can say."""
    yield f"{result.id}: {result.points:,} floats"
    if result.worst is not None and result.max_ulp is not None:
        (value,) = result.worst.inputs.values()
        yield f"  largest error {result.max_ulp:.6g} ULP at {float.fromhex(value)!r} ({value})"
    if result.correctly_rounded is not None:
        yield f"  correctly rounded {100 * result.correctly_rounded:.4f} %"
    for finding in result.findings:
        if finding.path == "vector" and "cotangent" not in finding.fixed and finding.lo is not None:
            reason = f" ({finding.reason})" if finding.reason else ""
            lo, hi = float.fromhex(finding.lo), float.fromhex(str(finding.hi))
            where = f"{lo!r} alone" if lo == hi else f"{finding.points:,} floats from {lo!r} to {hi!r}"
            yield f"  {finding.severity:<8} {finding.kind}{reason}: {where}"


# ---------------------------------------------------------------- progress


def shown(steps: Iterator[int], title: str, total: int, done: int) -> Iterator[int]:
    """Pass the numbers of floats on and show how far they are, with the time left: a bar, or plain lines."""
    yield from (_with_bar if sys.stderr.isatty() else _with_lines)(steps, title, total, done)


def _with_bar(steps: Iterator[int], title: str, total: int, done: int) -> Iterator[int]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        # Brackets of a variant are markup to rich.
        task = bar.add_task(title.replace("[", r"\["), total=total, completed=done)
        for step in steps:
            bar.advance(task, step)
            yield step


def _with_lines(steps: Iterator[int], title: str, total: int, done: int) -> Iterator[int]:
    started = told = time.monotonic()
    first: tuple[float, int] | None = None
    for step in steps:
        done += step
        now = time.monotonic()
        # Before the first part a process has to start, which takes longer than the part.
        begun, had = first = first or (now, done)
        if now - told > _SECONDS_BETWEEN_LINES and had < done < total:
            left = (now - begun) * (total - done) / (done - had)
            print(f"{title}: {100 * done / total:.0f} %, {left:.0f} s left", file=sys.stderr, flush=True)
            told = now
        yield step
    print(
        f"{title}: {100 * done / total:.0f} % in {time.monotonic() - started:.0f} s",
        file=sys.stderr,
        flush=True,
    )
