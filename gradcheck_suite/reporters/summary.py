"""The matrix op x dtype x direction and the words that every report uses for it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from gradcheck_suite.reporters.numbers import interval, ulp_text
from gradcheck_suite.results import (
    DIRECTIONS,
    DTYPES,
    Document,
    Finding,
    OpInfo,
    Result,
    Severity,
    count_severities,
    gravity,
    variant_label,
)

ARROWS: Final = {"forward": "value", "backward": "gradient", "double-backward": "2nd derivative"}

KIND_SENTENCES: Final = {
    "overflow": "inf or -inf comes out where the exact result is an ordinary number.",
    "nan": "NaN comes out where the exact result is defined; one such entry poisons every sum it enters.",
    "underflow": "0 comes out where the exact result is not 0: what depends on it stops learning.",
    "sign": "The result has the wrong sign: a gradient step goes uphill.",
    "inaccurate": "Digits are lost beyond what the inputs' own rounding explains.",
    "tie": "At a kink the gradient lies outside the set that the function has there.",
    "masked": "A finite number hides an infinite or undefined result, so an error upstream goes unseen.",
    "path": "Two ways of calling the op on the same input disagree.",
    "dtype": "The result has another dtype than documented.",
    "raises": "The op fails where it is documented to work.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One op in one dtype and direction, the worst over its variants and inputs.

    `level` is the word for the colour: a severity, "ok", "inconclusive", "unsupported" or "absent".
    """

    dtype: str
    direction: str
    level: str
    word: str
    ulp: float | None
    region: str = ""
    variant: str = ""
    result_id: str = ""
    findings: int = 0
    new: int = 0

    @property
    def ulp_text(self) -> str:
        """The worst ULP error in short."""
        return ulp_text(self.ulp)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One op with all its cells, in the order of `columns`."""

    info: OpInfo
    cells: tuple[Cell, ...]
    results: tuple[Result, ...]

    @property
    def severity(self) -> str | None:
        """The gravest severity in the row; None where there is no finding."""
        levels = {cell.level for cell in self.cells}
        return next((s for s in ("critical", "major", "minor", "info") if s in levels), None)


def columns(document: Document) -> list[tuple[str, str]]:
    """The (dtype, direction) pairs that occur in the document, in the usual order."""
    seen = {(r.dtype, r.direction) for r in document.results}
    dtypes = _in_order({dtype for dtype, _ in seen}, DTYPES)
    directions = _in_order({direction for _, direction in seen}, DIRECTIONS)
    return [(dtype, direction) for dtype in dtypes for direction in directions]


def _in_order(present: set[str], usual: Iterable[str]) -> list[str]:
    first = [name for name in usual if name in present]
    return first + sorted(present - set(first))


def rows(document: Document) -> list[Row]:
    """The matrix, one row per op in the order of the document."""
    places = columns(document)
    by_op: dict[str, list[Result]] = {info.name: [] for info in document.ops}
    for result in document.results:
        by_op.setdefault(result.op, []).append(result)
    infos = {info.name: info for info in document.ops}
    return [_row(infos.get(name) or _unknown_op(name, found), found, places) for name, found in by_op.items()]


def _unknown_op(name: str, found: list[Result]) -> OpInfo:
    return OpInfo(name=name, callable=found[0].callable, family="", tier="", custom=found[0].custom)


def _row(info: OpInfo, found: list[Result], places: list[tuple[str, str]]) -> Row:
    at: dict[tuple[str, str], list[Result]] = {place: [] for place in places}
    for result in found:
        at[result.dtype, result.direction].append(result)
    return Row(info=info, cells=tuple(_cell(*p, at[p]) for p in places), results=tuple(found))


def _cell(dtype: str, direction: str, found: list[Result]) -> Cell:
    pairs = sorted(((r, f) for r in found for f in r.findings), key=lambda pair: gravity(*pair))
    if not found:
        return Cell(dtype=dtype, direction=direction, level="absent", word="-", ulp=None)
    grave = [(r, f) for r, f in pairs if f.severity != "info"]
    if not grave:
        return _quiet_cell(dtype, direction, found, len(pairs))
    result, finding = grave[0]
    return Cell(
        dtype=dtype,
        direction=direction,
        level=finding.severity,
        word=finding.kind,
        ulp=_worst_ulp(found),
        region=region_text(finding),
        variant=variant_label(result.variant),
        result_id=result.id,
        findings=len(grave),
        new=sum(f.status == "new" for _, f in grave),
    )


def _quiet_cell(dtype: str, direction: str, found: list[Result], remarks: int) -> Cell:
    verdicts = {r.verdict for r in found}
    if verdicts == {"unsupported"}:
        level, word = "unsupported", "unsupported"
    elif "inconclusive" in verdicts:
        level, word = "inconclusive", "undecided"
    else:
        level, word = ("info" if remarks else "ok"), "ok"
    worst = max(found, key=lambda r: _size(r.max_ulp))
    return Cell(
        dtype=dtype,
        direction=direction,
        level=level,
        word=word,
        ulp=_worst_ulp(found),
        result_id=worst.id,
        variant=variant_label(worst.variant),
        findings=remarks,
    )


def _worst_ulp(found: list[Result]) -> float | None:
    return max((r.max_ulp for r in found if r.max_ulp is not None), default=None, key=_size)


def _size(ulp: float | None) -> float:
    return -1.0 if ulp is None or math.isnan(ulp) else ulp


def region_text(finding: Finding) -> str:
    """Where a finding holds, as a condition on its probe."""
    name = "x" if finding.probe in ("input", "x") else finding.probe
    return interval(finding.lo, finding.hi, name)


def headline(document: Document) -> str:
    """One line of counts: results, then findings by severity."""
    counts: dict[Severity, int] = count_severities(document.results)
    listed = ", ".join(f"{n} {severity}" for severity, n in counts.items() if n)
    ops = len({r.op for r in document.results})
    return f"{ops} ops, {len(document.results)} results: {listed or 'no finding'}"
