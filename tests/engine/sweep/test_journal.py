"""Journals: what was finished survives, half lines and other sweeps do not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gradcheck_suite.engine.sweep.journal import Journal
from gradcheck_suite.errors import UsageError

IDENTITY = {"op": "tanh", "chunk": 512}


def opened(path: Path, *, resume: bool = True, **changes: Any) -> Journal:
    return Journal(path, {**IDENTITY, **changes}, resume=resume)


def done(path: Path) -> list[int]:
    journal = opened(path)
    journal.close(remove=False)
    return sorted(journal.done)


def write(path: Path) -> None:
    journal = opened(path, resume=False)
    journal.add(3, [{"points": 7}])
    journal.add(1, [{"points": 8}])
    journal.close(remove=False)


def test_finished_tasks_are_read_back(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "tanh.jsonl"
    write(path)
    journal = opened(path)
    assert journal.done == {3: [{"points": 7}], 1: [{"points": 8}]}
    journal.add(2, [])
    journal.close(remove=False)
    assert done(path) == [1, 2, 3]


@pytest.mark.parametrize(
    "torn", ['{"task": 2, "fou', '{"task": 2, "found": []}', "\x00\x00\n", "2\n", '{"task": 2}\n']
)
def test_what_a_killed_process_left_half_written_is_dropped(tmp_path: Path, torn: str) -> None:
    path = tmp_path / "tanh.jsonl"
    write(path)
    with path.open("a") as stream:
        stream.write(torn)
    journal = opened(path)
    assert sorted(journal.done) == [1, 3]
    journal.add(2, [])
    journal.close(remove=False)
    assert done(path) == [1, 2, 3]


def test_without_resume_it_starts_anew(tmp_path: Path) -> None:
    path = tmp_path / "tanh.jsonl"
    write(path)
    opened(path, resume=False).close(remove=False)
    assert done(path) == []


def test_another_sweep_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "tanh.jsonl"
    write(path)
    with pytest.raises(UsageError, match=r"another chunk \(512, now 64\); leave out --resume"):
        opened(path, chunk=64)
    assert done(path) == [1, 3]


@pytest.mark.parametrize("text", ["[]\n", "no journal\n", "\xff\n"])
def test_a_file_that_is_no_journal_is_begun_anew(tmp_path: Path, text: str) -> None:
    path = tmp_path / "tanh.jsonl"
    path.write_text(text, encoding="latin-1")
    opened(path).close(remove=False)
    assert done(path) == []


def test_a_complete_sweep_leaves_none_behind(tmp_path: Path) -> None:
    path = tmp_path / "tanh.jsonl"
    opened(path).close(remove=True)
    assert not path.exists()


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot write"):
        opened(tmp_path / "file" / "tanh.jsonl", resume=False)
