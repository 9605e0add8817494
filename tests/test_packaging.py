"""What pyproject.toml, README and the workflow promise agrees with the code."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import entry_points
from pathlib import Path

from gradcheck_suite.preflight import OLDEST_TORCH

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_the_oldest_torch_is_told_alike() -> None:
    assert "torch>={}.{}".format(*OLDEST_TORCH) in PROJECT["project"]["dependencies"]


def test_the_oldest_versions_are_those_that_are_tested() -> None:
    pinned = dict(
        re.findall(r"^    ([\w-]+)==([\d.]+)$", (ROOT / "tox.ini").read_text(encoding="utf-8"), re.M)
    )
    for requirement in PROJECT["project"]["dependencies"]:
        name, _, lowest = requirement.partition(">=")
        if name != "torch":
            assert pinned[name].startswith(lowest), name


def test_entry_points_are_installed() -> None:
    (plugin,) = entry_points(group="pytest11", name="gradcheck_suite")
    assert plugin.value == "gradcheck_suite.plugin"
    (script,) = entry_points(group="console_scripts", name="gradcheck")
    assert callable(script.load())


def test_readme_pins_torch_in_every_install() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    installs = [line for line in readme.splitlines() if "pip install" in line]
    assert len(installs) >= 2
    assert all('"torch==2.13.0"' in line for line in installs)
