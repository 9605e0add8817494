from __future__ import annotations

from typing import Any

import mpmath
import numpy as np
import pytest
from flint import arb

from gradcheck_suite.formula.evaluate import derivatives
from gradcheck_suite.formula.fields import ARB, SMOOTH
from gradcheck_suite.formula.jets import JETS, Jet, JetContext, NoJet, coefficients, variable
from gradcheck_suite.formula.points import bind
from gradcheck_suite.formula.tape import Array, objects
from gradcheck_suite.ops.registry import registry

LENGTH = 9
FUNCTIONS = [name for name in SMOOTH if name in vars(JETS)]
ONE_INPUT = [op for op in registry() if op.pointwise and len(op.inputs) == 1]

MPMATH = {
    "sech2": lambda x: mpmath.sech(x) ** 2,
    "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)),
    "softplus": lambda x: mpmath.log(1 + mpmath.exp(x)),
    "gauss": lambda x: mpmath.exp(-x * x),
    "lgamma": mpmath.loggamma,
    "trigamma": lambda x: mpmath.psi(1, x),
    "erfcinv": lambda x: mpmath.erfinv(1 - x),
    "sinc": mpmath.sincpi,
}


def jet(function: Any, centre: arb, length: int = LENGTH, bits: int = 300) -> list[arb]:
    with JETS.precision(bits, length):
        return coefficients(function(variable(centre, arb(1))), length)


def expand(formula: Any, point: Any) -> list[arb]:
    def f(x: Jet) -> Any:
        return formula(JetContext(JETS), x=Array(JETS, objects(x))).value[()]

    return jet(f, arb(point))


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("point", [0.3125, 0.875])
def test_smooth_functions_have_the_taylor_coefficients_of_mpmath(name: str, point: float) -> None:
    with mpmath.workdps(60):
        want = mpmath.taylor(MPMATH.get(name) or getattr(mpmath, name), mpmath.mpf(point), LENGTH - 1)
        got = jet(getattr(JETS, name), arb(point))
        for k, (ball, value) in enumerate(zip(got, want, strict=True)):
            gap = abs(mpmath.mpf(ball.mid().str(60, radius=False)) - value)
            assert gap <= mpmath.mpf(10) ** -25 * max(abs(value), 1), (name, k)


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("point", [-0.7, 0.0, 1e-30, 25.5, 1000.0, -1000.0])
def test_the_value_is_as_sharp_as_the_scalar_function(name: str, point: float) -> None:
    found = jet(getattr(JETS, name), arb(point))
    with ARB.precision(300):
        value = getattr(ARB, name)(arb(point))
    if value.is_finite():
        assert found[0].overlaps(value)
        assert found[0].rel_accuracy_bits() >= value.rel_accuracy_bits()


@pytest.mark.parametrize("name", ["tanh", "sigmoid", "softplus", "sech2", "erfc", "gauss", "expm1", "log1p"])
def test_a_wide_ball_encloses_the_derivatives_of_its_points(name: str) -> None:
    function = getattr(JETS, name)
    whole = jet(function, arb(0.5, 0.25))
    for point in (0.25, 0.3, 0.5, 0.625, 0.75):
        inner = jet(function, arb(point))
        assert all(b.overlaps(a) for a, b in zip(inner, whole, strict=True))
        assert all(bool(a.mid() in b) for a, b in zip(inner, whole, strict=True))


@pytest.mark.parametrize("x", [-40.0, -3.3, -0.7, 2.0**-60, 0.4, 2.75, 19.0])
@pytest.mark.parametrize("op", ONE_INPUT, ids=lambda op: op.name)
def test_jets_agree_with_the_reverse_tape(op: Any, x: float) -> None:
    if op.domain is not None and not np.all(op.domain(op.params(op.variants[-1]), {op.inputs[0]: np.array([x])})):
        pytest.skip("outside the domain")
    for variant in op.variants:
        formula = bind(op.formula, op.params(variant), op.reals(variant))
        found = expand(formula, x)
        with ARB.precision(300):
            point = {op.inputs[0]: np.array([arb(x)], dtype=object)}
            tape, (tie, clamped) = derivatives(formula, ARB, point, op.inputs, 2)
        if tie.any() or clamped.any():
            continue
        name = op.inputs[0]
        want = (tape["value"][0], tape[f"d:{name}"][0], tape[f"dd:{name}"][0])
        for factor, ball, exact in zip((1, 1, 2), found, want, strict=False):
            assert (factor * ball).overlaps(exact) or not exact.is_finite(), (variant, ball, exact)
            assert ball.is_finite() or not exact.is_finite()


def test_comparisons_of_wide_balls_are_undecided() -> None:
    m = JetContext(JETS)
    with JETS.precision(100, 4):
        x = Array(JETS, np.array([variable(arb(0, 1), arb(1)), variable(arb(3, 1), arb(1))], dtype=object))
        y = m.relu(x)
    assert [mask.tolist() for mask in m.undecided] == [[True, False]]
    assert coefficients(y.value[1], 3)[1] == 1


def test_division_by_a_ball_around_zero_is_undefined_in_every_coefficient() -> None:
    found = jet(lambda x: JETS.div(arb(1), x), arb(0, 1))
    assert not any(c.is_finite() for c in found)


def test_arguments_beyond_every_format_stay_finite_or_saturate() -> None:
    small, large = jet(JETS.exp, arb(-1e300)), jet(JETS.tanh, arb(1e300))
    assert all(c.abs_upper() < arb((1, -2000)) for c in small)
    assert bool(large[0].overlaps(arb(1)))
    assert all(c.abs_upper() < arb((1, -2000)) for c in large[1:])


def test_the_settings_of_flint_are_restored() -> None:
    from flint import ctx

    before = ctx.prec, ctx.cap
    jet(JETS.exp, arb(1))
    assert (ctx.prec, ctx.cap) == before


def test_a_stopped_derivative_and_an_unknown_function_are_refused() -> None:
    with pytest.raises(NoJet, match=r"m\.stop"):
        JetContext(JETS).stop(Array(JETS, objects(arb(1))))
    with pytest.raises(NoJet, match="bessel"):
        JETS.bessel(arb(1))
