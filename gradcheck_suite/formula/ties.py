"""Derivatives at ties: the set that limits of gradients at points nearby span.

The Clarke subdifferential (Clarke 1983, "Optimization and Nonsmooth Analysis", theorem 2.5.1) is the convex
hull of those limits.  Each is taken along a generic direction out of the tie, from two steps of very
different size: no tie survives a generic step, so that no primitive has a notion of a subgradient.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gradcheck_suite.floats import Exact
from gradcheck_suite.formula.balls import arb
from gradcheck_suite.formula.evaluate import Formula, derivatives
from gradcheck_suite.formula.fields import ARB
from gradcheck_suite.formula.tape import Objects, elementwise

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

# A tie is left by this much, relative to the input; bits enough to tell x from x + h, and kinks near it
# apart.
_STEP_BITS = (200, 260)
_TIE_PRECISION = 3072
# The scale of a zero input: below every float64, so that no kink at a tiny parameter is jumped over.
_ZERO_SCALE = -1074
# Pairs of opposite directions out of a tie of several inputs.
_DIRECTION_PAIRS = 6
# The second step is 2^60 times smaller than the first: what it brings so much closer to a number tends to it.
_CLOSER = arb((1, -20))
_SAME = arb((1, -40))
_NEGLIGIBLE = arb((1, -1200))


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Per column of derivatives its limit along every direction, and the points where each exists."""

    columns: dict[str, list[Exact]]
    settled: dict[str, Bools]


def limits(
    formula: Formula, values: Mapping[str, Floats], wrt: Sequence[str], order: int, *, clamped: bool
) -> Limits:
    """Limits of the derivatives at points that are ties; with `clamped` also those that pass documented
    clamps.
    """
    found: dict[str, list[Exact]] = {}
    settled: dict[str, Bools] = {}
    for straight in (False, True) if clamped else (False,):
        here = _beside(formula, values, wrt, order, {}, 0, straight)
        for direction in directions(wrt):
            near, nearer = (
                _beside(formula, values, wrt, order, direction, bits, straight) for bits in _STEP_BITS
            )
            for name in (n for n in here if n != "value"):
                with ARB.precision(_TIE_PRECISION):
                    column = elementwise(_limit, near[name], nearer[name], here[name])
                exists = np.array([not ball.is_nan() for ball in column], dtype=bool)
                found.setdefault(name, []).append(_exact(column))
                settled[name] = settled.get(name, True) & exists
    return Limits(columns=found, settled=settled)


def directions(wrt: Sequence[str]) -> list[dict[str, int]]:
    """Directions out of a tie: +-1 for one input; generic integer vectors and their opposites for several.

    Among them are all sign patterns of the first three inputs, for |x| sign(y) has another slope in each.
    """
    if len(wrt) == 1:
        return [{wrt[0]: 1}, {wrt[0]: -1}]
    rng = np.random.RandomState(len(wrt))
    shape = (_DIRECTION_PAIRS, len(wrt))
    signs = rng.choice([-1, 1], shape)
    turns = np.arange(_DIRECTION_PAIRS)
    for place, period in ((1, 1), (2, 2)):
        signs[:, place : place + 1] = (signs[:, 0] * (-1) ** (turns // period))[:, np.newaxis]
    generic = rng.randint(1, 998, shape) * signs
    return [{n: sign * int(d) for n, d in zip(wrt, row, strict=True)} for row in generic for sign in (1, -1)]


def _beside(
    formula: Formula,
    values: Mapping[str, Floats],
    wrt: Sequence[str],
    order: int,
    direction: Mapping[str, int],
    bits: int,
    straight: bool,
) -> dict[str, Objects]:
    """Balls of every column a step of 2^-bits away, relative to each input."""
    with ARB.precision(_TIE_PRECISION):
        moved: dict[str, Objects] = {}
        for n, x in values.items():
            step = arb((direction.get(n, 0), -bits))
            scales = np.where(x == 0, 2.0**_ZERO_SCALE, np.abs(x))
            pairs = zip(x, scales, strict=True)
            moved[n] = np.array([arb(float(v)) + arb(float(s)) * step for v, s in pairs], dtype=object)
        found, _ = derivatives(formula, ARB, moved, wrt, order, straight=straight)
    return found


def _limit(near: arb, nearer: arb, here: arb) -> Any:
    """What a derivative tends to between two steps; NaN where it tends to nothing.

    That is the derivative of the branch taken at the point itself, where it comes closer to that with the
    step; 0, where it shrinks with the step; or the number that both steps share.  What grows has no limit.
    """
    if not (near.is_finite() and nearer.is_finite()):
        return ARB.nan
    if here.is_finite():
        far, close = abs(near - here), abs(nearer - here)
        if close.is_zero() or close <= far * _CLOSER:
            return here
    size = abs(near)
    if abs(nearer) <= size * _CLOSER or max(size.upper(), abs(nearer).upper()) < _NEGLIGIBLE:
        return ARB.zero
    return near if abs(near - nearer) <= size * _SAME else ARB.nan


def _exact(column: Objects) -> Exact:
    """Balls of the tie precision as exact values; undefined where they did not stay sharp."""
    good = [b.is_finite() and (b.rel_accuracy_bits() > 80 or b.is_exact()) for b in column]
    pairs = [b.mid().man_exp() if ok else (0, 0) for b, ok in zip(column, good, strict=True)]
    exact = Exact.from_man_exp(pairs, rad=[2.0**-74 if man else 0.0 for man, _ in pairs])
    bad = np.flatnonzero(~np.array(good, dtype=bool))
    return exact.put(bad, Exact.from_float64(np.full(len(bad), np.nan))) if len(bad) else exact


def hull(columns: Sequence[Exact]) -> tuple[Exact, Exact]:
    """The least and the greatest of several exact columns, entry by entry (NaN wins)."""
    lower = upper = columns[0]
    for column in columns[1:]:
        below, above = np.flatnonzero(_less(column, lower)), np.flatnonzero(_less(upper, column))
        lower, upper = lower.put(below, column[below]), upper.put(above, column[above])
    return lower, upper


def _less(a: Exact, b: Exact) -> Bools:
    with np.errstate(invalid="ignore", over="ignore"):
        va, vb = a.to_float64(), b.to_float64()
        return (va < vb) | np.isnan(va)


def joint(columns: Sequence[Sequence[Exact]]) -> list[Floats]:
    """Per point the gradients that span the set together: rows without repeats, one column per input.

    `columns` has for each input its limits along every direction.
    """
    # Shape (inputs, directions, points).
    rows = np.array([[exact.to_float64() for exact in column] for column in columns])
    return [np.unique(rows[:, :, k].T, axis=0) for k in range(rows.shape[2])]
