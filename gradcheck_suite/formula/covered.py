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


def covered_points(
    cover: Cover, formula: Formula, inputs: Mapping[str, Floats], fmt: Format, *, order: int
) -> Points:
    """The same as `exact_points` for the one input, whose derivatives up to `order` the cover must have.

    No point of a block is a tie, undefined or open: a block's polynomials are proven on all of it.
    """
    ((name, given),) = inputs.items()
    x = np.asarray(given, dtype=np.float64)
    block, inside = cover.find(x)
    rest = np.flatnonzero(~inside)
    apart = exact_points(formula, {name: x[rest]}, fmt, wrt=(name,), order=order)
    where = np.flatnonzero(inside)
    blank = Exact.from_float64(np.zeros(len(x)))
    columns, lower, upper = {}, {}, {}
    for derivative, column in enumerate(apart.columns):
        known = blank.put(where, cover.exact(x[where], block[where], derivative))
        columns[column] = known.put(rest, apart.columns[column])
        lower[column], upper[column] = known.put(rest, apart.lower[column]), known.put(rest, apart.upper[column])
    return replace(
        apart,
        columns=columns,
        lower=lower,
        upper=upper,
        tie=_spread(apart.tie, rest, len(x)),
        undefined={n: _spread(mask, rest, len(x)) for n, mask in apart.undefined.items()},
        open={n: _spread(mask, rest, len(x)) for n, mask in apart.open.items()},
        nan_expected=_spread(apart.nan_expected, rest, len(x)),
        vertices={int(rest[i]): rows for i, rows in apart.vertices.items()},
    )


def _spread(mask: npt.NDArray[np.bool_], where: Ints, size: int) -> npt.NDArray[np.bool_]:
    whole = np.zeros(size, dtype=bool)
    whole[where] = mask
    return whole
