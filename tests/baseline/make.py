"""Results as an engine could give them, and baselines of them."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from gradcheck_suite.baseline import Baseline
from gradcheck_suite.results import Finding, Result, Witness, Worst

HERE = {"key": "torch2.13-cpu-avx512-linux-x86_64", "flush_denormal": False, "onednn": True}
THERE = {**HERE, "key": "torch2.13-cpu-avx2-linux-x86_64"}


def finding(lo: float | None = -20.0, hi: float | None = -13.0, **changes: Any) -> Finding:
    """An underflow of the gradient at -20 … -13, unless told otherwise."""
    fields: dict[str, Any] = {
        "id": f"gelu::float32::backward::{changes.get('kind', 'underflow')}.vector.negative",
        "kind": "underflow",
        "severity": "critical",
        "lo": None if lo is None else lo.hex(),
        "hi": None if hi is None else hi.hex(),
        "points": 31,
        "witness": Witness(inputs={"input": "-0x1.ap+3"}, got="0x0.0p+0", exact="-1e-39", ulp=1e6),
        "message": "It underflows.",
    }
    return Finding(**{**fields, **changes})


def result(*findings: Finding, **changes: Any) -> Result:
    """A backward result of gelu in float32 with those findings."""
    fields: dict[str, Any] = {
        "id": "gelu::float32::backward",
        "op": "gelu",
        "callable": "torch.nn.functional.gelu",
        "dtype": "float32",
        "direction": "backward",
        "wrt": "input",
        "verdict": "findings" if findings else "ok",
        "points": 2340,
        "sample": "default-2341",
        "max_ulp": 3.0,
        "worst": Worst(inputs={"input": "0x1.8p+3"}, got="0x1p+0", exact="1.0000001", ulp=3.0),
        "findings": findings,
    }
    return Result(**{**fields, **changes})


def baseline(folder: Path, environment: dict[str, Any] = HERE, **options: Any) -> Baseline:
    """The baseline in a folder."""
    return Baseline(folder, environment, **{"max_ulp": 4.0, "exact": False, **options})


def recorded(folder: Path, *results: Result, environment: dict[str, Any] = HERE) -> None:
    """Record results as they are."""
    baseline(folder, environment).update(results, "all", [r.id for r in results])


def statuses(judged: Result) -> list[str]:
    """Of each finding: whether it is known."""
    return [f.status for f in judged.findings]


def renamed(original: Result, op: str) -> Result:
    """The same result of another op."""
    return dataclasses.replace(original, id=original.id.replace(original.op, op), op=op)
