"""The binary floating-point formats that torch computes in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gradcheck_suite.errors import UsageError


@dataclass(frozen=True, slots=True)
class Format:
    """A binary format with subnormals, as IEEE 754-2019 section 3.3 parameterises it.

    `precision` counts the hidden bit; `emin` and `emax` are the exponents of the smallest and the largest
    normal binade (whose magnitudes lie in [2^e, 2^(e+1))); `bits` is the width of the encoding.
    """

    name: str
    precision: int
    emin: int
    emax: int
    bits: int

    @property
    def ulp_exponent_min(self) -> int:
        """log2 of the smallest ulp, which is also the smallest subnormal."""
        return self.emin - (self.precision - 1)

    @property
    def ulp_exponent_max(self) -> int:
        """log2 of the ulp of the largest finite number."""
        return self.emax - (self.precision - 1)

    @property
    def max(self) -> float:
        """The largest finite number."""
        return float(2**self.precision - 1) * 2.0**self.ulp_exponent_max

    @property
    def smallest_normal(self) -> float:
        """The smallest positive normal number."""
        return 2.0**self.emin

    @property
    def smallest_subnormal(self) -> float:
        """The smallest positive number."""
        return 2.0**self.ulp_exponent_min

    @property
    def unit_roundoff(self) -> float:
        """u = 2^-p: the largest relative error of rounding a number in the normal range to nearest."""
        return 2.0**-self.precision


FLOAT64: Final = Format("float64", 53, -1022, 1023, 64)

FORMATS: Final[dict[str, Format]] = {
    fmt.name: fmt
    for fmt in (
        FLOAT64,
        Format("float32", 24, -126, 127, 32),
        Format("float16", 11, -14, 15, 16),
        Format("bfloat16", 8, -126, 127, 16),
    )
}


def format_of(name: str) -> Format:
    """The format called `name`; UsageError with the closest valid name when there is none."""
    try:
        return FORMATS[name]
    except KeyError:
        raise UsageError.unknown("dtype", name, FORMATS) from None
