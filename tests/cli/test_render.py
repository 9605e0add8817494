"""`gradcheck render`: every format from one document, and nothing touched where the document is unfit."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from gradcheck_suite import results
from gradcheck_suite.reporters import markdown
from gradcheck_suite.results import Document
from tests.cli.conftest import Call, mistake
from tests.reporters import synthetic

DOCUMENT = synthetic.document(ops=6, points=30, dtypes=("float32",))
BEFORE = "what stood here before"


@pytest.fixture
def document(folder: Path) -> Document:
    results.write(DOCUMENT, folder / "results.json")
    return DOCUMENT


def spoilt(folder: Path, how: str) -> str:
    """A file that is no document of this version, and the words that the sentence about it must have."""
    text = (folder / "results.json").read_text(encoding="utf-8")
    changed: dict[str, tuple[str, str]] = {
        "cut": (text[: len(text) // 2], "is cut short"),
        "foreign": ('{"coverage": {}}', "is not a results document of gradcheck"),
        "newer": (text.replace(results.SCHEMA, "gradcheck-suite/2", 1), "was written by a newer gradcheck"),
        "empty": ("", "is not JSON"),
        "binary": ("", "is not UTF-8 text"),
    }
    content, sentence = changed[how]
    path = folder / "results.json"
    path.write_bytes(b"\xff\xfe\x00" if how == "binary" else content.encode())
    return sentence


def test_a_folder_gets_the_page_and_the_summary(call: Call, folder: Path, document: Document) -> None:
    code, out, err = call("render", "results.json", "-o", "deep/er")
    assert (code, err) == (0, "")
    assert {path.name for path in (folder / "deep" / "er").iterdir()} == {"index.html", "summary.md"}
    assert out.splitlines() == [f"wrote {Path('deep/er')}/{name}" for name in ("index.html", "summary.md")]
    summary = (folder / "deep" / "er" / "summary.md").read_text(encoding="utf-8")
    assert summary == markdown.render_markdown(document)


def test_every_format_has_its_file(call: Call, folder: Path, document: Document) -> None:
    code, _, _ = call(
        "render", "results.json", "--sarif=a.sarif", "--junit", "b.xml", "--badge", "c.json",
        "--markdown", "d.md", "--html", "e.html",
    )  # fmt: skip
    assert code == 0
    assert json.loads((folder / "a.sarif").read_text("utf-8"))["version"] == "2.1.0"
    assert ET.parse(folder / "b.xml").getroot().tag == "testsuites"
    assert json.loads((folder / "c.json").read_text("utf-8"))["schemaVersion"] == 1
    assert (folder / "d.md").read_text("utf-8").startswith("# ")
    assert (folder / "e.html").read_text("utf-8").startswith("<!doctype html>")
    assert {path.name for path in folder.iterdir()} == {
        "results.json", "a.sarif", "b.xml", "c.json", "d.md", "e.html",
    }  # fmt: skip


def test_workflow_commands_and_the_step_summary(
    call: Call, folder: Path, document: Document, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "step.md").write_text("an earlier step\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(folder / "step.md"))
    code, out, _ = call("render", "results.json", "--github")
    assert code == 0
    lines = out.splitlines()
    assert lines[0].startswith("::notice title=gradcheck::")
    assert any(line.startswith("::error file=src/mylib/ops.py,line=42") for line in lines)
    step = (folder / "step.md").read_text(encoding="utf-8")
    assert step == "an earlier step\n" + markdown.render_markdown(document)


def test_a_step_summary_that_cannot_be_written_is_a_warning(
    call: Call, folder: Path, document: Document, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(folder))
    code, out, _ = call("render", "results.json", "--github")
    assert code == 0
    assert out.splitlines()[-1].startswith("::warning title=gradcheck::the step summary cannot be written")


@pytest.mark.parametrize("how", ["cut", "foreign", "newer", "empty", "binary"])
def test_an_unfit_document_is_one_sentence_and_touches_nothing(
    call: Call, folder: Path, document: Document, how: str
) -> None:
    (folder / "index.html").write_text(BEFORE)
    (folder / "badge.json").write_text(BEFORE)
    sentence = spoilt(folder, how)
    said = mistake(call, "render", "results.json", "-o", ".", "--badge", "badge.json")
    assert said.startswith("results.json ")
    assert sentence in said
    assert (folder / "index.html").read_text() == (folder / "badge.json").read_text() == BEFORE
    assert not (folder / "summary.md").exists()


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (("results.json",), "name what to write: -o DIR, --sarif FILE"),
        (("missing.json", "-o", "x"), "cannot read missing.json: No such file or directory"),
        ((".", "-o", "x"), "cannot read .: Is a directory"),
        ((), "the following arguments are required: RESULTS.json"),
        (("results.json", "--sarfi=x"), "did you mean '--sarif'"),
        (("results.json", "-o", "results.json"), "cannot write results.json/index.html"),
    ],
)
def test_mistakes(call: Call, document: Document, argv: tuple[str, ...], sentence: str) -> None:
    assert sentence in mistake(call, "render", *argv)


def test_a_format_that_fails_leaves_the_others_as_they_were(
    call: Call, folder: Path, document: Document, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: Any) -> str:
        raise ZeroDivisionError("planted")

    (folder / "a.sarif").write_text(BEFORE)
    monkeypatch.setattr("gradcheck_suite.reporters.html.render_html", broken)
    with pytest.raises(ZeroDivisionError):
        call("render", "results.json", "--sarif", "a.sarif", "-o", ".")
    assert (folder / "a.sarif").read_text() == BEFORE


def test_documents_are_read_without_torch(folder: Path, document: Document) -> None:
    code = (
        "import sys\nsys.modules['torch'] = None\nfrom gradcheck_suite.cli import main\n"
        "same = 'results.json'\nprint(main(['render', same, '-o', 'x']), main(['compare', same, same]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=folder,
        env={"PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == "0 0", done.stderr
