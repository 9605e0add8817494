"""What the page draws on demand: per op one gzipped JSON text in base64, with its sections and its curves."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterable, Sequence
from typing import Any, Final

from gradcheck_suite.reporters.curves import Packer, number, pack_grid
from gradcheck_suite.reporters.numbers import value_of
from gradcheck_suite.reporters.regions import region_text
from gradcheck_suite.reporters.sections import Section
from gradcheck_suite.reporters.summary import Row, cell
from gradcheck_suite.results import Curve, Finding, Result, variant_label

# What the page may weigh, and what its parts cost once they are gzipped and a third more for base64 is added.
PAGE_BYTES: Final = 4_750_000
_BYTES_OF_CARD: Final = 250  # a finding in full, with its reproducer
_CARDS: Final = 0.3  # what they may take of the page
_BYTES_OF_CHARACTER: Final = 0.082  # of HTML, which repeats itself
_BYTES_OF_POINT: Final = 6
POINTS_OF_CURVE: Final = (24, 400)


def cards_per_case(rows: Iterable[Row]) -> int:
    """How many findings each case may show in full beside regions and curves."""
    counts = [sum(f.severity != "info" for f in result.findings) for row in rows for result in row.results]
    room = PAGE_BYTES * _CARDS / _BYTES_OF_CARD
    return next((k for k in (100, 20, 8, 4, 3, 2) if sum(min(n, k) for n in counts) <= room), 1)


def points_per_curve(sections: Sequence[Section], taken: int) -> int:
    """How many points each curve may keep, where the rest of the page takes `taken` bytes."""
    lengths = [len(c.x) for s in sections for result in s.row.results for c in _curves(result, s.row)]
    room = PAGE_BYTES - taken - _BYTES_OF_CHARACTER * sum(map(len, sections))
    least, most = POINTS_OF_CURVE
    fitting = (n for n in range(most, least, -8) if sum(min(n, k) for k in lengths) * _BYTES_OF_POINT <= room)
    return next(fitting, least)


def encode(data: Any) -> str:
    """Plain JSON values as base64 of gzip."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    # A fixed time stamp: the same document gives the same page, byte for byte.
    return base64.b64encode(gzip.compress(text.encode(), compresslevel=6, mtime=0)).decode("ascii")


def op_payload(section: Section, points: int) -> dict[str, Any]:
    """Everything about one op that is drawn on demand, with curves of about `points` points at most."""
    results = section.row.results
    drawn = [_curves(result, section.row) for result in results]
    packer = Packer(((r.dtype, c) for r, curves in zip(results, drawn, strict=True) for c in curves), points)
    cases = [
        _case(result, html) | {"curves": [packer.pack(result.dtype, curve) for curve in curves]}
        for result, html, curves in zip(results, section.cases, drawn, strict=True)
    ]
    html = {"head": section.head, "answers": section.answers, "about": section.about}
    return html | {"cases": cases, "axes": packer.axes}


def _case(result: Result, html: str) -> dict[str, Any]:
    seen = cell(result.dtype, result.direction, [result])
    return {
        "id": result.id,
        "dtype": result.dtype,
        "direction": result.direction,
        "variant": variant_label(result.variant),
        "wrt": result.wrt or "",
        "level": seen.level,
        "word": seen.word,
        "html": html,
        "regions": _regions(result),
        "grid": pack_grid(result.grid) if result.grid else None,
    }


def _curves(result: Result, row: Row) -> list[Curve]:
    """The curves worth drawing: those of the first variant, and of variants with findings."""
    first = result.variant == row.results[0].variant
    if not first and all(f.severity == "info" for f in result.findings):
        return []
    return [curve for curve in (result.curve, *result.other_curves) if curve is not None]


def _regions(result: Result) -> list[dict[str, Any]]:
    return [
        {
            "id": f.id,
            "probe": f.probe,
            "lo": number(value_of(f.lo), 17),
            "hi": number(value_of(f.hi), 17),
            "severity": f.severity,
            "kind": f.kind,
            "text": region_text(f, result.dtype),
            "on": _on_a_curve(f, result),
        }
        for f in result.findings
        if f.lo is not None
    ]


def _on_a_curve(finding: Finding, result: Result) -> bool:
    """Whether a finding holds on the curve along its probe: there what is fixed has the same values."""
    curve = next((c for c in (result.curve, *result.other_curves) if c and c.probe == finding.probe), None)
    known = {} if curve is None else curve.fixed
    return finding.path == "vector" and all(known.get(k) == v for k, v in finding.fixed.items())
