"""What becomes of an elementwise op's verdicts: doubts are told."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import pytest
import torch

from gradcheck_suite.engine.confirm import confirm
from tests.engine.toys import run, toy


def test_a_worst_point_on_which_arb_and_mpmath_do_not_agree_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def nearly(x: torch.Tensor) -> torch.Tensor:
        return torch.where(x == 3, x * (1 + 2.0**-22), x)

    op = toy(nearly, lambda m, x: x, landmarks=lambda p: (3.0,))
    worst = run(op, "float32", "forward").worst
    assert worst is not None
    assert worst.inputs == {"input": (3.0).hex()}

    def doubtful(formula: Any, point: Mapping[str, float], *arguments: Any, **options: Any) -> Any:
        found = confirm(formula, point, *arguments, **options)
        return dataclasses.replace(found, agrees=point["input"] != 3)

    monkeypatch.setattr("gradcheck_suite.engine.statements.confirm", doubtful)
    result = run(op, "float32", "forward")
    assert (result.verdict, result.findings) == ("inconclusive", ())
    assert "do not agree" in result.note
