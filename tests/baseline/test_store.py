"""Baselines on disk: what is written, read back, refused, updated, stale."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any, Literal

import pytest

from gradcheck_suite import gate
from gradcheck_suite.baseline import open_baseline
from gradcheck_suite.baseline.files import file_name
from gradcheck_suite.baseline.record import position, rounded_up
from gradcheck_suite.errors import UsageError
from gradcheck_suite.options import Settings
from tests.baseline.make import HERE, THERE, baseline, finding, recorded, renamed, result, statuses

MODES: tuple[Literal["all"] | None, ...] = (None, "all")
IDS = ["gelu::float32::backward", "selu::float32::backward"]


def lines(folder: Path) -> list[str]:
    return (folder / "gelu.json").read_text(encoding="utf-8").splitlines()


def test_one_sorted_file_per_op_with_one_value_per_line(tmp_path: Path) -> None:
    recorded(tmp_path, result(finding()), renamed(result(), "selu"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["gelu.json", "selu.json"]
    text = "\n".join(lines(tmp_path))
    assert json.dumps(json.loads(text), indent=1, sort_keys=True, ensure_ascii=False) == text
    assert '       "severity": "critical",' in lines(tmp_path)
    assert "Infinity" not in text


def test_recording_twice_writes_the_same_bytes(tmp_path: Path) -> None:
    recorded(tmp_path, result(finding()))
    before = lines(tmp_path)
    recorded(tmp_path, result(finding()))
    assert lines(tmp_path) == before


def test_environments_stand_side_by_side(tmp_path: Path) -> None:
    recorded(tmp_path, result(max_ulp=1.0))
    recorded(tmp_path, result(max_ulp=2.0), environment=THERE)
    data = json.loads((tmp_path / "gelu.json").read_text())
    assert sorted(data["environments"]) == sorted([str(HERE["key"]), str(THERE["key"])])
    known = baseline(tmp_path).known(result())
    assert known is not None
    assert known.entry.max_ulp == 1.0


def test_an_unknown_environment_falls_back_to_all_of_them(tmp_path: Path) -> None:
    recorded(tmp_path, result(finding(-20.0, -13.0), max_ulp=1.0))
    recorded(tmp_path, result(finding(-20.0, -13.0), finding(30.0, 40.0), max_ulp=2.0), environment=THERE)
    elsewhere = {**HERE, "key": "torch2.14-cpu-sve-linux-aarch64"}
    assert statuses(baseline(tmp_path, elsewhere).judged(result(finding(30.0, 40.0)))) == ["known"]
    assert baseline(tmp_path, elsewhere, exact=True).known(result()) is None


def test_a_fallback_written_by_hand_comes_first(tmp_path: Path) -> None:
    recorded(tmp_path, result(finding()), environment={**HERE, "key": "any"})
    recorded(tmp_path, result(), environment=HERE)
    assert statuses(baseline(tmp_path, THERE).judged(result(finding()))) == ["known"]
    assert statuses(baseline(tmp_path, HERE).judged(result(finding()))) == ["new"]


def test_flushing_subnormals_is_another_environment(tmp_path: Path) -> None:
    recorded(tmp_path, result(max_ulp=1.0))
    known = baseline(tmp_path, {**HERE, "flush_denormal": True}).known(result())
    assert known is not None
    assert not known.slack.same_arithmetic


@pytest.mark.parametrize(
    ("recorded_with", "used_with", "same"),
    [
        ({"amx": False}, {"amx": False}, True),
        ({"amx": False}, {"amx": True}, False),
        ({"arithmetic": "33f19d"}, {"arithmetic": "33f19d"}, True),
        ({"arithmetic": "33f19d"}, {"arithmetic": "74a08a"}, False),
        # What an older version of the package did not record tells nothing.
        ({}, {"arithmetic": "74a08a"}, True),
    ],
)
def test_another_arithmetic_has_more_slack(
    tmp_path: Path, recorded_with: dict[str, Any], used_with: dict[str, Any], same: bool
) -> None:
    recorded(tmp_path, result(), environment={**HERE, **recorded_with})
    known = baseline(tmp_path, {**HERE, **used_with}, exact=True).known(result())
    assert known is not None
    assert known.slack.same_arithmetic == same


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "is no baseline of gradcheck"),
        ('{"format": 9, "op": "gelu", "environments": {}}', "newer gradcheck"),
        ('{"format": 1, "op": "gelu", "environments": {"k": 3}}', "damaged at 'k'"),
        (
            '{"format": 1, "op": "gelu", "environments": {"k": {"cases": {"a": {}}}}}',
            "no entry of a baseline",
        ),
        (
            '{"format": 1, "op": "gelu", "environments": {"k": {"cases": {"a": {"verdict": "fine"}}}}}',
            r"no entry of a baseline \(its verdict is 'fine'\)",
        ),
        (
            '{"format": 1, "op": "gelu", "environments": {"k": {"cases": {"a": {"verdict": "ok", "regions": '
            '{"r": {"kind": "nan", "severity": "critical", "lo": "x", "hi": "y"}}}}}}}',
            "no entry of a baseline",
        ),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "gelu.json").write_text(text)
    with pytest.raises(UsageError, match=message):
        baseline(tmp_path).known(result())


def test_stale_entries(tmp_path: Path) -> None:
    several = renamed(result(), "selu")
    recorded(tmp_path, result(), several)
    used = baseline(tmp_path)
    assert used.stale(IDS) == []
    assert used.stale(IDS[:1]) == [IDS[1]]
    # Results of several inputs have the input's name behind the case's id.
    assert used.stale([IDS[0], "selu::float32"]) == []


def test_new_adds_what_is_missing_and_keeps_the_rest(tmp_path: Path) -> None:
    recorded(tmp_path, result(max_ulp=1.0))
    before = lines(tmp_path)
    baseline(tmp_path).update([result(max_ulp=9.0), renamed(result(), "selu")], "new", IDS)
    assert lines(tmp_path) == before
    assert (tmp_path / "selu.json").exists()


def test_all_replaces_what_ran_and_drops_what_is_stale(tmp_path: Path) -> None:
    recorded(tmp_path, result(finding()), renamed(result(), "selu"))
    baseline(tmp_path).update([result(max_ulp=9.0)], "all", IDS[:1])
    known = baseline(tmp_path).known(result())
    assert known is not None
    assert (known.entry.max_ulp, known.entry.regions) == (9.0, {})
    assert not (tmp_path / "selu.json").exists()


def test_improved_only_tightens(tmp_path: Path) -> None:
    recorded(tmp_path, result(finding(-20.0, -13.0), max_ulp=3.0))
    used = baseline(tmp_path)
    used.update([used.judged(result(finding(-20.5, -14.0), max_ulp=4.0))], "improved", IDS)
    known = baseline(tmp_path).known(result())
    assert known is not None
    (region,) = known.entry.regions.values()
    assert (known.entry.max_ulp, region.lo) == (3.0, (-20.0).hex())

    used = baseline(tmp_path)
    used.update([used.judged(result(max_ulp=1.0))], "improved", IDS)
    known = baseline(tmp_path).known(result())
    assert known is not None
    assert (known.entry.max_ulp, known.entry.regions) == (1.0, {})


def test_improved_records_no_regression(tmp_path: Path) -> None:
    recorded(tmp_path, result(max_ulp=1.0))
    used = baseline(tmp_path)
    used.update([used.judged(result(finding(), max_ulp=0.5))], "improved", IDS)
    known = baseline(tmp_path).known(result())
    assert known is not None
    assert known.entry.max_ulp == 1.0


def test_improvements_are_told(tmp_path: Path) -> None:
    recorded(tmp_path, result(finding(), max_ulp=9.0))
    used = baseline(tmp_path)
    told = used.improvements([result(max_ulp=2.0)])
    assert told == [
        "gelu::float32::backward: underflow for -20 … -13 is gone",
        "gelu::float32::backward: the largest error fell from 9 to 2 ULP",
    ]
    assert used.improvements([result(finding(), max_ulp=8.0)]) == []


def test_a_missing_baseline_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="record one with --gradcheck-update-baseline=all"):
        open_baseline(Settings(baseline=str(tmp_path / "none")), HERE)


@pytest.mark.parametrize(
    ("text", "message"), [('{"a": 1}', "is no baseline of gradcheck"), ("{", "is not JSON")]
)
def test_what_is_no_baseline_is_said_before_work_starts(tmp_path: Path, text: str, message: str) -> None:
    recorded(tmp_path, result())
    (tmp_path / "other.json").write_text(text, encoding="utf-8")
    for mode in MODES:
        with pytest.raises(UsageError, match=message):
            open_baseline(Settings(baseline=str(tmp_path), update_baseline=mode, force_update=True), HERE)
    with pytest.raises(UsageError, match="is a file; name the folder"):
        open_baseline(Settings(baseline=str(tmp_path / "other.json")), HERE)


@pytest.mark.parametrize(("ci", "refused"), [("true", True), ("1", True), ("", False), ("false", False)])
def test_updates_are_refused_under_ci(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ci: str, refused: bool
) -> None:
    monkeypatch.setenv("CI", ci)
    settings = Settings(baseline=str(tmp_path), update_baseline="all")
    if refused:
        with pytest.raises(UsageError, match="not updated under CI"):
            open_baseline(settings, HERE)
    else:
        assert open_baseline(settings, HERE) is not None
    forced = Settings(baseline=str(tmp_path), update_baseline="all", force_update=True)
    assert open_baseline(forced, HERE) is not None


def test_what_a_baseline_covers_can_fail_torchs_own_ops(tmp_path: Path) -> None:
    recorded(tmp_path, result())
    held = gate.open_gate(Settings(baseline=str(tmp_path)), HERE)
    judged = held.judged([result(finding()), renamed(result(finding()), "selu")])
    assert [r.op for r, _ in held.failing(judged)] == ["gelu"]


def test_an_open_verdict_fails_only_where_it_was_decided_before(tmp_path: Path) -> None:
    undecided = result(verdict="inconclusive", note="3 points could not be decided")
    recorded(tmp_path, undecided, renamed(result(), "selu"))
    held = gate.open_gate(Settings(baseline=str(tmp_path)), HERE)
    assert [r.op for r in held.undecided([undecided, renamed(undecided, "selu")])] == ["selu"]


@pytest.mark.parametrize("op", ["gelu", "Gelu", "my/op", "my op", "ümlaut"])
def test_file_names_are_portable_and_distinct(op: str) -> None:
    name = file_name(op)
    assert name == name.lower()
    assert name.isascii()
    assert not set(name) & set('/\\ :*?"<>|')
    assert (name == f"{op}.json") == (op == "gelu")


@pytest.mark.parametrize(
    ("value", "short"), [(0.0, 0.0), (1.0, 1.0), (1.00001, 1.001), (123456.0, 123500.0), (3e-9, 3e-9)]
)
def test_errors_are_rounded_up(value: float, short: float) -> None:
    assert rounded_up(value) == short
    assert rounded_up(float("inf")) == float("inf")


def test_positions_are_binades() -> None:
    assert position((4.0).hex()) - position((2.0).hex()) == 1.0
    assert position((-4.0).hex()) == -position((4.0).hex())
    assert position("0x0.0p+0") == 0.0
    assert position("inf") > position((1.7e308).hex())
    assert position("nan") > position("inf")


@pytest.mark.parametrize(
    ("paths", "holds"), [(("vector",), True), (("vector", "jvp"), False), (("all",), False)]
)
def test_what_is_shipped_speaks_of_the_usual_paths(
    tmp_path: Path, paths: tuple[str, ...], holds: bool
) -> None:
    recorded(tmp_path, result())
    shipped = baseline(tmp_path, exact=True)
    used = gate.Gate(settings=Settings(paths=paths), shipped=shipped)
    found = used.judged([result(finding(path=paths[-1]))])
    assert used.holds(found[0]) == holds
    assert bool(used.failing(found)) == holds
    # A baseline of one's own was recorded with the paths that one uses.
    assert gate.Gate(settings=Settings(paths=paths), own=shipped).holds(found[0])


def test_what_is_shipped_for_this_environment_comes_before_ones_own_of_another(tmp_path: Path) -> None:
    known, new = result(finding(-20.0, -13.0)), result(finding(5.0, 6.0))
    recorded(tmp_path / "shipped", new)
    recorded(tmp_path / "own", known, environment=THERE)
    used = gate.Gate(
        settings=Settings(),
        own=baseline(tmp_path / "own"),
        shipped=baseline(tmp_path / "shipped", exact=True),
    )
    assert used.failing(used.judged([new])) == []
    assert used.failing(used.judged([known]))
    recorded(tmp_path / "own", known)
    assert used.failing(dataclasses.replace(used, own=baseline(tmp_path / "own")).judged([new]))
