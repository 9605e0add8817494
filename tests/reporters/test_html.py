"""index.html without a browser: what stands in it, what it escapes, what it weighs."""

from __future__ import annotations

import base64
import dataclasses
import functools
import hashlib
import json
import re
from pathlib import Path

import pytest

from gradcheck_suite.errors import UsageError
from gradcheck_suite.reporters.html import render_html, write_html
from gradcheck_suite.results import Curve, Document, Finding, Result, from_json, to_json
from tests.reporters import synthetic
from tests.reporters.pages import Page


@functools.cache
def document() -> Document:
    return synthetic.document(ops=6, points=90)


@functools.cache
def page() -> Page:
    return Page(render_html(document()))


def test_the_summary_reads_without_javascript() -> None:
    text = page().text
    assert "7 ops of torch 2.13.0" in text
    assert "7 ops by their worst finding" in text
    assert "Can I use it?" in text
    assert "sigmoid backward critical: underflow" in text
    assert "16.6355 ≤ x ≤ 103.97" in text
    assert "pytest --gradcheck gradcheck::sigmoid::float32::backward" in text
    assert re.search(r"sigmoid elementwise unary .*? underflow .*? ULP", text)
    assert "torch2.13-cpu-avx512-linux-x86_64" in text


def test_one_op_is_told_as_one() -> None:
    one = document()
    name = one.results[0].op
    own = [r for r in one.results if r.op == name]
    alone = dataclasses.replace(one, results=tuple(own), ops=tuple(o for o in one.ops if o.name == name))
    text = Page(render_html(alone)).text
    assert "1 op by its worst finding" in text
    assert "1 ops" not in text


def test_the_matrix_has_a_word_a_level_and_the_worst_error_in_every_cell() -> None:
    cells = [attributes for tag, attributes in page().tags if tag == "td" and "data-t" in attributes]
    assert len(cells) == 7 * 12
    assert {c["class"].split()[0] for c in cells} == {"critical", "major", "minor", "extreme", "info", "ok"}
    assert all(c["data-u"] for c in cells)


def test_it_is_one_file_that_asks_the_network_for_nothing() -> None:
    for tag, attributes in page().tags:
        assert tag not in ("iframe", "object", "embed", "img")
        for name in ("src", "href", "action", "data"):
            assert attributes.get(name, "#").startswith(("#", "data:")), (tag, attributes)
    assert "@import" not in render_html(document())


def test_only_the_pages_own_script_may_run() -> None:
    (script,) = page().scripts
    (policy,) = [v for v in page().attributes("content") if "script-src" in v]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert not [name for _, attributes in page().tags for name in attributes if name.startswith("on")]


def test_hostile_text_is_shown_as_text() -> None:
    hostile = synthetic.HOSTILE_TOY.name
    assert hostile in page().payloads
    assert " ".join(hostile.split()) in page().text
    text = render_html(document())
    assert "<script>alert" not in text
    assert len(re.findall("<script", text)) == len(page().payloads) + 1
    for html in fragments(page(), hostile):
        inner = Page(html)
        assert "script" not in [tag for tag, _ in inner.tags]
        assert "i" not in [tag for tag, a in inner.tags if "odd" in str(a)]


def fragments(page: Page, op: str) -> list[str]:
    """All the HTML that is packed for an op."""
    details = page.details(op)
    return [
        details["head"],
        details["about"],
        *details["answers"].values(),
        *(case["html"] for case in details["cases"]),
    ]


def test_an_op_has_its_definition_stable_form_and_an_answer_for_every_variant() -> None:
    details = page().details("softplus")
    assert "log(1 + exp(beta x)) / beta" in Page(details["about"]).text
    assert "torch.logaddexp(beta * x" in Page(details["about"]).text
    assert list(details["answers"]) == ["", "[beta=10]", "[beta=0.1,threshold=20]"]
    assert "-17 ≤ x ≤ -2" in Page(details["answers"][""]).text


def test_a_finding_says_what_was_computed_what_is_exact_why_it_matters_and_how_to_repeat_it() -> None:
    case = next(c for c in page().details("sigmoid")["cases"] if c["id"] == "sigmoid::float32::backward")
    text = Page(case["html"]).text
    assert "critical: underflow" in text
    assert "0x1.0a2b02" in text  # the region's end in hex, and in decimal:
    assert "16.6355" in text
    assert "computed 0 (0x0p+0)" in text
    assert "5.96065" in text
    assert "absolute 5.96066e-8" in text
    assert "stops what is upstream from learning" in text
    assert "y = torch.sigmoid(x) y.backward()" in text
    assert len(Page(case["html"]).attributes("data-copy")) == 2  # the reproducer and the command


def test_remarks_say_why_they_are_no_defects() -> None:
    case = next(
        c for c in page().details("softplus")["cases"] if c["id"] == "softplus::float32::double-backward"
    )
    text = Page(case["html"]).text
    assert "1 remark, no defect" in text
    assert "the documentation states this deviation" in text


def test_links_lead_to_ops_cases_and_findings_that_exist() -> None:
    packed = {op: page().details(op) for op in page().payloads}
    known = {
        (op, case["id"], finding)
        for op, details in packed.items()
        for case in details["cases"]
        for finding in [None, *Page(case["html"]).attributes("data-finding")]
    }
    links = [query(href) for href in page().attributes("href") if href.startswith("#op=")]
    assert len(links) > 100
    for link in links:
        assert link["op"] in packed
        if "case" in link:
            assert (link["op"], link["case"], link.get("finding")) in known


def query(fragment: str) -> dict[str, str]:
    from urllib.parse import parse_qsl

    return dict(parse_qsl(fragment.lstrip("#"), keep_blank_values=True))


def test_curves_are_packed_with_what_pictures_need() -> None:
    details = page().details("sigmoid")
    case = next(c for c in details["cases"] if c["id"] == "sigmoid::float16::backward")
    (curve,) = case["curves"]
    axis = details["axes"][curve["axis"]]
    assert len(axis) == len(curve["exact"]) == len(curve["ulp"])
    assert axis == sorted(axis)
    spoilt = [int(i) for i, got in curve["got"].items() if got == 0]
    assert [i for i in spoilt if 7.6 <= axis[i] <= 17.4]
    assert all(axis[i] >= 7.6 or axis[i] < -17 for i in spoilt)  # below, 0 is the rounded result


def test_the_largest_floats_can_be_drawn() -> None:
    largest = 1.7976931348623157e308
    column = (-largest, None, float("inf"), largest)
    curve = Curve(probe="x", x=(-largest, 0.0, 1.0, largest), got=column, exact=column, ulp=column)
    result = Result(
        id="a", op="a", callable="a", dtype="float64", direction="forward", verdict="ok", curve=curve
    )
    packed = Page(render_html(Document(tool={}, environment={}, ops=(), results=(result,)))).details("a")
    ((first, *_, last),) = packed["axes"]
    assert (first, last) == (-1.79769313e308, 1.79769313e308)
    assert packed["cases"][0]["curves"][0]["exact"] == [-largest, None, "inf", largest]


def test_a_large_report_stays_under_5_mb() -> None:
    crowded = synthetic.document(ops=100, hostile=False, points=240)
    assert len(render_html(crowded).encode()) < 5_000_000


def test_a_report_with_very_many_findings_stays_under_5_mb() -> None:
    one = synthetic.document(ops=1, hostile=False, points=240)
    bad = next(r for r in one.results if r.findings)
    again = [
        dataclasses.replace(f, id=f"f{n}", message=f"{n} {f.message}", lo=float(n).hex())
        for n in range(12)
        for f in bad.findings
    ]
    results = tuple(
        dataclasses.replace(bad, op=f"op{i}", id=f"op{i}::{v}", variant={"v": v}, findings=tuple(again))
        for i in range(60)
        for v in range(30)
    )
    text = render_html(dataclasses.replace(one, ops=(), results=results))
    assert len(text.encode()) < 5_000_000
    (section, *_) = Page(text).details("op7")["cases"]
    assert "more stand in the table above" in section["html"]


def test_nothing_found_and_nothing_run_are_pages_too() -> None:
    quiet = dataclasses.replace(
        document(), results=tuple(dataclasses.replace(r, findings=()) for r in document().results)
    )
    assert "No defect found" in Page(render_html(quiet)).text
    empty = Document(tool={}, environment={}, ops=(), results=())
    assert "0 ops" in Page(render_html(empty)).text


def test_an_interrupted_run_says_so() -> None:
    assert "Incomplete." in Page(render_html(dataclasses.replace(document(), complete=False))).text


def test_without_a_baseline_new_is_not_said() -> None:
    everything_new = json.loads(json.dumps(to_json(document())).replace('"known"', '"new"'))
    assert (
        " new "
        not in Page(render_html(from_json(everything_new)))
        .text.split("Can I use it?")[1]
        .split("Every op")[0]
    )
    assert " new " in page().text.split("Can I use it?")[1].split("Every op")[0]


def test_the_same_document_gives_the_same_page() -> None:
    assert render_html(synthetic.document(ops=2, points=60)) == render_html(
        synthetic.document(ops=2, points=60)
    )


def test_structural_findings_need_no_interval() -> None:
    raises = Finding(id="r", kind="raises", severity="critical", message="RuntimeError: not today")
    result = Result(
        id="a",
        op="a",
        callable="a",
        dtype="float8",
        direction="forward",
        verdict="findings",
        findings=(raises,),
    )
    text = render_html(Document(tool={}, environment={}, ops=(), results=(result,)))
    assert "every input" in Page(text).text
    assert "RuntimeError: not today" in Page(Page(text).details("a")["cases"][0]["html"]).text


def test_the_old_page_stays_whole_where_the_new_one_fails(tmp_path: Path) -> None:
    target = tmp_path / "index.html"
    target.write_text("before")
    broken = dataclasses.replace(document(), results=(object(),))  # type: ignore[arg-type]
    with pytest.raises(AttributeError):
        write_html(broken, target)
    assert target.read_text() == "before"
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot write"):
        write_html(document(), tmp_path / "file" / "index.html")
