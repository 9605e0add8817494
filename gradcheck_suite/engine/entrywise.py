"""Does a formula map entries to entries, as an op without samples must?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gradcheck_suite.errors import UsageError
from gradcheck_suite.formula.balls import arb
from gradcheck_suite.formula.evaluate import Formula, derivatives
from gradcheck_suite.formula.fields import ARB
from gradcheck_suite.ops.mistakes import ENTRIES_DEPEND
from gradcheck_suite.ops.record import Op

Floats = npt.NDArray[np.float64]

_TRIED: Final = 5
_BITS: Final = 256


def require_entrywise(op: Op, formula: Formula, points: Mapping[str, Floats]) -> None:
    """Raises UsageError for a formula that gives a point another value alone than among others."""
    sizes = [np.abs(np.where(x == 0, 1.0, x)) for x in points.values()]
    with np.errstate(all="ignore"):
        far = np.add.reduce([np.abs(np.log2(size)) for size in sizes])
    ordinary = np.argsort(np.where(np.isfinite(far), far, np.inf), kind="stable")
    chosen = ordinary[np.isfinite(far[ordinary])][:_TRIED]
    if len(chosen) < 2:
        return
    among = _values(formula, {n: x[chosen] for n, x in points.items()})
    for i, k in enumerate(chosen):
        (alone,) = _values(formula, {n: x[[k]] for n, x in points.items()})
        if ARB.compare(alone, among[i]) in (1, -1):
            raise UsageError(
                f"the formula of {op.name} gives an entry another value among others than alone: {ENTRIES_DEPEND}"
            )


def _values(formula: Formula, points: Mapping[str, Floats]) -> Any:
    with ARB.precision(_BITS), np.errstate(all="ignore"):
        exact = {n: np.array([arb(float(v)) for v in x], dtype=object) for n, x in points.items()}
        columns, _ = derivatives(formula, ARB, exact, (), 0)
    return columns["value"]
