"""Points of one class that lie together: the members of a class cut where it pauses."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

_MOST = 3
"""Clusters on either side of 0; more are joined across their smallest gaps."""


def clusters(x: Floats, members: Ints, fails: Bools, *, least_gap: int) -> list[Ints]:
    """Cut `members` (rising indices into the sorted points `x`, NaN last) into runs.

    A run ends at a gap of more than `least_gap` points that do not fail, if these are also more than the
    points of the smaller side: scattered points of a noisy class stay together, and other ways to fail may
    lie inside. A run does not reach past 0, nor to an infinity or NaN, unless its points follow each other
    there.
    """
    good = np.cumsum(~fails, dtype=np.int64)
    return _rejoined(x, [run for part in _sides(x, members) for run in _runs(part, good, least_gap)])


def joined_sides(x: Floats, members: Ints) -> list[Ints]:
    """The members on either side of 0, or all of them where they follow each other across it."""
    return _rejoined(x, list(_sides(x, members)))


def _sides(x: Floats, members: Ints) -> Iterator[Ints]:
    """The members at -inf, left of 0, at 0, right of it, at inf, and NaN."""
    values = x[members]
    finite = np.isfinite(values)
    left, right = finite & (values < 0), finite & (values > 0)
    for part in (values == -np.inf, left, values == 0, right, values == np.inf, np.isnan(values)):
        if part.any():
            yield members[part]


def _runs(members: Ints, good: Ints, least_gap: int) -> list[Ints]:
    gaps = np.diff(good[members])
    size = np.arange(1, len(members))
    cuts = np.flatnonzero(gaps > np.maximum(np.minimum(size, len(members) - size), least_gap))
    widest = cuts[np.argsort(-gaps[cuts], kind="stable")][: _MOST - 1]
    return list(np.split(members, np.sort(widest) + 1))


def _rejoined(x: Floats, parts: list[Ints]) -> list[Ints]:
    out: list[Ints] = []
    for part in parts:
        follows = bool(out) and part[0] == out[-1][-1] + 1 and not np.isnan(x[part[0]])
        if follows:
            out[-1] = np.concatenate([out[-1], part])
        else:
            out.append(part)
    return out


def worst_member(x: Floats, ulp: Floats, members: Ints) -> int:
    """The index of the largest error; of equals the smallest ordinal in magnitude, then the positive one."""
    errors = ulp[members]
    worst = members[errors == np.max(errors)]
    size = np.abs(np.nan_to_num(x[worst], nan=np.inf))
    return int(worst[np.lexsort((np.signbit(x[worst]), -x[worst], size))[0]])
