"""Jets against three other ways to the same derivatives: mpmath's Taylor series, the scalar field, the
reverse tape.
"""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np
import pytest
from flint import arb, ctx

from gradcheck_suite.formula.evaluate import derivatives
from gradcheck_suite.formula.fields import ARB, SMOOTH
from gradcheck_suite.formula.jets import JETS, Jet, JetContext, NoJet, coefficients, variable
from gradcheck_suite.formula.points import bind
from gradcheck_suite.formula.tape import Array, objects
from gradcheck_suite.ops.record import Op
from gradcheck_suite.ops.registry import registry

LENGTH = 9
FUNCTIONS = [name for name in SMOOTH if name in vars(JETS)]
INSIDE = {"acosh": 2.0}
"""What moves the points of (0, 1) into the domain of a function."""

ONE_INPUT = [op for op in registry() if op.pointwise and len(op.inputs) == 1 and not op.extras]

MPMATH: dict[str, Any] = {
    "sech2": lambda x: mpmath.sech(x) ** 2,
    "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)),
    "softplus": lambda x: mpmath.log(1 + mpmath.exp(x)),
    "gauss": lambda x: mpmath.exp(-x * x),
    "lgamma": mpmath.loggamma,
    "rsqrt": lambda x: 1 / mpmath.sqrt(x),
    "trigamma": lambda x: mpmath.psi(1, x),
    **{f"psi{n}": lambda x, n=n: mpmath.psi(n, x) for n in (2, 3, 4, 5)},
    "erfcinv": lambda x: mpmath.erfinv(1 - x),
    "sinc": mpmath.sincpi,
}


def jet(function: Any, centre: float, radius: float = 0.0, bits: int = 300) -> tuple[list[arb], list[arb]]:
    """Coefficients of function(centre + t) at t = 0, and over |t| <= radius."""
    with JETS.precision(bits, LENGTH):
        return coefficients(function(variable(arb(centre), arb(1), radius)), LENGTH)


def of_formula(formula: Any) -> Any:
    """A formula as a function of a jet."""
    return lambda x: formula(JetContext(JETS), x=Array(JETS, objects(x))).value[()]


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("point", [0.3125, 0.875])
def test_functions_have_the_taylor_coefficients_of_mpmath(name: str, point: float) -> None:
    point += INSIDE.get(name, 0.0)
    found, _ = jet(getattr(JETS, name), point)
    with mpmath.workdps(60):
        want = mpmath.taylor(MPMATH.get(name) or getattr(mpmath, name), mpmath.mpf(point), LENGTH - 1)
        for ball, value in zip(found, want, strict=True):
            gap = abs(mpmath.mpf(ball.mid().str(60, radius=False)) - value)
            assert gap <= mpmath.mpf(10) ** -25 * max(abs(value), 1)


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("point", [-0.7, 0.0, 1e-30, 25.5, 1000.0, -1000.0])
def test_values_are_as_sharp_as_those_of_the_scalar_function(name: str, point: float) -> None:
    found, _ = jet(getattr(JETS, name), point)
    with ARB.precision(300):
        value = getattr(ARB, name)(arb(point))
    if value.is_finite():
        assert found[0].overlaps(value)
        assert found[0].rel_accuracy_bits() >= value.rel_accuracy_bits()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_an_enclosure_over_an_interval_holds_the_derivatives_at_its_points(name: str) -> None:
    function, inside = getattr(JETS, name), INSIDE.get(name, 0.0)
    _, whole = jet(function, inside + 0.5, 0.25)
    for point in (0.25, 0.3, 0.5, 0.625, 0.75):
        at, _ = jet(function, inside + point)
        assert all(ball.is_finite() for ball in whole)
        assert all(bool(exact.mid() in ball) for exact, ball in zip(at, whole, strict=True))


@pytest.mark.parametrize("x", [-40.0, -3.3, -0.7, 2.0**-60, 0.4, 2.75, 19.0])
@pytest.mark.parametrize("op", ONE_INPUT, ids=lambda op: op.name)
def test_jets_agree_with_the_reverse_tape(op: Op, x: float) -> None:
    (name,) = op.inputs
    for variant in op.variants:
        params = op.params(variant)
        if op.domain is not None and not np.all(op.domain(params, {name: np.array([x])})):
            continue
        formula = bind(op.formula, params, op.reals(variant))
        with ARB.precision(300):
            point = {name: np.array([arb(x)], dtype=object)}
            tape, masks = derivatives(formula, ARB, point, (name,), 2)
        if masks.tie.any() or masks.clamped.any():
            continue
        try:
            found, _ = jet(of_formula(formula), x)
        except NoJet as reason:
            pytest.skip(str(reason))
        want = (tape["value"][0], tape[f"d:{name}"][0], tape[f"dd:{name}"][0])
        for factor, ball, exact in zip((1, 1, 2), found, want, strict=False):
            if exact.is_finite():
                assert (factor * ball).overlaps(exact), (variant, ball, exact)
                assert ball.is_finite()


def test_comparisons_that_change_within_the_interval_are_undecided() -> None:
    m = JetContext(JETS)
    with JETS.precision(100, 4):
        jets = [variable(arb(centre), arb(1), 1.0) for centre in (0, 3, -3)]
        y = m.relu(Array(JETS, np.array(jets, dtype=object)))
    assert [mask.tolist() for mask in m.undecided] == [[True, False, False]]
    assert coefficients(y.value[1], 3)[1][1] == 1
    assert coefficients(y.value[2], 3)[1][1] == 0


def test_signs_outlive_balls_that_are_too_wide_for_them() -> None:
    # A ball around e^(2^50) and e^(2^60) holds 0, yet both are above it.
    with JETS.precision(100, 4):
        x = variable(arb(2.0**59), arb(1), 2.0**58)
        grown = JETS.expm1(x)
        assert grown.ball[0].overlaps(arb(-1))
        assert JETS.compare(grown, arb(0)) == 1
        assert JETS.compare(arb(-3) * grown, arb(0)) == -1
        assert JETS.compare(arb(0), grown * grown + 1) == -1


def test_a_difference_that_a_quotient_hides_is_found() -> None:
    # x/(1 + x) is 1 - 1/x for large x; its derivative 1/(1 + x)^2 needs that difference.
    _, over = jet(lambda x: JETS.div(x, 1 + x), 2.0**40, 2.0**37)
    assert over[1].abs_upper() < arb(4) / arb(2) ** 80


def test_division_by_what_may_be_zero_is_undefined_in_every_coefficient() -> None:
    _, over = jet(lambda x: JETS.div(arb(1), x), 0.5, 1.0)
    assert not any(ball.is_finite() for ball in over)


def test_arguments_beyond_every_format_saturate() -> None:
    nothing, one = jet(JETS.exp, -1e300)[0], jet(JETS.tanh, 1e300)[0]
    assert all(ball.abs_upper() < arb((1, -2000)) for ball in nothing)
    assert one[0].overlaps(arb(1))
    assert all(ball.abs_upper() < arb((1, -2000)) for ball in one[1:])


def test_constants_stay_plain_numbers() -> None:
    with JETS.precision(100, 4):
        assert isinstance(JETS.exp(JETS.number(1)), arb)
        assert not isinstance(JETS.div(JETS.number(1), JETS.number(3)), Jet)


def test_settings_of_flint_are_restored() -> None:
    before = ctx.prec, ctx.cap
    jet(JETS.exp, 1.0)
    assert (ctx.prec, ctx.cap) == before


def test_what_has_no_taylor_arithmetic_is_refused() -> None:
    x = Array(JETS, objects(arb(1)))
    with pytest.raises(NoJet, match=r"m\.stop"):
        JetContext(JETS).stop(x)
    with pytest.raises(NoJet, match=r"m\.documented_max"):
        JetContext(JETS).documented_max(x, 0)
    with pytest.raises(NoJet, match="bessel"):
        JETS.bessel(arb(1))
