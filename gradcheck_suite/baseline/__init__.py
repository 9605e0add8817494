"""Baselines: what was found before, recorded in files, so that only what is new or worse fails."""

from __future__ import annotations

from gradcheck_suite.baseline.compare import OTHER_ENVIRONMENT, SAME_ENVIRONMENT, Slack, recorded
from gradcheck_suite.baseline.store import SHIPPED, Baseline, open_baseline, shipped_baseline

__all__ = [
    "OTHER_ENVIRONMENT",
    "SAME_ENVIRONMENT",
    "SHIPPED",
    "Baseline",
    "Slack",
    "open_baseline",
    "recorded",
    "shipped_baseline",
]
