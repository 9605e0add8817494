"""What a run leaves behind: pytest's own reports, the terminal summary, and the files."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

import pytest

from gradcheck_suite import results
from tests import stand_in

if TYPE_CHECKING:
    from pathlib import Path

ONE = ("--gradcheck", "--gradcheck-dtypes=float32")
BRACKETS = "gradcheck::softplus[beta=10]::float32::backward"


@pytest.fixture
def failing_softplus(planted: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    monkeypatch.setitem(stand_in.PLAN, "softplus", stand_in.PLAN["tanh"])
    return planted


def junit_cases(path: Path) -> dict[str, dict[str, str]]:
    """The test cases of a JUnit file: their properties by class and name."""
    return {
        f"{case.get('classname')}::{case.get('name')}": {
            str(p.get("name")): str(p.get("value")) for p in case.iter("property")
        }
        for case in ET.parse(path).iter("testcase")
    }


def test_junit_files_have_whole_names_and_properties(failing_softplus: pytest.Pytester) -> None:
    failing_softplus.runpytest_inprocess(BRACKETS, "gradcheck::relu::float32::forward", "--junitxml=out.xml")
    assert junit_cases(failing_softplus.path / "out.xml") == {
        BRACKETS: {
            "gradcheck_op": "softplus",
            "gradcheck_dtype": "float32",
            "gradcheck_direction": "backward",
            "gradcheck_verdict": "findings",
            "gradcheck_points": "10",
            "gradcheck_max_ulp": "0.5",
            "gradcheck_critical": "1",
        },
        "gradcheck::relu::float32::forward": {
            "gradcheck_op": "relu",
            "gradcheck_dtype": "float32",
            "gradcheck_direction": "forward",
            "gradcheck_verdict": "ok",
            "gradcheck_points": "10",
            "gradcheck_max_ulp": "0.5",
            "gradcheck_info": "1",
        },
    }


@pytest.mark.parametrize("folder", [".", "below"])
def test_an_id_can_be_copied_from_pytests_summary(failing_softplus: pytest.Pytester, folder: str) -> None:
    failing_softplus.makeini("[pytest]")
    failing_softplus.mkdir("below")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(failing_softplus.path / folder)
        result = failing_softplus.runpytest_inprocess(BRACKETS, "--gradcheck-strict")
        line = next(line for line in result.outlines if line.startswith("FAILED "))
        again = failing_softplus.runpytest_inprocess(line.split()[1], "--gradcheck-strict")
    assert line.split()[1].endswith(BRACKETS)
    again.assert_outcomes(failed=1)


def test_the_source_of_an_op_is_its_location(planted: pytest.Pytester) -> None:
    planted.makepyfile(
        my_ops="""
        import torch


        def mine(x):
            return torch.tanh(x)
        """
    )
    planted.makeconftest(
        """
        def pytest_gradcheck_register(register):
            from my_ops import mine

            register("mine", mine, like="tanh")
        """
    )
    planted.syspathinsert()
    locations = []

    class Recorder:
        def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
            locations.append(report.location[:2])

    planted.runpytest_inprocess("gradcheck::mine::float32::forward", plugins=[Recorder()])
    assert set(locations) == {("my_ops.py", 3)}


def test_the_summary_fits_eighty_columns(planted: pytest.Pytester) -> None:
    result = planted.runpytest_inprocess(
        *ONE, "--gradcheck-ops=core", "--deselect=gradcheck::gelu", "--deselect=gradcheck::elu"
    )
    lines = result.outlines
    start = next(index for index, line in enumerate(lines) if line.strip("=") == " gradcheck ")
    assert max(len(line) for line in lines[start:]) <= 80
    text = "\n".join(lines[start:])
    assert "tanh::float32::backward" in text
    assert "pytest --gradcheck" in text
    assert "INCOMPLETE" not in text


def test_no_summary_without_items(planted: pytest.Pytester) -> None:
    planted.makepyfile("def test_own(): pass")
    result = planted.runpytest_inprocess(*ONE, "-m", "not gradcheck")
    assert result.parseoutcomes()["passed"] == 1
    assert not [line for line in result.outlines if line.strip("=") == " gradcheck "]


def test_the_document_holds_every_result_in_the_order_of_cases(planted: pytest.Pytester) -> None:
    planted.runpytest_inprocess(*ONE, "--gradcheck-ops=tanh,relu", "--gradcheck-json=out/results.json")
    document = results.read(planted.path / "out" / "results.json")
    assert [result.id for result in document.results] == [
        "relu::float32::forward",
        "relu::float32::backward",
        "tanh::float32::forward",
        "tanh::float32::backward",
    ]
    assert document.complete
    assert {op.name for op in document.ops} == {"relu", "tanh"}
    assert document.environment["threads"] == 1
    finding = document.results[3].findings[0]
    assert (finding.severity, finding.message) == ("critical", stand_in.CRITICAL)
    assert document.results[0].curve is not None


def test_a_report_folder_is_written_and_told(planted: pytest.Pytester) -> None:
    result = planted.runpytest_inprocess(*ONE, "--gradcheck-ops=relu", "--gradcheck-report=out")
    names = {path.name for path in (planted.path / "out").iterdir()}
    assert names == {"index.html", "results.json", "summary.md"}
    assert "report: out/index.html" in result.stdout.str()


def test_outputs_stay_where_pytest_started(planted: pytest.Pytester) -> None:
    planted.makeini("[pytest]")
    below = planted.mkdir("below")
    (below / "test_own.py").write_text("def test_own(tmp_path):\n    import os\n    os.chdir(tmp_path)\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(below)
        planted.runpytest_inprocess(*ONE, "--gradcheck-ops=relu", "--gradcheck-json=out.json")
    assert (below / "out.json").exists()


@pytest.mark.parametrize("arguments", [("--gradcheck-strict", "-x"), ("--gradcheck-strict", "--maxfail=1")])
def test_a_run_that_stopped_early_is_marked_incomplete(
    planted: pytest.Pytester, arguments: tuple[str, ...]
) -> None:
    base = (*ONE, "--gradcheck-ops=relu,tanh,softsign", "--gradcheck-json=out.json")
    result = planted.runpytest_inprocess(*base, *arguments)
    document = results.read(planted.path / "out.json")
    assert not document.complete
    assert [result.op for result in document.results] == ["relu", "relu", "tanh"]
    assert "INCOMPLETE" in result.stdout.str()


def test_an_interrupted_run_keeps_what_it_has(planted_everywhere: pytest.Pytester) -> None:
    # The stand-in's elu behaves as Ctrl-C does.
    result = planted_everywhere.runpytest_subprocess(
        *ONE, "--gradcheck-ops=relu,elu", "--gradcheck-json=out.json"
    )
    assert result.ret == pytest.ExitCode.INTERRUPTED
    document = results.read(planted_everywhere.path / "out.json")
    assert not document.complete
    assert [result.op for result in document.results] == ["relu", "relu"]


def test_a_case_that_broke_makes_the_document_incomplete(planted: pytest.Pytester) -> None:
    planted.runpytest_inprocess(*ONE, "--gradcheck-ops=relu,gelu", "--gradcheck-json=out.json")
    document = results.read(planted.path / "out.json")
    assert not document.complete
    assert {result.op for result in document.results} == {"relu"}


def test_a_place_that_became_unwritable_is_told_without_a_traceback(planted: pytest.Pytester) -> None:
    planted.makepyfile("def test_own():\n    import os\n    os.mkdir('out.json')\n")
    result = planted.runpytest_inprocess(*ONE, "--gradcheck-ops=relu", "--gradcheck-json=out.json")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    text = result.stdout.str()
    assert "ERROR: cannot write" in text
    assert "Traceback" not in text


def test_a_document_that_cannot_be_written_costs_no_baseline(
    planted: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CI", raising=False)
    planted.makepyfile("def test_own():\n    import os\n    os.mkdir('out.json')\n")
    record = ("--gradcheck-baseline=base", "--gradcheck-update-baseline=all")
    result = planted.runpytest_inprocess(*ONE, "--gradcheck-ops=relu", "--gradcheck-json=out.json", *record)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "ERROR: cannot write" in result.stdout.str()
    assert (planted.path / "base" / "relu.json").is_file()
