"""The cover audited against arb at 600 bits on 10^5 points, and against mpmath on 10^4: no violation."""

from __future__ import annotations

from functools import cache
from typing import Any

import mpmath
import numpy as np
import numpy.typing as npt
import pytest
from flint import arb

from gradcheck_suite.floats import (
    FORMATS,
    Exact,
    Format,
    all_values,
    from_ordinal,
    infinity_ordinal,
    to_ordinal,
)
from gradcheck_suite.formula import taylor
from gradcheck_suite.formula.cover import HALF, Cover
from gradcheck_suite.formula.evaluate import derivatives
from gradcheck_suite.formula.fields import ARB, MPMATH
from gradcheck_suite.formula.points import bind
from gradcheck_suite.formula.polynomials import TARGET
from gradcheck_suite.ops.registry import registry

Floats = npt.NDArray[np.float64]

FLOAT32 = FORMATS["float32"]
COLUMNS = ("value", "d:x", "dd:x")

AUDITED: dict[str, tuple[str, dict[str, Any]]] = {
    "tanh": ("tanh", {}),
    "gelu": ("gelu", {}),
    "gelu-tanh": ("gelu", {"approximate": "tanh"}),
    "silu": ("silu", {}),
    "mish": ("mish", {}),
    "softplus": ("softplus", {}),
    "softplus-10": ("softplus", {"beta": 10.0}),
    "logsigmoid": ("logsigmoid", {}),
    "softsign": ("softsign", {}),
    "tanhshrink": ("tanhshrink", {}),
    "elu": ("elu", {}),
    "celu": ("celu", {"alpha": -2.0}),
    "hardswish": ("hardswish", {}),
    "softshrink": ("softshrink", {"lambd": 0.1}),
}
# Grid, order, degree, margin: the covers that runs and sweeps use; and how many of 10^5 points each takes.
KINDS: dict[str, tuple[Format, int, int, int]] = {
    "half": (HALF, 1, 10, 1),
    "half-second": (HALF, 2, 12, 1),
    "float32": (FLOAT32, 1, 10, 9),
}
POINTS = {"half": 1800, "half-second": 1200, "float32": 4200}
MPMATH_POINTS = 240


@cache
def formula_of(name: str) -> Any:
    op_name, variant = AUDITED[name]
    op = registry().get(op_name)
    return bind(op.formula, op.params(variant), op.reals(variant))


@cache
def cover_of(name: str, kind: str) -> Cover:
    fmt, order, degree, margin = KINDS[kind]
    return taylor.build(formula_of(name), fmt, order=order, degree=degree, margin=margin)


def sample(cover: Cover, count: int, seed: int) -> Floats:
    """Floats of the grid: anywhere, where functions bend, and at the ends of blocks; those in no block left
    out.
    """
    rng, fmt = np.random.default_rng(seed), cover.fmt
    near, far = ((e - fmt.emin + 1) << (fmt.precision - 1) for e in (-12, 8))
    part = count // 3
    anywhere = rng.integers(0, infinity_ordinal(fmt), part) * rng.choice([-1, 1], part)
    bent = rng.integers(near, far, part) * rng.choice([-1, 1], part)
    ends = rng.choice(np.concatenate([cover.first, cover.last]), part)
    x = np.concatenate([from_ordinal(anywhere, fmt), from_ordinal(bent, fmt), ends])
    return x[cover.find(x)[1]]


def unit(value: arb, fmt: Format) -> float:
    size = abs(value)
    if size < arb((1, fmt.emin)):
        return 2.0**fmt.ulp_exponent_min
    exponent = int(np.floor(np.log2(float(size.mid())))) if size < arb((1, 1000)) else fmt.emax
    return 2.0 ** (min(exponent, fmt.emax) - fmt.precision + 1)


def check(exact: arb, value: float, bound: float, fmt: Format) -> None:
    """Within the stated bound, and within the target of the cover."""
    if abs(value) >= 2.0 ** (fmt.emax + 1):
        assert exact.abs_lower() > arb((1, fmt.emax + 1))
        assert (exact > 0) == (value > 0)
        return
    gap = (exact - arb(value)).abs_upper()
    assert gap <= arb(bound), (exact, value, bound)
    assert gap <= arb(unit(exact, fmt) * TARGET), (exact, value)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", AUDITED)
def test_no_point_is_further_from_arb_than_its_bound(name: str, kind: str) -> None:
    cover = cover_of(name, kind)
    x = sample(cover, POINTS[kind], seed=len(name))
    assert len(x) > 0.9 * POINTS[kind]
    block, _ = cover.find(x)
    with ARB.precision(600):
        balls = {"x": np.array([arb(float(v)) for v in x], dtype=object)}
        exact, _ = derivatives(formula_of(name), ARB, balls, ("x",), cover.order)
        for derivative in range(cover.order + 1):
            value, bound = cover.evaluate(x, block, derivative)
            for ball, v, b in zip(exact[COLUMNS[derivative]], value.tolist(), bound.tolist(), strict=True):
                check(ball, v, b, cover.fmt)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", AUDITED)
def test_no_point_is_further_from_mpmath_than_its_bound(name: str, kind: str) -> None:
    cover = cover_of(name, kind)
    x = sample(cover, MPMATH_POINTS, seed=100 + len(name))
    block, _ = cover.find(x)
    # 1 - 1e-38 and the like: bits for the whole range of float32 on both sides of 1.
    with MPMATH.precision(700):
        numbers = {"x": np.array([mpmath.mpf(float(v)) for v in x], dtype=object)}
        exact, _ = derivatives(formula_of(name), MPMATH, numbers, ("x",), 1)
        for derivative in (0, 1):
            value, bound = cover.evaluate(x, block, derivative)
            for number, v, b in zip(exact[COLUMNS[derivative]], value.tolist(), bound.tolist(), strict=True):
                if abs(v) < 2.0 ** (cover.fmt.emax + 1):
                    assert abs(number - mpmath.mpf(v)) <= mpmath.mpf(b)


@pytest.mark.parametrize("name", [n for n in AUDITED if n != "celu"])
def test_nearly_every_float_has_a_block(name: str) -> None:
    half = cover_of(name, "half")
    for dtype in ("float16", "bfloat16"):
        x = all_values(FORMATS[dtype])
        assert half.find(x[np.isfinite(x)])[1].mean() > 0.97
    single = cover_of(name, "float32")
    floats = np.abs(to_ordinal(single.last, FLOAT32) - to_ordinal(single.first, FLOAT32)) + 1
    assert int(floats.sum()) > 2 * infinity_ordinal(FLOAT32) - 3000


def test_blocks_rise_and_do_not_overlap() -> None:
    for kind in KINDS:
        cover = cover_of("gelu", kind)
        assert (cover.first <= cover.last).all()
        assert (cover.last[:-1] <= cover.first[1:]).all()
        assert (cover.low <= cover.first).all()
        assert (cover.last <= cover.high).all()


def test_kinks_lie_in_no_block() -> None:
    cover = cover_of("softshrink", "float32")
    kink = float(np.float32(0.1))
    beside = from_ordinal(to_ordinal(kink, FLOAT32) + np.arange(-2, 3), FLOAT32)
    assert not cover.find(np.concatenate([beside, -beside]))[1].any()
    assert cover.find(np.array([0.0999, 0.1001, -0.2]))[1].all()


def test_a_formula_of_straight_pieces_needs_few_blocks() -> None:
    relu = registry().get("relu")
    cover = taylor.build(bind(relu.formula, {}, {}), FLOAT32, order=2)
    assert len(cover) == 2
    x = np.array([-3e38, -1e-45, 1e-45, 7.5])
    block, inside = cover.find(x)
    assert inside.all()
    assert cover.evaluate(x, block, 0)[0].tolist() == [0, 0, 1e-45, 7.5]
    assert cover.evaluate(x, block, 1)[0].tolist() == [0, 0, 1, 1]


def test_reals_between_floats_belong_to_a_block() -> None:
    cover = cover_of("tanh", "half")
    x = sample(cover, 900, seed=3) * (1 + 2.0**-13)
    x = x[np.abs(x) < FLOAT32.max]
    block, inside = cover.find(x)
    assert inside.mean() > 0.98
    value, bound = cover.evaluate(x, block, 0)
    with ARB.precision(300):
        gaps = [(arb(float(t)).tanh() - arb(v)).abs_upper() for t, v in zip(x, value.tolist(), strict=True)]
    assert all(gap <= arb(b) for gap, b, ok in zip(gaps, bound.tolist(), inside, strict=True) if ok)


def test_digits_that_a_naive_formula_loses_are_made_up_for_by_precision() -> None:
    # 1 - (1 - x^2) loses 2*126 bits at the smallest normal float32: 192 are not enough.
    def naive(m: Any, x: Any) -> Any:
        return (1 - (1 - x * x) * 1) / x

    cover = taylor.build(naive, FLOAT32, order=1)
    x = np.array([1e-30, 2.0**-100 * 1.5, 3.25])
    block, inside = cover.find(x)
    assert inside.all()
    assert np.allclose(cover.evaluate(x, block, 0)[0], x, rtol=2.0**-43, atol=0)


def test_values_past_the_format_are_told_by_sign_and_size() -> None:
    cover = taylor.build(lambda m, x: -m.exp(x), FLOAT32, order=1)
    x = np.array([89.5, 120.0, 500.0, 1e30])
    block, inside = cover.find(x)
    assert inside.all()
    for derivative in (0, 1):
        assert (cover.evaluate(x, block, derivative)[0] <= -(2.0**128)).all()


def test_a_formula_without_taylor_arithmetic_has_no_blocks() -> None:
    cover = taylor.build(lambda m, x: m.stop(x), FLOAT32)
    assert len(cover) == 0
    assert not cover.find(np.array([1.0]))[1].any()


def test_undefined_stretches_are_given_up() -> None:
    cover = taylor.build(lambda m, x: m.log(x), HALF, order=1)
    assert not cover.find(np.array([-1.0, -1e30, -1e-30]))[1].any()
    assert cover.find(np.array([0.3, 1e30, 1e-30]))[1].all()


def test_exact_values_carry_the_bound_as_their_radius() -> None:
    cover = cover_of("gelu", "half")
    x = sample(cover, 900, seed=9)
    block, _ = cover.find(x)
    value, bound = cover.evaluate(x, block, 1)
    exact: Exact = cover.exact(x, block, 1)
    known = np.abs(value) > bound
    assert np.array_equal(exact.to_float64()[known], value[known])
    radius = np.ldexp(exact.rad, exact.exp)
    assert (radius[known] >= bound[known] * (1 - 2.0**-50)).all()
    assert (exact.to_float64()[~known] == 0).all()
    assert (radius[~known] >= np.abs(value[~known])).all()
