"""The summary in a terminal, 80 columns wide: what was checked, the worst findings, how to repeat one."""

from __future__ import annotations

import math
import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence

from gradcheck_suite.options import DTYPES
from gradcheck_suite.reporters.numbers import ulp_text
from gradcheck_suite.reporters.regions import Group, groups
from gradcheck_suite.reporters.summary import count_ordinary
from gradcheck_suite.reporters.words import command, terms
from gradcheck_suite.results import SEVERITIES, Document, count_severities, count_verdicts

WIDTH = 80
_INDENT = " " * 11
_SAID = {"findings": "with findings"}


def render_terminal(
    document: Document,
    *,
    report: str | None = None,
    limit: int = 8,
    width: int = WIDTH,
    load: Sequence[str] = (),
) -> str:
    """The summary as plain text; no line is longer than `width` but for a path or a command to copy.

    `report` is the path of the HTML report to point at; `limit` bounds the groups of findings listed; `load` are the
    sources of custom ops that were named for this run.
    """
    return "\n".join(_lines(document, report, limit, width, load)) + "\n"


def _lines(
    document: Document, report: str | None, limit: int, width: int, load: Sequence[str]
) -> Iterator[str]:
    yield from _checked(document, width)
    worst = groups(document.results)
    yield from _worst(worst, limit, width)
    if report is not None:
        yield f"report: {report}"
    if worst:
        yield f"repeat one: {command(worst[0].first[0], load)}"


def _checked(document: Document, width: int) -> Iterator[str]:
    results, environment = document.results, document.environment
    points = sum(r.points for r in results)
    where = " ".join(str(environment[k]) for k in ("device", "cpu_capability") if environment.get(k))
    checked = f"gradcheck: {_number(len({r.op for r in results}), 'op')}, {_number(len(results), 'result')}, "
    checked += f"{points:,} points"
    if environment.get("torch"):
        checked += f"; torch {environment['torch']}" + (f", {where}" if where else "")
    verdicts = [f"{n:,} {_SAID.get(word, word)}" for word, n in count_verdicts(results).items() if n]
    findings = [f"{n:,} {word}" for word, n in count_severities(results).items()]
    yield from wrapped(checked, width)
    yield from wrapped("verdicts:  " + (", ".join(verdicts) or "none"), width)
    found = any(r.findings for r in results)
    ordinary = f"; {count_ordinary(results):,} above info at ordinary inputs" if found else ""
    yield from wrapped("findings:  " + ", ".join(findings) + ordinary, width)
    if not document.complete:
        yield from wrapped("INCOMPLETE: not every case ran to its end; this is what was checked.", width)


def _worst(worst: list[Group], limit: int, width: int) -> Iterator[str]:
    if not worst:
        return
    yield "worst findings:"
    for group in worst[:limit]:
        yield from _group(group, width)
    hidden = Counter(f.severity for group in worst[limit:] for _, f in group.members)
    if hidden:
        yield f"  ... and {', '.join(f'{hidden[word]:,} {word}' for word in SEVERITIES if hidden[word])} more"
    shown = [finding for group in worst[:limit] for _, finding in group.by_dtype]
    for name, meaning in terms(shown):
        yield from wrapped(f"  {name}: {meaning}", width)


def _group(group: Group, width: int) -> Iterator[str]:
    _, finding = group.first
    ulp = "" if group.ulp is None or math.isinf(group.ulp) else f", {ulp_text(group.ulp)} ULP"
    status = "" if finding.status == "new" else f", {finding.status}"
    where = "" if group.ordinary else ", at extreme inputs"
    head = f"  {finding.severity:<8} {group.op} {group.direction}: {group.kind}{ulp}{where}{status}"
    yield from wrapped(head, width)
    line, along = "", ""
    for place, probe in _places(group):
        # Lines are shared along one probe only: the numbers of two do not compare.
        full = len(_INDENT) + len(line) + 3 + len(place) > width
        if line and (full or probe != along):
            yield from wrapped(_INDENT + line, width)
            line = ""
        line += ("; " if line else "") + place
        along = probe
    yield from wrapped(_INDENT + line, width)


def _places(group: Group) -> Iterator[tuple[str, str]]:
    """Where a group holds in each dtype, and along which probe, in ASCII: a terminal may not have more."""
    for text, members in group.places:
        dtypes = "every dtype" if len(members) == len(DTYPES) else " ".join(r.dtype for r, _ in members)
        yield f"{dtypes} {text}".replace("≤", "<=").replace("≥", ">="), members[0][1].probe


def _number(count: int, noun: str) -> str:
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def wrapped(line: str, width: int) -> list[str]:
    """A line without control characters, broken to the width under a hanging indent."""
    lead = line[: len(line) - len(line.lstrip())]
    text = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in line.strip())
    shown = text if len(text) <= 4 * width else text[: 4 * width - 3] + "..."
    return textwrap.wrap(
        shown, width, initial_indent=lead, subsequent_indent=_INDENT, break_on_hyphens=False
    ) or [""]
