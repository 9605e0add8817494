"""Hypothesis strategies for tests of your own: adversarial floats, rows and whole inputs of an op.

    from hypothesis import given
    from gradcheck_suite import strategies

    @given(strategies.floats("float16"))
    def test_my_scalar_kernel(x): ...

    @given(strategies.rows("bfloat16", max_size=512))
    def test_my_softmax(row):
        assert my_softmax(row).isfinite().all()

    @given(strategies.inputs("softplus", dtype="float32", beta=10.0))
    def test_mine_equals_torchs(example):
        expected = torch.nn.functional.softplus(*example.args, **example.kwargs)
        torch.testing.assert_close(mine(*example.args, **example.kwargs), expected)

Values are those that the harness itself tries: ends of the format and of its subnormals, every binade alike,
and the floats around points where an op changes its character.  They shrink towards 1, and rows towards few
equal entries.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import strategies as st

from gradcheck_suite.errors import UsageError
from gradcheck_suite.floats import Format, format_of, from_ordinal, infinity_ordinal, round_to, to_ordinal
from gradcheck_suite.inputs import around, format_landmarks
from gradcheck_suite.inputs import rows as adversarial
from gradcheck_suite.inputs.landmarks import distinct

if TYPE_CHECKING:
    import torch

    from gradcheck_suite.ops.record import Op

__all__ = ["OpInputs", "floats", "inputs", "rows"]

_EXAMPLES = 400
"""Points of an op of several inputs among which entries are drawn."""


def floats(
    dtype: str = "float32",
    *,
    near: Iterable[float] = (),
    min_value: float | None = None,
    max_value: float | None = None,
    allow_nan: bool = True,
    allow_infinity: bool = True,
) -> st.SearchStrategy[float]:
    """Numbers of a dtype: every binade of both signs alike, landmarks of the format, floats around `near`.

    `min_value` and `max_value` are inclusive; with either of them NaN is left out. Raises UsageError for an
    unknown dtype, and where no number of the dtype lies between the bounds.
    """
    fmt = format_of(dtype)
    bounded = min_value is not None or max_value is not None
    low, high = _bounds(fmt, min_value, max_value, allow_infinity)
    marks = distinct(np.concatenate([format_landmarks(fmt), around(near, fmt)]))
    inside = marks[(marks >= low) & (marks <= high)]
    special = [x for x in (np.inf, -np.inf) if low <= x <= high] + [np.nan] * (allow_nan and not bounded)
    choices = [_ordinals(fmt, low, high) if bounded else _binades(fmt)]
    if len(inside):
        # Simple numbers first: Hypothesis shrinks towards the front.
        choices.append(st.sampled_from(sorted(inside.tolist(), key=_plainness)))
    choices *= 2
    return st.one_of(*choices, *([st.sampled_from(special)] if special else []))


def _bounds(
    fmt: Format, min_value: float | None, max_value: float | None, allow_infinity: bool
) -> tuple[float, float]:
    largest = np.inf if allow_infinity else fmt.max
    low = -largest if min_value is None else float(min_value)
    high = largest if max_value is None else float(max_value)
    inside = _inwards(fmt, low, high)
    if inside is None:
        raise UsageError(f"no {fmt.name} number lies between {low!r} and {high!r}")
    return inside


def _inwards(fmt: Format, low: float, high: float) -> tuple[float, float] | None:
    """The first and last number of the format between two numbers; None where there is none."""
    first, last = (int(o) for o in to_ordinal(round_to([low, high], fmt), fmt))
    top = infinity_ordinal(fmt)
    first += bool(from_ordinal(first, fmt) < low) and first < top
    last -= bool(from_ordinal(last, fmt) > high) and last > -top
    return None if first > last else (float(from_ordinal(first, fmt)), float(from_ordinal(last, fmt)))


def _ordinals(fmt: Format, low: float, high: float) -> st.SearchStrategy[float]:
    """Uniform in float ordinals, which is even in binades; shrinks towards the number nearest to 0."""
    first, last = (int(o) for o in to_ordinal(np.array([low, high]), fmt))
    return st.integers(first, last).map(lambda o: float(from_ordinal(o, fmt)))


def _binades(fmt: Format) -> st.SearchStrategy[float]:
    """Sign, exponent and significand drawn apart, so that 1 is the simplest number, -2 nearly as simple."""
    fraction = fmt.precision - 1

    def build(negative: bool, exponent: int, bits: int) -> float:
        size = float(np.ldexp(1.0 + bits * 2.0**-fraction, exponent))
        value = float(round_to([size], fmt)[0])
        return -value if negative else value

    # Below the smallest normal number the significand is rounded: subnormal octaves are binades like the
    # others.
    exponents = st.integers(fmt.ulp_exponent_min, fmt.emax)
    bits = st.integers(0, (1 << fraction) - 1)
    return st.builds(build, st.booleans(), exponents, bits)


def _plainness(value: float) -> tuple[bool, bool, int, float, bool]:
    """Sort key: finite before infinite before NaN, few significant bits before many, near 1 before far."""
    if not np.isfinite(value):
        return True, bool(np.isnan(value)), 0, 0.0, value < 0
    if value == 0:
        return False, False, 1, 0.5, bool(np.signbit(value))
    numerator = abs(value.as_integer_ratio()[0])
    bits = (numerator // (numerator & -numerator)).bit_length()
    return False, False, bits, abs(float(np.log2(abs(value)))), value < 0


# --- rows


@st.composite
def rows(
    draw: st.DrawFn,
    dtype: str = "float32",
    *,
    min_size: int = 1,
    max_size: int = 64,
    allow_nan: bool = True,
    allow_infinity: bool = True,
) -> torch.Tensor:
    """One-dimensional tensors of logits: ties, gaps, masks, shifts, mixed magnitudes, any floats.

    Raises UsageError for an unknown dtype.
    """
    import torch

    fmt = format_of(dtype)
    size = draw(st.integers(min_size, max_size))
    # Were specials drawn for each entry, hardly a long row would be without one.
    special = draw(st.booleans())
    entries = floats(dtype, allow_nan=special and allow_nan, allow_infinity=special and allow_infinity)
    kind = draw(st.sampled_from(["alike", "family", "free"]))
    if kind == "alike" or not size:
        values = np.full(size, draw(entries))
    elif kind == "free":
        values = np.array(draw(st.lists(entries, min_size=size, max_size=size)))
    else:
        values = draw(st.sampled_from(_family(fmt, size, allow_nan, allow_infinity)))
    return torch.from_numpy(values).to(getattr(torch, dtype))


def _family(fmt: Format, size: int, allow_nan: bool, allow_infinity: bool) -> list[Any]:
    found = [row.values for row in adversarial.rows(fmt, [size])]
    if not allow_nan:
        found = [v for v in found if not np.isnan(v).any()]
    return found if allow_infinity else [v for v in found if not np.isinf(v).any()]


# --- whole inputs


@dataclass(frozen=True, slots=True)
class OpInputs:
    """One call of an op: `args` are its differentiable tensors in order, `kwargs` all its other arguments."""

    args: tuple[torch.Tensor, ...]
    kwargs: dict[str, Any]


def inputs(
    op: str | Op, *, dtype: str = "float32", max_size: int = 16, **parameters: Any
) -> st.SearchStrategy[OpInputs]:
    """Inputs of an op at some parameters: entries near its kinks and thresholds, or what it is judged on.

    `op` is a name of `gradcheck list` or a record. Tensors of ops that map entries to entries are one-
    dimensional, with at most `max_size` entries. Raises UsageError for an unknown op, dtype or parameter.
    """
    from gradcheck_suite.ops.registry import registry
    from gradcheck_suite.ops.variants import at_variant

    record = registry().get(op) if isinstance(op, str) else op
    fmt = format_of(dtype)
    known = record.params(record.variants[0])
    for name in parameters:
        if name not in known and name not in record.optional:
            raise UsageError.lacking(record.name, "parameter", name, known)
    variant = {**record.variants[0], **parameters}
    called = at_variant(record, variant)
    options = {n: v for n, v in variant.items() if n not in (*called.inputs, *called.extras)}
    if called.pointwise:
        return _entrywise(called, options, fmt, max_size)
    assert called.samples is not None
    samples = list(called.samples(called.params(variant), fmt, budget="quick", seed=0))
    return st.sampled_from(samples).map(lambda s: _call(called, {**s.inputs, **s.extra}, options, dtype))


def _entrywise(op: Op, options: Mapping[str, Any], fmt: Format, max_size: int) -> st.SearchStrategy[OpInputs]:
    entries: st.SearchStrategy[tuple[float, ...]] = st.sampled_from(_points(op, options, fmt))
    names = (*op.inputs, *op.extras)
    if len(names) == 1 and op.domain is None:
        near = list(op.landmarks(op.params(options)))
        entries = st.one_of(floats(fmt.name, near=near).map(lambda x: (x,)), entries)

    def assemble(points: Sequence[tuple[float, ...]]) -> OpInputs:
        columns = zip(*points, strict=True)
        values = {n: np.array(column) for n, column in zip(names, columns, strict=True)}
        return _call(op, values, options, fmt.name)

    return st.lists(entries, min_size=1, max_size=max_size).map(assemble)


def _points(op: Op, options: Mapping[str, Any], fmt: Format) -> list[tuple[float, ...]]:
    """Points of the op's own sample, those of plain numbers first."""
    from gradcheck_suite.inputs.targets import tuples
    from gradcheck_suite.ops.landscape import landscape_of

    params = op.params(options)
    sample = tuples(fmt, landscape_of(op, params), _EXAMPLES, 0).values
    points = set(zip(*(sample[n].tolist() for n in (*op.inputs, *op.extras)), strict=True))
    return sorted(points, key=lambda p: tuple(_plainness(x) for x in p))


def _call(op: Op, values: Mapping[str, Any], options: Mapping[str, Any], dtype: str) -> OpInputs:
    import torch

    def tensor(value: Any) -> Any:
        if not isinstance(value, np.ndarray):
            return value
        made = torch.from_numpy(np.ascontiguousarray(value))
        return made.to(getattr(torch, dtype)) if value.dtype == np.float64 else made

    tensors = {n: tensor(v) for n, v in values.items()}
    others = {n: t for n, t in tensors.items() if n not in op.inputs}
    return OpInputs(args=tuple(tensors[n] for n in op.inputs), kwargs={**others, **options})
