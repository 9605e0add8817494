"""Adversarial log-probabilities and targets for alignments of sequences; numpy only, deterministic."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gradcheck_suite.floats import Format, round_to

Floats = NDArray[np.float64]

_CYCLE: Final = np.array([0.5, -1.25, 2.0, 0.125, -0.75, 1.5, -2.5, 0.875, 3.0, -0.25, 1.0, -1.75, 0.0625])
_CLASSES: Final = 4


@dataclass(frozen=True, slots=True)
class Sequences:
    """Log-probabilities (T, N, C) or (T, C), targets (N, S) or joined, lengths; no target is the blank."""

    log_probs: Floats
    targets: Any
    input_lengths: Any
    target_lengths: Any
    label: str
    probe: str
    at: float
    curve: Callable[[float], Floats] | None = field(default=None, repr=False, compare=False)
    """The log-probabilities at another place of the probe."""


def sequences(fmt: Format, *, full: bool, blank: int) -> Iterator[Sequences]:
    """Alignments that are many, few, one or none; sharp and flat distributions; both layouts of targets."""
    a, b, c = [k for k in range(_CLASSES) if k != blank]
    pair = np.array([[a, b, c], [c, a, a]])
    plain = log_probs(fmt, 5, 2)
    yield Sequences(plain, pair, [5, 4], [3, 2], "ordinary sequences", "scale", 1.0)
    yield Sequences(plain, pair, [2, 5], [3, 3], "one input too short for its target", "spare steps", -1.0)
    yield Sequences(plain, pair, [4, 3], [0, 1], "an empty target", "target length", 0.0)
    if not full:
        return
    yield Sequences(plain, [a, b, c, c, a], [5, 5], [3, 2], "ordinary, joined targets", "scale", 1.0)
    yield Sequences(plain[:, 0], [a, b], [5], [2], "an ordinary sequence without a batch", "scale", 1.0)
    yield Sequences(log_probs(fmt, 1, 1), [[a]], [1], [1], "one step", "steps", 1.0)
    yield from _repeats(fmt, a, b)
    yield from _probabilities(fmt, pair[:1])
    targets = np.resize([a, b, b, c], (1, 8))
    yield Sequences(log_probs(fmt, 24, 1), targets, [24], [8], "a longer sequence", "steps", 24.0)


def _repeats(fmt: Format, a: int, b: int) -> Iterator[Sequences]:
    """A repeated label asks for a blank between: many alignments, exactly one, none."""
    one = log_probs(fmt, 6, 1)
    for steps, label in ((6, "repeated labels"), (4, "exactly one alignment"), (3, "no room for a blank")):
        yield Sequences(one, np.array([[a, a, b]]), [steps], [3], label, "spare steps", steps - 4.0)


def _probabilities(fmt: Format, target: Any) -> Iterator[Sequences]:
    for scale in (0.0, 12.0, 100.0):
        along = partial(log_probs, fmt, 5, 1)
        yield Sequences(along(scale), target, [5], [3], "logits scaled", "scale", scale, along)
    level = -1000.0
    tiny = np.full((5, 1, _CLASSES), level)
    yield Sequences(tiny, target, [5], [3], "tiny probabilities", "log-probability", level)
    for value, name in ((-np.inf, "-inf"), (np.nan, "NaN")):
        changed = log_probs(fmt, 5, 1)
        changed[2, 0, target[0, 1]] = value
        yield Sequences(changed, target, [5], [3], f"one log-probability {name}", "special entries", 1.0)


def log_probs(fmt: Format, steps: int, batch: int, scale: float = 1.0) -> Floats:
    """log softmax of scaled ordinary logits, rounded to the format."""
    with np.errstate(over="ignore", invalid="ignore"):
        logits = scale * np.resize(_CYCLE, (steps, batch, _CLASSES))
        shifted = logits - logits.max(axis=2, keepdims=True)
    return np.asarray(round_to(shifted - np.log(np.exp(shifted).sum(axis=2, keepdims=True)), fmt))
