"""Adversarial rows of logits: equal entries, ties, winners by a gap, masks, mixed magnitudes; numpy only.

Every row is deterministic and holds values of the format.  A row has a place on a *probe*: a curve through
the space of rows with one parameter, such as the gap between the winner and the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from math import log, log2
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gradcheck_suite.floats import Format, round_to

Floats = NDArray[np.float64]

LENGTHS: Final = {
    "quick": (1, 2, 3, 17),
    "default": (1, 2, 3, 17, 64, 97, 512, 1031),
    "thorough": (1, 2, 3, 5, 17, 64, 97, 257, 512, 1031, 4096),
}
"""Lengths of rows by budget; 97 and 1031 are no multiple of any block, and no single block holds the latter."""

PRIME: Final = (97, 1031, 4099)
"""Lengths with a tail in whatever blocks a row is cut into."""

PAST_FLOAT16: Final = 65_600
"""A length past the largest float16 number, 65,504: a count or a sum of ones overflows there."""

_FULL: Final = 17  # rows up to this length take part in every family
_LONGEST: Final = 10_000  # longer ones in one only
_ORDINARY: Final = np.array([0.5, -1.25, 2.0, 0.125, -0.75, 1.5, -2.5, 0.875, 3.0, -0.25, 1.0, -1.75, 0.0625])


@dataclass(frozen=True, slots=True)
class Row:
    """Values of a format, what is hard about them, and where they lie on a probe."""

    values: Floats
    label: str
    probe: str
    at: float
    common: bool = False
    """Whether the row belongs to the few that every axis and option is tried with."""
    curve: Callable[[float], Floats] | None = field(default=None, repr=False, compare=False)
    """The values at another place of the probe, which is a number of the format."""


def rows(fmt: Format, lengths: Sequence[int]) -> Iterator[Row]:
    """Rows of every length; the longer ones only in the families whose difficulty grows with the length."""
    for n in lengths:
        for row in _family(fmt, n):
            values = round_to(row.values, fmt)
            curve = None if row.curve is None else _rounded(row.curve, fmt)
            yield Row(values, f"{row.label}, length {n}", row.probe, row.at, row.common, curve)


def ones(fmt: Format, lengths: Sequence[int]) -> Row | None:
    """The longest row, all of it 1, where no shorter one shows that a sum in the format stops growing."""
    n = max((n for n in lengths if _FULL < n <= _LONGEST), default=0)
    return Row(round_to(np.ones(n), fmt), f"equal entries, length {n}", "level", 1.0) if n else None


def highest_order(entries: int) -> int:
    """The highest derivative to judge on so many entries: past float16's numbers the value takes a second, and
    a gradient another two.
    """
    return 2 if entries < PAST_FLOAT16 else 0


def below_zero(fmt: Format) -> Iterator[Row]:
    """Rows whose maximum is exactly 0, so that log(sum(exp)) is no more than what the others add to it."""
    half, tiny = -log(fmt.unit_roundoff) / 2, -log(fmt.smallest_normal)
    along = _rounded(lambda level: np.array([level, 0.0, level]), fmt)
    for gap in (1.5 * half, half + tiny / 2):
        level = -float(round_to([gap], fmt)[0])
        yield Row(along(level), "a winner at 0, all others below, length 3", "level", level, curve=along)


def along_line(fmt: Format, label: str, probe: str, at: float, base: Floats) -> Row:
    """`at` times a row, on the line of all its multiples."""
    curve = _rounded(lambda place: place * base, fmt)
    return Row(curve(at), label, probe, at, curve=curve)


def _rounded(curve: Callable[[float], Floats], fmt: Format) -> Callable[[float], Floats]:
    def rounded(place: float) -> Floats:
        with np.errstate(over="ignore", invalid="ignore"):
            return round_to(curve(place), fmt)

    return rounded


def _family(fmt: Format, n: int) -> Iterator[Row]:
    if n > _LONGEST:
        # A sum of ones leaves float16, or stops growing in it at 2,048.
        return iter([Row(np.zeros(n), "equal entries", "level", 0.0)])
    if n in PRIME:
        return iter([_spread(n)])
    return _all(fmt, n) if n <= _FULL else _long(fmt, n)


def _all(fmt: Format, n: int) -> Iterator[Row]:
    yield from _long(fmt, n)
    yield from _levels(fmt, n)
    yield from _shifts(fmt, n)
    yield from _special(n)
    if n == 1:
        return
    yield from _gaps(fmt, n)
    yield from _magnitudes(fmt, n)
    for tied in sorted({2, max(n - 1, 2), n}):
        yield Row(_top(n, tied, 1.5), f"{tied} entries tie at the maximum", "tied entries", float(tied))


def _long(fmt: Format, n: int) -> Iterator[Row]:
    yield Row(np.zeros(n), "equal entries", "level", 0.0)
    yield Row(np.resize(_ORDINARY, n), "ordinary entries", "scale", 1.0, True, _scaled(n))
    if n > 1:
        gap = float(round_to([-log(fmt.unit_roundoff)], fmt)[0])
        yield Row(_winner(n, 4.0), "one winner, all others equal", "gap", 4.0, False, _winning(n))
        yield Row(_winner(n, gap), "one winner, all others equal", "gap", gap, True, _winning(n))
        yield Row(-0.25 * np.arange(n, dtype=np.float64), "an arithmetic sequence", "scale", 0.25)


def _spread(n: int) -> Row:
    """Entries of middling size of which hardly two are alike."""
    places = np.modf(np.arange(1, n + 1) * ((5**0.5 - 1) / 2))[0]
    return Row(6 * places - 3, "entries spread evenly", "scale", 1.0)


def _levels(fmt: Format, n: int) -> Iterator[Row]:
    for level in (-1.0, fmt.max / 2, -fmt.max, fmt.smallest_subnormal):
        yield Row(np.full(n, level), "equal entries", "level", level, curve=lambda at: np.full(n, at))


def _shifts(fmt: Format, n: int) -> Iterator[Row]:
    """A shift that the format still resolves to quarters, one to whole steps, and a huge one."""
    p = fmt.precision
    for shift in (2.0 ** (p - 4), -(2.0 ** (p - 4)), 2.0 ** (p - 2)):
        values, label = np.resize(_ORDINARY, n), "ordinary entries shifted by a constant"
        yield Row(values + shift, label, "shift", shift, curve=lambda at: np.resize(_ORDINARY, n) + at)


def _gaps(fmt: Format, n: int) -> Iterator[Row]:
    half, full = -log(fmt.unit_roundoff) / 2, log(fmt.max)
    tiny = -log(fmt.smallest_normal)
    # Up to -log(u) a loss of 1 - p loses ever more digits: at 3/4 of it more than half of them.
    for gap in (fmt.unit_roundoff * 2, 2.0**-4, 1.0, half, 1.5 * half, full, tiny, 2 * tiny, fmt.max / 2):
        rounded = float(round_to([gap], fmt)[0])
        yield Row(_winner(n, gap), "one winner, all others equal", "gap", rounded, curve=_winning(n))
    for gap in (1.0, half, full):
        rounded = float(round_to([gap], fmt)[0])
        yield Row(-_winner(n, gap), "one loser, all others equal", "gap", -rounded, curve=_winning(n))
    extremes = np.full(n, -fmt.max)
    extremes[n // 2] = fmt.max
    yield Row(extremes, "the largest gap there is", "gap", fmt.max)


def _magnitudes(fmt: Format, n: int) -> Iterator[Row]:
    """Geometric sequences of both signs, and large entries that cancel around a small one."""
    span = log2(fmt.max) - 1
    for low, high in ((-8.0, 8.0), (-span / 2, span / 4), (0.0, 6.0)):
        powers = 2.0 ** np.round(np.linspace(low, high, n))
        signs = np.resize([1.0, -1.0, -1.0], n)
        yield Row(
            powers * signs, "a geometric sequence of both signs", "ratio", 2.0 ** ((high - low) / (n - 1))
        )
    big = fmt.max / 16
    cancelling = np.resize([big, 1.0, -big], n)
    yield Row(cancelling, "large entries that cancel around small ones", "level", big)
    for scale in (2.0**-10, 2.0**5, fmt.smallest_normal):
        yield Row(
            np.resize(_ORDINARY, n) * scale, "ordinary entries scaled", "scale", scale, curve=_scaled(n)
        )


def _special(n: int) -> Iterator[Row]:
    inf = np.inf
    base = np.resize(_ORDINARY, n)
    values = base.copy()
    values[n // 2] = np.nan
    yield Row(values, "one NaN", "NaN entries", 1.0)
    if n == 1:
        # Whether a row of a single infinity has a limit is a matter of taste.
        return
    for masked in sorted({1, n - 1, n}):
        values = base.copy()
        values[:masked] = -inf
        label = f"{_entries(masked)} masked by -inf"
        yield Row(values, label, "masked entries", float(masked))
    for count in (1, 2):
        values = base.copy()
        values[-count:] = inf
        yield Row(values, f"{_entries(count)} of +inf", "infinite entries", float(count))


def _entries(count: int) -> str:
    return "1 entry" if count == 1 else f"{count} entries"


def _winner(n: int, gap: float) -> Floats:
    out = np.zeros(n)
    out[(n - 1) // 2] = gap
    return out


def _winning(n: int) -> Callable[[float], Floats]:
    """Rows whose one winner is ahead by the place on the probe, or behind where that is negative."""
    return lambda gap: _winner(n, gap)


def _scaled(n: int) -> Callable[[float], Floats]:
    return lambda scale: np.resize(_ORDINARY, n) * scale


def _top(n: int, tied: int, gap: float) -> Floats:
    out = np.resize(_ORDINARY, n) - 4.0
    out[n - tied :] = gap
    return out


WIDE: Final = 40
"""Rows side by side that the SIMD body of a loop over the inner axes needs in every dtype but the 16-bit
ones."""


def place(row: Floats, dim: int, *, rank: int | None = None, inner: int = 2) -> Floats:
    """The row along axis `dim` of an array: alone where dim = -1 and no rank is given, else with others
    beside it.

    `inner` rows stand side by side along the last axis (the first one, where the row itself lies along the last),
    the same one reversed and rotated.
    """
    if dim == -1 and rank is None:
        return row
    rank = rank or (dim + 2 if dim >= 0 else -dim)
    axis = dim % rank
    shape = [1] * rank
    shape[-1 if axis < rank - 1 else 0] = inner
    shape[axis] = len(row)
    beside = int(np.prod(shape)) // len(row)
    stack = np.stack([_variation(row, k) for k in range(beside)])
    rest = [n for i, n in enumerate(shape) if i != axis]
    return np.ascontiguousarray(np.moveaxis(stack.reshape(*rest, len(row)), -1, axis))


def _variation(row: Floats, k: int) -> Floats:
    rotated = np.roll(row, k)
    return rotated[::-1] if k % 2 else rotated
