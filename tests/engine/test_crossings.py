"""Guesses of where classes end: that they find what they look for, and that none of them makes a region wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pytest
import torch

from gradcheck_suite.engine.boundaries import Boundary, Exhausted, locate
from gradcheck_suite.engine.crossings import Asked, Bracket, by_kind, by_size, kinds_of
from gradcheck_suite.engine.judge import KINDS, Verdicts
from gradcheck_suite.engine.probing import Prober
from gradcheck_suite.engine.profiles import Profile
from gradcheck_suite.engine.regions import Region, map_regions
from gradcheck_suite.floats import (
    Exact,
    Format,
    format_of,
    from_ordinal,
    hex_of,
    infinity_ordinal,
    to_ordinal,
)
from gradcheck_suite.formula.context import Context
from gradcheck_suite.formula.tape import Array
from gradcheck_suite.inputs import sample
from tests.engine.test_regions import Counted, after, nearest, piecewise, scattered, verdicts
from tests.engine.toys import bend, run, serious, slope, toy

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Foresee = Callable[[Sequence[Bracket]], Mapping[Bracket, Bracket]]

_DTYPES = ["float64", "float32"]


def ordinal(x: float, fmt: Format) -> int:
    return int(to_ordinal(np.array([x]), fmt)[0])


def floats(ordinals: Sequence[int] | npt.NDArray[np.int64], fmt: Format) -> Floats:
    """Those beyond infinity are as good as infinity."""
    top = infinity_ordinal(fmt)
    return from_ordinal(np.clip(np.asarray(ordinals, dtype=np.int64), -top, top), fmt)


def computed_by(rule: Callable[[Floats], Floats], fmt: Format) -> Callable[[Asked], list[Ints]]:
    return lambda asked: [kinds_of(rule(floats(ordinals, fmt))) for _, ordinals in asked]


@pytest.mark.parametrize("dtype", _DTYPES)
@pytest.mark.parametrize("beyond", [0.0, np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("end", [-1e30, -1.5, 0.0, 1e-3, 77.7])
def test_a_change_of_kind_is_found_between_adjacent_floats(dtype: str, beyond: float, end: float) -> None:
    """From either side, also over all floats there are, which are more than int64 has steps for."""
    fmt = format_of(dtype)
    last, top = ordinal(nearest(end, fmt), fmt), infinity_ordinal(fmt)
    rule = computed_by(lambda x: np.where(x > floats([last], fmt), beyond, 1.0), fmt)
    rising, falling = Bracket(0, -top, top + 1), Bracket(1, top, -top - 1)
    found = by_kind([rising, falling, rising], rule, fmt)
    assert found == {rising: Bracket(0, last, last + 1), falling: Bracket(1, last + 1, last)}


def test_ends_of_one_kind_and_several_changes_are_no_guess() -> None:
    fmt = format_of("float32")
    bracket = Bracket(0, ordinal(1.0, fmt), ordinal(16.0, fmt))
    assert by_kind([bracket], computed_by(lambda x: x, fmt), fmt) == {}
    several = computed_by(lambda x: np.where((x < 2) | ((x > 5) & (x < 6)), 0.0, 1.0), fmt)
    assert by_kind([bracket], several, fmt) == {}


def test_of_changes_close_together_the_outermost_is_the_guess() -> None:
    """0 up to a float, then every third of a hundred more: a class that fades out."""
    fmt = format_of("float32")
    last = ordinal(2.0, fmt)

    def fading(x: Floats) -> Floats:
        beyond = to_ordinal(x, fmt) - last
        return np.where((beyond <= 0) | ((beyond <= 100) & (beyond % 3 == 0)), 0.0, 1.0)

    bracket = Bracket(0, ordinal(1.0, fmt), ordinal(16.0, fmt))
    (found,) = by_kind([bracket], computed_by(fading, fmt), fmt).values()
    assert found.gap == 1
    assert last + 90 < found.inner <= last + 99


@pytest.mark.parametrize("dtype", _DTYPES)
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_exact_results_cross_an_end_of_the_range_between_adjacent_floats(dtype: str, sign: float) -> None:
    """2^(2x), exactly: it becomes subnormal, overflows, and passes the smallest numbers at known inputs."""
    fmt = format_of(dtype)

    def exact(asked: Asked) -> list[Exact]:
        found = []
        for _, ordinals in asked:
            power = 2 * sign * floats(ordinals, fmt)
            whole = np.floor(power)
            one = Exact.from_float64(np.exp2(power - whole))
            found.append(Exact(one.hi, one.lo, one.exp + whole.astype(np.int64), one.rad))
        return found

    for inner, outer, last in (
        (-3.0, -fmt.emax, fmt.emin / 2),
        (3.0, fmt.emax, (fmt.emax + 1) / 2),
        (fmt.emin / 2 - 1, -fmt.emax, (fmt.ulp_exponent_min + 1) / 2),
    ):
        bracket = Bracket(0, ordinal(sign * inner, fmt), ordinal(sign * outer, fmt))
        (found,) = by_size([bracket], exact, fmt, 2.0).values()
        assert found.gap <= 2
        assert abs(found.inner - ordinal(sign * last, fmt)) <= 2
    assert by_size([Bracket(0, ordinal(1.0, fmt), ordinal(2.0, fmt))], exact, fmt, 2.0) == {}


# --- guesses of any quality


def right(rule: Callable[[Floats], object], fmt: Format, off: int = 0) -> Foresee:
    """The innermost end that bisection finds, or so many floats from it."""

    def foresee(brackets: Sequence[Bracket]) -> dict[Bracket, Bracket]:
        found = {}
        for b in brackets:
            near, far = 0, b.gap
            own = rule(floats([b.inner], fmt))
            while far - near > 1:
                middle = (near + far) // 2
                same = rule(floats(b.at([middle]), fmt)) == own
                near, far = (middle, far) if same else (near, middle)
            inner, outer = b.at([near + off, near + off + 1]).tolist()
            found[b] = Bracket(b.profile, inner, outer)
        return found

    return foresee


def wild(seed: int) -> Foresee:
    """Brackets anywhere, of any width, and none."""
    rng = np.random.RandomState(seed)

    def foresee(brackets: Sequence[Bracket]) -> dict[Bracket, Bracket]:
        found = {}
        for b in brackets:
            near = int(rng.uniform() * (b.gap - 1))
            far = near + 1 + int(rng.uniform() ** 40 * (b.gap - near - 1))
            if rng.uniform() < 0.8:
                found[b] = Bracket(b.profile, *b.at([near, far]).tolist())
        return found

    return foresee


PIECES = [
    (1e-4, 0.3, "underflow"),
    (0.0123, 0.0567, "nan"),
    (777.7, np.inf, "overflow"),
    (-3.3, -1.1, "sign"),
]


def ends_of(regions: Sequence[Region]) -> list[tuple[str, float, float, bool, bool]]:
    return sorted((r.kind, r.lo, r.hi, r.lo_exact, r.hi_exact) for r in regions)


@pytest.mark.parametrize("dtype", _DTYPES)
@pytest.mark.parametrize("guess", ["right", "next", "off", "far off", "wild", "wilder"])
def test_no_guess_changes_a_region_that_ends_cleanly(dtype: str, guess: str) -> None:
    fmt = format_of(dtype)
    rule, x = piecewise(PIECES), sample(fmt, (), 2400, 0)
    kind = lambda x: int(rule(x).kind[0])  # noqa: E731
    foresee = {
        "right": right(kind, fmt),
        "next": right(kind, fmt, 1),
        "off": right(kind, fmt, -20),
        "far off": right(kind, fmt, 1 << 14),
        "wild": wild(0),
        "wilder": wild(1),
    }[guess]
    plain, guided = Counted(rule), Counted(rule)
    want = map_regions([Profile(x, rule(x), fmt)], plain, allowance=2000)
    found = map_regions([Profile(x, rule(x), fmt)], guided, allowance=2000, foresee=foresee)
    assert ends_of(found) == ends_of(want)
    assert all(r.lo_exact and r.hi_exact for r in found)
    if guess == "right":
        assert guided.points < plain.points


@pytest.mark.parametrize("dtype", _DTYPES)
@pytest.mark.parametrize("kind", ["inaccurate", "underflow"])
def test_no_guess_makes_a_noisy_end_exact(dtype: str, kind: str) -> None:
    """All floats from 1 to 4 are bad, then fewer and fewer up to 16."""
    fmt = format_of(dtype)

    def density(x: Floats) -> Floats:
        with np.errstate(all="ignore"):
            return np.where((x >= 1) & (x < 16), np.clip(2 - np.log2(np.abs(x)) / 2, 0, 1), 0.0)

    def rule(x: Floats) -> Verdicts:
        bad = np.zeros(len(x), dtype=bool)
        bad[np.isfinite(x)] = scattered(x[np.isfinite(x)], fmt, density, 1)
        return verdicts(np.where(bad, KINDS.index(kind), 0))

    x = sample(fmt, (), 2400, 0)
    for foresee in (right(lambda x: int(rule(x).kind[0]), fmt), wild(3), wild(4)):
        (region,) = map_regions([Profile(x, rule(x), fmt)], Counted(rule), allowance=2000, foresee=foresee)
        assert (region.lo, region.lo_exact, region.hi_exact) == (1.0, True, False)
        assert 4 < region.hi < 16


def test_guesses_that_the_allowance_does_not_suffice_for_keep_those_before_them() -> None:
    """Of a hundred ends some are found, where all questions at once would be refused."""
    left = 500

    def ask(questions: Sequence[tuple[Boundary, int]]) -> list[bool]:
        nonlocal left
        if len(questions) > left:
            raise Exhausted
        left -= len(questions)
        return [o < (b.profile + 1) * 10**9 for b, o in questions]

    def boundary(k: int) -> Boundary:
        inner, outer = k * 10**9 + 5, (k + 2) * 10**9 - 5
        return Boundary(
            profile=k, key=(1, 0), inner=inner, outer=outer, far=inner, limit=outer, gradual=False, coarse=1
        )

    def foresee(brackets: Sequence[Bracket]) -> dict[Bracket, Bracket]:
        ends = [(b.profile + 1) * 10**9 for b in brackets]
        return {b: Bracket(b.profile, end - 1, end) for b, end in zip(brackets, ends, strict=True)}

    boundaries = [boundary(k) for k in range(100)]
    locate(boundaries, ask, reach=1 << 20, foresee=foresee)
    found = [b for b in boundaries if b.gap == 1]
    assert len(found) >= 24
    assert all(b.inner == (b.profile + 1) * 10**9 - 1 for b in found)
    assert not any(b.exact for b in boundaries)


# --- of ops


def falls(m: Context, x: Array) -> Array:
    return m.exp(-x)


def both(m: Context, x: Array, y: Array) -> Array:
    return m.maximum(x, x / 2) + 0 * y


@pytest.mark.parametrize("dtype", _DTYPES)
def test_a_result_lost_below_the_range_ends_where_the_exact_one_does(dtype: str) -> None:
    """Flushed from the smallest normal number on: the exact e^-x crosses it at one float."""
    fmt = format_of(dtype)
    end = -fmt.emin * float(np.log(2))

    def call(x: torch.Tensor) -> torch.Tensor:
        y = torch.exp(-x.double()).to(x.dtype)
        return torch.where(y < 2.0 ** (fmt.emin + 3), torch.zeros_like(y), y)

    found = [f for f in serious(run(toy(call, falls), dtype, "forward")) if f.kind == "underflow"]
    (finding,) = found
    assert finding.lo_exact
    lo = float.fromhex(str(finding.lo))
    assert np.exp(-lo) < 2.0 ** (fmt.emin + 3) <= np.exp(-after(lo, fmt, -2)) * (1 + fmt.unit_roundoff)
    assert lo < end


@pytest.mark.parametrize("dtype", _DTYPES)
def test_ends_at_zero_and_at_infinity_and_under_a_cotangent(dtype: str) -> None:
    """NaN below 0 in the value; infinite from 1/3 on in the gradient; from 7 on under huge cotangents only."""
    fmt = format_of(dtype)
    third = nearest(1 / 3, fmt)

    def backward(x: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
        return torch.where(x >= third, g * torch.inf, g * slope(x))

    def call(x: torch.Tensor) -> torch.Tensor:
        return torch.where(x < 0, x * torch.nan, bend(x, backward))

    (below,) = serious(run(toy(call), dtype, "forward"))
    assert (below.kind, below.lo, below.hi) == ("nan", "-inf", hex_of(-fmt.smallest_subnormal))
    (above,) = serious(run(toy(lambda x: bend(x, backward)), dtype, "backward"))
    assert (above.kind, above.lo, above.hi) == ("overflow", hex_of(third), "inf")
    assert above.lo_exact
    huge = lambda x, g: torch.where((g.abs() > 2.0**40) & (x >= 7), torch.inf, g * slope(x))  # noqa: E731
    (scaled,) = serious(run(toy(lambda x: bend(x, huge)), dtype, "backward"))
    assert (scaled.kind, scaled.lo, scaled.lo_exact) == ("overflow", hex_of(7.0), True)
    assert scaled.fixed


def test_an_op_that_refuses_what_is_foreseen_keeps_its_regions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a guess, and with the most harmful one there is, its end is what it is."""

    def call(x: torch.Tensor) -> torch.Tensor:
        if x.numel() % 2 and bool((x > 100).any()):
            raise ValueError("an odd number of elements")
        return torch.where(x >= 3.3, torch.zeros_like(x), bend(x))

    def found() -> list[tuple[str, str | None, str | None]]:
        return [(f.kind, f.lo, f.hi) for f in serious(run(toy(call), "float32", "forward"))]

    guessed = found()
    monkeypatch.setattr(Prober, "foresee", lambda self, brackets: {})
    assert found() == guessed
    assert guessed[0][:2] == ("underflow", hex_of(nearest(3.3, format_of("float32"))))


def test_ends_along_one_of_two_inputs() -> None:
    """NaN where x > 0.7 and y > -2: on lines along x it ends at the one."""
    fmt = format_of("float32")
    low = nearest(0.7, fmt)

    def call(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return torch.where((x > low) & (y > -2), x * torch.nan, bend(x) + 0 * y)

    found = serious(run(toy(call, both, inputs=("x", "y"), landmarks=lambda p: ()), "float32", "forward"))
    (along,) = [f for f in found if f.kind == "nan" and f.lo != "-inf"]
    assert (along.probe, along.lo, along.hi) == ("x", hex_of(after(low, fmt)), "inf")
