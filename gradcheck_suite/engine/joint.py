"""Gradients of several inputs at a tie, judged together: one convex combination must give all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from gradcheck_suite.engine.judge import Verdicts
from gradcheck_suite.engine.nearest import chebyshev
from gradcheck_suite.floats import Format
from gradcheck_suite.formula.points import Points

Floats = npt.NDArray[np.float64]


def outside_jointly(
    verdicts: Verdicts,
    together: Mapping[str, Floats],
    column: str,
    names: Sequence[str],
    points: Points,
    fmt: Format,
    max_ulp: float,
    cotangent: float,
) -> Verdicts:
    """Mark the ties where every entry of the gradient is possible, but not all of them at once.

    `together` has all computed columns, `names` are the inputs in order.  What is found belongs to the first
    input whose derivative is a set; other columns pass.
    """
    if not column.startswith("d:"):
        return verdicts
    bad: dict[int, float] = {}
    for i, vertices in points.vertices.items():
        if not np.isfinite(vertices).all():
            continue
        with np.errstate(over="ignore", under="ignore"):
            scaled = vertices * cotangent
        varying = np.flatnonzero(scaled.min(axis=0) != scaled.max(axis=0))
        computed = np.array([together[f"d:{n}"][i] for n in names])
        if not _possible(scaled[:, varying], computed[varying], fmt, max_ulp):
            # One entry alone is impossible, and was judged so.
            continue
        if verdicts.kind[i] or len(varying) < 2 or names[varying[0]] != column.removeprefix("d:"):
            continue
        error = _distance(scaled[:, varying], computed[varying], fmt, max_ulp)
        if error > max_ulp:
            bad[i] = error
    return (
        verdicts.as_ties(np.array(list(bad), dtype=np.int64), np.array(list(bad.values())))
        if bad
        else verdicts
    )


def _possible(vertices: Floats, computed: Floats, fmt: Format, max_ulp: float) -> bool:
    """Whether each entry lies between the least and the greatest of its column."""
    unit = _units(vertices, fmt, max_ulp)
    return bool(((computed >= vertices.min(axis=0) - unit) & (computed <= vertices.max(axis=0) + unit)).all())


def _units(vertices: Floats, fmt: Format, max_ulp: float) -> Floats:
    """`max_ulp` units in the last place of the largest magnitude of each column."""
    binade = np.clip(np.frexp(np.abs(vertices).max(axis=0))[1] - 1, fmt.emin, fmt.emax)
    return np.asarray(np.ldexp(max_ulp, binade - (fmt.precision - 1)))


def _distance(vertices: Floats, computed: Floats, fmt: Format, max_ulp: float) -> float:
    """At least how far every convex combination of the rows is away in some entry, in ulp of its largest
    magnitude.
    """
    if not (np.isfinite(vertices).all() and np.isfinite(computed).all()):
        return 0.0
    return float(chebyshev((vertices - computed) / _units(vertices, fmt, max_ulp)).bound * max_ulp)
