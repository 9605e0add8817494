"""A picture of a report, for README: `python -m tests.reporters.picture PAGE.html OUT.png [--dark]`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from urllib.parse import urlencode

from tests.reporters.browser import Browser, chromium

# From the name of the op to its curves; what is in between for those who read on is left out.
_TOP, _BOTTOM, _LEFT_OUT = (
    ".op-name",
    ".charts > figure:nth-of-type(2)",
    ".page-head, .back, .meta, #about, .terms, .stats",
)
_MARGIN = 14


def main(arguments: list[str]) -> None:
    """Save the picture; exits with a sentence where no Chromium is installed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("page", type=Path)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--op", default="gelu")
    parser.add_argument("--case", default="gelu::float32::forward")
    parser.add_argument("--width", type=int, default=1100, help="in CSS pixels; README shows about 850")
    parser.add_argument("--scale", type=float, default=1.5, help="pixels of the picture in each")
    parser.add_argument("--dark", action="store_true")
    chosen = parser.parse_args(arguments)
    executable = chromium()
    if executable is None:
        sys.exit("no Chromium is installed (Debian: apt install chromium)")
    with Browser(executable) as browser:
        browser.size(chosen.width, 2000, dark=chosen.dark, scale=chosen.scale)
        browser.open(chosen.page, "#" + urlencode({"op": chosen.op, "case": chosen.case}))
        browser.wait_for("!document.querySelector('#op').hidden && document.querySelector('.charts svg')")
        browser.evaluate(
            f"document.querySelectorAll({json.dumps(_LEFT_OUT)}).forEach((e) => e.hidden = true)"
        )
        top, bottom = (
            browser.evaluate(f"document.querySelector({json.dumps(query)}).getBoundingClientRect().{edge}")
            for query, edge in ((_TOP, "top"), (_BOTTOM, "bottom"))
        )
        browser.screenshot(chosen.picture, rows=(top - _MARGIN, bottom + _MARGIN))


if __name__ == "__main__":
    main(sys.argv[1:])
