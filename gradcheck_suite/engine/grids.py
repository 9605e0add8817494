"""Two-dimensional maps of losses: how pairs of input and target fare, on a grid even in float ordinals."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from gradcheck_suite.engine.judge import KINDS, SEVERITIES
from gradcheck_suite.engine.pointwise import Judged, Subject
from gradcheck_suite.engine.quantities import order_of
from gradcheck_suite.engine.refusals import Raised, Unsupported
from gradcheck_suite.floats import Format, from_ordinal, hex_of, to_ordinal
from gradcheck_suite.results import Grid

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

CELLS: Final = {"quick": 0, "default": 25, "thorough": 65}
"""Cells along either axis, by budget."""

_UNDEFINED: Final = "undefined"


def grid(subject: Subject, column: str) -> Grid | None:
    """The map of one column over the two inputs of an op; None for any other op, and where none is asked for.

    Second derivatives have none, for they are dear. The axes span the finite values that the op is defined
    for. Remarks (`info`) leave a cell without a kind.
    """
    cells = CELLS[subject.settings.budget]
    if len(subject.names) != 2 or not cells or subject.order > 1 or not len(subject.x):
        return None
    first, second = subject.names
    x, y = (_axis(subject.tuples.values[n], subject.fmt, cells) for n in (first, second))
    points = {first: np.tile(x, len(y)), second: np.repeat(y, len(x))}
    inside = _inside(subject, points)
    judged = _judged(subject, column, points, inside)
    if judged is None:
        return None
    return Grid(
        x_probe=first,
        y_probe=second,
        x=tuple(hex_of(v) for v in x.tolist()),
        y=tuple(hex_of(v) for v in y.tolist()),
        kind=tuple(_kind(judged, i, bool(inside[i])) for i in range(len(inside))),
        ulp=tuple(_error(float(u), bool(ok)) for u, ok in zip(judged.verdicts.ulp, inside, strict=True)),
    )


def _axis(values: Floats, fmt: Format, cells: int) -> Floats:
    """Floats even in ordinals from the smallest to the largest value, one of them 0; all where they are few."""
    finite = np.unique(values[np.isfinite(values)])
    if len(finite) <= cells:
        return finite + 0.0
    # Python's integers: the distance between ordinals of float64 may exceed 2^63.
    low, high = (int(to_ordinal(np.array([v]), fmt)[0]) for v in (finite.min(), finite.max()))
    even = [low + (high - low) * k // (cells - 1) for k in range(cells)]
    if low < 0 < high:
        even[min(range(cells), key=lambda k: abs(even[k]))] = 0
    return from_ordinal(np.array(sorted(set(even)), dtype=np.int64), fmt)


def _inside(subject: Subject, points: dict[str, Floats]) -> Bools:
    """Which points the op is defined for."""
    size = len(points[subject.names[0]])
    if subject.op.domain is None:
        return np.ones(size, dtype=bool)
    with np.errstate(all="ignore"):
        return np.broadcast_to(np.asarray(subject.op.domain(subject.params, points), dtype=bool), size).copy()


def _judged(subject: Subject, column: str, points: dict[str, Floats], inside: Bools) -> Judged | None:
    """Verdicts at all points; a point of the sample stands in for those outside, which the op may refuse."""
    for name, values in points.items():
        values[~inside] = subject.tuples.values[name][0]
    try:
        columns = subject.run(points, subject.order_of(column), "vector").columns
    except (Raised, Unsupported):
        return None
    exact = subject.exact(points, order_of(column))
    return subject.judge_column(points, columns[column], exact, column, together=columns)


def _kind(judged: Judged, i: int, inside: bool) -> str:
    v = judged.verdicts
    if not inside or np.isnan(v.ulp[i]):
        return _UNDEFINED
    return "" if SEVERITIES[v.severity[i]] == "info" else KINDS[v.kind[i]]


def _error(ulp: float, inside: bool) -> float | None:
    return float(f"{ulp:.4g}") if inside and not np.isnan(ulp) else None
