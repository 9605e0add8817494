from __future__ import annotations

from pathlib import Path

import pytest

from gradcheck_suite import engine, outputs, results
from gradcheck_suite.errors import UsageError
from tests.cli.conftest import Call, mistake

FLOAT32 = ("--dtypes", "float32")
FILES = {"index.html", "results.json", "summary.md"}


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_report_is_written_and_summed_up(planted: Call, folder: Path) -> None:
    code, out, err = planted("report", "--ops", "relu,tanh", *FLOAT32)
    assert code == 0
    assert names(folder / "reports") == FILES
    assert "report: reports/index.html" in out
    assert max(len(line) for line in out.splitlines()) <= 80
    # Plain lines, for the error stream of a test is no terminal.
    assert err.splitlines()[0] == "0/4 relu::float32::forward"
    assert err.splitlines()[-1] == "4/4 done"
    document = results.read(folder / "reports" / "results.json")
    assert document.complete
    assert [result.id for result in document.results] == [
        "relu::float32::forward",
        "relu::float32::backward",
        "tanh::float32::forward",
        "tanh::float32::backward",
    ]


@pytest.mark.parametrize("option", ["-o", "--report"])
def test_the_folder_can_be_chosen(planted: Call, folder: Path, option: str) -> None:
    code, out, _ = planted("report", option, "deep/er", "--json", "other/copy.json", "--ops=relu", *FLOAT32)
    assert code == 0
    assert names(folder / "deep" / "er") == FILES
    assert "report: deep/er/index.html" in out
    copy = results.read(folder / "other" / "copy.json")
    assert copy == results.read(folder / "deep" / "er" / "results.json")
    assert not (folder / "reports").exists()


@pytest.mark.parametrize(
    ("ops", "arguments", "code"),
    [
        ("tanh", (), 0),
        ("tanh", ("--fail-on", "critical"), 1),
        ("tanh", ("--fail-on", "never"), 0),
        ("tanh", ("--strict",), 1),
        ("tanh", ("--strict", "--fail-on", "never"), 0),
        ("silu", ("--fail-on", "major"), 0),
        ("silu", ("--fail-on", "minor"), 1),
        ("relu", ("--fail-on", "minor"), 0),
    ],
)
def test_only_an_explicit_fail_on_fails(
    planted: Call, ops: str, arguments: tuple[str, ...], code: int
) -> None:
    assert planted("report", "--ops", ops, *FLOAT32, *arguments)[0] == code


def test_ctrl_c_keeps_what_was_computed(planted: Call, folder: Path) -> None:
    # The stand-in's elu behaves as Ctrl-C does.
    code, out, _ = planted("report", "--ops", "relu,elu,tanh", *FLOAT32)
    assert code == 130
    assert "INCOMPLETE" in out
    document = results.read(folder / "reports" / "results.json")
    assert not document.complete
    assert [result.op for result in document.results] == ["relu", "relu"]
    assert [op.name for op in document.ops] == ["relu"]
    assert names(folder / "reports") == FILES


def test_ctrl_c_before_the_first_result(planted: Call, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(engine, "collect", interrupted)
    code, _, err = planted("report")
    assert (code, err) == (130, "gradcheck: interrupted\n")


def test_an_unwritable_folder_is_told_before_the_work(
    call: Call, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "occupied").write_text("a file")

    def worked(*_: object) -> None:
        raise AssertionError("the work began")

    monkeypatch.setattr(engine, "run_case", worked)
    for place in ("occupied", "occupied/below", "/proc"):
        said = mistake(call, "report", "-o", place)
        assert said.startswith(f"the report folder {place} cannot be written")


def test_a_report_that_cannot_be_written_is_told_all_the_same(
    planted: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise UsageError("cannot write reports/results.json: No space left on device.")

    monkeypatch.setattr(outputs, "write_outputs", full)
    code, out, err = planted("report", "--ops", "tanh", "--dtypes", "float32")
    assert code == 2
    assert "worst findings" in out
    assert "report: " not in out
    assert "No space left on device" in err


def test_custom_ops_are_loaded_from_a_file(planted: Call, folder: Path) -> None:
    (folder / "ops.py").write_text(
        "def pytest_gradcheck_register(register):\n"
        "    import torch\n"
        "    register('mine', torch.tanh, like='tanh', dtypes=['float32'])\n"
    )
    code, _, _ = planted("report", "--load", "ops.py", "--ops", "custom")
    assert code == 0
    document = results.read(folder / "reports" / "results.json")
    assert {(result.op, result.dtype, result.custom) for result in document.results} == {
        ("mine", "float32", True)
    }


def test_the_engine_itself_writes_a_report(call: Call, folder: Path) -> None:
    arguments = ("report", "--ops", "relu,sigmoid", "--dtypes", "float64,bfloat16", "--fail-on", "critical")
    # What the package ships may know of these findings already; strict asks for all.
    code, out, _ = call(*arguments, "--strict")
    assert code == 1
    document = results.read(folder / "reports" / "results.json")
    by_id = {result.id: result for result in document.results}
    assert len(by_id) == 8
    assert all(found.severity == "info" for found in by_id["relu::bfloat16::backward"].findings)
    assert "underflow" in {found.kind for found in by_id["sigmoid::float64::backward"].findings}
    assert by_id["sigmoid::bfloat16::forward"].exhaustive
    assert "repeat one: pytest --gradcheck gradcheck::sigmoid::" in out
    page = (folder / "reports" / "index.html").read_text(encoding="utf-8")
    assert "sigmoid" in page
