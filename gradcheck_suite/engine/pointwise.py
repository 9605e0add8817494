"""Judging a pointwise op: inputs, exact values and torch's results of one op variant in one dtype.

A `Subject` is shared by the directions of a variant, so that nothing is computed twice.  It answers two
questions: what are the verdicts on its own sample, and what is the verdict on any other inputs (for
boundaries and searches).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from gradcheck_suite.engine import against, calls
from gradcheck_suite.engine.conditioning import Column, excused, units
from gradcheck_suite.engine.covers import MovedCovers, cover_for
from gradcheck_suite.engine.entrywise import require_entrywise
from gradcheck_suite.engine.joint import outside_jointly
from gradcheck_suite.engine.judge import Verdicts, judge
from gradcheck_suite.engine.kinks import with_kinks
from gradcheck_suite.engine.products import below_the_range, unsuited
from gradcheck_suite.engine.quantities import order_of
from gradcheck_suite.engine.refusals import renewed
from gradcheck_suite.floats import Exact, Format, format_of
from gradcheck_suite.formula.arithmetic import uncertified
from gradcheck_suite.formula.cover import Cover
from gradcheck_suite.formula.covered import covered_points
from gradcheck_suite.formula.points import Points, bind, exact_points, off_zero
from gradcheck_suite.inputs import landmarks, pointwise
from gradcheck_suite.inputs.targets import Line, Tuples, tuples
from gradcheck_suite.ops.landscape import landscape_of
from gradcheck_suite.ops.record import Op
from gradcheck_suite.options import Settings

Floats = npt.NDArray[np.float64]
Inputs = Mapping[str, Floats] | Floats

BUDGETS = {"quick": 600, "default": 2400, "thorough": 20000}
"""Points of a one-input sample in float32 and float64; 16-bit formats are exhaustive."""

TUPLES = {"quick": 300, "default": 700, "thorough": 6000}
"""Points of a sample of several inputs."""

# Points of a sample that further cotangents, and single calls (26-52 microseconds each), are tried at: of one input,
# and of several.
_WITH_COTANGENTS = {"quick": (240, 120), "default": (240, 120), "thorough": (2400, 1200)}
_SINGLY = {"quick": (240, 60), "default": (240, 60), "thorough": (2400, 600)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """Verdicts on one column with all that a finding needs: inputs and extras, computed and exact values.

    `lines` are the sweeps that the points lie on, where they come from the sample.
    """

    inputs: dict[str, Floats]
    computed: Floats
    lower: Exact
    upper: Exact
    tie: npt.NDArray[np.bool_]
    verdicts: Verdicts
    lines: tuple[Line, ...]
    cotangent: float = 1.0
    limit: Floats | None = None
    """The error that another implementation allows at each point, where the op is judged against one."""
    starts: tuple[int, ...] = (0,)
    """Indices of the points with which a call of torch began: what it computes may depend on the neighbours.
    """

    def call_of(self, i: int) -> tuple[dict[str, Floats], int]:
        """The inputs of the call that computed a point, and its index among them."""
        start = max(s for s in self.starts if s <= i)
        end = min((s for s in self.starts if s > i), default=len(self.computed))
        return {n: x[start:end] for n, x in self.inputs.items()}, i - start


class Subject:
    """One op variant in one dtype on its sample of points.

    Where a method takes inputs, these are arrays by name, extras included; for an op of one input also the
    array alone.
    """

    def __init__(
        self, op: Op, variant: Mapping[str, Any], dtype: str, order: int, settings: Settings
    ) -> None:
        self.op, self.variant, self.dtype, self.order, self.settings = (
            op,
            dict(variant),
            dtype,
            order,
            settings,
        )
        self.fmt: Format = format_of(dtype)
        self.params, self.reals = op.params(variant), op.reals(variant)
        self.names = (*op.inputs, *op.extras)
        self.formula = bind(op.formula, self.params, self.reals, op.extras)
        beside = off_zero(self.reals)
        self.beside = bind(op.formula, self.params, beside, op.extras) if beside else None
        self.max_ulp = settings.max_ulp if op.max_ulp is None else op.max_ulp
        self._opponent: dict[tuple[str, float], against.Errors] = {}

    def twin(self, op: Op) -> Subject:
        """Another callable for the same definition, on the same points and exact values."""
        other = Subject(op, self.variant, self.dtype, self.order, self.settings)
        vars(other).update(tuples=self.tuples, reference=self.reference)
        return other

    @cached_property
    def tuples(self) -> Tuples:
        """The sample: points of all inputs, on the lines that they were swept along.

        torch's ops state their kinks; a formula of somebody else's is asked for them.
        """
        sample = self._sample()
        if self.op.custom and len(sample):
            require_entrywise(self.op, self.formula, sample.values)
        if not self.op.custom or not len(sample) or (len(self.names) == 1 and self.fmt.bits == 16):
            return sample
        return with_kinks(sample, self.formula, self.fmt, self.inside)

    def _sample(self) -> Tuples:
        if len(self.names) == 1:
            (name,) = self.names
            line = Line(probe=name, members=slice(None), fixed={})
            return Tuples(values={name: self._one_input()}, lines=(line,))
        count = TUPLES[self.settings.budget]
        landscape = landscape_of(self.op, self.params)
        return tuples(self.fmt, landscape, count if self.order < 2 else count // 2, self.settings.seed)

    @property
    def size(self) -> int:
        """How many points the sample has."""
        return len(self.tuples)

    @property
    def x(self) -> Floats:
        """The first input of the sample; for an op of one input: sorted, no duplicates, NaN last."""
        return self.tuples.values[self.names[0]]

    def _one_input(self) -> Floats:
        special = landmarks.around(list(self.op.landmarks(self.params)), self.fmt)
        count = BUDGETS[self.settings.budget]
        sample = pointwise.sample(self.fmt, special, count, self.settings.seed)
        slow = self.order > 1 or uncertified()
        if slow and len(sample) > 4 * count and self._cover(len(sample), self.order) is None:
            # One by one, second derivatives and mpmath cost several times the rest: strata and landmarks
            # suffice for them.
            keep = np.zeros(len(sample), dtype=bool)
            keep[:: len(sample) // count] = True
            keep |= np.isin(sample, special) | ~np.isfinite(sample)
            sample = sample[keep]
        inside: Floats = sample[self._in_domain(sample)]
        return inside

    @property
    def exhaustive(self) -> bool:
        """Whether the sample holds every float of the dtype."""
        return len(self.names) == 1 and len(self.x) >= 2**16 - 2**11

    def _named(self, inputs: Inputs) -> Mapping[str, Floats]:
        return inputs if isinstance(inputs, Mapping) else {self.names[0]: inputs}

    def _in_domain(self, x: Floats) -> Any:
        return self.inside({self.op.inputs[0]: x})

    def inside(self, values: Mapping[str, Floats]) -> Any:
        """Which points the op is defined for."""
        size = len(next(iter(values.values())))
        if self.op.domain is None:
            return np.ones(size, dtype=bool)
        with np.errstate(all="ignore"):
            return np.broadcast_to(np.asarray(self.op.domain(self.params, values), dtype=bool), size)

    def exact(self, inputs: Inputs, order: int) -> Points:
        """Exact columns at some inputs."""
        values = self._named(inputs)
        cover = self._cover(len(values[self.names[0]]), order)
        if cover is not None:
            return covered_points(cover, self.formula, values, self.fmt, order=order, beside=self.beside)
        return exact_points(
            self.formula, values, self.fmt, wrt=self.op.inputs, order=order, beside=self.beside
        )

    def _cover(self, points: int, order: int) -> Cover | None:
        return cover_for(self.op, self.variant, self.fmt, points=points, order=order, settings=self.settings)

    @cached_property
    def reference(self) -> Points:
        """Exact columns on the sample."""
        return self.exact(self.tuples.values, self.order)

    def run(self, inputs: Inputs, order: int, path: str, cotangent: Floats | None = None) -> calls.Outcome:
        """What torch computes at some inputs."""
        return calls.pointwise(
            self.op,
            self.variant,
            self._named(inputs),
            dtype=self.dtype,
            order=order,
            path=path,
            device=self.settings.device,
            cotangent=cotangent,
        )

    @cached_property
    def outcomes(self) -> dict[tuple[str, int], calls.Outcome | calls.Unsupported | calls.Raised]:
        """What torch computed on the sample, by path and order."""
        return {}

    def outcome(self, path: str, order: int) -> calls.Outcome:
        """The sample on a path; computed once. Raises Unsupported or Raised as the call did."""
        return self._once(self.tuples.values, path, order)

    def _once(self, inputs: Mapping[str, Floats], path: str, order: int) -> calls.Outcome:
        key = (path, order)
        if key not in self.outcomes:
            try:
                self.outcomes[key] = self.run(inputs, order, path)
            except (calls.Unsupported, calls.Raised) as error:
                self.outcomes[key] = renewed(error)
        found = self.outcomes[key]
        if isinstance(found, calls.Outcome):
            return found
        raise renewed(found)

    def judge_column(
        self,
        inputs: Inputs,
        computed: Floats,
        points: Points,
        column: str,
        *,
        cotangent: float = 1.0,
        together: Mapping[str, Floats] | None = None,
        lines: tuple[Line, ...] = (),
        excuses: bool = True,
    ) -> Judged:
        """Verdicts on one column at some inputs, both rulers and the op's documented deviations applied.

        `together` has all computed columns, for the joint judgement of several gradients at ties.  Without
        `excuses` only the first ruler is, which is enough to know which points fail at all.
        """
        values = dict(self._named(inputs))
        derivative = points.lower[column], points.upper[column]
        lower, upper = (scaled(end, cotangent) for end in derivative)
        if cotangent < 0:
            lower, upper = upper, lower
        tie = points.tie if column != "value" else np.zeros(len(computed), dtype=bool)
        limit = self._limit(values, points, column, cotangent, (lower, upper, tie))
        verdicts = judge(
            computed,
            lower,
            upper,
            self.fmt,
            max_ulp=self.max_ulp if limit is None else limit,
            tie=tie,
            undefined=points.undefined[column] | unsuited(values, *derivative, self.fmt, cotangent),
            open_points=points.open[column],
            nan_expected=points.nan_expected if column == "value" else None,
        )
        verdicts = below_the_range(verdicts, computed, derivative, self.fmt, cotangent)
        if excuses:
            verdicts = self._excuse(values, computed, (lower, upper), verdicts, column, cotangent)
        if together is not None and points.vertices:
            verdicts = outside_jointly(
                verdicts, together, column, self.op.inputs, points, self.fmt, self.max_ulp, cotangent
            )
        return Judged(
            inputs=values,
            computed=computed,
            lower=lower,
            upper=upper,
            tie=tie,
            verdicts=verdicts,
            lines=lines,
            cotangent=cotangent,
            limit=limit,
        )

    def _limit(
        self,
        values: Mapping[str, Floats],
        points: Points,
        column: str,
        cotangent: float,
        centre: tuple[Exact, Exact, Any],
    ) -> Floats | None:
        if self.op.against is None:
            return None
        g = None if cotangent == 1.0 else np.full(len(centre[2]), cotangent)
        outcome = against.called(
            self.op, self.variant, values, self.dtype, self.order_of(column), self.settings.device, g
        )
        skip = points.undefined[column] | points.open[column]
        errors = judge(
            outcome.columns[column], *centre[:2], self.fmt, max_ulp=np.inf, tie=centre[2], undefined=skip
        ).ulp
        key = (column, cotangent)
        if key not in self._opponent and len(errors) > 1:
            self._opponent[key] = against.Errors.of(values[self.names[0]], errors)
        near = self._opponent[key].near(values[self.names[0]]) if key in self._opponent else errors
        return against.limits(self.op, np.fmax(errors, near), self.max_ulp)

    def _excuse(
        self,
        inputs: Mapping[str, Floats],
        computed: Floats,
        centre: tuple[Exact, Exact],
        verdicts: Verdicts,
        column: str,
        cotangent: float,
    ) -> Verdicts:
        if self.op.documented is not None:
            holds = self.as_documented(inputs, computed, verdicts, column, cotangent)
            verdicts = verdicts.with_reason(holds, "documented")
        finite = np.logical_and.reduce([np.isfinite(x) for x in inputs.values()])
        where = np.flatnonzero((verdicts.kind > 0) & (verdicts.severity < 4) & finite)
        if not len(where):
            return verdicts
        # A cotangent enlarges derivatives that a cover only knows to be far below the smallest float.
        whole = self._cover(len(self.x), self.order) if cotangent == 1.0 and self.exhaustive else None
        moved = None if whole is None else MovedCovers(self.op, self.variant, self.fmt, column, whole)
        inside = excused(
            self.moving(column, cotangent),
            {n: x[where] for n, x in inputs.items()},
            computed[where],
            (centre[0][where], centre[1][where]),
            moved_column=moved,
        )
        return verdicts.with_reason(where[inside], "ill-conditioned")

    def moving(self, column: str, cotangent: float = 1.0) -> Column:
        """A column of which the real parameters can be moved, as the second ruler takes it."""
        formula = bind(self.op.formula, self.params, {}, (*self.op.extras, *self.reals))
        return Column(formula=formula, reals=self.reals, name=column, fmt=self.fmt, scale=cotangent)

    def as_documented(
        self,
        inputs: Mapping[str, Floats],
        computed: Floats,
        verdicts: Verdicts,
        column: str,
        cotangent: float = 1.0,
    ) -> npt.NDArray[np.bool_]:
        """Where what fails deviates as the documentation states; where it states a form, what is computed must be
        that.
        """
        holds = self._documented(inputs)
        where = np.flatnonzero(holds & (verdicts.kind > 0))
        other = self._documented_subject if len(where) else None
        if other is not None:
            given = {n: x[where] for n, x in inputs.items()}
            points = other.exact(given, order_of(column))
            found = other.judge_column(given, computed[where], points, column, cotangent=cotangent)
            holds[where] = found.verdicts.mild
        return holds

    @cached_property
    def _documented_subject(self) -> Subject | None:
        """The op defined as its documentation has it where that deviates."""
        if self.op.documented_form is None:
            return None
        op = replace(
            self.op, formula=self.op.documented_form, documented=None, documented_form=None, against=None
        )
        other = Subject(op, self.variant, self.dtype, self.order, self.settings)
        vars(other).update(tuples=self.tuples)
        return other

    def _documented(self, inputs: Mapping[str, Floats]) -> npt.NDArray[np.bool_]:
        """Where a documented deviation holds: also where rounding decides on which side of its end a point
        lies."""
        assert self.op.documented is not None
        step = units() * self.fmt.unit_roundoff
        holds = np.zeros(len(next(iter(inputs.values()))), dtype=bool)
        with np.errstate(all="ignore"):
            for factor in (1.0, 1.0 - step, 1.0 + step):
                moved = {n: x * factor for n, x in inputs.items()}
                holds |= np.asarray(self.op.documented(self.params, moved), dtype=bool)
        return holds

    def judged(self, column: str, path: str) -> Judged:
        """Verdicts on the sample for one column on one path."""
        outcome = self.outcome(path, self.order_of(column))
        return self.judge_column(
            self.tuples.values,
            outcome.columns[column],
            self.reference,
            column,
            together=outcome.columns,
            lines=self.tuples.lines,
        )

    def at(self, where: npt.NDArray[np.int64]) -> dict[str, Floats]:
        """Some points of the sample."""
        return {n: x[where] for n, x in self.tuples.values.items()}

    def subset(self, count: int) -> npt.NDArray[np.int64]:
        """Indices of about `count` points of the sample: landmarks of format and op first, then evenly
        spread.
        """
        size = len(self.x)
        if len(self.names) > 1:
            return np.unique(np.linspace(0, size - 1, min(count, size)).astype(np.int64))
        special = np.concatenate([landmarks.format_landmarks(self.fmt), self._op_landmarks()])
        known = np.flatnonzero(np.isin(self.x, special))
        spread = np.linspace(0, size - 1, max(count - min(len(known), count // 2), 2)).astype(np.int64)
        step = max(len(known) // max(count // 2, 1), 1)
        return np.unique(np.concatenate([known[::step], spread]))[: count + 64]

    def _op_landmarks(self) -> Floats:
        return np.asarray(landmarks.around(list(self.op.landmarks(self.params)), self.fmt))

    @cached_property
    def cotangent_points(self) -> npt.NDArray[np.int64]:
        """The points that further cotangents are tried at."""
        return self.subset(_WITH_COTANGENTS[self.settings.budget][len(self.names) > 1])

    @cached_property
    def _cotangent_reference(self) -> Points:
        # A cotangent enlarges derivatives that a cover only knows to be far below the smallest float.
        if self.exhaustive:
            return self.exact(self.at(self.cotangent_points), 1)
        return take(self.reference, self.cotangent_points)

    @cached_property
    def single_points(self) -> npt.NDArray[np.int64]:
        """The points that are also called one at a time."""
        limit = _SINGLY[self.settings.budget][len(self.names) > 1]
        return self.subset(limit)[:limit]

    def outcome_at_few(self, path: str, order: int) -> calls.Outcome:
        """What torch computes at those on a path of many calls; computed once."""
        return self._once(self.at(self.single_points), path, order)

    def order_of(self, column: str) -> int:
        """The order of derivative that a column needs; forward and backward share one call."""
        return 2 if column.startswith("dd:") else min(self.order, 1)

    def cotangents(self) -> list[float]:
        """Cotangents beside 1: powers of two, so that the exact product is the shifted exact value.

        The huge one is half-way to overflow in the exponent, and its counterpart half-way to underflow, 2^-7 in
        float16, which any mean hands back: at the very ends any order of multiplication leaves the format
        somewhere, which says more about the cotangent than about the op. A kernel of one's own may hold a cotangent
        in a narrower dtype: there the negative one has bits in both halves of its significand, and so little beyond
        1 that no error in ULP grows with it.
        """
        scale = 2.0**15 if self.dtype == "float16" else 2.0**16
        bits = 2.0 ** -(self.fmt.precision // 2) + 2.0 ** (1 - self.fmt.precision)
        negative = -1.0 - bits if self.op.custom else -1.0
        huge, small = 2.0 ** (self.fmt.emax // 2), 2.0 ** (self.fmt.emin // 2)
        wanted = [negative, 0.0, scale, huge, small]
        if self.op.custom or self.settings.budget == "thorough":
            # Nearly all that it shows is what the cotangent itself has lost.
            wanted.append(4 * self.fmt.smallest_subnormal)
        return list(dict.fromkeys(wanted))

    def judged_cotangent(self, column: str, cotangent: float) -> Judged:
        """Verdicts on a subset of the sample under a cotangent other than 1."""
        where = self.cotangent_points
        inputs = self.at(where)
        outcome = self.run(inputs, 1, "vector", np.full(len(where), cotangent))
        points = self._cotangent_reference
        return self.judge_column(
            inputs,
            outcome.columns[column],
            points,
            column,
            cotangent=cotangent,
            together=outcome.columns,
            lines=lines_within(self.tuples.lines, where),
        )


def lines_within(lines: tuple[Line, ...], where: npt.NDArray[np.int64]) -> tuple[Line, ...]:
    """The lines of some of the points (`where` rises), with indices into these."""
    kept = []
    for line in lines:
        members = (
            np.arange(len(where))
            if isinstance(line.members, slice)
            else np.flatnonzero(np.isin(where, line.members))
        )
        if len(members):
            kept.append(replace(line, members=members))
    return tuple(kept)


def take(points: Points, where: npt.NDArray[np.int64]) -> Points:
    """Some of the points."""
    return Points(
        columns={n: c[where] for n, c in points.columns.items()},
        lower={n: c[where] for n, c in points.lower.items()},
        upper={n: c[where] for n, c in points.upper.items()},
        tie=points.tie[where],
        undefined={n: u[where] for n, u in points.undefined.items()},
        open={n: u[where] for n, u in points.open.items()},
        nan_expected=points.nan_expected[where],
        vertices={k: points.vertices[int(i)] for k, i in enumerate(where) if int(i) in points.vertices},
    )


def scaled(exact: Exact, factor: float) -> Exact:
    """The exact value times a binary64 number: without error for powers of two and 0, else with a radius."""
    if factor == 1.0:
        return exact
    if factor == 0.0:
        return Exact.from_float64(np.where(np.isfinite(exact.hi), 0.0, np.nan))
    mantissa, exponent = np.frexp(abs(factor))
    shifted = exact.shifted(int(exponent) - 1)
    if mantissa != 0.5:
        shifted = shifted.times(2 * float(mantissa))
    return shifted if factor > 0 else shifted.neg()
