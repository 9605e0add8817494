"""What pictures are drawn from: the points that a curve keeps, its inputs, and what moves in a row op."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from gradcheck_suite.engine import run_case
from gradcheck_suite.engine.cases import Case
from gradcheck_suite.engine.curves import kept
from gradcheck_suite.engine.rowcurves import row_curve
from gradcheck_suite.engine.rows import RowSubject
from gradcheck_suite.engine.run import subject_of
from gradcheck_suite.floats import FORMATS, all_values, infinity_ordinal, to_ordinal
from gradcheck_suite.inputs.pointwise import WINDOW
from gradcheck_suite.ops.registry import registry
from gradcheck_suite.ops.variants import at_variant
from gradcheck_suite.options import Settings
from gradcheck_suite.results import Curve, Result
from tests.engine.toys import DTYPES, bend, run, toy


def case(op: str, dtype: str, direction: str = "forward", **variant: Any) -> Case:
    found = registry().get(op)
    chosen = variant or dict(found.variants[0])
    return Case(op=at_variant(found, chosen), variant=chosen, dtype=dtype, direction=direction)


def row_subject(drawn: Case, settings: Settings) -> RowSubject:
    subject = subject_of(drawn, settings)
    assert isinstance(subject, RowSubject)
    return subject


def pictured(result: Result) -> Curve:
    assert result.curve is not None
    return result.curve


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_a_curve_is_as_smooth_as_a_textbook_draws_it(dtype: str, direction: str) -> None:
    curve = pictured(run(toy(bend), dtype, direction))
    x = np.array(curve.x)
    assert np.isin(WINDOW, x).all()
    assert np.all(np.diff(x) >= 0)
    assert 200 < len(x) < 500
    exact = dict(zip(curve.x, curve.exact, strict=True))
    assert exact[2.5] == (2.5 if direction == "forward" else 1.0)
    assert exact[-2.5] == (-1.25 if direction == "forward" else 0.5)
    assert curve.fixed == {}


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_curve_spans_the_whole_line_evenly(dtype: str) -> None:
    curve = pictured(run(toy(bend), dtype, "forward"))
    x, fmt = np.array(curve.x), FORMATS[dtype]
    outside = to_ordinal(x[np.abs(x) > 8], fmt) / infinity_ordinal(fmt)
    assert outside.min() < -0.985
    assert outside.max() > 0.985
    for side in (outside[outside < 0], outside[outside > 0]):
        assert np.diff(side).max() < 0.02


@pytest.mark.parametrize("name", ["float64", "float16"])
def test_of_each_piece_of_the_line_the_worst_point_is_kept(name: str) -> None:
    fmt = FORMATS[name]
    rng = np.random.RandomState(3)
    scattered = np.sort(rng.standard_normal(20_000) * 10.0 ** rng.uniform(-300, 300, 20_000))
    values = all_values(fmt) if fmt.bits == 16 else scattered
    x = values[np.isfinite(values)]
    ulp = rng.uniform(0, 1, len(x))
    ulp[rng.randint(0, len(x), 30)] = np.nan
    worst = np.linspace(100, len(x) - 100, 12).astype(int)
    ulp[worst] = 1e6 + np.arange(12)
    keep = kept(x, ulp, fmt)
    assert np.isin(worst, keep).all()
    place = to_ordinal(x, fmt).astype(float)
    assert np.diff(place[keep]).max() < np.ptp(place) / 50
    assert len(keep) < 700


def test_magnitudes_that_programs_meet_are_drawn_closely() -> None:
    fmt = FORMATS["float64"]
    x = np.linspace(-16, 16, 40_000)
    x = np.concatenate([[-1e300], np.sign(x) * 2.0**x, [1e300]])
    x = np.unique(x)
    keep = x[kept(x, np.zeros(len(x)), fmt)]
    inner = np.abs(keep[(np.abs(keep) > 2.0**-13) & (np.abs(keep) < 2.0**13)])
    assert np.diff(np.log2(np.sort(inner))).max() < 0.6


def test_a_short_or_even_line_is_kept_whole() -> None:
    fmt = FORMATS["float32"]
    x = np.arange(1.0, 9.0)
    assert np.isin(np.arange(8), kept(x, np.zeros(8), fmt)).all()
    assert kept(np.array([3.0]), np.array([np.nan]), fmt).tolist() == [0]


def test_several_inputs_have_a_curve_each_with_the_others_fixed() -> None:
    (result,) = run_case(case("xlogy", "float32"), Settings())
    first, *others = [pictured(result), *result.other_curves]
    assert (first.probe, list(first.fixed)) == ("input", ["other"])
    assert np.isin(WINDOW[::2], first.x).all()
    assert [(c.probe, list(c.fixed)) for c in others] == [("other", ["input"])]
    fixed = float.fromhex(first.fixed["other"])
    for x, exact in zip(first.x, first.exact, strict=True):
        if x > 0 and exact is not None and fixed > 0 and 1e-30 < x < 1e30:
            assert exact == pytest.approx(x * np.log(fixed), rel=1e-6)


@pytest.mark.parametrize("dtype", ["float64", "bfloat16"])
def test_one_entry_of_a_row_moves(dtype: str) -> None:
    subject = row_subject(case("softmax", dtype, dim=-1), Settings())
    value, gradient = row_curve(subject, "value"), row_curve(subject, "d:input")
    assert value is not None
    assert gradient is not None
    assert value.probe == gradient.probe == "input[0]"
    (first, *rest) = value.fixed["input"]
    assert first == "x"
    others = np.exp([float.fromhex(v) for v in rest]).sum()
    for x, exact, slope in zip(value.x, value.exact, gradient.exact, strict=True):
        assert exact is not None
        assert slope is not None
        if abs(x) <= 8:
            expected = np.exp(x) / (np.exp(x) + others)
            assert exact == pytest.approx(expected, rel=1e-12)
            assert slope == pytest.approx(expected * (1 - expected), rel=1e-9)
    assert np.isin(np.linspace(-8, 8, 33), value.x).all()
    assert max(value.x) > 1e30
    assert all(u is not None and u >= 0 for u in value.ulp)


def test_a_row_is_drawn_for_the_first_variant_and_the_first_input_only() -> None:
    assert row_curve(row_subject(case("softmax", "float32", dim=0), Settings()), "value") is None
    assert row_curve(row_subject(case("softmax", "float32"), Settings(budget="quick")), "value") is None
    subject = row_subject(case("cosine_similarity", "float32"), Settings())
    assert row_curve(subject, "d:x1") is not None
    assert row_curve(subject, "d:x2") is None
    assert row_curve(subject, "dd:x1") is None


def test_a_constant_is_not_worth_a_picture() -> None:
    # The smallest attention has a single key, over which the softmax is 1 whatever the query says.
    subject = row_subject(case("scaled_dot_product_attention", "float32"), Settings())
    curve = row_curve(subject, "value")
    assert curve is not None
    assert len(set(curve.exact)) > 10


@pytest.mark.parametrize("op", ["gelu", "mse_loss", "softmax"])
def test_pictures_are_drawn_only_where_they_are_wanted(op: str) -> None:
    drawn, plain = (run_case(case(op, "bfloat16"), Settings(pictures=p))[0] for p in (True, False))
    assert drawn.curve is not None
    empty: dict[str, Any] = {"seconds": 0.0, "curve": None, "other_curves": (), "grid": None}
    assert plain.curve is None
    assert plain.grid is None
    assert not plain.other_curves
    assert dataclasses.replace(drawn, **empty) == dataclasses.replace(plain, **empty)
