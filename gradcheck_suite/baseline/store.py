"""A baseline in use: finding a result's entry, judging by it, recording, and entries that are stale."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from gradcheck_suite.baseline import compare, files
from gradcheck_suite.baseline.compare import OTHER_ENVIRONMENT, SAME_ENVIRONMENT, Slack
from gradcheck_suite.baseline.record import Entry, Region, entry_of, gated, position
from gradcheck_suite.errors import UsageError
from gradcheck_suite.preflight import require_folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from gradcheck_suite.options import Settings
    from gradcheck_suite.results import Result

_ARITHMETIC: Final = ("onednn", "bf16", "amx", "arithmetic")
"""What the document's environment says of how torch computes, beside the key."""

SHIPPED: Final = Path(__file__).with_name("shipped")
"""The baselines of torch's own ops that come with the package."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """The entry of a result, and the slack that goes with where it comes from."""

    entry: Entry
    slack: Slack


class Baseline:
    """The baseline in `folder` for one environment.

    `environment` is the document's: its "key", and what stands beside it. With `exact` only entries of this
    very environment count; otherwise an entry of "any", or all the environments taken together, stands in.
    """

    def __init__(self, folder: Path, environment: Mapping[str, Any], *, max_ulp: float, exact: bool) -> None:
        self.folder, self.exact, self.max_ulp = folder, exact, max_ulp
        self.key = str(environment["key"])
        self.beside = beside(environment, max_ulp)
        self._file = cache(lambda op: files.read_op(folder, op))

    def known(self, result: Result) -> Known | None:
        """The entry that a result is compared with; None where nothing was recorded for it."""
        file = self._file(result.op)
        if file is None:
            return None
        own = file.environments.get(self.key)
        if own is not None and self._alike(own) and result.id in own.cases:
            slack = SAME_ENVIRONMENT if self._same_arithmetic(own) else OTHER_ENVIRONMENT
            return Known(entry=own.cases[result.id], slack=slack)
        if self.exact:
            return None
        others = (
            [file.environments[files.ANY]]
            if files.ANY in file.environments
            else [*file.environments.values()]
        )
        entries = [e.cases[result.id] for e in others if result.id in e.cases]
        return Known(entry=_loosest(entries), slack=OTHER_ENVIRONMENT) if entries else None

    def has_own(self, result: Result) -> bool:
        """Whether this very environment has an entry for the result, comparable or not."""
        file = self._file(result.op)
        own = file.environments.get(self.key) if file is not None else None
        return own is not None and result.id in own.cases

    def _alike(self, recorded: files.Environment) -> bool:
        """Flushing subnormals, or a stricter threshold, gives other findings on the same machine."""
        flushes = bool(recorded.beside.get("flush_denormal")) == bool(self.beside.get("flush_denormal"))
        return flushes and float(recorded.beside.get("max_ulp", 4.0)) <= self.beside["max_ulp"]

    def _same_arithmetic(self, recorded: files.Environment) -> bool:
        """Under one instruction set libraries still take other ways on other processors and in other builds."""
        names = [name for name in _ARITHMETIC if name in recorded.beside and name in self.beside]
        return all(recorded.beside[name] == self.beside[name] for name in names)

    def judged(self, result: Result) -> Result:
        """The result with its findings told apart into known and new; as it is where nothing was recorded."""
        known = self.known(result)
        return result if known is None else compare.judged(result, known.entry, known.slack, self.max_ulp)

    def improvements(self, results: Iterable[Result]) -> list[str]:
        """What got better than recorded, one sentence each."""
        told: list[str] = []
        for result in results:
            known = self.known(result)
            if known is not None:
                told += compare.improvements(result, known.entry, known.slack)
        return told

    def stale(self, cases: Sequence[str]) -> list[str]:
        """Ids in the folder of cases that no longer exist; `cases` are the ids of all that do."""
        existing = frozenset(cases)
        return sorted(
            {name for file in files.read_all(self.folder) for name in _names(file) if _gone(name, existing)}
        )

    def update(self, results: Sequence[Result], mode: str, cases: Sequence[str]) -> None:
        """Record `results` in this environment's entries, and drop entries of cases that are not in `cases`.

        "all" replaces the entries of what ran, "new" adds those that are missing, "improved" only tightens.
        Stale entries stay in mode "new". Raises UsageError where a file cannot be written.
        """
        existing = frozenset(cases)
        by_op: dict[str, list[Result]] = {}
        for result in results:
            by_op.setdefault(result.op, []).append(result)
        for op, own in by_op.items():
            file = self._file(op) or files.OpFile(op=op)
            environment = file.environments.setdefault(self.key, files.Environment())
            for result in own:
                _record(environment.cases, result, mode)
            environment.beside = self.beside
            files.write_op(self.folder, file)
        if mode != "new":
            self._drop(existing)

    def _drop(self, existing: frozenset[str]) -> None:
        for file in files.read_all(self.folder):
            stale = [name for name in _names(file) if _gone(name, existing)]
            for environment in file.environments.values():
                for name in stale:
                    environment.cases.pop(name, None)
            if stale:
                files.write_op(self.folder, file)


def beside(environment: Mapping[str, Any], max_ulp: float) -> dict[str, Any]:
    """What results depend on beside the key."""
    names = ("flush_denormal", *_ARITHMETIC)
    return {"max_ulp": max_ulp, **{name: environment[name] for name in names if name in environment}}


def open_baseline(settings: Settings, environment: Mapping[str, Any]) -> Baseline | None:
    """The baseline that the settings name; None where they name none.

    Raises UsageError for a folder that does not exist, unless it is to be recorded, for files in it that are no
    baselines, and for recording under CI: before work starts.
    """
    if settings.baseline is None:
        return None
    folder = Path(settings.baseline)
    if settings.update_baseline is not None and not settings.force_update:
        _refuse_in_ci()
    if folder.is_file():
        raise UsageError(f"the baseline {folder} is a file; name the folder that holds one file per op")
    if settings.update_baseline is None and not any(folder.glob("*.json")):
        raise UsageError(
            f"there is no baseline in {folder}; record one with --gradcheck-update-baseline=all "
            "(--update-baseline=all on the command line)"
        )
    for _ in files.read_all(folder):
        pass
    if settings.update_baseline is not None:
        require_folder(folder, f"the folder of baselines {folder}")
    return Baseline(folder, environment, max_ulp=settings.max_ulp, exact=False)


def shipped_baseline(settings: Settings, environment: Mapping[str, Any]) -> Baseline:
    """What the package knows of torch's own ops; entries of this environment only."""
    return Baseline(SHIPPED, environment, max_ulp=settings.max_ulp, exact=True)


def _refuse_in_ci() -> None:
    if os.environ.get("CI", "").lower() not in ("", "0", "false"):
        raise UsageError(
            "a baseline is not updated under CI (the variable CI is set), where nobody would see the change; "
            "update it on your machine and commit it, or add --force-update"
        )


def _record(cases: dict[str, Entry], result: Result, mode: str) -> None:
    old = cases.get(result.id)
    if mode == "all" or (mode == "new" and old is None):
        cases[result.id] = entry_of(result)
    elif mode == "improved" and old is not None and not _has_new(result):
        cases[result.id] = _tightened(old, entry_of(result))


def _has_new(result: Result) -> bool:
    return any(gated(finding) and finding.status == "new" for finding in result.findings)


def _tightened(old: Entry, new: Entry) -> Entry:
    """The new entry, where it is better; regions that slack let grow stay as they were."""
    regions = {name: _smaller(old.regions.get(name), region) for name, region in new.regions.items()}
    errors = [e for e in (old.max_ulp, new.max_ulp) if e is not None]
    same = old.sample == new.sample
    return Entry(
        verdict=new.verdict,
        sample=new.sample,
        max_ulp=min(errors, default=None) if same else new.max_ulp,
        regions=regions,
    )


def _smaller(old: Region | None, new: Region) -> Region:
    if old is None or old.lo is None or old.hi is None or new.lo is None or new.hi is None:
        return new if old is None else old
    inside = position(old.lo) <= position(new.lo) and position(new.hi) <= position(old.hi)
    return new if inside and (new.ulp or 0.0) <= (old.ulp or 0.0) else old


def _loosest(entries: Sequence[Entry]) -> Entry:
    """Several environments' entries as one: every region, the largest error."""
    regions = {f"{i}.{name}": region for i, e in enumerate(entries) for name, region in e.regions.items()}
    errors = [e.max_ulp for e in entries if e.max_ulp is not None]
    samples = {e.sample for e in entries}
    judged = [e for e in entries if e.verdict != "unsupported"]
    # One environment that could not run the op excuses the next that cannot.
    verdict = "unsupported" if len(judged) < len(entries) else entries[0].verdict
    return Entry(
        verdict=verdict,
        sample=samples.pop() if len(samples) == 1 else "",
        max_ulp=max(errors, default=None),
        regions=regions,
    )


def _names(file: files.OpFile) -> set[str]:
    return {name for environment in file.environments.values() for name in environment.cases}


def _gone(name: str, existing: frozenset[str]) -> bool:
    # "case" or "case::wrt"; a case of several inputs has one result for each.
    return name not in existing and name.rpartition("::")[0] not in existing
