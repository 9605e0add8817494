"""What the ends of regions cost: `python -m tests.benchmarks.boundaries [OP …]`.

For each one-input op and dtype, forward and backward, at cotangent 1: floats tried beyond the sample, calls
of torch and the reference, and milliseconds of the processor, with and without the search for larger errors.
The aim is about 2,000 floats and 50 ms for an op and dtype.
"""

from __future__ import annotations

import gc
import sys
import time
from dataclasses import dataclass
from statistics import median

import torch

from gradcheck_suite.engine.cases import Case, collect
from gradcheck_suite.engine.exploring import explore
from gradcheck_suite.engine.pointwise import Subject
from gradcheck_suite.engine.probing import Source
from gradcheck_suite.engine.refusals import Raised, Unsupported
from gradcheck_suite.engine.regions import ALLOWANCES
from gradcheck_suite.ops.registry import registry
from gradcheck_suite.options import Settings

_REPEATS = 3


@dataclass(frozen=True, slots=True)
class Cost:
    """Floats, calls and milliseconds of one exploration, and the regions it found."""

    points: int
    calls: int
    milliseconds: float
    regions: int

    def plus(self, other: Cost) -> Cost:
        return Cost(
            self.points + other.points,
            self.calls + other.calls,
            self.milliseconds + other.milliseconds,
            self.regions + other.regions,
        )


def main(arguments: list[str]) -> None:
    """Print the figures."""
    torch.set_num_threads(1)
    ops = registry()
    # As a run does (see `Runner`).
    gc.collect()
    gc.freeze()
    wanted = arguments or [op.name for op in ops if op.pointwise and len(op.inputs) == 1 and not op.extras]
    costs: dict[str, list[Cost]] = {}
    print(f"{'op':<16}{'dtype':<10}{'floats':>8}{'calls':>7}{'ms':>8}{'with search':>13}{'regions':>9}")
    for name in wanted:
        for dtype in ("float64", "float32", "float16", "bfloat16"):
            cases = collect(Settings(ops=(name,), dtypes=(dtype,), directions=("forward", "backward")), ops)
            first = [case for case in cases if case.variant == cases[0].variant]
            plain, searched = _cost(first, search=False), _cost(first, search=True)
            if plain is None or searched is None:
                continue
            costs.setdefault(dtype, []).append(plain)
            row = f"{name:<16}{dtype:<10}{plain.points:>8}{plain.calls:>7}{plain.milliseconds:>8.1f}"
            print(f"{row}{searched.milliseconds:>13.1f}{plain.regions:>9}")
    for dtype, found in costs.items():
        points, spent = [c.points for c in found], [c.milliseconds for c in found]
        print(
            f"{dtype:<10} median {median(points):.0f} floats, {median(spent):.1f} ms; "
            f"most {max(points)} floats, {max(spent):.1f} ms"
        )


def _cost(cases: list[Case], *, search: bool) -> Cost | None:
    """The cost of all cases of an op and dtype, the fastest of a few repeats; None where it does not run."""
    total = Cost(0, 0, 0.0, 0)
    for case in cases:
        column = "value" if case.direction == "forward" else f"d:{case.op.inputs[0]}"
        subject = Subject(case.op, case.variant, case.dtype, case.order, Settings())
        try:
            main = subject.judged(column, "vector")
        except (Raised, Unsupported):
            return None
        runs = [_explored(subject, column, Source(judged=main), search) for _ in range(_REPEATS)]
        total = total.plus(min(runs, key=lambda c: c.milliseconds))
    return total


def _explored(subject: Subject, column: str, source: Source, search: bool) -> Cost:
    started = time.process_time()
    (found,) = explore(subject, column, [source], allowance=ALLOWANCES["default"], search=search)
    spent = (time.process_time() - started) * 1e3
    cost = Cost(sum(len(p.computed) for p in source.parts), len(source.parts), spent, len(found.groups))
    source.parts.clear()
    return cost


if __name__ == "__main__":
    main(sys.argv[1:])
