from __future__ import annotations

from pathlib import Path

import hypothesis  # noqa: F401
import pytest

# pytester forgets the modules that a run inside this process is the first to import. torch and numpy cannot
# be imported a second time, and Hypothesis costs a second each time; so they are imported here.
import gradcheck_suite.engine
import gradcheck_suite.outputs
from tests import stand_in

ROOT = Path(gradcheck_suite.__file__).parents[1]


@pytest.fixture
def planted(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """An empty folder in which ops have the verdicts of `tests.stand_in`, for runs inside this process."""
    stand_in.install(monkeypatch.setattr)
    return pytester


@pytest.fixture
def planted_everywhere(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """The same for runs in processes of their own, pytest-xdist's workers included."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    # Rewriting the assertions of every installed plugin costs each process seconds, and nothing here needs
    # it.
    monkeypatch.setenv("PYTEST_ADDOPTS", "--assert=plain")
    pytester.makeconftest("from tests import stand_in\nstand_in.install()\n")
    return pytester
