"""Curves and maps packed small: few digits, few points, a common axis for curves over the same inputs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, Final

from gradcheck_suite.reporters.numbers import value_of
from gradcheck_suite.reporters.regions import held_text
from gradcheck_suite.results import Curve, Grid

# Digits that give back the float itself for the narrow formats; for float64 enough to read.
_DIGITS: Final = {"float64": 9, "float32": 9, "float16": 5, "bfloat16": 4}
_SAME: Final = 2e-5  # relative: what a picture of four digits cannot tell apart

_FORMATS: Final = tuple(f"%.{digits}g" for digits in range(18))  # a page rounds half a million numbers

Axis = tuple[str, tuple[float, ...]]


class Packer:
    """Packs the curves of one op; `axes` lists the inputs of each axis, which curves name by its index.

    `curves` are all the curves with their dtypes; each keeps about `points` points at most. Curves over the
    same inputs keep the same ones, those where any of them is worst.
    """

    def __init__(self, curves: Iterable[tuple[str, Curve]], points: int) -> None:
        self.axes: list[list[Any]] = []
        loudest: dict[Axis, list[float]] = {}
        for dtype, curve in curves:
            known = loudest.setdefault((dtype, curve.x), [-1.0] * len(curve.x))
            for i, ulp in enumerate(curve.ulp):
                if ulp is not None and ulp > known[i]:
                    known[i] = ulp
        self._kept = {axis: thinned(ulp, points) for axis, ulp in loudest.items()}
        self._numbers: dict[Axis, int] = {}

    def pack(self, dtype: str, curve: Curve) -> dict[str, Any]:
        """One curve as plain JSON values; `got` states only what differs visibly from `exact`."""
        key = (dtype, curve.x)
        keep = self._kept[key]
        if key not in self._numbers:
            self._numbers[key] = len(self.axes)
            self.axes.append([number(curve.x[i], _DIGITS.get(dtype, 9)) for i in keep])
        differing = (k for k, i in enumerate(keep) if not _alike(curve.got[i], curve.exact[i]))
        return {
            "probe": curve.probe,
            "held": held_text(curve),
            "axis": self._numbers[key],
            "exact": [number(curve.exact[i], 4) for i in keep],
            "got": {str(k): number(curve.got[keep[k]], 4) for k in differing},
            "ulp": [number(curve.ulp[i], 3) for i in keep],
        }


def _alike(got: float | None, exact: float | None) -> bool:
    if got is None or exact is None or math.isinf(got) or math.isinf(exact):
        return got == exact
    return abs(got - exact) <= _SAME * abs(exact)


def thinned(ulp: Sequence[float], limit: int) -> list[int]:
    """At most about `limit` indices, evenly spread: of each group of neighbours the one of largest error."""
    step = max(1, math.ceil(len(ulp) / limit))
    if step == 1:
        return list(range(len(ulp)))
    starts = range(0, len(ulp), step)
    return [max(range(start, min(start + step, len(ulp))), key=ulp.__getitem__) for start in starts]


def pack_grid(grid: Grid) -> dict[str, Any]:
    """A map as plain JSON values; the kinds of its cells are indices into `words`."""
    words = list(dict.fromkeys(grid.kind))
    index = {word: i for i, word in enumerate(words)}
    return {
        "xProbe": grid.x_probe,
        "yProbe": grid.y_probe,
        "x": [number(value_of(v), 6) for v in grid.x],
        "y": [number(value_of(v), 6) for v in grid.y],
        "words": words,
        "kind": [index[kind] for kind in grid.kind],
        "ulp": [number(ulp, 3) for ulp in grid.ulp],
    }


def number(value: float | None, digits: int) -> Any:
    """A number of `digits` digits for JSON, which has no infinity; None for NaN."""
    if value is None or value != value:
        return None
    if value in (math.inf, -math.inf):
        return "inf" if value > 0 else "-inf"
    rounded = float(_FORMATS[digits] % value)
    if rounded in (math.inf, -math.inf):
        return value  # float64's largest numbers would round up to inf
    return int(rounded) if rounded.is_integer() and abs(rounded) < 1e15 else rounded
