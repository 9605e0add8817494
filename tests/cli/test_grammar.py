"""The command line as a whole: help, mistakes, streams, and what is loaded when."""

from __future__ import annotations

import subprocess
import sys

import pytest

from gradcheck_suite import __version__
from gradcheck_suite.cli import main
from gradcheck_suite.options import OPTIONS
from tests.cli.conftest import Call, mistake


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        ((), "the following arguments are required: COMMAND"),
        (("reprot",), "unknown command 'reprot'; did you mean 'report'?"),
        (
            ("report", "--dtyps", "float32"),
            "unknown option '--dtyps' of gradcheck report; did you mean '--dtypes'",
        ),
        (
            ("report", "--dtype", "float32"),
            "unknown option '--dtype' of gradcheck report; did you mean '--dtypes'",
        ),
        (("report", "--ops"), "argument --ops: expected one argument"),
        (("report", "relu"), "gradcheck report takes no further argument, but got 'relu'"),
        (("report", "--dtypes", "flaot32"), "unknown dtype 'flaot32'; did you mean 'float32'"),
        (("report", "--max-ulp", "-1"), "--max-ulp -1: a positive, finite number of ULP is needed"),
        (("report", "--fail-on", "mayor"), "unknown severity 'mayor'; did you mean 'major' or 'minor'?"),
        (("report", "--ops", "sofplus"), "did you mean 'softplus'"),
        (("list", "--load", "missing.py"), "there is no file missing.py to load"),
        (("list", "--load", "missing_module"), "the module missing_module cannot be loaded"),
    ],
)
def test_mistakes_are_one_sentence(call: Call, argv: tuple[str, ...], sentence: str) -> None:
    assert sentence in mistake(call, *argv)


def test_every_option_of_the_plugin_is_one_of_report(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as done:
        main(["report", "--help"])
    assert done.value.code == 0
    text = capsys.readouterr().out
    assert not [option.name for option in OPTIONS if f"--{option.name}" not in text]


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as done:
        main(["--version"])
    assert done.value.code == 0
    assert capsys.readouterr().out == f"gradcheck-suite {__version__}\n"


def test_help_and_mistakes_do_not_wait_for_torch() -> None:
    done = python(
        "import sys\n"
        "from gradcheck_suite.cli import main\n"
        "code = main(['report', '--dtypes', 'flaot32'])\n"
        "print(code, [name for name in ('torch', 'numpy', 'mpmath', 'flint') if name in sys.modules])"
    )
    assert done.stdout == "2 []\n"


@pytest.mark.parametrize(
    ("module", "sentence"),
    [
        ("None", "torch is not installed; install it with: pip install 'torch>=2.6'"),
        (
            "types.SimpleNamespace(__version__='1.13.1+cu117')",
            "torch 1.13.1+cu117 is too old; install it with",
        ),
    ],
)
def test_torch_missing_or_too_old(module: str, sentence: str) -> None:
    done = python(
        f"import sys, types\nsys.modules['torch'] = {module}\n"
        "from gradcheck_suite.cli import main\nsys.exit(main(['list']))"
    )
    assert done.returncode == 2
    assert done.stderr.startswith(f"gradcheck: error: {sentence}")
    assert done.stderr.count("\n") == 1


def test_a_reader_that_goes_away_is_no_error() -> None:
    # A pipe whose reading end is closed before anything is written, as `gradcheck list | head -0` leaves it.
    done = python(
        "import os, sys\n"
        "reading, writing = os.pipe()\nos.close(reading)\nos.dup2(writing, 1)\n"
        "from gradcheck_suite.cli import main\nsys.exit(main(['list']))"
    )
    assert (done.returncode, done.stderr) == (0, "")
