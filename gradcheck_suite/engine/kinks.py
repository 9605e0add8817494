"""Where a formula changes its branch: the two floats on either side of each kink or jump along a line.

Nobody has to state them: the comparisons of a formula are known at every point, and where they differ between
two neighbours of the sample, bisection in float ordinals finds the floats between which they change.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gradcheck_suite.floats import Format, from_ordinal, to_ordinal
from gradcheck_suite.formula.context import Context
from gradcheck_suite.formula.evaluate import by_point
from gradcheck_suite.formula.fields import ARB
from gradcheck_suite.formula.tape import elementwise
from gradcheck_suite.inputs.landmarks import around, distinct
from gradcheck_suite.inputs.targets import Line, Tuples

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Formula = Callable[..., Any]

_BITS: Final = 192
_MOST: Final = 6
"""Changes that are followed on one line: a comparison of waves has no end of them."""

_COARSE: Final = 1200
_NEAR_ULPS: Final = 2


def with_kinks(
    sample: Tuples, formula: Formula, fmt: Format, inside: Callable[[Mapping[str, Floats]], Any]
) -> Tuples:
    """The sample with the floats beside every change of branch on its lines, as far as they are `inside`.

    Points of a line stay in rising order, NaN last; scattered points, and lines on which two inputs move, stay
    as they are.
    """
    parts, lines, start = [], [], 0
    for line in sample.lines:
        values = {n: x[line.members] for n, x in sample.values.items()}
        if not line.scattered and line.follower is None:
            values = _enriched(line, values, formula, fmt, inside)
        size = len(values[line.probe])
        members = slice(None) if isinstance(line.members, slice) else np.arange(start, start + size)
        lines.append(replace(line, members=members))
        parts.append(values)
        start += size
    joined = {n: np.concatenate([part[n] for part in parts]) for n in sample.values}
    return Tuples(values=joined, lines=tuple(lines))


def _enriched(
    line: Line,
    values: dict[str, Floats],
    formula: Formula,
    fmt: Format,
    inside: Callable[[Mapping[str, Floats]], Any],
) -> dict[str, Floats]:
    x = values[line.probe]
    names = tuple(values)
    found = changes(lambda at: _branches(formula, _ordered(line.at(at, fmt), names)), x[np.isfinite(x)], fmt)
    near = around(found, fmt, ulps=_NEAR_ULPS)
    fresh = near[~np.isin(near, x) & np.isfinite(near)]
    if len(fresh):
        more = line.at(fresh, fmt)
        fresh = fresh[np.broadcast_to(np.asarray(inside(more), dtype=bool), len(fresh))]
    if not len(fresh):
        return values
    more = line.at(fresh, fmt)
    whole = {n: np.concatenate([v, more[n]]) for n, v in values.items()}
    # NaN stays last, and -0 before +0.
    swept = whole[line.probe]
    order = np.lexsort((~np.signbit(swept), swept, np.isnan(swept)))
    return {n: v[order] for n, v in whole.items()}


def _ordered(values: Mapping[str, Floats], names: Sequence[str]) -> dict[str, Floats]:
    return {n: values[n] for n in names}


def changes(branches: Callable[[Floats], Bools], x: Floats, fmt: Format) -> list[float]:
    """Pairs of neighbouring floats between which the branches differ; `x` rises and holds values of `fmt`."""
    some = distinct(x[:: max(1, len(x) // _COARSE)])
    if len(some) < 2:
        return []
    here = branches(some)
    at = np.flatnonzero((here[:, 1:] != here[:, :-1]).any(axis=0))[:_MOST]
    low, high, left = to_ordinal(some[at], fmt), to_ordinal(some[at + 1], fmt), here[:, at]
    while len(at) and (wide := high - low > 1).any():
        middle = np.where(wide, low + (high - low) // 2, low)
        same = (branches(from_ordinal(middle, fmt)) == left).all(axis=0)
        low, high = np.where(same & wide, middle, low), np.where(same | ~wide, high, middle)
    return [float(v) for v in from_ordinal(np.concatenate([low, high]), fmt)]


def _branches(formula: Formula, inputs: Mapping[str, Floats]) -> Bools:
    """Which way each comparison of the formula goes, one row each."""
    size = len(next(iter(inputs.values())))
    with ARB.precision(_BITS):
        field: Any = ARB
        m = Context(field)
        formula(m, **{n: m.const(elementwise(ARB.number, x.astype(object))) for n, x in inputs.items()})
    rows = [row for truth in m.branches for row in by_point(truth, size)]
    return np.array(rows, dtype=bool).reshape(len(rows), size)
