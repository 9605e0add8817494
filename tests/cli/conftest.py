from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import pytest

from gradcheck_suite.cli import main
from tests import stand_in

if TYPE_CHECKING:
    from pathlib import Path


class Call(Protocol):
    """Run a command line; returns the exit code and what was printed on both streams."""

    def __call__(self, *argv: str) -> tuple[int, str, str]: ...


def mistake(call: Call, *argv: str) -> str:
    """What is said of a command line that is refused: one sentence, exit code 2, and nothing on stdout."""
    code, out, err = call(*argv)
    assert (code, out) == (2, "")
    said = err.removeprefix("gradcheck: error: ")
    assert said != err
    assert said.endswith("\n")
    assert said.count("\n") == 1
    return said


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, empty."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def call(folder: Path, capsys: pytest.CaptureFixture[str]) -> Call:
    """The command line, with the engine as it is."""

    def run(*argv: str) -> tuple[int, str, str]:
        code = main(argv)
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def planted(call: Call, monkeypatch: pytest.MonkeyPatch) -> Call:
    """The command line, with the verdicts of `tests.stand_in`."""
    stand_in.install(monkeypatch.setattr)
    return call
