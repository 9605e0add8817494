"""What continuous integration reads: SARIF, GitHub's annotations, JUnit and the badge."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from gradcheck_suite.errors import UsageError
from gradcheck_suite.reporters import words
from gradcheck_suite.reporters.actionable import actionable, places
from gradcheck_suite.reporters.badge import render_badge, write_badge
from gradcheck_suite.reporters.github import render_github
from gradcheck_suite.reporters.junit import properties, render_junit, write_junit
from gradcheck_suite.reporters.sarif import render_sarif, write_sarif
from gradcheck_suite.results import KINDS, Document, Finding, OpInfo, Result
from tests.reporters import synthetic

DOCUMENT = synthetic.document(ops=6, points=60)


def finding(severity: str = "critical", **more: Any) -> Finding:
    known: dict[str, Any] = {
        "id": "f",
        "kind": "nan",
        "severity": severity,
        "lo": "0x1.0p+0",
        "hi": "0x1.0p+1",
    }
    return Finding(**known | more)


def result(*findings: Finding, **more: Any) -> Result:
    known: dict[str, Any] = {
        "id": "mine::float32::forward",
        "op": "mine",
        "callable": "lib.mine",
        "custom": True,
    }
    known |= {"dtype": "float32", "direction": "forward", "verdict": "findings" if findings else "ok"}
    return Result(**known | more, findings=findings)


def document(*results: Result, file: str = "src/lib/ops.py", line: int | None = 7, **more: Any) -> Document:
    op = OpInfo(name="mine", callable="lib.mine", family="", tier="custom", file=file, line=line, custom=True)
    return Document(tool={"version": "1.2.3"}, environment={}, ops=(op,), results=results, **more)


# ---------------------------------------------------------------- which findings


def test_the_form_with_out_is_told_as_it_is_called() -> None:
    """The tensor that it writes to has gaps: a contiguous one may be filled rightly."""
    assert words.path_words("out") == "with a strided out="


def test_torchs_own_findings_are_nobodys_to_mend_without_a_baseline() -> None:
    own = result(finding(), op="gelu", custom=False)
    assert actionable(document(own, result(finding()))) == [(result(finding()), finding())]


def test_what_is_new_in_torch_is_told_where_a_baseline_knows_the_rest() -> None:
    own = result(finding("minor"), finding(status="known"), op="gelu", custom=False)
    assert [f.severity for _, f in actionable(document(own))] == ["minor"]
    assert actionable(document(own), custom_only=True) == []


def test_remarks_and_known_findings_are_left_out_and_the_gravest_come_first() -> None:
    mine = result(finding("minor"), finding("info"), finding(status="known"), finding("critical"))
    assert [f.severity for _, f in actionable(document(mine))] == ["critical", "minor"]


def test_files_are_relative_to_the_repository(tmp_path: Path) -> None:
    inside, outside = str(tmp_path / "a b" / "öps.py"), "/elsewhere/ops.py"
    assert places(document(file=inside), tmp_path)["mine"].file == "a b/öps.py"
    assert places(document(file=inside), tmp_path)["mine"].uri == "a%20b/%C3%B6ps.py"
    assert places(document(file=outside), tmp_path)["mine"].uri == "file:///elsewhere/ops.py"
    assert places(document(line=None), tmp_path)["mine"].line == 1


# ---------------------------------------------------------------- SARIF


def sarif(made: Document) -> dict[str, Any]:
    log = json.loads(render_sarif(made))
    assert log["version"] == "2.1.0"
    (run,) = log["runs"]
    assert isinstance(run, dict)
    return run


def test_sarif_names_file_line_rule_and_fingerprint() -> None:
    (found,) = sarif(document(result(finding(message="gives NaN"))))["results"]
    location = found["locations"][0]["physicalLocation"]
    assert location == {"artifactLocation": {"uri": "src/lib/ops.py"}, "region": {"startLine": 7}}
    assert (found["ruleId"], found["level"]) == ("nan", "error")
    assert found["partialFingerprints"] == {"gradcheckFinding/v1": "f"}
    assert "1 ≤ x ≤ 2. gives NaN Repeat: pytest --gradcheck" in found["message"]["text"]


def test_sarif_rules_cover_every_kind() -> None:
    run = sarif(DOCUMENT)
    rules = run["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == list(KINDS)
    for found in run["results"]:
        assert rules[found["ruleIndex"]]["id"] == found["ruleId"]
        assert found["level"] in ("error", "warning")


def test_sarif_is_about_custom_ops_only() -> None:
    assert {r["properties"]["case"].split("::")[0] for r in sarif(DOCUMENT)["results"]} >= {"fused_gelu"}
    assert not any(r["properties"]["case"].startswith("sigmoid") for r in sarif(DOCUMENT)["results"])
    assert sarif(document(result()))["results"] == []


def test_sarif_says_whether_the_run_was_whole() -> None:
    assert sarif(document(complete=False))["invocations"] == [{"executionSuccessful": False}]


# ---------------------------------------------------------------- GitHub


def commands(made: Document) -> list[tuple[str, dict[str, str], str]]:
    """The workflow commands as the runner reads them."""
    found = []
    for line in render_github(made).splitlines():
        matched = re.fullmatch(r"::(error|warning|notice) ([^:]*)::(.*)", line)
        assert matched, line
        pairs = dict(part.split("=", 1) for part in matched[2].split(","))
        found.append((matched[1], pairs, matched[3]))
    return found


def test_the_roll_up_comes_first_and_each_finding_has_its_place() -> None:
    (first, second) = commands(document(result(finding(message="gives NaN"))))
    assert first[0] == "notice"
    assert "1 critical. To mend: 1 error." in first[2]
    assert second[0] == "error"
    assert (second[1]["file"], second[1]["line"]) == ("src/lib/ops.py", "7")
    assert second[2].startswith("gives NaN%0ARepeat: pytest --gradcheck")


def test_at_most_ten_errors_and_ten_warnings() -> None:
    many = [finding(s, id=str(n)) for s in ("minor", "major") for n in range(15)]
    found = [kind for kind, _, _ in commands(document(result(*many)))]
    assert (found.count("error"), found.count("warning"), found.count("notice")) == (10, 10, 1)
    assert "15 errors, 15 warnings, the gravest 10 of each follow." in render_github(document(result(*many)))


def test_text_cannot_end_or_start_a_command() -> None:
    evil = "100%\n::error file=x::boo\r,:" + synthetic.HOSTILE
    made = document(
        result(finding(message=evil), op="mine", id="mine,a:b::float32::forward"), file="a,b:c.py"
    )
    (_, (kind, properties_, text)) = commands(made)
    assert kind == "error"
    assert properties_["file"] == "a%2Cb%3Ac.py"
    assert text.startswith("100%25%0A::error file=x::boo%0D")
    assert len(render_github(made).splitlines()) == 2


def test_annotations_of_a_whole_document_are_well_formed() -> None:
    assert len(commands(DOCUMENT)) > 3


# ---------------------------------------------------------------- JUnit


def suite(made: Document) -> ET.Element:
    found = ET.fromstring(render_junit(made)).find("testsuite")
    assert found is not None
    return found


def test_junit_has_a_case_for_every_result_and_counts_that_agree() -> None:
    found = suite(DOCUMENT)
    cases = found.findall("testcase")
    assert len(cases) == len(DOCUMENT.results) == int(found.attrib["tests"])
    assert len([c for c in cases if c.find("failure") is not None]) == int(found.attrib["failures"]) > 0
    assert len([c for c in cases if c.find("skipped") is not None]) == int(found.attrib["skipped"]) > 0


def test_custom_ops_fail_and_torchs_own_are_skipped_with_the_sentence() -> None:
    own = result(finding(message="known in torch"), op="gelu", id="gelu", custom=False)
    undecided = result(id="u", verdict="inconclusive", note="3 points open")
    (mine, torchs, open_) = suite(document(result(finding(message="gives NaN")), own, undecided)).findall(
        "testcase"
    )
    failure, skipped, third = mine.find("failure"), torchs.find("skipped"), open_.find("skipped")
    assert failure is not None
    assert skipped is not None
    assert third is not None
    assert failure.attrib == {"message": "critical nan for 1 ≤ x ≤ 2: gives NaN", "type": "nan"}
    assert "pytest --gradcheck" in (failure.text or "")
    assert skipped.attrib["message"] == "critical nan for 1 ≤ x ≤ 2: known in torch"
    assert third.attrib["message"] == "inconclusive: 3 points open"


def test_junit_keeps_what_xml_can_write() -> None:
    evil = "\x00\x1b[2J\ud800\ufffe" + synthetic.HOSTILE
    (case,) = suite(document(result(finding(message=evil), id=evil, op=evil))).findall("testcase")
    assert case.attrib["name"].endswith(" ".join(synthetic.HOSTILE.split()))
    assert "\x1b" not in render_junit(document(result(finding(message=evil))))


def test_properties_say_what_a_pass_hides() -> None:
    named = dict(properties(result(finding("info"), max_ulp=8369680.0, points=12)))
    assert named["gradcheck_max_ulp"] == "8.4e6"
    assert named["gradcheck_points"] == "12"
    assert named["gradcheck_info"] == "1"


# ---------------------------------------------------------------- the badge


@pytest.mark.parametrize(
    ("made", "message", "colour"),
    [
        (document(result(finding("major"), finding("critical"), finding("critical"))), "2 critical", "red"),
        (document(result(finding("major"))), "1 major", "orange"),
        (document(result(finding("minor"))), "1 minor", "yellow"),
        (document(result(finding("info"))), "no findings", "brightgreen"),
        (document(result(verdict="inconclusive")), "1 undecided", "lightgrey"),
        (document(), "nothing run", "lightgrey"),
        (document(result(), complete=False), "incomplete", "lightgrey"),
    ],
)
def test_the_badge_says_the_gravest(made: Document, message: str, colour: str) -> None:
    badge = json.loads(render_badge(made))
    assert badge == {"schemaVersion": 1, "label": "gradcheck", "message": message, "color": colour}


# ---------------------------------------------------------------- files and commands


@pytest.mark.parametrize("write", [write_sarif, write_junit, write_badge])
def test_files_are_written_whole_or_not_at_all(write: Any, tmp_path: Path) -> None:
    write(DOCUMENT, tmp_path / "out")
    assert (tmp_path / "out").stat().st_size > 0
    (tmp_path / "plain").write_text("")
    with pytest.raises(UsageError, match="cannot write"):
        write(DOCUMENT, tmp_path / "plain" / "out")


def test_a_case_is_named_without_the_input_of_its_gradient() -> None:
    two = result(id="mse_loss::float32::backward::target", wrt="target")
    one = result(id="gelu::float32::backward", wrt="input")
    assert words.case_id(two) == "mse_loss::float32::backward"
    assert words.case_id(one) == "gelu::float32::backward"
    spaced = dataclasses.replace(one, id="gelu[approximate=tanh]::float32::backward")
    assert (
        words.command(spaced) == "pytest --gradcheck 'gradcheck::gelu[approximate=tanh]::float32::backward'"
    )


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_says_why_it_matters(kind: Any) -> None:
    assert words.why(finding(kind=kind), "backward").endswith(".")


def test_an_excused_finding_says_why_it_is_none() -> None:
    said = words.why(finding("info", reason="ill-conditioned"), "forward")
    assert said.startswith("Not counted as a defect: ")


def test_a_definition_is_shown_without_its_decorators() -> None:
    source = "@activation(F.relu)\n@other\ndef relu(m, x):\n    return m.maximum(x, 0)\n"
    assert words.definition(source) == "def relu(m, x):\n    return m.maximum(x, 0)"
    assert words.definition("max(0, x)") == "max(0, x)"
