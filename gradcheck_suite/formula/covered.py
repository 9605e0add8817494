"""Exact points of a one-input formula, most of them from its Taylor cover and the rest one by one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from gradcheck_suite.floats import Exact, Format
from gradcheck_suite.formula.cover import Cover
from gradcheck_suite.formula.evaluate import Formula
from gradcheck_suite.formula.points import Points, exact_points

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


def covered_points(
    cover: Cover,
    formula: Formula,
    inputs: Mapping[str, Floats],
    fmt: Format,
    *,
    order: int,
    beside: Formula | None = None,
) -> Points:
    """The same as `exact_points` for the one input, whose derivatives up to `order` the cover must have.

    No point of a block is a tie, undefined or open: a block's polynomials are proven on all of it.
    """
    ((name, given),) = inputs.items()
    x = np.asarray(given, dtype=np.float64)
    block, inside = cover.find(x)
    where = np.flatnonzero(inside)
    rest, source = _distinct(x, np.flatnonzero(~inside))
    some = np.zeros(int(source.max(initial=-1)) + 1, dtype=np.int64)
    some[source] = rest
    apart = exact_points(formula, {name: x[some]}, fmt, wrt=(name,), order=order, beside=beside)
    blank = Exact.from_float64(np.zeros(len(x)))
    columns, lower, upper = {}, {}, {}
    for derivative, column in enumerate(apart.columns):
        known = blank.put(where, cover.exact(x[where], block[where], derivative))
        columns[column] = known.put(rest, apart.columns[column][source])
        lower[column] = known.put(rest, apart.lower[column][source])
        upper[column] = known.put(rest, apart.upper[column][source])

    def spread(mask: Bools) -> Bools:
        whole = np.zeros(len(x), dtype=bool)
        whole[rest] = mask[source]
        return whole

    return replace(
        apart,
        columns=columns,
        lower=lower,
        upper=upper,
        tie=spread(apart.tie),
        undefined={n: spread(mask) for n, mask in apart.undefined.items()},
        open={n: spread(mask) for n, mask in apart.open.items()},
        nan_expected=spread(apart.nan_expected),
        vertices={int(some[i]): rows for i, rows in apart.vertices.items()},
    )


def _distinct(x: Floats, rest: Ints) -> tuple[Ints, Ints]:
    """The same indices, and for each the number of its point; all NaNs are one point."""
    nan = np.isnan(x[rest])
    rest = np.concatenate([rest[~nan], rest[nan]])
    numbers = np.arange(int((~nan).sum()))
    return rest, np.concatenate([numbers, np.full(int(nan.sum()), len(numbers))])
