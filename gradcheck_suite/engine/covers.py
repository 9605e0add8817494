"""Taylor covers for the engine: when one pays, and one for all dtypes and directions of an op variant."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from gradcheck_suite.floats import Format
from gradcheck_suite.formula.arithmetic import uncertified
from gradcheck_suite.formula.cover import HALF, Cover
from gradcheck_suite.formula.points import bind
from gradcheck_suite.ops.record import Op
from gradcheck_suite.options import Settings

ENOUGH: Final = 8192
"""Points from which on a cover pays: building one costs as much as a few thousand points one by one."""

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
    # Needs python-flint, which an uncertified run does without.
    from gradcheck_suite.formula import taylor

    chosen = dict(variant)
    formula = bind(op.formula, op.params(chosen), op.reals(chosen))
    return taylor.build(formula, HALF, order=order, degree=_DEGREES[order])
