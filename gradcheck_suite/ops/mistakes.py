"""What a user may have written by mistake, told in one sentence that names the thing and the remedy."""

from __future__ import annotations

import ast
import functools
import linecache
import os
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import mpmath
import numpy as np
import torch

import gradcheck_suite
from gradcheck_suite.errors import UsageError, suggest
from gradcheck_suite.formula.context import Context, Unsuited
from gradcheck_suite.formula.tape import Array

Call = Callable[..., Any]

_LIBRARIES: Final = tuple(
    str(Path(str(module.__file__)).parent) + os.sep for module in (gradcheck_suite, torch, np, mpmath)
)
_OTHERWISE: Final = {
    "absolute": "abs",
    "arccos": "acos",
    "arcsin": "asin",
    "arctan": "atan",
    "arctan2": "atan2",
    "cat": "concat",
    "clip": "clamp",
    "fabs": "abs",
    "hardtanh": "clamp",
    "log_sigmoid": "logsigmoid",
    "pow": "power",
    "float_power": "power",
    "take_along_dim": "gather",
}
"""What other libraries call functions of the vocabulary."""


def explained(formula: Call, what: str, *, pointwise: bool) -> Call:
    """A formula whose mistakes are one sentence: what it raises, and shapes that need samples.

    `what` is how sentences call it. A pointwise one maps entries to entries.
    """

    @functools.wraps(formula)
    def careful(m: Any, *tensors: Any, **params: Any) -> Any:
        try:
            found = formula(m, *tensors, **params)
            if type(m) is not Context:
                # Interpreters over blocks of floats, and of growth.
                return found
        except (UsageError, Unsuited):
            raise
        except Exception as error:
            raise UsageError(_sentence(what, error)) from error
        parts = [_number(m, part, what) for part in (found if isinstance(found, tuple | list) else (found,))]
        # Shapes of one entry: a formula may well be constant.
        shapes = {p.shape for p in parts if p.size != 1 or p.shape != ()}
        if not pointwise:
            return tuple(found) if isinstance(found, list) else found
        whole = np.broadcast_shapes(*(t.shape for t in tensors if hasattr(t, "shape")))
        if strange := [s for s in shapes if s != whole] or _summed(parts, whole):
            raise UsageError(
                f"{what} gives the shape {strange[0]} for inputs of shape {whole}: {ENTRIES_DEPEND}"
            )
        return tuple(found) if isinstance(found, list) else found

    return careful


ENTRIES_DEPEND: Final = (
    "its entries depend on each other, so state the calls to judge with samples=, such as "
    "gradcheck_suite.samples.rows(dim=-1)"
)


def _number(m: Context, part: Any, what: str) -> Array:
    try:
        return m.const(part)
    except Exception:
        raise UsageError(
            f"{what} returns {part!r:.60}, which is no number; return what m and its arrays give"
        ) from None


def _summed(parts: Sequence[Any], whole: tuple[int, ...]) -> list[tuple[int, ...]]:
    """The empty shape of a number that was made of many."""
    return [p.shape for p in parts if p.shape == () and whole != () and p.parents]


def _sentence(what: str, error: Exception) -> str:
    names = [n for n in dir(Context) if not n.startswith("_")]
    if isinstance(error, AttributeError) and isinstance(error.obj, Context) and error.name:
        return f"{what} calls m.{error.name}, which does not exist; {_instead(error.name, names)}"
    if isinstance(error, AttributeError) and isinstance(error.obj, Array) and error.name:
        return f"{what} asks an exact number for .{error.name}; {_instead(error.name, names, '(x)')}{_place(error)}"
    strange = _strange_call(error)
    if strange is not None:
        library, name = strange
        return (
            f"{what} calls {library}{name}, which does not take the exact numbers of a formula; "
            f"{_instead(name, names)}"
        )
    return f"{what} fails: {type(error).__name__}: {error}{_other_name(error)}{_place(error)}"


def _instead(name: str, names: Sequence[str], arguments: str = "") -> str:
    known = _OTHERWISE.get(name, name)
    if known in names:
        return f"write m.{known}{arguments}"
    return f"functions of formulas are those of m: {suggest(name, names)}"


def _strange_call(error: Exception) -> tuple[str, str] | None:
    """The function of another library ("torch.", "tanh") whose call raised; None for any other mistake."""
    frame = _frame_of(error)
    if not isinstance(error, TypeError) or frame is None:
        return None
    called = _expression(frame)
    if not isinstance(called, ast.Call) or not isinstance(called.func, ast.Attribute):
        return None
    root = ast.unparse(called.func.value)
    return (f"{root}.", called.func.attr) if root.partition(".")[0] in _module_names(error) else None


def _expression(frame: traceback.FrameSummary) -> ast.expr | None:
    """What was being evaluated in a frame, where Python knows."""
    places = (frame.lineno, frame.end_lineno, frame.colno, frame.end_colno)
    if any(place is None for place in places):
        return None
    first, last, start, end = (int(place or 0) for place in places)
    lines = [linecache.getline(frame.filename, n).encode() for n in range(first, last + 1)]
    if not lines[-1]:
        return None
    lines[-1] = lines[-1][:end]
    try:
        return ast.parse(b"".join(lines)[start:], mode="eval").body
    except SyntaxError:
        return None


def _module_names(error: Exception) -> set[str]:
    """The names that stand for modules where an exception was raised in the user's code."""
    found: set[str] = set()
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if not _of_library(frame.f_code.co_filename):
            places = {**frame.f_globals, **frame.f_locals}
            found |= {name for name, value in places.items() if isinstance(value, ModuleType)}
    return found


def _frame_of(error: Exception) -> traceback.FrameSummary | None:
    """The last line of the user's own code that an exception passed."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not _of_library(f.filename)]
    return frames[-1] if frames else None


def _of_library(file: str) -> bool:
    return file.startswith(_LIBRARIES)


def _other_name(error: Exception) -> str:
    """torch's names of arguments, which are numpy's here."""
    text = str(error)
    for theirs, ours in (("'dim'", "axis"), ("'keepdim'", "keepdims"), ("'unbiased'", "correction")):
        if "unexpected keyword argument" in text and theirs in text:
            return f"; it is called {ours} in formulas"
    return ""


def _place(error: Exception) -> str:
    frame = _frame_of(error)
    return "" if frame is None else f" ({Path(frame.filename).name}:{frame.lineno})"


def told(op: str, option: str, function: Call | None, how: str) -> Call | None:
    """A function of a registration that is told how it is called where it fails."""
    if function is None:
        return None
    given = function

    @functools.wraps(given)
    def careful(*arguments: Any, **named: Any) -> Any:
        try:
            return given(*arguments, **named)
        except UsageError:
            raise
        except Exception as error:
            raise UsageError(
                f"{option}= of {op} fails: {type(error).__name__}: {error}{_place(error)}; it is called as {how}"
            ) from error

    return careful


def _checked(op: str, option: str, function: Call | None, how: str, check: Call) -> Call | None:
    """A function that `told` wraps, with what it returns put through `check(found, *arguments)`."""
    asked = told(op, option, function, how)
    if asked is None:
        return None
    call = asked

    @functools.wraps(call)
    def checked(*arguments: Any) -> Any:
        return check(call(*arguments), *arguments)

    return checked


def mask_of(op: str, option: str, function: Call | None) -> Call | None:
    """`domain` or `documented`, which says for arrays of points which of them it holds for."""
    how = f"{option}(params, values), with float64 arrays by name, and returns for which points it holds"

    def mask(found: Any, params: Mapping[str, Any], values: Mapping[str, Any]) -> Any:
        shape = np.broadcast_shapes(*(np.shape(v) for v in values.values())) if _fits(values) else ()
        truth = np.asarray(found)
        if truth.dtype != np.bool_ or (_fits(values) and not _broadcasts(truth.shape, shape)):
            described = f"dtype {truth.dtype} and shape {truth.shape}"
            raise UsageError(
                f"{option}= of {op} returns {type(found).__name__} of {described} for points of shape {shape}; "
                f"it is called as {how}, as booleans"
            )
        return truth

    return _checked(op, option, function, how, mask)


def _fits(values: Mapping[str, Any]) -> bool:
    try:
        np.broadcast_shapes(*(np.shape(v) for v in values.values()))
    except ValueError:
        return False
    return True


def _broadcasts(found: tuple[int, ...], whole: tuple[int, ...]) -> bool:
    try:
        return np.broadcast_shapes(found, whole) == whole
    except ValueError:
        return False


def numbers_of(op: str, option: str, function: Call | None) -> Call | None:
    """`landmarks` or `offsets`, which return numbers."""
    how = f"{option}(params) and returns numbers"
    return _checked(
        op, option, function, how, lambda found, params: _floats(found, f"{option}= of {op}", how)
    )


def partners_of(op: str, function: Call | None, names: Sequence[str]) -> Call | None:
    """`partners`, which returns numbers by name."""
    how = "partners(params) and returns numbers by the name of a tensor"

    def partners(found: Any, params: Mapping[str, Any]) -> dict[str, tuple[float, ...]]:
        if not isinstance(found, Mapping):
            raise UsageError(f"partners= of {op} returns {found!r:.60}; it is called as {how}")
        for name in found:
            if name not in names:
                raise UsageError.unknown(f"tensor among the partners of {op}", str(name), names)
        return {n: _floats(v, f"partners= of {op} for {n!r}", how) for n, v in found.items()}

    return _checked(op, "partners", function, how, partners)


def _floats(found: Any, what: str, how: str) -> tuple[float, ...]:
    try:
        return tuple(float(v) for v in found)
    except (TypeError, ValueError):
        raise UsageError(f"{what} returns {found!r:.60}; it is called as {how}") from None
