"""The results document: reading gives back what was written; whatever else a file holds is refused."""

from __future__ import annotations

import dataclasses
import json
import math
import typing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradcheck_suite import results
from gradcheck_suite.errors import UsageError
from gradcheck_suite.results import (
    Curve,
    Document,
    Finding,
    Grid,
    OpInfo,
    Result,
    Witness,
    Worst,
    from_json,
    read,
    to_json,
    write,
    write_text,
)
from tests.reporters import synthetic


def small_document(**changes: Any) -> Document:
    """A document with one result and everything optional in it."""
    return dataclasses.replace(
        synthetic.document(ops=5, hostile=False, dtypes=("float16",), points=60), **changes
    )


def edited(change: typing.Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    """The JSON of a small document after a change."""
    data: dict[str, Any] = to_json(small_document())
    change(data)
    return data


@pytest.mark.parametrize("name", ["results.json", "results.json.gz"])
def test_what_is_written_is_read_back(tmp_path: Path, name: str) -> None:
    document = synthetic.document(ops=6, points=90)
    write(document, tmp_path / name)
    again = read(tmp_path / name)
    assert to_json(again) == to_json(document)
    assert dataclasses.replace(again, results=()) == dataclasses.replace(document, results=())
    assert [r.findings for r in again.results] == [r.findings for r in document.results]


def test_an_interrupted_run_says_so(tmp_path: Path) -> None:
    write(small_document(complete=False), tmp_path / "results.json")
    assert read(tmp_path / "results.json").complete is False


@given(st.floats())
def test_a_measurement_survives_whatever_float_it_is(value: float) -> None:
    worst = Worst(inputs={}, got="inf", exact="0", ulp=value)
    result = Result(
        id="a", op="a", callable="a", dtype="float32", direction="forward", verdict="ok", worst=worst
    )
    text = json.dumps(to_json(result), allow_nan=False)
    again = results.result_from_json(json.loads(text))
    assert again.worst is not None
    assert again.worst.ulp == value or (math.isnan(value) and math.isnan(again.worst.ulp))


def test_numbers_that_json_does_not_have_are_written_as_text(tmp_path: Path) -> None:
    write(synthetic.document(ops=6, points=60), tmp_path / "results.json")
    text = (tmp_path / "results.json").read_text("utf-8")
    json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert '"inf"' in text


def test_curves_keep_four_digits_and_stay_finite() -> None:
    largest = 1.7976931348623157e308
    column = (1 / 3, largest, -largest, None, math.inf)
    curve = Curve(probe="x", x=column[:1] * 5, got=column, exact=column, ulp=column)
    assert to_json(curve)["got"] == [0.3333, largest, -largest, None, "inf"]
    assert to_json(curve)["x"][0] == 0.333333333  # gives back a float of 32 bits


def test_the_same_document_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one.json", "two.json"):
        write(synthetic.document(ops=3, points=60), tmp_path / name)
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()


# ---------------------------------------------------------------- the schema


def schema() -> dict[str, Any]:
    data: dict[str, Any] = json.loads(results.SCHEMA_FILE.read_text("utf-8"))
    return data


def test_documents_fit_the_published_schema() -> None:
    jsonschema = pytest.importorskip(
        "jsonschema", reason="jsonschema is not installed (the dev extra has it)"
    )
    jsonschema.Draft202012Validator.check_schema(schema())
    validator = jsonschema.Draft202012Validator(schema())
    for document in (
        synthetic.document(ops=6, points=60),
        Document(tool={"version": "1"}, environment={}, ops=(), results=()),
    ):
        assert [error.message for error in validator.iter_errors(to_json(document))] == []


def test_the_schema_refuses_what_is_no_document() -> None:
    jsonschema = pytest.importorskip(
        "jsonschema", reason="jsonschema is not installed (the dev extra has it)"
    )
    validator = jsonschema.Draft202012Validator(schema())
    finding = {"id": "a", "kind": "slow", "severity": "critical"}
    for change in (
        lambda d: d.pop("schema"),
        lambda d: d["results"][0].update(verdict="fine"),
        lambda d: d["results"][0].update(findings=[finding]),
        lambda d: d["results"][0]["worst"].update(got=0.5),
    ):
        assert not validator.is_valid(edited(change))


@pytest.mark.parametrize(
    ("name", "record"),
    [
        ("op", OpInfo),
        ("result", Result),
        ("finding", Finding),
        ("witness", Witness),
        ("worst", Worst),
        ("curve", Curve),
        ("grid", Grid),
    ],
)
def test_the_schema_names_every_field_and_no_other(name: str, record: Any) -> None:
    part = schema()["$defs"][name]
    fields = {f.name: f for f in dataclasses.fields(record)}
    assert set(part["properties"]) == set(fields)
    missing = dataclasses.MISSING
    needed = {n for n, f in fields.items() if f.default is missing and f.default_factory is missing}
    assert set(part["required"]) == needed


def test_the_schema_lists_the_same_words() -> None:
    finding = schema()["$defs"]["finding"]["properties"]
    assert finding["kind"]["enum"] == list(results.KINDS)
    assert finding["severity"]["enum"] == list(results.SEVERITIES)
    assert finding["status"]["enum"] == list(results.STATUSES)
    assert finding["reason"]["enum"] == [*typing.get_args(results.Reason), None]
    assert schema()["$defs"]["result"]["properties"]["verdict"]["enum"] == list(results.VERDICTS)
    assert schema()["properties"]["schema"]["const"] == results.SCHEMA


# ---------------------------------------------------------------- bad input


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read .*nowhere\.json: No such file"):
        read(tmp_path / "nowhere.json")


def test_a_truncated_file_is_refused_wherever_it_is_cut(tmp_path: Path) -> None:
    write(small_document(), tmp_path / "whole.json")
    text = (tmp_path / "whole.json").read_text("utf-8")
    for length in [*range(0, 40), *range(40, len(text) - 2, 997), len(text) - 3]:
        (tmp_path / "cut.json").write_text(text[:length], "utf-8")
        with pytest.raises(UsageError) as caught:
            read(tmp_path / "cut.json")
        assert "cut.json" in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_compressed_file_that_is_cut_short_or_spoilt_is_refused(tmp_path: Path) -> None:
    write(small_document(), tmp_path / "whole.json.gz")
    data = (tmp_path / "whole.json.gz").read_bytes()
    for spoilt in (*(data[:length] for length in range(2, len(data), 211)), data[:-8] + b"12345678"):
        (tmp_path / "cut.json.gz").write_bytes(spoilt)
        with pytest.raises(UsageError, match=r"cut\.json\.gz is cut short .*; run gradcheck again"):
            read(tmp_path / "cut.json.gz")


def test_a_compressed_document_is_far_smaller(tmp_path: Path) -> None:
    for name in ("a.json", "a.json.gz"):
        write(small_document(), tmp_path / name)
    assert (tmp_path / "a.json.gz").stat().st_size * 4 < (tmp_path / "a.json").stat().st_size


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"3",
        b'{"schema": 1}',
        b'{"schema": "other/1"}',
        b'{"schema": "gradcheck-suite/x"}',
        b"\xff\xfe\x00",
        b"PK\x03\x04",
        b'{"schema": "gradcheck-suite/1", "tool": NaN}',
        b"[" * 100_000,
    ],
)
def test_a_foreign_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "foreign.json").write_bytes(content)
    with pytest.raises(UsageError, match=r"foreign\.json"):
        read(tmp_path / "foreign.json")


@pytest.mark.parametrize("version", ["gradcheck-suite/2", "gradcheck-suite/17"])
def test_a_newer_document_asks_for_an_upgrade(version: str) -> None:
    with pytest.raises(UsageError, match=f"schema {version}.*upgrade gradcheck-suite"):
        from_json({"schema": version, "whatever": []})


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (lambda d: d.pop("tool"), "tool is missing"),
        (lambda d: d.update(results={}), "results is {}, not a list"),
        (lambda d: d.update(complete="yes"), 'complete is "yes", not true or false'),
        (lambda d: d["results"][2].pop("id"), r"results\[2\]\.id is missing"),
        (lambda d: d["results"][0].update(op=7), r"results\[0\]\.op is 7, not text"),
        (lambda d: d["results"][0].update(verdict="fine"), r'results\[0\]\.verdict is "fine", not one of ok'),
        (lambda d: d["results"][0].update(points=True), r"results\[0\]\.points is true, not an integer"),
        (lambda d: d["results"][0].update(max_ulp="big"), r'results\[0\]\.max_ulp is "big", not a number'),
        (lambda d: d["results"][0].update(max_ulp=True), r"results\[0\]\.max_ulp is true, not a number"),
        (lambda d: d["results"][0]["curve"].update(ulp=[0.5, "x"]), r'curve\.ulp\[1\] is "x", not a number'),
        (lambda d: d["ops"][0].update(line="1" * 99), r'ops\[0\]\.line is "1+\.\.\., not an integer'),
        (lambda d: d["results"][0].update(findings=[[]]), r"findings\[0\] is \[\], not an object"),
    ],
)
def test_what_does_not_fit_is_named_with_its_place(change: typing.Callable[[Any], Any], place: str) -> None:
    with pytest.raises(UsageError, match=place):
        from_json(edited(change), source="r.json")


def test_unknown_properties_are_ignored() -> None:
    assert (
        from_json(edited(lambda d: d["results"][0].update(colour="red"))).results
        == from_json(edited(bool)).results
    )


# ---------------------------------------------------------------- writing whole files


def test_a_file_that_cannot_be_replaced_stays_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "results.json"
    write_text(target, "before")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(UsageError, match=r"cannot write .*results\.json: No space left on device"):
        write(small_document(), target)
    assert target.read_text() == "before"
    assert [p.name for p in tmp_path.iterdir()] == ["results.json"]  # nothing half-written is left beside it


def test_a_value_without_json_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "results.json"
    write(small_document(), target)
    before = target.read_bytes()
    with pytest.raises(TypeError):
        write(small_document(environment={"x": object()}), target)
    assert target.read_bytes() == before


def test_folders_are_made_and_files_readable_by_others(tmp_path: Path) -> None:
    target = tmp_path / "a" / "b.txt"
    write_text(target, "x\n")
    (tmp_path / "plain").write_text("")
    assert target.stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_folder_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "results.json").mkdir()
    with pytest.raises(UsageError, match=r"cannot write .*results\.json"):
        write_text(tmp_path / "results.json", "x")
    assert list((tmp_path).iterdir()) == [tmp_path / "results.json"]


# ---------------------------------------------------------------- counting


def finding(severity: str, **more: Any) -> Finding:
    return Finding(id=severity, kind="nan", severity=severity, **more)  # type: ignore[arg-type]


def result(*findings: Finding, **more: Any) -> Result:
    known: dict[str, Any] = {
        "id": "a",
        "op": "a",
        "callable": "a",
        "dtype": "float32",
        "direction": "forward",
    }
    return Result(**known | {"verdict": "findings"} | more, findings=findings)


def test_the_worst_severity_is_the_gravest() -> None:
    assert results.worst_severity(result(finding("info"), finding("major"), finding("minor"))) == "major"
    assert results.worst_severity(result()) is None


def test_counts_name_every_severity_and_verdict() -> None:
    found = [result(finding("major"), finding("major")), result(verdict="ok")]
    assert results.count_severities(found) == {"critical": 0, "major": 2, "minor": 0, "info": 0}
    assert results.count_verdicts(found) == {"ok": 1, "findings": 1, "inconclusive": 0, "unsupported": 0}


def test_the_gravest_come_first_and_new_before_known() -> None:
    def seen(ulp: float) -> Witness:
        return Witness(inputs={}, got="inf", exact="0", ulp=ulp)

    small, large = finding("major", witness=seen(9.0)), finding("major", witness=seen(99.0))
    known = finding("major", status="known", witness=seen(math.inf))
    critical = finding("critical", witness=seen(5.0))
    ranked = [f for _, f in results.gravest([result(small, known), result(large, critical)])]
    assert ranked == [critical, large, small, known]


def test_a_variant_is_labelled_as_in_ids() -> None:
    assert results.variant_label({"beta": 10, "threshold": 20.0}) == "[beta=10,threshold=20.0]"
    assert results.variant_label({}) == ""
