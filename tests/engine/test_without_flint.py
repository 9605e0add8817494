"""Without python-flint mpmath alone judges: the same findings, labelled; what needs balls is refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gradcheck_suite.engine import Case, run_case
from gradcheck_suite.formula.balls import CERTIFIED
from gradcheck_suite.ops.registry import registry
from gradcheck_suite.options import Settings

# `import flint` then fails as it does where nobody installed it.
BLOCK = """
from importlib.machinery import PathFinder

found = PathFinder.find_spec.__func__

@classmethod
def find_spec(cls, name, path=None, target=None):
    return None if name.partition(".")[0] == "flint" else found(cls, name, path, target)

PathFinder.find_spec = find_spec
"""
ROOT = Path(__file__).parents[2]
# An elementwise op with an underflow, kinks, one with cancellation, a row, and ties in a row.
CASES = (
    ("sigmoid", "float32", "backward"),
    ("relu", "float32", "double-backward"),
    ("tanhshrink", "float64", "forward"),
    ("softmax", "float32", "forward"),
    ("multi_margin_loss", "float32", "backward"),
)
JUDGE = """
import json
from tests.engine.test_without_flint import CASES, verdicts
print(json.dumps([verdicts(*case) for case in CASES]))
"""


def verdicts(name: str, dtype: str, direction: str) -> list[list[object]]:
    """What is found in an op's first variant: verdict, figure, kinds with severities, and the label.

    Where a noisy region ends is not compared: the search for it turns on the last bits of errors.
    """
    op = registry().get(name)
    case = Case(op=op, variant=dict(op.variants[0]), dtype=dtype, direction=direction)
    found = run_case(case, Settings(budget="quick", paths=("vector",), reference="arb"))
    return [
        [r.verdict, r.max_ulp, sorted({f"{f.severity} {f.kind}" for f in r.findings}), r.note] for r in found
    ]


@pytest.fixture(scope="module")
def blocked(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment without python-flint."""
    folder = tmp_path_factory.mktemp("blocked")
    (folder / "sitecustomize.py").write_text(BLOCK, encoding="utf-8")
    path = os.pathsep.join([str(folder), str(ROOT), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "PYTHONPATH": path}


def run(blocked: dict[str, str], folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=blocked, capture_output=True, text=True, check=False
    )


def gradcheck(blocked: dict[str, str], folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = "import sys; from gradcheck_suite.cli import main; sys.exit(main())"
    return run(blocked, folder, "-c", command, *arguments)


def test_the_verdicts_are_the_same_and_labelled(blocked: dict[str, str], tmp_path: Path) -> None:
    if not CERTIFIED:
        pytest.skip("python-flint is missing here too: nothing to compare with")
    done = run(blocked, tmp_path, "-c", JUDGE)
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    for case, uncertified in zip(CASES, json.loads(done.stdout), strict=True):
        for mine, theirs in zip(verdicts(*case), uncertified, strict=True):
            verdict, figure, kinds, note = mine
            assert theirs[::2] == [verdict, kinds], case
            assert theirs[1] == pytest.approx(figure, rel=1e-3), case
            assert theirs[3].endswith("uncertified: mpmath alone")
            assert "uncertified" not in str(note)


def test_one_input_is_explained_and_labelled(blocked: dict[str, str], tmp_path: Path) -> None:
    done = gradcheck(blocked, tmp_path, "at", "sigmoid", "40", "--dtype", "float64")
    assert done.returncode == 0, done.stderr
    assert "sigmoid in float64 (uncertified: mpmath alone)" in done.stdout
    assert "4.248354255291588959232207e-18" in done.stdout


@pytest.mark.parametrize("arguments", [("sweep", "tanh"), ("at", "relu", "0", "--reference", "arb")])
def test_what_needs_balls_is_refused(
    blocked: dict[str, str], tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    done = gradcheck(blocked, tmp_path, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert "python-flint, which cannot be imported; install it with: pip install" in line


def test_pytest_runs(blocked: dict[str, str], tmp_path: Path) -> None:
    done = run(blocked, tmp_path, "-m", "pytest", "-q", "gradcheck::relu::float32")
    assert done.returncode == 0, done.stdout
    assert "2 passed" in done.stdout
