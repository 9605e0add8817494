"""Registering custom ops from the files and modules that `--load` names."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import inspect
import sys
import traceback
import zlib
from contextlib import contextmanager
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Final

from gradcheck_suite.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from gradcheck_suite.ops.registry import Registry

HOOK: Final = "pytest_gradcheck_register"
LOADED: Final = "gradcheck_loaded_"
"""How modules are named that a file was loaded as; reports show the file's own name instead."""

ENTRY_POINTS: Final = "gradcheck_suite.register"
"""The group in which an installed library names its function `register(register)`."""


def register_all(sources: Iterable[str]) -> Registry:
    """torch's own ops, those of installed libraries, and those of the files and modules in `sources`.

    Raises UsageError where one of them cannot be loaded, or registers a name twice.
    """
    from gradcheck_suite.ops.registry import registry
    from gradcheck_suite.registration import Registrar

    ops = registry().copy()
    register = Registrar(ops)
    register_installed(register)
    for source in dict.fromkeys(sources):
        register_from(source, register)
    register.close()
    return ops


def register_installed(register: Callable[..., object]) -> None:
    """Call the functions that installed libraries name in the entry-point group `gradcheck_suite.register`.

    Raises UsageError that names the entry point which cannot be loaded.
    """
    for point in importlib.metadata.entry_points(group=ENTRY_POINTS):
        try:
            hook = point.load()
        except Exception as error:
            raise UsageError(
                f"the entry point {point.name} = {point.value} cannot be loaded: {_told(error)}"
            ) from error
        with registering(f"the entry point {point.name}"):
            hook(register)


def source_of_plugin(plugin: object) -> str | None:
    """What names a pytest plugin to `register_from`: its module, or the file of a conftest.py; None for an
    object.
    """
    file, name = getattr(plugin, "__file__", None), getattr(plugin, "__name__", "")
    if not isinstance(plugin, ModuleType) or file is None:
        return None
    # pytest gives a conftest.py a name under which another process need not find it.
    importable = "." in name or not file.endswith("conftest.py")
    return name if importable and PathFinder.find_spec(name.partition(".")[0]) is not None else str(file)


def register_from(source: str, register: Callable[..., object]) -> None:
    """Call the function `pytest_gradcheck_register(register)` of a Python file or an importable module.

    Raises UsageError where `source` cannot be imported or has no such function.
    """
    module = _from_file(Path(source)) if _is_file_name(source) else _from_name(source)
    hook = getattr(module, HOOK, None)
    if hook is None:
        raise UsageError(f"{source} registers no ops; define a function {HOOK}(register) in it")
    require_argument(hook, source)
    with registering(source):
        hook(register=register)


def require_argument(hook: Callable[..., object], where: str) -> None:
    """Raises UsageError for a hook that does not take `register`: pytest would call it with nothing."""
    try:
        taken = inspect.signature(hook).parameters
    except (TypeError, ValueError):
        return
    if "register" not in taken and not any(p.kind is p.VAR_KEYWORD for p in taken.values()):
        raise UsageError(f"{HOOK} of {where} takes no argument 'register'; define it as {HOOK}(register)")


@contextmanager
def registering(what: str) -> Iterator[None]:
    """Turn what a user's registration raises into a UsageError that names `what` and the line."""
    try:
        yield
    except UsageError:
        raise
    except Exception as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(frame.filename).name}:{frame.lineno}"
        raise UsageError(f"{what} cannot register its ops: {_told(error)} ({place})") from error


def _is_file_name(source: str) -> bool:
    return source.endswith(".py") or Path(source).is_file()


def _from_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise UsageError(f"there is no file {path} to load")
    # One name per file: two conftest.py may not overwrite each other.
    name = f"{LOADED}{path.stem}_{zlib.crc32(str(path.resolve()).encode()):08x}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UsageError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    # As `python FILE` does: a file finds the modules beside it.
    if str(path.resolve().parent) not in sys.path:
        sys.path.insert(0, str(path.resolve().parent))
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
