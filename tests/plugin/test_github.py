"""On GitHub: annotations and the step summary, from the plugin and from `gradcheck report`."""

from __future__ import annotations

from pathlib import Path

import pytest

from gradcheck_suite.cli import main
from tests import stand_in

REGISTER = """
def pytest_gradcheck_register(register):
    from my_ops import mine

    register("mine", mine, like="tanh", dtypes=["float32"])
"""


@pytest.fixture
def github(planted: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A checked-out repository with a custom op, in a step of a workflow."""
    planted.makepyfile(my_ops="import torch\n\n\ndef mine(x):\n    return torch.tanh(x)\n")
    planted.makeconftest(REGISTER)
    planted.syspathinsert()
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_WORKSPACE", str(planted.path))
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(planted.path / "step.md"))
    return planted


def commands(lines: list[str]) -> list[str]:
    return [line for line in lines if line.startswith("::")]


def test_the_plugin_annotates_and_sums_up(github: pytest.Pytester) -> None:
    result = github.runpytest_inprocess("--gradcheck", "--gradcheck-ops=mine,tanh")
    roll_up, *annotations = commands(result.outlines)
    assert roll_up.startswith("::notice title=gradcheck::2 ops, ")
    # torch's own tanh has the same finding, and is not this repository's to mend.
    assert [line.partition(",title=")[0] for line in annotations] == ["::error file=my_ops.py,line=4"] * 2
    step = (github.path / "step.md").read_text(encoding="utf-8")
    assert step.startswith("# Numerical stability of torch ops")
    assert "mine" in step


def test_the_command_line_does_the_same(
    github: pytest.Pytester, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(github.path)
    (github.path / "register.py").write_text(REGISTER)
    assert main(["report", "--load", "register.py", "--ops", "mine"]) == 0
    roll_up, *annotations = commands(capsys.readouterr().out.splitlines())
    assert roll_up.startswith("::notice title=gradcheck::1 op, ")
    assert {line.partition(",title=")[0] for line in annotations} == {"::error file=my_ops.py,line=4"}
    assert (github.path / "step.md").read_text(encoding="utf-8").startswith("# Numerical stability")


@pytest.mark.parametrize("value", [None, "false"])
def test_elsewhere_nothing_of_it(
    github: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    monkeypatch.delenv("GITHUB_ACTIONS")
    if value is not None:
        monkeypatch.setenv("GITHUB_ACTIONS", value)
    result = github.runpytest_inprocess("--gradcheck", "--gradcheck-ops=mine")
    assert commands(result.outlines) == []
    assert not Path(github.path / "step.md").exists()


def test_only_the_controller_of_xdist_speaks(
    planted_everywhere: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(planted_everywhere.path / "step.md"))
    result = planted_everywhere.runpytest_subprocess(
        "--gradcheck", "--gradcheck-ops=relu,tanh", "--gradcheck-dtypes=float32", "-n2"
    )
    assert len(commands(result.outlines)) == 1
    step = (planted_everywhere.path / "step.md").read_text(encoding="utf-8")
    assert step.count("# Numerical stability of torch ops") == 1
    assert stand_in.CRITICAL not in result.stdout.str().partition("::notice")[2]
