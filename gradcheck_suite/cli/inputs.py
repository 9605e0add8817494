"""What a user types for an op's inputs and parameters, as numbers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from gradcheck_suite.errors import UsageError
from gradcheck_suite.floats import parse_float

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gradcheck_suite.ops.record import Op


def parse_inputs(text: str) -> Any:
    """The number, the list of numbers, or the dictionary of inputs by name, that the argument X stands for.

    Numbers are decimal or hex, inf or nan; JSON writes the latter three as strings, and masks as true and
    false. Raises UsageError.
    """
    if not text.startswith(("{", "[")):
        return parse_float(text)
    try:
        data = json.loads(text)
    except ValueError as error:
        raise UsageError(f"{text!r} is no JSON ({error}); write inputs as '{{\"input\": [1, 2]}}'") from None
    if isinstance(data, dict):
        return {name: _numbers(value, name) for name, value in data.items()}
    return _numbers(data, "input")


def _numbers(value: object, name: str) -> object:
    if isinstance(value, list):
        return [_numbers(entry, name) for entry in value]
    if isinstance(value, str):
        return parse_float(value)
    if not isinstance(value, int | float):
        shown = json.dumps(value)
        raise UsageError(f"{shown} of input {name!r} is no number; write decimals, or hex in quotes")
    return value


def parse_override(text: str) -> tuple[str, object]:
    """The parameter and the value of `--set NAME=VALUE`: a number, true, false, none, or else a word."""
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise UsageError(f"--set {text}: write NAME=VALUE, such as beta=10")
    words: dict[str, object] = {"true": True, "false": False, "none": None}
    typed = value.strip()
    return name.strip(), words[typed.lower()] if typed.lower() in words else _number_or_word(typed)


def _number_or_word(text: str) -> object:
    try:
        return parse_float(text)
    except UsageError:
        return text


def suited(op: Op, overrides: Mapping[str, object]) -> dict[str, object]:
    """The overrides in the types that the op's parameters have.

    Raises UsageError for a parameter that the op does not have, a word in place of a number, and a word that
    none of the op's variants uses.
    """
    known = op.params(op.variants[0])
    for name in overrides:
        if name not in known:
            raise UsageError.lacking(op.name, "parameter", name, known)
    return {name: _suited(op, name, value, known[name]) for name, value in overrides.items()}


def _suited(op: Op, name: str, value: object, model: object) -> object:
    if isinstance(model, bool) or model is None or value is None:
        return value
    if isinstance(model, str):
        words = {str(op.params(variant)[name]) for variant in op.variants}
        if value not in words:
            raise UsageError.unknown(name, str(value), words)
        return value
    if isinstance(value, str | bool):
        raise UsageError(f"--set {name}={value}: a number is needed")
    if isinstance(model, int) and isinstance(value, float) and value.is_integer():
        return int(value)
    return value
