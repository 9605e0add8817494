"""Answers about records of a document, kept while it is rendered: a page asks a dozen times of each finding."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Final, TypeVar

A = TypeVar("A")
B = TypeVar("B")
T = TypeVar("T")

_MOST: Final = 50_000


def remembered(function: Callable[[A, B], T]) -> Callable[[A, B], T]:
    """A function of two arguments that computes each answer once.

    Arguments are told apart by identity, for records of a document hold dicts, which have no hash.
    """
    known: dict[tuple[int, int], tuple[A, B, T]] = {}

    @functools.wraps(function)
    def asked(one: A, other: B) -> T:
        key = (id(one), id(other))
        entry = known.get(key)
        # An entry keeps its arguments alive, so that no other object has their ids.
        if entry is None:
            if len(known) >= _MOST:
                known.clear()
            entry = known[key] = (one, other, function(one, other))
        return entry[2]

    return asked
