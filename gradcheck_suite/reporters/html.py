"""index.html: one self-contained file that reads without JavaScript and draws its details on demand."""

from __future__ import annotations

import base64
import functools
import hashlib
import os
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from gradcheck_suite.reporters import numbers, payload, regions, summary, words
from gradcheck_suite.reporters.regions import Group
from gradcheck_suite.reporters.summary import Row
from gradcheck_suite.results import (
    KINDS,
    SEVERITIES,
    STATUSES,
    Document,
    Finding,
    Result,
    variant_label,
    write_text,
)

_SCRIPTS = ("dom", "float_line", "cursor", "pictures", "state", "filters", "page")
_LISTED = 60  # groups of findings in the list of the gravest; the matrix shows the others


def write_html(document: Document, path: str | os.PathLike[str]) -> None:
    """Write index.html. Raises UsageError where it cannot be written; what stood there stays whole."""
    write_text(path, render_html(document))


def render_html(document: Document) -> str:
    """The report as one HTML file without any reference to the network."""
    rows = sorted(summary.rows(document), key=Row.weight)
    script = _script()
    # Without a baseline everything is new, and saying so says nothing.
    baselined = any(f.status == "known" for r in document.results for f in r.findings)
    page: str = template("index.html.j2").render(
        document=document,
        groups=regions.groups(document.results)[:_LISTED],
        rows=rows,
        glance=_glance(document, rows),
        columns=summary.columns(document),
        axes=summary.axes(document),
        families=sorted({row.info.family for row in rows if row.info.family}),
        choices={"kind": KINDS, "severity": SEVERITIES[:3], "status": STATUSES},
        payloads=_payloads(rows, baselined=baselined),
        baselined=baselined,
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        style=Markup(asset("report.css")),
    )
    return page


def _glance(document: Document, rows: list[Row]) -> list[tuple[str, list[dict[str, Any]]]]:
    """Of each dtype and direction, how many ops have which level, as the parts of a bar."""
    dtypes, directions = summary.axes(document)
    return [(dtype, [_bar(rows, dtype, direction) for direction in directions]) for dtype in dtypes]


def _bar(rows: list[Row], dtype: str, direction: str) -> dict[str, Any]:
    cells = [c for row in rows for c in row.cells if (c.dtype, c.direction) == (dtype, direction)]
    # A remark never fails a run: at a glance an op that has nothing worse is ok.
    levels = ["ok" if c.level == "info" else c.level for c in cells if c.level != "absent"]
    parts, start = [], 0.0
    for level in dict.fromkeys(level for level in summary.LEVELS if level in levels):
        count = levels.count(level)
        width = 100 * count / len(levels)
        word = "undecided" if level == "inconclusive" else level
        parts.append(
            {"level": level, "word": word, "count": count, "start": f"{start:.4g}", "width": f"{width:.4g}"}
        )
        start += width
    return {"direction": direction, "parts": parts}


def _payloads(rows: list[Row], *, baselined: bool) -> list[tuple[str, str]]:
    limit = payload.points_per_curve(rows)
    head, answer, section = (template(f"{name}.html.j2") for name in ("op", "answer", "case"))

    def render(row: Row, result: Result) -> str:
        findings = sorted(result.findings, key=lambda f: regions.prominence(result, f))
        return section.render(row=row, result=result, findings=findings, baselined=baselined)

    return [
        (
            row.info.name,
            payload.encode(
                payload.op_payload(
                    row,
                    head.render(row=row),
                    {v: answer.render(row=row, cells=row.of_variant(v)) for v in row.variants},
                    render,
                    limit,
                )
            ),
        )
        for row in rows
    ]


@functools.cache
def environment() -> Environment:
    """The jinja2 environment of every HTML page: autoescaped, with the reporters' words and numbers."""
    made = Environment(
        loader=PackageLoader("gradcheck_suite.reporters"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(
        decimal=numbers.decimal,
        short=numbers.short,
        ulp=numbers.ulp_text,
        shown=numbers.input_text,
        hex=numbers.hex_text,
    )
    made.globals.update(
        words=words,
        regions=regions,
        variant_label=variant_label,
        lines=_where_lines,
    )
    return made


def _where_lines(group: Group) -> list[dict[str, Any]]:
    """Of a group, where it holds: one line for the dtypes that share an interval."""
    shared: dict[str, list[tuple[Result, Finding]]] = {}
    for result, finding in group.by_dtype:
        shared.setdefault(regions.region_text(finding, result.dtype), []).append((result, finding))
    return [
        {"text": text, "members": members, "strips": _strip(*members[0])} for text, members in shared.items()
    ]


def _strip(result: Result, finding: Finding) -> list[tuple[str, str]]:
    return [(finding.severity, regions.strip_path([finding], result.dtype))]


def _script() -> str:
    """The page's script: its parts in one strict scope of their own."""
    return '"use strict";\n{\n' + "".join(asset(f"js/{name}.js") for name in _SCRIPTS) + "}\n"


def template(name: str) -> Template:
    """One of the package's templates."""
    return environment().get_template(name)


def asset(name: str) -> str:
    """The text of a style sheet or script of the package."""
    return resources.files("gradcheck_suite.reporters").joinpath("templates", name).read_text("utf-8")
