"""What a cotangent does to a verdict: backward is a product, and its factors are floats of the dtype too.

Under a cotangent g the exact result is g*f'.  Whoever forms f' first, in the dtype, has done nothing wrong,
so that two failures say more about the numbers than about the op: f' lies past the largest number (then
0*inf is NaN, and inf times a small g is inf), or f' or g lies below the smallest normal one, so that
rounding it costs digits that g*f' shows again.  A loss scale exists to lift such f' of float16, which is
why nothing is excused there but what g itself has lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from gradcheck_suite.engine.judge import Verdicts
from gradcheck_suite.floats import Exact, Format, round_exact

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


def unsuited(
    inputs: Mapping[str, Floats], lower: Exact, upper: Exact, fmt: Format, cotangent: float
) -> Bools:
    """Where g*f' says nothing of the op: f', an interval, does not fit the format, or an input is infinite."""
    out: Bools = np.zeros(len(lower.hi), dtype=bool)
    if abs(cotangent) != 1.0:
        out |= np.isinf(round_exact(lower, fmt)) | np.isinf(round_exact(upper, fmt))
        out |= np.logical_or.reduce([np.isinf(x) for x in inputs.values()])
    return out


def below_the_range(
    verdicts: Verdicts, computed: Floats, derivative: tuple[Exact, Exact], fmt: Format, cotangent: float
) -> Verdicts:
    """The verdicts, with what the rounding of a subnormal derivative or cotangent explains put down to that.

    `derivative` bounds f' without the cotangent.
    """
    if abs(cotangent) == 1.0 or cotangent == 0.0:
        return verdicts
    finite = np.isfinite(computed)
    if abs(cotangent) < fmt.smallest_normal:
        return verdicts.as_subnormal(finite, fmt)
    if fmt.name == "float16":
        return verdicts
    small = finite & (np.abs(computed) < abs(cotangent) * fmt.smallest_normal)
    for end in derivative:
        small &= _below(end, fmt)
    return verdicts.as_subnormal(small, fmt)


def _below(exact: Exact, fmt: Format) -> Any:
    """Exact values smaller than the smallest normal number."""
    return (exact.hi == 0) | (exact.exp <= fmt.emin)
