"""The activations of torch that work on rows: softmax and its kin, normalize, gated units.

Sources: the documentation pages of torch.nn and torch.nn.functional, version 2.13.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from gradcheck_suite.floats import Format
from gradcheck_suite.formula.context import Context
from gradcheck_suite.formula.tape import Array
from gradcheck_suite.inputs.rows import LENGTHS, PAST_FLOAT16, WIDE, place, rows
from gradcheck_suite.ops.declare import operation
from gradcheck_suite.ops.record import Params, Sample

_DIMS = ({"dim": -1}, {"dim": 0}, {"dim": 1})


def along_dim(params: Params, fmt: Format, *, budget: str, seed: int) -> Iterator[Sample]:
    """Rows laid along the axis that `dim` names: every family along the last axis, the common ones along others."""
    dim = int(params["dim"])
    if dim == -1:
        long = (PAST_FLOAT16,) if fmt.name == "float16" and budget != "quick" else ()
        for row in rows(fmt, (*LENGTHS[budget], *long)):
            yield Sample(inputs={"input": row.values}, label=row.label, probe=row.probe, at=row.at)
        return
    for row in rows(fmt, LENGTHS[budget][1:4]):
        if row.common:
            inner = WIDE if len(row.values) == 17 else 2
            values = place(row.values, dim, inner=inner)
            yield Sample(inputs={"input": values}, label=row.label, probe=row.probe, at=row.at)


@operation(F.softmax, family="activation", module=nn.Softmax, variants=_DIMS, variants_only=True, samples=along_dim)
def softmax(m: Context, input: Array, *, dim: int) -> Array:
    return m.softmax(input, dim)
