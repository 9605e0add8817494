"""The limit that another implementation sets: no worse than k times its error nearby, plus what rounding
alone costs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from gradcheck_suite.engine import calls
from gradcheck_suite.ops.custom import name_of
from gradcheck_suite.ops.record import Op, Params
from gradcheck_suite.options import HALF_AN_ULP

Floats = npt.NDArray[np.float64]

_NEIGHBOURS: Final = 4
_BESIDE: Final = 2.0
"""Points count as near within this factor of each other: one may by chance be right where the next one is
not.
"""


def opponent(op: Op) -> Op:
    """The op that `op.against` is, to be called on the same inputs."""
    assert op.against is not None
    return replace(op, call=op.against, against=None, custom=False, inplace=None, out=None, module=None)


def limits(op: Op, errors: Floats, max_ulp: float) -> Floats:
    """The largest error allowed at each point, in ULP, by the opponent's errors nearby (NaN where nothing is
    judged).

    `max_ulp` holds beside it where the op states one of its own.
    """
    allowed = op.against_factor * np.nan_to_num(errors, nan=0.0, posinf=np.inf) + rounding(op)
    return allowed if op.max_ulp is None else np.minimum(allowed, max_ulp)


def rounding(op: Op) -> float:
    """What rounding both results costs: half an ULP of the op's own, and half of the opponent's, which counts
    k times.
    """
    return (op.against_factor + 1) * HALF_AN_ULP


def nearby(x: Floats, errors: Floats) -> Floats:
    """The largest finite error among the neighbours of each point of a rising `x`, and its own.

    Neighbours are at most `_NEIGHBOURS` points away, of the same sign, and within a factor of 2.
    """
    widest = errors.copy()
    with np.errstate(invalid="ignore", over="ignore"):
        for step in range(1, _NEIGHBOURS + 1):
            here, there = x[:-step], x[step:]
            near = (np.sign(here) == np.sign(there)) & (np.abs(here) <= _BESIDE * np.abs(there))
            near &= np.abs(there) <= _BESIDE * np.abs(here)
            _raise(widest[:-step], errors[step:], near)
            _raise(widest[step:], errors[:-step], near)
    return widest


def _raise(own: Floats, other: Floats, near: npt.NDArray[np.bool_]) -> None:
    """Raise `own`, in place, to the finite entries of `other` that are near."""
    use = near & np.isfinite(other)
    np.fmax(own, other, where=use, out=own)


@dataclass(frozen=True, slots=True)
class Errors:
    """The opponent's largest errors nearby, along the first input, which rises."""

    x: Floats
    widest: Floats

    @classmethod
    def of(cls, x: Floats, errors: Floats) -> Errors:
        """From errors at points in any order; NaN inputs tell nothing about others."""
        order = np.argsort(x, kind="stable")
        order = order[~np.isnan(x[order])]
        return cls(x[order], nearby(x[order], errors[order]))

    def near(self, x: Floats) -> Floats:
        """At `x`: that of the nearest known points; NaN at NaN."""
        if not len(self.x):
            return np.full(len(x), np.nan)
        above = np.minimum(np.searchsorted(self.x, x), len(self.x) - 1)
        found = np.fmax(self.widest[above], self.widest[np.maximum(above - 1, 0)])
        return np.where(np.isnan(x) | ~np.isfinite(found), np.nan, found)


def called(
    op: Op,
    variant: Params,
    values: Mapping[str, Floats],
    dtype: str,
    order: int,
    device: str,
    cotangent: Floats | None,
) -> calls.Outcome:
    """What the opponent of a pointwise op computes. Raises Raised where it does not work."""
    try:
        return calls.pointwise(
            opponent(op), variant, values, dtype=dtype, order=order, device=device, cotangent=cotangent
        )
    except (calls.Unsupported, calls.Raised) as error:
        raise calls.Raised(f"{_name(op)}, which it is judged against, fails: {error}") from error


def allowed(op: Op, limit: float) -> str:
    """The sentence that says what the opponent allows."""
    return (
        f"Allowed are {limit:.4g} ULP: {op.against_factor:g} times the error of {_name(op)} nearby, "
        f"and {rounding(op):g} for rounding."
    )


def _name(op: Op) -> str:
    assert op.against is not None
    return name_of(op.against)
