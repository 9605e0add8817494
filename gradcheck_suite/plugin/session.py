"""A pytest session with `--gradcheck`: collect the cases, gather their results, write and sum up."""

from __future__ import annotations

import dataclasses
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import pytest

from gradcheck_suite.errors import UsageError, suggest
from gradcheck_suite.plugin import BASELINE, ROOT
from gradcheck_suite.preflight import pin_threads, require_device, require_torch, require_writable

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from gradcheck_suite.engine import Case, Runner
    from gradcheck_suite.options import Settings
    from gradcheck_suite.results import Document, Result


# On a report: why custom ops ran without a process of their own.
_UNPROTECTED: Final = "gradcheck_unprotected"
# On a report: the mistake of the user, such as one in a formula, over which its case could not be judged.
_MISTAKE: Final = "gradcheck_mistake"


@contextmanager
def _usage_errors() -> Iterator[None]:
    """Hand mistakes of the user to pytest, which prints them without a traceback."""
    try:
        yield
    except UsageError as error:
        raise pytest.UsageError(str(error)) from None


class GradcheckSession:
    """The plugin object of one session, in the controller as well as in each of pytest-xdist's workers.

    `ids` are the ids from the command line; `chosen` the fields of `settings` that somebody set.
    """

    def __init__(
        self, config: pytest.Config, settings: Settings, ids: tuple[str, ...], chosen: frozenset[str]
    ) -> None:
        self.config = config
        self.ids = ids
        self.settings = _absolute(_widened(settings, ids, chosen), config)
        self.settings = dataclasses.replace(self.settings, pictures=self._writes_files())
        self.is_worker = hasattr(config, "workerinput")
        self.cases: Sequence[Case] = ()
        self.results: dict[str, tuple[Result, ...]] = {}
        self.document: Document | None = None
        self.unfinished = False
        self.trouble: str | None = None
        self.mistakes: list[str] = []
        self.runner: Runner | None = None
        self.notes: list[str] = []
        self.unprotected = ""

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self) -> None:
        # Before pytest-xdist starts its workers, so that a mistake is told once, and told first.
        with _usage_errors():
            require_torch()
            require_device(self.settings)
            if not self.is_worker:
                require_writable(self.settings)
            self._register()
            self.cases = self._collect()
            pin_threads()
            self._open_gate()

    def _register(self) -> None:
        from gradcheck_suite.loading import register_all, registering, require_argument
        from gradcheck_suite.registration import Registrar

        self.registry = register_all(self.settings.load)
        self.register = register = Registrar(self.registry)
        for hook in self.config.hook.pytest_gradcheck_register.get_hookimpls():
            require_argument(hook.function, str(getattr(hook.plugin, "__file__", None) or hook.plugin_name))
        with registering("the hook pytest_gradcheck_register"):
            self.config.hook.pytest_gradcheck_register.call_historic(kwargs={"register": register})
            register.close()

    def _collect(self) -> Sequence[Case]:
        from gradcheck_suite import engine

        self.known_ops = frozenset(self.registry.names())
        cases = engine.collect(self.settings, self.registry)
        return _named(cases, self.ids) if self.ids else cases

    def _open_gate(self) -> None:
        from gradcheck_suite import engine, gate

        self.gate = gate.open_gate(self.settings, engine.environment(self.settings))
        self.runner = engine.open_runner(self.settings, self._sources)

    def _sources(self) -> Sequence[str]:
        """Where custom ops are registered, for a process that must do it again."""
        from gradcheck_suite.loading import source_of_plugin

        hooks = self.config.hook.pytest_gradcheck_register.get_hookimpls()
        found = [source_of_plugin(hook.plugin) for hook in hooks]
        return (*self.settings.load, *(source for source in found if source is not None))

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(
        self, collector: pytest.Collector
    ) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
        report = yield
        if isinstance(collector, pytest.Session) and report.passed:
            report.result.append(self._root(collector))
        return report

    def _root(self, session: pytest.Session) -> pytest.Collector:
        from gradcheck_suite.plugin.items import GradcheckCollector

        root: GradcheckCollector = GradcheckCollector.from_parent(session, name=ROOT, nodeid=ROOT)
        assert self.runner is not None
        root.cases, root.run_case, root.gate = self._current_cases, self.runner.run, self.gate
        if self.gate.own is not None and self.settings.update_baseline in (None, "new") and not self.ids:
            root.stale = self._stale
        return root

    def _stale(self) -> Sequence[str]:
        assert self.gate.own is not None
        return self.gate.own.stale(self._existing())

    def _existing(self) -> Sequence[str]:
        """The ids of all cases there are, whatever this run was asked to select."""
        from gradcheck_suite import engine, gate

        return [case.id for case in engine.collect(gate.widest(self.settings), self.registry)]

    def _current_cases(self) -> Sequence[Case]:
        # A conftest.py below the start folder is loaded, and registers its ops, only while pytest collects.
        if frozenset(self.registry.names()) != self.known_ops:
            with _usage_errors():
                self.register.close()
                self.cases = self._collect()
        return self.cases

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if call.when == "call":
            self._keep(report, item)
            if self.runner is not None and self.runner.unprotected:
                vars(report)[_UNPROTECTED] = self.runner.unprotected
            if call.excinfo is not None and isinstance(call.excinfo.value, UsageError):
                vars(report)[_MISTAKE] = str(call.excinfo.value)
        return report

    def _keep(self, report: pytest.TestReport, item: pytest.Item) -> None:
        """Keep an item's results for the document: a worker's travel on the report."""
        from gradcheck_suite.plugin.items import GradcheckItem
        from gradcheck_suite.plugin.wire import attach

        if self.is_worker:
            attach(report, item, with_pictures=self.settings.pictures)
        elif isinstance(item, GradcheckItem) and item.results:
            self.results[item.case.id] = item.results

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if self.is_worker or not report.nodeid.startswith(f"{ROOT}::"):
            return
        from gradcheck_suite.plugin.nodeids import show_whole
        from gradcheck_suite.plugin.wire import attached

        show_whole(report, self.config)
        case_id = report.nodeid.removeprefix(f"{ROOT}::")
        found = attached(report)
        if found:
            self.results[case_id] = found
        if _UNPROTECTED in vars(report):
            self.unprotected = str(vars(report)[_UNPROTECTED])
        if _MISTAKE in vars(report):
            self.mistakes.append(str(vars(report)[_MISTAKE]))
        # Neither a crashed worker nor an error of ours leaves results behind; the baseline's item has none.
        self.unfinished |= report.failed and case_id not in self.results and case_id != BASELINE

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        self._close_runner()
        if self.mistakes and exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
            session.exitstatus = pytest.ExitCode.USAGE_ERROR
        if self.is_worker or not self.results:
            return
        stopped = exitstatus in (pytest.ExitCode.INTERRUPTED, pytest.ExitCode.INTERNAL_ERROR)
        stopped = stopped or bool(session.shouldfail or session.shouldstop)
        self.document = self._document(complete=not (stopped or self.unfinished))
        self._write(session)

    def _close_runner(self) -> None:
        if self.runner is not None:
            self.runner.close()
        if self.unprotected:
            self.notes.append(f"custom ops ran in pytest's process, unprotected: {self.unprotected}")

    def _update_baseline(self) -> None:
        assert self.document is not None
        _, lines = self.gate.closed(self.document.results, self._existing())
        self.notes += lines

    def _document(self, *, complete: bool) -> Document:
        from gradcheck_suite import engine

        place = {case.id: index for index, case in enumerate(self.cases)}
        # Workers report in any order; the document keeps that of the cases.
        ordered = sorted(self.results.items(), key=lambda entry: (place.get(entry[0], len(place)), entry[0]))
        ran = [case for case in self.cases if case.id in self.results]
        results = [result for _, found in ordered for result in found]
        return engine.document(ran, results, self.settings, complete=complete)

    def _write(self, session: pytest.Session) -> None:
        # Where one cannot be written, the other may lie on another disk.
        for write in (self._write_outputs, self._update_baseline):
            try:
                write()
            except UsageError as error:
                self.trouble = "; ".join(filter(None, (self.trouble, str(error))))
                session.exitstatus = pytest.ExitCode.USAGE_ERROR

    def _write_outputs(self) -> None:
        from gradcheck_suite.outputs import write_outputs

        assert self.document is not None
        write_outputs(self.document, self.settings)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.document is None:
            self._tell_mistakes(terminalreporter)
            return
        from gradcheck_suite.outputs import index_of, on_github, tell_github
        from gradcheck_suite.reporters.terminal import render_terminal

        terminalreporter.section(ROOT)
        typed: Sequence[str] = self.config.getoption("gradcheck_load") or ()
        written = self.settings.report if self.trouble is None else None
        report = os.path.relpath(index_of(written), self.config.invocation_params.dir) if written else None
        terminalreporter.write(render_terminal(self.document, report=report, load=typed))
        for line in self.notes:
            terminalreporter.line(line)
        if on_github():
            terminalreporter.write(tell_github(self.document))
        if self.trouble:
            terminalreporter.line(f"ERROR: {self.trouble}", red=True)
        self._tell_mistakes(terminalreporter)

    def _tell_mistakes(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Each mistake once, however many cases it keeps from being judged."""
        for mistake in dict.fromkeys(self.mistakes):
            terminalreporter.line(f"ERROR: {mistake}", red=True)

    def _writes_files(self) -> bool:
        return self.settings.json is not None or self.settings.report is not None


def _widened(settings: Settings, ids: tuple[str, ...], chosen: frozenset[str]) -> Settings:
    """Let ids reach ops and directions outside the defaults, such as an op of another tier."""
    parts = [id_.split("::")[1:] for id_ in ids]
    changes: dict[str, tuple[str, ...]] = {}
    if ids and "ops" not in chosen:
        changes["ops"] = tuple(dict.fromkeys(part[0].partition("[")[0] for part in parts))
    if ids and "directions" not in chosen and all(len(part) > 2 for part in parts):
        changes["directions"] = tuple(dict.fromkeys(part[2] for part in parts))
    return dataclasses.replace(settings, **changes)  # type: ignore[arg-type]


def _absolute(settings: Settings, config: pytest.Config) -> Settings:
    """Bind the output paths to where pytest was started: tests may change the directory."""
    start = config.invocation_params.dir
    return dataclasses.replace(
        settings,
        json=None if settings.json is None else str(start / settings.json),
        report=None if settings.report is None else str(start / settings.report),
        baseline=None if settings.baseline is None else str(start / settings.baseline),
    )


def _named(cases: Sequence[Case], ids: tuple[str, ...]) -> Sequence[Case]:
    """The cases that the ids name, wholly or by their beginning. Raises UsageError for an id of none."""
    for id_ in ids:
        if not any(_matches(case.id, id_) for case in cases):
            known = (f"{ROOT}::{case.id}" for case in cases)
            raise UsageError(f"no case has the id {id_!r}; {suggest(id_, known)}")
    return [case for case in cases if any(_matches(case.id, id_) for id_ in ids)]


def _matches(case_id: str, id_: str) -> bool:
    wanted = id_.removeprefix(f"{ROOT}::")
    return case_id == wanted or case_id.startswith((f"{wanted}::", f"{wanted}["))
