"""List the ops, their tiers, families and variants; with --ids the id of every case."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gradcheck_suite.cli.codes import DONE
from gradcheck_suite.cli.common import add_options, open_registry, settings_of

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Sequence

    from gradcheck_suite.engine import Case

NAME: Final = "list"
HELP: Final = "list the ops that can be judged"
_USED: Final = frozenset({"ops", "dtypes", "directions", "load"})


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--ids", action="store_true", help="one line per case: the id that pytest takes")
    add_options(parser, only=_USED)


def run(arguments: argparse.Namespace) -> int:
    settings = settings_of(arguments)
    registry = open_registry(settings)

    from gradcheck_suite import engine

    cases = engine.collect(settings, registry)
    for line in _ids(cases) if arguments.ids else _table(_rows(cases)):
        print(line)
    return DONE


def _ids(cases: Sequence[Case]) -> Iterable[str]:
    return (f"gradcheck::{case.id}" for case in cases)


def _rows(cases: Sequence[Case]) -> list[tuple[str, ...]]:
    variants: dict[str, set[str]] = {}
    for case in cases:
        variants.setdefault(case.op.name, set()).add(case.id.partition("::")[0])
    ops = {case.op.name: case.op for case in cases}
    head = ("op", "tier", "family", "variants", "callable")
    rows = [
        (op.name, op.tier, op.family, str(len(variants[op.name])), op.callable_name) for op in ops.values()
    ]
    return [head, *rows]


def _table(rows: list[tuple[str, ...]]) -> Iterable[str]:
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
