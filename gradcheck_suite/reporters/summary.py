"""The matrix op x dtype x direction: what every summary of a document shows."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from gradcheck_suite.options import DIRECTIONS, DTYPES
from gradcheck_suite.reporters.numbers import ulp_text
from gradcheck_suite.reporters.ordinary import is_ordinary
from gradcheck_suite.reporters.regions import prominence, region_text, strip_path, token
from gradcheck_suite.reporters.words import by_input
from gradcheck_suite.results import (
    SEVERITIES,
    Document,
    Finding,
    OpInfo,
    Result,
    count_severities,
    largest_ulp,
    variant_label,
)

# Worst first; "extreme" is any severity that only extreme inputs show.
LEVELS: Final = (*SEVERITIES[:3], "extreme", "inconclusive", "info", "ok", "unsupported", "absent")

EXCUSES: Final = {
    "ill-conditioned": "conditioned",
    "documented": "documented",
    "subnormal": "subnormal",
    "undefined": "undefined",
}  # what a cell of the matrix has room for

Pair = tuple[Result, Finding]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One op in one dtype and direction, the worst over its variants and inputs.

    `level` is one of LEVELS and stands for the colour, `word` is what the cell says: a kind of finding, the
    reason why a large error is none, or a verdict. `findings` are those above `info`, most pressing first;
    `remarks` counts the others.
    """

    dtype: str
    direction: str
    level: str
    word: str
    ulp: float | None = None
    findings: tuple[Pair, ...] = ()
    remarks: int = 0
    result_id: str = ""

    @property
    def ulp_text(self) -> str:
        """The worst ULP error in short."""
        return ulp_text(self.ulp)

    @property
    def regions(self) -> list[tuple[str, str, str]]:
        """Severity, kind and place of every finding, most pressing first, each place once."""
        lines = ((f.severity, f.kind, region_text(f, self.dtype), by_input(r)) for r, f in self.findings)
        return [(s, k, f"{where}, {by}" if by else where) for s, k, where, by in dict.fromkeys(lines)]

    @property
    def strips(self) -> list[tuple[str, str]]:
        """Severity and SVG path of the regions along the probe of the first finding, gravest painted last."""
        if not self.findings:
            return []
        first = self.findings[0][1]
        along = [f for _, f in self.findings if f.probe == first.probe]
        # What takes a huge cotangent would hide what happens with ordinary ones.
        shown = [f for f in along if f.fixed.get("cotangent") == first.fixed.get("cotangent")]
        paths = [(s, strip_path([f for f in shown if f.severity == s], self.dtype)) for s in SEVERITIES]
        return [(severity, path) for severity, path in reversed(paths) if path]

    @property
    def tokens(self) -> str:
        """What filters match against: "kind:severity:status:inputs" of each finding, each once."""
        return " ".join(sorted({token(*pair) for pair in self.findings}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One op with all its cells, in the order of `columns`, and all its results."""

    info: OpInfo
    cells: tuple[Cell, ...]
    results: tuple[Result, ...]

    @property
    def level(self) -> str:
        """The worst level in the row."""
        return min((cell.level for cell in self.cells), key=LEVELS.index, default="absent")

    @property
    def variants(self) -> list[str]:
        """The labels of the variants, in the order of the document."""
        return list(dict.fromkeys(variant_label(r.variant) for r in self.results))

    def of_variant(self, label: str) -> list[Cell]:
        """The cells of one variant, in the order of `columns`."""
        at: dict[tuple[str, str], list[Result]] = {}
        for result in self.results:
            if variant_label(result.variant) == label:
                at.setdefault((result.dtype, result.direction), []).append(result)
        return [cell(c.dtype, c.direction, at.get((c.dtype, c.direction), [])) for c in self.cells]

    def weight(self) -> tuple[int, int, float]:
        """Sort key, worst first: the worst level, how many cells have it, the worst ULP error."""
        level = self.level
        return (
            LEVELS.index(level),
            -sum(cell.level == level for cell in self.cells),
            -max((_size(cell.ulp) for cell in self.cells), default=0.0),
        )


def columns(document: Document) -> list[tuple[str, str]]:
    """The (dtype, direction) pairs of the document, every dtype with every direction, in the usual order."""
    dtypes, directions = axes(document)
    return [(dtype, direction) for dtype in dtypes for direction in directions]


def axes(document: Document) -> tuple[list[str], list[str]]:
    """The dtypes and the directions that occur in the document, in the usual order."""
    dtypes = _in_order({r.dtype for r in document.results}, DTYPES)
    return dtypes, _in_order({r.direction for r in document.results}, DIRECTIONS)


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
    return [
        _row(infos.get(name) or _bare(name, found), found, places) for name, found in by_op.items() if found
    ]


def _bare(name: str, found: list[Result]) -> OpInfo:
    return OpInfo(name=name, callable=found[0].callable, family="", tier="", custom=found[0].custom)


def _row(info: OpInfo, found: list[Result], places: list[tuple[str, str]]) -> Row:
    at: dict[tuple[str, str], list[Result]] = {place: [] for place in places}
    for result in found:
        at[result.dtype, result.direction].append(result)
    return Row(info=info, cells=tuple(cell(*p, at[p]) for p in places), results=tuple(found))


def cell(dtype: str, direction: str, found: list[Result]) -> Cell:
    """The cell that stands for some results of one dtype and direction."""
    main = next((r.wrt for r in found if r.wrt is not None), None)
    pairs = sorted(
        ((r, f) for r in found for f in r.findings),
        key=lambda pair: prominence(*pair, usual=pair[0].wrt in (None, main)),
    )
    grave = tuple(pair for pair in pairs if pair[1].severity != "info")
    level, word = _worst(*grave[0]) if grave else _quiet(found, bool(pairs))
    worst = grave[0][0] if grave else max(found, key=lambda r: _size(r.max_ulp), default=None)
    return Cell(
        dtype=dtype,
        direction=direction,
        level=level,
        word=word,
        ulp=_largest(grave, found),
        findings=grave,
        remarks=len(pairs) - len(grave),
        result_id=worst.id if worst else "",
    )


def _worst(result: Result, finding: Finding) -> tuple[str, str]:
    return finding.severity if is_ordinary(result, finding) else "extreme", finding.kind


def _largest(grave: tuple[Pair, ...], found: list[Result]) -> float | None:
    """The largest error of what the cell's word names; where it names no finding, of all."""
    said = [largest_ulp(pair[1]) for pair in grave if _worst(*pair) == _worst(*grave[0])]
    known = [ulp for ulp in said if ulp is not None] or [r.max_ulp for r in found if r.max_ulp is not None]
    return max(known, default=None, key=_size)


def _quiet(found: list[Result], remarks: bool) -> tuple[str, str]:
    verdicts = {r.verdict for r in found}
    if not found:
        return "absent", "not run"
    if verdicts == {"unsupported"}:
        return "unsupported", "unsupported"
    if "inconclusive" in verdicts:
        return "inconclusive", "undecided"
    return ("info", _excuse(found)) if remarks else ("ok", "ok")


def _excuse(found: list[Result]) -> str:
    """Why the largest error of results without a defect is none, in a word; "ok" where no error is large."""
    remarks = [f for r in found for f in r.findings if f.witness and f.reason]
    worst = max(remarks, key=lambda f: _size(largest_ulp(f)), default=None)
    return EXCUSES[worst.reason] if worst and worst.reason else "ok"


def _size(ulp: float | None) -> float:
    return -1.0 if ulp is None or math.isnan(ulp) else ulp


def count_ordinary(results: Iterable[Result]) -> int:
    """How many findings above `info` show at ordinary inputs."""
    return sum(f.severity != "info" and is_ordinary(r, f) for r in results for f in r.findings)


def levels_of(rows: Iterable[Row], dtype: str, direction: str) -> dict[str, int]:
    """How many ops have which level in one dtype and direction, worst level first.

    A remark never fails a run: at a glance an op that has nothing worse is "ok".
    """
    cells = [c for row in rows for c in row.cells if (c.dtype, c.direction) == (dtype, direction)]
    found = Counter("ok" if c.level == "info" else c.level for c in cells if c.level != "absent")
    return {level: found[level] for level in LEVELS if found[level]}


def title(document: Document) -> str:
    """What a report is about, as its heading."""
    own = [op.name for op in document.ops if op.custom]
    if own and len(own) == len(document.ops):
        return f"Numerical stability of {own[0] if len(own) == 1 else 'custom ops'}"
    return "Numerical stability of torch ops"


def headline(document: Document) -> str:
    """One line of counts: ops and results, then findings by severity."""
    listed = ", ".join(f"{n} {severity}" for severity, n in count_severities(document.results).items() if n)
    ops, results = len({r.op for r in document.results}), len(document.results)
    counted = f"{ops} op{'' if ops == 1 else 's'}, {results} result{'' if results == 1 else 's'}"
    return f"{counted}: {listed or 'no finding'}"
