"""The terminal's summary."""

from __future__ import annotations

import dataclasses

from gradcheck_suite.reporters.terminal import render_terminal
from gradcheck_suite.results import Document, Result
from tests.reporters import synthetic

DOCUMENT = synthetic.document(ops=6, points=60)


def test_it_fits_80_columns_but_for_what_is_copied() -> None:
    text = render_terminal(DOCUMENT, report="reports/index.html")
    copied = ("report: ", "repeat one: ")
    assert [line for line in text.splitlines() if len(line) > 80 and not line.startswith(copied)] == []


def test_it_says_what_was_checked_what_is_worst_where_and_how_to_repeat_it() -> None:
    text = render_terminal(synthetic.document(ops=1, hostile=False, points=60), report="out/index.html")
    assert "gradcheck: 1 op, 12 results, " in text
    assert "torch 2.13.0, cpu AVX512" in text
    assert "findings:  4 critical, 4 major, 0 minor, 0 info" in text
    assert "critical sigmoid backward: underflow" in text
    assert "float32 16.6355 <= x <= 103.97" in text
    assert "report: out/index.html" in text
    assert "repeat one: pytest --gradcheck gradcheck::sigmoid::float32::backward" in text


def test_it_is_ascii_but_for_what_the_document_holds() -> None:
    assert render_terminal(synthetic.document(ops=6, hostile=False, points=60)).isascii()


def test_control_characters_do_not_reach_the_terminal() -> None:
    bad = next(r for r in DOCUMENT.results if r.findings)
    evil = dataclasses.replace(bad, op="evil\x1b[2J\r\x07name")
    text = render_terminal(dataclasses.replace(DOCUMENT, results=(evil,)))
    assert "\x1b" not in text
    assert "evil\N{REPLACEMENT CHARACTER}[2J" in text


def test_what_is_left_out_is_counted() -> None:
    text = render_terminal(DOCUMENT, limit=2)
    assert "  ... and " in text
    assert text.count("\n  critical ") + text.count("\n  major ") + text.count("\n  minor ") == 2


def test_an_interrupted_run_and_an_empty_one_say_so() -> None:
    assert "INCOMPLETE" in render_terminal(dataclasses.replace(DOCUMENT, complete=False))
    empty = render_terminal(Document(tool={}, environment={}, ops=(), results=()))
    assert "gradcheck: 0 ops, 0 results, 0 points" in empty
    assert "repeat one" not in empty


def test_numbers_along_two_probes_do_not_share_a_line_and_probes_are_explained() -> None:
    bad = next(r for r in DOCUMENT.results if any(f.severity == "critical" for f in r.findings))
    found = next(f for f in bad.findings if f.severity == "critical")

    def holder(dtype: str, **more: object) -> Result:
        own = dataclasses.replace(found, path="vector", fixed={}, share=1.0, **more)  # type: ignore[arg-type]
        return dataclasses.replace(bad, dtype=dtype, id=f"x::{dtype}", findings=(own,))

    gaps = [
        holder(dtype, probe="gap", lo="0x1p+3", hi=hi)
        for dtype, hi in (("float32", "0x1p+4"), ("float16", "0x1p+5"))
    ]
    text = render_terminal(dataclasses.replace(DOCUMENT, results=(*gaps, holder("bfloat16", probe="length"))))
    assert "float32 8 <= gap <= 16; float16 8 <= gap <= 32\n" in text
    assert "\n  gap: how far the largest entry of a row stands above the others\n" in text
