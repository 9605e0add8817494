"""Judging an op whose entries depend on each other: samples, exact values and torch's results of one variant.

A `RowSubject` is to a sample-wise op what `pointwise.Subject` is to an elementwise one; the entries of all
samples lie one after another in the columns that it judges, so that the judge and the rulers are the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
import numpy.typing as npt

from gradcheck_suite.engine import against, rowcalls
from gradcheck_suite.engine.judge import Verdicts, judge
from gradcheck_suite.engine.paths import LAYOUTS, highest_order
from gradcheck_suite.engine.products import below_the_range
from gradcheck_suite.engine.quantities import order_of
from gradcheck_suite.engine.refusals import Raised, renewed
from gradcheck_suite.engine.rowconditioning import Kinks, excused, kinks_of
from gradcheck_suite.engine.subdifferential import Subdifferential, TieVerdict
from gradcheck_suite.floats import Exact, Format, format_of
from gradcheck_suite.formula.arrays import (
    Problem,
    Reference,
    Wanted,
    evaluate,
    reference,
    reference_mpmath,
)
from gradcheck_suite.formula.evaluate import start_precision
from gradcheck_suite.formula.fields import ARB
from gradcheck_suite.inputs import cotangents
from gradcheck_suite.ops.record import Op, Sample
from gradcheck_suite.options import Settings

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

_SMALL = 256
"""Entries of a sample that takes part in further paths and cotangents."""

_FORMS = 12
"""Samples, or a few more, that other forms than the functional one are called on."""

_LARGEST_SECOND = 256
"""Entries of a sample up to which second derivatives are taken: forward over reverse costs five times the
rest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowJudged:
    """Verdicts on one column of many samples.

    Entry `i` of the arrays is entry `entry[i]` of the flat column of sample `owner[i]`.
    """

    column: str
    path: str
    cotangent: str
    owner: Ints
    entry: Ints
    computed: Floats
    lower: Exact
    tie: Bools
    verdicts: Verdicts
    ties: dict[int, TieVerdict]
    limit: Floats | None = None
    """The error that another implementation allows at each entry, where the op is judged against one."""


@dataclass(slots=True, kw_only=True)
class _Column:
    """The exact entries of one column of many samples, and what is known of each."""

    lower: Exact
    undefined: Bools
    open: Bools
    nan_expected: Bools
    tie: Bools

    @classmethod
    def of(cls, refs: Sequence[Reference], column: str) -> _Column:
        none = np.zeros(0, dtype=bool)
        lower = Exact.concatenate([Exact.from_float64(np.zeros(0)), *(r.columns[column] for r in refs)])
        return cls(
            lower=lower,
            undefined=np.concatenate([none, *(r.undefined[column] for r in refs)]),
            open=np.concatenate([none, *(r.open[column] for r in refs)]),
            nan_expected=np.concatenate([none, *(r.nan_expected for r in refs)]),
            tie=np.zeros(len(lower), dtype=bool),
        )

    def put(self, where: Ints, found: TieVerdict, column: str, *, defined: bool) -> None:
        """Set the entries of a sample at a tie to the nearest elements of its set; `defined` says that its values
        all are.
        """
        self.lower = self.lower.put(where, found.nearest[column])
        self.tie[where] = found.member[column]
        # At the tie itself a formula may divide by 0, as a norm of zeros does: its limits are the gradients.
        self.undefined[where] = found.undefined[column] | (self.undefined[where] & (not defined))
        self.open[where] = found.open[column]


class RowSubject:
    """One variant of a sample-wise op in one dtype on its samples."""

    def __init__(
        self,
        op: Op,
        variant: Mapping[str, Any],
        dtype: str,
        order: int,
        settings: Settings,
        *,
        samples: tuple[Sample, ...] | None = None,
    ) -> None:
        self._given = samples
        self.op, self.variant, self.dtype, self.order, self.settings = (
            op,
            dict(variant),
            dtype,
            order,
            settings,
        )
        self.fmt: Format = format_of(dtype)
        self.params, self.reals = op.params(variant), op.reals(variant)
        self.max_ulp = settings.max_ulp if op.max_ulp is None else op.max_ulp
        self._called: dict[tuple[str, str, int], rowcalls.Called | Raised] = {}
        self._references: dict[tuple[str, int], Reference] = {}
        self._by_mpmath: dict[tuple[str, int, int, int], dict[str, Any]] = {}
        self._ties: dict[tuple[str, str, str, int], TieVerdict] = {}
        self._subdifferentials: dict[tuple[str, int, tuple[str, ...]], Subdifferential] = {}
        self._kinks: dict[int, Kinks] = {}
        self._curves: dict[int, RowSubject] = {}
        self._opponent: RowSubject | None = None
        self._judged: dict[tuple[str, str, str], RowJudged] = {}

    @property
    def closely(self) -> bool:
        """Whether further cotangents and layouts see every sample: not those of torch's ops, by default."""
        return self.op.custom or self.settings.budget == "thorough"

    def twin(self, op: Op) -> RowSubject:
        """Another callable for the same definition, on the same samples and exact values."""
        other = RowSubject(op, self.variant, self.dtype, self.order, self.settings)
        vars(other).update(samples=self.samples, _references=self._references)
        return other

    @cached_property
    def samples(self) -> tuple[Sample, ...]:
        """The calls to judge: those that were given, or else those that the op states."""
        if self._given is not None:
            return self._given
        assert self.op.samples is not None, f"{self.op.name} is not pointwise and states no samples"
        found = self.op.samples(self.params, self.fmt, budget=self.settings.budget, seed=self.settings.seed)
        return tuple(
            s
            for s in found
            if (self.order < 2 or _size(s) <= _LARGEST_SECOND) and self._in_domain(s) and self._taken(s)
        )

    @property
    def size(self) -> int:
        """How many samples there are."""
        return len(self.samples)

    def extend(self, samples: Iterable[Sample]) -> range:
        """Take in further samples; returns their indices."""
        before = len(self.samples)
        self.samples = (*self.samples, *samples)
        return range(before, len(self.samples))

    def along_curve(self, k: int) -> RowSubject:
        """The subject of samples on the curve of sample k, none at first; all directions share it."""
        if k not in self._curves:
            self._curves[k] = RowSubject(
                self.op, self.variant, self.dtype, self.order, self.settings, samples=()
            )
        return self._curves[k]

    def _taken(self, sample: Sample) -> bool:
        """Whether the op and its definition both take a tentative sample, and give as many numbers."""
        if not sample.tentative:
            return True
        pattern = self.pattern("mixed")
        try:
            called = rowcalls.call_sample(
                self.op, self.variant, sample, dtype=self.dtype, order=0, cotangent=pattern, direction=pattern
            )
            with ARB.precision(start_precision(self.fmt)):
                columns, _ = evaluate(self.problem(sample), ARB, self.wanted("mixed", 0))
        except Exception:
            return False
        return len(columns["value"]) == len(called.columns["value"])

    def _in_domain(self, sample: Sample) -> bool:
        """Whether a user's op is defined for the sample; the samples of torch's own ops all are."""
        if self.op.domain is None or not self.op.custom:
            return True
        with np.errstate(all="ignore"):
            return bool(np.all(self.op.domain(self.params, {**sample.inputs, **sample.extra})))

    @cached_property
    def small(self) -> Ints:
        """The samples that further paths and cotangents are tried on."""
        return np.array([k for k, s in enumerate(self.samples) if _size(s) <= _SMALL], dtype=np.int64)

    def problem(self, sample: Sample) -> Problem:
        """The exact counterpart of a call."""
        return problem_of(self.op, self.params, self.reals, sample)

    @property
    def _loss_scale(self) -> float:
        return 2.0**15 if self.dtype == "float16" else 2.0**16

    def pattern(self, cotangent: str) -> cotangents.Pattern:
        """The cotangent of that name."""
        if cotangent == "scaled":
            return cotangents.scaled(self._loss_scale)
        if cotangent == "ragged":
            return cotangents.ragged(self.fmt)
        named = {"one-hot": cotangents.one_hot, "even": cotangents.even}
        return named.get(cotangent, cotangents.mixed)

    def wanted(self, cotangent: str, order: int) -> Wanted:
        """What the reference must compute under that cotangent."""
        return Wanted(order=order, cotangent=self.pattern(cotangent), direction=cotangents.direction)

    def reference(self, k: int, cotangent: str = "mixed") -> Reference:
        """Exact columns of sample k, computed once."""
        order = min(self.order if cotangent == "mixed" else 1, self.samples[k].order)
        key = (cotangent, k)
        if key not in self._references:
            problem = self.problem(self.samples[k])
            if cotangent != "mixed" and problem.has_nan:
                # No gradient is judged there.
                self._references[key] = self.reference(k)
            elif cotangent == "scaled" and problem.finite:
                factor = float(self.pattern("scaled")(1)[0])
                scaled = self.reference(k).times_power(int(np.log2(factor)))
                self._references[key] = scaled.without_overflow(self.fmt)
            else:
                self._references[key] = reference(
                    problem, self.fmt, self.wanted(cotangent, order), literal=self.op.custom
                )
        return self._references[key]

    def by_mpmath(self, k: int, cotangent: str, order: int, bits: int) -> dict[str, Any]:
        """Flat columns of sample k by mpmath, computed once for all entries."""
        # It is computed for all directions that share this subject; second derivatives of short samples only.
        if cotangent == "mixed":
            order = max(order, min(self.order, 2 if _size(self.samples[k]) <= _SMALL else 1))
        key = (cotangent, k, order, bits)
        if key not in self._by_mpmath:
            problem = self.problem(self.samples[k])
            self._by_mpmath[key] = reference_mpmath(problem, self.wanted(cotangent, order), bits)
        return self._by_mpmath[key]

    def called(self, k: int, path: str = "vector", cotangent: str = "mixed") -> rowcalls.Called:
        """What torch computes on sample k, called once. Raises Unsupported or Raised as the call did."""
        key = (path, cotangent, k)
        if key not in self._called:
            try:
                self._called[key] = self._call(k, path, cotangent)
            except Raised as error:
                self._called[key] = renewed(error)
        found = self._called[key]
        if isinstance(found, Raised):
            raise renewed(found)
        return found

    def _call(self, k: int, path: str, cotangent: str) -> rowcalls.Called:
        return rowcalls.call_sample(
            self.op,
            self.variant,
            self.samples[k],
            dtype=self.dtype,
            order=min(self.order if cotangent == "mixed" else 1, self.samples[k].order, highest_order(path)),
            cotangent=self.pattern(cotangent),
            direction=cotangents.direction,
            path=path,
            device=self.settings.device,
        )

    def judged(
        self, column: str, path: str = "vector", cotangent: str = "mixed", only: Ints | None = None
    ) -> RowJudged:
        """Verdicts on one column of the samples (of `only`), both rulers applied."""
        which = range(len(self.samples)) if only is None else only
        wanted = [k for k in which if self.samples[k].order >= order_of(column)]
        parts = list(self._parts(column, path, cotangent, wanted))
        return self._judge(column, path, cotangent, parts)

    def on_path(self, path: str) -> Ints:
        """The samples that a path is tried on: those whose layout it changes, or a few for another form."""
        if path not in LAYOUTS:
            return self.small[:: max(len(self.small) // _FORMS, 1)]
        if path == "strided":
            return self.small[:: 1 if self.closely else 2]
        ranks = [max((np.ndim(x) for x in self.samples[k].inputs.values()), default=0) for k in self.small]
        return np.asarray(self.small[np.array(ranks) == 4])

    def judged_again(self, main: RowJudged, path: str) -> RowJudged:
        """Verdicts on the samples of a path where it computes other numbers than `main` does."""
        parts = []
        for k, computed in self._parts(main.column, path, main.cotangent, self.on_path(path)):
            known = self._called.get(("vector", main.cotangent, k))
            if isinstance(known, rowcalls.Called) and not np.array_equal(
                known.columns[main.column], computed, equal_nan=True
            ):
                parts.append((k, computed))
        return self._judge(main.column, path, main.cotangent, parts)

    def _parts(self, column: str, path: str, cotangent: str, which: Any) -> Iterator[tuple[int, Floats]]:
        for k in which:
            try:
                computed = self.called(int(k), path, cotangent).columns[column]
            except Raised:
                continue
            yield int(k), computed

    def _judge(self, column: str, path: str, cotangent: str, parts: list[tuple[int, Floats]]) -> RowJudged:
        refs = [self.reference(k, cotangent) for k, _ in parts]
        for (k, computed), ref in zip(parts, refs, strict=True):
            _check_size(self.op, self.samples[k], column, computed, ref)
        sizes = [len(c) for _, c in parts]
        owner = np.repeat([k for k, _ in parts], sizes).astype(np.int64)
        computed = np.concatenate([np.zeros(0), *(c for _, c in parts)])
        exact = _Column.of(refs, column)
        ties = {}
        for (k, _), ref in zip(parts, refs, strict=True):
            if ref.tie and column != "value":
                ties[k] = self.tie_verdict(column, path, cotangent, k)
                defined = not ref.undefined["value"].any()
                exact.put(np.flatnonzero(owner == k), ties[k], column, defined=defined)
        limit = self._limit(column, cotangent, owner, exact.lower, exact.undefined | exact.open | exact.tie)
        verdicts = judge(
            computed,
            exact.lower,
            exact.lower,
            self.fmt,
            max_ulp=self.max_ulp if limit is None else limit,
            tie=exact.tie,
            undefined=exact.undefined,
            open_points=exact.open,
            nan_expected=exact.nan_expected if column == "value" else None,
        )
        judged = RowJudged(
            column=column,
            path=path,
            cotangent=cotangent,
            owner=owner,
            entry=np.concatenate([np.arange(0), *(np.arange(size) for size in sizes)]),
            computed=computed,
            lower=exact.lower,
            tie=exact.tie,
            verdicts=self._of_sets(verdicts, computed, exact, cotangent),
            ties=ties,
            limit=limit,
        )
        return self._excused(judged)

    def _of_sets(self, verdicts: Verdicts, computed: Floats, exact: _Column, cotangent: str) -> Verdicts:
        """The verdicts as those on products, where the cotangent is a scale, and on sets, where a tie leaves a
        choice: off the set by so many ulps of its nearest element. What shares half of its digits is that element,
        computed inaccurately.
        """
        if cotangent == "scaled":
            growth = cotangents.growth(self._loss_scale)
            unscaled = exact.lower.shifted(-growth)
            verdicts = below_the_range(verdicts, computed, (unscaled, unscaled), self.fmt, 2.0**growth)
        far = verdicts.ulp > 2.0 ** (self.fmt.precision / 2)
        outside = np.flatnonzero(exact.tie & (verdicts.kind > 0) & np.isfinite(computed) & far)
        return verdicts.as_ties(outside, verdicts.ulp[outside])

    def _limit(self, column: str, cotangent: str, owner: Ints, lower: Exact, skip: Bools) -> Floats | None:
        """By the opponent's largest error in the same sample, for an op that is judged against another."""
        if self.op.against is None or not len(owner):
            return None
        if self._opponent is None:
            self._opponent = RowSubject(
                against.opponent(self.op), self.variant, self.dtype, self.order, self.settings
            )
        allowed = np.zeros(len(owner))
        for k in np.unique(owner):
            where = np.flatnonzero(owner == k)
            computed = self._opponent.called(int(k), "vector", cotangent).columns[column]
            errors = judge(
                computed, lower[where], lower[where], self.fmt, max_ulp=np.inf, undefined=skip[where]
            ).ulp
            finite = errors[np.isfinite(errors)]
            near = np.full(len(where), finite.max() if len(finite) else 0.0)
            allowed[where] = against.limits(self.op, np.fmax(errors, near), self.max_ulp)
        return allowed

    def judged_as(self, column: str, k: int, constant: float) -> RowJudged:
        """Verdicts on sample k, had the op computed nothing but `constant` there."""
        size = len(self.called(k).columns[column])
        return self._judge(column, "vector", "mixed", [(k, np.full(size, constant))])

    def call_again(self, k: int) -> rowcalls.Called:
        """What torch computes on sample k in a call of its own."""
        return self._call(k, "vector", "mixed")

    def tie_verdict(self, column: str, path: str, cotangent: str, k: int) -> TieVerdict:
        """The joint judgement of all gradients of a sample at a tie, made once for all inputs."""
        prefix = column.partition(":")[0]
        key = (prefix, path, cotangent, k)
        if key not in self._ties:
            called = self.called(k, path, cotangent)
            names = [f"{prefix}:{n}" for n in self.op.inputs if f"{prefix}:{n}" in called.columns]
            computed = {n: called.columns[n] for n in names}
            found = self._subdifferential(k, cotangent, tuple(names))
            self._ties[key] = found.judge(computed, self.fmt, max_ulp=self.max_ulp)
        return self._ties[key]

    def _subdifferential(self, k: int, cotangent: str, columns: tuple[str, ...]) -> Subdifferential:
        key = (cotangent, k, columns)
        if key not in self._subdifferentials:
            order = order_of(columns[0])
            problem = self.problem(self.samples[k])
            self._subdifferentials[key] = Subdifferential(problem, self.wanted(cotangent, order), columns)
        return self._subdifferentials[key]

    def _excused(self, judged: RowJudged) -> RowJudged:
        verdicts = judged.verdicts
        if self.op.documented is not None:
            verdicts = verdicts.with_reason(self._documented(judged), "documented")
        failing = np.flatnonzero((verdicts.kind > 0) & (verdicts.severity < 4) & ~judged.tie)
        inside = []
        for k in np.unique(judged.owner[failing]):
            where = failing[judged.owner[failing] == k]
            wanted = self.wanted(judged.cotangent, order_of(judged.column))
            good = excused(
                self.problem(self.samples[k]),
                wanted,
                judged.column,
                judged.entry[where],
                judged.computed[where],
                judged.lower[where],
                judged.verdicts.ulp[where],
                self.fmt,
                kinks=partial(self._kinks_of, int(k)),
            )
            inside.append(where[good])
        if inside:
            verdicts = verdicts.with_reason(np.concatenate(inside), "ill-conditioned")
        verdicts = verdicts.with_reason(np.flatnonzero(_tie_excused(judged)), "ill-conditioned")
        return replace(judged, verdicts=verdicts)

    def _kinks_of(self, k: int) -> Kinks:
        if k not in self._kinks:
            self._kinks[k] = kinks_of(self.problem(self.samples[k]), self.wanted("mixed", 0), self.fmt)
        return self._kinks[k]

    def _documented(self, judged: RowJudged) -> Ints:
        """Entries of the samples that the op's predicate marks as a documented deviation."""
        assert self.op.documented is not None
        marked = [
            k
            for k in np.unique(judged.owner)
            if np.any(self.op.documented(self.params, {**self.samples[k].inputs, **self.samples[k].extra}))
        ]
        return np.flatnonzero(np.isin(judged.owner, marked))


def problem_of(op: Op, params: Mapping[str, Any], reals: Mapping[str, Any], sample: Sample) -> Problem:
    """The exact counterpart of calling `op` on a sample."""
    exact = {n: x for n, x in sample.extra.items() if _is_real(x)}
    fixed = {n: x for n, x in sample.extra.items() if not _is_real(x)}
    rest = {n: v for n, v in params.items() if n not in reals}
    return Problem(
        formula=op.formula, inputs=sample.inputs, reals={**exact, **reals}, fixed={**rest, **fixed}
    )


def _is_real(value: Any) -> bool:
    return isinstance(value, float) or (isinstance(value, np.ndarray) and value.dtype == np.float64)


def _size(sample: Sample) -> int:
    return max(int(np.size(x)) for x in sample.inputs.values())


def _check_size(op: Op, sample: Sample, column: str, computed: Floats, ref: Reference) -> None:
    if len(computed) != len(ref.columns[column]):
        raise Raised(
            f"{op.name} gives {len(computed)} numbers where its definition gives {len(ref.columns[column])} "
            f"({column}, {sample.label})"
        )


def _tie_excused(judged: RowJudged) -> Bools:
    marks = np.zeros(len(judged.owner), dtype=bool)
    for k, found in judged.ties.items():
        if found.ill_conditioned:
            marks |= judged.tie & (judged.owner == k)
    # No move of the inputs makes a NaN.
    return marks & ~np.isnan(judged.computed)
