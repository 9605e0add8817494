"""The searched worst case, simple witnesses, and runs that repeat."""

from __future__ import annotations

import dataclasses
import math
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from gradcheck_suite import results
from gradcheck_suite.engine import collect, document, run_case
from gradcheck_suite.engine.judge import KINDS, Verdicts
from gradcheck_suite.engine.profiles import Profile
from gradcheck_suite.engine.regions import map_regions
from gradcheck_suite.engine.run import _subject
from gradcheck_suite.engine.search import EFFORTS, climb, simplest, wander
from gradcheck_suite.floats import format_of, from_ordinal, round_to, to_ordinal
from gradcheck_suite.inputs import sample
from gradcheck_suite.ops.registry import registry
from gradcheck_suite.options import Settings
from gradcheck_suite.results import severity_rank
from tests.engine.test_regions import verdicts
from tests.engine.toys import bend, run, serious, slope, toy

Floats = npt.NDArray[np.float64]
Rule = Callable[[Floats], Verdicts]


def profile_of(rule: Rule, dtype: str) -> tuple[Profile, Callable[..., list[Verdicts]]]:
    fmt = format_of(dtype)
    x = sample(fmt, (), 2400, 0)

    def evaluate(batch: Sequence[tuple[int, Floats]]) -> list[Verdicts]:
        return [rule(x) for _, x in batch]

    return Profile(x, rule(x), fmt), evaluate


def peak(dtype: str, at: float, binades: float) -> Rule:
    """No failure anywhere, but an error that rises to 3.9 ULP at one float, over some binades."""
    fmt = format_of(dtype)
    centre = int(to_ordinal(round_to([at], fmt), fmt)[0])
    width = binades * 2.0 ** (fmt.precision - 1)

    def rule(x: Floats) -> Verdicts:
        distance = to_ordinal(np.where(np.isfinite(x), x, 0.0), fmt).astype(np.float64) - centre
        return verdicts(np.zeros(len(x)), 3.9 / (1 + np.abs(distance) / width))

    return rule


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_climb_finds_the_peak_between_sampled_points(dtype: str) -> None:
    profile, evaluate = profile_of(peak(dtype, 37.7123, 0.001), dtype)
    before = profile.verdicts.ulp.max()
    climb([profile], evaluate, EFFORTS["default"])
    assert before < 2
    assert profile.verdicts.ulp.max() > 3.5


def test_the_climb_ignores_failures_that_cannot_get_worse() -> None:
    """Everything negative overflows; the small peak on the positive side is what is climbed."""
    small = peak("float32", 300.3, 0.002)

    def rule(x: Floats) -> Verdicts:
        v = small(x)
        bad = x < 0
        kind = np.where(bad, KINDS.index("overflow"), 0)
        return verdicts(kind, np.where(bad, 1e9, v.ulp))

    profile, evaluate = profile_of(rule, "float32")
    size = len(profile.x)
    climb([profile], evaluate, EFFORTS["default"])
    assert (profile.x[size:] > 0).all()
    assert profile.verdicts.ulp[profile.x > 0].max() > 3.6


def test_more_effort_finds_no_less() -> None:
    rule = peak("float64", 1e-3, 1e-4)
    found = []
    for budget in ("quick", "default", "thorough"):
        profile, evaluate = profile_of(rule, "float64")
        climb([profile], evaluate, EFFORTS[budget])
        found.append(profile.verdicts.ulp.max())
    assert found == sorted(found)
    assert found[-1] > found[0]


def test_hypothesis_climbs_from_anywhere_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    profile, evaluate = profile_of(peak("float32", 5e20, 3.0), "float32")
    size = len(profile.x)
    wander([profile], evaluate, 60)
    assert len(profile.x) > size
    assert list(tmp_path.iterdir()) == []


def witness_of(rule: Rule, dtype: str) -> float:
    profile, evaluate = profile_of(rule, dtype)
    regions = map_regions([profile], evaluate, allowance=2000)
    (index,) = simplest([profile], regions, evaluate, EFFORTS["default"])
    return float(profile.x[index])


def between(lo: float, hi: float, ulp: Callable[[Floats], Floats]) -> Rule:
    def rule(x: Floats) -> Verdicts:
        bad = (x >= lo) & (x <= hi)
        with np.errstate(all="ignore"):
            return verdicts(np.where(bad, KINDS.index("sign"), 0), np.where(bad, ulp(x), 0.5))

    return rule


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_witness_is_a_number_of_few_bits(dtype: str) -> None:
    assert witness_of(between(5.3, 900.1, lambda x: np.full(len(x), np.inf)), dtype) == 8.0
    assert witness_of(between(-0.3, -0.2, lambda x: np.full(len(x), np.inf)), dtype) == -0.25


def test_the_witness_keeps_half_of_the_worst_error() -> None:
    """The error doubles in each half of a binade towards 7.7: 4 would show little of it."""
    x = witness_of(between(2.2, 7.7, lambda x: 2.0 ** np.clip(2 * x, 0, 60)), "float32")
    assert 7.2 <= x <= 7.7
    assert (x * 64).is_integer()


def bits_of(x: float) -> int:
    numerator = abs(x.as_integer_ratio()[0])
    return (numerator // (numerator & -numerator)).bit_length()


def test_longer_numbers_are_tried_only_where_no_short_one_shows_a_region() -> None:
    """Short ones lie in the wide region; the narrow one has none, and shows one of a few bits more."""
    lo, hi = 1.234512e-3, 1.234598e-3

    def rule(x: Floats) -> Verdicts:
        wide, narrow = (x >= 5.3) & (x <= 900.1), (x >= lo) & (x <= hi)
        kind = np.where(wide, KINDS.index("sign"), np.where(narrow, KINDS.index("overflow"), 0))
        return verdicts(kind, np.where(kind > 0, np.inf, 0.5))

    fmt = format_of("float32")
    x = np.sort(np.append(sample(fmt, (), 2400, 0), round_to([1.2345555e-3], fmt)))
    profile = Profile(x, rule(x), fmt)
    asked: list[float] = []

    def evaluate(batch: Sequence[tuple[int, Floats]]) -> list[Verdicts]:
        asked.extend(v for _, x in batch for v in x.tolist())
        return [rule(x) for _, x in batch]

    regions = map_regions([profile], evaluate, allowance=2000)
    asked.clear()
    shown = [float(profile.x[i]) for i in simplest([profile], regions, evaluate, EFFORTS["default"])]
    short = EFFORTS["default"].simple_bits
    assert sorted(r.kind for r in regions) == ["overflow", "sign"]
    assert {r.kind: bits_of(v) <= short for r, v in zip(regions, shown, strict=True)} == {
        "sign": True,
        "overflow": False,
    }
    assert max(bits_of(v) for v in shown) < fmt.precision - 4
    assert asked
    assert all(lo <= v <= hi for v in asked if bits_of(v) > short)


def test_a_single_float_is_its_own_witness() -> None:
    fmt = format_of("float32")
    x = float(from_ordinal(to_ordinal(np.array([1.0]), fmt) + 2, fmt)[0])
    assert witness_of(between(x, x, lambda x: np.full(len(x), np.inf)), "float32") == x


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
def test_witnesses_show_what_their_findings_say(dtype: str) -> None:
    settings = Settings(ops=("gelu", "tanhshrink"), dtypes=(dtype,), budget="quick")
    for case in collect(settings, registry()):
        for result in run_case(case, settings):
            for f in result.findings:
                if f.lo is None or f.kind == "path" or f.witness is None:
                    continue
                x = float.fromhex(f.witness.inputs["input"])
                assert math.isnan(x) or float.fromhex(f.lo) <= x <= float.fromhex(str(f.hi))
                if f.worst is not None:
                    assert f.witness.ulp <= f.worst.ulp <= 2 * f.witness.ulp
                    assert result.max_ulp is not None
                    assert f.worst.ulp <= result.max_ulp or f.fixed or f.path != "vector"


def spike(x: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
    """The gradient's error rises towards a float that is in no sample: 1e6 ULP there, harmless elsewhere."""
    at = 0.7312345
    factor = 1 + 1e-6 / (1 + ((x - at) / (0.01 * at)).abs().nan_to_num(nan=0.0) ** 2)
    return g * slope(x) * torch.where((x > 0.5) & (x < 1), factor, torch.ones_like(x))


def test_the_worst_of_a_result_is_the_searched_one() -> None:
    result = run(toy(lambda x: bend(x, spike)), "float64", "backward")
    assert result.worst is not None
    assert result.max_ulp == result.worst.ulp
    assert result.worst.ulp > 0.97 * 1e-6 * 2.0**53
    assert abs(float.fromhex(result.worst.inputs["input"]) - 0.7312345) < 1e-3
    (finding,) = [f for f in serious(result) if not f.fixed]
    assert (finding.kind, finding.severity) == ("inaccurate", "major")


# --- repeatability


def run_twice(**options: Any) -> list[Any]:
    settings = Settings(**options)
    found = []
    for _ in range(2):
        _subject.cache_clear()
        cases = collect(settings, registry())
        done = [dataclasses.replace(r, seconds=0.0) for case in cases for r in run_case(case, settings)]
        found.append(results.to_json(document(cases, done, settings)))
    return found


@pytest.mark.parametrize("budget", ["quick", "default"])
def test_two_runs_give_the_same_document(budget: str) -> None:
    name = {"quick": "tanhshrink", "default": "silu"}[budget]
    first, second = run_twice(ops=(name,), dtypes=("float32",), budget=budget, paths=("all",))
    assert first == second


def test_a_thorough_run_repeats_too() -> None:
    options = {"dtypes": ("float32",), "budget": "thorough", "directions": ("forward",)}
    first, second = run_twice(ops=("tanhshrink",), **options)
    assert first == second


def test_runs_in_two_processes_give_the_same_document(tmp_path: Path) -> None:
    """Whatever else was loaded and computed before."""
    texts = []
    for extra in ("", "import hypothesis, decimal, fractions; "):
        code = (
            f"{extra}from gradcheck_suite.cli import main; "
            "main(['map', 'silu', '--dtype', 'float32', '--paths', 'all', '--json', 'map.json'])"
        )
        subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, capture_output=True)
        found = results.read(tmp_path / "map.json")
        texts.append([results.to_json(dataclasses.replace(r, seconds=0.0)) for r in found.results])
    assert texts[0] == texts[1]
    assert [p.name for p in tmp_path.iterdir()] == ["map.json"]


def test_of_equal_errors_the_smallest_ordinal_is_stated() -> None:
    def backward(x: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
        return torch.where(x.abs() > 12, torch.full_like(x, torch.nan), g * slope(x))

    result = run(toy(lambda x: bend(x, backward)), "bfloat16", "backward")
    assert result.worst is not None
    assert float.fromhex(result.worst.inputs["input"]) == 12.0625
    gravest = min(serious(result), key=lambda f: severity_rank(f.severity))
    assert gravest.kind == "nan"
