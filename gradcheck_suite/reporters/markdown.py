"""summary.md: the matrix and the gravest regions, for GitHub's step summary and for a repository."""

from __future__ import annotations

import os
import re

from gradcheck_suite.reporters.numbers import ulp_text
from gradcheck_suite.reporters.regions import region_text
from gradcheck_suite.reporters.summary import Row, columns, headline, rows
from gradcheck_suite.results import Document, Finding, Result, gravest, write_text

LIMIT_BYTES = 1_000_000  # GitHub refuses a step summary of 1 MiB


def write_markdown(document: Document, path: str | os.PathLike[str]) -> None:
    """Write summary.md. Raises UsageError where it cannot be written."""
    write_text(path, render_markdown(document))


def render_markdown(document: Document) -> str:
    """The summary as GitHub-flavoured Markdown, under 1 MiB."""
    parts = [_head(document), _gravest(document), _matrix(document)]
    return _clip("\n\n".join(parts) + "\n")


def _head(document: Document) -> str:
    environment = ", ".join(f"{k} {_text(v)}" for k, v in document.environment.items() if v is not None)
    note = "" if document.complete else "\n\n**Incomplete: the run was interrupted.**"
    return f"# Numerical stability of torch ops\n\n{_text(headline(document))}\n\n{environment}{note}"


def _gravest(document: Document, limit: int = 30) -> str:
    pairs = [pair for pair in gravest(document.results) if pair[1].severity != "info"]
    if not pairs:
        return "No finding above `info`."
    head = ["## Gravest regions", "", "| severity | case | kind | where | ULP |", "|" + " --- |" * 5]
    return "\n".join(head + [_finding(r, f) for r, f in pairs[:limit]])


def _finding(result: Result, finding: Finding) -> str:
    ulp = ulp_text(finding.witness.ulp) if finding.witness else "-"
    cells = (finding.severity, result.id, finding.kind, region_text(finding, result.dtype), ulp)
    return "| " + " | ".join(_text(c) for c in cells) + " |"


def _matrix(document: Document) -> str:
    places = columns(document)
    head = "| op | " + " | ".join(f"{dtype} {direction}" for dtype, direction in places) + " |"
    return "\n".join(["## Matrix", "", head, "| --- |" + " --- |" * len(places), *map(_row, rows(document))])


def _row(row: Row) -> str:
    cells = " | ".join(f"{_text(c.word)} {c.ulp_text}" for c in row.cells)
    return f"| {_text(row.info.name)} | {cells} |"


def _text(value: object) -> str:
    """Text that neither Markdown nor the HTML in it can take for markup."""
    one_line = " ".join(str(value).split())
    shown = one_line if len(one_line) <= 200 else one_line[:199] + "…"
    escaped = re.sub(r"([\\`*_\[\]()#|~!])", r"\\\1", shown)
    return escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _clip(text: str) -> str:
    if len(text.encode()) <= LIMIT_BYTES:
        return text
    kept = text.encode()[: LIMIT_BYTES - 100].decode(errors="ignore")
    return kept[: kept.rindex("\n")] + "\n\n… cut here; the rest is in index.html.\n"
