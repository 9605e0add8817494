"""The grammar of the command line."""

from __future__ import annotations

import argparse
import re
from typing import TYPE_CHECKING, Final, NoReturn

from gradcheck_suite import __version__
from gradcheck_suite.cli import at, audit, compare, listing, map, render, report, sweep
from gradcheck_suite.errors import UsageError, suggest

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMANDS: Final = (report, listing, at, map, audit, render, compare, sweep)

_NEGATIVE: Final = re.compile(r"-(\.?\d|inf\b|nan\b|0x)", re.IGNORECASE)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; '{self.prog} --help' shows what is possible")


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Return the parsed command line; its attribute `run` is the function to call with it.

    Raises UsageError on anything that is not understood, and SystemExit after `--help` and `--version`.
    """
    parser, commands = _parsers()
    # argparse takes "-0x1p+3", "-1e5" and "-inf" for options; a leading space makes values of them.
    texts = [f" {text}" if _NEGATIVE.match(text) else text for text in argv]
    if texts and not texts[0].startswith("-") and texts[0] not in commands:
        raise UsageError.unknown("command", texts[0].strip(), commands)
    arguments, unknown = parser.parse_known_args(texts)
    if unknown:
        raise UsageError(_unknown_argument(unknown[0].strip(), commands[arguments.command]))
    return arguments


def _parsers() -> tuple[_Parser, dict[str, _Parser]]:
    parser = _Parser(
        prog="gradcheck",
        description="Judge torch ops against the exact result: values and gradients, in ULP.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"gradcheck-suite {__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    commands = {}
    for module in COMMANDS:
        command = subparsers.add_parser(
            module.NAME, help=module.HELP, description=module.__doc__, allow_abbrev=False
        )
        module.add_arguments(command)
        command.set_defaults(run=module.run)
        commands[module.NAME] = command
    return parser, commands


def _unknown_argument(text: str, command: _Parser) -> str:
    if not text.startswith("-"):
        return f"{command.prog} takes no further argument, but got {text!r}"
    name = text.partition("=")[0]
    # argparse has no public list of a parser's options; its usage line names them all.
    return f"unknown option {name!r} of {command.prog}; {suggest(name, _options(command))}"


def _options(command: _Parser) -> list[str]:
    return re.findall(r"(?<![\w-])--?[a-z][a-z-]*", command.format_usage())
