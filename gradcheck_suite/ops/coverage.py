"""Which public callables of torch the registered ops stand for, and which none does.

The walk: the module classes of torch.nn.modules.activation, loss, distance and adaptive; every function of
torch.nn.functional and torch.special; and their twins of the same name in torch and torch.Tensor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import nn

from gradcheck_suite.ops.excluded import EXCLUDED
from gradcheck_suite.ops.record import Op

_FUNCTIONS: Final[Mapping[str, Any]] = {
    "torch.nn.functional": F,
    "torch.special": torch.special,
    "torch": torch,
    "torch.Tensor": torch.Tensor,
}
_CLASSES: Final = ("activation", "loss", "distance", "adaptive")


def module_names() -> list[str]:
    """Every public class of the families: "torch.nn.GELU"."""
    listed = [name for family in _CLASSES for name in getattr(nn.modules, family).__all__]
    # Identity is an activation that torch keeps among the linear layers.
    return [f"torch.nn.{name}" for name in ("Identity", *listed)]


def function_names() -> list[str]:
    """Every function of torch.nn.functional and torch.special, and their twins: "torch.Tensor.relu_"."""
    own = [*_public("torch.nn.functional"), *_public("torch.special")]
    stems = {stem(name) for name in own if name not in EXCLUDED}
    twins = [name for space in ("torch", "torch.Tensor") for name in _public(space) if stem(name) in stems]
    return [*own, *twins]


def stem(name: str) -> str:
    """The last part without the underscore of in-place forms: "relu" for "torch.nn.functional.relu_"."""
    return name.rpartition(".")[2].rstrip("_")


def _public(space: str) -> Iterator[str]:
    owner = _FUNCTIONS[space]
    for name in dir(owner):
        found = getattr(owner, name, None)
        if not name.startswith("_") and callable(found) and not isinstance(found, type):
            yield f"{space}.{name}"


def covered(ops: Iterable[Op]) -> set[str]:
    """The public names that the ops stand for: their own callables, and every function of the same name.

    A name means one operation in all of torch's namespaces: torch.softmax and torch.Tensor.softmax are
    torch.nn.functional.softmax, and a trailing underscore is its in-place form.
    """
    classes, functions = module_names(), function_names()
    by_identity = _names_by_identity([*classes, *functions])
    direct: set[str] = set()
    for op in ops:
        direct |= {op.callable_name, *op.covers}
        for found in (op.call, op.module, op.inplace, op.out, *op.twins):
            direct |= by_identity.get(id(found), set()) if found is not None else set()
    stems = {stem(name) for name in direct if not name.startswith("torch.nn.") or "functional" in name}
    return direct | {name for name in functions if stem(name) in stems}


def _names_by_identity(names: Iterable[str]) -> dict[int, set[str]]:
    out: dict[int, set[str]] = {}
    for name in names:
        out.setdefault(id(resolve(name)), set()).add(name)
    return out


def resolve(name: str) -> Callable[..., Any]:
    """The object that a full public name means."""
    space, _, last = name.rpartition(".")
    owner = nn if space == "torch.nn" else _FUNCTIONS[space]
    found: Callable[..., Any] = getattr(owner, last)
    return found


def uncovered(ops: Iterable[Op]) -> list[str]:
    """Public names that are neither covered by an op nor excluded with a reason."""
    known = covered(ops) | set(EXCLUDED)
    return [name for name in (*module_names(), *function_names()) if name not in known]
