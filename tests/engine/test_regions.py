"""Regions of a toy whose defects are known: every end must be found to the exact float."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from gradcheck_suite.engine.clusters import worst_member
from gradcheck_suite.engine.judge import KINDS, SEVERITIES, Verdicts
from gradcheck_suite.engine.profiles import Profile
from gradcheck_suite.engine.regions import ALLOWANCES, Region, map_regions
from gradcheck_suite.floats import Format, format_of, from_ordinal, round_to, to_ordinal
from gradcheck_suite.inputs import sample
from tests.engine.toys import DTYPES

Floats = np.ndarray


def verdicts(kind: Floats, ulp: Floats | None = None) -> Verdicts:
    """Verdicts of these kinds, all critical, with errors 100 where there is a kind and 1/2 elsewhere."""
    none = np.zeros(len(kind), dtype=np.int8)
    return Verdicts(
        kind=kind.astype(np.int8),
        severity=np.where(kind > 0, SEVERITIES.index("critical"), 0).astype(np.int8),
        reason=none,
        ulp=np.where(kind > 0, 100.0, 0.5) if ulp is None else ulp,
        open=none.astype(bool),
    )


class Counted:
    """A rule that judges floats, counting them and the calls; only the first `limit` may be asked."""

    def __init__(self, rule: Callable[[Floats], Verdicts]) -> None:
        self.rule, self.points, self.rounds = rule, 0, 0

    def __call__(self, batch: Sequence[tuple[int, Floats]]) -> list[Verdicts]:
        self.rounds += 1
        self.points += sum(len(x) for _, x in batch)
        return [self.rule(x) for _, x in batch]


def mapped(
    rule: Callable[[Floats], Verdicts], fmt: Format, *, allowance: int = ALLOWANCES["default"]
) -> tuple[list[Region], Counted]:
    x = sample(fmt, (), 2400, 0)
    counted = Counted(rule)
    profile = Profile(x, rule(x), fmt, exhaustive=fmt.bits == 16)
    return map_regions([profile], counted, allowance=allowance), counted


def nearest(value: float, fmt: Format) -> float:
    return float(round_to(np.array([value]), fmt)[0])


def after(x: float, fmt: Format, steps: int = 1) -> float:
    return float(from_ordinal(to_ordinal(np.array([x]), fmt) + steps, fmt)[0])


def piecewise(pieces: Sequence[tuple[float, float, str]]) -> Callable[[Floats], Verdicts]:
    """Kinds on closed intervals, later ones over earlier ones."""

    def rule(x: Floats) -> Verdicts:
        kind = np.zeros(len(x))
        for lo, hi, name in pieces:
            kind[(x >= lo) & (x <= hi)] = KINDS.index(name)
        return verdicts(kind)

    return rule


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_clean_end_is_found_to_the_float(dtype: str) -> None:
    """Zero between two floats, NaN nested in it, overflow from a third, a sign on the other side."""
    fmt = format_of(dtype)
    a, b, c, d, e = (nearest(v, fmt) for v in (1e-4, 0.3, 0.0123, 0.0567, 777.7))
    largest = fmt.max
    pieces = [(a, b, "underflow"), (c, d, "nan"), (e, largest, "overflow"), (-3.3, -1.1, "sign")]
    found, counted = mapped(piecewise(pieces), fmt)
    ends = {(r.kind, r.lo, r.hi, r.lo_exact, r.hi_exact) for r in found}
    low, high = nearest(-3.3, fmt), nearest(-1.1, fmt)
    low = low if low >= -3.3 else after(low, fmt)
    high = high if high <= -1.1 else after(high, fmt, -1)
    assert ends == {
        ("underflow", a, b, True, True),
        ("nan", c, d, True, True),
        ("overflow", e, largest, True, True),
        ("sign", low, high, True, True),
    }
    assert counted.points <= 2000
    share = {r.kind: r.share for r in found}
    assert share["nan"] == share["overflow"] == share["sign"] == 1.0
    assert 0 < share["underflow"] < 1


@pytest.mark.parametrize("dtype", DTYPES)
def test_one_region_reaches_across_zero(dtype: str) -> None:
    fmt = format_of(dtype)
    lo, hi = nearest(-2.7, fmt), nearest(1e-3, fmt)
    (region,), _ = mapped(piecewise([(lo, hi, "nan")]), fmt)
    assert (region.lo, region.hi, region.lo_exact, region.hi_exact) == (lo, hi, True, True)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_infinity_belongs_to_the_region_before_it(dtype: str) -> None:
    fmt = format_of(dtype)
    lo = nearest(12.34, fmt)
    (region,), _ = mapped(piecewise([(lo, np.inf, "nan")]), fmt)
    assert (region.lo, region.hi) == (lo, np.inf)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("width", [1, 2, 3, 100])
def test_a_few_floats_in_the_sample_are_kept(dtype: str, width: int) -> None:
    """A region around a sampled float, however narrow."""
    fmt = format_of(dtype)
    hi = after(1.0, fmt, width - 1)
    (region,), _ = mapped(piecewise([(1.0, hi, "tie")]), fmt)
    assert (region.lo, region.hi, region.lo_exact, region.hi_exact) == (1.0, hi, True, True)


def scattered(x: Floats, fmt: Format, density: Callable[[Floats], Floats], run: int) -> Floats:
    """Whether each float is bad: runs of `run` neighbours, as densely as stated; the same at every call."""
    cell = (to_ordinal(np.where(np.isfinite(x), x, 0.0), fmt) // run).astype(np.uint64)
    draw = cell * np.uint64(0x9E3779B97F4A7C15)
    draw ^= draw >> np.uint64(29)
    draw *= np.uint64(0xBF58476D1CE4E5B9)
    return (draw >> np.uint64(40)).astype(np.float64) / 2**24 < density(x)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("run", [1, 1000])
@pytest.mark.parametrize("kind", ["inaccurate", "underflow"])
def test_a_noisy_end_is_an_envelope_and_never_exact(dtype: str, run: int, kind: str) -> None:
    """All floats from 1 to 4 are bad, then fewer and fewer up to 16; runs of bad floats do not deceive."""
    fmt = format_of(dtype)

    def density(x: Floats) -> Floats:
        with np.errstate(all="ignore"):
            return np.where((x >= 1) & (x < 16), np.clip(2 - np.log2(np.abs(x)) / 2, 0, 1), 0.0)

    def rule(x: Floats) -> Verdicts:
        bad = np.zeros(len(x), dtype=bool)
        bad[np.isfinite(x)] = scattered(x[np.isfinite(x)], fmt, density, run)
        return verdicts(np.where(bad, KINDS.index(kind), 0))

    (region,), counted = mapped(rule, fmt)
    assert region.lo == 1.0
    assert 8 < region.hi < 16
    assert not region.hi_exact
    assert 0.6 < region.share < 0.95
    assert counted.points <= 2000


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_an_inaccuracy_is_exact_only_where_it_sets_in_at_once(dtype: str) -> None:
    """From 2 on the error jumps to 100; up to -2 it creeps over the threshold of 4."""
    fmt = format_of(dtype)

    def rule(x: Floats) -> Verdicts:
        with np.errstate(all="ignore"):
            ulp = np.where(x >= 2.3, 100.0, np.where(x < 0, 4 * (x / -2.3) ** 2, 0.5))
        ulp[~np.isfinite(x)] = 0.0
        return verdicts(np.where(ulp > 4, KINDS.index("inaccurate"), 0), ulp)

    found, _ = mapped(rule, fmt)
    jump = next(r for r in found if r.lo > 0)
    creep = next(r for r in found if r.lo < 0)
    assert jump.lo_exact
    assert not creep.hi_exact


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_sixteen_bits_are_counted(dtype: str) -> None:
    """Every third float from 1 to 2 is bad: ends and share are those of the count, and nothing is tried."""
    fmt = format_of(dtype)

    def rule(x: Floats) -> Verdicts:
        good = ~((x >= 1) & (x <= 2)) | (to_ordinal(np.where(np.isfinite(x), x, 0.0), fmt) % 3 > 0)
        return verdicts(np.where(good, 0, KINDS.index("inaccurate")))

    (region,), counted = mapped(rule, fmt)
    first = int(to_ordinal(np.array([1.0]), fmt)[0])
    expected = [o for o in range(first, 2 * first + 1) if o % 3 == 0 and from_ordinal(o, fmt) <= 2]
    assert region.lo == from_ordinal(expected[0], fmt)
    assert region.hi == from_ordinal(expected[-1], fmt)
    assert region.share == pytest.approx(len(expected) / (expected[-1] - expected[0] + 1))
    assert region.lo_exact
    assert region.hi_exact
    assert counted.points == 0


def test_the_allowance_is_kept() -> None:
    fmt = format_of("float64")
    found, counted = mapped(piecewise([(0.1, 0.3, "nan"), (1.1, 7.7, "sign")]), fmt, allowance=20)
    assert counted.points <= 20
    assert len(found) == 2
    assert not any(r.lo_exact or r.hi_exact for r in found)


def test_one_call_serves_all_ends() -> None:
    """Twelve ends cost few more rounds than one."""
    fmt = format_of("float32")
    one, counted = mapped(piecewise([(0.1, np.inf, "nan")]), fmt)
    pieces = [(2.0**k * 1.1, 2.0**k * 1.7, kind) for k, kind in enumerate(["nan", "sign", "overflow"] * 2)]
    many, all_counted = mapped(piecewise(pieces), fmt)
    assert len(one) == 1
    assert len(many) == 6
    assert all(r.lo_exact and r.hi_exact for r in many)
    assert all_counted.rounds <= 2 * counted.rounds


def test_the_worst_point_is_known_and_the_simplest_of_equals() -> None:
    fmt = format_of("float32")

    def rule(x: Floats) -> Verdicts:
        bad = (np.abs(x) >= 3.5) & (np.abs(x) <= 9)
        return verdicts(np.where(bad, KINDS.index("sign"), 0), np.where(bad, 64.0, 0.5))

    left, right = sorted(mapped(rule, fmt)[0], key=lambda r: r.lo)
    assert (left.lo, left.hi, right.lo, right.hi) == (-9, -3.5, 3.5, 9)


def test_of_equally_bad_zeros_the_positive_one_is_shown() -> None:
    x = np.array([-1.0, -0.0, 0.0, 1.0])
    assert worst_member(x, np.array([1.0, 9.0, 9.0, 9.0]), np.array([1, 2, 3])) == 2
