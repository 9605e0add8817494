"""The second ruler for rows: the range of the exact result when every number of a call moves by C*u.

The range is probed from inside: at the sign patterns of the exact first derivative of the worst entries, which reach its
ends to first order, and at fixed pseudo-random ones.  Too small a range is the strict side.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from flint import arb

from gradcheck_suite.engine.conditioning import units
from gradcheck_suite.floats import Exact, Format, round_exact
from gradcheck_suite.formula.arrays import Problem, Wanted, at_stand_ins, enclose, sensitivities

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

COTANGENT = "cotangent"
"""The name under which the cotangent's signs stand in a pattern."""

_RANDOM = 6
"""Pseudo-random sign patterns, each with its opposite."""

_GUIDED = 6
"""Entries whose own first derivative is asked for a pattern."""

_BINARY64_SPARE = 24


@dataclass(frozen=True, slots=True)
class Signs:
    """A direction of +-1 for every number of a call."""

    by_name: Mapping[str, Floats]

    def opposite(self) -> Signs:
        """The same with all signs turned."""
        return Signs({n: -s for n, s in self.by_name.items()})


def excused(
    problem: Problem,
    wanted: Wanted,
    column: str,
    entries: Ints,
    computed: Floats,
    centre: Exact,
    ulp: Floats,
    fmt: Format,
) -> Bools:
    """Which failing entries of one sample's flat `column` hold a computed value inside the range; NaN never does."""
    lowest = round_exact(centre, fmt)
    highest = lowest.copy()
    inside = np.zeros(len(entries), dtype=bool)
    usable = ~np.isnan(computed)
    problem = at_stand_ins(problem)
    for signs in _patterns(problem, wanted, column, entries, np.where(usable, ulp, -1.0), inside):
        for direction in (signs, signs.opposite()):
            moved, seen = move(problem, wanted, direction, fmt)
            value = round_exact(enclose(moved, fmt, seen).exact(fmt)[column][entries], fmt)
            lowest, highest = np.fmin(lowest, value), np.fmax(highest, value)
        with np.errstate(invalid="ignore"):
            inside |= usable & (computed >= lowest) & (computed <= highest)
        if inside[usable].all():
            break
    return inside


def _patterns(
    problem: Problem, wanted: Wanted, column: str, entries: Ints, ulp: Floats, inside: Bools
) -> Iterator[Signs]:
    """Patterns as long as they are asked for; `inside` is watched, so that settled entries are not guided."""
    tried: set[int] = set()
    for worst in _guides(ulp, inside, tried, 1):
        yield _guided(problem, wanted, column, int(entries[worst]))
    for seed in range(_RANDOM):
        yield _scattered(problem, wanted, seed)
    for worst in _guides(ulp, inside, tried, _GUIDED - 1):
        yield _guided(problem, wanted, column, int(entries[worst]))


def _guides(ulp: Floats, inside: Bools, tried: set[int], count: int) -> Iterator[int]:
    for _ in range(count):
        open_entries = [i for i in np.argsort(-ulp, kind="stable") if not inside[i] and i not in tried and ulp[i] >= 0]
        if not open_entries:
            return
        tried.add(int(open_entries[0]))
        yield int(open_entries[0])


def _guided(problem: Problem, wanted: Wanted, column: str, entry: int) -> Signs:
    slopes = sensitivities(problem, wanted, column, entry)
    return Signs({n: np.where(s < 0, -1.0, 1.0) for n, s in slopes.items()})


def _scattered(problem: Problem, wanted: Wanted, seed: int) -> Signs:
    """Pattern 0 moves everything alike; the others are drawn by a fixed rule."""
    numbers = {**problem.inputs, **problem.reals}
    sizes = {n: np.shape(_numbers(x)) for n, x in numbers.items()}
    rng = np.random.RandomState(seed)  # the legacy generator's stream is frozen
    drawn = {n: np.where(rng.randint(0, 2, shape) == 0, -1.0, 1.0) for n, shape in sizes.items()}
    if seed == 0:
        drawn = {n: np.ones(shape) for n, shape in sizes.items()}
    return Signs({**drawn, COTANGENT: np.where(rng.randint(0, 2, 1 << 12) == 0, -1.0, 1.0)})


def move(problem: Problem, wanted: Wanted, signs: Signs, fmt: Format) -> tuple[Problem, Wanted]:
    """Every number of the call times 1 +- C*u, the cotangent too."""
    step = units(max((max(np.shape(_numbers(x)), default=1) for x in problem.inputs.values()), default=1))
    inputs = {n: _moved(x, signs.by_name[n], step, fmt) for n, x in problem.inputs.items()}
    reals = {n: _moved(x, signs.by_name[n], step, fmt) for n, x in problem.reals.items()}
    pattern, s = wanted.cotangent, signs.by_name[COTANGENT]

    def cotangent(size: int) -> Any:
        return _moved(np.asarray(pattern(size)), np.resize(s, size), step, fmt)

    return replace(problem, inputs=inputs, reals=reals), replace(wanted, cotangent=cotangent)


def _numbers(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value
    out = np.empty((), dtype=object)
    out[()] = value
    return out


def _moved(value: Any, signs: Floats, step: int, fmt: Format) -> Any:
    array = _numbers(value)
    signs = np.broadcast_to(signs, array.shape)
    if array.dtype == np.float64 and fmt.precision <= _BINARY64_SPARE:
        # Both factors are short enough for their product to be exact in binary64.
        return array * (1.0 + signs * (step * fmt.unit_roundoff))
    exact = np.frompyfunc(lambda x, s: _times(x, 2**fmt.precision + int(s) * step, -fmt.precision), 2, 1)
    return _numbers(exact(array, signs))


def _times(value: Any, numerator: int, exponent: int) -> Any:
    if isinstance(value, tuple):
        return (value[0] * numerator, value[1] + exponent)
    whole, below = float(value).as_integer_ratio()
    return arb((whole * numerator, exponent + 1 - below.bit_length()))
