"""Two documents compared: new, worse, better, gone, and nothing where only the sampling differs."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import pytest

from gradcheck_suite.reporters.changes import TURNS, Comparison, compare
from gradcheck_suite.reporters.compare import render_comparison, render_comparison_html, write_comparison
from gradcheck_suite.results import Document, Finding, Result, Witness
from tests.reporters import synthetic
from tests.reporters.browser import Browser
from tests.reporters.pages import Page


def finding(lo: float = 1.0, hi: float = 8.0, ulp: float = 100.0, **more: Any) -> Finding:
    known: dict[str, Any] = {
        "id": "f",
        "kind": "inaccurate",
        "severity": "major",
        "lo": lo.hex(),
        "hi": hi.hex(),
    }
    known["witness"] = Witness(inputs={}, got="0x0.0p+0", exact="1", ulp=ulp)
    return Finding(**known | more)


def result(*findings: Finding, **more: Any) -> Result:
    known: dict[str, Any] = {"id": "gelu::float32::forward", "op": "gelu", "callable": "gelu", "sample": "s"}
    known |= {"dtype": "float32", "direction": "forward", "verdict": "ok"}
    return Result(**known | more, findings=findings)


def document(*results: Result, **environment: Any) -> Document:
    return Document(tool={"version": "1"}, environment=environment, ops=(), results=results)


def turned(before: Finding | None, after: Finding | None, **more: Any) -> list[tuple[str, tuple[str, ...]]]:
    """What the comparison of two documents with one finding each says."""
    old, new = (result(*([f] if f else [])) for f in (before, after))
    made = compare(document(old), document(dataclasses.replace(new, **more)))
    return [(change.turn, change.reasons) for change in made.changes]


def test_nothing_changes_between_a_document_and_itself() -> None:
    whole = synthetic.document(ops=6, points=60)
    same = compare(whole, whole)
    assert same.changes == ()
    assert (same.environment, same.only_old, same.only_new) == ((), (), ())
    assert same.unchanged == sum(f.severity != "info" for r in whole.results for f in r.findings)


def test_new_and_gone() -> None:
    assert turned(None, finding()) == [("new", ())]
    assert turned(finding(), None) == [("gone", ())]


def test_remarks_are_no_findings() -> None:
    remark = finding(severity="info")
    assert turned(None, remark) == []
    assert turned(remark, finding()) == [("new", ())]
    assert turned(finding(), remark) == [("gone", ())]


def test_a_severity_that_changes() -> None:
    assert turned(finding(), finding(severity="critical")) == [("worse", ("major became critical",))]
    assert turned(finding(), finding(severity="minor")) == [("better", ("major became minor",))]


@pytest.mark.parametrize("end", ["lo", "hi"])
def test_a_region_that_grows_or_shrinks(end: str) -> None:
    wide = finding(lo=0.5) if end == "lo" else finding(hi=16.0)
    assert turned(finding(), wide) == [("worse", ("the region grew: was 1 ≤ x ≤ 8",))]
    ((turn, _),) = turned(wide, finding())
    assert turn == "better"


def test_an_exact_end_moves_by_a_float_an_envelope_by_an_eighth_of_a_binade() -> None:
    exact = {"lo_exact": True, "hi_exact": True}
    next_down = math.nextafter(1.0, 0.0)
    assert turned(finding(**exact), finding(next_down, **exact))[0][0] == "worse"
    assert turned(finding(), finding(next_down)) == []
    assert turned(finding(), finding(0.93)) == []
    assert turned(finding(), finding(0.90))[0][0] == "worse"


def test_a_region_that_grows_to_infinity() -> None:
    assert turned(finding(), dataclasses.replace(finding(), hi="inf"))[0][0] == "worse"


def test_errors_compare_only_over_the_same_sample() -> None:
    assert turned(finding(), finding(ulp=150.0)) == []
    assert turned(finding(), finding(ulp=250.0)) == [("worse", ("100 ULP became 250",))]
    assert turned(finding(ulp=math.inf), finding()) == [("better", ("inf ULP became 100",))]
    assert turned(finding(), finding(ulp=250.0), sample="larger") == []


def test_worse_wins_where_both_happened() -> None:
    ((turn, reasons),) = turned(finding(), finding(severity="critical", ulp=10.0))
    assert turn == "worse"
    assert reasons == ("major became critical", "100 ULP became 10")


def test_a_finding_is_known_again_by_its_interval_where_its_id_changed() -> None:
    assert turned(finding(), finding(id="g")) == []
    apart = finding(20.0, 30.0, id="g")
    assert sorted(turned(finding(), apart)) == [("gone", ()), ("new", ())]
    assert sorted(turned(finding(), finding(id="g", kind="nan"))) == [("gone", ()), ("new", ())]
    assert sorted(turned(finding(), finding(id="g", fixed={"target": "0x1.0p+0"}))) == [
        ("gone", ()),
        ("new", ()),
    ]


def test_a_case_of_one_document_only_changes_nothing() -> None:
    other = result(finding(), id="relu::float32::forward")
    made = compare(document(result(finding()), other), document(result(finding())))
    assert made.changes == ()
    assert made.only_old == ("relu::float32::forward",)
    assert compare(document(), document(other)).only_new == ("relu::float32::forward",)


def test_environments_are_compared() -> None:
    made = compare(document(torch="2.12", cpu="AVX2"), document(torch="2.13", cpu="AVX2", threads=1))
    assert made.environment == (("torch", "2.12", "2.13"), ("threads", "-", "1"))


def every_turn() -> Comparison:
    """A comparison with a change of each turn, hostile text among it."""
    name = synthetic.HOSTILE
    old = [
        result(finding(), id="a"),
        result(finding(), id="b"),
        result(finding(), id="c", op=name, variant={"mode": name}),
        result(id="d"),
        result(id="only"),
    ]
    new = [
        result(finding(severity="critical"), id="a"),
        result(finding(severity="minor"), id="b"),
        result(id="c", op=name, variant={"mode": name}),
        result(finding(), id="d"),
    ]
    return compare(document(*old, torch="2.12"), document(*new, torch=name))


def test_the_text_says_every_turn_in_80_columns() -> None:
    text = render_comparison(every_turn())
    assert text.startswith("gradcheck compare: 1 new, 1 worse, 1 better, 1 gone, 0 unchanged\n")
    assert [line for line in text.splitlines() if len(line) > 80] == []
    assert [turn for turn in TURNS if f"\n{turn}:\n" not in text] == []
    assert "major became critical" in text
    assert "1 case in the older document only, for one only" in text
    assert "\u202e" not in text


def test_the_text_counts_what_it_leaves_out() -> None:
    many = [result(finding(id=str(n)), id=str(n)) for n in range(9)]
    empty = [dataclasses.replace(r, findings=()) for r in many]
    assert "  ... and 6 more\n" in render_comparison(compare(document(*empty), document(*many)), limit=3)


def test_the_page_says_the_same_and_escapes() -> None:
    text = render_comparison_html(every_turn())
    page = Page(text)
    assert "script" not in [tag for tag, _ in page.tags]
    for part in ("1 new", "1 worse", "major became critical", "was 1 ≤ x ≤ 8", "2.12"):
        assert part in page.text


def test_the_page_fits_a_telephone(browser: Browser, tmp_path: Path) -> None:
    write_comparison(every_turn(), tmp_path / "compare.html")
    for width in (1440, 390):
        browser.size(width, dark=width == 390)
        browser.open(tmp_path / "compare.html")
        assert browser.evaluate("document.documentElement.scrollWidth > innerWidth") is False
