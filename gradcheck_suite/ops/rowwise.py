"""The activations of torch that work on rows: softmax and its kin, normalize, gated and parametric units.

Sources: the documentation pages of torch.nn and torch.nn.functional, version 2.13.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from math import inf
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from gradcheck_suite.floats import Format, round_to
from gradcheck_suite.formula.context import Context
from gradcheck_suite.formula.tape import Array
from gradcheck_suite.inputs.rows import (
    LENGTHS,
    PAST_FLOAT16,
    WIDE,
    Row,
    along_line,
    below_zero,
    highest_order,
    place,
    rows,
)
from gradcheck_suite.ops.declare import operation
from gradcheck_suite.ops.record import Params, Sample

_DIMS = ({"dim": -1}, {"dim": 0}, {"dim": 1})


def _sample(values: Any, row: Row, lay: Callable[[Any], Any] | None = None) -> Sample:
    """One row as the op takes it; `lay` puts any row of its length where the values are."""
    inputs = {"input": values}
    curve, order = _curve(row, lay), highest_order(len(row.values))
    return Sample(inputs=inputs, label=row.label, probe=row.probe, at=row.at, curve=curve, order=order)


def _curve(row: Row, lay: Callable[[Any], Any] | None) -> Callable[[float], Sample] | None:
    along = row.curve
    if along is None or lay is None:
        return None
    return lambda at: Sample(inputs={"input": lay(along(at))}, label=row.label, probe=row.probe, at=at)


def along_dim(params: Params, fmt: Format, *, budget: str, seed: int) -> Iterator[Sample]:
    """Rows laid along the axis that `dim` names: every family along the last axis, the common ones along
    others."""
    dim = int(params["dim"])
    if dim == -1:
        long = (PAST_FLOAT16,) if fmt.name == "float16" and budget != "quick" else ()
        for row in rows(fmt, (*LENGTHS[budget], *long)):
            yield _sample(row.values, row, lambda values: values)
        return
    for row in common(fmt):
        wide = len(row.values) == 17 and row.probe == "gap"
        yield _sample(place(row.values, dim, inner=WIDE if wide else 2), row)


def common(fmt: Format) -> Iterator[Row]:
    """The rows that every axis and every option is tried with."""
    return (row for row in rows(fmt, (2, 3, 17)) if row.common)


@operation(
    F.softmax,
    family="activation",
    module=nn.Softmax,
    out=torch.softmax,
    twins=(torch.softmax, torch.special.softmax),
    variants=_DIMS,
    variants_only=True,
    samples=along_dim,
    stable_form="# in place of log(softmax(input, dim))\ntorch.log_softmax(input, dim)",
)
def softmax(m: Context, input: Array, *, dim: int) -> Array:
    return m.softmax(input, dim)


@operation(
    F.softmin, family="activation", module=nn.Softmin, variants=_DIMS, variants_only=True, samples=along_dim
)
def softmin(m: Context, input: Array, *, dim: int) -> Array:
    return m.softmax(-input, dim)


def softmax2d_call(input: torch.Tensor) -> torch.Tensor:
    """nn.Softmax2d has no functional form."""
    out: torch.Tensor = nn.Softmax2d()(input)
    return out


def _along_channels(params: Params, fmt: Format, *, budget: str, seed: int) -> Iterator[Sample]:
    """Rows along the channels of images, without and with a batch axis."""
    for number, row in enumerate(rows(fmt, (2, 3, 17))):
        rank = 3 + number % 2
        inner = WIDE if row.common and row.probe == "gap" and len(row.values) == 17 else 2
        if row.common or len(row.values) == 3:
            yield _sample(place(row.values, -3, rank=rank, inner=inner), row)


@operation(
    softmax2d_call,
    name="softmax2d",
    callable_name="torch.nn.Softmax2d",
    family="activation",
    module=nn.Softmax2d,
    samples=_along_channels,
)
def softmax2d(m: Context, input: Array) -> Array:
    return m.softmax(input, -3)


@operation(
    F.log_softmax,
    family="activation",
    module=nn.LogSoftmax,
    out=torch.log_softmax,
    twins=(torch.log_softmax, torch.special.log_softmax),
    variants=_DIMS,
    variants_only=True,
    samples=along_dim,
    # The winner's own term, exp(0) = 1, stays out of the sum, where it would swallow the others.
    stable_form=(
        "w = input.argmax(dim, keepdim=True)\n"
        "d = input - input.gather(dim, w)\n"
        "d - torch.log1p(d.exp().scatter(dim, w, 0).sum(dim, keepdim=True))"
    ),
)
def log_softmax(m: Context, input: Array, *, dim: int) -> Array:
    return m.log_softmax(input, dim)


def upcast(function: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    """A function with the argument `dtype`, as mixed precision calls it: computed in float32 at least, and the result
    cast back. The input is cast before, which is exact, and its gradient comes back in its own dtype.
    """

    def call(input: torch.Tensor, *, dim: int) -> torch.Tensor:
        wide = torch.promote_types(input.dtype, torch.float32)
        return function(input, dim=dim, dtype=wide).to(input.dtype)

    return call


def _upcast_code(name: str) -> Callable[[Mapping[str, str]], str]:
    wide = "torch.promote_types(input.dtype, torch.float32)"
    return lambda texts: f"y = {name}(input, dim={texts['dim']}, dtype={wide}).to(input.dtype)"


def _common_rows(params: Params, fmt: Format, *, budget: str, seed: int) -> Iterator[Sample]:
    return (_sample(row.values, row, lambda values: values) for row in common(fmt))


@operation(
    upcast(F.softmax),
    name="softmax_upcast",
    callable_name="torch.nn.functional.softmax",
    code=_upcast_code("torch.nn.functional.softmax"),
    family="activation",
    variants=[{"dim": -1}],
    variants_only=True,
    samples=_common_rows,
)
def softmax_upcast(m: Context, input: Array, *, dim: int) -> Array:
    return m.softmax(input, dim)


@operation(
    upcast(F.log_softmax),
    name="log_softmax_upcast",
    callable_name="torch.nn.functional.log_softmax",
    code=_upcast_code("torch.nn.functional.log_softmax"),
    family="activation",
    variants=[{"dim": -1}],
    variants_only=True,
    samples=_common_rows,
)
def log_softmax_upcast(m: Context, input: Array, *, dim: int) -> Array:
    return m.log_softmax(input, dim)


def _for_logsumexp(params: Params, fmt: Format, *, budget: str, seed: int) -> Iterator[Sample]:
    dim = params["dim"]
    if isinstance(dim, int) and not params["keepdim"]:
        yield from along_dim(params, fmt, budget=budget, seed=seed)
        if dim == -1:
            for row in below_zero(fmt):
                yield _sample(row.values, row, lambda values: values)
        return
    for row in common(fmt):
        yield _sample(np.stack([row.values, row.values[::-1]]), row)


@operation(
    torch.logsumexp,
    family="special",
    tier="extended",
    out=torch.logsumexp,
    twins=(torch.special.logsumexp,),
    variants=[*_DIMS, {"dim": -1, "keepdim": True}, {"dim": (0, 1)}],
    variants_only=True,
    samples=_for_logsumexp,
)
def logsumexp(m: Context, input: Array, *, dim: int | tuple[int, ...], keepdim: bool = False) -> Array:
    if isinstance(dim, int):
        return m.logsumexp(input, dim, keepdims=keepdim)
    return m.logsumexp(input.reshape(-1), 0)


# --- normalize


def _for_normalize(params: Params, fmt: Format, *, budget: str, seed: int) -> Iterator[Sample]:
    """Rows of every scale, whose squares overflow or underflow, and rows whose norm lies beside eps."""
    dim, p = params["dim"], float(params["p"])
    full = p == 2.0 and dim == 1 and params["eps"] == 1e-12
    lengths = LENGTHS[budget][:5] if full else (2, 3)
    for row in rows(fmt, lengths):
        if full or row.common or row.probe == "level":
            yield _sample(_laid(row.values, dim), row, lambda values: _laid(values, dim))
    # Below this one the powers of any norm underflow; the levels of rows are where they overflow.
    for scale in _scales(fmt) if full else (2.0 ** (fmt.emin // 2 - 2),) if dim == 1 else ():
        (size,) = round_to([scale], fmt)
        row = along_line(fmt, "entries of one scale, length 2", "scale", float(size), np.array([3.0, -4.0]))
        yield _sample(_laid(row.values, dim), row, lambda values: _laid(values, dim))
    if full or p != 2.0:
        row = _dominated(fmt)
        yield _sample(_laid(row.values, dim), row, lambda values: _laid(values, dim))
    (eps,) = round_to([params["eps"]], fmt)
    for factor in (0.5, 1.0, 2.0):
        (norm,) = round_to([eps * factor], fmt)
        row = along_line(fmt, "a norm beside eps, length 3", "norm", float(norm), np.array([0.0, -1.0, 0.0]))
        yield _sample(_laid(row.values, dim), row, lambda values: _laid(values, dim))


def _scales(fmt: Format) -> tuple[float, ...]:
    """Scales beside which a square, or a sum of squares, leaves the format."""
    return (
        fmt.max / 5,
        fmt.max**0.5,
        fmt.max**0.5 / 8,
        fmt.smallest_normal**0.5,
        fmt.smallest_normal,
        fmt.smallest_subnormal,
    )


def _dominated(fmt: Format) -> Row:
    """One entry far above the others: what is left of its gradient is theirs alone."""

    def curve(small: float) -> Any:
        return np.array([1.5, -small, 0.75 * small])

    small = 2.0 ** -(fmt.precision // 2)
    return Row(curve(small), "one entry far above the others, length 3", "others", small, curve=curve)


def _laid(row: Any, dim: Any) -> Any:
    if isinstance(dim, tuple):
        return np.stack([row, row[::-1]])
    return row[np.newaxis] if dim == 1 else row[:, np.newaxis] if dim == 0 else row


@operation(
    F.normalize,
    family="activation",
    out=F.normalize,
    structural=("p",),
    variants=[
        *({"p": p} for p in (1.0, inf, -inf, 0.0, 0.5, 1.5, 3.0, -1.0, 100.0)),
        {"dim": 0},
        {"dim": -1},
        {"dim": (0, 1)},
        {"eps": 0.0},
        {"eps": 0.1},
        {"eps": 1e-30},
        {"eps": 1e3},
    ],
    samples=_for_normalize,
    stable_form=(
        "s = input.detach().abs().amax(dim, keepdim=True).clamp_min(eps)\n"
        "torch.nn.functional.normalize(input / s, p, dim, eps=1)"
    ),
)
def normalize(m: Context, input: Array, *, p: float = 2.0, dim: Any = 1, eps: Any = 1e-12) -> Array:
    return input / m.maximum(m.norm(input, p, dim, keepdims=True), eps)


# --- gated and parametric units

_BASE = np.array([1.0, -1.5, 0.25, 3.0])


def _gates(fmt: Format) -> Iterator[tuple[float, float]]:
    """Pairs of a value and its gate: saturated gates, gates near 0, huge and tiny values."""
    full = float(np.log(fmt.max))
    for gate in (
        0.0,
        -fmt.unit_roundoff,
        1.0,
        -1.0,
        5.0,
        -5.0,
        full / 2,
        full,
        -full / 2,
        -full,
        -1.05 * full,
        -2 * full,
    ):
        yield 1.0, gate
        yield fmt.max / 2, gate
    for gate in (fmt.max, -fmt.max, inf, -inf, np.nan):
        yield 1.0, gate
    for value in (0.0, fmt.smallest_subnormal, fmt.smallest_normal, fmt.max, inf, np.nan):
        yield value, 1.0
        yield value, -full / 2


def _for_glu(params: Params, fmt: Format, *, budget: str, seed: int) -> Iterator[Sample]:
    dim = int(params["dim"])
    for value, gate in _gates(fmt) if dim == -1 else [(1.0, -5.0), (2.0, 5.0)]:
        width = 4 if np.isfinite(value) and np.isfinite(gate) else 1
        (value, gate) = round_to([value, gate], fmt)
        # Values at the end of the format stay below it.
        base = _BASE[:width] / 4 if abs(value) > fmt.max / 4 and width > 1 else _BASE[:width]
        sample = Sample(
            inputs={"input": place(_gated(round_to(base * value, fmt), gate), dim)},
            label=f"values around {value:g} with gates of {gate:g}",
            probe="gate",
            at=float(gate),
        )
        yield replace(sample, curve=_along_gates(sample, dim))
    for n in (34, 130) if dim == -1 else (34,):
        values = place(np.resize(np.linspace(-9, 9, 37).round(2), n), dim)
        yield Sample(
            inputs={"input": round_to(values, fmt)},
            label=f"ordinary entries, length {n}",
            probe="length",
            at=float(n),
        )


@operation(F.glu, family="activation", module=nn.GLU, variants=[{"dim": 0}, {"dim": 1}], samples=_for_glu)
def glu(m: Context, input: Array, *, dim: int = -1) -> Array:
    half = input.shape[dim] // 2
    before = [slice(None)] * (dim % input.ndim)
    return input[(*before, slice(None, half))] * m.sigmoid(input[(*before, slice(half, None))])


def _gated(values: Any, gate: float) -> Any:
    return np.concatenate([values, np.full(len(values), gate)])


def _along_gates(sample: Sample, dim: int) -> Callable[[float], Sample]:
    """The same values with other gates."""
    row = sample.inputs["input"].reshape(-1)
    values = row[: len(row) // 2]
    return lambda gate: replace(sample, inputs={"input": place(_gated(values, gate), dim)}, at=gate)


def _for_prelu(params: Params, fmt: Format, *, budget: str, seed: int) -> Iterator[Sample]:
    """One slope for all entries and one per channel; entries of both signs, at 0, and at the ends of the
    format."""
    tiny, top = fmt.smallest_subnormal, fmt.max
    ordinary = np.array([0.5, -1.25, 2.0, -0.125, -0.75, 1.5, -2.5, 0.875])
    ends = np.array([tiny, -tiny, top, -top, fmt.smallest_normal, -fmt.smallest_normal, 1.0, -1.0])
    for slope in (0.25, 0.0, 1.0, -0.5, 0.1, 2.5, tiny, fmt.smallest_normal, top, 1.0 / top):
        weight = round_to([slope], fmt)
        for values, what in ((ordinary, "ordinary entries"), (ends, "the ends of the format")):
            yield _prelu(values[np.newaxis], weight, what, "weight", float(weight[0]))
    yield _prelu(np.zeros((2, 3)), np.array([0.25]), "zeros", "level", 0.0)
    yield _prelu(
        np.array([[0.0, 1.0, -0.0, -1.0]]),
        np.array([0.25, -2.0, 0.5, 3.0]),
        "zeros among others",
        "level",
        0.0,
    )
    for special in (inf, -inf, np.nan):
        yield _prelu(np.array([[special, 1.0]]), np.array([0.25]), f"an entry of {special}", "entry", special)
    images = np.resize(ordinary, (2, 3, 4))
    yield _prelu(images, np.array([0.25, -0.5, 1.5]), "a slope per channel", "channels", 3.0)
    yield _prelu(np.resize(ordinary[:-1], (3, 70)), np.array([0.1]), "a long batch", "batch", 210.0)
    cancelling = np.resize([-top / 16, -1.0, -top / 16, -3.0], 64)[np.newaxis]
    yield _prelu(cancelling, np.array([0.25]), "entries whose gradients cancel in the slope's", "batch", 64.0)
    yield _prelu(np.array(-1.5), np.array(0.25), "single numbers", "batch", 1.0)


def _prelu(values: Any, weight: Any, label: str, probe: str, at: float) -> Sample:
    return Sample(inputs={"input": np.array(values), "weight": weight}, label=label, probe=probe, at=at)


@operation(
    F.prelu,
    family="activation",
    inputs=("input", "weight"),
    twins=(torch.prelu,),
    covers=("torch.nn.PReLU",),
    samples=_for_prelu,
)
def prelu(m: Context, input: Array, weight: Array) -> Array:
    # Several slopes belong to the entries of axis 1.
    slope = weight if weight.size == 1 else weight.reshape(1, -1, *[1] * (input.ndim - 2))
    return m.where(input >= 0, input, slope * input)
