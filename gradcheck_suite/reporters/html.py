"""index.html: one self-contained offline file."""

from __future__ import annotations

import os

from jinja2 import Environment, PackageLoader, StrictUndefined

from gradcheck_suite.reporters.regions import region_text
from gradcheck_suite.reporters.summary import columns, headline, rows
from gradcheck_suite.results import Document, gravest, write_text


def write_html(document: Document, path: str | os.PathLike[str]) -> None:
    """Write index.html. Raises UsageError where it cannot be written."""
    write_text(path, render_html(document))


def render_html(document: Document) -> str:
    """The report as one HTML file without any reference to the network."""
    loader = PackageLoader("gradcheck_suite.reporters")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    pairs = [pair for pair in gravest(document.results) if pair[1].severity != "info"]
    return environment.get_template("index.html.j2").render(
        document=document,
        headline=headline(document),
        columns=columns(document),
        rows=rows(document),
        gravest=pairs[:30],
        region_text=region_text,
    )
