"""Putting results that were computed later, such as those of a sweep, into a document that exists."""

from __future__ import annotations

import dataclasses

from gradcheck_suite.errors import UsageError
from gradcheck_suite.results import Document


def merged(known: Document, fresh: Document) -> Document:
    """`known` with the results of `fresh`, which replace those of the same id.

    Raises UsageError where the two come from different environments.
    """
    require_same_environment(known, fresh)
    results = {r.id: r for r in known.results} | {r.id: r for r in fresh.results}
    ops = {op.name: op for op in known.ops} | {op.name: op for op in fresh.ops}
    return dataclasses.replace(
        known,
        tool=fresh.tool,
        ops=tuple(ops.values()),
        results=tuple(results.values()),
        complete=known.complete and fresh.complete,
    )


def require_same_environment(known: Document, fresh: Document) -> None:
    """Raises UsageError where results of the two documents may not stand beside each other."""
    theirs, ours = known.environment.get("key"), fresh.environment.get("key")
    if theirs != ours:
        raise UsageError(
            f"the results there were computed in {theirs}, these in {ours}; name another place with --report"
        )
