"""Calling torch: one column of one op at many points, in the dtype under test, on one of the ways to call it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from gradcheck_suite.floats import format_of
from gradcheck_suite.ops.record import Op, Params

Floats = npt.NDArray[np.float64]

SINGLE_LIMIT = 500
"""A call on one element costs 26-52 microseconds, so the one-element path sees at most this many points."""

_UNSUPPORTED = ("not implemented for", "is not implemented", "not supported for", "does not support")


class Unsupported(Exception):
    """The op does not work in this dtype or direction at all, which is not a defect."""


class Raised(Exception):
    """The op raised on inputs for which it is documented to work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Float64 copies of what torch computed per column, and the dtype that each came in."""

    columns: dict[str, Floats]
    dtypes: dict[str, str]


def tensor(values: Floats, dtype: str, device: str, *, strided: bool = False) -> torch.Tensor:
    """Values of the dtype as a tensor of it; `strided` puts them two elements apart, which bypasses the SIMD loop."""
    made = torch.from_numpy(np.ascontiguousarray(values)).to(getattr(torch, dtype)).to(device)
    if not strided:
        return made
    wide = torch.zeros(2 * made.numel(), dtype=made.dtype, device=device)
    wide[::2] = made
    return wide[::2]


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
    """Value and derivatives of a pointwise op at every point, as torch computes them.

    `inputs` holds the op's inputs and extras by name.  Columns: "value", for order >= 1 "d:name" (times the cotangent, 1 by default), for order 2 "dd:name", the gradient
    of d:name with cotangent 1.  Raises Unsupported or Raised.
    """
    call = path_call(op, path)
    if path == "single":
        return _one_by_one(op, variant, inputs, dtype=dtype, order=order, device=device, cotangent=cotangent)
    tensors = {n: tensor(x, dtype, device, strided=path == "strided") for n, x in inputs.items()}
    g = None if cotangent is None else tensor(cotangent, dtype, device, strided=path == "strided")
    with refusals(dtype, op.reals(variant)):
        return _collect(_columns(op, call, variant, tensors, g, order))


@contextmanager
def refusals(dtype: str, reals: Mapping[str, float]) -> Iterator[None]:
    """Whatever torch raises inside becomes Unsupported (also where the dtype cannot hold a parameter) or Raised."""
    try:
        yield
    except (Unsupported, Raised):
        raise
    except NotImplementedError as error:
        raise Unsupported(_first_line(error)) from error
    except Exception as error:
        refused = _means_unsupported(error) or not _holds(dtype, reals)
        raise (Unsupported if refused else Raised)(_first_line(error)) from error


def path_call(op: Op, path: str) -> Callable[..., Any]:
    """The callable that a path stands for. Raises Unsupported where the op has no such form."""
    if path == "inplace":
        return _inplace(op)
    if path == "out":
        return _out(op)
    if path == "module":
        if op.module is None:
            raise Unsupported("no module form")
        module = op.module
        return lambda *tensors, **params: module(**params)(*tensors)
    return op.call


def _inplace(op: Op) -> Callable[..., Any]:
    if op.inplace is None:
        raise Unsupported("no in-place form")
    # `+ 0` would turn -0 into 0; a clone keeps every bit and is no leaf, so that it may be overwritten.
    form = op.inplace
    return lambda first, *rest, **params: form(first.clone(), *rest, **params)


def _out(op: Op) -> Callable[..., Any]:
    if op.out is None:
        raise Unsupported("no out= form")
    form = op.out
    return lambda *tensors, **params: form(*tensors, **params, out=torch.empty_like(tensors[0]))


def _columns(
    op: Op,
    call: Callable[..., Any],
    variant: Params,
    tensors: Mapping[str, torch.Tensor],
    cotangent: torch.Tensor | None,
    order: int,
) -> dict[str, torch.Tensor]:
    leaves = {n: tensors[n].detach().requires_grad_(order > 0) for n in op.inputs}
    value = call(*leaves.values(), **{n: tensors[n] for n in op.extras}, **variant)
    if not isinstance(value, torch.Tensor):
        raise Raised(f"returned {type(value).__name__}, not a tensor")
    if value.shape != next(iter(leaves.values())).shape:
        raise Raised(f"returned shape {tuple(value.shape)} for an input of shape {tuple(next(iter(leaves.values())).shape)}")
    columns = {"value": value}
    if order:
        if not value.requires_grad:
            raise Raised("the result does not depend on its inputs for autograd: it has no grad_fn")
        g = torch.ones_like(value) if cotangent is None else cotangent.to(value.dtype)
        grads = torch.autograd.grad(value, list(leaves.values()), g, create_graph=order > 1, allow_unused=True)
        columns |= {f"d:{n}": _or_zero(d, leaves[n]) for n, d in zip(leaves, grads, strict=True)}
    for n in leaves if order > 1 else ():
        first = columns[f"d:{n}"]
        second = None
        if first.requires_grad:
            (second,) = torch.autograd.grad(first, leaves[n], torch.ones_like(first), retain_graph=True, allow_unused=True)
        columns[f"dd:{n}"] = _or_zero(second, leaves[n])
    return columns


def _or_zero(d: torch.Tensor | None, like: torch.Tensor) -> torch.Tensor:
    """autograd's None means a derivative of 0."""
    return torch.zeros_like(like) if d is None else d


def _collect(columns: Mapping[str, torch.Tensor]) -> Outcome:
    return Outcome(
        columns={n: to_numpy(t) for n, t in columns.items()},
        dtypes={n: str(t.dtype).removeprefix("torch.") for n, t in columns.items()},
    )


def to_numpy(t: torch.Tensor) -> Floats:
    """The values of a tensor as float64, which holds every narrower format exactly."""
    # force=True also writes out the zeros that autograd keeps symbolic (p = 1 norms, second derivatives).
    array: Floats = t.detach().to(device="cpu", dtype=torch.float64).contiguous().numpy(force=True)
    return array


def _one_by_one(
    op: Op,
    variant: Params,
    inputs: Mapping[str, Floats],
    *,
    dtype: str,
    order: int,
    device: str,
    cotangent: Floats | None,
) -> Outcome:
    size = len(next(iter(inputs.values())))
    parts = []
    for i in range(size):
        one = {n: x[i : i + 1] for n, x in inputs.items()}
        g = None if cotangent is None else cotangent[i : i + 1]
        parts.append(pointwise(op, variant, one, dtype=dtype, order=order, device=device, cotangent=g))
    columns = {n: np.concatenate([p.columns[n] for p in parts]) for n in parts[0].columns}
    return Outcome(columns=columns, dtypes=parts[0].dtypes)


def _means_unsupported(error: Exception) -> bool:
    return any(words in str(error) for words in _UNSUPPORTED)


def _holds(dtype: str, reals: Mapping[str, float]) -> bool:
    """Whether the dtype can hold every real parameter; torch may refuse one that overflows in it."""
    return all(abs(value) <= format_of(dtype).max for value in reals.values())


def _first_line(error: BaseException) -> str:
    text = str(error).strip() or type(error).__name__
    return f"{type(error).__name__}: {text.splitlines()[0]}"
