"""Write reports from a results document: pages for people, files for continuous integration."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gradcheck_suite.cli.codes import DONE
from gradcheck_suite.errors import UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from gradcheck_suite.results import Document

NAME: Final = "render"
HELP: Final = "write reports from a results document"
# One per file format: the option, and what its file is.
_FILES: Final = {
    "sarif": "findings on custom ops at their file and line, as SARIF 2.1.0 for code scanning",
    "junit": "one test case per result, as JUnit XML",
    "badge": "the gravest severity, as the JSON of a shields.io endpoint badge",
    "markdown": "summary.md alone",
    "html": "index.html alone",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("results", metavar="RESULTS.json", help="the results document of a run")
    parser.add_argument("-o", dest="folder", metavar="DIR", help="write index.html and summary.md into DIR")
    for name, what in _FILES.items():
        parser.add_argument(f"--{name}", metavar="FILE", help=f"write {what}")
    parser.add_argument(
        "--github", action="store_true",
        help="print GitHub's workflow commands, and append the summary to $GITHUB_STEP_SUMMARY, where set",
    )  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    from gradcheck_suite import outputs, results

    chosen = _chosen(arguments)
    if not chosen and not arguments.github:
        options = ", ".join(f"--{name} FILE" for name in _FILES)
        raise UsageError(f"name what to write: -o DIR, {options} or --github")
    document = results.read(arguments.results)
    # All texts before the first file: where one cannot be made, what stood there stays as it was.
    texts = [(path, _renderer(name)(document)) for path, name in chosen]
    for path, text in texts:
        results.write_text(path, text)
    sys.stdout.writelines(f"wrote {path}\n" for path, _ in texts)
    if arguments.github:
        sys.stdout.write(outputs.tell_github(document))
    return DONE


def _chosen(arguments: argparse.Namespace) -> list[tuple[Path, str]]:
    """The files to write, each with the name of its format."""
    chosen = []
    if arguments.folder is not None:
        folder = Path(arguments.folder)
        chosen += [(folder / "index.html", "html"), (folder / "summary.md", "markdown")]
    named = ((getattr(arguments, name), name) for name in _FILES)
    return chosen + [(Path(path), name) for path, name in named if path is not None]


def _renderer(name: str) -> Callable[[Document], str]:
    from gradcheck_suite.reporters import badge, html, junit, markdown, sarif

    renderers: dict[str, Callable[[Document], str]] = {
        "sarif": sarif.render_sarif,
        "junit": junit.render_junit,
        "badge": badge.render_badge,
        "markdown": markdown.render_markdown,
        "html": html.render_html,
    }
    return renderers[name]
