"""Further shapes for an op of one's own that equals one of torch's: several rows at once, longer rows.

What torch's kernels need not be asked again, for they share their loops, is what a kernel of one's own gets wrong:
the maximum of all rows in place of each, the gradient of the first row alone, a tail of a long row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gradcheck_suite.floats import Format, round_to
from gradcheck_suite.ops.record import Sample

Samples = Callable[..., Iterable[Sample]]
Floats = NDArray[np.float64]

_LARGEST: Final = 64
"""Entries of an input up to which a sample is repeated."""

_REPEATED: Final = 16
"""Samples that are repeated, or a few more."""

_LENGTHENED: Final = 3

_LONG: Final = 67
"""The length that rows are repeated to: more than a warp or a SIMD body takes, with a tail."""

_SCALES: Final = (1.0, 1.0, 0.5, 2.0**-6, 1.0)
"""Of the rows side by side, so that the largest entries of no two are of one size."""


def with_several(samples: Samples) -> Samples:
    """Samples, and beside some of the short ones several of them at once, and longer ones; as far as the op and its
    definition take such shapes. What else samples are drawn by, before the format or by name, is passed on.
    """

    def more(*drawn_by: Any, **named: Any) -> Iterator[Sample]:
        short, fmt = [], drawn_by[-1]
        for sample in samples(*drawn_by, **named):
            yield sample
            if _is_short(sample):
                short.append(sample)
        step = max(len(short) // _REPEATED, 1)
        for place, sample in enumerate(short[::step]):
            yield from _repeated(sample, fmt, image=place % 4 == 0)
        for sample in short[:: max(len(short) // _LENGTHENED, 1)]:
            yield from _lengthened(sample)

    return more


def _is_short(sample: Sample) -> bool:
    arrays = [np.asarray(x) for x in sample.inputs.values()]
    return all(0 < x.size <= _LARGEST and x.ndim for x in arrays)


def _repeated(sample: Sample, fmt: Format, *, image: bool) -> Iterator[Sample]:
    """Five of a sample along its first axis, which all tensors must share; of a vector five rows, and for an `image`
    two times three of them.
    """
    arrays = [*sample.inputs.values(), *(x for x in sample.extra.values() if isinstance(x, np.ndarray))]
    if len({np.shape(x)[:1] for x in arrays}) > 1:
        return
    vectors = all(np.ndim(x) == 1 for x in arrays)
    if vectors and len(arrays) == len(sample.inputs):
        yield _made(sample, lambda x: np.stack(_beside(x, fmt)), "5 rows like")
        if image:
            yield _made(sample, lambda x: _stacked_twice(_beside(x, fmt)), "2 times 3 rows like")
    elif all(np.ndim(x) > 1 for x in sample.inputs.values()):
        inputs = {n: np.concatenate(_beside(x, fmt)) for n, x in sample.inputs.items()}
        extra = {
            n: np.concatenate([x] * len(_SCALES)) if isinstance(x, np.ndarray) else x
            for n, x in sample.extra.items()
        }
        yield _like(sample, inputs, extra, "5 like")


def _beside(x: Floats, fmt: Format) -> list[Floats]:
    """The entries as they are, reversed and rotated along the last axis, on several scales."""
    turned = (x, np.flip(x, -1), np.roll(x, 1, -1), x, np.roll(x, -1, -1))
    return [round_to(scale * part, fmt) for scale, part in zip(_SCALES, turned, strict=True)]


def _stacked_twice(rows: Sequence[Floats]) -> Floats:
    return np.stack([np.stack(rows[:3]), np.stack(rows[2:])])


def _lengthened(sample: Sample) -> Iterator[Sample]:
    """A sample whose tensors all have as many entries along the last axis, repeated to a longer one."""
    lengths = {np.shape(x)[-1] for x in sample.inputs.values()}
    if len(lengths) == 1 and max(lengths) < _LONG:
        yield _made(sample, lambda x: x[..., np.arange(_LONG) % x.shape[-1]], f"repeated to length {_LONG},")


def _made(sample: Sample, change: Callable[[Floats], Floats], what: str) -> Sample:
    return _like(sample, {n: change(x) for n, x in sample.inputs.items()}, sample.extra, what)


def _like(sample: Sample, inputs: dict[str, Any], extra: Mapping[str, Any], what: str) -> Sample:
    label = f"{what} {sample.label}"
    return replace(sample, inputs=inputs, extra=dict(extra), label=label, curve=None, tentative=True)
