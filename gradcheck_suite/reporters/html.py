"""index.html: one self-contained file that reads without JavaScript and draws its details on demand."""

from __future__ import annotations

import os
from typing import Any

from markupsafe import Markup

from gradcheck_suite.reporters import payload, regions, summary, words
from gradcheck_suite.reporters.regions import Group
from gradcheck_suite.reporters.sections import op_section
from gradcheck_suite.reporters.summary import Row
from gradcheck_suite.reporters.templating import script, style, template
from gradcheck_suite.results import KINDS, SEVERITIES, STATUSES, Document, Finding, Result, write_text

_PAYLOADS = "<!-- details -->"  # text of a document cannot contain it: there < is escaped
_LISTED = 60  # groups of findings in the list of the gravest; the matrix shows the others


def write_html(document: Document, path: str | os.PathLike[str]) -> None:
    """Write index.html. Raises UsageError where it cannot be written; what stood there stays whole."""
    write_text(path, render_html(document))


def render_html(document: Document) -> str:
    """The report as one HTML file, under 5 MB, without any reference to the network."""
    rows = sorted(summary.rows(document), key=Row.weight)
    # Without a baseline everything is new, and saying so says nothing.
    baselined = any(f.status == "known" for r in document.results for f in r.findings)
    groups = regions.groups(document.results)[:_LISTED]
    page = template("index.html.j2").render(
        document=document,
        title=summary.title(document),
        groups=groups,
        named_in=[finding for group in groups for _, finding in group.by_dtype],
        where=_where_lines,
        rows=rows,
        glance=_glance(document, rows),
        columns=summary.columns(document),
        axes=summary.axes(document),
        families=sorted({row.info.family for row in rows if row.info.family}),
        choices={"kind": KINDS, "severity": SEVERITIES[:3], "status": STATUSES},
        baselined=baselined,
        payloads=Markup(_PAYLOADS),
        style=style(),
        **script(),
    )
    details = _payloads(rows, baselined=baselined, taken=len(page.encode()))
    before, after = page.split(_PAYLOADS)
    return "".join((before, str(details), after))  # added to Markup, text would be escaped once more


def _glance(document: Document, rows: list[Row]) -> list[tuple[str, list[dict[str, Any]]]]:
    """Of each dtype and direction, how many ops have which level, as the parts of a bar."""
    dtypes, directions = summary.axes(document)
    return [(dtype, [_bar(rows, dtype, direction) for direction in directions]) for dtype in dtypes]


def _bar(rows: list[Row], dtype: str, direction: str) -> dict[str, Any]:
    found = summary.levels_of(rows, dtype, direction)
    parts, start = [], 0.0
    for level, count in found.items():
        width = 100 * count / sum(found.values())
        word = words.NAMES.get(level, level)
        parts.append(
            {"level": level, "word": word, "count": count, "start": f"{start:.4g}", "width": f"{width:.4g}"}
        )
        start += width
    return {"direction": direction, "parts": parts}


def _payloads(rows: list[Row], *, baselined: bool, taken: int) -> Markup:
    """The ops' details in scripts that no browser runs; `taken` is what the rest of the page weighs."""
    cards = payload.cards_per_case(rows)
    sections = [op_section(row, cards=cards, baselined=baselined) for row in rows]
    points = payload.points_per_curve(sections, taken)
    tag = Markup('<script type="text/plain" data-op="{}">{}</script>\n')
    return Markup("").join(
        tag.format(s.row.info.name, payload.encode(payload.op_payload(s, points))) for s in sections
    )


def _where_lines(group: Group) -> list[dict[str, Any]]:
    """Of a group, where it holds: one line for the dtypes that share an interval."""
    return [
        {"text": text, "members": members, "strips": _strip(*members[0])} for text, members in group.places
    ]


def _strip(result: Result, finding: Finding) -> list[tuple[str, str]]:
    return [(finding.severity, regions.strip_path([finding], result.dtype))]
