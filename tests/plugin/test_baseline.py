"""A baseline in a pytest run, end to end: recorded, kept, broken, stale, refused; plain and with xdist."""

from __future__ import annotations

import json

import pytest

ARGUMENTS = ("--gradcheck", "--gradcheck-ops=custom", "--gradcheck-dtypes=float32", "--gradcheck-in-process")
BASELINE = "--gradcheck-baseline=base"
RECORD = "--gradcheck-update-baseline=all"

# A correctly rounded op whose gradient has a defect below -12, and one above 12 where `planted` exists.
OPS = """
import os
import torch

class Half(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return torch.where(x > 0, x, x / 2)

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        right = torch.where(x > 0, g, g / 2)
        wrong = torch.where(x < -12, torch.zeros_like(g), right)
        return torch.where(x > 12, wrong * 1.0009, wrong) if os.path.exists("planted") else wrong

def pytest_gradcheck_register(register):
    register("mine", Half.apply, formula=lambda m, x: m.maximum(x, x / 2))
    if os.path.exists("second"):
        register("second", torch.relu, like="relu")
"""


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    monkeypatch.delenv("CI", raising=False)
    pytester.makeconftest(OPS)
    return pytester


def run(project: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    return project.runpytest_inprocess(*ARGUMENTS, BASELINE, *arguments)


@pytest.mark.parametrize("spread", [(), ("-n2",)])
def test_what_is_recorded_is_known_and_what_is_new_fails(
    project: pytest.Pytester, spread: tuple[str, ...]
) -> None:
    project.runpytest_inprocess(*ARGUMENTS).assert_outcomes(passed=1, failed=1)
    recorded = run(project, RECORD, *spread)
    recorded.assert_outcomes(passed=1, xfailed=1)
    assert "recorded 2 results (all)" in recorded.stdout.str()
    # The third item says whether an entry of the baseline is stale.
    run(project, *spread).assert_outcomes(passed=2, xfailed=1)

    (project.path / "planted").touch()
    broken = run(project, *spread)
    broken.assert_outcomes(passed=2, failed=1)
    text = broken.stdout.str()
    assert "major: mine float32: the gradient is inaccurate: at x = " in text
    assert "The baseline has nothing of the kind (inaccurate) there." in text
    assert "underflow, 1.7e7 ULP, known" in text


def test_files_are_per_op_and_settle(project: pytest.Pytester) -> None:
    run(project, RECORD)
    (file,) = (project.path / "base").iterdir()
    assert file.name == "mine.json"
    before = file.read_text()
    (environment,) = json.loads(before)["environments"].values()
    assert environment["cases"]["mine::float32::backward"]["regions"]
    run(project, RECORD)
    assert file.read_text() == before


def test_a_stale_entry_fails(project: pytest.Pytester) -> None:
    (project.path / "second").touch()
    run(project, RECORD)
    (project.path / "second").unlink()
    stale = run(project, "--gradcheck-json=out.json")
    stale.assert_outcomes(passed=1, xfailed=1, failed=1)
    assert json.loads((project.path / "out.json").read_text())["complete"]
    assert "second::float32::forward" in stale.stdout.str()
    assert "gradcheck::baseline" in stale.stdout.str()
    # Selecting less does not make an entry stale.
    run(project, "-k", "forward").assert_outcomes(passed=1, deselected=2)
    run(project, "--gradcheck-update-baseline=all").assert_outcomes(passed=1, xfailed=1)
    assert not (project.path / "base" / "second.json").exists()


def test_new_leaves_the_rest_alone(project: pytest.Pytester) -> None:
    run(project, RECORD)
    (project.path / "second").touch()
    (project.path / "planted").touch()
    run(project, "--gradcheck-update-baseline=new").assert_outcomes(passed=4, failed=1)
    assert (project.path / "base" / "second.json").exists()
    run(project).assert_outcomes(passed=4, failed=1)


def test_improvements_are_told_and_kept(project: pytest.Pytester) -> None:
    (project.path / "planted").touch()
    run(project, RECORD)
    (project.path / "planted").unlink()
    better = run(project, "--gradcheck-update-baseline=improved")
    better.assert_outcomes(passed=1, xfailed=1)
    assert "improved: mine::float32::backward: inaccurate for 12 …" in better.stdout.str()
    (project.path / "planted").touch()
    run(project).assert_outcomes(passed=2, failed=1)


def test_ci_refuses_unless_forced(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    refused = run(project, RECORD)
    assert refused.ret == pytest.ExitCode.USAGE_ERROR
    assert "not updated under CI" in refused.stderr.str()
    assert not (project.path / "base").exists()
    run(project, RECORD, "--gradcheck-force-update").assert_outcomes(passed=1, xfailed=1)


def test_a_missing_baseline_is_told_first(project: pytest.Pytester) -> None:
    result = run(project)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "there is no baseline in" in result.stderr.str()


def test_options_in_the_configuration(project: pytest.Pytester) -> None:
    project.makeini(
        "[pytest]\ngradcheck_baseline = base\ngradcheck_ops = custom\ngradcheck_dtypes = float32\n"
    )
    arguments = ("--gradcheck", "--gradcheck-in-process")
    project.runpytest_inprocess(*arguments, RECORD).assert_outcomes(passed=1, xfailed=1)
    project.runpytest_inprocess(*arguments).assert_outcomes(passed=2, xfailed=1)


def test_torchs_own_ops_fail_where_the_baseline_covers_them(project: pytest.Pytester) -> None:
    arguments = ("--gradcheck", "--gradcheck-ops=relu", "--gradcheck-dtypes=float32", BASELINE)
    project.runpytest_inprocess(*arguments, RECORD).assert_outcomes(passed=2)
    file = project.path / "base" / "relu.json"
    text = file.read_text()
    file.write_text(text.replace('"max_ulp": 0', '"max_ulp": -9'))
    project.runpytest_inprocess(*arguments).assert_outcomes(passed=1, failed=2)
