"""Calling torch on one whole sample: several inputs, other arguments, several outputs, a cotangent that
varies."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from gradcheck_suite.engine.calls import Raised, changed, to_numpy
from gradcheck_suite.engine.paths import form_of, laid_out
from gradcheck_suite.engine.refusals import refusals
from gradcheck_suite.ops.record import Op, Params, Sample

Floats = npt.NDArray[np.float64]
Pattern = Callable[[int], Floats]


@dataclass(frozen=True, slots=True, kw_only=True)
class Called:
    """Flat float64 copies of what torch computed per column, the dtypes, and the shapes of the outputs."""

    columns: dict[str, Floats]
    dtypes: dict[str, str]
    shapes: tuple[tuple[int, ...], ...]
    changed: tuple[str, ...] = ()
    """The inputs that a custom op overwrote."""


def call_sample(
    op: Op,
    variant: Params,
    sample: Sample,
    *,
    dtype: str,
    order: int,
    cotangent: Pattern,
    direction: Pattern,
    path: str = "vector",
    device: str = "cpu",
) -> Called:
    """Columns "value", "d:name" (order 1) and "dd:name" (order 2) of one sample, as `formula.arrays` defines
    them.

    Raises Unsupported or Raised.
    """
    make = _maker(dtype, device, path)
    tensors = {n: make(x) for n, x in sample.inputs.items()}
    extra = {n: argument(x, make, device) for n, x in sample.extra.items()}
    options = {n: v for n, v in variant.items() if n not in tensors and n not in extra}
    form = partial(form_of(op, path), **extra, **options)
    # torch's own backwards are not tried with further layouts of the cotangent.
    lay = _lay(path) if op.custom else _as_it_is
    with refusals(dtype, op.reals(variant)):
        columns: dict[str, list[torch.Tensor]] = {}
        for wrt in [(n,) for n in tensors] if path == "frozen" and order else [tuple(tensors)]:
            given = {n: t.detach().requires_grad_(order > 0 and n in wrt) for n, t in tensors.items()}
            with torch.set_grad_enabled(path != "inference"):
                columns["value"] = _tensors(form(*given.values()))
            if order:
                leaves = {n: given[n] for n in wrt}
                columns |= _derivatives(
                    columns["value"], leaves, cotangent, direction, order, lay, alone=path == "frozen"
                )
        return Called(
            columns={n: _flat(parts) for n, parts in columns.items()},
            dtypes={n: str(parts[0].dtype).removeprefix("torch.") for n, parts in columns.items()},
            shapes=tuple(tuple(t.shape) for t in columns["value"]),
            changed=changed(tensors, sample.inputs) if op.custom else (),
        )


def argument(value: Any, make: Callable[[Any], torch.Tensor], device: str) -> Any:
    """An extra as torch takes it: float arrays in the dtype under test, other arrays as they are, the rest
    untouched."""
    if not isinstance(value, np.ndarray):
        return value
    return make(value) if value.dtype == np.float64 else torch.from_numpy(np.array(value)).to(device)


def _maker(dtype: str, device: str, path: str) -> Callable[[Any], torch.Tensor]:
    kind = getattr(torch, dtype)

    def make(values: Any) -> torch.Tensor:
        t = torch.from_numpy(np.array(values, dtype=np.float64)).to(device=device, dtype=kind)
        return laid_out(t, path)

    return make


def _as_it_is(t: torch.Tensor) -> torch.Tensor:
    return t


def _lay(path: str) -> Callable[[torch.Tensor], torch.Tensor]:
    """How autograd hands over a cotangent: in the layout of the path; one number expanded where all are alike,
    as a sum does."""

    def laid(t: torch.Tensor) -> torch.Tensor:
        if t.numel() > 1 and bool((t == t.reshape(-1)[0]).all()):
            return t.reshape(-1)[0].expand(t.shape)
        return laid_out(t, path)

    return laid


def _tensors(found: Any) -> list[torch.Tensor]:
    outputs = list(found) if isinstance(found, tuple | list) else [found]
    for output in outputs:
        if not isinstance(output, torch.Tensor):
            raise Raised(f"returned {type(output).__name__}, not a tensor")
    return outputs


def _derivatives(
    outputs: list[torch.Tensor],
    leaves: Mapping[str, torch.Tensor],
    cotangent: Pattern,
    direction: Pattern,
    order: int,
    lay: Callable[[torch.Tensor], torch.Tensor],
    *,
    alone: bool = False,
) -> dict[str, list[torch.Tensor]]:
    """Gradients with respect to some inputs, which need one `alone`."""
    differentiable = [t for t in outputs if t.requires_grad]
    if not differentiable and alone:
        # It may depend on the others.
        return {f"d:{n}": [torch.zeros_like(x)] for n, x in leaves.items()}
    if not differentiable:
        raise Raised("the result does not depend on its inputs for autograd: it has no grad_fn")
    numbers = cotangent(sum(t.numel() for t in outputs))
    seeds, start = [], 0
    for t in outputs:
        if t.requires_grad:
            seeds.append(lay(_like(t, numbers[start : start + t.numel()])))
        start += t.numel()
    inputs = list(leaves.values())
    grads = _grad(differentiable, inputs, seeds, create_graph=order > 1)
    columns = {f"d:{n}": [g] for n, g in zip(leaves, grads, strict=True)}
    if order > 1:
        moving = [
            (g, _like(x, direction(x.numel()))) for g, x in zip(grads, inputs, strict=True) if g.requires_grad
        ]
        second = [torch.zeros_like(x) for x in inputs]
        if moving:
            second = _grad([g for g, _ in moving], inputs, [v for _, v in moving], create_graph=False)
        columns |= {f"dd:{n}": [s] for n, s in zip(leaves, second, strict=True)}
    return columns


def _grad(
    outputs: list[torch.Tensor], inputs: list[torch.Tensor], seeds: list[torch.Tensor], *, create_graph: bool
) -> list[torch.Tensor]:
    """Gradients, with zeros for autograd's None."""
    found = torch.autograd.grad(outputs, inputs, seeds, create_graph=create_graph, allow_unused=True)
    given: list[torch.Tensor | None] = list(found)
    return [torch.zeros_like(x) if g is None else g for g, x in zip(given, inputs, strict=True)]


def _like(t: torch.Tensor, values: Floats) -> torch.Tensor:
    return torch.from_numpy(np.array(values, dtype=np.float64)).to(t).reshape(t.shape)


def _flat(parts: list[torch.Tensor]) -> Floats:
    return np.concatenate([to_numpy(t).reshape(-1) for t in parts])
