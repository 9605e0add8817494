"""How reports write numbers: ULP figures, hex floats as decimals, intervals."""

from __future__ import annotations

import math
from typing import Any, Final

# Bits of the significand, the hidden one included, and the largest exponent of each format.
PRECISION: Final = {"float64": 53, "float32": 24, "float16": 11, "bfloat16": 8}
EMAX: Final = {"float64": 1023, "float32": 127, "float16": 15, "bfloat16": 127}


def ulp_text(ulp: float | None) -> str:
    """An ULP figure in at most six characters: "0.5", "37", "8.4e6", "inf", or "-" where there is none."""
    if ulp is None or math.isnan(ulp):
        return "-"
    if math.isinf(ulp):
        return "inf"
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


def interval(lo: str | None, hi: str | None, name: str = "x") -> str:
    """The interval between two hex strings as a condition on `name`: "x ≥ 88.7229", "-5.2 ≤ x ≤ -4.1"."""
    if lo is None or hi is None:
        return "every input"
    low, high = value_of(lo), value_of(hi)
    if math.isnan(low) or math.isnan(high):
        return f"{name} = NaN" if math.isnan(low) and math.isnan(high) else f"{name} from {lo} to {hi}"
    if low == high:
        return f"{name} = {short(low)}"
    if low <= -1.7e308 and high >= 1.7e308:
        return f"every {name}"
    if high == math.inf:
        return f"{name} ≥ {short(low)}"
    if low == -math.inf:
        return f"{name} ≤ {short(high)}"
    return f"{short(low)} ≤ {name} ≤ {short(high)}"


def is_extreme(value: float, dtype: str) -> bool:
    """Whether a value is the largest finite float of `dtype`, or beyond it."""
    precision = PRECISION.get(dtype, 53)
    emax = EMAX.get(dtype, 1023)
    return abs(value) >= (2.0 - 2.0 ** (1 - precision)) * 2.0**emax


def axis_position(value: float, dtype: str) -> float:
    """Where `value` stands on the float line of `dtype`: its ordinal over that of inf, from -1 to 1.

    A value between two floats gets a place between their ordinals.
    """
    if value == 0 or math.isnan(value):
        return 0.0
    emax = EMAX.get(dtype, 1023)
    emin = 1 - emax
    size = abs(value)
    octaves = float(emax - emin + 2)  # normal octaves, and one for the subnormal ones
    if size / 2 >= 2.0**emax:
        return math.copysign(1.0, value)
    mantissa, exponent = math.frexp(size)
    if exponent - 1 < emin:
        return math.copysign(math.ldexp(size, -emin) / octaves, value)
    return math.copysign((exponent - 1 - emin + 1 + (2 * mantissa - 1)) / octaves, value)


def input_text(value: Any) -> str:
    """An input of the document for people: a hex float as "decimal (hex)", a recipe or list in short."""
    if isinstance(value, str):
        shown = decimal(value)
        return shown if shown == value or value in ("inf", "-inf", "nan") else f"{shown} ({value})"
    if isinstance(value, list):
        inner = ", ".join(decimal(v) if isinstance(v, str) else str(v) for v in value[:8])
        return f"[{inner}{', …' if len(value) > 8 else ''}]"
    if isinstance(value, dict) and "shape" in value:
        fill, changed = decimal(str(value.get("fill"))), len(value.get("set") or {})
        shape = ", ".join(str(n) for n in value["shape"])
        return f"shape ({shape}) filled with {fill}" + (f", {changed} entries set" if changed else "")
    return str(value)
