"""Ops with one mistake planted: what a gate must catch, or it guards nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import torch

from gradcheck_suite.floats import format_of
from gradcheck_suite.ops.record import Op

Tensor = torch.Tensor
Change = Callable[[Tensor, Tensor], Tensor]
"""What becomes of a value or a gradient, given also the first input where that has the same shape."""

TAILS: Final = (12.0, 4.0, 1.0, 0.25, 0.0)
"""Where a tail may begin; the first beyond which the op has something to lose counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """One mistake: what it is called, the direction that must show it, and how it changes a call.

    `plant(op, dtype, tail, seen)` returns the mutated callable; it reports on `seen` whether it changed
    anything.
    """

    name: str
    direction: str
    plant: Callable[[Op, str, float, Seen], Callable[..., Any]]
    has_tail: bool = False


@dataclass(slots=True)
class Seen:
    """Whether a mutant changed any number so far."""

    changed: bool = False

    def of(self, before: Tensor, after: Tensor) -> Tensor:
        """`after`, noticing whether it differs from `before`."""
        same = (before == after) | (before.isnan() & after.isnan())
        self.changed |= not bool(same.all())
        return after


class _Changed(torch.autograd.Function):
    """The identity, but for a change of the value on the way up or of the gradient on the way down."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, value: Callable[[Tensor], Tensor] | None, gradient: Any) -> Tensor:
        ctx.gradient = gradient
        return x.clone() if value is None else value(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (g,) = grads
        return (g if ctx.gradient is None else ctx.gradient(g)), None, None


def changed(x: Tensor, *, value: Any = None, gradient: Any = None) -> Tensor:
    """`x` with its value or its gradient changed, and the other one left alone."""
    out: Tensor = _Changed.apply(x, value, gradient)  # type: ignore[no-untyped-call]
    return out


def value_mutant(name: str, change: Callable[[str, float], Change], *, has_tail: bool = False) -> Mutant:
    """A mistake in the value; the gradient stays right."""

    def plant(op: Op, dtype: str, tail: float, seen: Seen) -> Callable[..., Any]:
        alter = change(dtype, tail)

        def call(*tensors: Any, **rest: Any) -> Any:
            x = tensors[0].detach()
            return _each(
                op.call(*tensors, **rest), lambda y: changed(y, value=lambda v: seen.of(v, alter(v, x)))
            )

        return call

    return Mutant(name=name, direction="forward", plant=plant, has_tail=has_tail)


def gradient_mutant(name: str, change: Callable[[str, float], Change], *, has_tail: bool = False) -> Mutant:
    """A mistake in the gradient of the first input; the value stays right."""

    def plant(op: Op, dtype: str, tail: float, seen: Seen) -> Callable[..., Any]:
        alter = change(dtype, tail)

        def call(first: Tensor, *others: Any, **rest: Any) -> Any:
            x = first.detach()
            mutated = changed(first, gradient=lambda g: seen.of(g, alter(g, x)))
            return op.call(mutated, *others, **rest)

        return call

    return Mutant(name=name, direction="backward", plant=plant, has_tail=has_tail)


def _each(found: Any, alter: Callable[[Tensor], Tensor]) -> Any:
    if isinstance(found, tuple | list):
        return type(found)(alter(y) for y in found)
    return alter(found)


def _scaled(dtype: str, tail: float) -> Change:
    factor = 1 + 2.0 ** (4 - format_of(dtype).precision)
    return lambda v, x: v * factor


def _tail_of(v: Tensor, x: Tensor, tail: float) -> Tensor:
    """The entries beyond the tail's beginning; the last entry where values and inputs do not match one to
    one.
    """
    if v.shape == x.shape:
        return x.abs() > tail
    last = torch.zeros(v.numel(), dtype=torch.bool, device=v.device)
    last[-1:] = True
    return last.reshape(v.shape)


def _zero_tail(dtype: str, tail: float) -> Change:
    return lambda v, x: torch.where(_tail_of(v, x, tail), torch.zeros_like(v), v)


def _nan_tail(dtype: str, tail: float) -> Change:
    return lambda v, x: torch.where(_tail_of(v, x, tail), torch.full_like(v, torch.nan), v)


def _dropped(dtype: str, tail: float) -> Change:
    smallest = format_of(dtype).smallest_normal

    def drop(v: Tensor, x: Tensor) -> Tensor:
        flat = v.reshape(-1).clone()
        # An entry of middling size: neither one that rounds to 0 anyway nor one that an overflow hides.
        ordinary = torch.nonzero(flat.isfinite() & (flat.abs() >= smallest)).reshape(-1)
        if len(flat) > 1 and len(ordinary):
            sizes = flat[ordinary].abs()
            # The first of that size: the later ones may be copies, with which a vector was filled up.
            middle = (sizes == sizes.median()).nonzero()[0]
            flat[ordinary[middle]] = 0
        return flat.reshape(v.shape)

    return drop


def _zeros(dtype: str, tail: float) -> Change:
    return lambda v, x: torch.zeros_like(v)


def _ones(dtype: str, tail: float) -> Change:
    return lambda v, x: torch.ones_like(v)


def _swap(op: Op, dtype: str, tail: float, seen: Seen) -> Callable[..., Any]:
    def call(first: Tensor, second: Tensor, *others: Any, **rest: Any) -> Any:
        if first.shape != second.shape:
            return op.call(first, second, *others, **rest)
        seen.of(first.detach(), second.detach())
        return op.call(second, first, *others, **rest)

    return call


def _detach(op: Op, dtype: str, tail: float, seen: Seen) -> Callable[..., Any]:
    def call(first: Tensor, *others: Any, **rest: Any) -> Any:
        places = torch.arange(first.numel(), device=first.device).reshape(first.shape)
        cut = places % 2 == 1
        seen.changed |= bool(cut.any())
        return op.call(torch.where(cut, first.detach(), first), *others, **rest)

    return call


SCALED: Final = "scaled by 1+2^(4-p)"
SWAP: Final = Mutant(name="swaps its first two inputs", direction="forward", plant=_swap)
MUTANTS: Final = (
    value_mutant(f"value {SCALED}", _scaled),
    value_mutant("value 0 in a tail", _zero_tail, has_tail=True),
    value_mutant("value NaN in a tail", _nan_tail, has_tail=True),
    value_mutant("value 0 at one entry", _dropped),
    value_mutant("value constant", _ones),
    value_mutant("value all 0", _zeros),
    SWAP,
    gradient_mutant(f"gradient {SCALED}", _scaled),
    gradient_mutant("gradient 0 in a tail", _zero_tail, has_tail=True),
    gradient_mutant("gradient NaN in a tail", _nan_tail, has_tail=True),
    gradient_mutant("gradient 0 at one entry", _dropped),
    gradient_mutant("gradient all 0", _zeros),
    Mutant(name="detaches every second entry", direction="backward", plant=_detach),
)
