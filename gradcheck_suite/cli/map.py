"""Map one op: where its value and its derivatives fail, as intervals in decimal and hex."""

from __future__ import annotations

import json
import math
import re
import sys
import textwrap
from typing import TYPE_CHECKING, Any, Final

from gradcheck_suite import gate
from gradcheck_suite.cli.codes import DONE, FOUND
from gradcheck_suite.cli.common import add_options, op_named, open_registry, settings_of

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from gradcheck_suite.engine.cases import Case
    from gradcheck_suite.floats import Format
    from gradcheck_suite.ops.record import Op
    from gradcheck_suite.options import Settings
    from gradcheck_suite.results import Document, Finding, Result

NAME: Final = "map"
HELP: Final = "show where an op fails"
STDOUT: Final = "-"
_USED: Final = frozenset({"max-ulp", "fail-on", "reference", "budget", "load", "seed"})
_DIRECTIONS: Final = ("forward", "backward", "double-backward")
_WIDTH: Final = 80
_COLUMN: Final = 25
_AS_THEY_ARE: Final = 10**6  # whole numbers below are written in full
_ZEROS: Final = re.compile(r"\.?0+p")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("op", metavar="OP", help="name of the op, such as softplus")
    parser.add_argument("--dtype", default="float32", metavar="NAME", help="dtype of the op; default float32")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", dest="overrides",
        help="a parameter of the op, such as beta=10; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--directions", metavar="LIST", help=f"what to map, comma-separated; default {','.join(_DIRECTIONS)}"
    )
    parser.add_argument(
        "--paths", metavar="LIST", help="ways of calling the op, comma-separated; default vector"
    )
    parser.add_argument(
        "--json", nargs="?", const=STDOUT, metavar="FILE",
        help="write the results document to FILE, or instead of the table where no FILE is given",
    )  # fmt: skip
    add_options(parser, only=_USED)


def run(arguments: argparse.Namespace) -> int:
    from gradcheck_suite.cli.inputs import parse_override, suited

    typed = dict(parse_override(text) for text in arguments.overrides)
    arguments.directions = arguments.directions or ",".join(_DIRECTIONS)
    arguments.paths = arguments.paths or "vector"
    target, arguments.json = arguments.json, None
    settings = settings_of(arguments)
    registry = open_registry(settings)

    from gradcheck_suite import engine

    op = op_named(arguments.op, registry, settings)
    cases = _cases(op, suited(op, typed), arguments.dtype, settings)
    results = [result for case in cases for result in engine.run_case(case, settings)]
    document = engine.document(cases, results, settings)
    if target != STDOUT:
        title = f"{op.label(cases[0].variant)} in {arguments.dtype}"
        print("\n".join(lines(title, document, arguments.dtype)))
    _write(document, target)
    return FOUND if gate.at_or_above(document.results, settings.fail_on or "never") else DONE


def _cases(op: Op, overrides: dict[str, Any], dtype: str, settings: Settings) -> list[Case]:
    """The cases to map. Raises UsageError for a dtype that there is not, or that the op lacks."""
    from gradcheck_suite.engine.cases import Case
    from gradcheck_suite.errors import UsageError
    from gradcheck_suite.floats import format_of
    from gradcheck_suite.ops.variants import at_variant

    format_of(dtype)
    if dtype not in op.dtypes:
        raise UsageError(f"{op.name} is not judged in {dtype}; its dtypes are {', '.join(op.dtypes)}")
    variant = {**op.variants[0], **overrides}
    directions = [d for d in settings.directions if d in op.directions]
    if not directions:
        raise UsageError(f"{op.name} is judged {', '.join(op.directions)} only")
    called = at_variant(op, variant)
    return [Case(op=called, variant=variant, dtype=dtype, direction=d) for d in directions]


def _write(document: Document, target: str | None) -> None:
    from gradcheck_suite import results

    if target == STDOUT:
        json.dump(results.to_json(document), sys.stdout, allow_nan=False)
        print()
    elif target is not None:
        results.write(document, target)


# --- the table


def lines(title: str, document: Document, dtype: str) -> Iterator[str]:
    """The table of all results, at most 80 columns wide."""
    from gradcheck_suite.floats import format_of

    fmt = format_of(dtype)
    yield title
    inexact = False
    for result in document.results:
        yield ""
        yield from textwrap.wrap(_heading(result), _WIDTH, subsequent_indent="  ")
        for group in _groups(result):
            yield from _table(group, fmt)
            inexact |= any(not (f.lo_exact and f.hi_exact) for f in group if f.lo is not None)
    if inexact:
        yield ""
        yield "~ marks an end that is no clean threshold: the last bad float that was seen."


def _heading(result: Result) -> str:
    what = result.direction + (f" with respect to {result.wrt}" if result.wrt else "")
    if result.verdict == "unsupported":
        return f"{what}: unsupported. {result.note}"
    error = "" if result.max_ulp is None else f"largest error {_ulp(result.max_ulp)}"
    verdict = "nothing wrong" if not result.findings else ""
    rest = ", ".join(filter(None, (verdict, error, result.note)))
    return f"{what}: {rest}"


def _groups(result: Result) -> list[list[Finding]]:
    """Findings that share a probe, what is held fixed and the path, in the order of the probe."""
    groups: dict[tuple[str, str, str], list[Finding]] = {}
    for f in result.findings:
        groups.setdefault((f.path, f.probe, json.dumps(f.fixed, sort_keys=True)), []).append(f)
    return [sorted(group, key=_position) for group in groups.values()]


def _position(finding: Finding) -> tuple[bool, float, float]:
    lo = _value(finding.lo)
    return math.isnan(lo), 0.0 if math.isnan(lo) else lo, _value(finding.hi)


def _table(group: Sequence[Finding], fmt: Format) -> Iterator[str]:
    first = group[0]
    if first.lo is None:
        for finding in group:
            yield from textwrap.wrap(finding.message, _WIDTH, initial_indent="  ", subsequent_indent="  ")
        return
    held = ", ".join(f"{name} = {_held(value)}" for name, value in first.fixed.items())
    where = first.probe + (f" with {held}" if held else "")
    where += "" if first.path == "vector" else f", {first.path} path"
    yield from textwrap.wrap(where, _WIDTH, initial_indent="  ", subsequent_indent="    ")
    yield f"    {'from':<{_COLUMN}}to"
    for finding in group:
        yield from _rows(finding, fmt)


def _rows(finding: Finding, fmt: Format) -> Iterator[str]:
    lo, hi = _value(finding.lo), _value(finding.hi)
    left, right = _decimal(lo, fmt), _decimal(hi, fmt)
    label = f"{finding.kind} {finding.severity}"
    start = f"   {_mark(finding.lo_exact)}{left:<{_COLUMN - 1}}{_mark(finding.hi_exact)}{right:<{_COLUMN}}"
    yield (start + label).rstrip()
    share = "" if finding.share == 1 else f"{_percent(finding.share)} of floats, "
    shown = finding.worst or finding.witness
    detail = finding.reason or share + (_ulp(shown.ulp) if shown else "")
    yield f"    {_hex(lo):<{_COLUMN}}{_hex(hi):<{_COLUMN}}{detail}".rstrip()


def _mark(exact: bool) -> str:
    return " " if exact else "~"


def _value(text: str | None) -> float:
    return math.nan if text is None else float.fromhex(text)


def _held(value: Any) -> str:
    return f"{float.fromhex(value):.6g}" if isinstance(value, str) and "0x" in value else str(value)


def _decimal(value: float, fmt: Format) -> str:
    """The shortest decimal that reads back in the format."""
    from gradcheck_suite.floats import round_to

    if not math.isfinite(value):
        return str(value)
    if 1 <= abs(value) < _AS_THEY_ARE and value == int(value):
        return str(int(value))
    for digits in range(1, 17):
        text = f"{value:.{digits}g}"
        if float(round_to([float(text)], fmt)[0]) == value:
            return repr(float(text)).removesuffix(".0")
    return repr(value).removesuffix(".0")


def _hex(value: float) -> str:
    return _ZEROS.sub("p", value.hex()) if math.isfinite(value) else ""


def _ulp(error: float) -> str:
    from gradcheck_suite.reporters.numbers import ulp_text

    return f"{ulp_text(error)} ULP"


def _percent(share: float) -> str:
    if share >= 0.995:
        return ">99%"
    return f"{100 * share:.0f}%" if share >= 0.005 else f"{100 * share:.2g}%"
