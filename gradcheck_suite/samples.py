"""Calls to judge an op on whose entries depend on each other: what `samples=` of a registration takes.

    register("fused_softmax", fused_softmax, formula=softmax, samples=rows(dim=-1))
    register("bilinear", bilinear, formula=form, samples=shaped({"a": (3, 4), "b": (4, 2)}))
    register("fused_loss", fused_loss, formula=loss, inputs=["logits"], samples=labelled_rows())

Each function here returns a generator `samples(params, fmt, budget=…, seed=…)` of `Sample`; one of your own
may yield whatever it likes. Where an op has one tensor, or one further argument, its name in the samples does
not matter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from gradcheck_suite.errors import UsageError
from gradcheck_suite.floats import Format
from gradcheck_suite.inputs import rows as adversarial
from gradcheck_suite.inputs.classes import batches, careless_batches, single_rows
from gradcheck_suite.inputs.shaped import Shapes, fillings
from gradcheck_suite.ops.record import Params, Sample

__all__ = ["Sample", "labelled_rows", "rows", "shaped"]

_BATCHED = 64
"""Rows up to this length are also tried several at a time."""

_STACKED = (3, 17)
"""The lengths of rows that are also tried ten at a time, and along the last of three axes."""

Samples = Callable[..., Iterator[Sample]]
Argument = Any
"""A value or an array, or a function of the inputs by name that returns one."""


def rows(
    dim: int | None = None, *, rank: int | None = None, name: str = "input", lengths: Sequence[int] = ()
) -> Samples:
    """Adversarial rows along one axis of the op's tensor: ties, gaps, masks, shifts, mixed magnitudes; 1 to
    4099 long.

    `dim` is the axis; without it the op's parameter "dim" says it. `rank` is the number of axes, by default
    the fewest that have such an axis, and along the last one also matrices and stacks of rows, for ops that take them.
    `lengths` replaces the lengths of the rows. `name` is only needed by ops with several tensors.
    """

    def along(params: Params, fmt: Format, *, budget: str, seed: int) -> Iterator[Sample]:
        axis = int(params.get("dim", -1)) if dim is None else dim
        longest = () if lengths or budget == "quick" else adversarial.PRIME[-1:]
        chosen = (*(lengths or adversarial.LENGTHS[budget]), *longest)
        ones = adversarial.ones(fmt, chosen)
        for row in (*adversarial.rows(fmt, chosen), *([ones] if ones else [])):
            placed = adversarial.place(row.values, axis, rank=rank)
            sample = Sample(inputs={name: placed}, label=row.label, probe=row.probe, at=row.at)
            yield sample
            if rank is None and axis == -1 and row.common and len(row.values) <= _BATCHED:
                several = adversarial.place(row.values, -1, rank=2, inner=3)
                label = f"{row.label}, and two others like it"
                yield replace(sample, inputs={name: several}, label=label, tentative=True)
                for shape in ((10,), (2, 5)) if len(row.values) in _STACKED else ():
                    many = adversarial.place(row.values, -1, rank=2, inner=10).reshape(*shape, -1)
                    label = f"{row.label}, {' times '.join(map(str, shape))} like it"
                    yield replace(sample, inputs={name: many}, label=label, tentative=True)

    return along


def labelled_rows(logits: str = "logits", target: str = "target", *, ignored: int = -100) -> Samples:
    """Batches of rows of logits, shape (N, C), with a class index for each, shape (N,).

    The class is that of the largest entry and of another one, first, last, and `ignored` in some rows.
    """

    def batched(params: Params, fmt: Format, *, budget: str, seed: int) -> Iterator[Sample]:
        for batch in (*single_rows(fmt, budget), *batches(fmt, ignored), *careless_batches(fmt, ignored)):
            yield Sample(
                inputs={logits: batch.logits},
                extra={target: batch.target},
                label=batch.label,
                probe=batch.probe,
                at=batch.at,
            )

    return batched


def shaped(
    *shapes: Shapes,
    arguments: Mapping[str, Argument] | None = None,
    where: Callable[[Params, Mapping[str, Any]], Any] | None = None,
) -> Samples:
    """Inputs of the given shapes, {"input": (4, 8), "weight": (8,)}, one set of them or several.

    `arguments` are further arguments of the call, which are not differentiated: values, numpy arrays, or
    functions of the inputs by name. `where(params, inputs)` says which inputs the op is defined for. Raises
    UsageError where no shapes are given.
    """
    if not shapes:
        raise UsageError("shaped needs the shapes of the inputs, such as shaped({'input': (4, 8)})")

    def filled(params: Params, fmt: Format, *, budget: str, seed: int) -> Iterator[Sample]:
        for number, chosen in enumerate(shapes):
            for filling in fillings(fmt, chosen, seed + number):
                if where is not None and not np.all(where(params, filling.inputs)):
                    continue
                extra = {n: _value(argument, filling.inputs) for n, argument in (arguments or {}).items()}
                label = f"{filling.label}, {_shown(chosen)}"
                yield Sample(
                    inputs=filling.inputs, extra=extra, label=label, probe=filling.probe, at=filling.at
                )

    return filled


def _value(argument: Argument, inputs: Mapping[str, Any]) -> Any:
    return argument(inputs) if callable(argument) else argument


def _shown(shapes: Shapes) -> str:
    return ", ".join(f"{name} {'x'.join(map(str, shape)) or 'scalar'}" for name, shape in shapes.items())
