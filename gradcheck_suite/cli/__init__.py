"""The command `gradcheck`: one file for each of its commands."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from gradcheck_suite.cli.codes import DONE, INTERRUPTED, USAGE
from gradcheck_suite.cli.parser import parse
from gradcheck_suite.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv`, or sys.argv's, and return the exit code. Raises nothing but SystemExit."""
    try:
        arguments = parse(sys.argv[1:] if argv is None else argv)
        code: int = arguments.run(arguments)
        sys.stdout.flush()
    except UsageError as error:
        print(f"gradcheck: error: {error}", file=sys.stderr)
        return USAGE
    except KeyboardInterrupt:
        print("gradcheck: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of a pipe has gone, as `head` does. Python would complain once more when it flushes at
        # exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    return code
