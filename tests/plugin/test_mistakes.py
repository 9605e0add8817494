"""Mistakes of the user: told in one sentence, before any work, without a traceback."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--gradcheck-ops=sofplus",), "did you mean 'softplus'"),
        (("--gradcheck-dtypes=flaot32",), "unknown dtype 'flaot32'; did you mean 'float32'"),
        (("--gradcheck-directions=backwards",), "unknown direction 'backwards'; did you mean 'backward'"),
        (("--gradcheck-fail-on=mayor",), "unknown severity 'mayor'; did you mean 'major' or 'minor'?"),
        (("--gradcheck-max-ulp=-1",), "--gradcheck-max-ulp -1: a positive, finite number of ULP is needed"),
        (("--gradcheck-load=missing.py",), "there is no file missing.py to load"),
        (("gradcheck::relu::float32::forwards",), "unknown direction 'forwards'"),
        (("gradcheck::sofplus::float32::forward",), "did you mean 'softplus'"),
        (("gradcheck::relu::flaot32::forward",), "did you mean 'gradcheck::relu::float32::forward'"),
        (("gradcheck::relu[beta=1]::float32::forward",), "no case has the id"),
        (("--gradcheck-json=.",), "is a folder; name a file"),
        (("--gradcheck-device=gpu",), "unknown device 'gpu'; write cpu, cuda or cuda:0"),
        (("--gradcheck-update-baseline=all",), "name its folder with --gradcheck-baseline"),
    ],
)
def test_one_sentence_and_a_usage_error(
    planted: pytest.Pytester, arguments: tuple[str, ...], sentence: str
) -> None:
    result = planted.runpytest_inprocess("--gradcheck", *arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    told = [line for line in result.errlines if line.startswith("ERROR: ")]
    assert len(told) == 1
    assert sentence in told[0]
    assert "Traceback" not in result.stdout.str() + result.stderr.str()


def test_a_report_folder_that_cannot_be_written(planted: pytest.Pytester) -> None:
    (planted.path / "occupied").write_text("a file")
    result = planted.runpytest_inprocess("--gradcheck", "--gradcheck-report=occupied")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "the report folder" in result.stderr.str()
    assert "cannot be written" in result.stderr.str()


def test_a_folder_of_baselines_that_cannot_be_written(
    planted: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CI", raising=False)
    (planted.path / "occupied").write_text("a file")
    arguments = ("--gradcheck-baseline=occupied/base", "--gradcheck-update-baseline=all")
    result = planted.runpytest_inprocess("--gradcheck", *arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "the folder of baselines" in result.stderr.str()
    assert "cannot be written" in result.stderr.str()


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (
            "gradcheck_max_ulp = many",
            "gradcheck_max_ulp in pytest's configuration: many: a number of ULP is needed",
        ),
        ("gradcheck_strict = maybe", "gradcheck_strict in pytest's configuration"),
    ],
)
def test_a_mistake_in_the_configuration(planted: pytest.Pytester, line: str, sentence: str) -> None:
    planted.makeini(f"[pytest]\n{line}\n")
    result = planted.runpytest_inprocess("--gradcheck")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert sentence in result.stderr.str()


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ('register("relu", torch.relu, like="relu")', "an op named 'relu' is registered already"),
        ('register("mine", torch.relu, like="rellu")', "did you mean 'relu'"),
        (
            'register("mine", torch.relu, like="elu", alhpa=2)',
            "elu has no parameter, and register() no option, 'alhpa'; did you mean 'alpha'?",
        ),
        ('register("mine", torch.relu)', "mine is registered without a definition; give it formula="),
    ],
)
def test_a_mistake_in_a_registration(planted: pytest.Pytester, line: str, sentence: str) -> None:
    planted.makeconftest(f"def pytest_gradcheck_register(register):\n    import torch\n    {line}\n")
    result = planted.runpytest_inprocess("--gradcheck")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert sentence in result.stderr.str()
    assert "Traceback" not in result.stderr.str()


def test_a_hook_that_takes_nothing(planted: pytest.Pytester) -> None:
    """pytest would call it with nothing, and its ops would be missed without a word."""
    planted.makeconftest("def pytest_gradcheck_register(): pass\n")
    result = planted.runpytest_inprocess("--gradcheck")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "conftest.py takes no argument 'register'" in result.stderr.str()


def test_ops_of_a_conftest_below_are_registered_when_pytest_reaches_it(planted: pytest.Pytester) -> None:
    below = planted.mkdir("package")
    (below / "conftest.py").write_text(
        "def pytest_gradcheck_register(register):\n"
        "    import torch\n"
        "    register('late', torch.relu, like='relu')\n"
    )
    (below / "test_own.py").write_text("def test_own(): pass\n")
    arguments = ("--gradcheck", "--gradcheck-ops=custom", "--gradcheck-dtypes=float32")
    planted.runpytest_inprocess(*arguments).assert_outcomes(passed=3)


def test_registered_ops_do_not_outlive_the_run(planted: pytest.Pytester) -> None:
    planted.makeconftest(
        "def pytest_gradcheck_register(register):\n"
        "    import torch\n"
        "    register('mine', torch.tanh, like='tanh')\n"
    )
    for _ in range(2):
        result = planted.runpytest_inprocess("gradcheck::mine::float32::forward")
        result.assert_outcomes(failed=1)
