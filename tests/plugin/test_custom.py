"""Custom ops in pytest runs, in the process of their own: they behave like any test."""

from __future__ import annotations

import json

import pytest

OPS = """
import os
import torch

def dies(x):
    os.abort()

def wrong(x):
    return torch.relu(x) * 1.001

def pytest_gradcheck_register(register):
    options = {"like": "relu", "dtypes": ["float32"], "directions": ["forward"]}
    for name, function in {"right": torch.relu, "wrong": wrong, "dies": dies}.items():
        register(name, function, **options)
"""
RUN = ("--gradcheck", "--gradcheck-ops=custom", "--gradcheck-budget=quick", "--assert=plain")


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makeconftest(OPS)
    return pytester


@pytest.mark.parametrize("spread", [(), ("-n2",)])
def test_a_crash_costs_one_case(project: pytest.Pytester, spread: tuple[str, ...]) -> None:
    result = project.runpytest_subprocess(*RUN, *spread, "--gradcheck-json=out.json")
    result.assert_outcomes(passed=1, failed=2)
    text = result.stdout.str()
    assert "dies float32 forward ended the process by signal SIGABRT at conftest.py:5 in dies" in text
    assert "conftest.wrong is defined at conftest.py:7" in text
    assert "it computes" in text


@pytest.mark.parametrize("spread", [(), ("-n2",)])
def test_an_op_of_a_file_is_repeated_with_that_file(
    pytester: pytest.Pytester, spread: tuple[str, ...]
) -> None:
    pytester.makepyfile(ops=OPS)
    run = ("--gradcheck", "--gradcheck-budget=quick", "--gradcheck-load=ops.py", "--gradcheck-ops=wrong")
    text = pytester.runpytest_subprocess(*run, *spread).stdout.str()
    again = "pytest --gradcheck --gradcheck-load=ops.py gradcheck::wrong::float32::forward"
    assert f"repeat it: {again}" in text
    assert f"repeat one: {again}" in text
    pytester.runpytest_subprocess(*again.split()[1:]).assert_outcomes(failed=1)


def test_last_failed_and_keywords(project: pytest.Pytester) -> None:
    project.runpytest_subprocess(*RUN, "-k", "wrong or right").assert_outcomes(
        passed=1, failed=1, deselected=1
    )
    again = project.runpytest_subprocess(*RUN, "--lf")
    again.assert_outcomes(failed=1)
    project.runpytest_subprocess("--gradcheck", "gradcheck::right::float32::forward").assert_outcomes(
        passed=1
    )


def test_in_process_for_a_debugger(project: pytest.Pytester) -> None:
    result = project.runpytest_subprocess(*RUN, "--gradcheck-in-process", "-k", "wrong")
    result.assert_outcomes(failed=1, deselected=2)


def test_an_op_that_no_file_registers_runs_here_and_says_so(project: pytest.Pytester) -> None:
    project.makeconftest(
        """
        import torch

        class Plugin:
            def pytest_gradcheck_register(self, register):
                register("mine", torch.relu, like="relu", dtypes=["float32"], directions=["forward"])

        def pytest_configure(config):
            config.pluginmanager.register(Plugin(), "of-an-object")
        """
    )
    told = "custom ops ran in pytest's process, unprotected: mine is not registered by a file"
    for spread in ((), ("-n2",)):
        result = project.runpytest_subprocess(*RUN, *spread)
        result.assert_outcomes(passed=1)
        assert told in result.stdout.str()


def test_a_mistake_in_a_registration_is_a_usage_error(project: pytest.Pytester) -> None:
    project.makeconftest("def pytest_gradcheck_register(register):\n    import nowhere_to_be_found\n")
    result = project.runpytest_subprocess(*RUN)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    text = result.stderr.str()
    assert "cannot register its ops: ModuleNotFoundError" in text
    assert "(conftest.py:2)" in text
    assert "Traceback" not in text


def test_a_library_ships_its_registrations(project: pytest.Pytester) -> None:
    project.makeconftest("")
    project.makepyfile(
        mylib="import torch\n\ndef register(register):\n"
        "    register('shipped', torch.relu, like='relu', dtypes=['float32'], directions=['forward'])\n"
    )
    folder = project.mkdir("mylib-1.0.dist-info")
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: mylib\nVersion: 1.0\n")
    (folder / "entry_points.txt").write_text("[gradcheck_suite.register]\nmylib = mylib:register\n")
    project.syspathinsert()
    result = project.runpytest_subprocess(*RUN)
    result.assert_outcomes(passed=1)
    assert "unprotected" not in result.stdout.str()


MISTAKEN = """
import math
import torch

def pytest_gradcheck_register(register):
    options = {"dtypes": ["float32"], "directions": ["forward", "backward"]}
    register("mistaken", torch.tanh, formula=lambda m, x: math.tanh(x), **options)
    register("right", torch.relu, like="relu", **options)
"""


@pytest.mark.parametrize("spread", [(), ("-n2",), ("--gradcheck-in-process",)])
def test_a_mistake_in_a_formula_is_a_usage_error_and_costs_its_cases_alone(
    pytester: pytest.Pytester, spread: tuple[str, ...]
) -> None:
    pytester.makeconftest(MISTAKEN)
    result = pytester.runpytest_subprocess(*RUN, *spread, "--gradcheck-json=out.json")
    result.assert_outcomes(passed=2, failed=2)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    text = result.stdout.str()
    told = [
        line
        for line in text.splitlines()
        if line.startswith("ERROR: the formula of mistaken calls math.tanh")
    ]
    assert len(told) == 1
    assert told[0].endswith("write m.tanh")
    assert "Traceback" not in text
    kept = json.loads((pytester.path / "out.json").read_text())
    assert [r["op"] for r in kept["results"]] == ["right", "right"]


def test_of_many_findings_the_gravest_are_told_and_what_may_be_the_cause(project: pytest.Pytester) -> None:
    project.makeconftest(
        "import torch\n"
        "def wavering(x):\n"
        "    return torch.relu(x) + torch.randn_like(x) / 1000\n"
        "def pytest_gradcheck_register(register):\n"
        "    register('wavering', wavering, like='relu', dtypes=['float32'], directions=['forward'])\n"
    )
    result = project.runpytest_subprocess(*RUN, "--gradcheck-json=out.json")
    result.assert_outcomes(failed=1)
    text = result.stdout.str()
    (found,) = json.loads((project.path / "out.json").read_text())["results"]
    serious = [f for f in found["findings"] if f["severity"] != "info"]
    assert len(serious) > 9
    assert "wavering float32 forward is not deterministic" in text
    assert f"… and {len(serious) - 9} more; --gradcheck-report=DIR shows all of them" in text
