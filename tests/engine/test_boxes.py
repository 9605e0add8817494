"""What balls that hold all moves tell, against the moves themselves: exact results of many of them by mpmath."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import mpmath
import numpy as np
import numpy.typing as npt
import pytest

from gradcheck_suite.engine.boxes import Bounds, bounds, enclosures
from gradcheck_suite.engine.conditioning import Column, excused, units
from gradcheck_suite.engine.pointwise import scaled
from gradcheck_suite.floats import Exact, Format, format_of, round_exact, round_to
from gradcheck_suite.formula.context import Context
from gradcheck_suite.formula.evaluate import Formula, derivatives, enclose, sloped, start_precision, to_exact
from gradcheck_suite.formula.fields import ARB, MPMATH
from gradcheck_suite.formula.tape import Array, elementwise

Floats = npt.NDArray[np.float64]
Point = Mapping[str, float]

_BITS = {"float64": 2600, "float32": 700, "bfloat16": 700}
_DTYPES = list(_BITS)


def cancelling(m: Context, x: Array) -> Array:
    return x - m.tanh(x)


def remainder(m: Context, x: Array, y: Array) -> Array:
    return m.fmod(x, y)


def lost(m: Context, x: Array, y: Array) -> Array:
    return x * m.exp(y) - m.log1p(x * y)


def likely(m: Context, x: Array, y: Array) -> Array:
    return m.xlogy(x, y * y) - m.hypot(x, y) * m.erf(x)


def picked(m: Context, x: Array, y: Array) -> Array:
    return m.one_hot_max(m.stack([x, y]), 0)[0] * x


ONE: dict[str, Formula] = {
    "cancelling": cancelling,
    "steep": lambda m, x: m.exp(-x * x) * m.erfc(x),
    "wave": lambda m, x: m.sinc(x),
    "pole": lambda m, x: 1 / (x - 1),
    "end of the domain": lambda m, x: m.log(x) * m.sqrt(x),
    "kink": lambda m, x: m.maximum(x, x / 2) * m.cos(x),
    "jump": lambda m, x: m.round(x) * x,
    "clamped": lambda m, x: m.documented_max(m.log(x * x), -2),
    "stopped": lambda m, x: m.stop(m.exp(x)) * x,
    "passed through": lambda m, x: m.through(m.round(x), x * x),
    "tail": lambda m, x: m.erfcx(x),
}  # fmt: skip
TWO: dict[str, Formula] = {
    "lost": lost,
    "likely": likely,
    "remainder": remainder,
    "picked": picked,
    "angle": lambda m, x, y: m.atan2(y, x),
    "softmax": lambda m, x, y: m.softmax(m.stack([x, y]), 0)[0],
    "product with zero": lambda m, x, y: m.xlogy(0 * x, y) + (x - x) * y,
    "larger": lambda m, x, y: m.maximum(x, y) * m.exp(x),
}


def points(fmt: Format, count: int) -> Iterator[Point]:
    """Points of one or two numbers, some of which adjoin; the smallest numbers and 0 among them."""
    tiny, least = fmt.smallest_normal, fmt.smallest_subnormal
    firsts = [0.0, 1.0, 1.01, -0.5, 2.5, 9.3, -3.3, 0.37, 1e-3, tiny, -7 * tiny, 3 * least, least]
    for k, x in enumerate(round_to(np.array(firsts), fmt).tolist()):
        seconds = [x, x * (1 + 6 * fmt.unit_roundoff), 0.7, -2.0, 5 * least]
        for y in [round_to(np.array(seconds), fmt).tolist()[k % 5]] if count > 1 else [0.0]:
            yield {"x": x, "y": y} if count > 1 else {"x": x}


def reached(formula: Formula, point: Point, column: str, scale: float, fmt: Format) -> list[Any]:
    """Exact results of the corners and of some moves between; none where there is none, or where it is a set."""
    rng = np.random.RandomState(1)
    moves = [tuple(units() * s for s in signs) for signs in itertools.product((-1, 0, 1), repeat=len(point))]
    moves += [tuple(rng.uniform(-units(), units(), len(point))) for _ in range(4)]
    with MPMATH.precision(_BITS[fmt.name]), MPMATH.far_exponentials():
        given = {
            n: np.array([moved(x, move[i], fmt) for move in moves], dtype=object)
            for i, (n, x) in enumerate(point.items())
        }
        wrt = (column[2:],) if column != "value" else ()
        found, masks = derivatives(formula, MPMATH, given, wrt, len(wrt))
        set_valued = (masks.tie | masks.clamped) & (column != "value")
        return [
            v * mpmath.mpf(scale)
            for v, several in zip(found[column], set_valued, strict=True)
            if not (several or mpmath.isnan(v))
        ]


def moved(x: float, by: float, fmt: Format) -> Any:
    if x and abs(x) < fmt.smallest_normal:
        return mpmath.mpf(x) + mpmath.mpf(by) * fmt.smallest_subnormal / 2
    return mpmath.mpf(x) * (1 + mpmath.mpf(by) * fmt.unit_roundoff)


def numbers(point: Point, size: int = 1) -> dict[str, Floats]:
    return {n: np.full(size, x) for n, x in point.items()}


def centre(formula: Formula, point: Point, column: str, scale: float, fmt: Format) -> Exact:
    wrt = (column[2:],) if column != "value" else ()
    given = {n: x.astype(object) for n, x in numbers(point).items()}
    found = enclose(formula, given, fmt, wrt=wrt, order=len(wrt))
    return scaled(to_exact(found.columns[column], fmt, found.settled[column]), scale)


def bounded(formula: Formula, point: Point, column: str, scale: float, fmt: Format) -> Bounds:
    here = centre(formula, point, column, scale, fmt)
    return bounds(formula, numbers(point), here, column=column, scale=scale, fmt=fmt, units=units())


def cases(count: int) -> list[tuple[str, float]]:
    return [("value", 1.0), ("d:x", 1.0), ("d:x", -1.5)] + ([("d:y", 2.0**-9)] if count > 1 else [])


def to_floats(values: Sequence[Any]) -> Floats:
    """Rounded to nearest; what is past binary64 is infinite."""
    with mpmath.workprec(2000):
        return np.array(
            [mpmath.inf if v > 2**1024 else -mpmath.inf if v < -(2**1024) else v for v in values], float
        )


@pytest.mark.parametrize("dtype", _DTYPES)
@pytest.mark.parametrize("name", [*ONE, *TWO])
def test_no_move_leads_beyond_and_some_moves_reach(name: str, dtype: str) -> None:
    fmt, count = format_of(dtype), 1 if name in ONE else 2
    formula = (ONE | TWO)[name]
    for point, (column, scale) in itertools.product(points(fmt, count), cases(count)):
        results = to_floats(reached(formula, point, column, scale, fmt))
        if not len(results):
            continue
        low, high = results.min(), results.max()
        wrt = (column[2:],) if column != "value" else ()
        ends, masks = enclosures(
            formula,
            numbers(point),
            column=column,
            wrt=wrt,
            order=len(wrt),
            scale=scale,
            fmt=fmt,
            units=units(),
            bits=start_precision(fmt),
        )
        kinked = (masks.tie | masks.clamped | masks.undecided)[0]
        if column == "value" or not kinked:
            assert not low < ends[0][0], (point, column)
            assert not high > ends[1][0], (point, column)
        found = bounded(formula, point, column, scale, fmt)
        most, least = ([float(end[0]) for end in pair] for pair in found)
        # Of what is not known, NaN, all of these hold.
        assert not low < most[0], (point, column)
        assert not high > most[1], (point, column)
        assert not least[0] < low, (point, column)
        assert not least[1] > high, (point, column)


@pytest.mark.parametrize("column", ["value", "d:x"])
@pytest.mark.parametrize("dtype", _DTYPES)
def test_both_ends_are_close_where_slopes_hardly_change(dtype: str, column: str) -> None:
    """A cancelling formula too: the digits that it loses are added."""
    fmt = format_of(dtype)
    for x in (2.0**-4, 0.75, 1.5):
        results = to_floats(reached(cancelling, {"x": x}, column, 1.0, fmt))
        width = results.max() - results.min()
        found = bounded(cancelling, {"x": x}, column, 1.0, fmt)
        slack = width * (2.0**-17 + 64 * units() * fmt.unit_roundoff)
        assert width - slack <= found.least[1][0] - found.least[0][0] <= width + slack
        assert width - slack <= found.most[1][0] - found.most[0][0] <= width + slack


def test_digits_that_a_formula_loses_are_added() -> None:
    """x - tanh x is 3e-85 at 1e-28, where its slope is 1e-56: 96 bits show nothing of that."""
    found = bounded(cancelling, {"x": 1e-28}, "value", 1.0, format_of("float64"))
    assert found.most[0][0] > 3e-85
    assert found.most[1][0] < 4e-85


@pytest.mark.parametrize(
    ("formula", "point", "column"),
    [
        (ONE["kink"], {"x": 0.0}, "d:x"),
        (TWO["larger"], {"x": 1.0, "y": 1.0}, "value"),
        (lambda m, x: m.where(x < 1, x * x, 2 * x - 1, smooth=True), {"x": 1.0}, "value"),
        (ONE["jump"], {"x": 2.5}, "value"),
        (ONE["clamped"], {"x": 0.1}, "d:x"),
        (ONE["stopped"], {"x": 1.0}, "d:x"),
        (ONE["passed through"], {"x": 1.2}, "value"),
        (TWO["angle"], {"x": -1.0, "y": 0.0}, "value"),
    ],
)
def test_slopes_tell_nothing_across_kinks_and_of_derivatives_that_are_none(
    formula: Formula, point: Point, column: str
) -> None:
    found = bounded(formula, point, column, 1.0, format_of("float32"))
    assert np.isnan([*found.most, *found.least]).all()


def test_mixed_derivatives_stand_for_each_other() -> None:
    """d(d:x)/dy, taken along x: of x^3 y^2 e^y it is 3 x^2 (2y + y^2) e^y."""
    formula: Formula = lambda m, x, y: x**3 * y**2 * m.exp(y)  # noqa: E731
    x, y = 1.25, -0.75
    given = {n: elementwise(ARB.number, v.astype(object)) for n, v in numbers({"x": x, "y": y}).items()}
    slopes, _ = sloped(formula, ARB, given, "d:x")
    e = np.exp(y)
    assert float(slopes["x"][0]) == pytest.approx(6 * x * y**2 * e, rel=1e-12)
    assert float(slopes["y"][0]) == pytest.approx(3 * x**2 * (2 * y + y**2) * e, rel=1e-12)


def ruled(
    formula: Formula, point: Point, column: str, computed: Floats, fmt: Format
) -> npt.NDArray[np.bool_]:
    """Which computed values the second ruler excuses at one point."""
    here = Exact.concatenate([centre(formula, point, column, 1.0, fmt)] * len(computed))
    told = Column(formula=formula, reals={}, name=column, fmt=fmt)
    return excused(told, numbers(point, len(computed)), computed, (here, here))


@pytest.mark.parametrize("dtype", _DTYPES)
@pytest.mark.parametrize("name", [*ONE, *TWO])
def test_the_second_ruler_excuses_all_that_a_move_reaches(name: str, dtype: str) -> None:
    """Near kinks, jumps, poles and ends of domains too; of jumps, what lies on the other branch."""
    fmt, count = format_of(dtype), 1 if name in ONE else 2
    formula = (ONE | TWO)[name]
    for point in list(points(fmt, count))[::3]:
        here = centre(formula, point, "value", 1.0, fmt)
        got = round_to(to_floats(reached(formula, point, "value", 1.0, fmt)), fmt)[: 3**count]
        got = got[got != round_exact(here, fmt)]
        if len(got) and np.isfinite(here.hi[0]):
            assert ruled(formula, point, "value", got, fmt).all(), (point, got)


def test_the_second_ruler_excuses_as_far_as_slopes_reach_and_no_farther() -> None:
    """x^3 moves by 24 units of roundoff with its input, and by another eight as a result."""
    fmt = format_of("float32")
    units_off = np.array([10.0, 20.0, 31.0, -31.0, 34.0, -34.0, 100.0])
    computed = round_to(1.5**3 * (1 + units_off * fmt.unit_roundoff), fmt)
    inside = ruled(lambda m, x: x**3, {"x": 1.5}, "value", computed, fmt)
    assert inside.tolist() == [True, True, True, True, False, False, False]


def test_a_gradient_across_a_kink_is_never_let_go_of() -> None:
    """1 and 1/2 are both slopes of max(x, 2^-10 + x/2) within a few units of x = 2^-9."""
    fmt = format_of("float32")
    formula: Formula = lambda m, x: m.maximum(x, m.const(2.0**-10) + x / 2)  # noqa: E731
    for steps, slopes in ((3, [0.5]), (-3, [1.0])):
        x = 2.0**-9 * (1 + steps * 2 * fmt.unit_roundoff)
        assert ruled(formula, {"x": x}, "d:x", np.array([*slopes, 3.0]), fmt).tolist() == [True, False]
