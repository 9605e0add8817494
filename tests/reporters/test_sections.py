"""The HTML of one op: what its answers say of other variants, how the errors of a sweep are told."""

from __future__ import annotations

import dataclasses
from typing import Any

from gradcheck_suite.reporters import summary
from gradcheck_suite.reporters.sections import Section, op_section
from gradcheck_suite.results import Document, Finding, Histogram, Result
from tests.reporters.pages import Page

DEFECT = Finding(id="f", kind="nan", severity="critical", lo="0x1.0p+0", hi="0x1.0p+2")


def result(*findings: Finding, **more: Any) -> Result:
    known: dict[str, Any] = {"op": "elu", "callable": "elu", "dtype": "float32", "direction": "forward"}
    known |= {"verdict": "findings" if findings else "ok", "id": "elu::float32::forward", "points": 8}
    return Result(**known | more, findings=findings)


def section(*results: Result) -> Section:
    (row,) = summary.rows(Document(tool={}, environment={}, ops=(), results=results))
    return op_section(row, cards=9, baselined=False)


def test_an_answer_names_the_variant_that_fares_worse() -> None:
    """The page opens on the first variant: who uses another must not take its answer for his."""
    made = section(result(), result(DEFECT, id="elu[alpha=0]::float32::forward", variant={"alpha": 0}))
    assert "nan with [alpha=0]" in Page(made.answers[""]).text
    assert " with " not in Page(made.answers["[alpha=0]"]).text
    assert any("alpha%3D0" in link for link in Page(made.answers[""]).attributes("href"))


def test_an_answer_explains_what_its_regions_are_along() -> None:
    made = section(result(dataclasses.replace(DEFECT, probe="gap")))
    assert "gap how far the largest entry of a row stands above the others" in Page(made.answers[""]).text


def test_a_sweep_tells_how_its_errors_are_distributed() -> None:
    swept = section(result(histogram=Histogram(edges=(0.5, 1.0), counts=(90, 9, 1))))
    text = Page(swept.cases[0]).text
    assert "up to 0.5 ULP 90 90 %" in text
    assert "How large the errors are" not in Page(section(result()).cases[0]).text
