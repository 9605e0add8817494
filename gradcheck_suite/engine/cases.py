"""The cases of a run: op variant x dtype x direction, in a fixed order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from gradcheck_suite.errors import UsageError
from gradcheck_suite.floats import format_of
from gradcheck_suite.ops.record import Op
from gradcheck_suite.ops.registry import Registry
from gradcheck_suite.ops.variants import at_variant
from gradcheck_suite.options import DIRECTIONS, Settings


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Case:
    """One thing to judge, `op` as its variant calls it; `id` is "softplus[beta=10]::float32::backward"."""

    op: Op
    variant: dict[str, Any]
    dtype: str
    direction: str

    @property
    def id(self) -> str:
        """The id that reports and pytest use."""
        return f"{self.op.label(self.variant)}::{self.dtype}::{self.direction}"

    @property
    def order(self) -> int:
        """The order of derivative to compute: forward and backward share one call, where the op has a
        backward.
        """
        if self.direction == "double-backward":
            return 2
        return 1 if self.direction == "backward" or "backward" in self.op.directions else 0

    def alone(self) -> Case:
        """The same case without derivatives: what judges a value whose gradient cannot be had."""
        return replace(self, op=replace(self.op, directions=("forward",)))


def collect(settings: Settings, registry: Registry) -> list[Case]:
    """Every case that the settings select, ordered by op, variant, dtype, direction.

    Raises UsageError for an op, dtype or direction that does not exist.
    """
    for dtype in settings.dtypes:
        format_of(dtype)
    for direction in settings.directions:
        if direction not in DIRECTIONS:
            raise UsageError.unknown("direction", direction, DIRECTIONS)
    return list(_cases(registry.select(settings.ops), settings.dtypes, settings.directions))


def sample_name(settings: Settings, points: int) -> str:
    """What a result calls its inputs; two with one name were taken over the same inputs."""
    seeded = f"-seed{settings.seed}" if settings.seed else ""
    return f"{settings.budget}-{points}{seeded}"


def _cases(ops: Sequence[Op], dtypes: Sequence[str], directions: Sequence[str]) -> Iterator[Case]:
    for op in ops:
        for variant in op.variants:
            for dtype in dtypes:
                for direction in directions:
                    if dtype in op.dtypes and direction in op.directions:
                        yield Case(
                            op=at_variant(op, variant),
                            variant=dict(variant),
                            dtype=dtype,
                            direction=direction,
                        )
