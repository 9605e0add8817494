"""The HTML of one op: its heading, a table of answers for each variant, a section for each case."""

from __future__ import annotations

from dataclasses import dataclass

from gradcheck_suite.reporters import regions
from gradcheck_suite.reporters.distribution import shares
from gradcheck_suite.reporters.summary import LEVELS, Cell, Row
from gradcheck_suite.reporters.templating import template
from gradcheck_suite.results import Result


@dataclass(frozen=True, slots=True)
class Section:
    """An op's HTML: `head` above all, `answers` by variant label, `about` below them, `cases` as its results are."""

    row: Row
    head: str
    answers: dict[str, str]
    about: str
    cases: tuple[str, ...]

    def __len__(self) -> int:
        """Its size in characters."""
        return len(self.head + self.about) + sum(map(len, (*self.answers.values(), *self.cases)))


def op_section(row: Row, *, cards: int, baselined: bool) -> Section:
    """The HTML of an op. A case shows at most `cards` findings in full, the others in its table.

    `baselined` says whether new findings are told from known ones.
    """
    return Section(
        row=row,
        head=template("op.html.j2").render(row=row),
        answers={label: _answer(row, row.of_variant(label)) for label in row.variants},
        about=template("about.html.j2").render(info=row.info),
        cases=tuple(_case(row, result, cards, baselined) for result in row.results),
    )


def _answer(row: Row, cells: list[Cell]) -> str:
    findings = [finding for cell in cells for _, finding in cell.findings]
    graver = {(c.dtype, c.direction): c for c in row.cells if c.findings}
    elsewhere = {
        (c.dtype, c.direction): worst
        for c in cells
        if (worst := graver.get((c.dtype, c.direction)))
        and LEVELS.index(worst.level) < min(LEVELS.index(c.level), LEVELS.index("extreme"))
    }
    return template("answer.html.j2").render(row=row, cells=cells, findings=findings, elsewhere=elsewhere)


def _case(row: Row, result: Result, cards: int, baselined: bool) -> str:
    findings = sorted(result.findings, key=lambda f: regions.prominence(result, f))
    grave = [f for f in findings if f.severity != "info"]
    return template("case.html.j2").render(
        row=row,
        result=result,
        grave=grave,
        cards=grave[:cards],
        remarks=[f for f in findings if f.severity == "info"],
        baselined=baselined,
        shares=shares(result.histogram) if result.histogram else (),
    )
