"""What a baseline keeps of a result: the largest error and the regions that fail, as plain values."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from gradcheck_suite.errors import UsageError
from gradcheck_suite.results import VERDICTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gradcheck_suite.results import Finding, Result

_DIGITS: Final = 4
# Beyond every float: infinities stand at 2047 binades above the smallest subnormal number's.
_NAN_POSITION: Final = 4096.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """One failing interval of a probe; `lo` and `hi` are hex strings, None for a structural finding.

    `points` says how many of the sample's points failed, `ulp` the error of its witness (None where it has
    none). Of what was held fixed only the cotangent counts: the others belong to the witness.
    """

    kind: str
    severity: str
    path: str = "vector"
    probe: str = "input"
    cotangent: str = ""
    lo: str | None = None
    hi: str | None = None
    points: int = 1
    ulp: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One result as a baseline keeps it; `regions` by the part of the finding's id that follows the result's.

    `sample` names the inputs that `max_ulp` was taken over: figures over other samples are not compared.
    """

    verdict: str
    sample: str = ""
    max_ulp: float | None = None
    regions: Mapping[str, Region] = field(default_factory=dict)


def region_of(finding: Finding) -> Region:
    """A finding as a region; the error is rounded up to four digits."""
    return Region(
        kind=finding.kind,
        severity=finding.severity,
        path=finding.path,
        probe=finding.probe,
        cotangent=str(finding.fixed.get("cotangent", "")),
        lo=finding.lo,
        hi=finding.hi,
        points=finding.points,
        ulp=None if finding.witness is None else rounded_up(finding.witness.ulp),
    )


def entry_of(result: Result) -> Entry:
    """A result as an entry: remarks and documented deviations, which never fail, are left out."""
    return Entry(
        verdict=result.verdict,
        sample=result.sample,
        max_ulp=None if result.max_ulp is None else rounded_up(result.max_ulp),
        regions={f.id.removeprefix(f"{result.id}::"): region_of(f) for f in result.findings if gated(f)},
    )


def gated(finding: Finding) -> bool:
    """Whether a finding could fail a run at all."""
    return finding.severity != "info" and finding.status != "documented"


def rounded_up(value: float) -> float:
    """The next number of four decimal digits: short lines that never make the recorded error smaller."""
    if value == 0 or not math.isfinite(value):
        return value
    step = 10.0 ** (math.floor(math.log10(abs(value))) - _DIGITS + 1)
    up = float(f"{math.ceil(value / step) * step:.{_DIGITS}g}")
    return max(up, value) if up < value else up


def position(end: str) -> float:
    """Where a hex string stands on the float line, in binades: adjacent floats of any dtype are close.

    The float64 ordinal over 2^52, so that a difference of 1 is a factor of 2; NaN stands beyond everything.
    """
    value = float.fromhex(end)
    if math.isnan(value):
        return _NAN_POSITION
    (bits,) = struct.unpack("<q", struct.pack("<d", abs(value)))
    return math.copysign(float(bits) / 2.0**52, value)


def entry_to_json(entry: Entry) -> dict[str, Any]:
    """Plain values, defaults left out."""
    data: dict[str, Any] = {"verdict": entry.verdict}
    if entry.sample:
        data["sample"] = entry.sample
    if entry.max_ulp is not None:
        data["max_ulp"] = _plain(entry.max_ulp)
    if entry.regions:
        data["regions"] = {name: _region_to_json(region) for name, region in entry.regions.items()}
    return data


def _region_to_json(region: Region) -> dict[str, Any]:
    defaults = Region(kind="", severity="")
    values = {name: getattr(region, name) for name in Region.__slots__}
    return {n: _plain(v) for n, v in values.items() if v != getattr(defaults, n)}


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def entry_from_json(data: Any, where: str) -> Entry:
    """The entry that plain values describe. Raises UsageError naming the place `where` it does not fit."""
    try:
        regions = {
            str(name): Region(**{**region, "ulp": _number(region.get("ulp"))})
            for name, region in data.get("regions", {}).items()
        }
        for region in regions.values():
            _check_ends(region)
        if data["verdict"] not in VERDICTS:
            raise ValueError(f"its verdict is {data['verdict']!r}")
        return Entry(
            verdict=data["verdict"],
            sample=data.get("sample", ""),
            max_ulp=_number(data.get("max_ulp")),
            regions=regions,
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{where} is no entry of a baseline ({error}); record it again") from None


def _check_ends(region: Region) -> None:
    if (region.lo is None) != (region.hi is None):
        raise ValueError("a region needs both ends or none")
    if region.lo is not None and region.hi is not None:
        position(region.lo), position(region.hi)


def _number(value: Any) -> float | None:
    return None if value is None else float(value)
