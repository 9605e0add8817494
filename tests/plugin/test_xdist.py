"""The same run spread over pytest-xdist's workers: every process collects, the controller alone writes."""

from __future__ import annotations

import json

import pytest

from gradcheck_suite import results
from gradcheck_suite.results import Document, to_json

pytest.importorskip("xdist")

SPREAD = ("-n", "2", "--gradcheck", "--gradcheck-dtypes=float32")


def test_outcomes_and_document_equal_those_of_one_process(planted_everywhere: pytest.Pytester) -> None:
    ops = "--gradcheck-ops=relu,tanh,mish,selu,softplus"
    spread = planted_everywhere.runpytest_subprocess(*SPREAD, ops, "--gradcheck-json=spread.json")
    alone = planted_everywhere.runpytest_subprocess(*SPREAD, ops, "-n0", "--gradcheck-json=alone.json")
    assert spread.parseoutcomes() == alone.parseoutcomes()
    assert spread.parseoutcomes()["xfailed"] == 4
    first, second = (results.read(planted_everywhere.path / f"{name}.json") for name in ("spread", "alone"))
    assert first == second
    assert first.complete
    assert first.environment["threads"] == 1


def test_ids_and_last_failed_work_spread(planted_everywhere: pytest.Pytester) -> None:
    strict = (*SPREAD, "--gradcheck-strict", "--gradcheck-ops=relu,tanh")
    planted_everywhere.runpytest_subprocess(*strict).assert_outcomes(passed=2, failed=2)
    planted_everywhere.runpytest_subprocess(*strict, "--lf").assert_outcomes(failed=2)
    one = planted_everywhere.runpytest_subprocess("-n", "2", "gradcheck::softplus[beta=10]::float32::forward")
    one.assert_outcomes(passed=1)


def test_a_mistake_is_told_once_and_no_worker_starts(planted_everywhere: pytest.Pytester) -> None:
    result = planted_everywhere.runpytest_subprocess(*SPREAD, "--gradcheck-ops=sofplus")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    text = result.stdout.str() + result.stderr.str()
    assert text.count("did you mean 'softplus'") == 1
    assert "gw0" not in text
    assert "Traceback" not in text


def test_custom_ops_are_registered_in_every_worker(planted_everywhere: pytest.Pytester) -> None:
    planted_everywhere.makeconftest(
        """
        def pytest_gradcheck_register(register):
            import torch

            register("mine", torch.relu, like="relu")
        """
    )
    # Judged by the engine itself.
    result = planted_everywhere.runpytest_subprocess("-n", "2", "gradcheck::mine")
    result.assert_outcomes(passed=8)


def test_pictures_travel_only_when_they_are_needed(planted_everywhere: pytest.Pytester) -> None:
    planted_everywhere.makeconftest(
        """
        import json
        from tests import stand_in

        stand_in.install()
        sizes = []

        def pytest_runtest_logreport(report):
            if report.when == "call":
                # Plain values only: execnet and report logs carry nothing else.
                sizes.append(any("curve" in result for result in json.loads(report.gradcheck)))

        def pytest_terminal_summary(terminalreporter):
            terminalreporter.line(f"pictures: {sizes}")
        """
    )
    without = planted_everywhere.runpytest_subprocess(*SPREAD, "--gradcheck-ops=relu")
    assert "pictures: [False, False]" in without.stdout.str()
    with_them = planted_everywhere.runpytest_subprocess(*SPREAD, "--gradcheck-ops=relu", "--gradcheck-json=a")
    assert "pictures: [True, True]" in with_them.stdout.str()


def test_a_crashed_worker_leaves_an_incomplete_document(planted_everywhere: pytest.Pytester) -> None:
    planted_everywhere.makeconftest(
        """
        import os
        from gradcheck_suite import engine
        from tests import stand_in

        def run_case(case, settings):
            if case.op.name == "tanh":
                os.abort()
            return stand_in.run_case(case, settings)

        stand_in.install()
        engine.run_case = run_case
        """
    )
    arguments = (*SPREAD, "--gradcheck-ops=relu,tanh", "--gradcheck-directions=forward")
    result = planted_everywhere.runpytest_subprocess(*arguments, "--gradcheck-json=out.json")
    result.assert_outcomes(passed=1, failed=1)
    document: Document = results.read(planted_everywhere.path / "out.json")
    assert not document.complete
    assert [found.op for found in document.results] == ["relu"]
    assert json.dumps(to_json(document))
