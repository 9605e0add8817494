"""Whether arb and mpmath agree on value and gradient of an elementwise op in float64."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from gradcheck_suite.engine.confirm import confirm
from gradcheck_suite.floats import format_of
from gradcheck_suite.formula.points import bind, exact_points
from gradcheck_suite.ops.record import Op

FMT = format_of("float64")


def assert_agreement(op: Op, variant: Mapping[str, Any], values: Mapping[str, Any]) -> None:
    """mpmath confirms every exact number that arb gives at some points, and none of them is left open."""
    formula = bind(op.formula, op.params(variant), op.reals(variant), op.extras)
    points = exact_points(formula, values, FMT, wrt=op.inputs, order=1)
    for column in ("value", *(f"d:{n}" for n in op.inputs)):
        assert not points.open[column].any(), column
        for i in np.flatnonzero(~points.undefined[column]):
            point = {n: float(x[i]) for n, x in values.items()}
            found = confirm(
                formula,
                point,
                points.lower[column][i : i + 1],
                FMT,
                column=column,
                wrt=op.inputs,
                order=int(column != "value"),
                tie=bool(points.tie[i]),
            )
            assert found.agrees, (column, point, found)
