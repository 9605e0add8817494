"""Searching the ends of classes of points: many boundaries together, in float ordinals, to adjacent floats.

A boundary lies between an `inner` float that belongs to a class and an `outer` one that does not.  Each round
tries a few floats between the two, for all boundaries in one call, and keeps the outermost member.  Where a
class ends cleanly, that is bisection.  Where it fades out, as an accuracy loss does, the floats around the
end show both kinds, and what was found is the outermost member that was seen, no more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from gradcheck_suite.engine.crossings import Bracket

# A call costs as much as fifty floats or so: several floats a round save rounds of bisection.
_CLEAN_WAYS, _GRADUAL_WAYS = 3, 8
# The fewer gaps there are, the more floats of each.
_FEW, _FEW_WAYS = 6, 7
_VERY_FEW, _MOST_WAYS = 2, 15
# Distances from the end at which it is checked: all powers of two up to 2^8, from there powers of eight.
_NEAR_BITS = 8
# Guesses are tried at distances of up to so many floats.
_CLOSE_BY = 1 << 4
# Many floats of a boundary are asked for in parts, so that where the evaluations do not suffice for all boundaries
# they do for some.
_TOGETHER = 24


@dataclass(slots=True, kw_only=True, eq=False)
class Boundary:
    """One end of a class of points of floats.

    `inner` and `outer` are ordinals, the first of a member, the second of another class.  Members reach from
    the end to `far`, and no float from `limit` on may be tried outside.  Where there is no exact end, inner
    and outer need only come within `coarse` steps.  `gradual` states that the class is expected to fade out.
    """

    profile: int
    key: tuple[int, int]
    inner: int
    outer: int
    far: int
    limit: int
    gradual: bool
    coarse: int
    mixed: bool = False
    settled: bool = False

    @property
    def bracket(self) -> Bracket:
        """The floats between which it lies."""
        return Bracket(self.profile, self.inner, self.outer)

    @property
    def outward(self) -> int:
        """+1 where the class lies below its boundary, -1 where it lies above."""
        return self.bracket.outward

    @property
    def gap(self) -> int:
        """Steps from the last member to the first float of another class; 1 where the end is found."""
        return self.bracket.gap

    @property
    def near(self) -> bool:
        """Whether the end is known as closely as it can be."""
        return self.gap <= (self.coarse if self.mixed else 1)

    @property
    def exact(self) -> bool:
        """Whether the class ends here, cleanly, between two adjacent floats."""
        return self.gap <= 1 and self.settled and not self.mixed

    def between(self, ways: int) -> list[int]:
        """Floats to try next, evenly spaced, from the member outwards; none where the end is near enough.

        Two classes that adjoin have one gap between them, where both ask for the same floats.
        """
        if self.near:
            return []
        ways = min(max(_GRADUAL_WAYS, ways) if self.gradual or self.mixed else ways, self.gap - 1)
        rising = [min(self.inner, self.outer) + self.gap * i // (ways + 1) for i in range(1, ways + 1)]
        return rising[:: self.outward]

    def narrow(self, tried: Sequence[int], member: Sequence[bool]) -> None:
        """Keep the outermost member of the floats tried (in outward order), and the float after it."""
        last = max((i for i, m in enumerate(member) if m), default=-1)
        self.mixed |= not all(member[: last + 1])
        if last >= 0:
            self.inner = tried[last]
        if last + 1 < len(tried):
            self.outer = tried[last + 1]

    def around(self, reach: int) -> tuple[list[int], list[int]]:
        """Floats inside and outside the end, at distances that double, up to about `reach`."""
        inside = [self.inner - self.outward * d for d in _distances(min(reach, abs(self.far - self.inner)))]
        room = min(reach, abs(self.limit - self.outer) - 1)
        outside = [self.outer + self.outward * d for d in _distances(room)]
        return inside, outside

    def check(self, inside: Sequence[bool], outside: Sequence[tuple[int, bool]]) -> None:
        """Take notice of others inside and of members outside, which move the end outwards."""
        self.settled = True
        self.mixed |= not all(inside) or any(member for _, member in outside)
        # A few neighbours that are off by more than the threshold are noise, however they lie.
        self.mixed |= self.gradual and len(inside) < _NEAR_BITS
        beyond = [i for i, (_, member) in enumerate(outside) if member]
        if beyond:
            last = beyond[-1]
            self.inner = outside[last][0]
            self.outer = outside[last + 1][0] if last + 1 < len(outside) else self.inner + self.outward


def _distances(reach: int) -> Iterator[int]:
    bits = 0
    while 1 << bits <= reach:
        yield 1 << bits
        bits += 1 if bits < _NEAR_BITS else 3


Ask = Callable[[Sequence[tuple[Boundary, int]]], Sequence[bool]]
"""Whether ordinals belong to the classes of their boundaries: one call of torch and of the reference."""


Foresee = Callable[[Sequence[Bracket]], Mapping[Bracket, Bracket]]
"""Guesses of where classes end between two floats, by bracket; see `crossings`."""


def locate(
    boundaries: Sequence[Boundary],
    ask: Ask,
    *,
    reach: int,
    ways: int | None = None,
    foresee: Foresee | None = None,
    worth_a_guess: int = 1 << 10,
) -> None:
    """Move each boundary to adjacent floats and settle whether the class ends cleanly there.

    `reach` is the distance in floats over which an end must be clean.  `ask` may refuse further questions by
    raising `Exhausted`; boundaries are then left as far as they came.  `ways` floats a round are tried,
    several where it is not given: one is bisection, which asks least.  Guesses are made for gaps that are
    `worth_a_guess` or wider.
    """
    try:
        if foresee is not None:
            wide = [b for b in boundaries if b.gap >= worth_a_guess]
            _follow_guesses(wide, ask, foresee, min(reach, _CLOSE_BY))
        _narrow(boundaries, ask, ways)
        # Where others stood among the members already, nothing is left to be checked.
        _check([b for b in boundaries if not b.mixed], ask, reach)
        _narrow([b for b in boundaries if b.mixed], ask, ways)
    except Exhausted:
        return


class Exhausted(Exception):
    """The evaluations allotted to a search are spent."""


def _follow_guesses(boundaries: Sequence[Boundary], ask: Ask, foresee: Foresee, reach: int) -> None:
    """Ask on both sides of the ends that are foreseen, up to `reach` floats away."""
    guessed = foresee([b.bracket for b in boundaries])
    questions = []
    for b in boundaries:
        found = guessed.get(b.bracket)
        if found is not None:
            inside, outside = replace(b, inner=found.inner, outer=found.outer).around(reach)
            near = [*inside[::-1], found.inner, found.outer, *outside]
            questions.append((b, [o for o in near if 0 < (o - b.inner) * b.outward < b.gap]))
    for start in range(0, len(questions), _TOGETHER):
        _ask_and_narrow(questions[start : start + _TOGETHER], ask)


def _narrow(boundaries: Sequence[Boundary], ask: Ask, ways: int | None) -> None:
    while far := [b for b in boundaries if not b.near]:
        gaps = {(b.profile, min(b.inner, b.outer), b.gap) for b in far}
        by_count = _MOST_WAYS if len(gaps) <= _VERY_FEW else _FEW_WAYS if len(gaps) <= _FEW else _CLEAN_WAYS
        several = ways or by_count
        _ask_and_narrow([(b, b.between(several)) for b in far], ask)


def _ask_and_narrow(questions: Sequence[tuple[Boundary, list[int]]], ask: Ask) -> None:
    answers = iter(ask([(b, ordinal) for b, tried in questions for ordinal in tried]))
    for b, tried in questions:
        b.narrow(tried, [next(answers) for _ in tried])


def _check(boundaries: Sequence[Boundary], ask: Ask, reach: int) -> None:
    for start in range(0, len(boundaries), _TOGETHER):
        around = [(b, *b.around(reach)) for b in boundaries[start : start + _TOGETHER]]
        answers = iter(ask([(b, o) for b, inside, outside in around for o in (*inside, *outside)]))
        for b, inside, outside in around:
            within = [next(answers) for _ in inside]
            b.check(within, [(o, next(answers)) for o in outside])
