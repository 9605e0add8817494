"""A JUnit file, one test case for each result, and the properties that pytest's own JUnit file gets."""

from __future__ import annotations

import os
from collections.abc import Iterable
from xml.etree import ElementTree as ET

from gradcheck_suite.reporters.actionable import actionable
from gradcheck_suite.reporters.numbers import ulp_text
from gradcheck_suite.reporters.regions import region_text
from gradcheck_suite.reporters.words import command, sentence
from gradcheck_suite.results import Document, Finding, Result, count_severities, write_text


def write_junit(document: Document, path: str | os.PathLike[str]) -> None:
    """Write a JUnit file. Raises UsageError where it cannot be written; what stood there stays whole."""
    write_text(path, render_junit(document))


def render_junit(document: Document) -> str:
    """The JUnit XML: what is somebody's to mend fails, what is known or torch's own is skipped."""
    to_mend: dict[str, list[Finding]] = {}
    for result, finding in actionable(document):
        to_mend.setdefault(result.id, []).append(finding)
    results = document.results
    suite = ET.Element(
        "testsuite",
        name="gradcheck",
        tests=str(len(results)),
        failures=str(len({r.id for r in results} & set(to_mend))),
        errors="0",
        skipped=str(sum(_skipped(r, to_mend.get(r.id, [])) is not None for r in results)),
        time=f"{sum(r.seconds for r in results):.3f}",
    )
    _properties(
        suite, ((name, str(value)) for name, value in document.environment.items() if value is not None)
    )
    for result in results:
        _case(suite, result, to_mend.get(result.id, []))
    top = ET.Element("testsuites")
    top.append(suite)
    ET.indent(top)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(top, encoding="unicode") + "\n"


def properties(result: Result) -> list[tuple[str, str]]:
    """What a JUnit file says of a result beside whether it failed: names and values as text."""
    named = [
        ("gradcheck_op", result.op),
        ("gradcheck_dtype", result.dtype),
        ("gradcheck_direction", result.direction),
        ("gradcheck_verdict", result.verdict),
        ("gradcheck_points", str(result.points)),
        ("gradcheck_max_ulp", ulp_text(result.max_ulp)),
    ]
    return named + [(f"gradcheck_{s}", str(n)) for s, n in count_severities([result]).items() if n]


def _case(suite: ET.Element, result: Result, to_mend: list[Finding]) -> None:
    case = ET.SubElement(
        suite,
        "testcase",
        classname=f"gradcheck.{_clean(result.op)}",
        name=_clean(result.id),
        time=f"{result.seconds:.3f}",
    )
    _properties(case, properties(result))
    if to_mend:
        failure = ET.SubElement(
            case, "failure", message=_clean(_said(result, to_mend[0])), type=to_mend[0].kind
        )
        failure.text = _clean("\n".join([*(_said(result, f) for f in to_mend), command(result)]))
    elif (reason := _skipped(result, to_mend)) is not None:
        ET.SubElement(case, "skipped", message=_clean(reason))


def _skipped(result: Result, to_mend: list[Finding]) -> str | None:
    """Why a result neither passes nor fails; None where it does either."""
    if to_mend:
        return None
    if result.verdict in ("unsupported", "inconclusive"):
        return f"{result.verdict}: {result.note}"
    grave = [f for f in result.findings if f.severity != "info"]
    return _said(result, grave[0]) if grave else None


def _said(result: Result, finding: Finding) -> str:
    where = region_text(finding, result.dtype)
    return f"{finding.severity} {finding.kind} for {where}: {sentence(result, finding)}".rstrip(": ")


def _properties(parent: ET.Element, named: Iterable[tuple[str, str]]) -> None:
    listed = ET.SubElement(parent, "properties")
    for name, value in named:
        ET.SubElement(listed, "property", name=_clean(name), value=_clean(value))


def _clean(text: str) -> str:
    """Text without the characters that XML 1.0 has no way to write."""
    return "".join(
        c
        if c in "\t\n" or " " <= c <= "\ud7ff" or "\ue000" <= c <= "\ufffd" or c >= "\U00010000"
        else "\ufffd"
        for c in text
    )
