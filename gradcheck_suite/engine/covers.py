"""Taylor covers for the engine: when one pays, and one for all dtypes and directions of an op variant."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gradcheck_suite.engine.conditioning import Move, moved_real
from gradcheck_suite.engine.quantities import order_of
from gradcheck_suite.floats import Format, round_exact
from gradcheck_suite.formula.arithmetic import uncertified
from gradcheck_suite.formula.cover import HALF, Cover
from gradcheck_suite.formula.evaluate import Formula
from gradcheck_suite.formula.points import bind
from gradcheck_suite.ops.record import Op
from gradcheck_suite.options import Settings

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

ENOUGH: Final = 8192
"""Points from which on a cover pays: building one costs as much as a few thousand points one by one."""

_ENOUGH_MOVED: Final = 4096
"""The same for points at which the parameters move too: that takes covers of its own."""

# By order: with second derivatives the longer series saves more blocks than it costs.
_DEGREES: Final = (10, 10, 12)


def cover_for(
    op: Op, variant: Mapping[str, Any], fmt: Format, *, points: int, order: int, settings: Settings
) -> Cover | None:
    """The cover for that many points with derivatives up to `order`; None where there is none, where mpmath
    alone decides, or where it would not pay.

    It serves both 16-bit formats.  What is evaluated at fewer points, or in wider formats, never depends on
    whether a cover happens to be known.
    """
    if uncertified() or points < ENOUGH or fmt.bits != 16 or len(op.inputs) != 1 or op.extras:
        return None
    twice = "double-backward" in settings.directions and "double-backward" in op.directions
    found = _half_cover(op, tuple(sorted(variant.items())), max(order, 2 if twice else 1))
    return found if len(found) else None


@lru_cache(maxsize=2)
def _half_cover(op: Op, variant: tuple[tuple[str, Any], ...], order: int) -> Cover:
    chosen = dict(variant)
    return _built(bind(op.formula, op.params(chosen), op.reals(chosen)), order)


def _built(formula: Formula, order: int) -> Cover:
    # Needs python-flint, which an uncertified run does without.
    from gradcheck_suite.formula import taylor

    return taylor.build(formula, HALF, order=order, degree=_DEGREES[order])


class MovedCovers:
    """A column of a one-input op with its input and parameters moved, from covers; `whole` is the one with the
    parameters as they are.
    """

    def __init__(self, op: Op, variant: Mapping[str, Any], fmt: Format, column: str, whole: Cover) -> None:
        self.op, self.variant, self.fmt, self.whole = op, variant, fmt, whole
        self.reals, self.order = op.reals(variant), order_of(column)
        self.least = _ENOUGH_MOVED if self.reals else 1
        self._covers: dict[Move, Cover] = {}

    def at(self, x: Floats, move: Move) -> tuple[Floats, Bools]:
        """See MovedColumn."""
        cover = self._cover(move)
        block, known = cover.find(x)
        value = np.full(len(x), np.nan)
        if known.any():
            value[known] = round_exact(cover.exact(x[known], block[known], self.order), self.fmt)
        return value, known

    def _cover(self, move: Move) -> Cover:
        if not self.reals:
            return self.whole
        if move not in self._covers:
            pairs = zip(self.reals.items(), move, strict=True)
            exact = {n: moved_real(v, by, self.fmt) for (n, v), by in pairs}
            self._covers[move] = _built(
                bind(self.op.formula, self.op.params(self.variant), exact), self.order
            )
        return self._covers[move]
