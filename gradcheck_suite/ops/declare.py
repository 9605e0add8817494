"""The decorators by which a family file declares its ops; each turns a formula into a registered record."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import torch

from gradcheck_suite.ops.record import Op, Params, source_of
from gradcheck_suite.ops.registry import BUILTIN

Formula = Callable[..., Any]


def activation(
    call: Callable[..., Any], *, name: str | None = None, **options: Any
) -> Callable[[Formula], Formula]:
    """Register a one-input elementwise activation whose definition is the decorated formula.

    Keyword defaults of the formula are the op's parameter defaults.  `variants` lists parameter sets beside
    the default one; `variants_only=True` leaves the default set out, where the op has none.
    """

    def declare(formula: Formula) -> Formula:
        BUILTIN.register(make_op(name or formula.__name__, call, formula, family="activation", **options))
        return formula

    return declare


def elementwise(
    call: Callable[..., Any], *, family: str, name: str | None = None, **options: Any
) -> Callable[[Formula], Formula]:
    """Register an op of one or several inputs that maps entries to entries, unless a variant reduces them."""

    def declare(formula: Formula) -> Formula:
        BUILTIN.register(make_op(name or formula.__name__, call, formula, family=family, **options))
        return formula

    return declare


def operation(
    call: Callable[..., Any], *, family: str, name: str | None = None, **options: Any
) -> Callable[[Formula], Formula]:
    """Register an op whose entries depend on each other; `samples` states the calls to judge it on."""

    def declare(formula: Formula) -> Formula:
        op = make_op(name or formula.__name__, call, formula, family=family, pointwise=False, **options)
        BUILTIN.register(op)
        return formula

    return declare


def make_op(
    name: str,
    call: Callable[..., Any],
    formula: Formula,
    *,
    variants: Sequence[Params] = (),
    variants_only: bool = False,
    **options: Any,
) -> Op:
    """An `Op` record from its parts; parameter defaults are read off the formula's keyword defaults."""
    parameters = inspect.signature(formula).parameters.values()
    defaults = {p.name: p.default for p in parameters if p.default is not p.empty}
    options.setdefault("callable_name", qualified_name(call))
    options.setdefault("source", source_of(formula))
    grid = tuple(variants) if variants_only else ({}, *variants)
    return Op(name=name, call=call, formula=formula, defaults=defaults, variants=grid, **options)


def qualified_name(call: Callable[..., Any]) -> str:
    """The public name of a callable, such as torch.nn.functional.gelu; its module and name where torch has
    none.
    """
    for module in (torch.nn.functional, torch, torch.special):
        for name in (getattr(call, "__name__", ""), *dir(module)):
            if name and not name.startswith("_") and getattr(module, name, None) is call:
                return f"{module.__name__}.{name}"
    name = getattr(call, "__qualname__", None) or type(call).__name__
    return f"{getattr(call, '__module__', None) or '?'}.{name}"
