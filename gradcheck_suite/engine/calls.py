"""Calling torch: value and derivatives of a pointwise op at many points, in one dtype, on one path."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.autograd import forward_ad

from gradcheck_suite.engine import paths
from gradcheck_suite.engine.refusals import Raised, Unsupported, refusals
from gradcheck_suite.ops.record import Op, Params

__all__ = [
    "COTANGENT",
    "MIXED",
    "Outcome",
    "Raised",
    "Unsupported",
    "changed",
    "pointwise",
    "tensor",
    "to_numpy",
]

Floats = npt.NDArray[np.float64]

_COMPILED_SIZE = 1024
# Every other size would be compiled anew.
_STEPS = {"single": 1, "scalar": 1, "tail": paths.TAIL, "compile": _COMPILED_SIZE}
MIXED = (1.0, -1.0, 0.5, -0.5, 0.5, -1.0, -0.5)
"""Cotangents of a vector whose gradient is compared with that of ones: powers of two, a prime number of them, none
so large that a product overflows.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Float64 copies of what torch computed per column, and the dtype that each came in."""

    columns: dict[str, Floats]
    dtypes: dict[str, str]
    changed: tuple[str, ...] = ()
    """The inputs that a custom op overwrote, the cotangent among them where one was given."""


def tensor(values: Floats, dtype: str, device: str) -> torch.Tensor:
    """Values of the dtype as a contiguous tensor of it: a copy, which an op may overwrite."""
    return torch.from_numpy(np.array(values, dtype=np.float64)).to(getattr(torch, dtype)).to(device)


def pointwise(
    op: Op,
    variant: Params,
    inputs: Mapping[str, Floats],
    *,
    dtype: str,
    order: int,
    path: str = "vector",
    device: str = "cpu",
    cotangent: Floats | None = None,
) -> Outcome:
    """Value and derivatives of a pointwise op at every point, as torch computes them on a path.

    `inputs` holds the op's inputs and extras by name.  Columns: "value", for order >= 1 "d:name" (times the
    cotangent, 1 by default), for order 2 "dd:name", the gradient of d:name with cotangent 1; the paths "out"
    and "jvp" have no more than the first and the first two.  Raises Unsupported or Raised.
    """
    given = dict(inputs) if cotangent is None else {**inputs, COTANGENT: cotangent}
    call = paths.form_of(op, path)
    if path == "single" and not op.custom:
        return _one_by_one(op, call, variant, given, dtype=dtype, order=order, device=device)
    pieces = [
        _whole(op, call, variant, piece, dtype=dtype, order=order, path=path, device=device)
        for piece in _pieces(given, path)
    ]
    return _assembled(pieces, path)


COTANGENT = "\0cotangent"
"""What stands for it among the inputs of a call; no name of Python's."""


def _pieces(given: Mapping[str, Floats], path: str) -> Iterator[dict[str, Floats]]:
    """The points of each call: all of them, or as few as the path allows."""
    size = len(next(iter(given.values())))
    step = _STEPS.get(path, max(size, 1))
    for start in range(0, max(size, 1), step):
        yield {n: x[start : start + step] for n, x in given.items()}


def _whole(
    op: Op,
    call: Callable[..., Any],
    variant: Params,
    given: Mapping[str, Floats],
    *,
    dtype: str,
    order: int,
    path: str,
    device: str,
) -> Outcome:
    """One call, the points filled up so that the path is what they take."""
    size = len(next(iter(given.values())))
    filled = {n: _filled(x, path) for n, x in given.items()}
    tensors = {n: paths.arranged(tensor(x, dtype, device), path) for n, x in filled.items()}
    g = tensors.pop(COTANGENT, None)
    with paths.quiet(path), refusals(dtype, op.reals(variant), optional=path in paths.OPTIONAL):
        if path == "jvp":
            columns = _forward_mode(op, call, variant, tensors, g, order)
        else:
            columns = _on(path, op, call, variant, tensors, g, order)
        handed = tensors if g is None else {**tensors, COTANGENT: g}
        overwritten = changed(handed, filled) if op.custom and path != "inplace" else ()
        return _collect(columns, size, path, overwritten)


def _one_by_one(
    op: Op,
    call: Callable[..., Any],
    variant: Params,
    given: Mapping[str, Floats],
    *,
    dtype: str,
    order: int,
    device: str,
) -> Outcome:
    """A call for each point, converted in one go: beside a call of torch, numpy is not cheap."""
    parts = {n: torch.split(tensor(x, dtype, device), 1) for n, x in given.items()}
    found: dict[str, list[torch.Tensor]] = {}
    with refusals(dtype, op.reals(variant)):
        for elements in zip(*parts.values(), strict=True):
            # Clones, so that each has a storage of its own.
            tensors = {n: t.clone() for n, t in zip(parts, elements, strict=True)}
            g = tensors.pop(COTANGENT, None)
            for n, t in _columns(op, call, variant, tensors, g, order).items():
                found.setdefault(n, []).append(t.detach())
        size = len(next(iter(given.values())))
        return _collect({n: torch.cat(column) for n, column in found.items()}, size, "single", ())


def _filled(x: Floats, path: str) -> Floats:
    """Points repeated up to whole blocks, or put behind one where the tail is wanted; one stays alone."""
    if path in ("single", "scalar"):
        return x
    if path == "long":
        # Never a whole number of blocks: the last ones are a tail.
        return np.resize(np.roll(x, len(x) // 3), max(paths.LONG, 3 * len(x) + paths.TAIL))
    if path == "tail":
        return np.concatenate([np.resize(x, paths.BLOCK), x])
    if path == "compile":
        return np.resize(x, _COMPILED_SIZE)
    return np.resize(x, -(-len(x) // paths.BLOCK) * paths.BLOCK)


def _assembled(pieces: Sequence[Outcome], path: str) -> Outcome:
    first = pieces[0]
    if len(pieces) == 1:
        return first
    columns = {n: np.concatenate([p.columns[n] for p in pieces]) for n in first.columns}
    return Outcome(columns=columns, dtypes=first.dtypes, changed=first.changed)


def _forward_mode(
    op: Op,
    call: Callable[..., Any],
    variant: Params,
    tensors: Mapping[str, torch.Tensor],
    cotangent: torch.Tensor | None,
    order: int,
) -> dict[str, torch.Tensor]:
    """Value and first derivatives by forward-mode AD; the tangent is the cotangent, the product the same."""
    columns: dict[str, torch.Tensor] = {}
    for name in op.inputs if order else op.inputs[:1]:
        with forward_ad.dual_level():
            tangent = torch.ones_like(tensors[name]) if cotangent is None else cotangent
            dual = forward_ad.make_dual(tensors[name], tangent)  # type: ignore[no-untyped-call]
            moved = {**tensors, name: dual}
            extras = {n: moved[n] for n in op.extras}
            computed = call(*(moved[n] for n in op.inputs), **extras, **op.arguments(variant))
            value, derivative = forward_ad.unpack_dual(computed)  # type: ignore[no-untyped-call]
            columns["value"] = value
            if order:
                columns[f"d:{name}"] = _or_zero(derivative, tensors[name])
    return columns


def _on(
    path: str,
    op: Op,
    call: Callable[..., Any],
    variant: Params,
    tensors: Mapping[str, torch.Tensor],
    cotangent: torch.Tensor | None,
    order: int,
) -> dict[str, torch.Tensor]:
    """The columns of one call as a path makes it."""
    if path == "out":
        order = 0
    if path == paths.GRAPH and order:
        return _columns(op, call, variant, tensors, cotangent, order, recorded=True)
    if path == "inference":
        with torch.no_grad():
            return _columns(op, call, variant, tensors, None, 0)
    if path == "frozen" and order:
        columns: dict[str, torch.Tensor] = {}
        for name in op.inputs:
            columns |= _columns(op, call, variant, tensors, cotangent, order, wrt=(name,))
        return columns
    if path == "expanded" and cotangent is None and order:
        return _columns(op, call, variant, tensors, tensors[op.inputs[0]].new_ones(()), order)
    if path in paths.WITH_MIXED and cotangent is None and order:
        like = tensors[op.inputs[0]]
        g = like.new_tensor(np.resize(MIXED, like.numel())).reshape(like.shape)
        found = _columns(op, call, variant, tensors, g.clone(), 1)
        return {n: column / g if n != "value" else column for n, column in found.items()}
    if path == "twice":
        return _twice(op, call, variant, tensors, cotangent, min(order, 1))
    return _columns(op, call, variant, tensors, cotangent, order)


def _twice(
    op: Op,
    call: Callable[..., Any],
    variant: Params,
    tensors: Mapping[str, torch.Tensor],
    cotangent: torch.Tensor | None,
    order: int,
) -> dict[str, torch.Tensor]:
    """The columns after another call, and those of a second way back through the same graph: who keeps tensors of his
    own between calls, or writes into them on the way back, has others by then.
    """
    given = {n: tensors[n].detach().requires_grad_(order > 0) for n in op.inputs}
    options = op.arguments(variant)
    value = call(*given.values(), **{n: tensors[n] for n in op.extras}, **options)
    others = {n: paths.turned(t.detach()).requires_grad_(t.requires_grad) for n, t in given.items()}
    call(*others.values(), **{n: paths.turned(tensors[n]) for n in op.extras}, **options)
    columns = {"value": value}
    if order:
        g = torch.ones_like(value) if cotangent is None else cotangent
        inputs = list(given.values())
        torch.autograd.grad(value, inputs, g.clone(), retain_graph=True, allow_unused=True)
        grads = torch.autograd.grad(value, inputs, g, allow_unused=True)
        columns |= {f"d:{n}": _or_zero(d, given[n]) for n, d in zip(given, grads, strict=True)}
    return columns


def _columns(
    op: Op,
    call: Callable[..., Any],
    variant: Params,
    tensors: Mapping[str, torch.Tensor],
    cotangent: torch.Tensor | None,
    order: int,
    *,
    wrt: Sequence[str] | None = None,
    recorded: bool = False,
) -> dict[str, torch.Tensor]:
    """Value and derivatives, those in `wrt` only where it is given; a cotangent of no dimensions is expanded.

    First derivatives are `recorded` for another one wherever that is wanted.
    """
    wanted = op.inputs if wrt is None else wrt
    given = {n: tensors[n].detach().requires_grad_(order > 0 and n in wanted) for n in op.inputs}
    leaves = {n: t for n, t in given.items() if n in wanted}
    value = call(*given.values(), **{n: tensors[n] for n in op.extras}, **op.arguments(variant))
    if not isinstance(value, torch.Tensor):
        raise Raised(f"returned {type(value).__name__}, not a tensor")
    if value.shape != next(iter(leaves.values())).shape:
        shape = tuple(next(iter(leaves.values())).shape)
        raise Raised(f"returned shape {tuple(value.shape)} for an input of shape {shape}")
    columns = {"value": value}
    if order:
        if not value.requires_grad and wrt is not None:
            # It may depend on the others alone.
            return columns | {f"d:{n}": torch.zeros_like(t) for n, t in leaves.items()}
        if not value.requires_grad:
            raise Raised("the result does not depend on its inputs for autograd: it has no grad_fn")
        g = torch.ones_like(value) if cotangent is None else cotangent.to(value.dtype).expand_as(value)
        inputs = list(leaves.values())
        recorded = recorded or order > 1
        grads = torch.autograd.grad(value, inputs, g, create_graph=recorded, allow_unused=True)
        columns |= {f"d:{n}": _or_zero(d, leaves[n]) for n, d in zip(leaves, grads, strict=True)}
    for n in leaves if order > 1 else ():
        first = columns[f"d:{n}"]
        second = None
        if first.requires_grad:
            ones = torch.ones_like(first)
            (second,) = torch.autograd.grad(first, leaves[n], ones, retain_graph=True, allow_unused=True)
        columns[f"dd:{n}"] = _or_zero(second, leaves[n])
    return columns


def _or_zero(d: torch.Tensor | None, like: torch.Tensor) -> torch.Tensor:
    """autograd's None means a derivative of 0."""
    return torch.zeros_like(like) if d is None else d


def changed(tensors: Mapping[str, torch.Tensor], values: Mapping[str, Any]) -> tuple[str, ...]:
    """The tensors that no longer hold the values that they were made of."""
    found = []
    for name, t in tensors.items():
        if not np.array_equal(to_numpy(t).reshape(-1), np.ravel(values[name]), equal_nan=True):
            found.append(name)
    return tuple(found)


def _collect(
    columns: Mapping[str, torch.Tensor], size: int, path: str, overwritten: tuple[str, ...]
) -> Outcome:
    where = slice(-size, None) if path == "tail" else slice(size)
    flat = {n: to_numpy(t).reshape(-1) for n, t in columns.items()}
    return Outcome(
        changed=overwritten,
        columns={n: _oddest(x, size) if path == "long" else x[where] for n, x in flat.items()},
        dtypes={n: str(t.dtype).removeprefix("torch.") for n, t in columns.items()},
    )


def _oddest(x: Floats, size: int) -> Floats:
    """Of the copies of each point that a long vector holds, one that most others differ from, where one does.

    The vector begins elsewhere than the sample does, so that no place of it holds the same point on every path.
    """
    first = x[:size]
    whole = np.resize(first, len(x))
    differs = np.flatnonzero((x != whole) & ~(np.isnan(x) & np.isnan(whole)))
    others = np.bincount(differs % size, minlength=size)
    odd = differs[others[differs % size] <= len(x) // size // 2]
    found = first.copy()
    found[odd % size] = x[odd]
    return np.roll(found, -(size // 3))


def to_numpy(t: torch.Tensor) -> Floats:
    """The values of a tensor as float64, which holds every narrower format exactly."""
    # force=True also writes out the zeros that autograd keeps symbolic (p = 1 norms, second derivatives).
    array: Floats = t.detach().to(device="cpu", dtype=torch.float64).contiguous().numpy(force=True)
    return array
