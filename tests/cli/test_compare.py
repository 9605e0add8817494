"""`gradcheck compare`: what it prints, the page, and when it fails."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from gradcheck_suite import results
from gradcheck_suite.results import Document, Finding, Result
from tests.cli.conftest import Call, mistake

Write = Callable[..., None]


def finding(**more: object) -> Finding:
    known = {"id": "f", "kind": "nan", "severity": "major", "lo": "0x1.0p+0", "hi": "0x1.0p+3"}
    return Finding(**known | more)  # type: ignore[arg-type]


@pytest.fixture
def write(folder: Path) -> Write:
    """Write old.json or new.json with the given findings on one op."""

    def written(name: str, *findings: Finding) -> None:
        found = Result(
            id="gelu::float32::forward",
            op="gelu",
            callable="gelu",
            dtype="float32",
            direction="forward",
            verdict="findings" if findings else "ok",
            sample="s",
            findings=findings,
        )
        document = Document(tool={"version": "1"}, environment={}, ops=(), results=(found,))
        results.write(document, folder / f"{name}.json")

    return written


def test_what_changed_is_told_and_is_no_failure(call: Call, write: Write) -> None:
    write("old", finding())
    write("new", finding(id="g", kind="sign", severity="critical"))
    code, out, err = call("compare", "old.json", "new.json")
    assert (code, err) == (0, "")
    assert out.splitlines()[0] == "gradcheck compare: 1 new, 0 worse, 0 better, 1 gone, 0 unchanged"
    assert "  critical gelu::float32::forward: sign" in out.splitlines()
    assert "  major    gelu::float32::forward: nan" in out.splitlines()
    assert max(map(len, out.splitlines())) <= 80


def test_the_page(call: Call, write: Write, folder: Path) -> None:
    write("old")
    write("new", finding())
    code, out, _ = call("compare", "old.json", "new.json", "-o", "deep/changes.html")
    assert code == 0
    assert out.splitlines()[-1] == "page: deep/changes.html"
    assert "gelu::float32::forward" in (folder / "deep" / "changes.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("before", "after", "fail_on", "code"),
    [
        ((), (finding(),), "major", 1),
        ((), (finding(),), "minor", 1),
        ((), (finding(),), "critical", 0),
        ((), (finding(),), "never", 0),
        ((), (finding(),), None, 0),
        ((finding(),), (), "minor", 0),
        ((finding(),), (finding(),), "minor", 0),
        ((finding(),), (finding(severity="critical"),), "critical", 1),
        ((finding(severity="critical"),), (finding(),), "minor", 0),
        ((), (finding(status="known"),), "minor", 0),
    ],
)
def test_what_fails(
    call: Call,
    write: Write,
    before: tuple[Finding, ...],
    after: tuple[Finding, ...],
    fail_on: str | None,
    code: int,
) -> None:
    write("old", *before)
    write("new", *after)
    option = () if fail_on is None else ("--fail-on", fail_on)
    assert call("compare", "old.json", "new.json", *option)[0] == code


@pytest.mark.parametrize("side", ["old", "new"])
@pytest.mark.parametrize(
    ("text", "sentence"),
    [('{"schema": "gradcheck', "is cut short"), ("[]", "is not a results document of gradcheck")],
)
def test_an_unfit_document_is_one_sentence(
    call: Call, write: Write, folder: Path, side: str, text: str, sentence: str
) -> None:
    write("old")
    write("new")
    (folder / f"{side}.json").write_text(text)
    (folder / "page.html").write_text("what stood here before")
    said = mistake(call, "compare", "old.json", "new.json", "-o", "page.html")
    assert said.startswith(f"{side}.json {sentence}")
    assert (folder / "page.html").read_text() == "what stood here before"


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (("old.json",), "the following arguments are required: NEW.json"),
        (("old.json", "missing.json"), "cannot read missing.json"),
        (("old.json", "new.json", "--fail-on", "mayor"), "unknown severity 'mayor'; did you mean 'major'"),
    ],
)
def test_mistakes(call: Call, write: Write, argv: tuple[str, ...], sentence: str) -> None:
    write("old")
    write("new")
    assert sentence in mistake(call, "compare", *argv)


def test_a_page_of_any_two_documents_reads_back(call: Call, folder: Path, write: Write) -> None:
    write("old", finding())
    document = results.read(folder / "old.json")
    results.write(dataclasses.replace(document, results=()), folder / "new.json")
    _, out, _ = call("compare", "old.json", "new.json")
    assert "1 case in the older document only, for one gelu::float32::forward" in out
