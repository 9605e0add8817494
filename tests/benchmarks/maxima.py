"""The largest error of a sweep, found again in two other ways: `python -m tests.benchmarks.maxima [OP …]`.

A second sweep cuts the floats into other blocks, tasks and polynomials; a plain loop in mpmath goes through the
floats around the largest error. All three must state the same maximum. `--dtype float16` takes a second, all
float32 of an op some minutes.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import mpmath
import numpy as np
import torch

from gradcheck_suite.engine import sweep
from gradcheck_suite.engine.sweep.executors import completed
from gradcheck_suite.engine.sweep.work import SPREAD
from gradcheck_suite.floats import Format, format_of, from_ordinal, infinity_ordinal, to_ordinal
from gradcheck_suite.ops.registry import registry
from tests.benchmarks.run import NAIVE, SWEPT

DIRECTIONS: Final = ("forward", "backward")
_BITS: Final = 600
_AROUND: Final = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Maximum:
    """The largest error of one direction: of a sweep, of another one, and of a plain loop around it."""

    direction: str
    swept: tuple[float, float]
    again: tuple[float, float]
    plainly: tuple[float, float]

    @property
    def agrees(self) -> bool:
        """Whether all three are one error, as far as covers state errors."""
        errors = [error for error, _ in (self.swept, self.again, self.plainly)]
        return max(errors) - min(errors) <= 2 * SPREAD * max(1.0, *errors)


def maxima(op: str, dtype: str, *, jobs: int = 1) -> list[Maximum]:
    """The largest errors of an op's value and gradient, each as a pair of the error in ULP and the input."""
    plan = sweep.Plan(op=op, dtype=dtype, directions=DIRECTIONS)
    other = sweep.Plan(
        op=op,
        dtype=dtype,
        directions=DIRECTIONS,
        task=3 << 20,
        batch=3 << 15,
        chunk=3 << 13,
        degree=8,
        kernel="numpy",
    )
    pairs = zip(DIRECTIONS, _swept(plan, jobs), _swept(other, jobs), strict=True)
    return [Maximum(direction=d, swept=a, again=b, plainly=_around(op, dtype, d, a[1])) for d, a, b in pairs]


def _swept(plan: sweep.Plan, jobs: int) -> list[tuple[float, float]]:
    with sweep.open_executor("processes", jobs) as workers:
        done = {
            task.number: found for task, found in completed(sweep.run_task, plan, sweep.tasks(plan), workers)
        }
    found = sweep.merged(plan, done)
    return [(s.ulp, float(from_ordinal([s.worst or 0], plan.fmt)[0])) for s in found]


def _around(op: str, dtype: str, direction: str, x: float) -> tuple[float, float]:
    """The largest error among the floats around x, by mpmath and nothing else of this package but the floats."""
    fmt = format_of(dtype)
    neighbours = _neighbours(x, fmt)
    computed = _torch(op, dtype, direction, neighbours)
    exact = NAIVE[op][DIRECTIONS.index(direction)]
    with mpmath.workprec(_BITS):
        errors = [
            _error(mpmath.mpf(float(got)), exact(mpmath.mpf(float(v))), fmt)
            for v, got in zip(neighbours, computed, strict=True)
        ]
    worst = max(range(len(errors)), key=lambda i: (errors[i], -abs(neighbours[i]), neighbours[i]))
    return errors[worst], float(neighbours[worst])


def _neighbours(x: float, fmt: Format) -> Any:
    place, top = int(to_ordinal([abs(x)], fmt)[0]), infinity_ordinal(fmt)
    ordinals = np.arange(max(place - _AROUND, 0), min(place + _AROUND, top))
    return np.copysign(from_ordinal(ordinals, fmt), x)


def _torch(op: str, dtype: str, direction: str, x: Any) -> Any:
    leaf = torch.from_numpy(x).to(getattr(torch, dtype)).requires_grad_()
    y = registry().get(op).call(leaf)
    found = y if direction == "forward" else torch.autograd.grad(y, leaf, torch.ones_like(y))[0]
    return found.detach().double().numpy()


def _error(got: Any, exact: Any, fmt: Format) -> float:
    """|got - exact| in ulps of the exact value, which is finite and no power of two."""
    exponent = int(mpmath.mag(exact)) - 1 if exact else fmt.emin
    return float(abs(got - exact) / mpmath.mpf(2) ** (max(exponent, fmt.emin) - fmt.precision + 1))


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the maxima, and whether they agree."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.maxima", description=__doc__)
    parser.add_argument("ops", nargs="*", default=list(SWEPT), metavar="OP")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("-j", "--jobs", type=int, default=1)
    given = parser.parse_args(arguments)
    for op in given.ops:
        for found in maxima(op, given.dtype, jobs=given.jobs):
            ulp, x = found.swept
            said = "confirmed" if found.agrees else f"NOT confirmed: {found}"
            print(f"{op} {found.direction}: {ulp:.9g} ULP at {x!r}, {said}", flush=True)


if __name__ == "__main__":
    main()
