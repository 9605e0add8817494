"""Regions as words, as strips along the float line, and in the order of how pressing they are."""

from __future__ import annotations

import dataclasses
import math
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradcheck_suite.options import DTYPES
from gradcheck_suite.reporters import regions, words
from gradcheck_suite.results import Curve, Finding, Result


def finding(lo: float | None = 1.0, hi: float | None = 2.0, **more: Any) -> Finding:
    ends = {
        name: None if v is None else v.hex() if math.isfinite(v) else str(v)
        for name, v in (("lo", lo), ("hi", hi))
    }
    known: dict[str, Any] = {"id": "f", "kind": "overflow", "severity": "critical"}
    return Finding(**known | ends | more)


def result(*findings: Finding, **more: Any) -> Result:
    known: dict[str, Any] = {"op": "gelu", "callable": "gelu", "dtype": "float32", "direction": "forward"}
    known |= {"verdict": "findings", "id": "gelu::float32::forward"}
    return Result(**known | more, findings=findings)


@given(st.sampled_from(DTYPES), st.floats(allow_nan=False), st.floats(allow_nan=False))
def test_a_strip_rises_with_the_float_and_stays_within_its_width(
    dtype: str, one: float, other: float
) -> None:
    low, high = sorted((one, other))
    left, right = (regions.strip_position(v, dtype) for v in (low, high))
    assert 0 <= left <= right + 1e-12 <= 100 + 1e-9


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_strip_is_symmetric_with_zero_in_the_middle(dtype: str) -> None:
    assert regions.strip_position(0.0, dtype) == 50
    assert regions.strip_position(math.inf, dtype) == 100
    assert regions.strip_position(-math.inf, dtype) == 0
    for value in (1e-30, 0.5, 1.0, 77.0, 3e4):
        assert regions.strip_position(value, dtype) == 100 - regions.strip_position(-value, dtype)


def test_ordinary_magnitudes_take_two_thirds_of_the_strip() -> None:
    inner = regions.strip_position(1e4, "float64") - regions.strip_position(1e-4, "float64")
    assert math.isclose(2 * inner, 68.0)


def spans(path: str) -> list[tuple[float, float]]:
    return [(float(x), float(w)) for x, w in re.findall(r"M(\S+) 0h(\S+?)v6", path)]


@given(st.sampled_from(DTYPES), st.floats(allow_nan=False), st.floats(allow_nan=False))
def test_every_interval_is_drawn_wide_enough_to_be_seen(dtype: str, one: float, other: float) -> None:
    low, high = sorted((one, other))
    ((left, width),) = spans(regions.strip_path([finding(low, high)], dtype))
    assert width >= 1.59
    assert left >= 0
    assert left + width <= 100.2


def test_what_has_no_interval_is_not_drawn() -> None:
    assert regions.strip_path([finding(None, None)], "float32") == ""


def test_a_region_names_its_probe_and_what_is_held_fixed() -> None:
    assert regions.region_text(finding(3.0, 4.0), "float32") == "3 ≤ x ≤ 4"
    assert regions.region_text(finding(3.0, math.inf, probe="gap"), "float32") == "gap ≥ 3"
    text = regions.region_text(finding(3.0, 3.0, fixed={"cotangent": (65536.0).hex(), "n": 3}), "float32")
    assert text == "x = 3 with cotangent = 65536, n = 3"


def test_a_region_with_good_floats_in_it_says_so() -> None:
    assert regions.region_text(finding(share=0.375), "float32") == "1 ≤ x ≤ 2 (38 % of them)"
    assert regions.region_text(finding(share=0.99), "float32") == "1 ≤ x ≤ 2"


def test_a_region_names_the_path_that_it_takes_and_the_ends_of_the_format() -> None:
    assert regions.region_text(finding(path="inplace"), "float32") == "1 ≤ x ≤ 2, in place"
    assert regions.region_text(finding(path="twin:torch.tanh"), "float32") == "1 ≤ x ≤ 2, as torch.tanh"
    assert regions.region_text(finding(path="other"), "float32") == "1 ≤ x ≤ 2, on the other path"
    text = regions.region_text(finding(fixed={"target": (-65504.0).hex()}), "float16")
    assert text == "1 ≤ x ≤ 2 with target = -max"
    assert regions.region_text(finding(fixed={"cotangent": "scaled"}), "float32").endswith("a loss scale")


def reach(found: Finding, **more: Any) -> float:
    return regions.reach(result(found, **more), found)


def test_ordinary_inputs_weigh_more_than_extreme_ones() -> None:
    assert reach(finding(10.0, 80.0)) > reach(finding(1e20, math.inf))


def test_a_huge_cotangent_makes_a_finding_less_pressing() -> None:
    plain, huge = finding(), finding(fixed={"cotangent": (2.0**127).hex()})
    scaled, unit = finding(fixed={"cotangent": (2.0**15).hex()}), finding(fixed={"target": (0.5).hex()})
    assert reach(plain) == reach(unit) > reach(scaled) > reach(huge)


def test_another_way_of_calling_is_less_pressing_and_a_count_has_no_reach() -> None:
    assert reach(finding(path="inplace")) < reach(finding())
    assert reach(finding(1.0, 1e4, probe="masked entries")) == reach(finding(1.0, 1.0, probe="batch"))


def test_what_fails_for_every_input_reaches_farthest() -> None:
    assert reach(finding(None, None)) >= reach(finding(-math.inf, math.inf))


def test_extreme_inputs_come_last_and_are_left_out_beside_ordinary_ones() -> None:
    extreme = result(finding(math.inf, math.inf), id="x", op="a")
    minor = result(finding(severity="minor"), id="m", op="b")
    beside = result(finding(math.inf, math.inf, severity="minor"), id="y", op="b", dtype="float16")
    found = regions.groups([extreme, minor, beside])
    assert [(g.op, g.ordinary) for g in found] == [("b", True), ("a", False)]
    assert [r.dtype for r, _ in found[0].by_dtype] == ["float32"]
    assert found[0].tokens == "overflow:minor:new:extreme overflow:minor:new:ordinary"


def test_groups_gather_dtypes_and_variants_and_leave_remarks_out() -> None:
    narrow = result(finding(5.0, 6.0), id="b", dtype="bfloat16")
    wide = result(finding(1.0, 9.0), finding(severity="info"), id="a")
    variant = result(finding(1.0, 9.0), id="c", variant={"k": 1})
    other = result(finding(kind="nan", severity="minor"), id="d")
    found = regions.groups([narrow, other, variant, wide])
    assert [(g.kind, len(g.members)) for g in found] == [("overflow", 3), ("nan", 1)]
    assert found[0].first[0] is wide  # more inputs than narrow, fewer parameters than the variant
    assert [r.dtype for r, _ in found[0].by_dtype] == ["float32", "bfloat16"]
    assert [text for text, _ in found[0].places] == ["1 ≤ x ≤ 9", "5 ≤ x ≤ 6"]


def test_severity_comes_before_everything_and_new_before_known() -> None:
    minor = result(finding(-math.inf, math.inf, severity="minor"), id="m", op="a")
    known = result(finding(-math.inf, math.inf, status="known"), id="k", op="b")
    new = result(finding(1.0, 1.0), id="n", op="c")
    assert [g.op for g in regions.groups([minor, known, new])] == ["c", "b", "a"]


def test_what_stays_fixed_along_a_curve_fits_one_line() -> None:
    def held(**fixed: Any) -> str:
        empty = Curve(probe="input", x=(), got=(), exact=(), ulp=(), fixed=fixed)
        return regions.held_text(empty)

    assert held() == ""
    assert held(target="0x1.8p-1", beta=2) == "target = 0.75, beta = 2"
    assert held(input=["x", "-0x1.4p+0"]) == "input = [x, -1.25]"
    assert held(query=[["x", "0x1p+1"], ["0x1p+0", "nan"]]) == "query = [[x, 2], [1, NaN]]"
    assert len(held(input=[["0x1.23456789abcp-3"] * 8] * 8)) == 120


def test_an_end_near_the_largest_float_that_is_no_exact_end_is_none() -> None:
    sampled = dataclasses.replace(finding(88.0, 3.1e38), hi_exact=False)
    assert regions.region_text(sampled, "float32") == "x ≥ 88"
    assert regions.region_text(dataclasses.replace(sampled, hi_exact=True), "float32") == "88 ≤ x ≤ 3.1e38"


def test_a_group_is_led_by_the_probe_that_most_dtypes_share_and_by_the_commonest_dtype() -> None:
    """Numbers along two probes do not compare, and most readers use float32."""
    far = result(finding(1.0, 1e4, probe="ratio"), id="a", dtype="float64")
    shared = [
        result(finding(lo, 80.0, probe="gap"), id=dtype, dtype=dtype)
        for dtype, lo in (("float64", 9.0), ("float32", 10.0))
    ]
    (group,) = regions.groups([far, *shared])
    assert group.first[0] is shared[1]
    assert [text for text, _ in group.places] == ["9 ≤ gap ≤ 80", "10 ≤ gap ≤ 80"]


def test_the_first_region_of_each_op_comes_first_and_known_ops_before_others() -> None:
    found = [
        result(finding(1.0, 1e4, kind="nan"), id="u", op="unknown"),
        result(finding(1.0, 2.0, kind="nan"), finding(1.0, 3.0, kind="sign"), id="g", op="gelu"),
        result(finding(1.0, 1.1, kind="nan"), id="m", op="mine", custom=True),
    ]
    order = [(g.op, g.kind) for g in regions.groups(found)]
    assert order == [("mine", "nan"), ("gelu", "sign"), ("unknown", "nan"), ("gelu", "nan")]


def test_a_sentence_leaves_out_what_its_heading_says_and_terms_are_explained() -> None:
    found = finding(
        probe="gap", fixed={"cotangent": "scaled"}, message="gelu[k=1] float32: the value is NaN."
    )
    holder = result(found, op="gelu", variant={"k": 1})
    assert words.sentence(holder, found) == "The value is NaN."
    assert words.sentence(dataclasses.replace(holder, dtype="float16"), found) == found.message
    assert [name for name, _ in words.terms([found, finding()])] == ["gap", "a loss scale"]
