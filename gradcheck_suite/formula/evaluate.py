"""Evaluate a formula at many points: value and derivatives, certified by arb or computed by mpmath.

A *point* is one entry of every input array; a pointwise formula maps entries to entries, so each point may be
raised to the precision that it needs on its own.  Inputs are exact: ints, binary64 floats, or dyadic pairs
(man, exp).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from gradcheck_suite.floats import Exact, Format
from gradcheck_suite.formula.arithmetic import precisions, spans, to_balls, uncertified
from gradcheck_suite.formula.balls import arb
from gradcheck_suite.formula.context import Context
from gradcheck_suite.formula.dual import Dual, NoSecondDerivative, dual_over
from gradcheck_suite.formula.fields import ARB, MPMATH, Field
from gradcheck_suite.formula.tape import Array, Objects, Variable, elementwise, gradient, objects

Formula = Callable[..., Any]
Bools = npt.NDArray[np.bool_]

PRECISION_CAP = 4096
"""Bits at which a comparison that is still undecided counts as a tie, and a value as inconclusive."""

_SPARE = 24
_PER_BINADE, _STEP = 2, 128
# Bits beyond the format's own precision: an error in ULP is then certain to 2^-23, far below any threshold.
_PART = np.frompyfunc(lambda a: a.v, 1, 1)
_TANGENT = np.frompyfunc(lambda a: a.d, 1, 1)


def start_precision(fmt: Format) -> int:
    """64 bits decide formulas free of cancellation up to float32, 96 those in float64 (measured retry rate:
    none).
    """
    return 64 if fmt.precision <= 24 else 96


class Masks(NamedTuple):
    """Of every point: whether a comparison was an equality or undecided, so that the derivative may be a set; whether
    a documented clamp holds; whether any comparison was undecided, between branches that join smoothly too.
    """

    tie: Bools
    clamped: Bools
    undecided: Bools


@dataclass(frozen=True, slots=True)
class Enclosures:
    """Balls for the value and each wanted derivative at every point; `settled` where they decide any verdict.

    `tie` marks the points where a comparison was an equality, so that the derivative may be a set; `clamped`
    those where a documented clamp holds.
    """

    columns: dict[str, Objects]
    settled: dict[str, Bools]
    tie: Bools
    clamped: Bools


def derivatives(
    formula: Formula,
    field: Any,
    inputs: Mapping[str, Objects],
    wrt: Sequence[str],
    order: int,
    *,
    straight: bool = False,
) -> tuple[dict[str, Objects], Masks]:
    """Value and derivatives of a pointwise formula in one arithmetic, at its present precision; `inputs` hold its
    scalars.

    Returns columns "value", and per input name in `wrt` "d:name" (order >= 1) and "dd:name" (order 2: the
    derivative of d:name along that same input), each with the inputs' shape; and its masks.  Derivatives
    pass through documented clamps where `straight` is true.
    """
    if field is ARB and uncertified():
        return _by_mpmath(formula, inputs, wrt, order, straight)
    if order >= 2 and wrt:
        return _with_second(formula, field, inputs, wrt, straight)
    columns, m = _pass(formula, field, inputs, wrt if order else (), straight)
    return columns, _masks(m, next(iter(inputs.values())).shape)


def _pass(
    formula: Formula, field: Any, inputs: Mapping[str, Objects], wrt: Sequence[str], straight: bool
) -> tuple[dict[str, Objects], Context]:
    """The value and the derivatives by the inputs in `wrt`, scalars of a field, and the context with its masks."""
    m = Context(field, straight=straight)
    variables = {n: (Variable if n in wrt else Array)(field, x) for n, x in inputs.items()}
    value = formula(m, **variables)
    shape = next(iter(inputs.values())).shape
    columns = {"value": _of_shape(value.value, shape)}
    if wrt:
        one = np.full(value.shape, field.one, dtype=object)
        grads = gradient(value, one, [variables[n] for n in wrt])  # type: ignore[misc]  # those in wrt are Variables
        columns |= {f"d:{n}": _of_shape(g, shape) for n, g in zip(wrt, grads, strict=True)}
    return columns, m


def _with_second(
    formula: Formula, field: Any, inputs: Mapping[str, Objects], wrt: Sequence[str], straight: bool
) -> tuple[dict[str, Objects], Masks]:
    """By dual numbers, one input moving at a time; what does not move in the first pass are all other columns."""
    dual = dual_over(field)
    columns: dict[str, Objects] = {}
    masks = None
    for moving in wrt:
        seeds = {n: _seeded(x, field.one if n == moving else field.zero) for n, x in inputs.items()}
        found, m = _pass(formula, dual, seeds, wrt if masks is None else (moving,), straight)
        if masks is None:
            masks = _masks(m, next(iter(inputs.values())).shape)
            columns |= {n: _PART(column) for n, column in found.items()}
        columns[f"dd:{moving}"] = _TANGENT(found[f"d:{moving}"])
    assert masks is not None
    return columns, masks


def _seeded(x: Objects, direction: Any) -> Objects:
    return elementwise(lambda v: Dual(v, direction), x)


def sloped(
    formula: Formula, field: Any, inputs: Mapping[str, Objects], column: str
) -> tuple[dict[str, Objects], Masks]:
    """The derivatives of the column "value" or "d:name" by every input, none where one is not known, and the masks.

    Over balls that hold a set of inputs, they bound how far the column moves in it where no mask is set: by the
    mean value theorem.
    """
    every, name = tuple(inputs), column.partition(":")[2]
    over = dual_over(field) if name else field
    if name:
        inputs = {n: _seeded(x, field.one if n == name else field.zero) for n, x in inputs.items()}
    try:
        columns, m = _pass(formula, over, inputs, every, straight=False)
    except NoSecondDerivative:
        columns, m = {}, Context(over)
    masks = _masks(m, inputs[every[0]].shape)
    if m.stopped or not columns:
        return {}, masks
    # What moves the derivative by this input along another is what moves that by the other along this.
    return {n: _TANGENT(columns[f"d:{n}"]) if name else columns[f"d:{n}"] for n in every}, masks


def _by_mpmath(
    formula: Formula, inputs: Mapping[str, Objects], wrt: Sequence[str], order: int, straight: bool
) -> tuple[dict[str, Objects], Masks]:
    """The same by mpmath, as balls of radius 0; points that need equally many bits go together."""
    size = len(next(iter(inputs.values())))
    columns: dict[str, Objects] = {}
    tie, clamped = np.zeros(size, dtype=bool), np.zeros(size, dtype=bool)
    needed = precisions(inputs)
    for bits in np.unique(needed):
        where = np.flatnonzero(needed == bits)
        with MPMATH.precision(int(bits)):
            part = {n: elementwise(MPMATH.number, x[where]) for n, x in inputs.items()}
            found, masks = derivatives(formula, MPMATH, part, wrt, order, straight=straight)
        for name, column in found.items():
            columns.setdefault(name, np.full(size, ARB.nan, dtype=object))[where] = to_balls(column)
        tie[where], clamped[where] = masks.tie, masks.clamped
    return columns, Masks(tie, clamped, np.zeros(size, dtype=bool))


def _masks(m: Context, shape: tuple[int, ...]) -> Masks:
    return Masks(*(_mask(found, shape) for found in (m.ties, m.clamped, m.undecided)))


def _mask(masks: Sequence[Any], shape: tuple[int, ...]) -> Bools:
    tie = np.zeros(shape, dtype=bool)
    for mask in masks:
        # Where numbers of a point are as many as the points, either axis may be theirs.
        for part in (*by_point(mask, shape[0]), *by_point(np.transpose(mask), shape[0])):
            tie |= part
    return tie


def by_point(mask: Any, count: int) -> list[Bools]:
    """What a comparison tells of every point: a mask for each of the numbers that a formula makes of one point, which
    lie along axes before that of the points, or behind it.
    """
    given = np.asarray(mask, dtype=bool)
    if given.ndim <= 1:
        return [np.broadcast_to(given, count)]
    theirs = [axis for axis, size in enumerate(given.shape) if size == count]
    if not theirs:
        return [np.full(count, given.any())]
    return list(np.moveaxis(given, theirs[-1], -1).reshape(-1, count))


def _of_shape(column: Objects, shape: tuple[int, ...]) -> Objects:
    return column if column.shape == shape else np.broadcast_to(column, shape)


def enclose(
    formula: Formula,
    inputs: Mapping[str, Objects],
    fmt: Format,
    *,
    wrt: Sequence[str] = (),
    order: int = 0,
    straight: bool = False,
    patience: int | None = None,
) -> Enclosures:
    """Certified balls at every point, each raised in precision until `fmt` cannot notice its radius.

    `inputs` maps names to 1-D object arrays of exact numbers; the shape of the result is theirs.  What is no
    number at `patience` bits is given up as outside of the domain, where that is given.
    """
    names = list(inputs)
    size = len(inputs[names[0]])
    exact = {n: elementwise(ARB.number, x) for n, x in inputs.items()}
    tie, clamped = np.zeros(size, dtype=bool), np.zeros(size, dtype=bool)
    columns: dict[str, Objects] = {}
    settled: dict[str, Bools] = {}
    done = settle_rule(fmt)
    waiting = {start_precision(fmt): np.arange(size)}
    while waiting:
        bits = min(waiting)
        where = waiting.pop(bits)
        part = {n: x[where] for n, x in exact.items()}
        with ARB.precision(bits):
            found, masks = derivatives(formula, ARB, part, wrt, order, straight=straight)
            good = np.ones(len(where), dtype=bool)
            for name, column in found.items():
                sure = np.asarray(np.frompyfunc(done, 1, 1)(column), dtype=bool)
                good &= sure
                columns.setdefault(name, np.full(size, ARB.nan, dtype=object))[where] = column
                settled.setdefault(name, np.zeros(size, dtype=bool))[where] = sure
        tie[where], clamped[where] = masks.tie, masks.clamped
        if bits >= PRECISION_CAP:
            break
        if patience is not None and bits >= patience:
            good |= np.logical_or.reduce([_no_number(column) for column in found.values()])
        rest = np.flatnonzero(~good)
        for further, those in _raised(bits, fmt, {n: x[rest] for n, x in part.items()}) if len(rest) else ():
            waiting[further] = np.concatenate([waiting.get(further, rest[:0]), where[rest[those]]])
    return Enclosures(columns, settled, tie, clamped)


def _raised(
    bits: int, fmt: Format, inputs: Mapping[str, Objects]
) -> Iterator[tuple[int, npt.NDArray[np.int64]]]:
    """Further precisions for points that some bits did not settle, with the indices of those that need them.

    Where a formula cancels, it mostly loses one or two bits for each binade that an input is away from 1.
    """
    first = bits == start_precision(fmt)
    wanted = np.full(len(next(iter(inputs.values()))), bits * (2 if first else 4))
    if first:
        wanted = np.maximum(wanted, bits + _PER_BINADE * spans(inputs))
    steps = np.minimum(-(-wanted // _STEP) * _STEP, PRECISION_CAP)
    for further in np.unique(steps):
        yield int(further), np.flatnonzero(steps == further)


def _no_number(column: Objects) -> Bools:
    return np.array([ball.is_nan() for ball in column], dtype=bool)


def settle_rule(fmt: Format) -> Callable[[arb], bool]:
    """Whether a ball is so small that no verdict in `fmt` depends on where in it the exact value lies."""
    relative = fmt.precision + _SPARE
    # A cotangent may enlarge a derivative by up to 2^(emax+1) afterwards.
    tiny = arb((1, fmt.ulp_exponent_min - _SPARE - fmt.emax - 1))
    huge = arb((1, fmt.emax + 3))

    def settled(ball: arb) -> bool:
        if ball.rel_accuracy_bits() >= relative:
            return True
        if not ball.is_finite():
            # Infinity plus an inexact number is infinite; a ball around 0 of infinite radius is not.
            return not ball.is_nan() and bool(ball.abs_lower() > huge)
        return bool(ball.rad() < tiny) or bool(ball.abs_lower() > huge)

    return settled


def to_exact(column: Objects, fmt: Format, settled: Bools) -> Exact:
    """The midpoints of settled balls, with radii, as arrays; where a ball is not settled, undefined (NaN)."""
    if fmt.precision <= 24:
        # binary64 is close enough to the midpoint, and its range covers the narrower formats with room to
        # spare.
        values = np.asarray(np.frompyfunc(float, 1, 1)(column), dtype=np.float64)
        values[~settled] = np.nan
        # What is 0 here is 0 or far below the format; a radius relative to nothing would hide any error.
        return Exact.from_float64(values, rad=np.where(values == 0, 0.0, 2.0**-45))
    finite = settled & np.frompyfunc(lambda b: bool(b.is_finite()), 1, 1)(column).astype(bool)
    pairs = [ball.mid().man_exp() if ok else (0, 0) for ball, ok in zip(column, finite, strict=True)]
    exact = Exact.from_man_exp(pairs, rad=[2.0**-74 if man else 0.0 for man, _ in pairs])
    rest = np.flatnonzero(~finite)
    if not len(rest):
        return exact
    special = [float(b) if ok else np.nan for b, ok in zip(column[rest], settled[rest], strict=True)]
    return exact.put(rest, Exact.from_float64(np.array(special)))


def reference_mpmath(
    formula: Formula,
    inputs: Mapping[str, Any],
    *,
    wrt: Sequence[str],
    order: int,
    bits: int,
    straight: bool = False,
) -> dict[str, Any]:
    """The same columns at one point, by mpmath at `bits` bits; uncertified by itself."""
    with MPMATH.precision(bits), MPMATH.far_exponentials():
        points = {n: objects(MPMATH.number(x)).reshape(1) for n, x in inputs.items()}
        columns, _ = derivatives(formula, MPMATH, points, wrt, order, straight=straight)
        return {name: column[0] for name, column in columns.items()}


def confirmation_bits(inputs: Sequence[Any]) -> int:
    """400 bits plus four per binade of the inputs: x - tanh x at 2^-q cancels 2q bits of the intermediate
    results.
    """
    spans = [0]
    for x in inputs:
        man, exp = x if isinstance(x, tuple) else arb(x).mid().man_exp() if np.isfinite(x) else (0, 0)
        if man:
            spans.append(abs(int(exp) + int(man).bit_length()))
    return 400 + 4 * max(spans)


__all__ = [
    "PRECISION_CAP",
    "Array",
    "Enclosures",
    "Field",
    "Formula",
    "by_point",
    "confirmation_bits",
    "derivatives",
    "enclose",
    "reference_mpmath",
    "settle_rule",
    "sloped",
    "start_precision",
    "to_exact",
]
