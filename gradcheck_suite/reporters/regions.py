"""Where findings hold: as words, as a strip along the float line, gathered into the list of the gravest."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from gradcheck_suite.options import DTYPES
from gradcheck_suite.reporters.numbers import EMAX, decimal, input_text, interval, largest_finite, value_of
from gradcheck_suite.reporters.ordinary import is_ordinary
from gradcheck_suite.reporters.remembered import remembered
from gradcheck_suite.reporters.words import FAMILIAR, path_words
from gradcheck_suite.results import KINDS, Curve, Finding, Result, largest_ulp, severity_rank

# The strip gives most of its width to magnitudes that programs meet, from 1e-4 to 1e4: on the even float line
# the octaves from 10 to 1000, where activations saturate, would be a hair's breadth in float64.
ORDINARY_LOG2: Final = math.log2(1e4)
WIDTH: Final = 100.0
_COUNTS: Final = (
    "entries", "rows", "vectors", "classes", "keys", "pixels", "steps", "positions", "length", "batch",
    "apart", "ignored", "swap",
)  # fmt: skip
_COUNTED: Final = 0.02
_UNUSUAL: Final = 0.3
_LONGEST_HELD: Final = 120
_COTANGENTS: Final = {"scaled": "a loss scale", "one-hot": "a one-hot cotangent"}
_KINDS: Final = {kind: index for index, kind in enumerate(KINDS)}
_NEARLY_ALL: Final = 0.95  # a share from which on naming it would distract
COMMONEST: Final = ("float32", "bfloat16", "float16", "float64")
"""The dtypes by how many programs use them."""

Pair = tuple[Result, Finding]

_TINY, _ORDINARY, _HUGE = 4.0, 34.0, 12.0  # widths on either side of 0


def strip_position(value: float, dtype: str) -> float:
    """Where a value stands on a strip 100 wide: -inf at 0, zero at 50, inf at 100."""
    if value == 0 or math.isnan(value):
        return WIDTH / 2
    return WIDTH / 2 + math.copysign(_offset(abs(value), EMAX.get(dtype, 1023)), value)


def _offset(size: float, emax: int) -> float:
    if math.isinf(size):
        return WIDTH / 2
    log2 = math.log2(size)
    if log2 < -ORDINARY_LOG2:
        bottom = 1.0 - emax
        return _TINY * max(0.0, (log2 - bottom) / (-ORDINARY_LOG2 - bottom))
    if log2 < ORDINARY_LOG2:
        return _TINY + _ORDINARY * (log2 + ORDINARY_LOG2) / (2 * ORDINARY_LOG2)
    top = emax + 1.0
    return _TINY + _ORDINARY + _HUGE * min(1.0, (log2 - ORDINARY_LOG2) / (top - ORDINARY_LOG2))


def bounds(finding: Finding) -> tuple[float, float] | None:
    """The interval of a finding as floats; None where it has none."""
    low, high = value_of(finding.lo), value_of(finding.hi)
    return None if math.isnan(low) or math.isnan(high) else (low, high)


def strip_path(findings: Iterable[Finding], dtype: str, *, least: float = 1.6) -> str:
    """The SVG path of the findings' intervals on a strip 100 wide and 6 high; "" where there is none."""
    parts = []
    for low, high in filter(None, map(bounds, findings)):
        left, right = strip_position(low, dtype), strip_position(high, dtype)
        if right - left < least:  # a point must be seen, too
            left = min(max(0.0, (left + right - least) / 2), WIDTH - least)
            right = left + least
        parts.append(f"M{left:.3g} 0h{right - left:.3g}v6h-{right - left:.3g}z")
    return "".join(dict.fromkeys(parts))


@remembered
def reach(result: Result, finding: Finding) -> float:
    """How much of the inputs that programs meet a finding spoils, from 0 to 1.

    Extreme magnitudes count a tenth. So does what needs another input to be extreme. What needs a cotangent
    other than 1, or another way of calling the op, counts a third. Counts, such as of masked entries, are no
    places on that line.
    """
    limits = bounds(finding)
    if limits is None:
        return 1.0
    usual = (finding.path == "vector") + ("cotangent" not in finding.fixed)
    factor = (1.0 if is_ordinary(result, finding) else 0.1) * _UNUSUAL ** (2 - usual)
    if finding.probe.endswith(_COUNTS):
        return _COUNTED * factor
    left, right = (strip_position(value, result.dtype) for value in limits)
    inner = sum(
        max(0.0, min(right, b) - max(left, a))
        for a, b in ((_HUGE, WIDTH / 2 - _TINY), (WIDTH / 2 + _TINY, WIDTH - _HUGE))
    )
    share = (inner + 0.1 * (right - left - inner)) / (2 * _ORDINARY)
    return finding.share * min(1.0, share) * factor


def held_text(curve: Curve) -> str:
    """What stays fixed along a curve, in one short line: "target = 0.5", "input = [x, -1.25]"."""
    held = ", ".join(f"{name} = {_short_input(value)}" for name, value in curve.fixed.items())
    return held if len(held) <= _LONGEST_HELD else held[: _LONGEST_HELD - 1] + "…"


def _short_input(value: Any) -> str:
    return decimal(value) if isinstance(value, str) else input_text(value)


@remembered
def region_text(finding: Finding, dtype: str) -> str:
    """Where a finding holds, as a condition on its probe: "x ≥ 88.7229 with cotangent = 65536".

    Where good floats lie between the bad ones, the part of the bad is stated; so is a way of calling the op
    without which nothing is wrong.
    """
    name = "x" if finding.probe in ("input", "x") else finding.probe
    fixed = ", ".join(_fixed_text(k, v, dtype) for k, v in finding.fixed.items())
    share = f" ({100 * finding.share:.2g} % of them)" if finding.share < _NEARLY_ALL else ""
    path = "" if finding.path == "vector" else f", {path_words(finding.path)}"
    where = interval(finding.lo, finding.hi, name, dtype, exact=(finding.lo_exact, finding.hi_exact))
    return where + (f" with {fixed}" if fixed else "") + share + path


def _fixed_text(name: str, value: Any, dtype: str) -> str:
    if name == "cotangent" and value in _COTANGENTS:
        return _COTANGENTS[value]
    size = abs(value_of(value)) if isinstance(value, str) else 0.0
    if math.isfinite(size) and size == largest_finite(dtype):
        return f"{name} = {'-' if value.startswith('-') else ''}max"
    return f"{name} = {_short_input(value)}"


def token(result: Result, finding: Finding) -> str:
    """What filters match a finding against: "nan:critical:new:extreme"."""
    inputs = "ordinary" if is_ordinary(result, finding) else "extreme"
    return f"{finding.kind}:{finding.severity}:{finding.status}:{inputs}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The findings of one op, kind and direction over its dtypes and variants, gravest first."""

    op: str
    kind: str
    direction: str
    members: tuple[Pair, ...]

    @property
    def first(self) -> Pair:
        """The gravest member."""
        return self.members[0]

    @property
    def ordinary(self) -> bool:
        """Whether the gravest member shows at ordinary inputs."""
        return is_ordinary(*self.first)

    @property
    def tokens(self) -> str:
        """What filters match against: those of the members, each once."""
        return " ".join(sorted({token(*pair) for pair in self.members}))

    @property
    def ulp(self) -> float | None:
        """The largest ULP error of the members; None where none has one."""
        known = (largest_ulp(f) for _, f in self.members)
        return max((ulp for ulp in known if ulp is not None), default=None)

    @property
    def places(self) -> list[tuple[str, list[Pair]]]:
        """Where the group holds, as text, each with the members of the dtypes that share it."""
        shared: dict[str, list[Pair]] = {}
        for result, finding in self.by_dtype:
            shared.setdefault(region_text(finding, result.dtype), []).append((result, finding))
        return list(shared.items())

    @property
    def by_dtype(self) -> list[Pair]:
        """The gravest member of each dtype, in the usual order of dtypes.

        Where the group is about ordinary inputs, what a dtype shows at extreme ones would only distract.
        """
        found: dict[str, Pair] = {}
        for result, finding in self.members:
            if is_ordinary(result, finding) == self.ordinary:
                found.setdefault(result.dtype, (result, finding))
        order = {dtype: index for index, dtype in enumerate(DTYPES)}
        return sorted(found.values(), key=lambda pair: order.get(pair[0].dtype, len(order)))


def prominence(
    result: Result, finding: Finding, *, usual: bool = True
) -> tuple[bool, int, bool, float, int, int, str]:
    """Sort key, most pressing first: ordinary inputs, severity, new before known, how many inputs, kind.

    `usual` is False for variants, and for gradients by inputs, that fewer programs use than an op's first.
    """
    return (
        not is_ordinary(result, finding),
        severity_rank(finding.severity),
        finding.status != "new",
        -round(reach(result, finding) * (1.0 if usual else 0.1), 4),
        _KINDS[finding.kind],
        len(result.variant),
        result.id,
    )


def groups(results: Iterable[Result]) -> list[Group]:
    """Every finding above `info`, gathered by op, kind and direction, most pressing group first.

    Of equally grave groups the first of each op come before the second ones, custom ops before torch's, and
    ops that most programs use before the others: a reader knows whether such a line concerns him.
    """
    gathered: dict[tuple[str, str, str], list[Pair]] = {}
    first: dict[str, dict[str, Any]] = {}  # the first variant of each op, and the first input that it has
    main: dict[str, str] = {}

    def usual(pair: Pair) -> bool:
        op, wrt = pair[0].op, pair[0].wrt
        return pair[0].variant == first[op] and wrt in (None, main.get(op))

    def pressing(pair: Pair) -> tuple[Any, ...]:
        return prominence(*pair, usual=usual(pair))

    for result in results:
        first.setdefault(result.op, result.variant)
        if result.wrt is not None:
            main.setdefault(result.op, result.wrt)
        for finding in result.findings:
            if finding.severity != "info":
                key = (result.op, finding.kind, result.direction)
                gathered.setdefault(key, []).append((result, finding))
    made = [
        (*_led(found, pressing), op, kind, direction) for (op, kind, direction), found in gathered.items()
    ]

    def weight(group: tuple[tuple[Pair, ...], float, str, str, str]) -> tuple[Any, ...]:
        lead = group[0][0]
        rare = not usual(lead) or lead[0].direction == "double-backward"
        return (*_gravity(lead), rare, -round(group[1], 4), *pressing(lead))

    return _interleaved(
        Group(op=op, kind=kind, direction=direction, members=members)
        for members, _, op, kind, direction in sorted(made, key=weight)
    )


def _led(found: list[Pair], pressing: Callable[[Pair], tuple[Any, ...]]) -> tuple[tuple[Pair, ...], float]:
    """Members in order, but those along one probe first, and how far these reach in all dtypes together.

    It is the probe along which the grave members of most dtypes hold, and of several the one that reaches
    farthest: numbers along one probe compare.
    """
    members = sorted(found, key=pressing)
    grave = [pair for pair in members if _gravity(pair) == _gravity(members[0])]
    reached: dict[tuple[Any, ...], dict[str, float]] = {}
    for pair in grave:
        by_dtype, (_, _, _, reach_below_0, *_) = reached.setdefault(_along(pair[1]), {}), pressing(pair)
        by_dtype[pair[0].dtype] = max(by_dtype.get(pair[0].dtype, 0.0), -reach_below_0)
    probe = max(reached, key=lambda key: (len(reached[key]), sum(reached[key].values())))
    lead = sorted(
        (pair for pair in grave if _along(pair[1]) == probe), key=lambda pair: _commonest(pair[0].dtype)
    )
    kept = set(map(id, lead))
    rest = (pair for pair in members if id(pair) not in kept)
    return (*lead, *rest), sum(reached[probe].values())


def _commonest(dtype: str) -> int:
    return COMMONEST.index(dtype) if dtype in COMMONEST else len(COMMONEST)


def _gravity(pair: Pair) -> tuple[bool, int, bool]:
    return prominence(*pair)[:3]


def _along(finding: Finding) -> tuple[Any, ...]:
    return finding.probe, finding.path, str(finding.fixed.get("cotangent", ""))


def _interleaved(ordered: Iterable[Group]) -> list[Group]:
    """Equally grave groups by how many of their op came before, then by how known the op is, else in order."""
    seen: Counter[tuple[Any, ...]] = Counter()
    keyed = []
    for group in ordered:
        grave = _gravity(group.first)
        known = 0 if group.first[0].custom else 1 if group.op in FAMILIAR else 2
        keyed.append(((*grave, seen[(grave, group.op)], known), group))
        seen[(grave, group.op)] += 1
    return [group for _, group in sorted(keyed, key=lambda pair: pair[0])]
