from __future__ import annotations

import dataclasses

import pytest

from gradcheck_suite.errors import UsageError
from gradcheck_suite.merging import merged
from gradcheck_suite.results import Document, OpInfo, Result


def result(name: str, points: int) -> Result:
    return Result(
        id=f"{name}::float32::forward",
        op=name,
        callable=name,
        dtype="float32",
        direction="forward",
        verdict="ok",
        points=points,
    )


def document(*results: Result, key: str = "here", complete: bool = True) -> Document:
    ops = tuple(OpInfo(name=r.op, callable=r.op, family="f", tier="core") for r in results)
    return Document(tool={}, environment={"key": key}, ops=ops, results=results, complete=complete)


def test_results_of_one_id_are_replaced_and_others_kept_in_place() -> None:
    known = document(result("a", 1), result("b", 2))
    both = merged(known, document(result("b", 9), result("c", 3)))
    assert [(r.op, r.points) for r in both.results] == [("a", 1), ("b", 9), ("c", 3)]
    assert [op.name for op in both.ops] == ["a", "b", "c"]


def test_results_of_another_environment_are_refused() -> None:
    with pytest.raises(UsageError, match="computed in there, these in here"):
        merged(document(key="there"), document())


def test_an_incomplete_part_makes_the_whole_incomplete() -> None:
    whole = merged(document(), document(complete=False))
    assert not whole.complete
    assert merged(dataclasses.replace(whole, complete=True), document()).complete
