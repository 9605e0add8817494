"""A badge as JSON in the form of shields.io's endpoint badges (https://shields.io/badges/endpoint-badge)."""

from __future__ import annotations

import json
import os
from typing import Final

from gradcheck_suite.results import Document, count_severities, count_verdicts, write_text

_COLOURS: Final = {"critical": "red", "major": "orange", "minor": "yellow"}


def write_badge(document: Document, path: str | os.PathLike[str]) -> None:
    """Write the badge. Raises UsageError where it cannot be written; what stood there stays whole."""
    write_text(path, render_badge(document))


def render_badge(document: Document) -> str:
    """The badge: the gravest severity with its count, or that nothing was found."""
    message, colour = _verdict(document)
    return json.dumps({"schemaVersion": 1, "label": "gradcheck", "message": message, "color": colour}) + "\n"


def _verdict(document: Document) -> tuple[str, str]:
    if not document.complete:
        return "incomplete", "lightgrey"
    counts = count_severities(document.results)
    for severity, colour in _COLOURS.items():
        if counts[severity]:  # type: ignore[index]
            return f"{counts[severity]} {severity}", colour  # type: ignore[index]
    if not document.results:
        return "nothing run", "lightgrey"
    undecided = count_verdicts(document.results)["inconclusive"]
    return (f"{undecided} undecided", "lightgrey") if undecided else ("no findings", "brightgreen")
