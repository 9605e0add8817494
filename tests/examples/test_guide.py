"""README's guide from nothing to a gate, pasted into an empty folder: red with the first backward, green with
the second.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

README = Path(__file__).parents[2] / "README.md"
_BLOCK = re.compile(r"<!-- guide: (\S+) -->\n```\w+\n(.*?)```", re.DOTALL)
RUN = ("--gradcheck", "--gradcheck-ops=custom", "--assert=plain")


@pytest.fixture
def guide() -> dict[str, str]:
    blocks = dict(_BLOCK.findall(README.read_text(encoding="utf-8"))) if README.exists() else {}
    if not blocks:
        pytest.skip("README has no guide here")
    return blocks


def test_the_guide_leads_from_red_to_green(pytester: pytest.Pytester, guide: dict[str, str]) -> None:
    files = {name: text for name, text in guide.items() if name.endswith(".py")}
    for name, text in files.items():
        (pytester.path / name).write_text(text)
    red = pytester.runpytest_subprocess(*RUN)
    red.assert_outcomes(passed=2, failed=2)
    told = red.stdout.str()
    assert re.search(
        r"the gradient underflows: at x = -\S+ \(-0x\S+\) it computes 0, exact is \d\.\d+e-3[78]", told
    )

    op = pytester.path / "squareplus.py"
    head, _, rest = op.read_text().partition("    @staticmethod\n    def backward")
    op.write_text(head + guide["backward"] + rest[rest.index("\n\nsquareplus =") :])
    pytester.runpytest_subprocess(*RUN).assert_outcomes(passed=4)


def test_the_workflow_is_one(guide: dict[str, str]) -> None:
    workflow = guide[".github/workflows/gradcheck.yml"]
    assert "pytest --gradcheck" in workflow
    assert workflow.count("- uses:") == 3
