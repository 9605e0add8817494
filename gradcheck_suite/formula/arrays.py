"""Exact values and gradients of a formula at whole arrays, for ops whose entries depend on each other.

A *problem* is one call: its inputs are differentiated, its reals (parameters, weights, targets) are exact
constants.  All outputs are flattened into one column "value"; "d:name" is the gradient of <cotangent, value>
with respect to an input, and "dd:name" the derivative of that gradient when all inputs move along a direction
(a Hessian-vector product).

Infinite inputs stand for their limits and NaN inputs for any number, as in `points`, over every entry of the
problem.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from gradcheck_suite.floats import Exact, Format, round_exact
from gradcheck_suite.formula.arithmetic import precision_of_all, to_balls, uncertified
from gradcheck_suite.formula.context import Context
from gradcheck_suite.formula.dual import Dual, dual_over
from gradcheck_suite.formula.evaluate import PRECISION_CAP, settle_rule, start_precision, to_exact
from gradcheck_suite.formula.fields import ARB, MPMATH
from gradcheck_suite.formula.tape import Array, Objects, Variable, elementwise, gradient, numbers

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Pattern = Callable[[int], Any]
"""A cotangent or a direction: the exact numbers for a flat array of the given size."""

_INFINITIES = (2000, 5000)
# A hair beside 0: times any of the infinities it is infinite, by itself it is 0 in every format.
_HAIR = (1, -1900)
_NAN_STAND_INS = (-700.25, -1.5, 0.375, 2.5, 650.75)
# A ball that is still NaN here comes from a pole or a domain, not from lack of precision.
_POLE_PRECISION = 1024
_PART = np.frompyfunc(lambda a: a.v, 1, 1)
_TANGENT = np.frompyfunc(lambda a: a.d, 1, 1)
_AROUND_ZERO = np.frompyfunc(lambda ball: ball.contains(0), 1, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One call of `formula(m, *inputs, **reals, **fixed)`.

    Arrays of inputs and reals hold exact numbers: float64, or objects (ints, floats, dyadic pairs (man,
    exp)). `straight` asks for the derivative that does not see documented clamps; `missing` says that NaN
    stands for a missing number, see `Context`.
    """

    formula: Callable[..., Any]
    inputs: Mapping[str, Any]
    reals: Mapping[str, Any]
    fixed: Mapping[str, Any]
    straight: bool = False
    missing: bool = False

    @property
    def size(self) -> int:
        """Entries of all inputs together."""
        return sum(as_array(x).size for x in self.inputs.values())

    @property
    def has_nan(self) -> bool:
        """Whether a number of the call is NaN."""
        return bool(_count(self, np.isnan))

    @property
    def finite(self) -> bool:
        """Whether no number of the call is infinite or NaN."""
        numbers = (*self.inputs.values(), *self.reals.values())
        return all(
            bool(np.isfinite(x).all())
            if isinstance(x, np.ndarray) and x.dtype == np.float64
            else not _which(x, lambda v: ~np.isfinite(v)).any()
            for x in numbers
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which columns: order 0 is the value, 1 adds gradients for `cotangent`, 2 their derivatives along
    `direction`; `directions` has those of inputs that move along one of their own."""

    order: int
    cotangent: Pattern
    direction: Pattern
    directions: Mapping[str, Pattern] = dataclasses.field(default_factory=dict)

    def direction_of(self, name: str) -> Pattern:
        """The direction along which an input moves."""
        return self.directions.get(name, self.direction)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """Exact flat columns of one problem, and per column the entries that are undefined or were left
    undecided.

    `nan_expected` marks entries of the value that must be NaN; `tie` says that some comparison was an
    equality or some documented clamp holds, so that the gradient may be a set.
    """

    columns: dict[str, Exact]
    undefined: dict[str, Bools]
    open: dict[str, Bools]
    nan_expected: Bools
    tie: bool

    def times_power(self, exponent: int) -> Reference:
        """The reference under a cotangent 2^exponent times as large."""
        columns = {
            n: c if n == "value" else Exact(hi=c.hi, lo=c.lo, exp=c.exp + exponent, rad=c.rad)
            for n, c in self.columns.items()
        }
        return replace(self, columns=columns)

    def without_overflow(self, fmt: Format) -> Reference:
        """The reference with no gradient judged where one of them leaves the format: a loss scale that is too
        large, whose step is dropped."""
        large = any(np.isinf(round_exact(c, fmt)).any() for n, c in self.columns.items() if n != "value")
        if not large:
            return self
        undefined = {n: u if n == "value" else np.ones_like(u) for n, u in self.undefined.items()}
        return replace(self, undefined=undefined)


def evaluate(problem: Problem, field: Any, wanted: Wanted) -> tuple[dict[str, Objects], Context]:
    """Flat columns in one arithmetic at its present precision, and the context with its ties."""
    # Rough binary64 values choose shifts and signs; that they overflow is of no consequence.
    with np.errstate(all="ignore"):
        if field is ARB and uncertified():
            with MPMATH.precision(precision_of_all(problem.inputs.values())):
                columns, m = _evaluate(problem, MPMATH, wanted)
            return {n: to_balls(c) for n, c in columns.items()}, m
        return _evaluate(problem, field, wanted)


def _evaluate(problem: Problem, field: Any, wanted: Wanted) -> tuple[dict[str, Objects], Context]:
    if wanted.order >= 2:
        return _with_second(problem, field, wanted)
    m = Context(field, straight=problem.straight, missing=problem.missing)
    variables = {n: m.variable(as_array(x)) for n, x in problem.inputs.items()}
    value = outputs(problem, m, variables)
    columns = {"value": value.value}
    if wanted.order >= 1:
        cotangent = exact_numbers(field, wanted.cotangent(value.size))
        grads = gradient(value, cotangent, list(variables.values()))
        columns |= {f"d:{n}": g.reshape(-1) for n, g in zip(variables, grads, strict=True)}
    return columns, m


def outputs(problem: Problem, m: Context, variables: Mapping[str, Variable]) -> Array:
    """All outputs as one flat array."""
    reals = {n: m.const(x if isinstance(x, Array) else as_array(x)) for n, x in problem.reals.items()}
    found = problem.formula(m, *variables.values(), **reals, **problem.fixed)
    parts = [m.const(part).reshape(-1) for part in (found if isinstance(found, tuple) else (found,))]
    return parts[0] if len(parts) == 1 else m.concat(parts)


def as_array(value: Any) -> Any:
    """Reals are arrays, or single numbers (a float, or a dyadic pair)."""
    if isinstance(value, np.ndarray):
        return value
    out = np.empty((), dtype=object)
    out[()] = value
    return out


def exact_numbers(field: Any, values: Any) -> Objects:
    """Numbers of a call as scalars of a field."""
    return numbers(field, as_array(values))


def _with_second(problem: Problem, field: Any, wanted: Wanted) -> tuple[dict[str, Objects], Context]:
    """One evaluation over dual numbers gives all columns: value and gradients are the parts without the
    direction."""
    dual = dual_over(field)
    m = Context(dual, straight=problem.straight)
    variables = {}
    for n, x in problem.inputs.items():
        v = exact_numbers(field, x)
        d = exact_numbers(field, wanted.direction_of(n)(v.size)).reshape(v.shape)
        variables[n] = Variable(dual, elementwise(Dual, v, d))
    value = outputs(problem, m, variables)
    grads = gradient(value, exact_numbers(dual, wanted.cotangent(value.size)), list(variables.values()))
    columns = {"value": _PART(value.value)}
    columns |= {f"d:{n}": _PART(g.reshape(-1)) for n, g in zip(variables, grads, strict=True)}
    columns |= {f"dd:{n}": _TANGENT(g.reshape(-1)) for n, g in zip(variables, grads, strict=True)}
    return columns, m


@dataclass(frozen=True, slots=True)
class _Enclosed:
    balls: dict[str, Objects]
    settled: dict[str, Bools]
    tie: bool

    def exact(self, fmt: Format) -> dict[str, Exact]:
        """Midpoints; a settled ball around 0 is too small to differ from 0 in the format, under any
        cotangent."""
        return {name: self.column(name, fmt) for name in self.balls}

    def column(self, name: str, fmt: Format) -> Exact:
        """One of them."""
        column, settled = self.balls[name], self.settled[name]
        exact = to_exact(column, fmt, settled)
        zero = settled & _AROUND_ZERO(column).astype(bool)
        return exact.put(zero, Exact.from_float64(np.zeros(int(zero.sum())))) if zero.any() else exact


def enclose(problem: Problem, fmt: Format, wanted: Wanted) -> _Enclosed:
    """Balls of every column, the whole problem raised in precision until `fmt` cannot notice any radius."""
    done = np.frompyfunc(settle_rule(fmt), 1, 1)
    bits = start_precision(fmt)
    while True:
        with ARB.precision(bits):
            balls, m = evaluate(problem, ARB, wanted)
            settled = {n: np.asarray(done(column), dtype=bool) for n, column in balls.items()}
        if not m.undecided and all(s.all() for s in settled.values()):
            return _Enclosed(balls, settled, bool(m.ties or m.clamped))
        unsettled = [c[~settled[n]] for n, c in balls.items()]
        poles = all(not ball.is_finite() for part in unsettled for ball in part)
        finished = not m.undecided and all(not len(part) for part in unsettled)
        if finished or bits >= (_POLE_PRECISION if poles and not m.undecided else PRECISION_CAP):
            return _Enclosed(balls, settled, bool(m.ties or m.clamped))
        around_zero = any(ball.contains(0) for part in unsettled for ball in part if ball.is_finite())
        # What is still around 0 at twice the precision is likely to be 0, which only the last digit of the
        # format shows.
        jump = around_zero and bits > start_precision(fmt)
        bits = max(2 * bits, min(_zero_precision(fmt), PRECISION_CAP)) if jump else 2 * bits


def _zero_precision(fmt: Format) -> int:
    """Bits at which a ball of numbers near 1 that contains 0 is settled, see `settle_rule`."""
    return fmt.emax - fmt.ulp_exponent_min + 192


def reference(problem: Problem, fmt: Format, wanted: Wanted, *, literal: bool = False) -> Reference:
    """Exact columns of a problem whose inputs may be infinite or NaN.

    With `literal` a limit at infinite inputs counts only where the formula as it is written reaches it too, in
    extended reals: exp(-inf) = 0 does, and inf - inf does not.
    """
    if problem.has_nan:
        return _with_nan(problem, fmt, wanted)
    if not problem.finite:
        return _at_infinity(problem, fmt, wanted, literal=literal)
    found = enclose(problem, fmt, wanted)
    undefined = {n: _endless(found.balls[n], s) for n, s in found.settled.items()}
    if undefined["value"].all():
        # A mean over no entries is 0/0, and so is its gradient, even if it never looks at its inputs.
        undefined = {n: np.ones(len(u), dtype=bool) for n, u in undefined.items()}
    return Reference(
        columns=found.exact(fmt),
        undefined=undefined,
        open={n: ~s & ~undefined[n] for n, s in found.settled.items()},
        nan_expected=np.zeros(len(found.settled["value"]), dtype=bool),
        tie=found.tie,
    )


def _endless(balls: Objects, settled: Bools) -> Bools:
    """Which entries no precision gives a finite ball."""
    out = np.zeros(len(balls), dtype=bool)
    rest = np.flatnonzero(~settled)
    out[rest] = [not ball.is_finite() for ball in balls[rest]]
    return out


def _with_nan(problem: Problem, fmt: Format, wanted: Wanted) -> Reference:
    """Nothing is judged but that the NaN shows wherever the value depends on it."""
    values = []
    forward = replace(wanted, order=0)
    for k in range(len(_NAN_STAND_INS)):
        # Several NaNs stand for several numbers.
        numbers = itertools.cycle((*_NAN_STAND_INS[k:], *_NAN_STAND_INS[:k]))
        moved = _replaced(problem, np.isnan, _taking(numbers))
        moved = _replaced(moved, np.isinf, lambda x: (1 if x > 0 else -1, _INFINITIES[0]))
        values.append(round_exact(enclose(moved, fmt, forward).exact(fmt)["value"], fmt))
    with np.errstate(invalid="ignore"):
        changes = np.logical_or.reduce([(v != values[0]) & ~np.isnan(v) for v in values])
    changes &= ~_documented_number(problem, fmt, forward)
    sizes = {"value": len(values[0])}
    if wanted.order >= 1:
        sizes |= {f"d:{n}": as_array(x).size for n, x in problem.inputs.items()}
    if wanted.order >= 2:
        sizes |= {f"dd:{n}": as_array(x).size for n, x in problem.inputs.items()}
    return Reference(
        columns={n: Exact.from_float64(np.full(size, np.nan)) for n, size in sizes.items()},
        undefined={n: np.ones(size, dtype=bool) for n, size in sizes.items()},
        open={n: np.zeros(size, dtype=bool) for n, size in sizes.items()},
        nan_expected=changes,
        tie=False,
    )


def _documented_number(problem: Problem, fmt: Format, forward: Wanted) -> Bools:
    """The entries that are numbers by what the definition says about NaN: sorted, it stands behind all numbers."""
    finite = _replaced(problem, np.isinf, lambda x: (1 if x > 0 else -1, _INFINITIES[0]))
    with ARB.precision(4 * start_precision(fmt)):
        columns, m = evaluate(replace(finite, missing=True), ARB, forward)
    numbers = ~np.asarray(elementwise(ARB.is_nan, columns["value"]), dtype=bool)
    return numbers & m.placed


def _taking(numbers: Iterator[float]) -> Callable[[float], float]:
    return lambda _: next(numbers)


def _at_infinity(problem: Problem, fmt: Format, wanted: Wanted, *, literal: bool) -> Reference:
    """Where all stand-ins round to one element of the format, that is exact; elsewhere the result is
    undefined."""
    rounded: dict[str, Floats] = {}
    agreed: dict[str, Bools] = {}
    tie = False
    for exponents in _orders(_count(problem, np.isinf)):
        found = enclose(at_stand_ins(problem, exponents), fmt, wanted)
        tie |= found.tie
        _agree(rounded, agreed, _rounded(found.exact(fmt), fmt))
    if literal:
        with ARB.precision(4 * start_precision(fmt)):
            balls, _ = evaluate(problem, ARB, wanted)
            columns = {n: to_exact(c, fmt, np.ones(len(c), dtype=bool)) for n, c in balls.items()}
        _agree(rounded, agreed, _rounded(columns, fmt))
    if _count(problem, _is_zero):
        # A limit that hangs on another entry being exactly 0 is none: 0*inf. Parameters that are 0 are options
        # not taken.
        beside = at_stand_ins(_replaced(problem, _is_zero, lambda _: _HAIR))
        _agree(rounded, agreed, _rounded(enclose(beside, fmt, wanted).exact(fmt), fmt))
    unreached = _silent(wanted, ~np.isfinite(rounded["value"]) | ~agreed["value"])
    if wanted.order and unreached is not None:
        _agree(rounded, agreed, _rounded(enclose(at_stand_ins(problem), fmt, unreached).exact(fmt), fmt))
    # Limits of sets of gradients are not judged, nor gradients of a result that has no limit itself: where a
    # cotangent happens to be 0, or to sum to 0, the stand-ins agree about them all the same.
    vague = tie or not agreed["value"].all()
    return Reference(
        columns={n: Exact.from_float64(np.where(agreed[n], r, np.nan)) for n, r in rounded.items()},
        undefined={n: ~a | (vague and n != "value") for n, a in agreed.items()},
        open={n: np.zeros(len(a), dtype=bool) for n, a in agreed.items()},
        nan_expected=np.zeros(len(rounded["value"]), dtype=bool),
        tie=False,
    )


def _rounded(columns: Mapping[str, Exact], fmt: Format) -> dict[str, Floats]:
    return {n: round_exact(column, fmt) for n, column in columns.items()}


def _agree(first: dict[str, Floats], agreed: dict[str, Bools], found: Mapping[str, Floats]) -> None:
    """Note, in place, where another evaluation gives other numbers than the first one."""
    for n, value in found.items():
        same = value == first.setdefault(n, value)
        agreed[n] = agreed.get(n, True) & same


def _silent(wanted: Wanted, singular: Bools) -> Wanted | None:
    """The cotangent with 1 for 0 at outputs that are infinite or undefined; None where it has no such entry.

    0 times what such an output contributes is no number: a gradient that changes with it is undefined.
    """
    seeds = np.asarray(wanted.cotangent(len(singular)), dtype=np.float64)
    silent = singular & (seeds == 0)
    if not silent.any():
        return None
    return replace(wanted, cotangent=lambda size: np.where(silent, 1.0, seeds))


def at_stand_ins(problem: Problem, exponents: Sequence[int] = ()) -> Problem:
    """The problem with +-2^exponent in the place of each infinity in turn (2^2000 where no exponents are
    given)."""
    if problem.finite:
        return problem
    sequence = iter(exponents or [_INFINITIES[0]] * _count(problem, np.isinf))
    return _replaced(problem, np.isinf, lambda x: (1 if x > 0 else -1, next(sequence)))


def _orders(count: int) -> Iterator[list[int]]:
    """Exponents for each infinity: all alike at both sizes, then such that every two differ in some order."""
    low, high = _INFINITIES
    yield [low] * count
    yield [high] * count
    for bit in range((count - 1).bit_length()):
        yield [high if i >> bit & 1 else low for i in range(count)]
        yield [low if i >> bit & 1 else high for i in range(count)]


def _is_zero(x: Any) -> Any:
    """Which entries of an array are 0; a single number is a parameter."""
    return x == 0 if np.ndim(x) else False


def _count(problem: Problem, special: Callable[[Any], Any]) -> int:
    return sum(int(_which(x, special).sum()) for x in (*problem.inputs.values(), *problem.reals.values()))


def _which(value: Any, special: Callable[[Any], Any]) -> Bools:
    """The entries that are special floats; ints and dyadic pairs are not."""
    array = as_array(value)
    if array.dtype != object:
        return np.asarray(special(array), dtype=bool)
    test = np.frompyfunc(lambda x: isinstance(x, float) and bool(special(x)), 1, 1)
    return np.asarray(test(array), dtype=bool)


def _replaced(problem: Problem, special: Callable[[Any], Any], stand_in: Callable[[float], Any]) -> Problem:
    def moved(value: Any) -> Any:
        where = _which(value, special)
        if not where.any():
            return value
        out = as_array(value).astype(object)
        for index in np.argwhere(where):
            out[tuple(index)] = stand_in(out[tuple(index)])
        return out

    return replace(
        problem,
        inputs={n: moved(x) for n, x in problem.inputs.items()},
        reals={n: moved(x) for n, x in problem.reals.items()},
    )


def reference_mpmath(problem: Problem, wanted: Wanted, bits: int) -> dict[str, Objects]:
    """The same flat columns by mpmath at `bits` bits, infinities by their smaller stand-in; uncertified by
    itself."""
    with MPMATH.precision(bits), MPMATH.far_exponentials():
        columns, _ = evaluate(at_stand_ins(problem), MPMATH, wanted)
    return columns
