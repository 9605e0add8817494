"""What the page draws on demand: per op one gzipped JSON text in base64, with its sections and its curves."""

from __future__ import annotations

import base64
import gzip
import json
import math
from collections.abc import Iterable, Sequence
from typing import Any, Final

from gradcheck_suite.reporters.numbers import value_of
from gradcheck_suite.reporters.regions import region_text
from gradcheck_suite.reporters.sections import Section
from gradcheck_suite.reporters.summary import Row, cell
from gradcheck_suite.results import Curve, Grid, Result, variant_label

# What the page may weigh, and what its parts cost once they are gzipped and a third more for base64 is added.
PAGE_BYTES: Final = 4_700_000
_BYTES_OF_CARD: Final = 480  # a finding in full, with its reproducer
_BYTES_OF_CHARACTER: Final = 0.1  # of HTML, which repeats itself
_BYTES_OF_POINT: Final = 11
POINTS_OF_CURVE: Final = (24, 400)
# Digits that give back the float itself for the narrow formats; for float64 enough to read.
_DIGITS: Final = {"float64": 9, "float32": 9, "float16": 5, "bfloat16": 4}


def cards_per_case(rows: Iterable[Row]) -> int:
    """How many findings each case may show in full so that they take at most half of the page."""
    counts = [sum(f.severity != "info" for f in result.findings) for row in rows for result in row.results]
    room = PAGE_BYTES / 2 / _BYTES_OF_CARD
    return next((k for k in (100, 20, 8, 4, 2) if sum(min(n, k) for n in counts) <= room), 1)


def points_per_curve(sections: Sequence[Section], taken: int) -> int:
    """How many points each curve may keep, where the rest of the page takes `taken` bytes."""
    curves = sum(len(_curves(result, s.row)) for s in sections for result in s.row.results)
    room = PAGE_BYTES - taken - _BYTES_OF_CHARACTER * sum(map(len, sections))
    least, most = POINTS_OF_CURVE
    return max(least, min(most, int(room / _BYTES_OF_POINT / max(1, curves))))


def encode(data: Any) -> str:
    """Plain JSON values as base64 of gzip."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    # A fixed time stamp: the same document gives the same page, byte for byte.
    return base64.b64encode(gzip.compress(text.encode(), compresslevel=6, mtime=0)).decode("ascii")


def op_payload(section: Section, points: int) -> dict[str, Any]:
    """Everything about one op that is drawn on demand, with curves of about `points` points at most."""
    axes: dict[tuple[float, ...], int] = {}
    cases = [
        _case(section.row, result, html, axes, points)
        for result, html in zip(section.row.results, section.cases, strict=True)
    ]
    return {"head": section.head, "answers": section.answers, "cases": cases, "axes": list(axes)}


def _case(
    row: Row, result: Result, html: str, axes: dict[tuple[float, ...], int], points: int
) -> dict[str, Any]:
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
        "curves": [_curve(curve, result.dtype, axes, points) for curve in _curves(result, row)],
        "regions": _regions(result),
        "grid": _grid(result.grid) if result.grid else None,
    }


def _curves(result: Result, row: Row) -> list[Curve]:
    """The curves worth drawing: those of the first variant, and of variants with findings."""
    first = result.variant == row.results[0].variant
    if not first and all(f.severity == "info" for f in result.findings):
        return []
    return [curve for curve in (result.curve, *result.other_curves) if curve is not None]


def _curve(curve: Curve, dtype: str, axes: dict[tuple[float, ...], int], limit: int) -> dict[str, Any]:
    keep = thinned(curve.ulp, limit)
    digits = _DIGITS.get(dtype, 9)
    axis = tuple(_number(curve.x[i], digits) for i in keep)
    exact = [_number(curve.exact[i], 4) for i in keep]
    got = [_number(curve.got[i], 4) for i in keep]
    return {
        "probe": curve.probe,
        "axis": axes.setdefault(axis, len(axes)),
        "exact": exact,
        # Nearly everywhere both agree to the digits of a picture: only the others are stated.
        "got": {str(i): g for i, (g, e) in enumerate(zip(got, exact, strict=True)) if g != e},
        "ulp": [_number(curve.ulp[i], 3) for i in keep],
    }


def thinned(ulp: Sequence[float | None], limit: int) -> list[int]:
    """At most about `limit` indices, evenly spread: of each group of neighbours the one of largest error."""
    step = max(1, math.ceil(len(ulp) / limit))
    return [
        max(range(start, min(start + step, len(ulp))), key=lambda i: -1.0 if (u := ulp[i]) is None else u)
        for start in range(0, len(ulp), step)
    ]


def _number(value: float | None, digits: int) -> Any:
    if value is None or math.isnan(value):
        return None
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    rounded = float(f"{value:.{digits}g}")
    if math.isinf(rounded):
        return value  # float64's largest numbers would round up to inf
    return int(rounded) if rounded.is_integer() and abs(rounded) < 1e15 else rounded


def _regions(result: Result) -> list[dict[str, Any]]:
    return [
        {
            "id": f.id,
            "probe": f.probe,
            "lo": _number(value_of(f.lo), 17),
            "hi": _number(value_of(f.hi), 17),
            "severity": f.severity,
            "kind": f.kind,
            "text": region_text(f, result.dtype),
        }
        for f in result.findings
        if f.lo is not None
    ]


def _grid(grid: Grid) -> dict[str, Any]:
    words = list(dict.fromkeys(grid.kind))
    return {
        "xProbe": grid.x_probe,
        "yProbe": grid.y_probe,
        "x": [_number(value_of(v), 6) for v in grid.x],
        "y": [_number(value_of(v), 6) for v in grid.y],
        "words": words,
        "kind": [words.index(k) for k in grid.kind],
        "ulp": [_number(u, 3) for u in grid.ulp],
    }
