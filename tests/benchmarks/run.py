"""How fast exact values are, as ratios within one process: `python -m tests.benchmarks.run [SECTION …]`.

Sections: points (balls and covers against naive mpmath and torch.autograd.gradcheck), sweep (every float32,
against torch's own forward and backward), processes (how a sweep scales), rows (exact gradients of softmax by
the length of the row). Times are of the processor, so that other work on the machine matters little, and
ratios the median of several rounds that measure both sides; wall time only where processes are compared.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from statistics import median
from typing import Any, Final

import mpmath
import numpy as np
import torch

from gradcheck_suite.engine import sweep
from gradcheck_suite.engine.sweep.executors import completed
from gradcheck_suite.engine.sweep.work import Worker, worker_of
from gradcheck_suite.floats import FORMATS, from_ordinal, infinity_ordinal
from gradcheck_suite.formula import taylor
from gradcheck_suite.formula.context import Context
from gradcheck_suite.formula.evaluate import Formula, enclose
from gradcheck_suite.formula.fields import ARB, MPMATH
from gradcheck_suite.formula.points import bind
from gradcheck_suite.formula.tape import gradient
from gradcheck_suite.ops.record import Op
from gradcheck_suite.ops.registry import registry

_FLOAT32 = FORMATS["float32"]
# As precise as two binary64 numbers: what a person would take for "exact enough".
_BITS: Final = 113
_POINTS: Final = 2000
_GRADCHECK: Final = 256
# So many floats of each binade, somewhere in it, stand for all of it.
_FLOATS: Final = 1 << 20
_ROUNDS: Final = 3


def _sqrt2() -> Any:
    return mpmath.sqrt(2)


def _phi(x: Any) -> Any:
    return mpmath.exp(-x * x / 2) / mpmath.sqrt(2 * mpmath.pi)


def _sigmoid(x: Any) -> Any:
    return 1 / (1 + mpmath.exp(-x))


def _softplus(x: Any) -> Any:
    return mpmath.log1p(mpmath.exp(x))


def _inner(x: Any) -> Any:
    return mpmath.sqrt(2 / mpmath.pi) * (x + mpmath.mpf("0.044715") * x**3)


def _inner_slope(x: Any) -> Any:
    return mpmath.sqrt(2 / mpmath.pi) * (1 + 3 * mpmath.mpf("0.044715") * x**2)


# What one writes by hand: the value and its derivative.
NAIVE: Final[dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]]] = {
    "tanh": (mpmath.tanh, lambda x: mpmath.sech(x) ** 2),
    "gelu": (
        lambda x: x * mpmath.erfc(-x / _sqrt2()) / 2,
        lambda x: mpmath.erfc(-x / _sqrt2()) / 2 + x * _phi(x),
    ),
    "silu": (lambda x: x * _sigmoid(x), lambda x: _sigmoid(x) * (1 + x * _sigmoid(-x))),
    "softplus": (_softplus, _sigmoid),
    "mish": (
        lambda x: x * mpmath.tanh(_softplus(x)),
        lambda x: mpmath.tanh(_softplus(x)) + x * mpmath.sech(_softplus(x)) ** 2 * _sigmoid(x),
    ),
    "gelu:tanh": (
        lambda x: x * (1 + mpmath.tanh(_inner(x))) / 2,
        lambda x: (1 + mpmath.tanh(_inner(x))) / 2 + x * mpmath.sech(_inner(x)) ** 2 * _inner_slope(x) / 2,
    ),
    "sigmoid": (_sigmoid, lambda x: _sigmoid(x) * _sigmoid(-x)),
    "logsigmoid": (lambda x: -_softplus(-x), lambda x: _sigmoid(-x)),
    "elu": (
        lambda x: x if x > 0 else mpmath.expm1(x),
        lambda x: mpmath.mpf(1) if x > 0 else mpmath.exp(x),
    ),
}
SWEPT: Final = ("tanh", "gelu", "silu", "softplus", "mish")


def main(arguments: Sequence[str]) -> None:
    """Print the figures of the sections named, or of all."""
    torch.set_num_threads(1)
    chosen = arguments or list(SECTIONS)
    for name in chosen:
        SECTIONS[name]()
        print()


def per_item(work: Callable[[], object], items: int, *, repeats: int = 3) -> float:
    """Processor nanoseconds an item, the best of some repeats."""
    best = float("inf")
    for _ in range(repeats):
        started = time.process_time()
        work()
        best = min(best, time.process_time() - started)
    return best / items * 1e9


# ---------------------------------------------------------------- points


def points() -> None:
    """Value and gradient of a point in us, and how many times faster balls and covers are."""
    print(f"value and gradient, us a point; mpmath at {_BITS} bits; slow and fast are the modes of")
    print(f"torch.autograd.gradcheck, which sees the gradient alone, on {_GRADCHECK} elements")
    _heads("mpmath", "mp.diff", "slow", "fast", "ball", "cover", "mp/ball", "diff/ball")
    ratios = []
    for name in NAIVE:
        rounds = [_point_times(name) for _ in range(_ROUNDS)]
        times = {title: median(r[title] for r in rounds) / 1e3 for title in rounds[0]}
        pair = [median(r[title] / r["ball"] for r in rounds) for title in ("mpmath", "mp.diff")]
        ratios.append(pair)
        print(f"{name:<11}" + "".join(f"{time:8.3g}" for time in times.values()) + _times_faster(pair))
    least = [min(column) for column in zip(*ratios, strict=True)]
    print(f"{'least':<59}" + _times_faster(least))


def _heads(*titles: str) -> None:
    print(f"{'':<11}" + "".join(f"{title:>{10 if '/' in title else 8}}"[-10:] for title in titles))


def _times_faster(ratios: Sequence[float]) -> str:
    return "".join(f"{ratio:9.3g}x" for ratio in ratios)


def _point_times(name: str) -> dict[str, float]:
    """Processor nanoseconds a point of every way to compute it."""
    op, formula = _op_of(name)
    x = _sample(_POINTS)
    balls = {"x": x.astype(object)}
    cover = taylor.build(formula, _FLOAT32, order=1)
    block, _ = cover.find(x)
    return {
        **_naive(name, x[:: _POINTS // 200]),
        **_gradcheck(op, dict(_variant(name))),
        "ball": per_item(lambda: enclose(formula, balls, _FLOAT32, wrt=("x",), order=1), len(x)),
        "cover": per_item(lambda: [cover.evaluate(x, block, k) for k in (0, 1)], len(x), repeats=5),
    }


def _op_of(name: str) -> tuple[Op, Formula]:
    op, variant = registry().get(name.partition(":")[0]), _variant(name)
    return op, bind(op.formula, op.params(variant), op.reals(variant))


def _variant(name: str) -> dict[str, Any]:
    """ "gelu:tanh" is gelu in its tanh form."""
    return {"approximate": "tanh"} if name.endswith(":tanh") else {}


def _sample(count: int) -> Any:
    """Floats in every binade, half of them between 2^-12 and 2^8, where functions bend."""
    rng = np.random.default_rng(0)
    near, far = ((e - _FLOAT32.emin + 1) << 23 for e in (-12, 8))
    ordinals = [rng.integers(1, infinity_ordinal(_FLOAT32), count // 2), rng.integers(near, far, count // 2)]
    return from_ordinal(np.concatenate(ordinals) * rng.choice([-1, 1], 2 * (count // 2)), _FLOAT32)


def _naive(name: str, x: Any) -> dict[str, float]:
    value, derivative = NAIVE[name]
    numbers = [mpmath.mpf(float(v)) for v in x]

    def by_hand() -> None:
        for v in numbers:
            value(v), derivative(v)

    def numerically() -> None:
        for v in numbers:
            value(v), mpmath.diff(value, v)

    with mpmath.workprec(_BITS):
        return {"mpmath": per_item(by_hand, len(x)), "mp.diff": per_item(numerically, len(x))}


def _gradcheck(op: Op, variant: dict[str, Any]) -> dict[str, float]:
    """torch's own check of a float64 gradient, on as many elements as it can be asked for."""
    x = torch.linspace(-4, 4, _GRADCHECK, dtype=torch.float64, requires_grad=True)
    call = partial(op.call, **op.arguments(variant))
    found = {}
    for title, fast in (("slow", False), ("fast", True)):
        work = partial(torch.autograd.gradcheck, call, (x,), fast_mode=fast)
        found[title] = per_item(work, _GRADCHECK, repeats=2)
    return found


# ---------------------------------------------------------------- sweep


def sweeps() -> None:
    """A float of a sweep in ns, against torch's own forward and backward and against naive mpmath."""
    print("a float32 of a sweep, forward and backward, ns; both cores: seconds for all of them")
    _heads("torch", "numba", "numpy", "/torch", "/torch", "mpmath/", "both", "cores")
    for name in SWEPT:
        rounds = [_sweep_times(name) for _ in range(_ROUNDS)]
        torch_ns, numba_ns, numpy_ns = (median(r[k] for r in rounds) for k in range(3))
        over = [median(r[k] / r[0] for r in rounds) for k in (1, 2)]
        faster = median(r[3] / r[1] for r in rounds)
        seconds = [2 * infinity_ordinal(_FLOAT32) * ns * 1e-9 / 2 for ns in (numba_ns, numpy_ns)]
        print(
            f"{name:<11}{torch_ns:8.2f}{numba_ns:8.2f}{numpy_ns:8.2f}{over[0]:9.2f}x{over[1]:9.2f}x"
            f"{faster:9.0f}x{seconds[0]:8.0f}{seconds[1]:8.0f}"
        )


def _sweep_times(name: str) -> list[float]:
    """ns a float of torch alone, and of sweeps by numba and numpy, over a part of every binade; of mpmath."""
    plans = [
        sweep.Plan(op=name, dtype="float32", directions=("forward", "backward"), kernel=kernel)
        for kernel in ("numba", "numpy")
    ]
    parts = _parts(plans[0])
    workers = [worker_of(plan) for plan in plans]
    for worker in workers:
        worker.run(parts[0])
    floats = sum(len(part) for part in parts)
    found = [per_item(partial(_torch_alone, workers[0], plans[0], parts), floats, repeats=1)]
    found += [per_item(partial(_swept, worker, parts), floats, repeats=1) for worker in workers]
    return [*found, _naive(name, _sample(200))["mpmath"]]


def _swept(worker: Worker, parts: Sequence[sweep.Task]) -> None:
    for part in parts:
        worker.run(part)


def _parts(plan: sweep.Plan) -> list[sweep.Task]:
    whole = sweep.tasks(plan)
    starts = np.random.default_rng(1).integers(0, plan.task // _FLOATS, len(whole)) * _FLOATS
    moved = [int(task.start + offset) for task, offset in zip(whole, starts, strict=True)]
    return [replace(task, start=s, stop=s + _FLOATS) for task, s in zip(whole, moved, strict=True)]


def _torch_alone(worker: Worker, plan: sweep.Plan, parts: Sequence[sweep.Task]) -> None:
    for part in parts:
        for start in range(part.start, part.stop, plan.batch):
            bits = np.arange(start, start + plan.batch, dtype=np.uint32)
            bits |= np.uint32(0x80000000 if part.sign < 0 else 0)
            worker.call(bits.view(np.float32))


# ---------------------------------------------------------------- processes and rows


def processes() -> None:
    """Wall time of the same part of a sweep by the number of processes."""
    plan = sweep.Plan(op="gelu", dtype="float32", directions=("forward", "backward"))
    parts = sweep.tasks(plan)[::12]
    floats = sum(len(part) for part in parts)
    alone = 0.0
    for jobs in (1, 2):
        with sweep.open_executor("processes", jobs) as workers:
            # Starting a process imports torch and builds the cover.
            short = [replace(part, stop=part.start + 512) for part in parts[: 8 * jobs]]
            list(completed(sweep.run_task, plan, short, workers))
            started = time.perf_counter()
            list(completed(sweep.run_task, plan, parts, workers))
            rate = floats / (time.perf_counter() - started)
        alone = alone or rate
        print(f"{jobs} at a time: {rate / 1e6:.0f} million floats a second, {rate / alone:.2f}x")


def rows() -> None:
    """Exact softmax with gradient: microseconds an entry by the length of the row."""
    print("softmax with gradient, us an entry: balls, mpmath, ratio")
    for length in (16, 128, 1024, 4096):
        x = np.random.default_rng(length).standard_normal(length)
        times = [_row(field, x) / 1e3 for field in (ARB, MPMATH)]
        print(f"{length:6d} {times[0]:8.2f} {times[1]:8.2f} {times[1] / times[0]:7.1f}x")


def _row(field: Any, x: Any) -> float:
    def work() -> None:
        m = Context(field)
        row = m.variable(x)
        y = m.softmax(row)
        gradient(y, m.const(np.arange(len(x)) + 1.0).value, [row])

    with field.precision(_BITS):
        return per_item(work, len(x))


SECTIONS: Final[dict[str, Callable[[], None]]] = {
    "points": points,
    "sweep": sweeps,
    "processes": processes,
    "rows": rows,
}

if __name__ == "__main__":
    main(sys.argv[1:])
