"""Judging a callable from a test or a notebook, without the plugin."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from gradcheck_suite.errors import GradcheckError, UsageError
from gradcheck_suite.options import OPTIONS, Settings
from gradcheck_suite.results import Document, Finding, Result

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gradcheck_suite.gate import Gate

_OWN: Final = frozenset({"dtypes", "directions", "max_ulp"})
"""What both an op and a run have; an op states it here."""

_SETTINGS: Final = frozenset(field.name for field in dataclasses.fields(Settings)) - _OWN - {"ops", "load"}
_SHOWN: Final = 5


class Unstable(GradcheckError, AssertionError):
    """What `Check.assert_ok` raises: the gravest findings, one sentence each."""


@dataclass(frozen=True, slots=True)
class Check:
    """The results of one op, and the gate that they are held to."""

    document: Document
    gate: Gate

    @property
    def results(self) -> tuple[Result, ...]:
        """One result for each variant, dtype, direction and differentiated input."""
        return self.document.results

    @property
    def failing(self) -> tuple[Finding, ...]:
        """The findings that fail, gravest first."""
        return tuple(finding for _, finding in self.gate.failing(self.results))

    @property
    def ok(self) -> bool:
        """Whether nothing fails and every verdict was decided."""
        return not self.failing and not self.gate.undecided(self.results)

    def assert_ok(self) -> None:
        """Raises Unstable, an AssertionError, with the gravest findings where there are any that fail."""
        if not self.ok:
            raise Unstable(self.explanation())

    def explanation(self) -> str:
        """What fails, one sentence each, the gravest first."""
        failing = self.failing
        lines = [f"{finding.severity}: {finding.message}" for finding in failing[:_SHOWN]]
        if len(failing) > _SHOWN:
            lines.append(f"… and {len(failing) - _SHOWN} more")
        lines += [f"inconclusive: {result.id}: {result.note}" for result in self.gate.undecided(self.results)]
        return "\n".join(lines)

    def __repr__(self) -> str:
        name = self.document.ops[0].name if self.document.ops else "nothing"
        return f"<Check of {name}: {'ok' if self.ok else f'{len(self.failing)} findings'}>"


def check(fn: Callable[..., Any], *, name: str | None = None, **options: Any) -> Check:
    """Judge a callable in this process, and return the results.

    `options` are those of `register` (`like`, `formula`, `dtypes`, `directions`, `variants`, `max_ulp`,
    `against`, …) and those of a run (`budget`, `paths`, `seed`, `fail_on`, `device`, `baseline`, …). dtypes
    default to all four, directions to forward and backward. Raises UsageError for what cannot be meant.
    """
    from gradcheck_suite import engine, gate
    from gradcheck_suite.ops.registry import registry
    from gradcheck_suite.preflight import pin_threads, require_torch
    from gradcheck_suite.registration import Registrar

    require_torch()
    if options.get("like") is None and options.get("formula") is None:
        raise UsageError("check needs like='gelu', or formula=… with the exact definition")
    run = {option: options.pop(option) for option in sorted(_SETTINGS & options.keys())}
    ops = registry().copy()
    op = Registrar(ops, called="check()", options=_SETTINGS)(name or _name(fn, ops.names()), fn, **options)
    settings = Settings(ops=(op.name,), dtypes=op.dtypes, directions=op.directions, **_checked(run))
    threads = _threads()
    pin_threads()
    try:
        used = gate.open_gate(settings, engine.environment(settings))
        cases = engine.collect(settings, ops)
        found = [result for case in cases for result in used.judged(engine.run_case(case, settings))]
        used.closed(found, [case.id for case in cases])
    finally:
        _set_threads(threads)
    return Check(document=engine.document(cases, found, settings), gate=used)


def _checked(run: dict[str, Any]) -> dict[str, Any]:
    """Options of a run, in their types; texts are checked as the command line checks them."""
    table = {option.field: option for option in OPTIONS}
    for name, value in run.items():
        option = table[name]
        texts = (
            [str(v) for v in value]
            if option.kind in ("list", "repeated") and not isinstance(value, str)
            else value
        )
        if option.kind != "flag" and value is not None:
            run[name] = option.value(texts if isinstance(texts, list) else str(texts), name)
    return run


def _name(fn: Callable[..., Any], taken: Sequence[str]) -> str:
    owner = getattr(fn, "__self__", None)
    own = owner.__name__.lower() if isinstance(owner, type) else getattr(fn, "__name__", type(fn).__name__)
    plain = "".join(c if c.isalnum() or c == "_" else "_" for c in own).strip("_") or "op"
    plain = plain if plain[0].isalpha() else f"op_{plain}"
    return f"my_{plain}" if plain in taken else plain


def _threads() -> int:
    import torch

    return torch.get_num_threads()


def _set_threads(count: int) -> None:
    import torch

    torch.set_num_threads(count)
