"""The report that the repository keeps: a whole, recent one of torch, and its summary is that of its document."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from gradcheck_suite import results
from gradcheck_suite.ops.registry import registry
from gradcheck_suite.reporters.markdown import render_markdown
from gradcheck_suite.results import Document

FOLDER = Path(__file__).parents[2] / "reports"


@pytest.fixture(scope="module")
def document() -> Document:
    path = FOLDER / "results.json.gz"
    if not path.is_file():
        pytest.skip("reports/results.json.gz is not there (reports/README.md says how it is made)")
    return results.read(path)


def test_it_is_complete_and_small_and_of_every_op(document: Document) -> None:
    assert document.complete
    assert str(document.environment["torch"]).startswith("2.13")
    assert {op.name for op in document.ops} == {op.name for op in registry() if op.tier == "core"}
    assert (FOLDER / "results.json.gz").stat().st_size < 6_000_000


def test_it_fits_the_published_schema(document: Document) -> None:
    jsonschema = pytest.importorskip(
        "jsonschema", reason="jsonschema is not installed (the dev extra has it)"
    )
    schema = json.loads(results.SCHEMA_FILE.read_text("utf-8"))
    sample = replace(document, results=document.results[::40])  # validating all takes half a minute
    jsonschema.Draft202012Validator(schema).validate(results.to_json(sample))


def test_the_summary_states_its_counts(document: Document) -> None:
    head = (FOLDER / "summary.md").read_text("utf-8").partition("## ")[0]
    assert head == render_markdown(document).partition("## ")[0]
