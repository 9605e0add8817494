"""A picture of a report, for README: `python -m tests.reporters.picture PAGE.html OUT.png [--dark]`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.reporters.browser import Browser, chromium


def main(arguments: list[str]) -> None:
    """Save the picture; exits with a sentence where no Chromium is installed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("page", type=Path)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--fragment", default="", help="what stands after # in the address, such as op=gelu")
    parser.add_argument("--width", type=int, default=1440)
    parser.add_argument("--height", type=int, default=1000, help="0 for the whole page")
    parser.add_argument("--dark", action="store_true")
    chosen = parser.parse_args(arguments)
    executable = chromium()
    if executable is None:
        sys.exit("no Chromium is installed (Debian: apt install chromium)")
    with Browser(executable) as browser:
        browser.size(chosen.width, chosen.height or 1000, dark=chosen.dark)
        browser.open(chosen.page, f"#{chosen.fragment}" if chosen.fragment else "")
        if "op=" in chosen.fragment:
            browser.wait_for("!document.querySelector('#op').hidden")
        if not chosen.height:
            whole = browser.evaluate("document.documentElement.scrollHeight")
            browser.size(chosen.width, whole, dark=chosen.dark)
        browser.screenshot(chosen.picture, whole=False)


if __name__ == "__main__":
    main(sys.argv[1:])
