"""Samples for elementwise losses whose entries are summed or averaged: what only the reduction can spoil."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt

from gradcheck_suite.floats import Format, round_to
from gradcheck_suite.formula.evaluate import Masks, derivatives
from gradcheck_suite.formula.fields import ARB
from gradcheck_suite.formula.points import bind
from gradcheck_suite.formula.tape import elementwise
from gradcheck_suite.inputs.rows import PAST_FLOAT16
from gradcheck_suite.inputs.targets import Tuples, tuples
from gradcheck_suite.ops.landscape import landscape_of
from gradcheck_suite.ops.record import Op, Params, Sample

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

_SIZES: Final = {"quick": (1, 3), "default": (1, 2, 17, 64), "thorough": (1, 2, 17, 64, 512, 4096)}
_POOL: Final = 400
_LONG: Final = 300
_SPECIAL: Final = 3
_BITS: Final = 256


def samples_of(op: Op, params: Params, fmt: Format, *, budget: str, seed: int) -> Iterator[Sample]:
    """Arrays of tuples of the op: ordinary ones in several sizes, hard ones, huge ones, infinite ones.

    In float16 the mean is also taken over more entries than its largest number.
    """
    pool = tuples(fmt, landscape_of(op, params), _POOL, seed)
    rng = np.random.RandomState(seed + 3)
    finite = _finite(pool)
    tied, clamped, _ = _ties(op, params, pool, finite)
    hard = finite[~tied & ~clamped]
    first = op.inputs[0]
    apart = [np.abs(pool.values[first][hard] - mark) >= 2.0**-10 for mark in op.landmarks(params)]
    ordinary = _ordinary(pool, hard[np.logical_and.reduce(apart)] if apart else hard)
    for n in _SIZES[budget]:
        yield _sample(op, pool, rng.choice(ordinary, n), f"{n} ordinary entries", "entries", n)
    yield _sample(op, pool, rng.choice(ordinary, 20), "4 rows of 5 ordinary entries", "entries", 20, (4, 5))
    arrays = [(rng.choice(hard, 5), "5 hard entries") for _ in range(2 if budget == "quick" else 4)]
    arrays += [(np.append(rng.choice(ordinary, 2), i), "an infinite or NaN entry") for i in _special(pool)]
    kinks = _ordinary(pool, finite[tied & ~clamped])
    arrays += [(kinks[:2], "2 entries at a tie")] if len(kinks) > 1 else []
    yield from _huge(op, params, pool, ordinary, fmt)
    for k, (which, label) in enumerate(arrays):
        yield _sample(op, pool, which, label, "hard entries", k)
    if budget != "quick" and _plain(op, params):
        yield _sample(op, pool, rng.choice(ordinary, _LONG), f"{_LONG} ordinary entries", "entries", _LONG)
    # Losses with a domain divide by small numbers, whose reference takes as long as all other samples
    # together.
    if (
        budget != "quick"
        and fmt.name == "float16"
        and _plain(op, params)
        and params["reduction"] == "mean"
        and not op.domain
    ):
        many = np.full(PAST_FLOAT16, ordinary[len(ordinary) // 2])
        yield _sample(op, pool, many, f"{PAST_FLOAT16} equal entries", "entries", PAST_FLOAT16)


def _sample(
    op: Op, pool: Tuples, which: Ints, label: str, probe: str, at: float, shape: tuple[int, ...] | None = None
) -> Sample:
    values = {n: x[which].reshape(shape or (len(which),)) for n, x in pool.values.items()}
    return Sample(
        inputs={n: values[n] for n in op.inputs},
        extra={n: values[n] for n in op.extras},
        label=label,
        probe=probe,
        at=float(at),
    )


def _ordinary(pool: Tuples, finite: Ints) -> Ints:
    """Points of middling size, whose losses no sum overflows with."""
    sizes = [np.abs(x[finite]) for x in pool.values.values()]
    middling = np.logical_and.reduce([(x == 0) | ((x >= 2.0**-12) & (x <= 2.0**5)) for x in sizes])
    return finite[middling]


def _finite(pool: Tuples) -> Ints:
    return np.flatnonzero(np.logical_and.reduce([np.isfinite(x) for x in pool.values.values()]))


def _ties(op: Op, params: Params, pool: Tuples, which: Ints) -> Masks:
    """Where the loss of a single entry has a kink or a clamp: many in one array would only multiply the work."""
    formula = bind(op.formula, {**params, "reduction": "none"}, op.reals(params), op.extras)
    with ARB.precision(_BITS):
        points = {n: elementwise(ARB.number, x[which].astype(object)) for n, x in pool.values.items()}
        _, masks = derivatives(formula, ARB, points, (), 0)
    return masks


def _huge(op: Op, params: Params, pool: Tuples, ordinary: Ints, fmt: Format) -> Iterator[Sample]:
    """Entries whose losses, their squares or exponentials, are finite while the sum of three of them is not."""
    big = 0.875 * fmt.max
    for k, size in enumerate((big, -big, np.sqrt(big), np.log(big))):
        values = {n: x[ordinary[:1]] for n, x in pool.values.items()} | {op.inputs[0]: round_to([size], fmt)}
        if op.domain is None or bool(np.all(op.domain(params, values))):
            huge = Tuples(values=values, lines=())
            yield _sample(op, huge, np.zeros(3, dtype=np.int64), "3 times one huge entry", "huge entries", k)


def _special(pool: Tuples) -> Ints:
    special = np.setdiff1d(np.arange(len(pool)), _finite(pool))
    return special[:: max(len(special) // _SPECIAL, 1)]


def _plain(op: Op, params: Params) -> bool:
    """Whether nothing but the reduction differs from the defaults: long arrays are tried once an op."""
    rest = {k: v for k, v in op.params({}).items() if k != "reduction"}
    return all(params[k] == v for k, v in rest.items()) and len(op.inputs) == 2
