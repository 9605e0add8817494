"""The second ruler for rows: nothing that a move leads to is let go of, and what no move leads to is not excused."""

from __future__ import annotations

import numpy as np
import pytest

from gradcheck_suite.engine.rowconditioning import Kinks, Signs, excused, longest, move
from gradcheck_suite.engine.rowconditioning import _scattered as drawn
from gradcheck_suite.floats import format_of, round_exact
from gradcheck_suite.formula.arrays import Problem, Wanted, enclose
from gradcheck_suite.formula.context import Context
from gradcheck_suite.formula.tape import Array
from gradcheck_suite.inputs import cotangents

WANTED = Wanted(order=1, cotangent=cotangents.mixed, direction=cotangents.direction)


def _softmax(m: Context, x: Array) -> Array:
    return m.softmax(x)


def _problem(dtype: str) -> Problem:
    rows = {"bfloat16": [0.5, -3.0, 2.0, 2.015625], "float64": [0.1, -30.0, 2.0**-1060, 3.7]}
    return Problem(formula=_softmax, inputs={"x": np.array(rows[dtype])}, reals={}, fixed={})


def _no_kinks() -> Kinks:
    return Kinks((), vague=False)


@pytest.mark.parametrize("dtype", ["bfloat16", "float64"])
@pytest.mark.parametrize("column", ["value", "d:x"])
def test_what_a_move_leads_to_is_always_excused(dtype: str, column: str) -> None:
    fmt, problem = format_of(dtype), _problem(dtype)
    centre = enclose(problem, fmt, WANTED).column(column, fmt)
    step = float(8 + np.ceil(np.log2(longest(problem))))
    along: list[Signs] = [drawn(problem, 0), drawn(problem, 0).opposite()]
    for signs in along:
        moved, seen = move(problem, WANTED, signs, fmt, step)
        got = round_exact(enclose(moved, fmt, seen).column(column, fmt), fmt)
        entries = np.arange(len(got))
        ulp = np.full(len(got), 100.0)
        inside = excused(problem, WANTED, column, entries, got, centre, ulp, fmt, kinks=_no_kinks)
        assert inside.all()


@pytest.mark.parametrize("column", ["value", "d:x"])
def test_what_no_move_leads_to_is_not_excused(column: str) -> None:
    fmt, problem = format_of("float64"), _problem("float64")
    centre = enclose(problem, fmt, WANTED).column(column, fmt)
    got = centre.to_float64() * (1 + 1e-6)
    entries, ulp = np.arange(len(got)), np.full(len(got), 1e9)
    assert not excused(problem, WANTED, column, entries, got, centre, ulp, fmt, kinks=_no_kinks).any()
