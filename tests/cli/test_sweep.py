"""The command `sweep`, end to end on a 16-bit dtype: what it writes, how it goes on, what it refuses."""

from __future__ import annotations

import dataclasses
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gradcheck_suite import results
from gradcheck_suite.cli import main
from gradcheck_suite.cli.codes import DONE, FOUND, INTERRUPTED, USAGE
from gradcheck_suite.cli.sweep import shown
from gradcheck_suite.engine import sweep

TASKS = 16


@pytest.fixture(autouse=True)
def small_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of 4,096 floats, so that 65,280 make a sweep worth interrupting."""

    def small(**given: Any) -> sweep.Plan:
        return dataclasses.replace(plan(**given), task=4096, kernel="numpy")

    plan = sweep.Plan
    monkeypatch.setattr(sweep, "Plan", small)


def swept(folder: Path, *options: str, op: str = "tanh", dtype: str = "bfloat16") -> int:
    return main(["sweep", op, "--dtype", dtype, "-j", "1", "-o", str(folder), *options])


def plain(folder: Path) -> Any:
    """The document without what differs from run to run."""
    data = json.loads((folder / "results.json").read_text())
    for result in data["results"]:
        del result["seconds"]
    return data


def test_it_writes_exhaustive_results_and_a_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert swept(tmp_path) == DONE
    document = results.read(tmp_path / "results.json")
    assert [r.id for r in document.results] == ["tanh::bfloat16::forward", "tanh::bfloat16::backward"]
    for result in document.results:
        assert result.exhaustive
        assert result.points == 65280
        assert result.histogram is not None
        assert sum(result.histogram.counts) == result.points
        assert len(result.histogram.edges) == len(result.histogram.counts) - 1
        assert result.worst is not None
        assert result.worst.ulp == result.max_ulp
        assert result.curve is not None
    assert (tmp_path / "index.html").exists()
    told = capsys.readouterr().out
    assert "tanh::bfloat16::backward: 65,280 floats" in told
    assert "correctly rounded" in told
    assert not list((tmp_path / "sweeps").iterdir())


def test_findings_are_exact_to_the_float(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    swept(tmp_path, "--direction", "backward", dtype="float16")
    assert "1 floats" not in capsys.readouterr().out
    (result,) = results.read(tmp_path / "results.json").results
    own = [f for f in result.findings if f.path == "vector" and not f.fixed and f.reason is None]
    assert own
    for finding in own:
        assert finding.confirmed_by is not None
        assert finding.confirmed_by.startswith("mpmath@")
        assert finding.lo_exact == (finding.share == 1.0)
        assert finding.witness is not None
    # tanh is odd, and so is what torch makes of it.
    left = [f.points for f in own if f.lo is not None and f.lo.startswith("-")]
    assert 2 * sum(left) == sum(f.points for f in own)


def test_results_join_the_document_that_is_there(tmp_path: Path) -> None:
    swept(tmp_path, "--direction", "forward", op="relu")
    swept(tmp_path, "--direction", "forward", op="relu6")
    swept(tmp_path, "--direction", "forward", op="relu")
    document = results.read(tmp_path / "results.json")
    assert [r.op for r in document.results] == ["relu", "relu6"]


def test_results_of_another_environment_are_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    swept(tmp_path, "--direction", "forward", op="relu")
    text = (tmp_path / "results.json").read_text()
    (tmp_path / "results.json").write_text(text.replace('"key":"torch', '"key":"other'))
    assert swept(tmp_path, op="relu") == USAGE
    assert "name another place with --report" in capsys.readouterr().err


def test_an_interrupted_sweep_goes_on_to_the_same_document(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert swept(whole) == DONE
    run_task, calls = sweep.run_task, []

    def interrupted(*given: Any) -> Any:
        calls.append(given)
        if len(calls) == 6:
            raise KeyboardInterrupt
        return run_task(*given)

    monkeypatch.setattr(sweep, "run_task", interrupted)
    assert swept(parts) == INTERRUPTED
    assert "--resume goes on" in capsys.readouterr().err
    assert swept(parts, "--resume") == DONE
    assert len(calls) == TASKS + 1
    assert plain(parts) == plain(whole)


KILLED = """
import dataclasses, sys, time
from gradcheck_suite.cli import main
from gradcheck_suite.engine import sweep

plan, add = sweep.Plan, sweep.Journal.add
sweep.Plan = lambda **given: dataclasses.replace(plan(**given), task=4096, kernel="numpy")

def slowly(*given):
    add(*given)
    time.sleep(0.2)

sweep.Journal.add = slowly
if __name__ == "__main__":
    main(["sweep", "tanh", "--dtype", "bfloat16", "-j", "2", "-o", sys.argv[1]])
"""


def test_a_sweep_that_was_killed_goes_on_to_the_same_document(tmp_path: Path) -> None:
    whole, parts, program = tmp_path / "whole", tmp_path / "parts", tmp_path / "killed.py"
    program.write_text(KILLED)
    journal = parts / "sweeps" / "tanh-bfloat16-forward-backward.jsonl"
    with subprocess.Popen([sys.executable, str(program), str(parts)], stdout=subprocess.PIPE) as process:
        deadline = time.monotonic() + 100
        while time.monotonic() < deadline and not (journal.exists() and journal.read_text().count("\n") > 4):
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        # The pipe ends when the last process that holds it does: no worker stays behind.
        process.communicate(timeout=100)
    assert process.returncode == -signal.SIGKILL
    assert 0 < journal.read_text().count("\n") - 1 < TASKS
    assert swept(parts, "--resume") == DONE
    assert swept(whole) == DONE
    assert plain(parts) == plain(whole)


@pytest.mark.parametrize(
    ("field", "other"),
    [("op", "gelu"), ("dtype", "float16"), ("environment", "torch2.0-cpu"), ("max_ulp", 8.0)],
)
def test_an_interrupted_sweep_of_something_else_is_refused(
    field: str,
    other: object,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupted(*given: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(sweep, "run_task", interrupted)
    assert swept(tmp_path) == INTERRUPTED
    (journal,) = (tmp_path / "sweeps").iterdir()
    head = json.loads(journal.read_text())
    journal.write_text(json.dumps({**head, field: other}) + "\n")
    capsys.readouterr()
    assert swept(tmp_path, "--resume") == USAGE
    (line,) = capsys.readouterr().err.splitlines()
    assert f"had another {field} ({other!r}, now {head[field]!r}); leave out --resume to start anew" in line


def test_parameters_and_thresholds_count(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--set", "lambd=0.25", "--direction", "forward", "--fail-on", "minor")
    assert swept(tmp_path, *options, op="hardshrink") == DONE
    assert "hardshrink[lambd=0.25]::bfloat16::forward" in capsys.readouterr().out
    assert swept(tmp_path, "--fail-on", "critical") == FOUND


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["tanh", "--dtype", "float64"], "2^64 numbers"),
        (["mse_loss"], "no elementwise op of one input"),
        (["softmax"], "no elementwise op of one input"),
        (["tahn"], "did you mean 'tanh'"),
        (["tanh", "--set", "beta=1"], "tanh has no parameter 'beta', nor any other"),
        (["tanh", "--direction", "sideways"], "unknown direction"),
        (["tanh", "-j", "none"], "-j none: a number of processes"),
        (["tanh", "--executor", "moon"], "unknown executor 'moon'"),
        (["erfcx"], "cannot be swept"),
    ],
)
def test_what_cannot_be_swept_is_told(
    arguments: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sweep", "-o", str(tmp_path), *arguments]) == USAGE
    assert says in capsys.readouterr().err


def test_progress_is_told_in_lines_where_there_is_no_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock: Iterator[float] = iter(range(0, 1000, 6))
    monkeypatch.setattr("gradcheck_suite.cli.sweep.time.monotonic", lambda: next(clock))
    assert list(shown(iter([10, 10, 10]), "tanh", 50, 20)) == [10, 10, 10]
    lines = capsys.readouterr().err.splitlines()
    # Nothing is known of the pace before the second part.
    assert lines[0] == "tanh: 80 %, 6 s left"
    assert lines[-1].startswith("tanh: 100 % in ")
