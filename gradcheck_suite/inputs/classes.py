"""Batches of logits with classes: targets first, last, at the winner and ignored; weights; class
probabilities."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gradcheck_suite.floats import Format, round_to
from gradcheck_suite.inputs.rows import LENGTHS, PAST_FLOAT16, PRIME, Row, rows

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Batch:
    """Logits (one row a sample), a class for each row, and where the batch lies on a probe."""

    logits: Floats
    target: Ints
    label: str
    probe: str
    at: float
    curve: Callable[[float], Floats] | None = field(default=None, repr=False, compare=False)
    """The logits at another place of the probe, with the same classes."""
    confident: bool = False
    """Whether every row has a winner, that of its class."""


def single_rows(fmt: Format, budget: str) -> Iterator[Batch]:
    """Every adversarial row twice: once the class is that of its largest entry, once another one."""
    long = (PAST_FLOAT16,) if fmt.name == "float16" and budget != "quick" else ()
    for row in rows(fmt, (*LENGTHS[budget], *long)):
        yield _twice(row) if len(row.values) < PAST_FLOAT16 else _once(row)


def few_rows(fmt: Format) -> Iterator[Batch]:
    """The rows that every option is tried with."""
    for row in rows(fmt, (2, 3, 17)):
        if row.common:
            yield _twice(row)


def wide_row(fmt: Format) -> Batch:
    """A row whose logarithms of probabilities have a sum that overflows, although none of them does."""
    big = fmt.max / 4
    logits = round_to(np.resize([big, 1.0, -big], 6), fmt)
    return _twice(Row(logits, "large entries that cancel around small ones, length 6", "level", big))


def _once(row: Row) -> Batch:
    target = np.array([_largest(row.values)])
    return Batch(row.values[np.newaxis], target, row.label, row.probe, row.at, _stacked(row, 1))


def _twice(row: Row) -> Batch:
    best = _largest(row.values)
    target = np.array([best, (best + 1) % len(row.values)])
    logits = np.stack([row.values, row.values])
    return Batch(logits, target, row.label, row.probe, row.at, _stacked(row, 2))


def _stacked(row: Row, copies: int) -> Callable[[float], Floats] | None:
    along = row.curve
    return None if along is None else lambda at: np.stack([along(at)] * copies)


def _largest(values: Floats) -> int:
    return int(np.nan_to_num(values, nan=-np.inf).argmax())


def batches(fmt: Format, ignored: int) -> Iterator[Batch]:
    """Batches whose losses are summed or averaged: classes first, last and ignored, all ignored, and a long
    one."""
    logits = round_to(np.resize([0.5, -1.25, 2.0, 0.125, -0.75, 1.5, -2.5], (5, 4)), fmt)
    mixed = np.array([0, 3, ignored, 1, 2])
    yield Batch(logits, mixed, "a batch of 5 with one ignored", "batch", 5.0)
    yield Batch(logits, np.zeros(5, dtype=np.int64), "a batch of 5 of the first class", "batch", 5.0)
    yield Batch(logits[:2], np.full(2, ignored), "a batch whose classes are all ignored", "ignored", 2.0)
    yield Batch(logits[:1], np.array([3]), "a batch of 1", "batch", 1.0)
    confident = np.zeros((3, 3))
    confident[np.arange(3), [0, 1, 2]] = round_to([12.0, 30.0, 80.0], fmt)
    label = "three rows with winners of their class"
    yield Batch(confident, np.arange(3), label, "gap", 12.0, confident=True)
    yield Batch(confident, np.array([1, 2, 0]), "three rows with winners of another class", "gap", 12.0)
    n = 100
    long = round_to(np.resize([0.5, -1.25, 2.0, 0.125, -0.75, 1.5, -2.5], (n, 2)), fmt)
    yield Batch(long, np.resize([0, 1, 1, ignored], n), f"a batch of {n}", "batch", float(n))


def careless_batches(fmt: Format, ignored: int) -> Iterator[Batch]:
    """What a loss of one's own may get wrong: losses that are multiplied by 0 in place of being left out, and more
    equal ones than a sum in 16 bits counts.
    """
    logits = round_to(np.resize([0.5, -1.25, 2.0, 0.125, -0.75, 1.5, -2.5], (3, 4)), fmt)
    for value, name in ((np.inf, "+inf"), (-np.inf, "-inf"), (fmt.max, "the largest number")):
        beyond = logits.copy()
        beyond[1, 2] = value
        yield Batch(
            beyond, np.array([0, ignored, 3]), f"a batch that ignores a row with {name}", "ignored", 1.0
        )
    rows = PRIME[1]
    yield Batch(np.zeros((rows, 2)), np.resize([0, 1], rows), f"a batch of {rows} equal rows", "batch", rows)


def images(fmt: Format, ignored: int) -> Iterator[Batch]:
    """Logits of shape (batch, classes, height, width) and a class for each pixel."""
    for shape in ((1, 3, 2, 2), (2, 2, 3, 1)):
        logits = round_to(
            np.resize([0.5, -1.25, 2.0, 0.125, -0.75, 1.5, -2.5, 6.0, -9.0, 0.25, 1.0], shape), fmt
        )
        target = np.resize([0, shape[1] - 1, ignored, 1], (shape[0], *shape[2:]))
        label = f"images of shape {'x'.join(map(str, shape))}"
        yield Batch(logits, target, label, "pixels", float(target.size))
    confident = np.zeros((1, 2, 1, 40))
    confident[0, 0, 0, :] = round_to(np.linspace(-20, 20, 40), fmt)
    yield Batch(
        confident, np.resize([0, 1], (1, 1, 40)), "images of 40 pixels with rising gaps", "pixels", 40.0
    )
    level = -fmt.max / 16
    large, target = np.full((1, 2, 1, 40), level), np.resize([0, 1], (1, 1, 40))
    yield Batch(large, target, "images of 40 pixels with large losses", "level", level)


def weights(fmt: Format, classes: int) -> Iterator[tuple[str, Floats]]:
    """Weights of the classes: ordinary ones with a 0 among them, tiny, huge ones, and ones that four of are too
    many for the format.
    """
    ordinary = np.resize([0.5, 2.0, 0.1, 1.0, 0.0], classes)
    yield "ordinary weights", round_to(ordinary, fmt)
    yield "tiny weights", round_to(np.resize([2.0, 3.0, 1.0], classes) * fmt.smallest_normal, fmt)
    yield "huge weights", round_to(np.resize([1.0, 0.25, 0.5], classes) * fmt.max / 8, fmt)
    yield "weights whose sum overflows", round_to(np.full(classes, 0.3 * fmt.max), fmt)


def probabilities(fmt: Format, classes: int) -> Iterator[tuple[str, Floats]]:
    """Class probabilities of one row: even, one-hot, and nearly one-hot."""
    yield "even probabilities", round_to(np.full(classes, 1.0 / classes), fmt)
    one_hot = np.zeros(classes)
    one_hot[-1] = 1.0
    yield "one-hot probabilities", one_hot
    if classes > 1:
        nearly = np.full(classes, fmt.unit_roundoff)
        nearly[0] = 1.0 - 2 * fmt.unit_roundoff
        yield "probabilities all but one-hot", round_to(nearly, fmt)
