"""The second ruler: conditioning excuses what no algorithm could avoid, and nothing else."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch

from gradcheck_suite.engine.conditioning import Column, excused, units
from gradcheck_suite.engine.covers import MovedCovers, cover_for
from gradcheck_suite.engine.judge import REASONS, SEVERITIES
from gradcheck_suite.engine.pointwise import Subject
from gradcheck_suite.floats import Format, format_of, round_exact, round_to
from gradcheck_suite.formula.balls import arb
from gradcheck_suite.formula.context import Context
from gradcheck_suite.formula.evaluate import Formula, enclose, to_exact
from gradcheck_suite.formula.points import exact_points
from gradcheck_suite.formula.tape import Array
from gradcheck_suite.ops.registry import registry
from gradcheck_suite.ops.variants import at_variant
from gradcheck_suite.options import Settings
from tests.engine.toys import run, serious, toy


def cancelling(m: Context, x: Array) -> Array:
    return x - m.tanh(x)


def test_a_cancelling_formula_does_not_excuse_itself() -> None:
    """x - tanh x has condition number 3 near 0: the digits that the subtraction loses are a defect."""
    result = run(toy(lambda x: x - torch.tanh(x), cancelling), "float32", "forward")
    near_zero = [f for f in serious(result) if f.lo and abs(float.fromhex(f.lo)) < 0.1]
    assert near_zero


def shifted(m: Context, x: Array) -> Array:
    return x - m.decimal("0.1")


def test_a_result_that_inherits_its_input_rounding_is_excused() -> None:
    """x - 0.1 near 0.1 is ill-conditioned in x: a difference of the constant's rounding is no defect."""
    result = run(toy(lambda x: x - 0.1, shifted, landmarks=lambda p: (0.1,)), "float32", "forward")
    assert serious(result) == []
    assert {f.reason for f in result.findings} <= {"ill-conditioned", None}
    assert "ill-conditioned" in {f.reason for f in result.findings}


def jump(m: Context, x: Array, *, level: Array) -> Array:
    return m.where(x > level, x, 0)


def test_the_side_of_a_rounded_parameter_is_excused() -> None:
    """0.1 rounds up in bfloat16; which side of the jump an input at the rounded 0.1 falls on is conditioning."""

    def call(x: torch.Tensor, *, level: float) -> torch.Tensor:
        return torch.where(x <= torch.tensor(level, dtype=x.dtype), torch.zeros_like(x), x)

    op = toy(call, jump, variants=[{"level": 0.1}], variants_only=True, landmarks=lambda p: (p["level"],))
    for dtype in ("float32", "float16", "bfloat16"):
        for direction in ("forward", "backward"):
            assert serious(run(op, dtype, direction)) == []


def test_nan_is_never_excused() -> None:
    def call(x: torch.Tensor) -> torch.Tensor:
        return torch.where((x - 0.1).abs() < 1e-6, torch.full_like(x, torch.nan), x - 0.1)

    result = run(toy(call, shifted, landmarks=lambda p: (0.1,)), "float32", "forward")
    assert "nan" in {f.kind for f in serious(result)}


def test_longer_sums_are_allowed_more_units() -> None:
    assert units() == 8
    assert units(2) == 9
    assert units(1000) == 18
    assert np.all(np.diff([units(n) for n in range(1, 300)]) >= 0)


def wave(m: Context, x: Array) -> Array:
    return m.sinc(x)


def test_a_wave_is_no_defect_where_the_rounding_of_its_argument_moves_it_by_a_period() -> None:
    """Every float32 beyond 2^24 is a whole number, where sinc is 0; its argument is not known to a period there."""
    result = run(toy(torch.sinc, wave), "float32", "forward")
    far = [f for f in serious(result) if f.kind != "nan" and abs(float.fromhex(f.lo or "0")) > 2.0**24]
    assert far == []


def cut(m: Context, x: Array, *, level: Array) -> Array:
    return m.where(x > 1 - level, 0, x * x * x)


def test_beyond_a_jump_the_range_reaches_to_the_jump_itself() -> None:
    """0.9 is above 1 - 0.1 by a quarter of an ulp; at the end of the range x^3 has moved farther than it may."""
    call = lambda x, *, level: torch.where(x > 1 - level, 0, x * x * x)  # noqa: E731
    op = toy(call, cut, variants=[{"level": 0.1}], variants_only=True, landmarks=lambda p: (0.9,))
    result = run(op, "float64", "forward")
    assert serious(result) == []
    assert "ill-conditioned" in {f.reason for f in result.findings}


def test_beside_a_documented_clamp_the_unclamped_gradient_moves_too() -> None:
    """log(x) is clamped at -100; unclamped, t/x is 1 to the last digit for t = x, so 1 - t/x may be 0."""
    op = registry().get("binary_cross_entropy")
    variant = op.variants[0]
    subject = Subject(at_variant(op, variant), variant, "float64", 1, Settings())
    point = {"input": np.array([3.7200758423826006e-44]), "target": np.array([3.720075842382599e-44])}
    points = subject.exact(point, 1)
    judged = subject.judge_column(point, np.array([0.0]), points, "d:input")
    assert REASONS[judged.verdicts.reason[0]] == "ill-conditioned"
    elsewhere = subject.judge_column(point, np.array([-1.0]), points, "d:input")
    assert SEVERITIES[elsewhere.verdicts.severity[0]] == "critical"


def test_rounding_decides_on_which_side_of_a_documented_threshold_a_point_lies() -> None:
    op = registry().get("softplus")
    subject = Subject(op, {}, "float64", 1, Settings())
    x = np.array([19.0, 20.0, 21.0])
    judged = subject.judge_column(x, x, subject.exact(x, 1), "value")
    assert [REASONS[r] for r in judged.verdicts.reason] == ["", "documented", "documented"]


@pytest.mark.parametrize("column", ["value", "d:input"])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize(
    ("name", "variant"),
    [("celu", {"alpha": 0.1}), ("gelu", {"approximate": "tanh"}), ("hardshrink", {"lambd": 0.1})],
)
def test_covers_excuse_the_same_points_as_balls(
    name: str, variant: dict[str, float], dtype: str, column: str
) -> None:
    subject = Subject(registry().get(name), variant, dtype, 1, Settings(ops=(name,)))
    op, fmt, points = subject.op, subject.fmt, subject.reference
    where = np.flatnonzero(np.isfinite(subject.x) & ~points.tie & ~points.undefined[column])[::9]
    x, centre = subject.x[where], points.columns[column][where]
    # Errors of every size, most of them within the range or near its ends.
    error = 2.0 ** np.random.default_rng(0).integers(-12, 3, len(where)) * fmt.unit_roundoff
    computed = centre.to_float64() * (1 + 64 * error)
    whole = cover_for(op, variant, fmt, points=len(subject.x), order=1, settings=Settings())
    assert whole is not None
    moved = MovedCovers(op, variant, fmt, column, whole)
    assert moved.least <= len(where)

    def inside(covered: bool) -> npt.NDArray[np.bool_]:
        return excused(
            subject.moving(column),
            {"input": x},
            computed,
            (centre, centre),
            moved_column=moved if covered else None,
        )

    by_balls = inside(False)
    assert by_balls.any()
    assert not by_balls.all()
    np.testing.assert_array_equal(inside(True), by_balls)


def test_a_jump_nearby_excuses_nothing_beyond_its_branches() -> None:
    """At 0.9, a quarter of an ulp past the jump, 0 and 0.729 are in range, and nothing above."""
    call = lambda x, *, level: torch.where(x > 1 - level, 0, x * x * x * 1.01)  # noqa: E731
    op = toy(call, cut, variants=[{"level": 0.1}], variants_only=True, landmarks=lambda p: (0.9,))
    subject = Subject(op, {"level": 0.1}, "float64", 1, Settings())
    x = np.array([0.9])
    judged = subject.judge_column(x, np.array([0.729 * 1.01]), subject.exact(x, 1), "value")
    assert SEVERITIES[judged.verdicts.severity[0]] == "major"
    judged = subject.judge_column(x, np.array([0.729]), subject.exact(x, 1), "value")
    assert REASONS[judged.verdicts.reason[0]] == "ill-conditioned"


def test_a_subnormal_input_is_rounded_absolutely() -> None:
    """5 times the smallest subnormal may stand for anything from 1 to 9 of them; 40 for 36 to 44."""
    subject = Subject(toy(lambda x: x, lambda m, x: m.log(x)), {}, "float32", 1, Settings())
    unit = 2.0**-149
    for x, got, reason in ((5, 2, "ill-conditioned"), (40, 37, "ill-conditioned"), (40, 30, "")):
        at = np.array([x * unit])
        judged = subject.judge_column(at, np.log([got * unit]), subject.exact(at, 1), "value")
        assert REASONS[judged.verdicts.reason[0]] == reason


def test_one_phase_of_a_wave_does_not_stand_for_all() -> None:
    """At 1524 float16 knows its argument to six periods; at their crests lie the exact slope and the ends."""
    subject = Subject(toy(torch.sinc, wave), {}, "float16", 1, Settings())
    x = np.array([1524.0])
    judged = subject.judge_column(x, np.array([0.0]), subject.exact(x, 1), "d:input")
    assert REASONS[judged.verdicts.reason[0]] == "ill-conditioned"


def snake(m: Context, x: Array) -> Array:
    """Its derivative, 1 + 2 sin x cos x, lies between 0 and 2; the enclosure of that product does not."""
    return x + m.sin(x) ** 2


@pytest.mark.parametrize("dtype", ["float64", "bfloat16"])
def test_any_phase_of_a_wave_is_excused_where_none_is_known(dtype: str) -> None:
    """Of a few moves hardly any hits a crest, and the computed phase is as good as theirs."""
    subject = Subject(toy(torch.sin, snake), {}, dtype, 1, Settings())
    x = np.concatenate([2.0**e * np.arange(1.0, 2.0, 2.0**-7) for e in range(60, 68)])
    reference = subject.exact(x, 1)

    def reasons(computed: npt.NDArray[np.float64]) -> set[str]:
        verdicts = subject.judge_column(x, computed, reference, "d:input").verdicts
        return {REASONS[reason] for reason in verdicts.reason[verdicts.kind > 0]}

    phases = 1 + np.sin(np.arange(len(x), dtype=np.float64))
    assert reasons(round_to(phases, subject.fmt)) == {"ill-conditioned"}
    assert reasons(np.full(len(x), 8.0)) == {""}
    assert reasons(np.full(len(x), -8.0)) == {""}


@pytest.mark.parametrize(
    ("dtype", "at", "computed"),
    [("bfloat16", 20.125, 20.375), ("float64", -9007199254773764.0, -729798872121.7336)],
)
def test_a_crest_between_moves_is_excused(dtype: str, at: float, computed: float) -> None:
    """Rounding leads x sin x at 20.125 over its crest, 20.44 at 20.46, and back; x cos^2 x to where it is almost 0."""
    formula = (lambda m, x: x * m.sin(x)) if dtype == "bfloat16" else (lambda m, x: x * m.cos(x) ** 2)
    subject = Subject(toy(torch.sin, formula), {}, dtype, 1, Settings())
    point = np.array([at])
    for value, reason in ((computed, "ill-conditioned"), (2 * computed if at > 0 else -1.1 * at, "")):
        judged = subject.judge_column(point, np.array([value]), subject.exact(point, 1), "value")
        assert REASONS[judged.verdicts.reason[0]] == reason


def steep(m: Context, x: Array) -> Array:
    return x * m.ndtr(x)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_zero_in_a_steep_tail_is_lost_and_not_ill_conditioned(dtype: str) -> None:
    """At -8 a bfloat16 may move by 1/4, and x Phi(x) with it by a factor of ten, but never to 0."""

    def call(x: torch.Tensor) -> torch.Tensor:
        wide = x.double()
        value = wide / 2 * torch.erfc(-wide / 2**0.5)
        return torch.where((x > -9) & (x < -6), torch.zeros_like(x), value.to(x.dtype))

    lost = [f for f in serious(run(toy(call, steep), dtype, "forward")) if f.kind == "underflow"]
    assert len(lost) == 1
    lo, hi = float.fromhex(str(lost[0].lo)), float.fromhex(str(lost[0].hi))
    assert -9 < lo < -8.9
    assert -6.1 < hi < -6


def _steep(m: Context, x: Array) -> Array:
    return m.exp(-x * x) * m.erfc(x)


def _joined(m: Context, x: Array) -> Array:
    return m.where(x < 1, m.log_ndtr(x), m.log_ndtr(1) + (x - 1) * m.log_ndtr(x), smooth=True)


def moving(formula: Formula, name: str, fmt: Format) -> Column:
    return Column(formula=formula, reals={}, name=name, fmt=fmt)


@pytest.mark.parametrize("formula", [cancelling, _steep, _joined], ids=["cancelling", "steep", "joined"])
@pytest.mark.parametrize(("column", "order"), [("value", 0), ("d:x", 1), ("dd:x", 2)])
@pytest.mark.parametrize("name", ["bfloat16", "float32", "float64"])
def test_what_a_move_leads_to_is_always_excused(formula: Formula, column: str, order: int, name: str) -> None:
    """The enclosure of all moves lets go of nothing that one of them shows, down to the smallest floats."""
    fmt = format_of(name)
    tiny, least = fmt.smallest_normal, fmt.smallest_subnormal
    x = round_to(
        np.array([-3.3, -1.0, -0.1, 0.37, 0.99, 1.0, 1.01, 2.9, tiny, 7 * tiny, 3 * least, least]), fmt
    )
    wrt = ("x",) if order else ()
    exact = exact_points(formula, {"x": x}, fmt, wrt=wrt, order=order).columns[column]
    for units_moved in (-8, 8):
        step = np.where(np.abs(x) < tiny, units_moved * least / 2, 0.0)
        numbers = [
            arb(float(v)) * (1 + arb(units_moved if not s else 0) / 2**fmt.precision) + arb(float(s))
            for v, s in zip(x, step, strict=True)
        ]
        moved = enclose(formula, {"x": np.array(numbers, dtype=object)}, fmt, wrt=wrt, order=order)
        got = round_exact(to_exact(moved.columns[column], fmt, moved.settled[column]), fmt)
        inside = excused(moving(formula, column, fmt), {"x": x}, got, (exact, exact))
        assert np.all(inside | np.isnan(got)), x[~inside]


def test_what_no_move_leads_to_is_not_excused() -> None:
    fmt = format_of("float32")
    x = round_to(np.linspace(-4.0, 4.0, 41), fmt)
    exact = exact_points(_steep, {"x": x}, fmt, wrt=(), order=0).columns["value"]
    got = round_to(exact.to_float64() * 1.001, fmt)
    inside = excused(moving(_steep, "value", fmt), {"x": x}, got, (exact, exact))
    assert not inside.any()


def wrapped(m: Context, x: Array, *, period: float) -> Array:
    return m.remainder(x, period)


PERIODS = [{"period": 0.1}, {"period": 1e-3}]


def folded(x: torch.Tensor, *, period: float) -> torch.Tensor:
    """A remainder right in the moved range of x: that of binary64, of a divisor rounded to the dtype."""
    by = torch.tensor(period, dtype=x.dtype).double()
    return torch.remainder(x.double(), by).to(x.dtype)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_remainders_of_many_periods_are_ill_conditioned(dtype: str) -> None:
    """Moves of x lead through whole periods: every number from 0 to the divisor is in range, both ends included."""
    for period in PERIODS:
        op = toy(folded, wrapped, variants=[period], variants_only=True)
        assert serious(run(op, dtype, "forward")) == []


def test_a_remainder_beyond_its_divisor_is_not_excused() -> None:
    """Of however many periods: no remainder is negative, and none is larger than the divisor."""

    def beyond(x: torch.Tensor, *, period: float) -> torch.Tensor:
        return folded(x, period=period) - 2 * period

    result = run(toy(beyond, wrapped, variants=PERIODS, variants_only=True), "bfloat16", "forward")
    assert "sign" in {f.kind for f in serious(result)}
