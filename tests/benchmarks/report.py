"""How fast the report is: `python -m tests.benchmarks.report [RESULTS.json]`.

Writes the page, opens it from file:// in headless Chromium and opens every op in it. Without a file, a
synthetic document of 100 ops, four dtypes and three directions stands in.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from gradcheck_suite.reporters.html import write_html
from gradcheck_suite.results import Document, read
from tests.reporters import synthetic
from tests.reporters.browser import Browser, chromium

_REPEATS = 3
_OPEN = """
(async () => {
  const next = () => new Promise(requestAnimationFrame), times = [];
  for (const name of [...document.querySelectorAll('script[data-op]')].map((script) => script.dataset.op)) {
    const start = performance.now();
    location.hash = '#' + new URLSearchParams({ op: name });
    while (document.querySelector('#op').dataset.op !== name) await next();
    await next();
    times.push([performance.now() - start, name]);
  }
  return times;
})()
"""


def main(arguments: list[str]) -> None:
    """Print the figures."""
    document = read(arguments[0]) if arguments else synthetic.document(ops=100, points=300)
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "index.html"
        written = [_seconds(document, page) for _ in range(_REPEATS)]
        print(f"{len(document.ops)} ops, {len(document.results)} results")
        print(f"written in  {median(written):.2f} s of the processor, {page.stat().st_size / 1e6:.2f} MB")
        executable = chromium()
        if executable is None:
            print("no Chromium: not opened")
            return
        with Browser(executable) as browser:
            _browse(browser, page)


def _seconds(document: Document, page: Path) -> float:
    started = time.process_time()  # writing the page waits for nothing but a processor
    write_html(document, page)
    return time.process_time() - started


def _browse(browser: Browser, page: Path) -> None:
    ready = []
    for _ in range(_REPEATS):
        browser.open(page)
        ready.append(browser.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd") / 1000)
    opened: list[list[Any]] = sorted(browser.evaluate(_OPEN))
    slowest, name = opened[-1]
    print(f"ready in    {median(ready):.2f} s")
    typical = median(t for t, _ in opened)
    print(f"an op in    {typical / 1000:.3f} s; the slowest, {name[:30]}, {slowest / 1000:.3f} s")


if __name__ == "__main__":
    main(sys.argv[1:])
