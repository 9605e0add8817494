"""How much each number of a call moves one entry of a result: first derivatives for the conditioning of rows.

Of a value by one reverse pass; of a gradient by forward over reverse along the axis of the entry; of a second
derivative by dual numbers of dual numbers.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from gradcheck_suite.formula.arrays import Problem, Wanted, as_array, exact_numbers, outputs
from gradcheck_suite.formula.context import Context
from gradcheck_suite.formula.dual import Dual, dual_over
from gradcheck_suite.formula.fields import ARB
from gradcheck_suite.formula.tape import Objects, Variable, gradient

Floats = npt.NDArray[np.float64]

_ARB: Any = ARB
_NO_SLOPES = {"cotangent": np.zeros(1), "direction": np.zeros(1)}
_MOST_BITS = 1024


def sensitivities(problem: Problem, wanted: Wanted, column: str, entry: int) -> dict[str, Floats]:
    """z * d(entry of column)/dz for every number z of the call, roughly: for signs and first-order estimates.

    The names are those of inputs and reals, "cotangent" and "direction".
    """
    prefix, _, name = column.partition(":")
    function = _slopes_of_gradient if prefix == "d" else _slopes_of_second
    bits = 96 + _largest_exponent(problem)
    while True:
        with ARB.precision(bits), np.errstate(all="ignore"):
            slopes = (
                _slopes_of_value(problem, entry)
                if column == "value"
                else function(problem, wanted, name, entry)
            )
        # A ball that holds 0 where the formula divides shows that the precision was too low.
        if bits > _MOST_BITS or all(np.isfinite(s).all() for s in slopes.values()):
            return slopes
        bits *= 8


def _largest_exponent(problem: Problem) -> int:
    """Bits that a number beside the largest input may need, as in a score with a huge mask."""
    sizes = [0.0]
    for x in (*problem.inputs.values(), *problem.reals.values()):
        array = as_array(x)
        if array.dtype == np.float64 and array.size:
            sizes.append(float(np.abs(array).max()))
    return max(int(np.frexp(max(sizes))[1]), 0)


def _slopes_of_value(problem: Problem, entry: int) -> dict[str, Floats]:
    m = Context(_ARB)
    variables, reals = _all_variables(m, problem)
    value = outputs(replace(problem, reals=reals), m, variables)
    one_hot = np.full(value.size, ARB.zero, dtype=object)
    one_hot[entry] = ARB.one
    names = [*variables, *reals]
    both = [*variables.values(), *reals.values()]
    slopes = {
        n: _rough(v.value, g) for n, v, g in zip(names, both, gradient(value, one_hot, both), strict=True)
    }
    return {**slopes, **_NO_SLOPES}


def _slopes_of_gradient(problem: Problem, wanted: Wanted, name: str, entry: int) -> dict[str, Floats]:
    """Along the axis of one entry, the dual part of every gradient is a row of the (symmetric) matrix of
    second derivatives, and the dual part of the value the derivative by the cotangent."""
    dual = dual_over(_ARB)
    m = Context(dual)
    variables, reals = _all_variables(m, problem)
    seed = variables[name].value.reshape(-1)
    seed[entry] = Dual(seed[entry].v, ARB.one)
    variables[name] = Variable(dual, seed.reshape(variables[name].shape))
    value = outputs(replace(problem, reals=reals), m, variables)
    cotangent = exact_numbers(dual, wanted.cotangent(value.size))
    names = [*variables, *reals]
    both = [*variables.values(), *reals.values()]
    grads = gradient(value, cotangent, both)
    slopes = {n: _rough_dual(v.value, g) for n, v, g in zip(names, both, grads, strict=True)}
    return {**slopes, **_NO_SLOPES, "cotangent": _rough_dual(cotangent, value.value)}


def _slopes_of_second(problem: Problem, wanted: Wanted, name: str, entry: int) -> dict[str, Floats]:
    """Dual numbers of dual numbers: inside along the direction v, outside along the axis of one entry.

    The mixed part of every gradient is then the gradient of that entry of H v, that of the value its
    derivative by the cotangent, and the outer part of the inputs' gradients its derivative by v.
    """
    inner = dual_over(_ARB)
    outer = dual_over(inner)
    m = Context(outer)
    variables, reals = _all_variables(m, problem)
    for n, x in problem.inputs.items():
        v = exact_numbers(ARB, x).reshape(-1)
        along = exact_numbers(ARB, wanted.direction_of(n)(v.size))
        axis = [inner.one if n == name and i == entry else inner.zero for i in range(v.size)]
        seed = np.empty(v.size, dtype=object)
        seed[:] = [Dual(Dual(a, d), e) for a, d, e in zip(v, along, axis, strict=True)]
        variables[n] = Variable(outer, seed.reshape(as_array(x).shape))
    value = outputs(replace(problem, reals=reals), m, variables)
    cotangent = exact_numbers(outer, wanted.cotangent(value.size))
    both = {**variables, **reals}
    grads = dict(zip(both, gradient(value, cotangent, list(both.values())), strict=True))
    mixed = np.frompyfunc(lambda a, b: _product(a.v.v, b.d.d), 2, 1)
    by_direction = np.frompyfunc(lambda a, b: _product(a.v.d, b.d.v), 2, 1)
    slopes = {n: _floats(mixed(v.value, grads[n])) for n, v in both.items()}
    steps = [_floats(by_direction(v.value, grads[n])).reshape(-1) for n, v in variables.items()]
    return {**slopes, "cotangent": _floats(mixed(cotangent, value.value)), "direction": np.concatenate(steps)}


def _floats(values: Any) -> Floats:
    return np.asarray(values, dtype=np.float64)


def _all_variables(m: Context, problem: Problem) -> tuple[dict[str, Variable], dict[str, Any]]:
    return (
        {n: m.variable(as_array(x)) for n, x in problem.inputs.items()},
        {n: m.variable(as_array(x)) for n, x in problem.reals.items()},
    )


def _rough(z: Objects, slope: Objects) -> Floats:
    return _floats(np.frompyfunc(_product, 2, 1)(z, slope))


def _rough_dual(z: Objects, slope: Objects) -> Floats:
    return _floats(np.frompyfunc(lambda a, b: _product(a.v, b.d), 2, 1)(z, slope))


def _product(z: Any, slope: Any) -> float:
    """Roughly z * slope; a move relative to 0 is none, however steep the function is there."""
    return 0.0 if z == 0 else float((z * slope).mid())
