"""What is swept, and the parts into which the line of floats is cut: plain data that crosses processes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from gradcheck_suite.errors import UsageError
from gradcheck_suite.floats import Format, format_of, infinity_ordinal

DTYPES: Final = ("float32", "float16", "bfloat16")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One op variant in one dtype, every finite float of it.

    `task` is the number of floats in a part of the work, which takes a tenth of a second or so: little is
    lost with one. `batch` is the number of floats that torch sees at once, `chunk` that of those that are
    judged at once, `degree` one more than that of the polynomials, `kernel` "numba", "numpy" or "" for the
    best there is.  None of these changes a verdict.
    """

    op: str
    dtype: str
    directions: tuple[str, ...]
    variant: tuple[tuple[str, Any], ...] = ()
    max_ulp: float = 4.0
    load: tuple[str, ...] = ()
    task: int = 1 << 23
    batch: int = 1 << 17
    chunk: int = 1 << 16
    degree: int = 10
    kernel: str = ""

    @property
    def fmt(self) -> Format:
        """The format of the dtype. Raises UsageError for one that cannot be swept."""
        if self.dtype == "float64":
            raise UsageError(
                "float64 has 2^64 numbers, which no sweep ends; sweep float32, float16 or bfloat16"
            )
        return format_of(self.dtype)

    @property
    def order(self) -> int:
        """The highest derivative that the directions need."""
        return 2 if "double-backward" in self.directions else int("backward" in self.directions)

    @property
    def derivatives(self) -> tuple[int, ...]:
        """The order of derivative of every direction."""
        return tuple({"forward": 0, "backward": 1, "double-backward": 2}[d] for d in self.directions)

    def identity(self) -> dict[str, Any]:
        """What a journal must agree on to be continued, as plain JSON values."""
        return {
            "op": self.op,
            "dtype": self.dtype,
            "directions": list(self.directions),
            "variant": dict(self.variant),
            "max_ulp": self.max_ulp,
            "task": self.task,
            "batch": self.batch,
            "chunk": self.chunk,
            "degree": self.degree,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """The floats of one sign (1 or -1) with ordinals of magnitude from `start` to `stop` - 1."""

    number: int
    sign: int
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


def tasks(plan: Plan) -> list[Task]:
    """The tasks of a plan: all finite floats, both zeros included, each once."""
    top = infinity_ordinal(plan.fmt)
    starts = [(sign, i * plan.task) for sign in (1, -1) for i in range(math.ceil(top / plan.task))]
    return [
        Task(number=n, sign=sign, start=start, stop=min(start + plan.task, top))
        for n, (sign, start) in enumerate(starts)
    ]


def variant_items(variant: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    """A variant as a plan holds it."""
    return tuple(sorted(variant.items()))
