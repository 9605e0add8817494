"""How results become pytest's outcomes: pass, fail, xfail, skip."""

from __future__ import annotations

import pytest

from tests import stand_in

ONE = ("--gradcheck", "--gradcheck-dtypes=float32", "--gradcheck-directions=backward")

OWN = """
def pytest_gradcheck_register(register):
    import torch

    register("mine", torch.tanh, like="tanh")
    register("slightly_off", torch.tanh, like="tanh")
    register("undecided", torch.tanh, like="tanh")
"""


def run(pytester: pytest.Pytester, ops: str, *arguments: str) -> pytest.RunResult:
    return pytester.runpytest_inprocess(*ONE, f"--gradcheck-ops={ops}", *arguments)


def test_nothing_found_passes(planted: pytest.Pytester) -> None:
    run(planted, "sigmoid").assert_outcomes(passed=1)


def test_remarks_pass_even_strictly(planted: pytest.Pytester) -> None:
    run(planted, "relu", "--gradcheck-strict").assert_outcomes(passed=1)


def test_a_finding_on_torch_is_expected_and_says_what_is_wrong(planted: pytest.Pytester) -> None:
    result = run(planted, "tanh", "-rx")
    result.assert_outcomes(xfailed=1)
    assert result.ret == pytest.ExitCode.OK
    assert stand_in.CRITICAL in result.stdout.str()


def test_strict_makes_it_fail(planted: pytest.Pytester) -> None:
    result = run(planted, "tanh", "--gradcheck-strict")
    result.assert_outcomes(failed=1)
    text = result.stdout.str()
    assert stand_in.CRITICAL in text
    assert "pytest --gradcheck gradcheck::tanh::float32::backward" in text
    assert "Traceback" not in text
    assert "items.py" not in text


def test_runxfail_makes_it_fail_too(planted: pytest.Pytester) -> None:
    result = run(planted, "tanh", "--runxfail")
    result.assert_outcomes(failed=1)
    assert stand_in.CRITICAL in result.stdout.str()


@pytest.mark.parametrize(
    ("fail_on", "outcome"), [("minor", "failed"), ("major", "xfailed"), ("never", "xfailed")]
)
def test_fail_on_governs_strict_runs(planted: pytest.Pytester, fail_on: str, outcome: str) -> None:
    result = run(planted, "silu", "--gradcheck-strict", f"--gradcheck-fail-on={fail_on}")
    result.assert_outcomes(**{outcome: 1})


@pytest.mark.parametrize(
    ("arguments", "failed"),
    [
        ((), 3),
        (("--gradcheck-fail-on=minor",), 3),
        # An undecided verdict is never a pass: it may hide the gravest finding.
        (("--gradcheck-fail-on=major",), 2),
        (("--gradcheck-fail-on=critical",), 2),
        (("--gradcheck-fail-on=never",), 0),
    ],
)
def test_custom_ops_fail_from_fail_on_up(
    planted: pytest.Pytester, arguments: tuple[str, ...], failed: int
) -> None:
    planted.makeconftest(OWN)
    result = run(planted, "custom", *arguments)
    result.assert_outcomes(failed=failed, xfailed=3 - failed)


def test_fail_on_leaves_torch_alone(planted: pytest.Pytester) -> None:
    run(planted, "tanh", "--gradcheck-fail-on=minor").assert_outcomes(xfailed=1)


def test_an_undecided_verdict_is_no_pass(planted: pytest.Pytester) -> None:
    result = run(planted, "mish", "-rx")
    result.assert_outcomes(xfailed=1)
    assert f"inconclusive: {stand_in.OPEN}" in result.stdout.str()
    run(planted, "mish", "--gradcheck-strict").assert_outcomes(failed=1)


def test_what_torch_lacks_is_skipped_with_its_reason(planted: pytest.Pytester) -> None:
    result = run(planted, "selu", "-rs")
    result.assert_outcomes(skipped=1)
    assert stand_in.MISSING in result.stdout.str()


def test_a_mistake_of_the_harness_fails_with_its_traceback(planted: pytest.Pytester) -> None:
    result = run(planted, "gelu")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert "ZeroDivisionError: planted" in result.stdout.str()


def test_warnings_as_errors_do_not_reach_the_engine(
    planted: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    import warnings

    from gradcheck_suite import engine

    def warning(case: engine.Case, settings: object) -> list[object]:
        warnings.warn("overflow", RuntimeWarning, stacklevel=2)
        return []

    monkeypatch.setattr(engine, "run_case", warning)
    run(planted, "relu", "-W", "error").assert_outcomes(passed=1)
