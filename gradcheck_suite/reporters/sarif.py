"""SARIF 2.1.0 about custom ops, for code scanning.

Format: OASIS, "Static Analysis Results Interchange Format (SARIF) Version 2.1.0", 2020.
"""

from __future__ import annotations

import json
import os
from typing import Any, Final

from gradcheck_suite.reporters import words
from gradcheck_suite.reporters.actionable import Place, actionable, places
from gradcheck_suite.reporters.regions import region_text
from gradcheck_suite.results import KINDS, Document, Finding, Result, to_json, write_text

LEVELS: Final = {"critical": "error", "major": "error", "minor": "warning", "info": "note"}
_MOST: Final = 5_000  # results of one run that GitHub keeps


def write_sarif(
    document: Document, path: str | os.PathLike[str], *, root: str | os.PathLike[str] | None = None
) -> None:
    """Write a SARIF file. Raises UsageError where it cannot be written; what stood there stays whole."""
    write_text(path, render_sarif(document, root=root))


def render_sarif(document: Document, *, root: str | os.PathLike[str] | None = None) -> str:
    """The findings on custom ops at each op's file and line, relative to `root` (the working directory)."""
    return json.dumps(_log(document, root), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _log(document: Document, root: str | os.PathLike[str] | None) -> dict[str, Any]:
    found, where = actionable(document, custom_only=True), places(document, root)
    driver = {
        "name": "gradcheck_suite",
        "semanticVersion": document.tool.get("version") or "0.0.0",
        "rules": [_rule(kind) for kind in KINDS],
    }
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "invocations": [{"executionSuccessful": document.complete}],
        "properties": {"environment": to_json(document.environment)},
        "results": [_result(r, f, where.get(r.op)) for r, f in found[:_MOST]],
    }
    return {"$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0", "runs": [run]}


def _rule(kind: str) -> dict[str, Any]:
    return {
        "id": kind,
        "name": kind.capitalize(),
        "shortDescription": {"text": words.KINDS[kind]},
        "fullDescription": {"text": " ".join(filter(None, (words.KINDS[kind], words.GRADIENTS.get(kind))))},
        "defaultConfiguration": {"level": "warning" if kind == "inaccurate" else "error"},
        "properties": {"tags": ["numerical-stability", "torch"]},
    }


def _result(result: Result, finding: Finding, place: Place | None) -> dict[str, Any]:
    made: dict[str, Any] = {
        "ruleId": finding.kind,
        "ruleIndex": KINDS.index(finding.kind),
        "level": LEVELS[finding.severity],
        "message": {"text": _message(result, finding)},
        "partialFingerprints": {"gradcheckFinding/v1": finding.id},
        "properties": {"case": words.case_id(result), "severity": finding.severity, "dtype": result.dtype},
    }
    if place is not None:
        location = {"artifactLocation": {"uri": place.uri}, "region": {"startLine": place.line}}
        made["locations"] = [{"physicalLocation": location}]
    return made


def _message(result: Result, finding: Finding) -> str:
    where = region_text(finding, result.dtype)
    what = words.sentence(result, finding) or words.why(finding, result.direction)
    return f"{words.case_id(result)}: {finding.kind} for {where}. {what} Repeat: {words.command(result)}"
