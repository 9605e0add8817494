"""Judging one task of a sweep: torch's results on every float, their errors, verdicts on what looks bad."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch

from gradcheck_suite.engine.judge import SEVERITIES, Verdicts, classified
from gradcheck_suite.engine.pointwise import Subject
from gradcheck_suite.engine.sweep.kernels import (
    BINS,
    Kernel,
    NumbaKernel,
    NumpyKernel,
    Piece,
    Scale,
    best_kernel,
    bins_of,
    rounded,
)
from gradcheck_suite.engine.sweep.plan import Plan, Task
from gradcheck_suite.engine.sweep.ranges import MARGIN, Ranges
from gradcheck_suite.engine.sweep.tally import Summary, joined, runs_of
from gradcheck_suite.floats import Format, format_of, from_ordinal, to_ordinal
from gradcheck_suite.formula import taylor
from gradcheck_suite.formula.cover import Cover
from gradcheck_suite.formula.polynomials import TARGET, ulp_below
from gradcheck_suite.loading import register_all
from gradcheck_suite.ops.record import Op
from gradcheck_suite.options import Settings

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

SPREAD: Final = 2 * TARGET
"""How far a stated error may be from the exact one: the cover's bound, and as much for shortening."""

# Floats beside the cover, in one task; they are evaluated one by one.
_MOST_APART: Final = 20_000
_MOST_RUNS: Final = 64
_AT_ONCE: Final = 1 << 14
# Floats of one part that are asked whether they deviate as the documentation states.
_DOCUMENTED: Final = 32
_ONE_AT_A_TIME: Final = threading.Lock()
_INFO: Final = SEVERITIES.index("info")


def run_task(plan: Plan, task: Task) -> list[dict[str, Any]]:
    """One summary a direction, as plain JSON values: what an executor calls."""
    # A worker's buffers and flint's precision belong to the process; a Dask worker may have several threads.
    with _ONE_AT_A_TIME:
        return [summary.to_json() for summary in worker_of(plan).run(task)]


@lru_cache(maxsize=2)
def worker_of(plan: Plan) -> Worker:
    """The worker of this process for a plan; the cover is built once."""
    # Threads split a tensor and with it change which elements take the vector path.
    torch.set_num_threads(1)
    return Worker(plan, register_all(plan.load).get(plan.op))


def _kernel(name: str) -> Kernel:
    if name == "numpy":
        return NumpyKernel()
    return NumbaKernel() if name == "numba" else best_kernel()


@dataclass(frozen=True, slots=True)
class _Blocks:
    """The blocks of a cover on one side of 0 by rising magnitude: numbers of the cover's, first and last
    ordinals.
    """

    number: Ints
    first: Ints
    last: Ints


@dataclass(slots=True)
class _Apart:
    """Floats that no block covers, with what torch computed there, column by column."""

    x: list[Singles] = field(default_factory=list)
    got: list[list[Singles]] = field(default_factory=list)
    size: int = 0

    def add(self, x: Singles, got: list[Singles]) -> None:
        if self.size < _MOST_APART:
            self.x.append(x.copy())
            self.got.append([g.copy() for g in got])
        self.size += len(x)


class Worker:
    """One plan in one process."""

    def __init__(self, plan: Plan, op: Op) -> None:
        self.plan, self.op, self.fmt = plan, op, plan.fmt
        variant = dict(plan.variant)
        settings = Settings(ops=(op.name,), max_ulp=plan.max_ulp)
        self.subject = Subject(op, variant, plan.dtype, max(plan.order, 1), settings)
        self.cover = taylor.build(
            self.subject.formula, self.fmt, order=plan.order, degree=plan.degree, margin=MARGIN
        )
        self.kernel, self.scale = _kernel(plan.kernel), Scale.of(self.fmt)
        self.ranges = Ranges(self.subject, self.cover, self.kernel, degree=plan.degree)
        self.spread = SPREAD * max(1.0, self.subject.max_ulp)
        self.call = _caller(op, variant, plan)
        self.columns = tuple(f"{'d' * m}:{op.inputs[0]}" if m else "value" for m in plan.derivatives)
        self.sides = {sign: _side(self.cover, sign, self.fmt) for sign in (1, -1)}

    def run(self, task: Task) -> list[Summary]:
        """Summaries of the task's floats, one a direction."""
        found = [Summary() for _ in self.columns]
        apart = _Apart()
        pieces = self._pieces(task)
        for start in range(task.start, task.stop, self.plan.batch):
            stop = min(start + self.plan.batch, task.stop)
            x = _floats(task.sign, start, stop, self.plan.dtype)
            got = self.call(x)
            for low, high in self._inside(x):
                cut = [g[low:high] for g in got]
                self._stretch(task.sign, start + low, x[low:high], cut, pieces, found, apart)
        self._judge_apart(apart, found)
        for summary in found:
            summary.runs = joined(summary.runs, most=_MOST_RUNS)
        return found

    def _inside(self, x: Singles) -> Iterator[tuple[int, int]]:
        """The stretches of a batch that lie in the op's domain."""
        if self.op.domain is None:
            yield 0, len(x)
            return
        wide = x.astype(np.float64)
        inside = np.asarray(self.op.domain(self.subject.params, {self.op.inputs[0]: wide}), dtype=bool)
        edges = np.flatnonzero(np.diff(np.concatenate([[False], inside, [False]]).astype(np.int8)))
        yield from ((int(a), int(b)) for a, b in edges.reshape(-1, 2))

    def _pieces(self, task: Task) -> dict[int, list[Piece]]:
        """For every block that meets the task, polynomials of all columns, as short as they may be there."""
        side = self.sides[task.sign]
        low, high = np.searchsorted(side.last, task.start), np.searchsorted(side.first, task.stop)
        pieces: dict[int, list[Piece]] = {}
        for i in range(int(low), int(high)):
            ends = np.array([max(int(side.first[i]), task.start), min(int(side.last[i]), task.stop - 1)])
            pieces[i] = [self._piece(int(side.number[i]), task.sign, ends, m) for m in self.plan.derivatives]
        return pieces

    def _piece(self, block: int, sign: int, ends: Ints, derivative: int) -> Piece:
        column = self.cover.columns[derivative]
        centre, inverse = float(self.cover.centre[block]), float(self.cover.inverse[block])
        t = np.abs((_values(sign, ends, self.fmt) - centre) * inverse)
        lead = float(t.min()) ** int(column.power[block])
        size = (column.floor[block] - column.relative[block]) * lead - column.absolute[block]
        allowed = TARGET * float(ulp_below(np.array([size * (1 - 2.0**-40)]), self.fmt)[0])
        return Piece(
            centre=centre,
            inverse=inverse,
            polynomial=_shortened(column.coefficients[block], float(t.max()), allowed),
            half=0.5 + SPREAD,
            suspicious=self.subject.max_ulp - self.spread,
        )

    def _stretch(
        self,
        sign: int,
        start: int,
        x: Singles,
        got: list[Singles],
        pieces: dict[int, list[Piece]],
        found: list[Summary],
        apart: _Apart,
    ) -> None:
        """Errors on consecutive floats, block by block; `start` is the ordinal of the first."""
        side, stop = self.sides[sign], start + len(x)
        at = start
        i = int(np.searchsorted(side.last, start))
        while at < stop:
            begins = min(int(side.first[i]), stop) if i < len(side.first) else stop
            if begins > at:
                cut = slice(at - start, begins - start)
                apart.add(x[cut], [g[cut] for g in got])
                at = begins
                continue
            ends = min(int(side.last[i]) + 1, stop)
            cut = slice(at - start, ends - start)
            for k, summary in enumerate(found):
                self._block(sign, at, x[cut], got[k][cut], int(side.number[i]), pieces[i][k], k, summary)
            at, i = ends, i + 1

    def _block(
        self,
        sign: int,
        start: int,
        x: Singles,
        got: Singles,
        block: int,
        piece: Piece,
        k: int,
        summary: Summary,
    ) -> None:
        tally = self.kernel.run(x, got, piece, self.scale, summary.histogram)
        summary.points += len(x)
        summary.rounded += tally.rounded
        summary.note_worst(_error(tally.worst), sign * (start + tally.at))
        if len(tally.suspects):
            chunk = self.plan.chunk
            ends = np.arange(start // chunk * chunk + chunk, start + len(x), chunk) - start
            for which in np.split(tally.suspects, np.searchsorted(tally.suspects, ends)):
                self._suspects(
                    sign * (start + which), x[which].astype(np.float64), got[which], block, k, summary
                )

    def _suspects(
        self, ordinals: Ints, x: Floats, got: Singles, block: int, k: int, summary: Summary
    ) -> None:
        """Verdicts on floats of one chunk and block whose error is near or above the threshold."""
        near, fails = np.zeros(len(x), dtype=bool), np.zeros(len(x), dtype=bool)
        found = []
        # In parts that stay in the cache, like all that is allocated for them.
        for i in range(0, len(x), _AT_ONCE):
            part = slice(i, i + _AT_ONCE)
            near[part], fails[part], verdicts = self._verdicts(x[part], got[part], block, k)
            found.append(verdicts)
        if near.any():
            # The bound leaves these open; a ball decides.
            self._one_by_one(x[near], got[near].astype(np.float64), k, summary)
        if fails.any():
            self._note(ordinals if fails.all() else ordinals[fails], Verdicts.join(found), summary)

    def _verdicts(self, x: Floats, got: Singles, block: int, k: int) -> tuple[Bools, Bools, Verdicts]:
        """Which errors are near the threshold, which are certainly above it, and verdicts on the latter."""
        derivative, computed = self.plan.derivatives[k], got.astype(np.float64)
        exact, error = self.kernel.closely(x, got, self.ranges.piece(block, derivative), self.scale)
        error[np.isnan(error)] = np.inf
        near: Bools = np.abs(error - self.subject.max_ulp) <= self.spread
        fails: Bools = (error > self.subject.max_ulp) & ~near
        if not fails.all():
            x, computed, exact, error = x[fails], computed[fails], exact[fails], error[fails]
        nearest, certain = rounded(exact, self.fmt), np.ones(len(x), dtype=bool)
        kind, severity, reason = classified(computed, nearest, exact, error, certain, self.fmt)
        verdicts = Verdicts(kind=kind, severity=severity, reason=reason, ulp=error, open=~certain)
        return near, fails, self._reasons(x, computed, exact, verdicts, block, derivative)

    def _reasons(
        self, x: Floats, computed: Floats, exact: Floats, verdicts: Verdicts, block: int, derivative: int
    ) -> Verdicts:
        if self.op.documented is not None:
            with np.errstate(all="ignore"):
                marked = np.asarray(
                    self.op.documented(self.subject.params, {self.op.inputs[0]: x}), dtype=bool
                )
            if self.op.documented_form is not None and marked.any():
                marked &= self._as_documented(x, computed, verdicts, marked, derivative)
            verdicts = verdicts.with_reason(marked, "documented")
        where = np.flatnonzero(verdicts.severity < _INFO)
        if not len(where):
            return verdicts
        chosen = slice(None) if len(where) == len(x) else where
        inside = self.ranges.holds(x[chosen], computed[chosen], exact[chosen], block, derivative)
        return verdicts.with_reason(where[inside], "ill-conditioned")

    def _as_documented(
        self, x: Floats, computed: Floats, verdicts: Verdicts, marked: Bools, derivative: int
    ) -> Bools:
        """Whether what is computed is what the documentation states, asked of a few of the floats that it speaks of:
        of none more, where one of these is something else.
        """
        some = np.flatnonzero(marked)
        some = some[:: max(1, len(some) // _DOCUMENTED)]
        column = self.columns[self.plan.derivatives.index(derivative)]
        given = {self.op.inputs[0]: x[some]}
        holds = self.subject.as_documented(given, computed[some], verdicts.take(some), column)
        found = np.full(len(x), bool(holds.all()))
        found[some] = holds
        return found

    def _note(self, ordinals: Ints, verdicts: Verdicts, summary: Summary) -> None:
        summary.runs += runs_of(ordinals, verdicts.kind, verdicts.reason, verdicts.severity, verdicts.ulp)

    def _one_by_one(self, x: Floats, computed: Floats, k: int, summary: Summary) -> Verdicts:
        """Verdicts by balls, as on any sample; failures are noted."""
        points = self.subject.exact(x, self.plan.derivatives[k])
        judged = self.subject.judge_column(x, computed, points, self.columns[k])
        bad = judged.verdicts.kind > 0
        summary.undecided += int(judged.verdicts.open.sum())
        if bad.any():
            self._note(to_ordinal(x[bad], self.fmt), judged.verdicts.take(bad), summary)
        return judged.verdicts

    def _judge_apart(self, apart: _Apart, found: list[Summary]) -> None:
        if not apart.size:
            return
        x = np.concatenate(apart.x).astype(np.float64)
        for k, summary in enumerate(found):
            summary.uncovered += apart.size - len(x)
            computed = np.concatenate([got[k] for got in apart.got]).astype(np.float64)
            error = self._one_by_one(x, computed, k, summary).ulp
            known = np.flatnonzero(~np.isnan(error))
            summary.points += len(known)
            summary.rounded += int(np.count_nonzero(error[known] <= 0.5 + SPREAD))
            summary.histogram += np.bincount(bins_of(error[known]), minlength=BINS)
            for i in known[error[known] == error[known].max()] if len(known) else ():
                summary.note_worst(float(error[i]), int(to_ordinal(x[i : i + 1], self.fmt)[0]))


# ---------------------------------------------------------------- floats and calls


def _values(sign: int, ordinals: Ints, fmt: Format) -> Floats:
    return sign * from_ordinal(ordinals, fmt)


def _floats(sign: int, start: int, stop: int, dtype: str) -> Singles:
    """Consecutive floats of a dtype, in float32, which holds each of them; -0 among the negative ones."""
    if dtype == "float32":
        bits = np.arange(start, stop, dtype=np.uint32)
        if sign < 0:
            bits |= np.uint32(0x80000000)
        return bits.view(np.float32)
    return _values(sign, np.arange(start, stop, dtype=np.int64), format_of(dtype)).astype(np.float32)


def _side(cover: Cover, sign: int, fmt: Format) -> _Blocks:
    own = np.flatnonzero(cover.last > 0 if sign > 0 else cover.first < 0)
    near, far = (cover.first, cover.last) if sign > 0 else (cover.last, cover.first)
    first, last = (np.abs(to_ordinal(ends[own], fmt)) for ends in (near, far))
    rank = np.argsort(first)
    return _Blocks(own[rank], first[rank], last[rank])


def _shortened(coefficients: Floats, reach: float, allowed: float) -> Floats:
    """The polynomial without its last terms, which together are at most `allowed` for |t| <= reach."""
    size = np.abs(coefficients) * reach ** np.arange(len(coefficients))
    left_out = np.cumsum(size[::-1])[::-1] * (1 + 2.0**-40)
    length = int(np.argmax(left_out <= allowed)) if (left_out <= allowed).any() else len(coefficients)
    return np.ascontiguousarray(coefficients[: max(length, 1)])


def _error(bits: int) -> float:
    """The error that these bits mean; NaN, where a NaN was computed, counts as infinite."""
    error = float(np.int64(bits).view(np.float64))
    return float("inf") if np.isnan(error) else error


def _caller(op: Op, variant: dict[str, Any], plan: Plan) -> Callable[[Singles], list[Singles]]:
    """What torch computes at some floats, one array a direction."""
    dtype, arguments = getattr(torch, plan.dtype), op.arguments(variant)
    ones = torch.ones(plan.batch, dtype=dtype)

    def computed(x: Singles) -> list[Singles]:
        # A copy, lest a custom op that overwrites its input change what it is judged on.
        leaf = torch.from_numpy(x).to(dtype, copy=op.custom).requires_grad_(plan.order > 0)
        found = [op.call(leaf, **arguments)]
        for m in range(plan.order):
            twice = m + 1 < plan.order
            found.append(_gradient(found[-1], leaf, ones[: len(x)], create_graph=twice))
        return [found[m].detach().float().numpy() for m in plan.derivatives]

    return computed


def _gradient(y: torch.Tensor, leaf: torch.Tensor, ones: torch.Tensor, *, create_graph: bool) -> torch.Tensor:
    if not y.requires_grad:
        return torch.zeros_like(leaf)
    found: tuple[torch.Tensor | None, ...] = torch.autograd.grad(
        y, leaf, ones, create_graph=create_graph, allow_unused=True
    )
    return torch.zeros_like(leaf) if found[0] is None else found[0]
