"""Where a run's document goes: the files that the settings name, and GitHub's checks where it runs there."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from gradcheck_suite import results
from gradcheck_suite.reporters.github import render_github
from gradcheck_suite.reporters.html import write_html
from gradcheck_suite.reporters.markdown import render_markdown, write_markdown

if TYPE_CHECKING:
    from gradcheck_suite.options import Settings
    from gradcheck_suite.results import Document


def write_outputs(document: Document, settings: Settings) -> None:
    """Write the document to `settings.json` and into the folder `settings.report`, where they are given.

    Raises UsageError where a file cannot be written.
    """
    if settings.json is not None:
        results.write(document, settings.json)
    if settings.report is not None:
        folder = Path(settings.report)
        results.write(document, folder / "results.json")
        write_markdown(document, folder / "summary.md")
        write_html(document, index_of(settings.report))


def index_of(report: str) -> Path:
    """The page to open in the report folder `report`."""
    return Path(report) / "index.html"


def on_github() -> bool:
    """Whether this process is a step of a GitHub workflow."""
    return os.environ.get("GITHUB_ACTIONS") == "true"


def tell_github(document: Document) -> str:
    """The workflow commands that annotate the checked-out files, for standard output, one a line.

    Where GITHUB_STEP_SUMMARY names a file, the summary is appended to it. A file that cannot be written is
    told as a warning of its own: a run does not fail for a summary.
    """
    commands = render_github(document, root=os.environ.get("GITHUB_WORKSPACE"))
    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    if summary:
        try:
            with Path(summary).open("a", encoding="utf-8", newline="\n") as stream:
                stream.write(render_markdown(document))
        except OSError as error:
            commands += f"::warning title=gradcheck::the step summary cannot be written ({error.strerror})\n"
    return commands
