"""The engine: calls torch, compares with exact results, and yields results.  It knows no op by name."""

from __future__ import annotations

from gradcheck_suite.engine.cases import Case, collect
from gradcheck_suite.engine.containment import Runner, open_runner
from gradcheck_suite.engine.document import document, environment, op_infos
from gradcheck_suite.engine.explain import explain
from gradcheck_suite.engine.explanation import Explanation
from gradcheck_suite.engine.run import run_all, run_case
from gradcheck_suite.options import Settings

__all__ = [
    "Case",
    "Explanation",
    "Runner",
    "Settings",
    "collect",
    "document",
    "environment",
    "explain",
    "op_infos",
    "open_runner",
    "run_all",
    "run_case",
]
