"""Which findings fail a run: the one rule behind pytest's outcomes and the command line's exit code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gradcheck_suite.results import gravest, severity_rank

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gradcheck_suite.options import Settings
    from gradcheck_suite.results import Finding, Result

DEFAULT_FAIL_ON: Final = "minor"


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


def failing(results: Sequence[Result], settings: Settings) -> list[tuple[Result, Finding]]:
    """The findings that fail a case in pytest.

    Custom ops fail from `settings.fail_on` on ("minor" where nobody asked), torch's own ops only under
    `settings.strict`: their defects are torch's to mend, and a suite that is red from the first day is
    switched off.
    """
    if not governed(results, settings):
        return []
    return at_or_above(results, settings.fail_on or DEFAULT_FAIL_ON)


def governed(results: Sequence[Result], settings: Settings) -> bool:
    """Whether the findings of a case, or a verdict left open, can fail it."""
    return settings.fail_on != "never" and (settings.strict or any(result.custom for result in results))
