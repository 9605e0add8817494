"""The second ruler on whole arrays: ranges of exact results from Taylor covers instead of balls."""

from __future__ import annotations

import itertools
from typing import Final

import numpy as np
import numpy.typing as npt

from gradcheck_suite.engine.conditioning import excused, units
from gradcheck_suite.engine.pointwise import Subject
from gradcheck_suite.engine.sweep.kernels import Kernel, Piece, between
from gradcheck_suite.formula import taylor
from gradcheck_suite.formula.cover import Cover
from gradcheck_suite.formula.points import bind

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

MARGIN: Final = 9
"""Floats beyond its ends for which a block must hold: 8 units of roundoff move an input by 8 at most."""

_FEW: Final = 20_000


class Ranges:
    """Ranges of one formula; covers at moved parameters are built when they are first needed."""

    def __init__(self, subject: Subject, cover: Cover, kernel: Kernel, *, degree: int) -> None:
        self.subject, self.cover, self.kernel, self.degree = subject, cover, kernel, degree
        self.covers: dict[tuple[int, ...], Cover] = {(0,) * len(subject.reals): cover}

    def piece(self, block: int, derivative: int) -> Piece:
        """The whole polynomial of a block."""
        coefficients = self.cover.columns[derivative].coefficients[block]
        return Piece(
            centre=float(self.cover.centre[block]),
            inverse=float(self.cover.inverse[block]),
            polynomial=coefficients,
            half=0.5,
            suspicious=self.subject.max_ulp,
        )

    def holds(self, x: Floats, computed: Floats, exact: Floats, block: int, derivative: int) -> Bools:
        """Which computed values lie inside the range of the column when x and the parameters move; `exact` is
        the column where nothing moves.
        """
        relative = units() * self.subject.fmt.unit_roundoff
        low, high = float(x.min()), float(x.max())
        ends = [low * (1 - relative), low * (1 + relative), high * (1 - relative), high * (1 + relative)]
        here = self.cover
        if not self.subject.reals and here.low[block] <= min(ends) and max(ends) <= here.high[block]:
            piece = self.piece(block, derivative)
            return self.kernel.within(x, computed, exact, piece, relative, self.subject.fmt)
        return self._moved(x, computed, exact, block, derivative)

    def _moved(self, x: Floats, computed: Floats, exact: Floats, block: int, derivative: int) -> Bools:
        """`holds` where parameters move too, or inputs leave the block."""
        lowest = highest = exact
        relative = units() * self.subject.fmt.unit_roundoff
        missing = np.zeros(len(x), dtype=bool)
        for sign, *others in itertools.product((-1, 1), repeat=1 + len(self.subject.reals)):
            moved = x * (1 + sign * relative)
            value, known = self._evaluated(moved, tuple(others), block, derivative)
            if known is None:
                lowest, highest = np.minimum(lowest, value), np.maximum(highest, value)
                continue
            lowest = np.where(known, np.minimum(lowest, value), lowest)
            highest = np.where(known, np.maximum(highest, value), highest)
            missing |= ~known
        inside = between(computed, lowest, highest, relative, self.subject.fmt)
        rest = np.flatnonzero(missing & ~inside)[:_FEW]
        if len(rest):
            inside[rest] = self._one_by_one(x[rest], computed[rest], derivative)
        return inside

    def _evaluated(
        self, x: Floats, moves: tuple[int, ...], block: int, derivative: int
    ) -> tuple[Floats, Bools | None]:
        """The column at moved inputs and parameters, and where it is known; None for everywhere."""
        here = self.cover
        if not any(moves) and here.low[block] <= x.min() and x.max() <= here.high[block]:
            return here.evaluate(x, block, derivative)[0], None
        cover = self._cover(moves)
        blocks, known = cover.find(x)
        return (cover.evaluate(x, blocks, derivative)[0] if len(cover) else x), known

    def _cover(self, moves: tuple[int, ...]) -> Cover:
        """The cover with every real parameter moved by its own sign."""
        if moves not in self.covers:
            subject, precision = self.subject, self.subject.fmt.precision
            factors = [(2**precision + s * units(), -precision) for s in moves]
            pairs = zip(subject.reals.items(), factors, strict=True)
            shifted = {n: scaled_real(v, f) for (n, v), f in pairs}
            formula = bind(subject.op.formula, subject.params, shifted)
            self.covers[moves] = taylor.build(formula, subject.fmt, order=subject.order, degree=self.degree)
        return self.covers[moves]

    def _one_by_one(self, x: Floats, computed: Floats, derivative: int) -> Bools:
        subject, name = self.subject, self.subject.op.inputs[0]
        column = f"{'d' * derivative}:{name}" if derivative else "value"
        points = subject.exact(x, derivative)
        return excused(
            subject.moving(column), {name: x}, computed, (points.lower[column], points.upper[column])
        )


def scaled_real(value: float, factor: tuple[int, int]) -> tuple[int, int]:
    """value times man * 2^exp, exactly, as such a pair."""
    numerator, denominator = value.as_integer_ratio()
    return numerator * factor[0], factor[1] + 1 - denominator.bit_length()
