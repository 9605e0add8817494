"""One browser for all tests of pages; none is skipped silently."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.reporters.browser import Browser, chromium


@pytest.fixture(scope="session")
def shared_browser() -> Iterator[Browser]:
    """A running Chromium, or a skip with the reason."""
    executable = chromium()
    if executable is None:
        pytest.skip("no Chromium is installed (Debian: apt install chromium)")
    with Browser(executable) as started:
        yield started


@pytest.fixture
def browser(shared_browser: Browser) -> Iterator[Browser]:
    """The browser at 1440 pixels, in light; the page must not have gone wrong by the end."""
    shared_browser.scripting(on=True)
    shared_browser.size(1440, 1000)
    shared_browser.errors.clear()
    shared_browser.requests.clear()
    yield shared_browser
    assert shared_browser.errors == []
    assert [url for url in shared_browser.requests if not url.startswith(("file:", "data:", "about:"))] == []


@pytest.fixture(scope="session")
def axe() -> str:
    """The source of axe-core, a development package of npm, or a skip with the reason."""
    here = Path(__file__).parents[2]
    folders = [os.environ.get("AXE_CORE", ""), str(here / "node_modules" / "axe-core")]
    found = [file for folder in folders if folder and (file := Path(folder) / "axe.min.js").is_file()]
    if not found:
        pytest.skip("axe-core is not installed (npm install --no-save axe-core, or AXE_CORE=its folder)")
    return found[0].read_text("utf-8")
