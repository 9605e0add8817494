"""Annotations on GitHub's checks, as workflow commands on standard output.

GitHub shows ten errors and ten warnings of a step and drops the others, so a roll-up comes first.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Final

from gradcheck_suite.reporters.actionable import Place, actionable, places
from gradcheck_suite.reporters.regions import region_text
from gradcheck_suite.reporters.summary import headline
from gradcheck_suite.reporters.words import case_id, command, sentence, why
from gradcheck_suite.results import Document, Finding, Result

_MOST: Final = 10
_COMMANDS: Final = {"critical": "error", "major": "error", "minor": "warning"}


def render_github(document: Document, *, root: str | os.PathLike[str] | None = None) -> str:
    """The workflow commands, one a line; files are relative to `root` (the working directory)."""
    return "".join(line + "\n" for line in _lines(document, root))


def _lines(document: Document, root: str | os.PathLike[str] | None) -> Iterator[str]:
    found, where = actionable(document), places(document, root)
    yield _annotation("notice", _roll_up(document, found), title="gradcheck")
    left = {"error": _MOST, "warning": _MOST}
    for result, finding in found:
        kind = _COMMANDS[finding.severity]
        if left[kind]:
            left[kind] -= 1
            yield _finding(kind, result, finding, where.get(result.op))


def _roll_up(document: Document, found: list[tuple[Result, Finding]]) -> str:
    counts = [(kind, sum(_COMMANDS[f.severity] == kind for _, f in found)) for kind in ("error", "warning")]
    to_mend = ", ".join(f"{n} {kind}{'' if n == 1 else 's'}" for kind, n in counts if n) or "nothing to mend"
    more = f", the gravest {_MOST} of each follow" if any(n > _MOST for _, n in counts) else ""
    incomplete = "" if document.complete else " Not every case ran to its end."
    return f"{headline(document)}. To mend: {to_mend}{more}.{incomplete}"


def _finding(kind: str, result: Result, finding: Finding, place: Place | None) -> str:
    where = region_text(finding, result.dtype)
    text = f"{sentence(result, finding) or why(finding, result.direction)}\nRepeat: {command(result)}"
    title = f"{case_id(result)}: {finding.kind} for {where}"
    if place is None:
        return _annotation(kind, text, title=title)
    return _annotation(kind, text, file=place.file, line=str(place.line), title=title)


def _annotation(kind: str, text: str, **properties: str) -> str:
    listed = ",".join(f"{name}={_property(value)}" for name, value in properties.items())
    return f"::{kind} {listed}::{_data(text)}"


def _data(text: str) -> str:
    """Text as a workflow command's message: `%` and line ends would end or change the command."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
