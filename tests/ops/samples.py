"""Comparing torch in float64 with the reference on an op's own well-conditioned samples."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from gradcheck_suite.engine.rowcalls import call_sample
from gradcheck_suite.engine.rows import problem_of
from gradcheck_suite.floats import format_of
from gradcheck_suite.formula.arrays import Wanted, reference
from gradcheck_suite.inputs import cotangents
from gradcheck_suite.ops.record import Op, Sample
from gradcheck_suite.ops.variants import at_variant

FMT = format_of("float64")
_LARGE = 40.0
_SMALL = 2.0**-20
_MANY = 700
_SAMPLES = 12


def tame(sample: Sample) -> bool:
    """Whether a sample holds ordinary finite numbers only; class indices may be anything."""
    numbers = [np.asarray(x) for x in (*sample.inputs.values(), *sample.extra.values())]
    floats = np.concatenate([x.reshape(-1) for x in numbers if x.dtype == np.float64])
    sizes = np.abs(floats)
    return bool((sizes <= _LARGE).all() and ((sizes == 0) | (sizes >= _SMALL)).all() and sizes.size <= _MANY)


def worst_errors(op: Op, variant: dict[str, Any], order: int) -> Iterator[tuple[str, str, float]]:
    """(sample, column, error) for every tame sample: the error in float64 ulps of the column's largest entry,
    or of 1.

    It tells ops apart, nothing more: the entries themselves may be small differences of numbers near 1.
    """
    called = at_variant(op, variant)
    assert called.samples is not None
    wanted = Wanted(order=order, cotangent=cotangents.mixed, direction=cotangents.direction)
    usable = [s for s in called.samples(called.params(variant), FMT, budget="quick", seed=0) if tame(s)]
    for sample in usable[:: max(len(usable) // _SAMPLES, 1)]:
        exact = reference(
            problem_of(called, called.params(variant), called.reals(variant), sample), FMT, wanted
        )
        if exact.tie or any(flags.any() for flags in exact.undefined.values()):
            continue
        got = call_sample(
            called,
            variant,
            sample,
            dtype="float64",
            order=order,
            cotangent=cotangents.mixed,
            direction=cotangents.direction,
        )
        for name, column in got.columns.items():
            want = exact.columns[name].to_float64()
            scale = max(float(np.abs(want).max(initial=0.0)), 1.0)
            yield sample.label, name, float(np.abs(column - want).max(initial=0.0)) / (scale * 2.0**-52)
