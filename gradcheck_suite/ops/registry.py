"""The registry of ops: named records, chosen by name, glob or tier."""

from __future__ import annotations

import fnmatch
import importlib
from collections.abc import Iterator, Sequence
from functools import cache

from gradcheck_suite.errors import UsageError, suggest
from gradcheck_suite.ops.record import Op

TIERS = ("core", "extended", "custom")
FAMILIES = (
    "activations",
    "rowwise",
    "losses",
    "classification",
    "pairwise",
    "sequence",
    "attention",
    "attention_modules",
    "stochastic",
    "composite",
    "special",
)


class Registry:
    """Ops by name, in the order in which they were registered."""

    def __init__(self) -> None:
        self._ops: dict[str, Op] = {}

    def register(self, op: Op) -> Op:
        """Add an op. Raises UsageError where its name is taken or means a tier."""
        if op.name in self._ops:
            raise UsageError(f"an op named {op.name!r} is registered already; choose another name.")
        if op.name in TIERS:
            raise UsageError(f"{op.name!r} names a tier of ops; choose another name.")
        self._ops[op.name] = op
        return op

    def copy(self) -> Registry:
        """A registry with the same ops, so that custom ones can be added without touching this one."""
        twin = Registry()
        twin._ops = dict(self._ops)
        return twin

    def __iter__(self) -> Iterator[Op]:
        return iter(self._ops.values())

    def __len__(self) -> int:
        return len(self._ops)

    def names(self) -> tuple[str, ...]:
        """Every registered name, in order."""
        return tuple(self._ops)

    def get(self, name: str) -> Op:
        """The op of that name. Raises UsageError that suggests the closest one."""
        if name not in self._ops:
            raise UsageError.unknown("op", name, self.names())
        return self._ops[name]

    def select(self, patterns: Sequence[str]) -> list[Op]:
        """Ops whose name matches a pattern (a name, a glob, or a tier), in registry order.

        Raises UsageError for a pattern that matches nothing; the tier "custom" may be empty.
        """
        chosen: set[str] = set()
        for pattern in patterns:
            found = {op.name for op in self if _matches(op, pattern)}
            if not found and pattern not in TIERS:
                raise UsageError(f"no op matches {pattern!r}; {suggest(pattern, (*self.names(), *TIERS))}")
            chosen |= found
        return [op for op in self if op.name in chosen]


def _matches(op: Op, pattern: str) -> bool:
    if pattern in TIERS:
        return op.custom if pattern == "custom" else op.tier == pattern and not op.custom
    return fnmatch.fnmatchcase(op.name, pattern)


BUILTIN = Registry()
"""torch's own ops; the family modules add theirs when they are imported."""


@cache
def registry() -> Registry:
    """torch's own ops, all families loaded."""
    for family in FAMILIES:
        importlib.import_module(f"gradcheck_suite.ops.{family}")
    return BUILTIN
