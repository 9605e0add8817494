"""Judging gradients at ties: is the computed gradient one element of the subdifferential, all inputs jointly?

The Clarke subdifferential (Clarke 1983, "Optimization and Nonsmooth Analysis", theorem 2.5.1) is the convex
hull of the limits of gradients at points nearby.  It is sampled as just that: exact gradients at x + 2^-1274
d for fixed directions d, then for the directions in which the computed gradient still lies outside, since the
gradient of a convex function at x + t d is the element of the set that is extreme in the direction d.
Coordinate intervals would not do: a gradient whose entries are each possible may still belong to no single
convex combination.  At a documented clamp the clamped and the unclamped gradients span the set.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from gradcheck_suite.engine.nearest import Fit, chebyshev
from gradcheck_suite.engine.rowconditioning import COTANGENT, DIRECTION, Signs, move
from gradcheck_suite.floats import Exact, Format
from gradcheck_suite.formula.arrays import Problem, Wanted, evaluate
from gradcheck_suite.formula.balls import arb
from gradcheck_suite.formula.fields import ARB
from gradcheck_suite.formula.tape import Objects

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

_STEP_BITS = (200, 260)
# The scale of a step: below every float64, so that no kink at a tiny parameter is jumped over, and what a
# step adds to a limit of 0 is smaller than every float.
_SCALE = -1074
_STEP_SLOPE = 60
_SPARE_BITS = 512
_RANDOM = 2
_MOST_AXES = 24
_MOST_QUERIES = 40
_MOST_OF_LARGE = 4
_LARGE = 128
"""Entries of a sample from which on fewer points nearby are asked for."""

_PLACES = 6
_NOISE = 2.0**-12
_SAME = 2.0**-40
_CONDITIONED, _MOST_CONDITIONED = 8, 48


@dataclass(frozen=True, slots=True, kw_only=True)
class TieVerdict:
    """What the hull says of one sample, per column of gradients.

    `nearest` is the element of the set nearest to the computed gradient (the computed one itself where it
    belongs), `member` marks the entries that vary over the set, `undefined` those where nothing is judged,
    `open` those left undecided.  `weights` and `steps` give the element as a combination of gradients at x +
    step.
    """

    nearest: dict[str, Exact]
    member: dict[str, Bools]
    undefined: dict[str, Bools]
    open: dict[str, Bools]
    ill_conditioned: bool = False
    weights: tuple[float, ...] = ()
    steps: tuple[Problem, ...] = ()


@dataclass
class _Hull:
    """Exact gradients near a tie: one row of `vertices` a point, all inputs side by side."""

    problem: Problem
    wanted: Wanted
    columns: tuple[str, ...]
    bits: int = _STEP_BITS[0]
    vertices: list[Objects] = field(default_factory=list)
    points: list[Problem] = field(default_factory=list)
    firsts: list[Objects] = field(default_factory=list)
    directions: list[Floats] = field(default_factory=list)
    bends: Any = 0.0
    axes: bool = False
    signs: Floats | None = None

    def __post_init__(self) -> None:
        self.sizes = [np.size(x) for x in self.problem.inputs.values()]
        numbers = np.concatenate(
            [np.abs(np.asarray(x, dtype=float)).reshape(-1) for x in self.problem.inputs.values()]
        )
        self.exponent = _SCALE - self.bits
        top = int(np.frexp(max(float(numbers.max(initial=1.0)), 1.0))[1])
        self.precision = top - self.exponent + _SPARE_BITS

    def moved(self, direction: Floats) -> Problem:
        """The problem a step of the direction (all inputs flat) away."""
        inputs, start = {}, 0
        for (n, x), size in zip(self.problem.inputs.items(), self.sizes, strict=True):
            part = direction[start : start + size].reshape(np.shape(x))
            with ARB.precision(self.precision):
                step = np.frompyfunc(lambda v, d: arb(v) + arb(d) * arb((1, self.exponent)), 2, 1)
                moved = np.empty(np.shape(x), dtype=object)
                moved[...] = step(np.asarray(x, dtype=object), part.astype(object))
            inputs[n], start = moved, start + size
        return replace(self.problem, inputs=inputs)

    def add(self, direction: Floats) -> None:
        """Gradients on both sides along a direction."""
        size = np.abs(direction).max(initial=0.0)
        if not size or not np.isfinite(size):
            return
        found: list[Objects] = []
        for sign in (1.0, -1.0):
            step, before = np.clip(direction / size, -1.0, 1.0) * sign, len(self.vertices)
            point = self.moved(step)
            if self._take(point):
                self._take(replace(point, straight=True))
            self.directions += [step] * (len(self.vertices) - before)
            found += self.vertices[before : before + 1]
        if len(found) == 2:
            rise = np.array([float((a - b).mid()) for a, b in zip(*found, strict=True)])
            rise[~np.isfinite(rise)] = 0.0
            self.bends = self.bends + rise[: len(direction)] * direction / size

    @property
    def curvature(self) -> Floats:
        """Per entry of the inputs 1 where its gradient was seen to rise with it, -1 where it fell.

        The gradient of a convex function at x + t d is extreme in the direction d, that of a concave one in -d; a
        cotangent of both signs makes both of one op.
        """
        if self.signs is not None:
            return self.signs
        signs: Floats = np.where(np.broadcast_to(self.bends, (sum(self.sizes),)) < 0, -1.0, 1.0)
        return signs

    def regular(self, member: Bools) -> bool:
        """Whether each gradient seen is the one that is extreme in its direction, as those of convex functions are."""
        if len(self.directions) < len(self.vertices):
            return True
        real = [k for k, point in enumerate(self.points) if not point.straight]
        gradients = np.array([[float(b.mid()) for b in self.vertices[k][member]] for k in real])
        ways = np.array([self.directions[k] * self.curvature for k in real])[:, member[: sum(self.sizes)]]
        with np.errstate(all="ignore"):
            reached, sizes = gradients @ ways.T, np.abs(gradients) @ np.abs(ways).T
            return not (reached > np.diag(reached) + _NOISE * sizes).any()

    def bend_by_cotangent(self) -> bool:
        """Let gradients bend by the sign of the cotangents that reach them, as they do where outputs are convex; False
        where all cotangents have one sign.
        """

        def size_of(size: int) -> Any:
            return np.abs(np.asarray(self.wanted.cotangent(size), dtype=np.float64))

        signs = np.zeros(sum(self.sizes))
        for vertex, point in zip(self.vertices, self.points, strict=True):
            if signs.all():
                break
            with ARB.precision(self.precision):
                found, _ = evaluate(point, ARB, replace(self.wanted, cotangent=size_of))
            same = np.concatenate([found[c] for c in self.columns])
            signs += [float((a * b).mid()) for a, b in zip(vertex, same, strict=True)][: len(signs)]
        self.signs = np.where(signs < 0, -1.0, 1.0)
        return bool((signs < 0).any())

    def _take(self, point: Problem) -> bool:
        """Note the gradient at a point; whether a documented clamp holds there."""
        with ARB.precision(self.precision):
            found, m = evaluate(point, ARB, self.wanted)
        vertex = np.concatenate([found[c] for c in self.columns])
        # Where the function is not differentiable, or not defined, nearby, there is no gradient to take a
        # limit of.
        if all(ball.is_finite() for ball in vertex):
            self.vertices.append(vertex)
            self.points.append(point)
            if self.wanted.order >= 2:
                self.firsts.append(np.concatenate([found[c.removeprefix("d")] for c in self.columns]))
        return bool(m.clamped)

    def spanned_by_clamps(self) -> bool:
        """Whether documented clamps are all there is; if so the two gradients at the point itself are the
        vertices."""
        point = self.moved(np.zeros(sum(self.sizes)))
        with ARB.precision(self.precision):
            m = evaluate(point, ARB, replace(self.wanted, order=0))[1]
        return not m.ties and self._take(point) and self._take(replace(point, straight=True))

    def varies(self) -> Bools:
        """The entries that differ over the vertices."""
        return self._vary(self.vertices)

    def first_varies(self) -> bool:
        """Of second derivatives: whether the first is itself a set."""
        return bool(self.firsts) and bool(self._vary(self.firsts).any())

    def _vary(self, vertices: list[Objects]) -> Bools:
        first, floor = vertices[0], self.floor()
        out = np.zeros(len(first), dtype=bool)
        for vertex in vertices[1:]:
            rest = np.flatnonzero(~out)
            out[rest] = [self.differ(first[i], vertex[i], floor) for i in rest]
        return out

    def differ(self, a: arb, b: arb, floor: arb) -> bool:
        """Whether two entries have different limits, given what a step may contribute."""
        return bool(abs(a - b) > _SAME * (abs(a) + abs(b)) + floor)

    def floor(self) -> arb:
        """What a step may contribute to a gradient, as long as second derivatives are below 2^60 times it."""
        # As balls: what grows without bound as the step shrinks is soon past the largest float64.
        largest = max((abs(ball).mid() for ball in self.vertices[0]), default=arb(0))
        return arb((1, self.exponent + _STEP_SLOPE)) * (largest if largest > 1 else arb(1))


class Subdifferential:
    """The set of gradients of a problem at a tie (`columns` of one order), against which any computed
    gradient is judged.

    Second derivatives are not judged where the first is a set.  Where no finite hull exists, nothing is
    judged.
    """

    def __init__(self, problem: Problem, wanted: Wanted, columns: tuple[str, ...]) -> None:
        self.hull = hull = _Hull(problem, wanted, columns)
        clamps_alone = hull.spanned_by_clamps()
        if not clamps_alone:
            for direction in _first_directions(sum(hull.sizes)):
                hull.add(direction)
        self.exists = bool(hull.vertices) and (clamps_alone or _settles(hull)) and not hull.first_varies()

    def judge(self, computed: Mapping[str, Floats], fmt: Format, *, max_ulp: float) -> TieVerdict:
        """Whether the computed gradients (flat, one array a column) are one element of the set, all inputs
        jointly."""
        got = np.concatenate([computed[c] for c in self.hull.columns])
        if not self.exists:
            return _verdict(computed, _exact(self.hull, None, got), undefined=np.ones(len(got), dtype=bool))
        return _judged(self.hull, fmt, computed, got, max_ulp)


def _first_directions(size: int) -> Iterator[Floats]:
    rng = np.random.RandomState(size % 2**31)
    # By the order of the entries, as a stable sort or the first of equal ones breaks ties.
    yield np.arange(1.0, size + 1) / size
    # A step that is the same for all entries would leave equal ones equal, and any tie between them a tie.
    yield np.ones(size) + rng.uniform(-1.0, 1.0, size) * 2.0**-8
    for _ in range(_RANDOM):
        yield rng.uniform(-1.0, 1.0, size)


def _axes(hull: _Hull) -> None:
    """Along each entry that a gradient changes with, with generic noise that no tie survives."""
    hull.axes = True
    size = sum(hull.sizes)
    rng = np.random.RandomState(7)
    affected = np.flatnonzero(hull.varies())
    for i in affected[affected < size][:_MOST_AXES]:
        direction = rng.uniform(-1.0, 1.0, size) * 2.0**-8
        direction[i] = 1.0
        hull.add(direction)


def _settles(hull: _Hull) -> bool:
    """Whether the gradients are limits: those a smaller step away are the same. One that grows has no finite
    hull."""
    nearer = _Hull(hull.problem, hull.wanted, hull.columns, _STEP_BITS[1])
    for direction in itertools.islice(_first_directions(sum(hull.sizes)), 1, 2):
        nearer.add(direction)
    # The second of the directions stands after the pair of the first.
    same = hull.vertices[len(nearer.vertices) : 2 * len(nearer.vertices)]
    if not nearer.vertices or len(same) < len(nearer.vertices):
        return False
    floor = hull.floor()
    return not any(
        hull.differ(a, b, floor)
        for v, w in zip(same, nearer.vertices, strict=True)
        for a, b in zip(v, w, strict=True)
    )


def _judged(
    hull: _Hull, fmt: Format, computed: Mapping[str, Floats], got: Floats, max_ulp: float
) -> TieVerdict:
    known = _explore(hull, fmt, got, max_ulp)
    member = hull.varies()
    if not known:
        # So many entries tie that the set cannot be told.
        return _at_first(hull, computed, got, member=member, undefined=member | _apart(hull, got))
    # What is not finite is no element of any set; the other entries are judged without it.
    judged = member & np.isfinite(got)
    if not judged.any():
        return _at_first(hull, computed, got, member=member)
    fit = _search(hull, fmt, got, judged, max_ulp)
    if fit.gap > 1.0 and not hull.axes and (len(got) <= _LARGE or hull.regular(judged)):
        _axes(hull)
        fit = _search(hull, fmt, got, judged, max_ulp)
    if fit.gap > 1.0 and not hull.regular(judged) and hull.bend_by_cotangent():
        fit = _search(hull, fmt, got, judged, max_ulp)
    inside = fit.gap <= 1.0
    proven = inside or hull.regular(judged)
    if not proven and not (hull.axes and _beyond(_gaps(hull, fmt, got, judged, max_ulp))):
        # The function is neither convex nor concave: a gradient that was not found may be one all the same.
        unsure = member if hull.axes else member | _apart(hull, got)
        return _at_first(hull, computed, got, member=member, undefined=unsure)
    near = judged.copy()
    if not inside:
        near[judged] = _faultless(hull, fit, fmt, got, judged, max_ulp)
    kept = [(w, p) for w, p in zip(fit.weights, hull.points, strict=True) if w > 0]
    return _verdict(
        computed,
        _exact(hull, fit.weights, got, keep=near),
        member=member,
        open_entries=judged if not inside and fit.bound <= 1.0 else None,
        ill_conditioned=not inside and _inside_when_moved(hull, fmt, got, judged, max_ulp),
        weights=tuple(float(w) for w, _ in kept),
        steps=tuple(_dyadic_problem(p) for _, p in kept),
    )


def _at_first(hull: _Hull, computed: Mapping[str, Floats], got: Floats, **flags: Bools) -> TieVerdict:
    """The verdict whose element is the first gradient that was seen."""
    steps = (_dyadic_problem(hull.points[0]),)
    return _verdict(computed, _exact(hull, None, got), **flags, weights=(1.0,), steps=steps)


def _explore(hull: _Hull, fmt: Format, got: Floats, max_ulp: float) -> bool:
    """Look for gradients nearby that have what is computed; False where too many entries would have to be tried.

    First by exchanging the steps of the entries whose values are exchanged: most ops give everything to one of
    the entries that tie. Then by favouring entries that no gradient so far changes with.
    """
    for _ in range(_PLACES):
        misses = [_off(hull, v, fmt, got, max_ulp) for v in hull.vertices]
        counts = [int(miss.sum()) for miss in misses]
        best = int(np.argmin(counts))
        if not counts[best] or len(hull.directions) < len(hull.vertices):
            return True
        direction = _exchanged(hull, best, got, misses[best])
        if direction is None:
            break
        hull.add(direction)
    size = sum(hull.sizes)
    noise = np.random.RandomState(3).uniform(-1.0, 1.0, size) * 2.0**-8
    for _ in range(_MOST_QUERIES if size <= _LARGE else _MOST_OF_LARGE):
        untouched = ~hull.varies()
        odd = (_off(hull, hull.vertices[0], fmt, got, max_ulp) & untouched)[:size]
        if not odd.any():
            return True
        # The way the gradient has to go: the two sides of a difference would keep it, if both rose.
        hull.add(odd * -np.sign(_differences(hull, hull.vertices[0], got)[:size]) + noise)
        if not (untouched & hull.varies()).any():
            return True
    return False


def _apart(hull: _Hull, got: Floats) -> Bools:
    """The finite entries that differ from the first gradient nearby."""
    first = np.array([float(b.mid()) for b in hull.vertices[0]])
    apart: Bools = np.isfinite(got) & (got != first)
    return apart


def _off(hull: _Hull, vertex: Objects, fmt: Format, got: Floats, max_ulp: float) -> Bools:
    """The finite entries where the computed gradient is not this one."""
    everywhere = np.ones(len(got), dtype=bool)
    gaps = np.abs(_differences(hull, vertex, got))
    off: Bools = np.isfinite(got) & (gaps > _tolerance(hull, fmt, everywhere, max_ulp))
    return off


def _differences(hull: _Hull, vertex: Objects, got: Floats) -> Floats:
    """A gradient nearby minus the computed one, NaN of which counts as 0."""
    with ARB.precision(hull.precision):
        return np.array([float((b - arb(g)).mid()) for b, g in zip(vertex, np.nan_to_num(got), strict=True)])


def _exchanged(hull: _Hull, k: int, got: Floats, misses: Bools) -> Floats | None:
    """The step that led to gradient k, with the steps of entries exchanged whose values are; None where their
    values are not those that are computed."""
    where = np.flatnonzero(misses)
    step = hull.directions[k].copy()
    if where[-1] >= len(step):
        return None
    theirs = np.array([float(b.mid()) for b in hull.vertices[k][where]])
    numbers = np.concatenate([np.asarray(x, dtype=float).reshape(-1) for x in hull.problem.inputs.values()])
    # Among equal inputs if possible, and in order: rows are one after the other.
    for groups in (numbers[where], np.zeros(len(where))):
        mine, other = np.lexsort((got[where], groups)), np.lexsort((theirs, groups))
        if np.allclose(got[where][mine], theirs[other], rtol=2.0**-6, atol=0.0):
            step[where[mine]] = hull.directions[k][where[other]]
            return step
    return None


def _beyond(gaps: Floats) -> bool:
    """Whether an entry is less than in any gradient nearby, or greater."""
    return bool((gaps.min(axis=0) > 1.0).any() or (gaps.max(axis=0) < -1.0).any())


def _search(hull: _Hull, fmt: Format, got: Floats, member: Bools, max_ulp: float) -> Fit:
    """Ask for extreme elements in the direction of the gap until the gap is gone or no longer closes."""
    fit = chebyshev(_gaps(hull, fmt, got, member, max_ulp))
    size = sum(hull.sizes)
    noise = np.random.RandomState(5).uniform(-1.0, 1.0, size) * 2.0**-24
    for _ in range(_MOST_QUERIES):
        if fit.gap <= 1.0:
            break
        before = fit.norm
        direction = np.zeros(len(got))
        direction[member] = -fit.residual / _tolerance(hull, fmt, member, max_ulp)
        # Noise, for no tie survives a generic direction.
        hull.add(direction[:size] * hull.curvature / np.abs(direction[:size]).max() + noise)
        fit = chebyshev(_gaps(hull, fmt, got, member, max_ulp))
        if fit.norm >= before * (1 - 2.0**-20):
            break
    return fit


def _faultless(hull: _Hull, fit: Fit, fmt: Format, got: Floats, member: Bools, max_ulp: float) -> Bools:
    """Which entries of a gradient outside are no part of the fault: those that its nearest element has to within the
    tolerance; and, as long as others remain, small sums of large numbers, whose own digits are those that cancel.
    """
    off = np.abs(fit.weights @ _gaps(hull, fmt, got, member, max_ulp)) * max_ulp
    faultless: Bools = off <= max_ulp
    unit = _tolerance(hull, fmt, member, max_ulp) / max_ulp
    few = 2.0 ** (fmt.precision / 2)
    cancelled = (off <= few) & (off * unit > np.abs(got[member]) * few * 2.0 ** (1 - fmt.precision))
    return faultless | cancelled if (~faultless & ~cancelled).any() else faultless


def _tolerance(hull: _Hull, fmt: Format, member: Bools, max_ulp: float) -> Floats:
    """`max_ulp` units in the last place of the largest magnitude that the set has at each entry."""
    sizes = np.array([[float(abs(b).mid()) for b in v[member]] for v in hull.vertices]).max(axis=0)
    binade = np.where(sizes > 0, np.clip(np.frexp(sizes)[1] - 1, fmt.emin, fmt.emax), fmt.emin)
    return np.asarray(np.ldexp(max_ulp, binade - (fmt.precision - 1)))


def _gaps(hull: _Hull, fmt: Format, got: Floats, member: Bools, max_ulp: float) -> Floats:
    """Vertices minus the computed gradient in units of the tolerance, one row a vertex."""
    unit = _tolerance(hull, fmt, member, max_ulp)
    wanted = [arb(g) for g in got[member]]
    with ARB.precision(hull.precision):
        rows = [[float((b - g).mid()) for b, g in zip(v[member], wanted, strict=True)] for v in hull.vertices]
    return np.array(rows) / unit


def _inside_when_moved(hull: _Hull, fmt: Format, got: Floats, member: Bools, max_ulp: float) -> bool:
    """The second ruler at a tie: the hull of gradients when every number of the call moves by its own
    rounding."""
    wide = _Hull(hull.problem, hull.wanted, hull.columns, hull.bits, list(hull.vertices), list(hull.points))
    rng = np.random.RandomState(11)
    names = {**hull.problem.inputs, **hull.problem.reals}
    # A hull of fewer points than it has dimensions has no inside.
    for _ in range(min(max(_CONDITIONED, 2 * int(member.sum())), _MOST_CONDITIONED)):
        drawn = {n: np.where(rng.uniform(size=np.shape(x)) < 0.5, -1.0, 1.0) for n, x in names.items()}
        seeds = {n: np.where(rng.uniform(size=4096) < 0.5, -1.0, 1.0) for n in (COTANGENT, DIRECTION)}
        signs = Signs({**drawn, **seeds})
        for way in (signs, signs.opposite()):
            problem, wanted = move(hull.problem, hull.wanted, way, fmt)
            with ARB.precision(hull.precision):
                found, _ = evaluate(problem, ARB, wanted)
            vertex = np.concatenate([found[c] for c in hull.columns])
            if all(ball.is_finite() for ball in vertex):
                wide.vertices.append(vertex)
    return bool(chebyshev(_gaps(wide, fmt, got, member, max_ulp)).gap <= 1.0)


def _exact(hull: _Hull, weights: Floats | None, got: Floats, keep: Bools | None = None) -> Exact:
    """The combination of the vertices (the first one where there are no weights), `got` itself where `keep`
    says so."""
    if not hull.vertices:
        return Exact.from_float64(np.full(len(got), np.nan))
    with ARB.precision(hull.precision):
        if weights is None:
            combined = hull.vertices[0]
        else:
            total = sum(arb(float(w)) for w in weights)
            combined = sum(
                v * (arb(float(w)) / total) for w, v in zip(weights, hull.vertices, strict=True) if w
            )
        floor = hull.floor()
        pairs = [(0, 0) if abs(b) < floor else b.mid().man_exp() for b in combined]
        exact = Exact.from_man_exp(pairs, rad=[2.0**-70 if man else 0.0 for man, _ in pairs])
    return exact if keep is None else exact.put(keep, Exact.from_float64(got[keep]))


def _dyadic_problem(problem: Problem) -> Problem:
    """The problem with its moved inputs as pairs (man, exp), which every arithmetic takes."""
    pair = np.frompyfunc(lambda b: tuple(int(v) for v in b.man_exp()), 1, 1)
    inputs = {}
    for n, x in problem.inputs.items():
        out = np.empty(x.shape, dtype=object)
        for index in np.ndindex(*x.shape):
            out[index] = pair(x[index])
        inputs[n] = out
    return replace(problem, inputs=inputs)


def _verdict(
    computed: Mapping[str, Floats],
    nearest: Exact,
    *,
    member: Bools | None = None,
    undefined: Bools | None = None,
    open_entries: Bools | None = None,
    **more: Any,
) -> TieVerdict:
    """Flat arrays cut into columns."""
    ends = np.cumsum([len(c) for c in computed.values()])
    windows = {c: slice(int(end) - len(computed[c]), int(end)) for c, end in zip(computed, ends, strict=True)}
    none = np.zeros(int(ends[-1]), dtype=bool)

    def cut(flags: Bools | None) -> dict[str, Bools]:
        return {c: (none if flags is None else flags)[w] for c, w in windows.items()}

    return TieVerdict(
        nearest={c: nearest[w] for c, w in windows.items()},
        member=cut(member),
        undefined=cut(undefined),
        open=cut(open_entries),
        **more,
    )
