"""Floats as text: the hexadecimal form of the results document, and numbers that a user types."""

from __future__ import annotations

import math

from gradcheck_suite.errors import UsageError


def hex_of(value: float) -> str:
    """The exact hexadecimal form (float.hex); "inf", "-inf" or "nan" where there is none."""
    value = float(value)
    return value.hex() if math.isfinite(value) else str(value)


def parse_float(text: str) -> float:
    """The float64 number that `text` writes: decimal (rounded to nearest), hexadecimal, inf or nan.

    UsageError where it writes none, or a finite one beyond float64's range.
    """
    try:
        value = float.fromhex(text) if "0x" in text.lower() else float(text)
    except ValueError:
        raise UsageError(
            f"{text!r} is no number: write a decimal such as 0.1 or a hexadecimal float such as 0x1.8p-3"
        ) from None
    except OverflowError:
        value = math.inf
    if math.isinf(value) and "inf" not in text.lower():
        raise UsageError(f"{text!r} is beyond the range of float64: write inf for infinity")
    return value
