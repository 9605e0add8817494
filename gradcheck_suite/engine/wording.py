"""Sentences: what a person reads about a finding."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from decimal import Decimal

from gradcheck_suite.engine.paths import shown
from gradcheck_suite.floats import hex_of

_SAYS = {
    "overflow": "overflows",
    "nan": "is NaN",
    "underflow": "underflows",
    "sign": "has the wrong sign",
    "inaccurate": "is inaccurate",
    "tie": "lies outside the subdifferential",
    "masked": "hides a value that is not finite",
    "path": "depends on the way it is called",
    "dtype": "comes in another dtype",
    "raises": "raises",
}

_QUANTITY = {"forward": "value", "backward": "gradient", "double-backward": "second derivative"}


def quantity(direction: str) -> str:
    """What a direction computes."""
    return _QUANTITY[direction]


def failure(kind: str) -> str:
    """How a kind of finding reads after its subject."""
    return _SAYS[kind]


def decimal(value: float) -> str:
    """A float as people write it: shortest decimal that reads back."""
    if value == 0:
        return "-0" if math.copysign(1.0, value) < 0 else "0"
    return repr(int(value)) if abs(value) < 1e6 and value == int(value) else repr(value)


def hexadecimal(value: float) -> str:
    """A float in hex without the zeros at its end: "-0x1.8p+1"."""
    return re.sub(r"\.?0+p", "p", hex_of(value))


def sentence(
    phrase: str,
    *,
    kind: str,
    point: Mapping[str, float],
    got: float,
    exact: str,
    ulp: float,
    path: str = "vector",
    vector: float | None = None,
) -> str:
    """One sentence that names op, dtype and quantity (`phrase`), the input, computed and exact value.

    On a path other than the vector path a second one says what that computes (`vector`).
    """
    where = ", ".join(f"{n} = {_both(x)}" for n, x in point.items())
    size = "" if ulp == float("inf") else f", {ulp:.6g} ULP"
    way = "" if path == "vector" else f" on the {shown(path)} path"
    nearest = "its nearest element is" if kind == "tie" else "exact is"
    text = (
        f"{phrase} {failure(kind)}{way}: at {where} "
        f"torch computes {decimal(got)}, {nearest} {shorter(exact)}{size}."
    )
    return text if vector is None else f"{text} On the vector path it computes {decimal(vector)}."


def _both(value: float) -> str:
    """A float in decimal and in hex, where the second says more than the first."""
    plain = value == 0 or not math.isfinite(value)
    return decimal(value) if plain else f"{decimal(value)} ({hexadecimal(value)})"


def shorter(exact: str, digits: int = 18) -> str:
    """A 25-digit decimal rounded to what a float64 could show, and one digit more."""
    number = Decimal(exact)
    if not number.is_finite() or len(number.as_tuple().digits) <= digits:
        return exact
    mantissa, mark, exponent = exact.partition("e")
    whole = Decimal(mantissa)
    places = max(digits - 1 - whole.adjusted(), 0)
    text = f"{whole:.{places}f}"
    return (text.rstrip("0").rstrip(".") if "." in text else text) + mark + exponent
