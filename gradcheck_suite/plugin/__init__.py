"""The pytest plugin: options, hooks, and the session that `--gradcheck` starts.

Every pytest run in an environment with this package loads this module, so it imports nothing but pytest and
the table of options; torch, numpy and the engine come in with `--gradcheck`.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Literal

import pytest

from gradcheck_suite import hookspec
from gradcheck_suite.errors import UsageError
from gradcheck_suite.options import OPTIONS, Raw, settings_from

if TYPE_CHECKING:
    from gradcheck_suite.options import Option

ROOT = "gradcheck"
BASELINE = "baseline"
"""The name of the item that fails for stale entries of a baseline."""

# From a folder below the root, pytest itself writes "../gradcheck::…".
_ID = re.compile(rf"(?:\.\./)*({ROOT}::.*)")
_INI_TYPES: dict[str, Literal["string", "args", "bool"]] = {
    "value": "string",
    "list": "args",
    "repeated": "args",
    "flag": "bool",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("gradcheck", "numerical stability of torch ops (gradcheck)")
    group.addoption(
        "--gradcheck",
        action="store_true",
        help="add one test per op variant, dtype and direction, judged against the exact result",
    )
    for option in OPTIONS:
        dest = f"gradcheck_{option.field}"
        group.addoption(f"--gradcheck-{option.name}", dest=dest, **option.declaration())
        parser.addini(dest, f"default of --gradcheck-{option.name}", _INI_TYPES[option.kind], default=None)


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    pluginmanager.add_hookspecs(hookspec)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", f"{ROOT}: a numerical check of one op, from pytest --gradcheck")
    ids = {arg: match[1] for arg in config.args if (match := _ID.match(arg))}
    if config.getoption("gradcheck") or ids:
        # pytest would look for files of these names.
        config.args[:] = [arg for arg in config.args if arg not in ids]
        _start(config, tuple(ids.values()))


def _start(config: pytest.Config, ids: tuple[str, ...]) -> None:
    raw = {option.field: _raw(config, option) for option in OPTIONS}
    try:
        settings = settings_from(raw, partial(_typed, config))
    except UsageError as error:
        raise pytest.UsageError(str(error)) from None
    from gradcheck_suite.plugin.session import GradcheckSession

    chosen = frozenset(field for field, value in raw.items() if value is not None)
    config.pluginmanager.register(GradcheckSession(config, settings, ids, chosen), "gradcheck-session")


def _typed(config: pytest.Config, name: str) -> str:
    """How the option was written: on the command line or in pytest's configuration."""
    field = f"gradcheck_{name.replace('-', '_')}"
    if config.getoption(field) is None and config.getini(field) is not None:
        return f"{field} in pytest's configuration:"
    return f"--gradcheck-{name}"


def _raw(config: pytest.Config, option: Option) -> Raw:
    typed: Raw = config.getoption(f"gradcheck_{option.field}")
    if typed is not None:
        return typed
    name = f"gradcheck_{option.field}"
    try:
        configured: Raw = config.getini(name)
    except (ValueError, TypeError, pytest.UsageError) as error:
        needed = "true or false" if option.kind == "flag" else "text"
        raise pytest.UsageError(f"{name} in pytest's configuration: {error}; write {needed}") from None
    return configured
