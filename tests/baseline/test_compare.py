"""What a baseline explains, and what it does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gradcheck_suite.results import Result, Witness, Worst
from tests.baseline.make import HERE, THERE, baseline, finding, recorded, result, statuses


def judged(folder: Path, before: Result, after: Result, environment: dict[str, Any] = HERE) -> Result:
    recorded(folder, before)
    return baseline(folder, environment).judged(after)


def test_the_same_findings_are_known(tmp_path: Path) -> None:
    assert statuses(judged(tmp_path, result(finding()), result(finding()))) == ["known"]


def test_what_has_no_entry_stays_as_it_is(tmp_path: Path) -> None:
    other = result(finding(), id="gelu::bfloat16::backward", dtype="bfloat16")
    assert judged(tmp_path, result(finding()), other) == other


def test_remarks_and_documented_deviations_are_left_alone(tmp_path: Path) -> None:
    remark = finding(severity="info", reason="ill-conditioned")
    documented = finding(status="documented", severity="info", reason="documented")
    after = judged(tmp_path, result(), result(remark, documented))
    assert statuses(after) == ["new", "documented"]
    assert after.verdict == "findings"


@pytest.mark.parametrize(("lo", "hi"), [(-20.0, -13.0), (-23.0, -13.0), (-20.0, -11.0), (-15.0, -14.0)])
def test_an_end_may_move_within_slack(tmp_path: Path, lo: float, hi: float) -> None:
    assert statuses(judged(tmp_path, result(finding()), result(finding(lo, hi)))) == ["known"]


@pytest.mark.parametrize(("lo", "hi"), [(-90.0, -13.0), (-20.0, -5.0), (-1e30, -1e20), (5.0, 9.0)])
def test_a_region_that_grew_is_new_and_says_what_the_baseline_has(
    tmp_path: Path, lo: float, hi: float
) -> None:
    after = judged(tmp_path, result(finding()), result(finding(lo, hi)))
    assert statuses(after) == ["new"]
    assert "The region grew" in after.findings[0].message or "not this region" in after.findings[0].message
    assert "-20 … -13" in after.findings[0].message


def test_a_defect_between_two_known_regions_is_new(tmp_path: Path) -> None:
    before = result(
        finding(-90.0, -80.0, id="gelu::float32::backward::a", points=2),
        finding(-5.0, -4.0, id="gelu::float32::backward::b", points=2),
    )
    assert statuses(judged(tmp_path, before, result(finding(-40.0, -10.0, points=60)))) == ["new"]


def test_scattered_points_may_cluster_in_another_way(tmp_path: Path) -> None:
    noise: dict[str, Any] = {"kind": "inaccurate", "severity": "minor"}
    before = result(
        finding(-90.0, -80.0, id="gelu::float32::backward::a", points=9, **noise),
        finding(-5.0, -4.0, id="gelu::float32::backward::b", points=9, **noise),
    )
    after = result(finding(-80.0, -5.0, id="gelu::float32::backward::a", points=20, **noise))
    assert statuses(judged(tmp_path, before, after)) == ["known"]


def test_a_region_that_fills_up_is_new(tmp_path: Path) -> None:
    noise: dict[str, Any] = {"kind": "inaccurate", "severity": "minor"}
    before, after = result(finding(points=5, **noise)), result(finding(points=90, **noise))
    told = judged(tmp_path, before, after)
    assert statuses(told) == ["new"]
    assert "More inputs fail: 90 instead of 5" in told.findings[0].message


@pytest.mark.parametrize(
    ("before", "after", "status"),
    [
        # Milder than before, and of any kind: nothing got worse.
        (("underflow", "critical"), ("inaccurate", "minor"), "known"),
        (("inaccurate", "major"), ("inaccurate", "minor"), "known"),
        (("inaccurate", "minor"), ("inaccurate", "major"), "known"),
        (("inaccurate", "minor"), ("underflow", "critical"), "new"),
        (("underflow", "critical"), ("nan", "critical"), "new"),
    ],
)
def test_a_class_that_got_worse_is_new(
    tmp_path: Path, before: tuple[str, str], after: tuple[str, str], status: str
) -> None:
    old, new = (result(finding(kind=kind, severity=severity)) for kind, severity in (before, after))
    assert statuses(judged(tmp_path, old, new)) == [status]


def ulp(size: float) -> Witness:
    return Witness(inputs={"input": "-0x1.ap+3"}, got="0x0.0p+0", exact="1.0", ulp=size)


@pytest.mark.parametrize(("new", "status"), [(10.0, "known"), (19.0, "known"), (21.0, "new"), (1e9, "new")])
def test_the_error_in_a_region_may_grow_within_slack(tmp_path: Path, new: float, status: str) -> None:
    kind: dict[str, Any] = {"kind": "inaccurate", "severity": "minor"}
    told = judged(
        tmp_path, result(finding(witness=ulp(10.0), **kind)), result(finding(witness=ulp(new), **kind))
    )
    assert statuses(told) == [status]


@pytest.mark.parametrize(
    ("old", "new", "fails"), [(0.5, 1.5, False), (0.5, 1.6, True), (3.0, 6.0, False), (3.0, 6.1, True)]
)
def test_the_largest_error_may_grow_to_twice_or_by_one(
    tmp_path: Path, old: float, new: float, fails: bool
) -> None:
    told = judged(tmp_path, result(max_ulp=old), result(max_ulp=new))
    assert bool(told.findings) == fails
    assert told.verdict == ("findings" if fails else "ok")
    if fails:
        assert f"grew from {old:g} to {new:g} ULP at input = 0x1.8p+3" in told.findings[0].message
        assert told.findings[0].lo == "0x1.8p+3"


@pytest.mark.parametrize(("size", "status"), [(7.9, "known"), (8.1, "new")])
def test_an_error_just_past_the_threshold_may_be_noise(tmp_path: Path, size: float, status: str) -> None:
    small = finding(5.0, 6.0, kind="inaccurate", severity="minor", witness=ulp(size))
    told = judged(tmp_path, result(max_ulp=3.9), result(small, max_ulp=7.7))
    assert statuses(told) == [status]


def test_noise_does_not_hide_a_larger_maximum(tmp_path: Path) -> None:
    small = finding(5.0, 6.0, kind="inaccurate", severity="minor", witness=ulp(7.9))
    told = judged(tmp_path, result(max_ulp=0.5), result(small, max_ulp=7.9))
    assert statuses(told) == ["known", "new"]
    assert "the largest error grew from 0.5 to 7.9 ULP" in told.findings[1].message


def test_errors_over_other_inputs_are_not_compared(tmp_path: Path) -> None:
    assert judged(tmp_path, result(max_ulp=0.5), result(max_ulp=3.9, sample="thorough-20000")).findings == ()


def test_other_cotangents_and_probes_are_other_regions(tmp_path: Path) -> None:
    recorded(tmp_path, result(finding()))
    used = baseline(tmp_path)
    assert statuses(used.judged(result(finding(fixed={"cotangent": "0x1p+16"})))) == ["new"]
    assert statuses(used.judged(result(finding(probe="target")))) == ["new"]
    # What else is held fixed belongs to the witness, which differs from machine to machine.
    assert statuses(used.judged(result(finding(fixed={"target": "0x1p+0"})))) == ["known"]


@pytest.mark.parametrize(
    ("old", "new", "status"), [("vector", "strided", "known"), ("strided", "vector", "new")]
)
def test_another_path_may_fail_where_the_usual_one_did(
    tmp_path: Path, old: str, new: str, status: str
) -> None:
    assert statuses(judged(tmp_path, result(finding(path=old)), result(finding(path=new)))) == [status]


def test_structural_findings_are_known_by_their_kind(tmp_path: Path) -> None:
    raises = finding(None, None, kind="raises", witness=None)
    assert statuses(judged(tmp_path, result(raises), result(raises))) == ["known"]
    assert statuses(judged(tmp_path, result(), result(raises))) == ["new"]


def test_a_case_that_is_no_longer_supported_fails(tmp_path: Path) -> None:
    told = judged(tmp_path, result(), result(verdict="unsupported", note="no kernel", points=0, max_ulp=None))
    assert [(f.kind, f.status) for f in told.findings] == [("raises", "new")]
    assert "no kernel" in told.findings[0].message


def test_another_environment_has_more_slack(tmp_path: Path) -> None:
    before = result(finding())
    moved = result(finding(-45.0, -9.0), max_ulp=11.0)
    assert "new" in statuses(judged(tmp_path, before, moved))
    assert statuses(baseline(tmp_path, THERE).judged(moved)) == ["known"]
    planted = result(finding(), finding(12.0, 40.0, kind="inaccurate", severity="major"))
    assert statuses(baseline(tmp_path, THERE).judged(planted)) == ["known", "new"]


def test_infinite_and_nan_inputs_have_places_of_their_own(tmp_path: Path) -> None:
    inf, nan = float("inf"), float("nan")
    before = result(finding(inf, inf, kind="nan", id="gelu::float32::backward::inf"))
    after = result(
        finding(inf, inf, kind="nan"), finding(nan, nan, kind="nan"), finding(1e38, 3e38, kind="nan")
    )
    assert statuses(judged(tmp_path, before, after)) == ["known", "new", "new"]


@pytest.mark.parametrize("kind", ["sign", "underflow", "inaccurate"])
def test_what_comes_out_where_all_digits_are_lost_is_the_machines(tmp_path: Path, kind: str) -> None:
    before = result(finding(2.0, 4.0, kind="underflow", witness=ulp(1e30)))
    severity = "major" if kind == "inaccurate" else "critical"
    after = result(finding(2.0, 4.0, kind=kind, severity=severity, witness=ulp(1e30)))
    expected = "new" if kind == "sign" else "known"
    assert statuses(judged(tmp_path, before, after)) == [expected]
    assert statuses(baseline(tmp_path, THERE).judged(after)) == ["known"]
    elsewhere = result(finding(2.0**40, 2.0**41, kind="sign", witness=ulp(1e30)))
    assert statuses(baseline(tmp_path, THERE).judged(elsewhere)) == ["new"]


def test_a_wrong_sign_is_no_chance_where_digits_were_left(tmp_path: Path) -> None:
    recorded(tmp_path, result(finding(2.0, 4.0, kind="inaccurate", severity="major", witness=ulp(5e3))))
    after = result(finding(2.0, 4.0, kind="sign", witness=ulp(1e30)))
    assert statuses(baseline(tmp_path, THERE).judged(after)) == ["new"]


@pytest.mark.parametrize(("exact", "there"), [("1e-39", "known"), ("1e-37", "new"), ("undefined", "new")])
def test_digits_of_subnormal_results_are_the_machines(tmp_path: Path, exact: str, there: str) -> None:
    witness = Witness(inputs={"input": "-0x1.7p+6"}, got="0x0.0p+0", exact=exact, ulp=600.0)
    after = result(finding(-100.0, -90.0, kind="inaccurate", severity="minor", witness=witness))
    assert statuses(judged(tmp_path, result(), after)) == ["new"]
    assert statuses(baseline(tmp_path, THERE).judged(after)) == [there]


@pytest.mark.parametrize(
    ("old", "exact", "fails"),
    [(0.5, "1.0", True), (0.5, "1e-39", False), (4000.0, "1.0", True), (5000.0, "1.0", False)],
)
def test_a_larger_maximum_may_be_the_machines(tmp_path: Path, old: float, exact: str, fails: bool) -> None:
    worst = Worst(inputs={"input": "0x1.8p+3"}, got="0x1p+0", exact=exact, ulp=1e6)
    after = result(max_ulp=1e6, worst=worst)
    assert judged(tmp_path, result(max_ulp=old), after).findings
    assert bool(baseline(tmp_path, THERE).judged(after).findings) == fails
