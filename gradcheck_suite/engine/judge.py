"""Comparing computed with exact values: which points fail, how, and how gravely.  Vectorised; knows no op."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gradcheck_suite.floats import Exact, Format, round_exact, ulp_error

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Codes = npt.NDArray[np.int8]

KINDS = ("", "overflow", "nan", "underflow", "sign", "inaccurate", "tie", "masked")
SEVERITIES = ("", "critical", "major", "minor", "info")
REASONS = ("", "ill-conditioned", "documented", "subnormal", "undefined")

_KIND = {name: code for code, name in enumerate(KINDS)}
_SEVERITY = {name: code for code, name in enumerate(SEVERITIES)}
_REASON = {name: code for code, name in enumerate(REASONS)}

# 2^(emax + 2) and more is no rounding of the largest number.
_PAST = 2

# Failures by which a subnormal number comes out as another or as 0.
_BELOW = [_KIND[name] for name in ("underflow", "sign", "inaccurate")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdicts:
    """One verdict a point: codes into KINDS, SEVERITIES and REASONS (0 is none), and the error in ULP.

    `open` marks points that could not be decided; NaN in `ulp` marks points that were not judged.
    """

    kind: Codes
    severity: Codes
    reason: Codes
    ulp: Floats
    open: Bools

    @property
    def mild(self) -> Bools:
        """Which points do not fail, or are remarked on only."""
        mild: Bools = (self.kind == 0) | (self.severity == _SEVERITY["info"])
        return mild

    def classes(self) -> list[tuple[int, int]]:
        """The codes of kind and reason of failures that occur, in a fixed order."""
        counts = np.bincount(self.kind.astype(np.intp) * len(REASONS) + self.reason)
        pairs = (divmod(int(code), len(REASONS)) for code in np.flatnonzero(counts))
        return [(kind, reason) for kind, reason in pairs if kind]

    def of(self, key: tuple[int, int]) -> Bools:
        """Which points belong to a class: codes of a kind and a reason."""
        belongs: Bools = (self.kind == key[0]) & (self.reason == key[1])
        return belongs

    def with_reason(self, where: Any, reason: str) -> Verdicts:
        """The same verdicts, excused at `where`: severity info, for the reason named."""
        severity, code = self.severity.copy(), self.reason.copy()
        bad = np.zeros(len(self.kind), dtype=bool)
        bad[where] = True
        bad &= self.kind > 0
        severity[bad], code[bad] = _SEVERITY["info"], _REASON[reason]
        return Verdicts(kind=self.kind, severity=severity, reason=code, ulp=self.ulp, open=self.open)

    def as_subnormal(self, where: Any, fmt: Format) -> Verdicts:
        """The same verdicts, with what fails at `where` put down to the rounding of subnormal numbers."""
        severity, code = self.severity.copy(), self.reason.copy()
        bad = np.zeros(len(self.kind), dtype=bool)
        bad[where] = True
        bad &= self.kind > 0
        severity[bad], code[bad] = _SEVERITY[_flush(fmt)], _REASON["subnormal"]
        return Verdicts(kind=self.kind, severity=severity, reason=code, ulp=self.ulp, open=self.open)

    def as_ties(self, where: npt.NDArray[np.int64], ulp: Floats) -> Verdicts:
        """The same verdicts, with gradients at `where` found outside their subdifferential by `ulp`."""
        kind, severity, errors = self.kind.copy(), self.severity.copy(), self.ulp.copy()
        kind[where], severity[where], errors[where] = _KIND["tie"], _SEVERITY["critical"], ulp
        return Verdicts(kind=kind, severity=severity, reason=self.reason, ulp=errors, open=self.open)

    def take(self, where: Any) -> Verdicts:
        """The verdicts of some of the points."""
        return Verdicts(
            kind=self.kind[where],
            severity=self.severity[where],
            reason=self.reason[where],
            ulp=self.ulp[where],
            open=self.open[where],
        )

    def without(self, hidden: Bools) -> Verdicts:
        """The same verdicts, with no failure at `hidden`."""
        return Verdicts(
            kind=np.where(hidden, 0, self.kind).astype(np.int8),
            severity=np.where(hidden, 0, self.severity).astype(np.int8),
            reason=np.where(hidden, 0, self.reason).astype(np.int8),
            ulp=self.ulp,
            open=self.open,
        )

    @classmethod
    def join(cls, parts: Sequence[Verdicts]) -> Verdicts:
        """The verdicts of all parts, one after another."""
        return cls(**{name: np.concatenate([getattr(p, name) for p in parts]) for name in cls.__slots__})

    def joined(self, other: Verdicts) -> Verdicts:
        """These verdicts, then the others."""
        return Verdicts.join([self, other])


def judge(
    computed: Floats,
    lower: Exact,
    upper: Exact,
    fmt: Format,
    *,
    max_ulp: float | Floats,
    tie: Bools | None = None,
    undefined: Bools | None = None,
    open_points: Bools | None = None,
    nan_expected: Bools | None = None,
) -> Verdicts:
    """Judge `computed` against exact values, or against the interval [lower, upper] at the points of `tie`.

    Every argument has one entry a point.  A point fails where its error certainly exceeds `max_ulp`; one that
    its enclosure leaves undecided is open.  `nan_expected` marks NaN inputs whose value must be NaN.
    """
    size = len(computed)
    none = np.zeros(size, dtype=bool)
    tie = none if tie is None else tie
    skip = none if undefined is None else undefined
    unsure = none if open_points is None else open_points
    error, bound, nearest = _distance(computed, lower, upper, fmt, tie)
    error = np.where(skip | unsure, np.nan, error)
    with np.errstate(invalid="ignore"):
        fails = error - bound > max_ulp
        undecided = (error > max_ulp) & ~fails & (bound > 2.0**-16)
    hidden = _hides(computed, nearest, fmt) & ~(fails | skip | unsure | tie)
    if hidden.any():
        fails |= hidden
        undecided &= ~hidden
        error = np.where(hidden, np.inf, error)
    if fails.any():
        proper = tie & (round_exact(lower, fmt) != round_exact(upper, fmt)) if tie.any() else none
        rounded = round_exact(nearest, fmt)
        kind, severity, reason = classified(
            computed, rounded, nearest.to_float64(), error, fails, fmt, tie=proper
        )
    else:
        kind, severity, reason = (np.zeros(size, dtype=np.int8) for _ in range(3))
    if nan_expected is not None:
        wrong = nan_expected & ~np.isnan(computed)
        kind[wrong], severity[wrong] = _KIND["masked"], _SEVERITY["critical"]
        error = np.where(wrong, np.inf, error)
    return Verdicts(kind=kind, severity=severity, reason=reason, ulp=error, open=(unsure & ~skip) | undecided)


def classified(
    computed: Floats,
    rounded: Floats,
    exact: Floats,
    error: Floats,
    fails: Bools,
    fmt: Format,
    *,
    tie: Bools | None = None,
) -> tuple[Codes, Codes, Codes]:
    """Kind, severity and reason of every point; those that do not fail have none.

    `exact` is the exact value in binary64 and `rounded` in `fmt`; `tie` is true only where the set is no
    point.
    """
    at_tie = np.zeros(len(computed), dtype=bool) if tie is None else tie
    kind = _kinds(computed, rounded, at_tie)
    kind[~fails] = 0
    severity = _severities(kind, error, fmt)
    with np.errstate(invalid="ignore"):
        # Where a mode that flushes subnormals shows 0 for both, no error is graver than the flush itself.
        alike = (np.abs(exact) < fmt.smallest_normal) & (np.abs(computed) < fmt.smallest_normal)
    reason = np.zeros(len(kind), dtype=np.int8)
    if alike.any():
        subnormal = alike & np.logical_or.reduce([kind == code for code in _BELOW])
        severity[subnormal], reason[subnormal] = _SEVERITY[_flush(fmt)], _REASON["subnormal"]
    return kind, severity, reason


def _distance(
    computed: Floats, lower: Exact, upper: Exact, fmt: Format, tie: Bools
) -> tuple[Floats, Floats, Exact]:
    """Error, its bound, and the exact value that is nearest: inside the interval of a tie the error is 0."""
    error, bound = ulp_error(computed, lower, fmt)
    if not tie.any():
        return error, bound, lower
    above, above_bound = ulp_error(computed, upper, fmt)
    with np.errstate(invalid="ignore"):
        inside = (computed >= round_exact(lower, fmt)) & (computed <= round_exact(upper, fmt))
        second = tie & (above < error)
    error, bound = np.where(second, above, error), np.where(second, above_bound, bound)
    where = np.flatnonzero(second)
    nearest = lower.put(where, upper[where]) if len(where) else lower
    return np.where(tie & inside, 0.0, error), bound, nearest


def _hides(computed: Floats, exact: Exact, fmt: Format) -> Bools:
    """Finite numbers where the exact one lies past all of the format: the largest is one unit away from infinity as it
    is measured, but says that nothing is infinite.
    """
    beyond = np.isinf(exact.hi) | ((exact.exp > fmt.emax + _PAST) & (exact.rad < 0.25))
    return np.asarray(np.isfinite(computed) & beyond & (exact.hi != 0))


def _kinds(computed: Floats, rounded: Floats, tie: Bools) -> Codes:
    """How each point fails, were it to fail; the first that applies."""
    with np.errstate(invalid="ignore"):
        conditions = [
            (np.isnan(computed), "nan"),
            (tie & np.isfinite(computed), "tie"),
            (np.isinf(computed) & np.isinf(rounded), "sign"),
            (np.isinf(computed), "overflow"),
            (np.isinf(rounded), "masked"),
            ((computed == 0) & (rounded != 0), "underflow"),
            (computed * np.sign(rounded) < 0, "sign"),
        ]
    codes = np.full(len(computed), _KIND["inaccurate"], dtype=np.int8)
    for condition, name in reversed(conditions):
        if condition.any():
            codes[condition] = _KIND[name]
    return codes


def _severities(kind: Codes, error: Floats, fmt: Format) -> Codes:
    severity: Codes = (kind > 0).astype(np.int8) * np.int8(_SEVERITY["critical"])
    inaccurate = kind == _KIND["inaccurate"]
    with np.errstate(invalid="ignore"):
        lost = error > 2.0 ** (fmt.precision / 2)
    severity[inaccurate] = _SEVERITY["minor"]
    severity[inaccurate & lost] = _SEVERITY["major"]
    return severity


def _flush(fmt: Format) -> str:
    """How grave the loss of a subnormal number is.

    float16's carry the gradients of mixed-precision training; elsewhere flushing them is a mode.
    """
    return "minor" if fmt.name == "float16" else "info"
