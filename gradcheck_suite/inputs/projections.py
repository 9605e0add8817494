"""Adversarial inputs and weights of a linear layer whose outputs are logits; numpy only, deterministic."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gradcheck_suite.floats import Format, round_to

Floats = NDArray[np.float64]

_CYCLE: Final = np.array([0.5, -1.25, 2.0, 0.125, -0.75, 1.5, -2.5, 0.875, 3.0, -0.25, 1.0, -1.75, 0.0625])


@dataclass(frozen=True, slots=True)
class Projection:
    """Inputs (N, F), weights (C, F), and where they lie on a probe."""

    input: Floats
    weight: Floats
    label: str
    probe: str
    at: float
    curve: Callable[[float], tuple[Floats, Floats]] | None = field(default=None, repr=False, compare=False)
    """Inputs and weights at another place of the probe."""


def projections(
    fmt: Format, samples: int, features: int, classes: int, *, full: bool
) -> Iterator[Projection]:
    """Logits that are ordinary, far apart, or past the largest float, sums that cancel, one special entry."""
    x, w = filled(samples, features), filled(classes, features, 4) / 2
    yield Projection(x, w, "ordinary entries", "scale", 1.0)
    for scale in (16.0, 256.0) if full else (16.0,):
        yield Projection(x * scale, w, "logits far apart", "scale", scale, lambda at: (_times(x, at, fmt), w))
    high = 2.0 ** (fmt.emax // 2 + 1)
    label = "logits past the largest float"
    both = lambda at: (_times(x, at, fmt), _times(w, at, fmt))  # noqa: E731
    yield Projection(x * high, w * high, label, "scale", high, both)
    if not full:
        return
    low = 2.0 ** (fmt.emin // 2 - 2)
    yield Projection(x * low, w * low, "logits below the smallest normal", "scale", low)
    yield Projection(x, np.resize(w[:1], w.shape), "equal logits", "equal classes", float(classes))
    big = 2.0 ** (fmt.precision // 2)
    cancelling = np.resize([big, -big, 1.0], x.shape)
    yield Projection(cancelling, np.abs(w), "sums that cancel", "entry", big)
    for value in (np.inf, np.nan):
        special = x.copy()
        special[-1, 0] = value
        yield Projection(special, w, f"one entry {value}", "special entries", 1.0)


def _times(x: Floats, scale: float, fmt: Format) -> Floats:
    with np.errstate(over="ignore"):
        return np.asarray(round_to(x * scale, fmt))


def filled(rows: int, columns: int, shift: int = 0) -> Floats:
    """An ordinary matrix."""
    return np.resize(np.roll(_CYCLE, shift), (rows, columns))


def few(fmt: Format, size: int, shift: int = 0) -> Floats:
    """An ordinary vector of values that the format holds."""
    return np.asarray(round_to(filled(1, size, shift)[0] / 2, fmt))
