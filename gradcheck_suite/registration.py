"""Registering custom ops: the function that conftest.py files and `--load` files are handed."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from gradcheck_suite.errors import UsageError
from gradcheck_suite.ops.declare import qualified_name
from gradcheck_suite.ops.record import Op, source_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gradcheck_suite.ops.registry import Registry


class Registrar:
    """`register(name, fn, like=…)`, bound to the registry of one run."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def __call__(
        self,
        name: str,
        fn: Callable[..., Any],
        *,
        like: str,
        dtypes: Sequence[str] | None = None,
        directions: Sequence[str] | None = None,
        max_ulp: float | None = None,
        **params: Any,
    ) -> Op:
        """Register `fn` as the op `name`, to be judged by the definition, the inputs and the kinks of `like`.

        `params` are parameters of `like` at which `fn` is meant to equal it; `fn` itself is called with the
        tensors alone. `dtypes` and `directions` default to those of `like`, `max_ulp` to that of the run.
        Returns the record. Raises UsageError for an unknown `like`, a parameter that it does not have, or a
        name that is taken.
        """
        model = self._registry.get(like)
        for param in params:
            if param not in model.defaults:
                raise UsageError.unknown(f"parameter of {like}", param, model.defaults)
        record = dataclasses.replace(
            model,
            name=name,
            call=lambda *tensors, **_: fn(*tensors),
            callable_name=qualified_name(fn),
            tier="custom",
            custom=True,
            variants=({},),
            defaults={**model.defaults, **params},
            dtypes=tuple(dtypes) if dtypes is not None else model.dtypes,
            directions=tuple(directions) if directions is not None else model.directions,
            max_ulp=max_ulp,
            source=source_of(fn) or model.source,
            module=None,
            inplace=None,
            out=None,
            twins=(),
            stable_form=None,
        )
        return self._registry.register(record)
