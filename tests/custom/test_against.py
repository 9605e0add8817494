"""Judged against another callable: no worse than k times its error nearby, plus rounding."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from gradcheck_suite.engine.against import Errors, nearby
from tests.custom.ops import half, half_formula, judged, serious

GELU: dict[str, Any] = {"like": "gelu", "against": F.gelu}


def off_by(factor: float) -> Any:
    """The op with its value and its gradient scaled."""
    return lambda x: half(x, lambda x, g: torch.where(x > 0, g, g / 2) * factor) * factor


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_same_op_is_no_worse(dtype: str) -> None:
    found = judged("mine", F.gelu, **GELU, settings={"dtypes": (dtype,)})
    assert [r.verdict for r in found] == ["ok", "ok"]
    # By the ladder alone it would fail: torch's gelu loses its tail.
    assert serious(judged("mine", F.gelu, like="gelu", settings={"dtypes": (dtype,)}))


def test_twice_the_error_and_rounding_are_allowed() -> None:
    ulp = 2.0**-23
    peer = off_by(1 + 4 * ulp)  # 4 to 8 ULP
    same: dict[str, Any] = {"formula": half_formula, "landmarks": [0.0], "directions": ["forward"]}
    assert not serious(judged("mine", off_by(1 + 8 * ulp), against=peer, **same))
    worse = serious(judged("mine", off_by(1 + 12 * ulp), against=peer, **same))
    assert worse
    assert "2 times the error of tests.custom.test_against.off_by" in worse[0].message
    assert not serious(judged("mine", off_by(1 + 12 * ulp), against=peer, against_factor=4.0, **same))


def test_a_threshold_of_its_own_holds_beside_it() -> None:
    ulp = 2.0**-23
    same: dict[str, Any] = {"formula": half_formula, "landmarks": [0.0], "directions": ["forward"]}
    mine, peer = off_by(1 + 8 * ulp), off_by(1 + 8 * ulp)
    assert not serious(judged("mine", mine, against=peer, **same))
    assert serious(judged("mine", mine, against=peer, max_ulp=4.0, **same))


def test_a_defect_of_its_own_fails_where_the_other_is_good() -> None:
    def lossy(x: torch.Tensor) -> torch.Tensor:
        return torch.where(x > 12, F.gelu(x) * 1.0009, F.gelu(x))

    found = serious(judged("mine", lossy, **GELU))
    assert {f.kind for f in found} == {"inaccurate"}
    assert all(float.fromhex(str(f.lo)) > 12 for f in found)


def test_rows() -> None:
    peer = torch.softmax
    options: dict[str, Any] = {"like": "softmax", "dim": -1, "directions": ["forward"]}
    assert not serious(judged("mine", lambda x: peer(x, -1), against=lambda x: peer(x, -1), **options))
    assert serious(judged("mine", lambda x: peer(x, -1) * 1.0001, against=lambda x: peer(x, -1), **options))


def test_an_opponent_that_does_not_work_is_named() -> None:
    def broken(x: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("out of order")

    found = serious(judged("mine", half, formula=half_formula, against=broken))
    assert {f.kind for f in found} == {"raises"}
    assert "which it is judged against, fails" in found[0].message
    assert "out of order" in found[0].message


def test_errors_nearby() -> None:
    x = np.array([-8.0, -4.0, 1.0, 1.5, 2.0, 1e6, np.inf])
    errors = np.array([9.0, 7.0, 1.0, np.nan, 5.0, 3.0, np.inf])
    widest = nearby(x, errors)
    assert widest.tolist() == [9.0, 9.0, 5.0, 5.0, 5.0, 3.0, np.inf]
    near = Errors.of(x[::-1], errors[::-1]).near(np.array([1.2, 2e6, np.nan]))
    assert near[0] == 5.0
    assert np.isnan(near[2])
