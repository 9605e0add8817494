"""Which findings are about inputs that programs meet."""

from __future__ import annotations

import math
from typing import Any

import pytest

from gradcheck_suite.reporters.ordinary import is_ordinary
from gradcheck_suite.results import Finding, Result, Witness


def ordinary(lo: float | None = 1.0, hi: float | None = 2.0, **more: Any) -> bool:
    """Whether a finding on an interval of the float line is ordinary."""
    ends = {
        name: None if v is None else v.hex() if math.isfinite(v) else str(v)
        for name, v in (("lo", lo), ("hi", hi))
    }
    known: dict[str, Any] = {"id": "f", "kind": "nan", "severity": "critical", "probe": "input"}
    variant = more.pop("variant", {})
    result = Result(
        id="r",
        op="o",
        callable="o",
        dtype="float32",
        direction="forward",
        verdict="findings",
        variant=variant,
    )
    return is_ordinary(result, Finding(**known | ends | more))


def witness(**inputs: Any) -> Witness:
    return Witness(inputs=inputs, got="nan", exact="0", ulp=math.inf)


@pytest.mark.parametrize(
    ("lo", "hi", "expected"),
    [
        (None, None, True),
        (1.0, 2.0, True),
        (0.0, 0.0, True),
        (-20.0, -5.0, True),
        (88.0, math.inf, True),
        (-math.inf, -88.0, True),
        (-1e-30, 1e-30, True),
        (1e-30, 1e-3, True),
        (1e-30, 1e-5, False),
        (1e7, 1e19, False),
        (-3e38, -1e5, False),
        (math.inf, math.inf, False),
        (math.nan, math.nan, False),
    ],
)
def test_an_interval_is_ordinary_where_it_meets_ordinary_numbers(
    lo: float | None, hi: float | None, expected: bool
) -> None:
    assert ordinary(lo, hi) is expected


@pytest.mark.parametrize(
    ("fixed", "expected"),
    [
        ({"target": (0.5).hex()}, True),
        ({"target": (0.0).hex()}, True),
        ({"target": (1e30).hex()}, False),
        ({"target": "inf"}, False),
        ({"cotangent": (65536.0).hex()}, True),
        ({"cotangent": (0.0).hex()}, True),
        ({"cotangent": (2.0**127).hex()}, False),
        ({"cotangent": "scaled"}, True),
    ],
)
def test_what_is_held_fixed_must_be_ordinary_too(fixed: dict[str, str], expected: bool) -> None:
    assert ordinary(fixed=fixed) is expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["0x1p+0", "-0x1.8p+3", "0x0p+0"], True),
        (["0x1p+0", "inf"], False),
        ([["0x1p+0"], ["0x1p+100"]], False),
        ({"fill": "0x1p+0", "shape": [99], "set": {"3": "0x1p+2"}}, True),
        ({"fill": "0x1p+0", "shape": [99], "set": {"3": "nan"}}, False),
    ],
)
def test_a_sample_is_ordinary_where_all_its_entries_are(values: Any, expected: bool) -> None:
    seen = witness(input=values, target=3, cotangent=["0x1p+100"], entry=[0])
    assert ordinary(1.0, 2.0, probe="masked entries", witness=seen) is expected


def test_of_an_envelope_that_is_almost_empty_the_witness_decides() -> None:
    far = witness(input=(1e30).hex())
    assert ordinary(-1e38, 1e38, share=0.9, witness=far)
    assert not ordinary(-1e38, 1e38, share=0.01, witness=far)


def test_extreme_parameters_make_extreme_variants() -> None:
    assert ordinary(variant={"beta": 10.0, "eps": 1e-12, "p": math.inf, "mode": "none", "flag": True, "k": 0})
    assert not ordinary(variant={"alpha": 1e30})
    assert not ordinary(variant={"eps": 1e-30})


def test_equal_findings_of_different_results_are_told_apart() -> None:
    assert ordinary(variant={})
    assert not ordinary(variant={"alpha": 1e-30})
    assert ordinary(variant={})
