"""Guesses of where a class of points ends: where results, computed or exact, cross from one kind to another.

Most classes end where torch's results become 0, infinite or NaN, or where the exact ones leave the range of the
format.  That is found without judging anything: computed results alone cost a hundredth of a verdict, and the
size of an exact one tells how far away a crossing is.  A guess need not be right, for it is asked afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from gradcheck_suite.floats import Exact, Format

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_WAYS = 63
# Within so small a part of a binade a class fades out rather than that it ends and sets in again.
_COARSE_BITS = 11
# Brackets shrink with the square of the step before, as those of a secant do.
_FIRST_GUARD, _ROUNDS = 5, 12


class Bracket(NamedTuple):
    """Ordinals of two floats of a profile: of a member, and of one of another class."""

    profile: int
    inner: int
    outer: int

    @property
    def outward(self) -> int:
        return 1 if self.outer > self.inner else -1

    @property
    def gap(self) -> int:
        return abs(self.outer - self.inner)

    def at(self, steps: Sequence[int]) -> Ints:
        """The ordinals so many steps outwards from the inner one."""
        # Ordinals are int64; steps from one end of binary64 to the other are longer.
        return np.array([self.inner + self.outward * step for step in steps], dtype=np.int64)

    def between(self, steps: Sequence[int], i: int) -> Bracket:
        """That from the i-th of rising steps to the next; the inner end is before the first."""
        ends = steps[i - 1] if i else 0, steps[i] if i < len(steps) else self.gap
        inner, outer = (self.inner + self.outward * step for step in ends)
        return Bracket(self.profile, inner, outer)


Asked = Sequence[tuple[Bracket, Sequence[int] | Ints]]
"""Ordinals between the ends of brackets, or these themselves."""


def by_kind(
    brackets: Sequence[Bracket], kinds: Callable[[Asked], Sequence[Ints]], fmt: Format, *, ways: int = _WAYS
) -> dict[Bracket, Bracket]:
    """Adjacent floats between which computed results change to 0, an infinity or NaN, or from it.

    `kinds` are codes of what is computed, see `kinds_of`; so many `ways` are tried in a round.  By bracket; those whose
    two ends are alike have none, nor those in which several changes are seen far apart: where a class ends, stops and
    goes on, only questions in between tell.  Of several that lie close together, as where it fades out, the outermost
    counts.
    """
    close = 1 << max(fmt.precision - _COARSE_BITS, 0)
    wanted = list(dict.fromkeys(brackets))
    ends = kinds([(b, (b.inner, b.outer)) for b in wanted])
    found = {b: b for b, (inner, outer) in zip(wanted, ends, strict=True) if inner != outer}
    own = {b: end[0] for b, end in zip(wanted, ends, strict=True)}
    while wide := [b for b, now in found.items() if now.gap > 1]:
        steps = [_evenly(found[b].gap, ways) for b in wide]
        asked = [(b, found[b].at(s)) for b, s in zip(wide, steps, strict=True)]
        for b, s, codes in zip(wide, steps, kinds(asked), strict=True):
            alike = np.flatnonzero(codes == own[b])
            last = int(alike[-1]) + 1 if len(alike) else 0
            if last == len(alike) or found[b].gap <= close:
                found[b] = found[b].between(s, last)
            else:
                del found[b]
    return found


def kinds_of(y: Floats) -> Ints:
    """Codes: of 0, of infinities of either sign, of NaN, and of all other numbers."""
    codes: Ints = (y == 0) + 2 * (y != y) + 4 * (y == np.inf) + 8 * (y == -np.inf)
    return codes


def _evenly(gap: int, ways: int) -> list[int]:
    apart = max(gap // (ways + 1), 1)
    return [apart * i for i in range(1, min(ways, gap - 1) + 1)]


def by_size(
    brackets: Sequence[Bracket], exact: Callable[[Asked], Sequence[Exact]], fmt: Format, max_ulp: float
) -> dict[Bracket, Bracket]:
    """Floats between which exact results cross an end of the format's range, most of them adjacent; by bracket.

    There are three: of numbers that 0 may not stand for, of normal numbers, and of those that do not overflow.
    Of several that are crossed it is the one next to the member.
    """
    wanted = list(dict.fromkeys(brackets))
    ends = exact([(b, (b.inner, b.outer)) for b in wanted])
    found: dict[Bracket, Bracket] = {}
    levels: dict[Bracket, Level] = {}
    scores: dict[Bracket, Floats] = {}
    for b, end in zip(wanted, ends, strict=True):
        beyond = [(level, _above(end, level)) for level in _levels(fmt, max_ulp)]
        crossed = [(level, s) for level, s in beyond if (s[0] < 0) != (s[1] < 0) and np.isfinite(s).all()]
        if crossed:
            found[b] = b
            levels[b], scores[b] = min(crossed, key=lambda c: abs(float(c[1][0])))
    bits = dict.fromkeys(found, _FIRST_GUARD)
    for _ in range(_ROUNDS):
        wide = [b for b, now in found.items() if now.gap > 1]
        if not wide:
            break
        steps = [_tried(found[b], scores[b], fmt, bits[b]) for b in wide]
        asked = [(b, found[b].at(s)) for b, s in zip(wide, steps, strict=True)]
        for b, s, e in zip(wide, steps, exact(asked), strict=True):
            score = np.array([scores[b][0], *_above(e, levels[b]), scores[b][1]])
            last = int(np.flatnonzero((score[:-1] < 0) == (score[0] < 0))[-1])
            # Where the guards did not hold the root, the next ones stand farther apart.
            bits[b] = 2 * bits[b] if 0 < last < len(s) else _FIRST_GUARD
            found[b], scores[b] = found[b].between(s, last), score[last : last + 2]
    return found


Level = tuple[float, int]
"""Binary logarithms of a number, as a sum."""


def _levels(fmt: Format, max_ulp: float) -> tuple[Level, Level, Level]:
    """The ends of the range."""
    few = float(np.log2(max(max_ulp, 0.5)))
    top = float(np.log2(1 - fmt.unit_roundoff / 2))
    return (few, fmt.ulp_exponent_min), (0.0, fmt.emin), (top, fmt.emax + 1)


def _above(exact: Exact, level: Level) -> Floats:
    """By how many binades numbers exceed a level, in full precision where that is little."""
    with np.errstate(divide="ignore"):
        above: Floats = np.log2(np.abs(exact.hi)) - level[0] + (exact.exp - level[1])
    return above


def _tried(bracket: Bracket, scores: Floats, fmt: Format, bits: int) -> list[int]:
    """Steps from the inner end: where a straight line crosses 0, a little before and after it, and the power of two
    that is nearest to it, where the spacing of floats changes and with it the slope.
    """
    gap, binade = bracket.gap, 1 << (fmt.precision - 1)
    # Where one end is 0 itself, no line leads there.
    part = float(scores[0] / (scores[0] - scores[1])) if np.isfinite(scores).all() else 0.5
    centre, guard = gap * round(part * 2**53) >> 53, max(gap >> bits, 1)
    at = bracket.inner + bracket.outward * centre
    power = (round(at / binade) * binade - bracket.inner) * bracket.outward
    steps = {min(max(s, 1), gap - 1) for s in (centre - guard, centre, centre + 1, centre + guard)}
    return sorted(steps | ({power} if 0 < power < gap else set()))
