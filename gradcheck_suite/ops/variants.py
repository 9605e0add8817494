"""An op at one variant: which tensors it takes there, and whether its entries depend on each other.

A parameter set to "tensor" asks for an optional tensor ("weight"); a reduction other than "none" turns an
elementwise loss into an op whose entries depend on each other.  Everything behind a case sees the op as it is
at that variant.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from gradcheck_suite.ops.record import Op

TENSOR: Final = "tensor"


def at_variant(op: Op, variant: Mapping[str, Any]) -> Op:
    """The op as a variant of it is called; `op` itself where nothing changes. Equal arguments give the same
    record.
    """
    asked = tuple(n for n in op.optional if variant.get(n) == TENSOR)
    reduction = op.params(variant).get("reduction", "none")
    if not op.optional and (reduction == "none" or not op.pointwise):
        return op
    return _specialised(op, asked, op.pointwise and reduction == "none")


@functools.cache
def _specialised(op: Op, asked: tuple[str, ...], pointwise: bool) -> Op:
    named = tuple(n for n in asked if op.optional[n])
    extras = (*op.extras, *(n for n in asked if not op.optional[n]))
    adapt = functools.partial(_adapted, base=len(op.inputs), named=named)
    changed = dataclasses.replace(
        op,
        inputs=(*op.inputs, *named),
        extras=extras,
        optional={},
        defaults={k: v for k, v in op.defaults.items() if k not in op.optional},
        call=adapt(op.call, 0),
        formula=adapt(op.formula, 1),
        module=None if asked else op.module,
        inplace=None,
        out=None if asked else op.out,
        pointwise=pointwise,
    )
    if op.samples is None:
        return changed
    if not op.pointwise:
        return dataclasses.replace(changed, samples=functools.partial(op.samples, tensors=asked))
    # Samples of a reduced elementwise op are made of its tuples, so that its tensors and their landmarks
    # matter.
    return dataclasses.replace(changed, samples=functools.partial(op.samples, changed))


def _adapted(
    function: Callable[..., Any], leading: int, *, base: int, named: Sequence[str]
) -> Callable[..., Any]:
    """`function` with its first `leading + base` arguments in order and optional tensors by name."""
    first = leading + base

    @functools.wraps(function)
    def called(*arguments: Any, **given: Any) -> Any:
        tensors = dict(zip(named, arguments[first:], strict=True))
        return function(*arguments[:first], **tensors, **given)

    return called
