"""What the commands share: options from the table, settings as typed, the registry with custom ops."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradcheck_suite.errors import UsageError, suggest
from gradcheck_suite.options import OPTIONS, settings_from
from gradcheck_suite.preflight import pin_threads, require_device, require_torch

if TYPE_CHECKING:
    import argparse
    from collections.abc import Container

    from gradcheck_suite.ops.record import Op
    from gradcheck_suite.ops.registry import Registry
    from gradcheck_suite.options import Settings


def add_options(parser: argparse.ArgumentParser, *, only: Container[str] | None = None, **helps: str) -> None:
    """Declare the options of the table, as `--NAME`: those of the names in `only`, or all; `helps` are the help texts
    of fields that mean something else here.
    """
    for option in OPTIONS:
        if only is None or option.name in only:
            told = option.declaration()
            told["help"] = helps.get(option.field, told["help"])
            parser.add_argument(f"--{option.name}", dest=option.field, **told)


def settings_of(arguments: argparse.Namespace) -> Settings:
    """Return the settings that were typed. Raises UsageError."""
    return settings_from(vars(arguments))


def open_registry(settings: Settings) -> Registry:
    """Return the ops, with those of `settings.load`; torch is pinned to one thread. Raises UsageError."""
    from gradcheck_suite.loading import register_all

    require_torch()
    require_device(settings)
    pin_threads()
    return register_all(settings.load)


def op_named(name: str, registry: Registry, settings: Settings) -> Op:
    """The op of that name. Raises UsageError; where nothing was loaded, an op of the user's own may be meant."""
    if settings.load or name in registry.names():
        return registry.get(name)
    raise UsageError(
        f"unknown op {name!r}; {suggest(name, registry.names())}; --load FILE reads ops of your own"
    )


def require_running(op: Op, settings: Settings) -> None:
    """Raises UsageError where the op cannot run on the device that was asked for."""
    from gradcheck_suite.engine.availability import refusal

    reason = refusal(op, settings.device)
    if reason:
        raise UsageError(reason)
