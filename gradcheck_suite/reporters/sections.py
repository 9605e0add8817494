"""The HTML of one op: its heading, a table of answers for each variant, a section for each case."""

from __future__ import annotations

from dataclasses import dataclass

from gradcheck_suite.reporters import regions
from gradcheck_suite.reporters.summary import Row
from gradcheck_suite.reporters.templating import template
from gradcheck_suite.results import Result


@dataclass(frozen=True, slots=True)
class Section:
    """An op's HTML: `head` above all, `answers` by variant label, `cases` in the order of its results."""

    row: Row
    head: str
    answers: dict[str, str]
    cases: tuple[str, ...]

    def __len__(self) -> int:
        """Its size in characters."""
        return len(self.head) + sum(map(len, self.answers.values())) + sum(map(len, self.cases))


def op_section(row: Row, *, cards: int, baselined: bool) -> Section:
    """The HTML of an op. A case shows at most `cards` findings in full, the others in its table.

    `baselined` says whether new findings are told from known ones.
    """
    answer = template("answer.html.j2")
    return Section(
        row=row,
        head=template("op.html.j2").render(row=row),
        answers={label: answer.render(row=row, cells=row.of_variant(label)) for label in row.variants},
        cases=tuple(_case(row, result, cards, baselined) for result in row.results),
    )


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
    )
