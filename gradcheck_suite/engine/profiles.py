"""Verdicts along a probe: the points judged on it, whether sampled or tried later, by float ordinal."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt

from gradcheck_suite.engine.judge import KINDS, REASONS, Verdicts
from gradcheck_suite.floats import Format, from_ordinal, to_ordinal

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

Key = tuple[int, int]
"""A class of failing points: codes of their kind and reason."""


def key_of(kind: str, reason: str | None) -> Key:
    """The class of a kind and reason."""
    return KINDS.index(kind), REASONS.index(reason or "")


class Profile:
    """Verdicts along a probe with all else held fixed: the points judged so far, in order of evaluation.

    `x` and `verdicts` are the sample: values of the format, sorted, NaN last.  `exhaustive` states that it
    holds every float of the probe, so that ends of classes are known without a search.  Classes that are
    `hidden` are of no interest.
    """

    def __init__(
        self,
        x: Floats,
        verdicts: Verdicts,
        fmt: Format,
        *,
        exhaustive: bool = False,
        hidden: Collection[Key] = (),
    ) -> None:
        self.x, self.verdicts, self.fmt, self.exhaustive = x, verdicts, fmt, exhaustive
        self._hidden = hidden
        self.ordinals: Ints = to_ordinal(np.where(np.isnan(x), 0.0, x), fmt)
        self._sampled = len(x)
        self._tried: dict[int, int] = {}

    def extend(self, ordinals: Sequence[int], verdicts: Verdicts) -> None:
        """Add points that were tried."""
        size = len(self.x)
        fresh = np.array(ordinals, dtype=np.int64)
        self._tried |= {ordinal: size + i for i, ordinal in enumerate(ordinals)}
        self.ordinals = np.concatenate([self.ordinals, fresh])
        self.x = np.concatenate([self.x, from_ordinal(fresh, self.fmt)])
        self.verdicts = self.verdicts.joined(verdicts)

    @cached_property
    def _numbers(self) -> list[int]:
        """The ordinals of the sample without its NaNs; they rise."""
        numbers: list[int] = self.ordinals[: np.count_nonzero(~np.isnan(self.x[: self._sampled]))].tolist()
        return numbers

    def index(self, ordinal: int) -> int | None:
        """The point with this ordinal, where one was judged; of the two zeros the positive one."""
        if ordinal in self._tried:
            return self._tried[ordinal]
        i = bisect_right(self._numbers, ordinal) - 1
        return i if i >= 0 and self._numbers[i] == ordinal else None

    def order(self) -> Ints:
        """Indices that sort the points: numbers rising, -0 before +0, NaN last."""
        if len(self.x) == self._sampled:
            return np.arange(self._sampled)
        nan = np.isnan(self.x)
        return np.lexsort((~np.signbit(self.x), self.ordinals, nan))

    def of(self, key: Key) -> Bools:
        """Which points belong to a class."""
        return self.verdicts.of(key)

    def belongs(self, index: int, key: Key) -> bool:
        """Whether a point belongs to a class."""
        return bool(self.verdicts.kind[index] == key[0] and self.verdicts.reason[index] == key[1])

    def classes(self) -> list[Key]:
        """The classes that occur and are not hidden, in a fixed order."""
        return [key for key in self.verdicts.classes() if key not in self._hidden]

    def share(self, inside: Ints, key: Key, lo: int, hi: int) -> float:
        """The part of the floats from `lo` to `hi` that belong to a class; `inside` are the points seen.

        Each point stands for the floats that are nearer to it than to any other point seen.
        """
        steps = (self.ordinals[inside] - lo).view(np.uint64)  # a difference may exceed 2^63, never 2^64
        order = np.argsort(steps, kind="stable")
        at = steps[order]
        width = np.uint64((hi - lo) % 2**64)
        # Half of the gap on either side; ordinals are subtracted as integers, for 64 bits do not fit a float.
        gaps = np.diff(at).astype(np.float64) / 2
        low, high = float(at[0]) + 0.5, float(width - at[-1]) + 0.5
        weights = np.concatenate([[low], gaps]) + np.concatenate([gaps, [high]])
        belongs = self.of(key)[inside[order]]
        return float(weights[belongs].sum() / weights.sum())
