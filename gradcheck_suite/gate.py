"""Which findings fail a run: new ones, by severity, on the ops whose findings are the user's to mend."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gradcheck_suite import baseline
from gradcheck_suite.options import DEFAULT_FAIL_ON, DIRECTIONS, DTYPES, USUAL_PATHS
from gradcheck_suite.results import gravest, severity_rank

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    from gradcheck_suite.baseline import Baseline
    from gradcheck_suite.options import Settings
    from gradcheck_suite.results import Finding, Result


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """The settings of a run with its baselines: `own`, from the user's folder, and `shipped`, for torch's own
    ops.
    """

    settings: Settings
    own: Baseline | None = None
    shipped: Baseline | None = None

    def judged(self, results: Iterable[Result]) -> tuple[Result, ...]:
        """The results with findings told apart into known and new; findings that are about to be recorded are
        known.
        """
        return tuple(self._judged(result) for result in results)

    def _judged(self, result: Result) -> Result:
        if self._records(result):
            return baseline.recorded(result)
        used = self._used(result)
        return result if used is None else used.judged(result)

    def _records(self, result: Result) -> bool:
        mode = self.settings.update_baseline
        if self.own is None or mode is None:
            return False
        return mode == "all" or (mode == "new" and not self.own.has_own(result))

    def _used(self, result: Result) -> Baseline | None:
        """The baseline that speaks of a result: the user's where it was recorded in this very environment, else what
        is shipped for it, else the user's of other environments.
        """
        own = self.own if self.own is not None and self.own.known(result) is not None else None
        if own is not None and own.has_own(result):
            return own
        return self.shipped if self._is_shipped(result) else own

    def _is_shipped(self, result: Result) -> bool:
        """What is shipped speaks of torch's own ops, of one sample of inputs, and of the usual paths."""
        if self.shipped is None or result.custom or not set(self.settings.paths) <= set(USUAL_PATHS):
            return False
        known = self.shipped.known(result)
        return known is not None and known.entry.sample == result.sample

    def failing(self, results: Sequence[Result]) -> list[tuple[Result, Finding]]:
        """The findings that fail a case, gravest first, of results as `judged` gave them.

        Custom ops, and whatever a baseline covers, fail from `settings.fail_on` on ("minor" where nobody
        asked). torch's own ops fail otherwise only under `settings.strict`: their defects are torch's to
        mend, and a suite that is red from the first day is switched off.
        """
        held = [result for result in results if self.holds(result)]
        return at_or_above(held, self.settings.fail_on or DEFAULT_FAIL_ON)

    def holds(self, result: Result) -> bool:
        """Whether the findings of a result, or a verdict left open, can fail it."""
        if self.settings.fail_on == "never":
            return False
        return self.settings.strict or result.custom or self._used(result) is not None

    def undecided(self, results: Sequence[Result]) -> list[Result]:
        """Results whose verdict is open and was not so when the baseline was recorded: never a pass."""
        open_ones = [result for result in results if result.verdict == "inconclusive" and self.holds(result)]
        return [result for result in open_ones if not self._was_open(result)]

    def closed(self, results: Sequence[Result], existing: Sequence[str]) -> tuple[list[str], list[str]]:
        """Record what is to be recorded; return the stale entries and the lines that a user should read.

        `results` are all of a run as `judged` gave them, `existing` the ids of all cases there are. Raises
        UsageError where the baseline cannot be written.
        """
        if self.own is None:
            return [], []
        mode = self.settings.update_baseline
        lines = [f"improved: {sentence}" for sentence in self.own.improvements(results)]
        if mode is not None:
            self.own.update(results, mode, existing)
            lines.append(f"baseline: recorded {len(results)} results ({mode}) in {self.settings.baseline}")
        stale = self.own.stale(existing)
        return stale, lines + [
            f"stale: the baseline has {name}, a case that no longer exists" for name in stale
        ]

    def _was_open(self, result: Result) -> bool:
        used = self._used(result)
        known = used.known(result) if used is not None else None
        return self._records(result) or (known is not None and known.entry.verdict == "inconclusive")


def widest(settings: Settings) -> Settings:
    """The same settings over every op, dtype and direction: what exists, whatever a run selects."""
    from gradcheck_suite.ops.registry import TIERS

    return dataclasses.replace(settings, ops=TIERS, dtypes=DTYPES, directions=DIRECTIONS)


def open_gate(settings: Settings, environment: Mapping[str, Any]) -> Gate:
    """The gate of a run in the document's `environment`. Raises UsageError for a baseline that cannot be
    used.
    """
    return Gate(
        settings=settings,
        own=baseline.open_baseline(settings, environment),
        # Strict means: tell me everything about torch too, whatever the package knows already.
        shipped=None if settings.strict else baseline.shipped_baseline(settings, environment),
    )


def at_or_above(results: Sequence[Result], severity: str) -> list[tuple[Result, Finding]]:
    """The new findings of at least this severity, gravest first; none for "never".

    Known and documented findings are reported and never fail.
    """
    if severity == "never":
        return []
    limit = severity_rank(severity)
    return [
        (result, finding)
        for result, finding in gravest(results)
        if finding.status == "new" and severity_rank(finding.severity) <= limit
    ]
