"""Mutate an op and print which of the mutants its gate catches; exit code 1 where one survives."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from gradcheck_suite.cli.codes import DONE, FOUND
from gradcheck_suite.cli.common import add_options, op_named, open_registry, require_running, settings_of
from gradcheck_suite.errors import UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from gradcheck_suite.engine.audit import Verdict
    from gradcheck_suite.ops.record import Op

NAME: Final = "audit"
HELP: Final = "mutate an op and see what its gate catches"
_USED: Final = frozenset(
    {"dtypes", "max-ulp", "fail-on", "reference", "budget", "paths", "device", "load", "seed"}
)
_USUAL: Final = ("float32", "bfloat16")
_WIDTH: Final = 34


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("op", metavar="OP", help="name of the op, such as fused_gelu")
    add_options(
        parser,
        only=_USED,
        dtypes=f"dtypes to mutate the op in, comma-separated; default {','.join(_USUAL)}",
        fail_on="the gate fails from this severity on: critical, major, minor or never; default minor",
    )


def run(arguments: argparse.Namespace) -> int:
    settings = settings_of(arguments)
    registry = open_registry(settings)

    from gradcheck_suite.engine.audit import audit
    from gradcheck_suite.engine.calls import Raised, Unsupported
    from gradcheck_suite.formula.arithmetic import reference

    op = op_named(arguments.op, registry, settings)
    require_running(op, settings)
    dtypes = _dtypes(op, settings.dtypes if arguments.dtypes is not None else _USUAL)
    try:
        with reference(settings.reference):
            verdicts = list(audit(op, dtypes, settings))
    except (Raised, Unsupported) as error:
        raise UsageError(f"{op.name} cannot be audited, for it does not work itself: {error}") from error
    for line in _lines(op, dtypes, verdicts):
        print(line)
    return FOUND if any(verdict.outcome == "survives" for verdict in verdicts) else DONE


def _dtypes(op: Op, wanted: Sequence[str]) -> tuple[str, ...]:
    both = tuple(dtype for dtype in wanted if dtype in op.dtypes)
    if not both:
        raise UsageError(
            f"{op.name} is not registered for {', '.join(wanted)}; choose --dtypes of {', '.join(op.dtypes)}"
        )
    return both


def _lines(op: Op, dtypes: Sequence[str], verdicts: Sequence[Verdict]) -> list[str]:
    names = list(dict.fromkeys(verdict.mutant for verdict in verdicts))
    told = {(verdict.mutant, verdict.dtype): _told(verdict) for verdict in verdicts}
    first = max(len(name) for name in ("mutant", *names)) + 2
    lines = [
        f"mutants of {op.name}",
        ("mutant".ljust(first) + "".join(dtype.ljust(_WIDTH) for dtype in dtypes)).rstrip(),
    ]
    for name in names:
        cells = [told.get((name, dtype), "") for dtype in dtypes]
        lines.append((name.ljust(first) + "".join(cell.ljust(_WIDTH) for cell in cells)).rstrip())
    return [*lines, _sum(op, verdicts)]


def _told(verdict: Verdict) -> str:
    if verdict.outcome == "survives":
        return "SURVIVES"
    if verdict.outcome != "caught":
        return verdict.outcome
    size = "" if verdict.ulp is None or math.isinf(verdict.ulp) else f", {verdict.ulp:.3g} ULP"
    return f"caught: {verdict.kind}{size}"


def _sum(op: Op, verdicts: Sequence[Verdict]) -> str:
    survivors = [verdict for verdict in verdicts if verdict.outcome == "survives"]
    caught = sum(verdict.outcome == "caught" for verdict in verdicts)
    if not survivors:
        return f"the gate of {op.name} catches all {caught}"
    if not caught:
        return f"the gate of {op.name} is vacuous: it catches none of {len(survivors)}"
    return f"the gate of {op.name} catches {caught} and lets {len(survivors)} through"
