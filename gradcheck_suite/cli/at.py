"""Judge one op at one input: computed and exact value and gradient, ULP error, conditioning, verdict."""

from __future__ import annotations

import json
import math
import re
import textwrap
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from gradcheck_suite.cli.codes import DONE, FOUND
from gradcheck_suite.cli.common import add_options, op_named, open_registry, require_running, settings_of
from gradcheck_suite.errors import UsageError
from gradcheck_suite.results import severity_rank

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Sequence

    from gradcheck_suite.engine import Explanation
    from gradcheck_suite.engine.explanation import Entry
    from gradcheck_suite.ops.record import Op
    from gradcheck_suite.options import Settings

NAME: Final = "at"
HELP: Final = "judge one op at one input"
_USED: Final = frozenset({"directions", "max-ulp", "fail-on", "reference", "device", "load"})
_DIGITS: Final = 25
_WIDTH: Final = 80
_LONGEST: Final = 240  # characters of an array that are shown
_TRAILING_ZEROS: Final = re.compile(r"\.?0+p")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("op", metavar="OP", help="name of the op, such as sigmoid")
    parser.add_argument(
        "x", metavar="X",
        help="the input, decimal or hex; several as JSON, such as '{\"input\": [1, 2], \"target\": 0}'",
    )  # fmt: skip
    parser.add_argument("--dtype", default="float32", metavar="NAME", help="dtype of the op; default float32")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", dest="overrides",
        help="a parameter of the op, such as beta=10; may be repeated",
    )  # fmt: skip
    add_options(parser, only=_USED)


def run(arguments: argparse.Namespace) -> int:
    from gradcheck_suite.cli.inputs import parse_inputs, parse_override, suited

    inputs = parse_inputs(arguments.x.strip())
    typed = dict(parse_override(text) for text in arguments.overrides)
    settings = settings_of(arguments)
    registry = open_registry(settings)

    from gradcheck_suite import engine
    from gradcheck_suite.formula.arithmetic import reference, uncertified
    from gradcheck_suite.ops.variants import at_variant

    op = op_named(arguments.op, registry, settings)
    require_running(op, settings)
    overrides = suited(op, typed)
    called = at_variant(op, {**op.variants[0], **overrides})
    title = f"{op.label({**op.variants[0], **overrides})} in {arguments.dtype}"
    with reference(settings.reference):
        explained = engine.explain(
            op,
            _point(called, inputs),
            dtype=arguments.dtype,
            variant=overrides,
            settings=settings,
            directions=settings.directions,
        )
        title += " (uncertified: mpmath alone)" if uncertified() else ""
    print("\n".join(_lines(title, explained)))
    return _exit_code(explained, settings)


def _point(op: Op, inputs: Any) -> dict[str, Any]:
    """The inputs by name; what has no name is the first.

    Raises UsageError for lists where the op takes numbers, and for inputs that it lacks.
    """
    point = inputs if isinstance(inputs, dict) else {op.inputs[0]: inputs}
    if not op.pointwise:
        return point
    needed = (*op.inputs, *op.extras)
    for name in point:
        if name not in (*needed, *op.optional):
            raise UsageError.lacking(op.name, "input", name, needed)
    missing = [name for name in needed if name not in point]
    if missing:
        example = json.dumps(dict.fromkeys(needed, 0.5))
        raise UsageError(
            f"{op.name} needs the input {missing[0]!r} too; write all inputs as JSON: '{example}'"
        )
    lists = [name for name, value in point.items() if isinstance(value, list)]
    if lists:
        other = "; --set reduction=mean takes lists" if "reduction" in op.params(op.variants[0]) else ""
        raise UsageError(f"{op.name} is judged at one number, but the input {lists[0]!r} is a list{other}")
    for name, value in point.items():
        if isinstance(value, bool):
            raise UsageError(f"{json.dumps(value)} of input {name!r} is no number; write decimals")
    return point


def _lines(title: str, explained: Sequence[Explanation]) -> Iterable[str]:
    yield title
    for explanation in explained:
        yield ""
        yield from _block(explanation)


def _block(explanation: Explanation) -> Iterable[str]:
    yield explanation.direction + (f" with respect to {explanation.wrt}" if explanation.wrt else "")
    margin = max(10, *map(len, explanation.inputs))
    for name, value in explanation.inputs.items():
        yield from _wrapped(f"{name:<{margin}} {_shown(value)}", margin + 3)
    if len(explanation.entries) > 1:
        yield from _table(explanation.entries)
    if explanation.got is not None and (len(explanation.entries) <= 1 or explanation.kind):
        yield f"  computed   {_both(explanation.got)}"
        yield f"  exact      {explanation.exact}"
        if explanation.ulp is not None:
            yield f"  error      {explanation.ulp:.6g} ULP"
    if explanation.condition is not None:
        yield f"  condition  {explanation.condition:.6g}"
    yield f"  verdict    {_verdict(explanation)}"
    if explanation.sentence:
        yield from _wrapped(explanation.sentence, 2)


def _table(entries: Sequence[Entry]) -> Iterable[str]:
    """Every entry on a line of its own: computed, exact, error, and a mark where it fails."""
    heads = ("entry", "computed", "exact", "error in ULP")
    rows = [(e.index, repr(e.got), _shortened(e.exact), f"{e.ulp:.6g}") for e in entries]
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    for row, failing in zip((heads, *rows), (None, *(e.kind for e in entries)), strict=True):
        line = "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True))
        yield f"  {line}{'  !' if failing else ''}".rstrip()


def _shortened(exact: str) -> str:
    """Enough digits to tell it from its float; below the table the worst entry has all of them."""
    number = Decimal(exact)
    return f"{number:.20g}" if number.is_finite() and number else exact


def _wrapped(text: str, margin: int) -> list[str]:
    return textwrap.wrap(
        text, _WIDTH, initial_indent="  ", subsequent_indent=" " * margin, break_long_words=False,
        break_on_hyphens=False,
    )  # fmt: skip


def _shown(value: Any) -> str:
    """A number in decimal and hex; of an array its first entries, where it is long."""
    if isinstance(value, float):
        return _both(value)
    text = str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST].rpartition(', ')[0]}, …"


def _both(value: float) -> str:
    """A float in decimal, to the digits of the exact value beside it, and in hex."""
    if not math.isfinite(value):
        return str(value)
    return f"{Decimal(value):.{_DIGITS}g} ({_TRAILING_ZEROS.sub('p', value.hex())})"


def _verdict(explanation: Explanation) -> str:
    if explanation.kind is None:
        return explanation.verdict
    return f"{explanation.verdict}: {explanation.kind} ({explanation.severity})"


def _exit_code(explained: Sequence[Explanation], settings: Settings) -> int:
    if settings.fail_on is None or settings.fail_on == "never":
        return DONE
    limit = severity_rank(settings.fail_on)
    found = [explanation.severity for explanation in explained if explanation.severity is not None]
    return FOUND if any(severity_rank(severity) <= limit for severity in found) else DONE
