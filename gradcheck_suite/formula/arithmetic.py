"""Which arithmetic is the reference: certified arb balls, or mpmath alone, which states no error bound.

Everything that asks for balls goes through `derivatives` (points) or `evaluate` (whole samples).  Inside
`reference("mpmath")`, and wherever python-flint is missing, both compute by mpmath, at a precision that covers the
cancellation that the inputs' exponents allow, and hand the results over as balls of radius 0: what follows is then
labelled uncertified.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np
import numpy.typing as npt

from gradcheck_suite.formula.balls import CERTIFIED, arb
from gradcheck_suite.formula.tape import Objects, elementwise

_CHOSEN: ContextVar[str] = ContextVar("reference", default="arb" if CERTIFIED else "mpmath")

_STEP = 400
# Precisions are shared by points: the least is 400 bits, and four more per binade of the inputs, rounded up to this.


@contextmanager
def reference(name: str) -> Iterator[None]:
    """Judge by "arb", where there is python-flint, or by "mpmath" alone inside the block."""
    token = _CHOSEN.set(name if CERTIFIED else "mpmath")
    try:
        yield
    finally:
        _CHOSEN.reset(token)


def uncertified() -> bool:
    """Whether mpmath alone is the reference at the moment."""
    return _CHOSEN.get() == "mpmath"


def precisions(inputs: Mapping[str, Objects]) -> npt.NDArray[np.int64]:
    """The bits that each point of several 1-D arrays of exact numbers needs: x - tanh x at 2^-q cancels 2q of them."""
    rounded: npt.NDArray[np.int64] = _rounded(spans(inputs))
    return rounded


def spans(inputs: Mapping[str, Objects]) -> npt.NDArray[np.int64]:
    """By how many binades the farthest number of each point of several 1-D arrays is away from 1."""
    columns = [np.array([_binade(x) for x in column], dtype=np.int64) for column in inputs.values()]
    return np.asarray(np.maximum.reduce(columns), dtype=np.int64)


def precision_of_all(arrays: Iterable[Any]) -> int:
    """The bits that a whole sample needs: those of its entry of the most extreme size, or of the most digits.

    A step of 2^-1274 out of a tie at 1 is one of these digits.
    """
    entries = [x for array in arrays for x in np.asarray(array, dtype=object).reshape(-1)]
    digits = max((_digits(x) for x in entries), default=0)
    return max(int(_rounded(max((_binade(x) for x in entries), default=0))), digits + _STEP)


def _rounded(spans: Any) -> Any:
    return _STEP + -(-4 * spans // _STEP) * _STEP


def _binade(x: Any) -> int:
    ball = x if isinstance(x, arb) else arb(x)
    if not ball.is_finite() or ball == 0:
        return 0
    man, exp = ball.mid().man_exp()
    return abs(int(exp) + int(man).bit_length())


def _digits(x: Any) -> int:
    if not isinstance(x, arb) or not x.is_finite():
        return 0
    return int(x.mid().man_exp()[0]).bit_length()


def as_ball(value: Any) -> arb:
    """The number as a ball of radius 0."""
    sign, man, exp, _ = value._mpf_
    if not man and exp:
        return arb(str(float(value)))
    return arb((-int(man) if sign else int(man), exp))


def to_balls(column: Objects) -> Objects:
    """mpmath numbers as balls, entry by entry."""
    with np.errstate(invalid="ignore"):
        return elementwise(as_ball, column)
