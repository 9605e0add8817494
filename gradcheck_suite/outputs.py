"""Where a run's document goes: the results file and the report folder that the settings name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gradcheck_suite import results
from gradcheck_suite.reporters.html import write_html
from gradcheck_suite.reporters.markdown import write_markdown

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
