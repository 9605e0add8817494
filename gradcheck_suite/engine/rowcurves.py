"""Pictures of an op whose entries depend on each other: one entry of a small sample moves, the rest stays."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gradcheck_suite.engine.arguments import written
from gradcheck_suite.engine.calls import Raised, Unsupported
from gradcheck_suite.engine.curves import curve
from gradcheck_suite.engine.judge import judge
from gradcheck_suite.engine.rows import RowSubject
from gradcheck_suite.floats import Exact, Format, from_ordinal, infinity_ordinal
from gradcheck_suite.inputs.landmarks import distinct
from gradcheck_suite.inputs.pointwise import WINDOW
from gradcheck_suite.ops.record import Sample
from gradcheck_suite.results import Curve

Floats = npt.NDArray[np.float64]

# Each point costs a call of torch and an exact evaluation: a few dozen say as much as a picture can show.
_WINDOW: Final = WINDOW[::4]
_EVEN: Final = 24
_LARGEST: Final = 8.0
_LARGEST_SAMPLE: Final = 64  # entries of all inputs together
_TRIED: Final = 8
_COTANGENT: Final = "one-hot"  # the gradient of the first output alone

Point = tuple[float, Floats, Exact, npt.NDArray[np.bool_]]
"""Where the entry stands, what torch computed, what is exact, and whether that is left unjudged."""


def row_curve(subject: RowSubject, column: str) -> Curve | None:
    """The picture of one column of the op's first variant; None where there is none to draw.

    The first entry of the first input of a small, ordinary sample moves. The value is the first entry of the
    output, the gradient that of this output by the entry that moves.
    """
    drawn = subject.settings.budget != "quick" and dict(subject.variant) == dict(subject.op.variants[0])
    line = _line(subject) if drawn else None
    if line is None or column not in ("value", f"d:{_moved(line)}"):
        return None
    found = list(_points(line, column))
    return _curve(line, found) if found else None


@lru_cache(maxsize=2)
def _line(subject: RowSubject) -> RowSubject | None:
    """The subject of the samples along the line; the directions of a subject share it."""
    ordinary = sorted(filter(_is_ordinary, subject.samples), key=_rank)[:_TRIED]
    base = next((sample for sample in ordinary if _depends(subject, sample)), None)
    if base is None:
        return None
    line = (_with_first(base, x) for x in _places(subject.fmt).tolist())
    return _along(subject, [sample for sample in line if _in_domain(subject, sample)])


def _along(subject: RowSubject, samples: Iterable[Sample]) -> RowSubject:
    return RowSubject(subject.op, subject.variant, subject.dtype, 1, subject.settings, samples=tuple(samples))


def _in_domain(subject: RowSubject, sample: Sample) -> bool:
    if subject.op.domain is None:
        return True
    with np.errstate(all="ignore"):
        return bool(np.all(subject.op.domain(subject.params, {**sample.inputs, **sample.extra})))


def _depends(subject: RowSubject, sample: Sample) -> bool:
    """Whether the first output moves with the first entry: over a single key attention is constant."""
    pair = _along(subject, (_with_first(sample, x) for x in (-1.5, 0.75)))
    try:
        low, high = (pair.called(k, cotangent=_COTANGENT).columns["value"] for k in range(2))
    except (Raised, Unsupported):
        return False
    return bool(low[:1] != high[:1])


def _with_first(base: Sample, x: float) -> Sample:
    moved = next(iter(base.inputs))
    values = np.array(base.inputs[moved], dtype=np.float64)
    values.reshape(-1)[0] = x
    return dataclasses.replace(base, inputs={**base.inputs, moved: values})


def _moved(line: RowSubject) -> str:
    return line.op.inputs[0]


def _is_ordinary(sample: Sample) -> bool:
    """Middling numbers, a few of them along the axis in which the first entry moves."""
    if _size(sample) > _LARGEST_SAMPLE:
        return False
    inputs = [np.asarray(x, dtype=np.float64) for x in sample.inputs.values()]
    first = inputs[0]
    if not all(x.size and np.all(np.abs(x) <= _LARGEST) for x in inputs):
        return False
    return bool(first.ndim and first.shape[-1] > 1 and np.ptp(first))


def _rank(sample: Sample) -> tuple[bool, int]:
    # Kinks like to stand at 0, and a sample at a kink has no one gradient.
    first = next(iter(sample.inputs.values()))
    return bool(np.any(np.asarray(first) == 0)), _size(sample)


def _size(sample: Sample) -> int:
    return sum(int(np.size(x)) for x in sample.inputs.values())


def _places(fmt: Format) -> Floats:
    top = infinity_ordinal(fmt) - 1
    # As Python integers: between the ends of float64 lie more floats than an int64 can count.
    even = np.array([-top + 2 * top * k // (_EVEN - 1) for k in range(_EVEN)], dtype=np.int64)
    return distinct(np.concatenate([from_ordinal(even, fmt), _WINDOW]))


def _points(line: RowSubject, column: str) -> Iterator[Point]:
    for k, sample in enumerate(line.samples):
        try:
            got = line.called(k, cotangent=_COTANGENT).columns[column]
        except (Raised, Unsupported):
            continue
        exact = line.reference(k, _COTANGENT)
        skipped = exact.undefined[column][:1] | exact.open[column][:1] | (exact.tie and column != "value")
        x = float(np.reshape(sample.inputs[_moved(line)], -1)[0])
        yield x, got[:1], exact.columns[column][:1], skipped


def _curve(line: RowSubject, found: list[Point]) -> Curve:
    x, got, exact, skipped = zip(*found, strict=True)
    computed, lower, undefined = np.concatenate(got), Exact.concatenate(exact), np.concatenate(skipped)
    verdicts = judge(computed, lower, lower, line.fmt, max_ulp=np.inf, undefined=undefined)
    base, moved = line.samples[0], _moved(line)
    zeros = ", ".join("0" * np.ndim(base.inputs[moved]))
    fixed = {n: written(v) for n, v in (*base.inputs.items(), *base.extra.items())}
    return curve(
        f"{moved}[{zeros}]",
        np.array(x),
        computed,
        np.where(undefined, np.nan, lower.to_float64()),
        verdicts.ulp,
        fixed=fixed | {moved: _marked(fixed[moved])},
    )


def _marked(value: Any) -> Any:
    """An array as documents write it, with x in the place of the entry that moves."""
    first, *others = value
    return [_marked(first) if isinstance(first, list) else "x", *others]
