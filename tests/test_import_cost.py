"""What a pytest run without --gradcheck pays for having the plugin installed."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

HEAVY = ("torch", "numpy", "mpmath", "flint", "hypothesis", "jinja2", "rich", "numba")


def imported(folder: Path, *arguments: str) -> set[str]:
    """The modules that `python -m pytest --collect-only` imports in an empty folder, from -X importtime."""
    (folder / "test_nothing.py").write_text("def test_nothing(): pass\n")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "COV_"))}
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "pytest", "--collect-only", "-q", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "1 test collected" in done.stdout, done.stdout + done.stderr
    return {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if "|" in line}


@pytest.fixture(scope="module")
def added(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """What the plugin adds. Hypothesis has a plugin too: it stands on both sides of the difference."""
    with_plugin = imported(tmp_path_factory.mktemp("with"))
    without = imported(tmp_path_factory.mktemp("without"), "-p", "no:gradcheck_suite")
    return with_plugin - without


def test_the_plugin_is_loaded(added: set[str]) -> None:
    assert "gradcheck_suite.options" in added


@pytest.mark.parametrize("package", HEAVY)
def test_nothing_heavy_is_added(added: set[str], package: str) -> None:
    assert not {name for name in added if name.split(".")[0] == package}


def test_the_plugin_loads_only_what_options_need(added: set[str]) -> None:
    own = {name for name in added if name.split(".")[0] == "gradcheck_suite"}
    assert own == {
        # The plugin itself is missing: -X importtime does not list what importlib.import_module is asked for.
        "gradcheck_suite.errors",
        "gradcheck_suite.hookspec",
        "gradcheck_suite.options",
    }
