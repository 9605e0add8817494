"""summary.md, for GitHub's step summary."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from gradcheck_suite.reporters.markdown import render_markdown, write_markdown
from gradcheck_suite.results import Document
from tests.reporters import synthetic

DOCUMENT = synthetic.document(ops=6, points=60)


def table_rows(text: str) -> list[list[str]]:
    """The cells of every table row, split at the pipes that are not escaped."""
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [re.split(r"(?<!\\)\|", line.strip("|")) for line in lines]


def test_every_table_keeps_its_columns_whatever_the_names_hold() -> None:
    widths = [len(row) for row in table_rows(render_markdown(DOCUMENT))]
    assert set(widths) == {4, 5}  # regions; op and four dtypes


def test_names_are_text_not_markup() -> None:
    text = render_markdown(DOCUMENT)
    assert "<script" not in text
    assert "<b>" not in text
    assert "&lt;script&gt;" in text
    assert "\u202e" not in text


def test_mentions_and_links_are_defused() -> None:
    (op, *rest) = DOCUMENT.ops
    renamed = dataclasses.replace(op, name="@somebody http://example.org")
    results = tuple(
        dataclasses.replace(r, op=renamed.name) if r.op == op.name else r for r in DOCUMENT.results
    )
    text = render_markdown(dataclasses.replace(DOCUMENT, ops=(renamed, *rest), results=results))
    listed = [row[0] for row in table_rows(text) if "critical: " in row[0]]
    assert any("&#64;somebody http&#58;//example.org" in cell for cell in listed)


def test_the_matrix_and_the_regions_are_there() -> None:
    text = render_markdown(synthetic.document(ops=1, hostile=False, points=60))
    assert "float32: 16.6355 ≤ x ≤ 103.97" in text
    assert "| float16 | ✅ 1 ok | 🛑 1 critical | 🔶 1 major |" in text
    assert "`pytest --gradcheck gradcheck::sigmoid::float32::backward`" in text
    assert "## Every op, double-backward" in text
    assert re.search(r"\| `sigmoid` \| 🛑 \*\*underflow\*\* ", text)


def test_it_stays_below_githubs_limit() -> None:
    many = tuple(
        dataclasses.replace(result, op=f"{result.op}_{n}_" + "long" * 40)
        for result in synthetic.document(
            ops=6, hostile=False, points=24, dtypes=("float32",), directions=1
        ).results
        for n in range(1_000)
    )
    text = render_markdown(dataclasses.replace(DOCUMENT, results=many, ops=()))
    assert len(text.encode()) <= 1024 * 1024
    assert text.endswith("… cut here; index.html has the rest.\n")


def test_an_interrupted_run_and_an_empty_one_say_so() -> None:
    assert "**Incomplete.**" in render_markdown(dataclasses.replace(DOCUMENT, complete=False))
    assert "No defect found." in render_markdown(Document(tool={}, environment={}, ops=(), results=()))


def test_it_is_written_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_markdown(DOCUMENT, tmp_path / "summary.md")
    assert (tmp_path / "summary.md").read_text("utf-8") == render_markdown(DOCUMENT)
