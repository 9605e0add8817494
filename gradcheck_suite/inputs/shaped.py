"""Inputs of given shapes for ops whose entries depend on each other: scales, cancellation, ties, special
values; numpy only.

Every array is deterministic and holds values of the format.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gradcheck_suite.floats import Format, from_ordinal, infinity_ordinal, round_to, to_ordinal

Floats = NDArray[np.float64]
Shapes = Mapping[str, tuple[int, ...]]

_ORDINARY: Final = np.array([0.5, -1.25, 2.0, 0.125, -0.75, 1.5, -2.5, 0.875, 3.0, -0.25, 1.0, -1.75, 0.0625])
_STRIDE: Final = 5  # coprime to the pattern's length, so that no two inputs line up


@dataclass(frozen=True, slots=True)
class Filling:
    """Arrays by input, what is hard about them, and where they lie on a probe."""

    inputs: dict[str, Floats]
    label: str
    probe: str
    at: float


def fillings(fmt: Format, shapes: Shapes, seed: int) -> Iterator[Filling]:
    """Fillings of all inputs together, and of each alone while the others are ordinary."""
    ordinary = {name: _pattern(shape, k) for k, (name, shape) in enumerate(shapes.items())}
    for filling in (
        *_together(fmt, ordinary),
        *_random(fmt, shapes, seed),
        *_alone(fmt, ordinary),
        *_pairs(fmt, ordinary),
    ):
        rounded = {name: round_to(x, fmt) for name, x in filling.inputs.items()}
        yield Filling(rounded, filling.label, filling.probe, filling.at)


def _pattern(shape: tuple[int, ...], k: int) -> Floats:
    return np.resize(np.roll(_ORDINARY, _STRIDE * k), shape)


def _together(fmt: Format, ordinary: Mapping[str, Floats]) -> Iterator[Filling]:
    for scale in (1.0, 2.0**-10, 2.0**5, 2.0 ** (fmt.emax // 4), 2.0 ** (fmt.emin // 4), fmt.smallest_normal):
        yield Filling(
            {n: x * scale for n, x in ordinary.items()}, f"ordinary entries times {scale:g}", "scale", scale
        )
    for level in (0.0, 1.0, -1.0, fmt.smallest_subnormal):
        yield Filling(
            {n: np.full(x.shape, level) for n, x in ordinary.items()},
            f"all entries {level:g}",
            "level",
            level,
        )
    p = fmt.precision
    for shift in (2.0 ** (p - 4), -(2.0 ** (p - 4))):
        yield Filling(
            {n: x + shift for n, x in ordinary.items()}, f"entries shifted by {shift:g}", "shift", shift
        )


def _random(fmt: Format, shapes: Shapes, seed: int) -> Iterator[Filling]:
    rng = np.random.default_rng(seed)
    for k in range(3):
        drawn = {n: rng.standard_normal(shape) for n, shape in shapes.items()}
        yield Filling(drawn, f"normally distributed entries ({k + 1})", "draw", float(k))
    for k in range(3):
        # Uniform in the exponent: sums of such entries are ruled by a few, and the rest must not be lost for
        # nothing.
        spread = {
            n: rng.choice([-1.0, 1.0], shape) * 2.0 ** rng.uniform(-8, 8, shape)
            for n, shape in shapes.items()
        }
        yield Filling(spread, f"entries of mixed magnitude ({k + 1})", "spread", float(k))


def _alone(fmt: Format, ordinary: Mapping[str, Floats]) -> Iterator[Filling]:
    big = fmt.max / 16
    for name, x in ordinary.items():
        cancelling = np.resize([big, 1.0, -big], x.shape)
        yield Filling(
            {**ordinary, name: cancelling}, f"{name} cancels around small entries", f"level of {name}", big
        )
        for value in (fmt.max, -fmt.max, 0.0, np.inf, -np.inf, np.nan):
            label = f"one entry of {name} is {value:g}"
            yield _with(fmt, ordinary, name, x.size // 2, value, label)
        if x.size > 1:
            # Padding, and what a mask leaves out, stands at the end.
            yield _with(fmt, ordinary, name, -1, np.inf, f"the last entry of {name} is inf")


def _with(
    fmt: Format, ordinary: Mapping[str, Floats], name: str, place: int, value: float, label: str
) -> Filling:
    """One entry of one input is a special value."""
    special = ordinary[name].copy()
    special.flat[place] = value
    at = {np.inf: fmt.max, -np.inf: -fmt.max}.get(value, value)
    return Filling({**ordinary, name: special}, label, f"entry of {name}", 0.0 if np.isnan(at) else at)


def _pairs(fmt: Format, ordinary: Mapping[str, Floats]) -> Iterator[Filling]:
    """Inputs of one shape that are equal, or a few ulps apart."""
    names = list(ordinary)
    for first, second in itertools.pairwise(names):
        if ordinary[first].shape != ordinary[second].shape:
            continue
        base = round_to(ordinary[first], fmt)
        top = infinity_ordinal(fmt) - 1
        for ulps in (0, 1, -3):
            beside = from_ordinal(np.clip(to_ordinal(base, fmt) + ulps, -top, top), fmt)
            label = f"{second} equals {first}" if not ulps else f"{second} lies {ulps} ulps from {first}"
            yield Filling(
                {**ordinary, second: beside}, label, f"ulps between {first} and {second}", float(ulps)
            )
