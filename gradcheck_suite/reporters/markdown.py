"""summary.md: the matrix and the gravest regions, for GitHub's step summary and for a repository."""

from __future__ import annotations

import html
import os
import re
from collections.abc import Iterable, Iterator
from typing import Final

from gradcheck_suite.reporters.numbers import ulp_text
from gradcheck_suite.reporters.regions import Group, groups
from gradcheck_suite.reporters.summary import Cell, Row, axes, count_ordinary, levels_of, rows, title
from gradcheck_suite.reporters.words import LEVELS, NAMES, command, terms
from gradcheck_suite.results import Document, count_severities, write_text

LIMIT_BYTES: Final = 1_000_000  # GitHub refuses a step summary of 1 MiB
_LISTED: Final = 30
_LONGEST: Final = 200  # characters of one piece of text
_MARKS: Final = {
    "critical": "🛑", "major": "🔶", "minor": "🔸", "extreme": "▫️", "inconclusive": "❔", "info": "ℹ️", "ok": "✅",
    "unsupported": "➖",
}  # fmt: skip


def write_markdown(document: Document, path: str | os.PathLike[str]) -> None:
    """Write summary.md. Raises UsageError where it cannot be written; what stood there stays whole."""
    write_text(path, render_markdown(document))


def render_markdown(document: Document) -> str:
    """The summary as GitHub-flavoured Markdown, under 1 MiB: counts, the gravest regions, the matrix."""
    kept, size = [], 0
    for line in _lines(document):
        size += len(line.encode()) + 1
        if size > LIMIT_BYTES:
            kept.append("\n… cut here; index.html has the rest.")
            break
        kept.append(line)
    return "\n".join(kept) + "\n"


def _lines(document: Document) -> Iterator[str]:
    ordered = sorted(rows(document), key=lambda row: row.info.name.lower())
    yield from _head(document)
    yield from _glance(document, ordered)
    yield from _gravest(groups(document.results))
    yield from _matrix(document, ordered)
    yield from _environment(document)


def _head(document: Document) -> Iterator[str]:
    ops = len({r.op for r in document.results})
    points = sum(r.points for r in document.results)
    torch = document.environment.get("torch")
    what = f"{ops} op{'' if ops == 1 else 's'}" + (f" of torch {_text(torch)}" if torch else "")
    counts = ", ".join(f"**{n:,}** {word}" for word, n in count_severities(document.results).items())
    yield f"# {_text(title(document))}"
    yield ""
    yield f"{what}, value and gradient compared with the exact result at {points:,} points: {counts}."
    if any(r.findings for r in document.results):
        yield f"Above info, **{count_ordinary(document.results):,}** show at ordinary inputs."
    yield ""
    if not document.complete:
        yield "> **Incomplete.** Not every case ran to its end; this is what was checked."
        yield ""


def _glance(document: Document, ordered: list[Row]) -> Iterator[str]:
    """How many ops can be used in each dtype."""
    dtypes, directions = axes(document)
    if not ordered:
        return
    yield "## Can I use it?"
    yield ""
    lines = (
        [_text(dtype), *(_levels(levels_of(ordered, dtype, direction)) for direction in directions)]
        for dtype in dtypes
    )
    yield from _table(["ops by their worst finding at ordinary inputs", *map(_text, directions)], lines)
    yield ""


def _levels(found: dict[str, int]) -> str:
    return " · ".join(f"{_MARKS[level]} {count} {NAMES.get(level, level)}" for level, count in found.items())


def _gravest(found: list[Group]) -> Iterator[str]:
    if not found:
        yield "No defect found."
        return
    yield "## What is wrong"
    yield ""
    yield from _table(["what", "for which inputs", "worst ULP", "repeat it"], map(_group, found[:_LISTED]))
    if len(found) > _LISTED:
        yield ""
        yield f"… and {len(found) - _LISTED} more of their kind; see the matrix."


def _group(group: Group) -> list[str]:
    result, finding = group.first
    where = "<br>".join(
        f"{_text(', '.join(r.dtype for r, _ in members))}: {_text(text)}" for text, members in group.places
    )
    severity = f"{_MARKS[finding.severity]} {finding.severity}"
    what = f"{severity}: **{_text(group.op)}** {_text(group.direction)} {finding.kind}"
    return [what, where, ulp_text(group.ulp), _code(command(result))]


def _matrix(document: Document, ordered: list[Row]) -> Iterator[str]:
    """One table per direction: all columns side by side would be cut off where Markdown is read."""
    dtypes, directions = axes(document)
    for direction in directions:
        yield ""
        yield f"## Every op, {_text(direction)}"
        yield ""
        lines = ([_code(row.info.name), *_cells(row, direction)] for row in ordered)
        yield from _table(["op", *map(_text, dtypes)], lines)
    yield ""
    yield "<details><summary>How to read this</summary>"
    yield ""
    for level, text in LEVELS.items():
        yield f"- {_MARKS[level]} {NAMES.get(level, level)}: {text}"
    yield ""
    yield (
        "The numbers are errors in ULP, the distance between two neighbouring floats at the exact result: 0.5 is "
        "perfect rounding. Each cell shows the worst over the op's variants."
    )
    named = terms(finding for group in groups(document.results)[:_LISTED] for _, finding in group.by_dtype)
    if named:
        yield ""
        yield "Where inputs are rows or tensors, a region is stated along one number that makes them:"
        yield ""
        yield from (f"- **{name}**: {meaning}" for name, meaning in named)
    yield ""
    yield "</details>"


def _cells(row: Row, direction: str) -> list[str]:
    return [_cell(cell) for cell in row.cells if cell.direction == direction]


def _cell(cell: Cell) -> str:
    if cell.level == "absent":
        return ""
    mark = _MARKS[cell.level]
    if cell.level == "unsupported":
        return f"{mark} {cell.word}"
    if cell.level == "extreme":
        return f"{mark} {cell.word} at extremes"
    word = f"**{cell.word}**" if cell.findings else cell.word
    return f"{mark} {word} {cell.ulp_text}".strip()


def _environment(document: Document) -> Iterator[str]:
    known = {"gradcheck_suite" if k == "version" else k: v for k, v in document.tool.items()}
    known |= document.environment
    yield ""
    yield "Environment: " + ", ".join(f"{_text(k)} {_text(v)}" for k, v in known.items() if v is not None)


def _table(head: list[str], lines: Iterable[list[str]]) -> Iterator[str]:
    yield "| " + " | ".join(head) + " |"
    yield "|" + " --- |" * len(head)
    for cells in lines:
        yield "| " + " | ".join(cells) + " |"


def _code(text: str) -> str:
    """Text as code: in <code> where it holds what backticks, or a pipe inside a table, cannot quote."""
    plain = text.isprintable() and len(text) <= _LONGEST and not set(text) & set("`|<>&")
    return f"`{text}`" if plain and text.strip() else f"<code>{_text(text)}</code>"


def _text(value: object) -> str:
    """Text that neither Markdown nor the HTML in it can take for markup, on one line."""
    printable = "".join(c if c.isprintable() else " " for c in str(value))
    one_line = " ".join(printable.split())
    shown = one_line if len(one_line) <= _LONGEST else one_line[: _LONGEST - 1] + "…"
    escaped = html.escape(re.sub(r"([\\`*_\[\]#|~!])", r"\\\1", shown), quote=False)
    return escaped.replace("@", "&#64;").replace("://", "&#58;//")  # names nobody, links nowhere
