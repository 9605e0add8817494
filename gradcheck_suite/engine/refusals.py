"""What it means that torch raises: the op does not exist in this form, or it fails where it should work."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

from gradcheck_suite.engine.timelimit import one_call
from gradcheck_suite.floats import format_of

_UNSUPPORTED = (
    "not implemented for", "is not implemented", "not supported", "does not support", "don't support",
)  # fmt: skip


class Unsupported(Exception):
    """The op does not work in this dtype or direction, or on this path, at all, which is not a defect."""


class Raised(Exception):
    """The op raised on inputs for which it is documented to work."""


_Refusal = TypeVar("_Refusal", bound=Exception)


def renewed(error: _Refusal) -> _Refusal:
    """The same refusal without its traceback, for keeping: that would keep alive every frame that led to it."""
    return type(error)(*error.args)


@contextmanager
def refusals(dtype: str, reals: Mapping[str, float], *, optional: bool = False) -> Iterator[None]:
    """A call of an op: whatever is raised inside becomes Unsupported or Raised.

    Unsupported also where the dtype cannot hold a parameter of `reals`, and always where the form is
    `optional`.  A warning is no refusal, even where the caller turns warnings into errors.
    """
    try:
        with one_call(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (Unsupported, Raised):
        raise
    except NotImplementedError as error:
        raise Unsupported(_first_line(error)) from error
    except Exception as error:
        refused = optional or _means_unsupported(error) or not _holds(dtype, reals)
        raise (Unsupported if refused else Raised)(_first_line(error)) from error


def _means_unsupported(error: Exception) -> bool:
    return any(words in str(error) for words in _UNSUPPORTED)


def _holds(dtype: str, reals: Mapping[str, float]) -> bool:
    """Whether the dtype can hold every real parameter; torch may refuse one that overflows in it."""
    return all(abs(value) <= format_of(dtype).max for value in reals.values())


def _first_line(error: BaseException) -> str:
    text = str(error).strip() or type(error).__name__
    return f"{type(error).__name__}: {text.splitlines()[0]}"
