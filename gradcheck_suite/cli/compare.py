"""Compare two results documents: which findings are new, gone, worse or better."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from gradcheck_suite.cli.codes import DONE, FOUND
from gradcheck_suite.options import FAIL_ON, settings_from

if TYPE_CHECKING:
    import argparse

    from gradcheck_suite.reporters.changes import Comparison

NAME: Final = "compare"
HELP: Final = "compare two results documents"
_FAIL_ON: Final = "fail_on"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("old", metavar="OLD.json", help="the results document of the earlier run")
    parser.add_argument("new", metavar="NEW.json", help="the results document of the later run")
    parser.add_argument("-o", dest="page", metavar="FILE.html", help="write the comparison as a page too")
    parser.add_argument(
        "--fail-on", dest=_FAIL_ON, metavar="SEVERITY",
        help=f"exit with 1 where a finding of at least this severity is new or became worse: "
        f"{', '.join(FAIL_ON)}; default never",
    )  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    fail_on = settings_from({_FAIL_ON: arguments.fail_on}).fail_on

    from gradcheck_suite import results
    from gradcheck_suite.reporters.compare import compare, render_comparison, write_comparison

    made = compare(results.read(arguments.old), results.read(arguments.new))
    if arguments.page is not None:
        write_comparison(made, arguments.page)
    sys.stdout.write(render_comparison(made))
    if arguments.page is not None:
        print(f"page: {arguments.page}")
    return FOUND if _fails(made, fail_on) else DONE


def _fails(made: Comparison, fail_on: str | None) -> bool:
    from gradcheck_suite.results import severity_rank

    if fail_on is None or fail_on == "never":
        return False
    worse = (*made.of("new"), *made.of("worse"))
    return any(
        change.finding.status == "new" and severity_rank(change.finding.severity) <= severity_rank(fail_on)
        for change in worse
    )
