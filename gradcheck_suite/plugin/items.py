"""The virtual part of pytest's tree: one collector `gradcheck`, and below it one item per case."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Final

import pytest

from gradcheck_suite.errors import UsageError
from gradcheck_suite.plugin import BASELINE
from gradcheck_suite.reporters.junit import properties
from gradcheck_suite.reporters.words import command
from gradcheck_suite.results import gravest

_SHOWN: Final = 8

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Sequence

    from _pytest._code.code import ExceptionInfo, TerminalRepr, TracebackStyle

    from gradcheck_suite.engine import Case
    from gradcheck_suite.gate import Gate
    from gradcheck_suite.results import Finding, Result


class Unstable(Exception):
    """A case whose findings, or whose undecided verdict, fail the run; its text is all that is shown."""


class GradcheckCollector(pytest.Collector):
    """The node `gradcheck`, which stands beside the files that pytest found."""

    cases: Callable[[], Sequence[Case]]
    run_case: Callable[[Case], Sequence[Result]]
    gate: Gate
    stale: Callable[[], Sequence[str]] | None = None

    def collect(self) -> Iterable[pytest.Item]:
        items: list[pytest.Item] = [self._item(case) for case in self.cases()]
        if self.stale is not None:
            last: BaselineItem = BaselineItem.from_parent(self, name=BASELINE)
            last.stale = self.stale
            items.append(last)
        return items

    def _item(self, case: Case) -> GradcheckItem:
        # The whole id as text: pytest reads ids back from its cache and from workers by parsing them, and an
        # id put together from parents and children would not compare equal to a parsed one that has brackets
        # inside.
        nodeid = f"{self.nodeid}::{case.id}"
        item: GradcheckItem = GradcheckItem.from_parent(self, name=case.id, nodeid=nodeid)
        item.case, item.run_case, item.gate = case, self.run_case, self.gate
        item.add_marker(pytest.mark.gradcheck)
        return item


class GradcheckItem(pytest.Item):
    """One op variant in one dtype and direction."""

    case: Case
    run_case: Callable[[Case], Sequence[Result]]
    gate: Gate
    results: tuple[Result, ...] = ()

    def runtest(self) -> None:
        with warnings.catch_warnings():
            # A user's -W error is about the user's code, not about what torch warns of on extreme inputs.
            warnings.simplefilter("ignore")
            self.results = self.gate.judged(self.run_case(self.case))
        self.user_properties.extend(_properties(self.results))
        typed: list[str] | None = self.config.getoption("gradcheck_load")
        _conclude(self.results, self.gate, typed if typed and self.case.op.custom else ())

    def repr_failure(
        self, excinfo: ExceptionInfo[BaseException], style: TracebackStyle | None = None
    ) -> str | TerminalRepr:
        if isinstance(excinfo.value, Unstable | UsageError | pytest.xfail.Exception):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[os.PathLike[str] | str, int | None, str]:
        source = self.case.op.source
        title = f"gradcheck {self.case.id}"
        return (self.path, None, title) if source is None else (source.file, source.line - 1, title)


class BaselineItem(pytest.Item):
    """Fails for entries of the baseline without a case: a renamed op would lose its gate unseen."""

    stale: Callable[[], Sequence[str]]

    def runtest(self) -> None:
        stale = self.stale()
        if stale:
            listed = "".join(f"\n    {name}" for name in stale)
            raise Unstable(
                f"{len(stale)} entries of the baseline belong to no case:{listed}\n"
                "register the ops again, or drop the entries with --gradcheck-update-baseline=all"
            )

    def repr_failure(
        self, excinfo: ExceptionInfo[BaseException], style: TracebackStyle | None = None
    ) -> str | TerminalRepr:
        return (
            str(excinfo.value)
            if isinstance(excinfo.value, Unstable)
            else super().repr_failure(excinfo, style)
        )

    def reportinfo(self) -> tuple[os.PathLike[str] | str, int | None, str]:
        return (self.path, None, "gradcheck baseline: entries whose case no longer exists")


def _properties(results: Sequence[Result]) -> Iterable[tuple[str, object]]:
    """What JUnit files and report logs say about a case, as text, for it crosses processes."""
    for result in results:
        where = f"[{result.wrt}]" if len(results) > 1 else ""
        yield from ((name + where, value) for name, value in properties(result))


def _conclude(results: Sequence[Result], gate: Gate, load: Sequence[str]) -> None:
    """Turn results into pytest's outcome: return to pass, raise to fail, to xfail or to skip."""
    failing, held_open = gate.failing(results), gate.undecided(results)
    if failing or held_open:
        raise Unstable(_failure_text(results, failing, held_open, load))
    shown = [pair for pair in gravest(results) if pair[1].severity != "info"]
    if shown:
        raise pytest.xfail.Exception(_sentence(shown))
    undecided = [result for result in results if result.verdict == "inconclusive"]
    if undecided:
        raise pytest.xfail.Exception(f"inconclusive: {undecided[0].note}")
    if results and all(result.verdict == "unsupported" for result in results):
        raise pytest.skip.Exception(results[0].note or "not supported by this torch")


def _sentence(findings: Sequence[tuple[Result, Finding]]) -> str:
    more = f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
    return findings[0][1].message + more


def _failure_text(
    results: Sequence[Result],
    failing: Sequence[tuple[Result, Finding]],
    undecided: Sequence[Result],
    load: Sequence[str],
) -> str:
    # The gravest, and what may be the cause of all: an op that gives another result each call, or another dtype.
    shown = [f for i, (_, f) in enumerate(failing) if i < _SHOWN or f.witness is None]
    lines = []
    for finding in shown:
        lines += [f"{finding.severity}: {finding.message}"]
        lines += [f"    {line}" for line in finding.reproducer.splitlines()]
    if len(shown) < len(failing):
        lines.append(f"… and {len(failing) - len(shown)} more; --gradcheck-report=DIR shows all of them")
    lines += [f"inconclusive: {result.id}: {result.note}" for result in undecided]
    return "\n".join([*lines, f"repeat it: {command(results[0], load)}"])
