"""Pictures of verdicts: which points of a line a curve keeps, and the curve that a document holds."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gradcheck_suite.engine.pointwise import Judged
from gradcheck_suite.floats import Format, hex_of, to_ordinal
from gradcheck_suite.inputs.pointwise import WINDOW
from gradcheck_suite.inputs.targets import Line
from gradcheck_suite.results import Curve

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_EVEN: Final = 160
_ORDINARY: Final = 14
_LEAST: Final = 8  # points that make a curve


def curves(judged: Judged, fmt: Format) -> tuple[Curve, ...]:
    """The pictures of a pointwise op's verdicts: one for each input, along the line that has most points."""
    longest: dict[str, Line] = {}
    for line in judged.lines:
        known = longest.get(line.probe)
        straight = not line.scattered and line.follower is None
        if straight and (known is None or _length(judged, line) > _length(judged, known)):
            longest[line.probe] = line
    drawn = (_along(judged, line, fmt) for line in longest.values())
    return tuple(curve for curve in drawn if curve is not None)


def _length(judged: Judged, line: Line) -> int:
    return len(_finite(judged, line))


def _finite(judged: Judged, line: Line) -> Ints:
    x = judged.inputs[line.probe]
    members: Ints = np.arange(len(x))[line.members]
    return members[np.isfinite(x[members])]


def _along(judged: Judged, line: Line, fmt: Format) -> Curve | None:
    members = _finite(judged, line)
    if len(members) < _LEAST:
        return None
    x, ulp = judged.inputs[line.probe][members], judged.verdicts.ulp[members]
    keep = members[kept(x, ulp, fmt)]
    return curve(
        line.probe,
        judged.inputs[line.probe][keep],
        judged.computed[keep],
        judged.lower[keep].to_float64(),
        judged.verdicts.ulp[keep],
        fixed={name: hex_of(value) for name, value in line.fixed.items()},
    )


def kept(x: Floats, ulp: Floats, fmt: Format) -> Ints:
    """Indices into the rising, finite `x`: the window of textbooks, and the worst of each piece of the line.

    The pieces are even in ordinals, and finer where programs live, from 2^-14 to 2^14. Every n-th point of a
    noisy error would miss what findings are about.
    """
    # As floats: the float64 line is longer than an int64 can count.
    place = to_ordinal(x, fmt).astype(np.float64)
    even = np.floor((place - place[0]) / max(place[-1] - place[0], 1.0) * _EVEN)
    size = np.abs(x)
    ordinary = (size >= 2.0**-_ORDINARY) & (size < 2.0**_ORDINARY)
    # Four of a binade; the sign and an offset tell these pieces from the even ones.
    fine = np.floor(np.log2(np.where(ordinary, size, 1.0)) * 4) + 4 * _ORDINARY + 1
    piece = np.where(ordinary, 2 * _EVEN * np.sign(x) * fine, even)
    errors = np.where(np.isnan(ulp), -1.0, ulp)
    # Of each piece the last in the order of the error is its worst.
    order = np.lexsort((errors, piece))
    worst = order[np.flatnonzero(np.diff(piece[order], append=np.inf))]
    return np.union1d(worst, np.flatnonzero(np.isin(x, WINDOW)))


def curve(probe: str, x: Floats, got: Floats, exact: Floats, ulp: Floats, *, fixed: dict[str, Any]) -> Curve:
    """The curve of a document through given points, in rising order of `x`; `fixed` says where it runs."""
    return Curve(
        probe=probe,
        x=tuple(float(v) for v in x),
        got=_optional(got),
        exact=_optional(exact),
        ulp=_optional(ulp),
        fixed=fixed,
    )


def _optional(values: Floats) -> tuple[float | None, ...]:
    return tuple(None if np.isnan(v) else float(v) for v in values)
