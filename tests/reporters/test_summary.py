"""The matrix: what one cell says of all the variants and inputs behind it."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from gradcheck_suite.reporters import summary
from gradcheck_suite.results import Document, Finding, Result, Witness
from tests.reporters import synthetic


def finding(severity: str, **more: Any) -> Finding:
    known: dict[str, Any] = {
        "id": "f",
        "kind": "underflow",
        "severity": severity,
        "lo": "0x1.0p+0",
        "hi": "0x1.0p+3",
    }
    return Finding(**known | more)


def result(*findings: Finding, **more: Any) -> Result:
    known: dict[str, Any] = {"op": "gelu", "callable": "gelu", "dtype": "float32", "direction": "forward"}
    known |= {"verdict": "findings" if findings else "ok", "id": "gelu::float32::forward", "max_ulp": 0.5}
    return Result(**known | more, findings=findings)


def cell(*results: Result) -> summary.Cell:
    return summary.cell("float32", "forward", list(results))


def test_a_cell_shows_the_worst_finding_and_the_worst_error() -> None:
    seen = cell(
        result(max_ulp=3e9), result(finding("minor", kind="inaccurate"), finding("critical"), id="bad")
    )
    assert (seen.level, seen.word, seen.ulp_text, seen.result_id) == ("critical", "underflow", "3e9", "bad")
    assert [f.severity for _, f in seen.findings] == ["critical", "minor"]


def test_a_cell_without_findings_is_ok() -> None:
    assert (cell(result()).level, cell(result()).word) == ("ok", "ok")


def test_a_large_error_that_is_no_defect_says_why() -> None:
    witness = Witness(inputs={}, got="0x0.0p+0", exact="1e-40", ulp=1e6)
    small = Witness(inputs={}, got="0x0.0p+0", exact="1", ulp=9.0)
    remarks = [
        finding("info", reason="documented", witness=small),
        finding("info", reason="subnormal", witness=witness),
    ]
    seen = cell(result(*remarks))
    assert (seen.level, seen.word, seen.findings, seen.remarks) == ("info", "subnormal", (), 2)


def test_verdicts_that_are_no_pass_are_said() -> None:
    undecided = cell(result(), result(verdict="inconclusive"))
    assert (undecided.level, undecided.word) == ("inconclusive", "undecided")
    assert cell(result(verdict="unsupported", max_ulp=None)).word == "unsupported"
    assert cell(result(verdict="unsupported"), result()).level == "ok"
    assert cell().level == "absent"


def test_filters_see_kind_severity_and_status_once_each() -> None:
    seen = cell(
        result(finding("critical"), finding("critical"), finding("minor", kind="sign", status="known"))
    )
    assert seen.tokens == "sign:minor:known:ordinary underflow:critical:new:ordinary"


def test_what_only_extreme_inputs_show_has_a_level_of_its_own() -> None:
    witness = Witness(inputs={"input": "inf"}, got="nan", exact="0", ulp=math.inf)
    infinite = finding("critical", kind="nan", lo="inf", hi="inf", probe="input", witness=witness)
    small = Witness(inputs={"input": "0x1p+1"}, got="0x0p+0", exact="1", ulp=9.0)
    minor = finding("minor", probe="input", witness=small)
    assert (cell(result(infinite)).level, cell(result(infinite)).word) == ("extreme", "nan")
    both = cell(result(infinite, minor))
    # The error is that of the finding that the cell names.
    assert (both.level, both.word, both.ulp) == ("minor", "underflow", 9.0)
    assert [f.kind for _, f in both.findings] == ["underflow", "nan"]


def test_a_gradient_by_one_of_several_inputs_says_which() -> None:
    seen = cell(result(finding("critical"), id="mse::float32::backward::target", wrt="target"))
    assert seen.regions == [("critical", "underflow", "1 ≤ x ≤ 8, by target")]
    assert cell(result(finding("critical"), wrt="input")).regions[0][2] == "1 ≤ x ≤ 8"


def test_places_are_listed_once_for_many_variants() -> None:
    seen = cell(result(finding("critical")), result(finding("critical"), variant={"a": 1}))
    assert seen.regions == [("critical", "underflow", "1 ≤ x ≤ 8")]


def test_a_strip_leaves_out_what_needs_a_huge_cotangent() -> None:
    plain = finding("critical")
    huge = finding("critical", lo="-0x1.0p+9", hi="-0x1.0p+5", fixed={"cotangent": (2.0**127).hex()})
    assert cell(result(plain, huge)).strips == cell(result(plain)).strips
    assert cell(result(huge)).strips != []


def test_the_matrix_has_every_op_dtype_and_direction() -> None:
    document = synthetic.document(ops=6, points=60)
    rows = summary.rows(document)
    assert len(rows) == 7
    assert all(len(row.cells) == 12 for row in rows)
    assert summary.columns(document)[:2] == [("float64", "forward"), ("float64", "backward")]
    assert sum(len(row.results) for row in rows) == len(document.results)


def test_what_did_not_run_is_absent_and_an_unknown_op_still_shows() -> None:
    document = Document(
        tool={}, environment={}, ops=(), results=(result(), result(dtype="float8", direction="sideways"))
    )
    (row,) = summary.rows(document)
    assert summary.axes(document) == (["float32", "float8"], ["forward", "sideways"])
    assert [c.level for c in row.cells] == ["ok", "absent", "absent", "ok"]


def test_a_row_can_show_one_variant() -> None:
    document = Document(
        tool={}, environment={}, ops=(), results=(result(), result(finding("major"), variant={"beta": 2}))
    )
    (row,) = summary.rows(document)
    assert row.variants == ["", "[beta=2]"]
    assert [[c.level for c in row.of_variant(v)] for v in row.variants] == [["ok"], ["major"]]


def test_worse_rows_come_first() -> None:
    results = (result(op="a"), result(finding("minor"), op="b"), result(finding("critical"), op="c"))
    rows = summary.rows(Document(tool={}, environment={}, ops=(), results=results))
    assert [row.info.name for row in sorted(rows, key=summary.Row.weight)] == ["c", "b", "a"]


def test_what_shows_at_ordinary_inputs_is_counted() -> None:
    infinite = finding("critical", lo="inf", hi="inf", probe="input")
    assert summary.count_ordinary([result(finding("minor"), infinite, finding("info"))]) == 1


def test_the_first_input_comes_before_the_others() -> None:
    target = result(finding("critical", hi="0x1.0p+9"), id="mse::float32::backward::target", wrt="target")
    own = result(finding("critical"), id="mse::float32::backward::input", wrt="input")
    assert [r.wrt for r, _ in cell(own, target).findings] == ["input", "target"]


def test_a_report_of_custom_ops_alone_is_not_called_one_of_torch() -> None:
    document = synthetic.document(ops=6, points=60)
    own = [op for op in document.ops if op.custom]
    assert summary.title(document) == "Numerical stability of torch ops"
    assert summary.title(replace(document, ops=tuple(own[:1]))) == f"Numerical stability of {own[0].name}"
    assert summary.title(replace(document, ops=(own[0], own[0]))) == "Numerical stability of custom ops"
