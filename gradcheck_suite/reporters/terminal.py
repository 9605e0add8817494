"""The summary in a terminal, 80 columns wide: what was checked, the worst findings, how to repeat one."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterator

from gradcheck_suite.reporters.numbers import ulp_text
from gradcheck_suite.reporters.regions import region_text
from gradcheck_suite.reporters.words import command
from gradcheck_suite.results import Document, Finding, Result, count_severities, count_verdicts, gravest

WIDTH = 80


def render_terminal(
    document: Document, *, report: str | None = None, limit: int = 8, width: int = WIDTH
) -> str:
    """The summary as plain text, no line longer than `width`.

    `report` is the path of the HTML report to point at; `limit` bounds the findings listed.
    """
    return "\n".join(line for part in _parts(document, report, limit, width) for line in part) + "\n"


def _parts(document: Document, report: str | None, limit: int, width: int) -> Iterator[list[str]]:
    yield _checked(document, width)
    worst = [pair for pair in gravest(document.results) if pair[1].severity != "info"]
    yield _worst(worst, limit, width)
    if report is not None:
        yield _wrapped(f"report: {report}", width, indent="        ")
    if worst:
        yield _wrapped(f"repeat one: {command(worst[0][0])}", width, indent="  ")


def _checked(document: Document, width: int) -> list[str]:
    environment = document.environment
    ops = len({r.op for r in document.results})
    points = sum(r.points for r in document.results)
    verdicts = {word: n for word, n in count_verdicts(document.results).items() if n}
    where = " ".join(str(environment[k]) for k in ("device", "cpu_capability") if environment.get(k))
    lines = [
        f"gradcheck: {ops} ops, {len(document.results)} results, {points:,} points"
        + (f"; torch {environment['torch']}" if environment.get("torch") else "")
        + (f", {where}" if where else ""),
        "verdicts:  " + (", ".join(f"{n} {word}" for word, n in verdicts.items()) or "none"),
        "findings:  " + ", ".join(f"{n} {word}" for word, n in count_severities(document.results).items()),
    ]
    if not document.complete:
        lines.append("INCOMPLETE: the run was interrupted; this is what had been checked by then.")
    return [piece for line in lines for piece in _wrapped(line, width, indent="           ")]


def _worst(worst: list[tuple[Result, Finding]], limit: int, width: int) -> list[str]:
    if not worst:
        return []
    lines = ["worst findings:"]
    for result, finding in worst[:limit]:
        lines += _finding_lines(result, finding, width)
    if len(worst) > limit:
        hidden = Counter(f.severity for _, f in worst[limit:])
        lines.append(f"  ... and {', '.join(f'{n} {word}' for word, n in hidden.items())} more")
    return lines


def _finding_lines(result: Result, finding: Finding, width: int) -> list[str]:
    ulp = f", {ulp_text(finding.witness.ulp)} ULP" if finding.witness else ""
    head = f"  {finding.severity:<8} {result.id}"
    tail = f"{finding.kind}{ulp}, {region_text(finding, result.dtype)}".replace("≤", "<=").replace("≥", ">=")
    if len(head) + 2 + len(tail) <= width:
        return [f"{head}  {tail}"]
    indent = " " * 11
    return [*_wrapped(head, width, indent=indent), *_wrapped(indent + tail, width, indent=indent)]


def _wrapped(line: str, width: int, indent: str) -> list[str]:
    lead = len(line) - len(line.lstrip())
    return textwrap.wrap(
        line.strip(), width, initial_indent=line[:lead], subsequent_indent=indent, break_on_hyphens=False
    ) or [""]
