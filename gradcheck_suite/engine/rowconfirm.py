"""Confirmation of one entry of a sample by mpmath."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import mpmath
import numpy as np

from gradcheck_suite.engine.confirm import Confirmed, agrees, digits
from gradcheck_suite.engine.subdifferential import TieVerdict
from gradcheck_suite.floats import Exact, Format
from gradcheck_suite.formula.arrays import Problem, Wanted, reference_mpmath
from gradcheck_suite.formula.evaluate import confirmation_bits

_MOST_BITS = 20_000
_TIE_BITS = 3600
_LONG = 4096


def confirm_entry(
    problem: Problem,
    wanted: Wanted,
    column: str,
    entry: int,
    stated: Exact,
    fmt: Format,
    *,
    by_mpmath: Callable[[int], Mapping[str, Any]],
    tie: TieVerdict | None = None,
) -> Confirmed:
    """Compute one entry of a flat column by mpmath, raising the precision until it agrees with `stated` (one
    entry).

    `by_mpmath(bits)` computes the columns of the problem.  At a tie, the element of the subdifferential is
    combined from mpmath's gradients at the same points nearby.
    """
    given = (*problem.inputs.values(), *problem.reals.values())
    numbers = np.abs(np.concatenate([np.ravel(v).astype(np.float64) for v in given]))
    finite = numbers[np.isfinite(numbers) & (numbers > 0)]
    ends = [float(finite.min()), float(finite.max())] if len(finite) else []
    bits = max(confirmation_bits(ends), _TIE_BITS if tie else 0)
    infinite = bool(np.isinf(numbers).any())
    # Where an infinity stood in, the stated value is the element that the limit rounds to, half an ulp away
    # at most.
    slack = (0.5 if infinite else 0.0) + 2.0**-16
    most = bits if len(numbers) > _LONG else _MOST_BITS
    while True:
        with mpmath.workprec(bits):
            value = (
                by_mpmath(bits)[column][entry] if tie is None else _combined(tie, wanted, column, entry, bits)
            )
            close = agrees(value, stated, fmt, slack)
            if close or bits >= most:
                # What cancellation leaves of an exact 0 is no value.
                value = mpmath.mpf(0) if close and stated.hi[0] == 0 else value
                return Confirmed(
                    decimal=digits(value, fmt, {"": np.inf if infinite else 0.0}), bits=bits, agrees=close
                )
        bits *= 4


def _combined(tie: TieVerdict, wanted: Wanted, column: str, entry: int, bits: int) -> Any:
    total = mpmath.fsum(tie.weights)
    parts = [
        mpmath.mpf(w) / total * reference_mpmath(step, wanted, bits)[column][entry]
        for w, step in zip(tie.weights, tie.steps, strict=True)
    ]
    return mpmath.fsum(parts)
