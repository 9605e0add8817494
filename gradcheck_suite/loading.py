"""Registering custom ops from the files and modules that `--load` names."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gradcheck_suite.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

HOOK: Final = "pytest_gradcheck_register"


def register_from(source: str, register: Callable[..., object]) -> None:
    """Call the function `pytest_gradcheck_register(register)` of a Python file or an importable module.

    Raises UsageError where `source` cannot be imported or has no such function.
    """
    module = _from_file(Path(source)) if _is_file_name(source) else _from_name(source)
    hook = getattr(module, HOOK, None)
    if hook is None:
        raise UsageError(f"{source} registers no ops; define a function {HOOK}(register) in it")
    hook(register=register)


def _is_file_name(source: str) -> bool:
    return source.endswith(".py") or Path(source).is_file()


def _from_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise UsageError(f"there is no file {path} to load")
    name = f"gradcheck_loaded_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UsageError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    # Dataclasses and pickling look their module up by name.
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise UsageError(f"{path} cannot be loaded: {_told(error)}") from error
    return module


def _from_name(name: str) -> ModuleType:
    # A console script's path does not start at the folder that it is run in, as `python -m` does.
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        return importlib.import_module(name)
    except Exception as error:
        raise UsageError(f"the module {name} cannot be loaded: {_told(error)}") from error


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
