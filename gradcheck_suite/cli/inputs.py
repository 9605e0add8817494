"""What a user types for an op's inputs and parameters, as numbers."""

from __future__ import annotations

import json
from typing import Any

from gradcheck_suite.errors import UsageError
from gradcheck_suite.floats import parse_float


def parse_inputs(text: str) -> float | dict[str, Any]:
    """The number, or the inputs by name, that the argument X stands for.

    Numbers are decimal or hex, inf or nan; JSON writes the latter three as strings. Raises UsageError.
    """
    if not text.startswith(("{", "[")):
        return parse_float(text)
    try:
        data = json.loads(text)
    except ValueError as error:
        raise UsageError(f"{text!r} is no JSON ({error}); write inputs as '{{\"input\": [1, 2]}}'") from None
    named = data if isinstance(data, dict) else {"input": data}
    return {name: _numbers(value, name) for name, value in named.items()}


def _numbers(value: object, name: str) -> object:
    if isinstance(value, list):
        return [_numbers(entry, name) for entry in value]
    if isinstance(value, str):
        return parse_float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
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
