"""The report that the repository keeps: a whole, recent one of torch, and its summary is that of its document."""

from __future__ import annotations

import contextlib
import io
import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from gradcheck_suite import engine, results
from gradcheck_suite.ops.registry import registry
from gradcheck_suite.options import Settings
from gradcheck_suite.reporters.markdown import render_markdown
from gradcheck_suite.results import Document, Finding

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


def computed_by(reproducer: str) -> float:
    """What a reproducer prints as computed."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(reproducer, {})
    return float.fromhex(out.getvalue().splitlines()[0].split()[-1])


def shows(finding: Finding) -> bool:
    """Whether the reproducer runs with torch alone and computes what the finding states."""
    assert finding.witness is not None
    got, stated = computed_by(finding.reproducer), float.fromhex(finding.witness.got)
    return got == stated or (math.isnan(got) and math.isnan(stated))


@pytest.fixture
def one_thread() -> Iterator[None]:
    """As the engine calls torch: more threads add in another order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.filterwarnings("ignore")
def test_every_reproducer_shows_its_finding(document: Document) -> None:
    here = engine.environment(Settings())
    for name in ("torch", "key", "arithmetic"):
        if here[name] != document.environment[name]:
            pytest.skip(f"this machine computes other bits ({name}) than the one that the report is of")
    found = [f for r in document.results for f in r.findings if f.witness is not None]
    assert len(found) > 5000
    assert [f.id for f in found if not shows(f)] == []
