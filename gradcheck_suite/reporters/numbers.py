"""How reports write numbers: ULP figures, hex floats as decimals, intervals."""

from __future__ import annotations

import functools
import math
from typing import Any, Final

# Bits of the significand, the hidden one included, and the largest exponent, of each format.
PRECISION: Final = {"float64": 53, "float32": 24, "float16": 11, "bfloat16": 8}
EMAX: Final = {"float64": 1023, "float32": 127, "float16": 15, "bfloat16": 127}

_ROWS, _ENTRIES = 3, 8  # of an array, as many as a reader takes in
_NEARLY: Final = 2.0**-0.25  # of the largest finite float
_ROUNDS_UP: Final = 1.79e308  # beyond, three digits would state more than the largest float64


def ulp_text(ulp: float | None) -> str:
    """An ULP figure in a few characters: "0.5", "37", "8.4e6", "inf", or "-" where there is none."""
    if ulp is None or math.isnan(ulp):
        return "-"
    if math.isinf(ulp):
        return "inf"
    if 0 < ulp < 0.001:
        return "<0.001"
    if ulp >= 9999.5:
        return _exponent(f"{ulp:.1e}")
    return f"{ulp:.0f}" if ulp >= 99.5 else f"{ulp:.2g}"


def value_of(text: str | None) -> float:
    """The float that a document's hex or decimal string stands for; nan where it is none."""
    if text is None:
        return math.nan
    try:
        return float.fromhex(text) if "0x" in text.lower() else float(text)
    except (ValueError, OverflowError):
        return math.nan


@functools.lru_cache(maxsize=20_000)
def decimal(text: str | None, digits: int = 6) -> str:
    """A hex string as a short decimal: rounded to `digits`, exact where that takes no more."""
    if text is None:
        return "-"
    value = value_of(text)
    if math.isnan(value) and text.lower() != "nan":
        return text
    return short(value, digits)


def short(value: float | None, digits: int = 6) -> str:
    """A float in `digits` significant digits, without the zeros that say nothing."""
    if value is None:
        return "-"
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else str(value)
    return _exponent(f"{value:.{digits}g}")


def _exponent(text: str) -> str:
    mantissa, mark, exponent = text.partition("e")
    if not mark:
        return text
    mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
    return f"{mantissa}e{int(exponent)}"


def interval(
    lo: str | None,
    hi: str | None,
    name: str = "x",
    dtype: str = "float64",
    *,
    exact: tuple[bool, bool] = (True, True),
) -> str:
    """The interval between two hex strings as a condition on `name`: "x ≥ 88.7228", "-5.2 ≤ x ≤ -4.1".

    An end at or beyond the largest finite float of `dtype` is no bound that a reader needs; nor is one close to
    it that is not `exact`, for there a sample ended.
    """
    if lo is None or hi is None:
        return "every input"
    low, high = value_of(lo), value_of(hi)
    if math.isnan(low) or math.isnan(high):
        return f"{name} = NaN" if math.isnan(low) and math.isnan(high) else f"{name} from {lo} to {hi}"
    if low == high:
        return f"{name} = {_end(low)}"
    # As an end of an interval, -0 is no other number than 0.
    low, high = low + 0.0, high + 0.0
    least, most = (largest_finite(dtype) * (1.0 if sure else _NEARLY) for sure in exact)
    if high >= most:
        return f"every {name}" if low <= -least else f"{name} ≥ {_end(low)}"
    return f"{name} ≤ {_end(high)}" if low <= -least else f"{_end(low)} ≤ {name} ≤ {_end(high)}"


def _end(value: float) -> str:
    """The end of an interval: six digits, three of a power of ten, for there nobody reads more."""
    text = short(value)
    return short(value, 3) if "e" in text and short(value, 3) != "inf" and abs(value) < _ROUNDS_UP else text


def largest_finite(dtype: str) -> float:
    """The largest finite float of `dtype`; that of float64 where the name is not known."""
    return (2.0 - 2.0 ** (1 - PRECISION.get(dtype, 53))) * 2.0 ** EMAX.get(dtype, 1023)


def hex_text(text: str) -> str:
    """A hex float without the zeros at its end: "0x1.8p+1" for "0x1.8000000000000p+1"."""
    mantissa, mark, exponent = text.partition("p")
    return mantissa.rstrip("0").rstrip(".") + mark + exponent if mark and "." in mantissa else text


def _list_text(value: list[Any]) -> str:
    """A nested list in decimals, at most eight entries of the innermost lists and three of the others."""
    room = _ROWS if any(isinstance(v, list) for v in value) else _ENTRIES
    shown = [
        _list_text(v) if isinstance(v, list) else decimal(v) if isinstance(v, str) else str(v)
        for v in value[:room]
    ]
    return f"[{', '.join(shown)}{', …' if len(value) > room else ''}]"


def input_text(value: Any) -> str:
    """An input of the document for people: a hex float as "decimal (hex)", a recipe or list in short."""
    if isinstance(value, str):
        shown = decimal(value)
        return shown if "0x" not in value else f"{shown} ({hex_text(value)})"
    if isinstance(value, list):
        return _list_text(value)
    if isinstance(value, dict) and "shape" in value:
        fill, changed = value.get("fill"), len(value.get("set") or {})
        fill = f"{_list_text(fill)} over and over" if isinstance(fill, list) else decimal(str(fill))
        shape = ", ".join(str(n) for n in value["shape"])
        return f"shape ({shape}) filled with {fill}" + (f", {changed} entries set" if changed else "")
    return str(value)
