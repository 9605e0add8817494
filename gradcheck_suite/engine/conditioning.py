"""The second ruler: is a computed value inside the range of exact results of inputs moved by their own
rounding?

A value inside that range is ill-conditioned, not wrong: no algorithm that rounds its inputs, parameters or
cotangent once could be asked for more.  The range is of exact *results*; magnitudes of intermediate values of
a formula never enter, or a cancelling formula would excuse itself.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from gradcheck_suite.floats import Exact, Format, round_exact, round_to
from gradcheck_suite.formula.balls import arb
from gradcheck_suite.formula.evaluate import Formula, enclose, to_exact
from gradcheck_suite.formula.tape import Objects, elementwise

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

_RANDOM_CORNERS = 12
_BATCH = 2000


def units(longest_sum: int = 1) -> int:
    """C of the rule C*u: eight roundings, and one more for every doubling of the longest sum."""
    return 8 + int(np.ceil(np.log2(max(longest_sum, 1))))


def excused(
    formula: Formula,
    reals: Mapping[str, float],
    inputs: Mapping[str, Floats],
    computed: Floats,
    centre: tuple[Exact, Exact],
    fmt: Format,
    *,
    column: str,
    wrt: Sequence[str],
    order: int,
    scale: float = 1.0,
) -> Bools:
    """Which of the points hold a computed value inside the range of the exact column.

    `formula` takes the inputs and, by keyword, the real parameters `reals`; `scale` is the cotangent.  Every
    entry of `inputs` moves, whether or not it is in `wrt`, and so does every parameter. `inputs` and
    `computed` are the failing points only; `centre` is their exact lower and upper value.  NaN is never
    inside; points with an infinite or NaN input are never excused, for nothing moves them.
    """
    lowest, highest = round_exact(centre[0], fmt), round_exact(centre[1], fmt)
    movable = np.logical_and.reduce([np.isfinite(x) for x in inputs.values()])
    inside = np.zeros(len(computed), dtype=bool)
    corners = list(_patterns(len(inputs) + len(reals)))
    while corners:
        where = np.flatnonzero(movable & ~inside)
        if not len(where):
            break
        # Many corners in one evaluation where there are few points; what is inside already needs no more of
        # them.
        now = corners[: max(_BATCH // len(where), 1)]
        corners = corners[len(now) :]
        quantities = {n: x[where] for n, x in inputs.items()} | {
            n: np.full(len(where), v) for n, v in reals.items()
        }
        for value in _at_corners(formula, quantities, now, fmt, column, wrt, order, scale):
            lowest[where] = np.fmin(lowest[where], value)
            highest[where] = np.fmax(highest[where], value)
        ends = widened(lowest, highest, units() * fmt.unit_roundoff, fmt)
        with np.errstate(invalid="ignore"):
            inside = movable & (computed >= ends[0]) & (computed <= ends[1])
    return inside


def _at_corners(
    formula: Formula,
    quantities: Mapping[str, Floats],
    corners: Sequence[tuple[int, ...]],
    fmt: Format,
    column: str,
    wrt: Sequence[str],
    order: int,
    scale: float,
) -> list[Floats]:
    """The rounded column where each quantity is moved by C*u in the direction that each corner gives."""
    moved = {
        n: np.concatenate([_moved(x, (2**fmt.precision + s[i] * units(), -fmt.precision)) for s in corners])
        for i, (n, x) in enumerate(quantities.items())
    }
    found = enclose(formula, moved, fmt, wrt=wrt, order=order)
    column_there = elementwise(lambda ball: ball * arb(scale), found.columns[column])
    value = round_exact(to_exact(column_there, fmt, found.settled[column]), fmt)
    if column != "value":
        # At a tie the derivative is a set, which the centre holds already; the tape follows one branch only.
        value[found.tie] = np.nan
    return np.split(value, len(corners))


def _patterns(quantities: int) -> Iterator[tuple[int, ...]]:
    """Sign patterns of the moves: every corner for up to four quantities, beyond that a dozen corners and
    each alone.
    """
    if quantities <= 4:
        yield from itertools.product((-1, 1), repeat=quantities)
        return
    yield from ((s,) * quantities for s in (-1, 1))
    for i in range(quantities):
        yield from (tuple(s if i == k else 0 for k in range(quantities)) for s in (-1, 1))
    rng = np.random.RandomState(quantities)
    yield from (tuple(int(s) for s in rng.choice([-1, 1], quantities)) for _ in range(_RANDOM_CORNERS))


def _moved(x: Floats, factor: tuple[int, int]) -> Objects:
    return np.array([_times(float(v), factor) for v in x], dtype=object)


def _times(value: float, factor: tuple[int, int]) -> Any:
    numerator, denominator = value.as_integer_ratio()
    return arb((numerator * factor[0], factor[1] + 1 - denominator.bit_length()))


def widened(lowest: Floats, highest: Floats, relative: float, fmt: Format) -> tuple[Floats, Floats]:
    """The ends moved outwards by a part of themselves and rounded: the |output| in S = |output| + sum |z d
    output/d z|.

    For a gradient it is the cotangent that moves; for a value it is the rounding of the result, C times.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        below = round_to(lowest - np.abs(lowest) * relative, fmt)
        return below, round_to(highest + np.abs(highest) * relative, fmt)
