"""Comparing a result with its entry: what is known, what is new, what grew, and what got better."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from gradcheck_suite.baseline.record import Region, gated, position, region_of
from gradcheck_suite.results import Finding, Witness, severity_rank

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gradcheck_suite.baseline.record import Entry
    from gradcheck_suite.floats import Format
    from gradcheck_suite.results import Result

_LINES: Final = 8
"""About how many lines the points of several inputs are spread over."""

_FEW: Final = 16
"""Points by which a region may fill up, whatever it had."""

# Binades between the largest and the smallest float, of one sign.
_BINADES: Final = {"float64": 2098, "float32": 277, "float16": 40, "bfloat16": 261}


@dataclass(frozen=True, slots=True, kw_only=True)
class Slack:
    """How far a result may stray before that counts.

    With `same_arithmetic` both were computed alike to the last bit where nothing changed. Otherwise three things more
    are the machine's: which sign or zero comes out where all digits are lost, how many digits are lost beyond half of
    them, and the digits of subnormal results.

    An error may reach `max(old * factor, old + ulp)`; one of up to `noise` thresholds is no new finding by
    itself, for what was just below the threshold may come out just above it. The end of a region may move by
    `binades`, or by `sample_steps` distances between neighbouring points of the sample where that is more,
    for a region that is not exact is only known to a step of the sample. `crowd` times as many points may
    fail.
    """

    factor: float
    ulp: float
    noise: float
    binades: float
    sample_steps: float
    crowd: float
    same_arithmetic: bool

    def allowed(self, old: float) -> float:
        """The largest error that a recorded error of `old` explains."""
        return max(old * self.factor, old + self.ulp)


# Functions that no fingerprint covers may still differ a little.
SAME_ENVIRONMENT: Final = Slack(
    factor=2.0, ulp=1.0, noise=2.0, binades=0.5, sample_steps=3.0, crowd=4.0, same_arithmetic=True
)
# Other instruction sets, and libraries on other processors, take other polynomials and add in another order: a
# sum of 512 terms, added one by one, has been seen 8 times as far off as in 16 lanes.
OTHER_ENVIRONMENT: Final = Slack(
    factor=8.0, ulp=4.0, noise=16.0, binades=2.0, sample_steps=6.0, crowd=16.0, same_arithmetic=False
)


def judged(result: Result, entry: Entry, slack: Slack, max_ulp: float) -> Result:
    """The result with its findings told apart: known ones by the entry, new ones with what the entry says
    instead.

    `max_ulp` is the threshold of the run. A larger maximum error, and a case that is no longer judged, become
    findings of their own.
    """
    noise = slack.noise * max_ulp
    findings = tuple(_told_apart(finding, result, entry, slack, noise) for finding in result.findings)
    worse = tuple(_worse(result, findings, entry, slack))
    verdict = "findings" if worse else result.verdict
    return dataclasses.replace(result, findings=findings + worse, verdict=verdict)


def recorded(result: Result) -> Result:
    """The result with all its findings known, as it is once they have been recorded."""
    findings = tuple(dataclasses.replace(f, status="known") if gated(f) else f for f in result.findings)
    return dataclasses.replace(result, findings=findings)


def improvements(result: Result, entry: Entry, slack: Slack) -> list[str]:
    """One sentence for each region that is gone and for a maximum error that fell, beyond slack."""
    if result.verdict == "unsupported":
        return []
    now = [region_of(finding) for finding in result.findings if gated(finding)]
    gone = [old for old in entry.regions.values() if not any(_touches(old, new) for new in now)]
    sentences = [f"{result.id}: {_named(old)} is gone" for old in gone]
    old, new = entry.max_ulp, result.max_ulp
    if old is not None and new is not None and _same_sample(result, entry) and slack.allowed(new) < old:
        sentences.append(f"{result.id}: the largest error fell from {old:.6g} to {new:.6g} ULP")
    return sentences


def _told_apart(finding: Finding, result: Result, entry: Entry, slack: Slack, noise: float) -> Finding:
    if not gated(finding) or finding.status == "known":
        return finding
    reason = None if _is_noise(finding, result, slack, noise) else _unexplained(finding, result, entry, slack)
    if reason is None:
        return dataclasses.replace(finding, status="known")
    return dataclasses.replace(finding, message=f"{finding.message} {reason}")


def _is_noise(finding: Finding, result: Result, slack: Slack, noise: float) -> bool:
    if finding.kind != "inaccurate" or finding.severity != "minor" or finding.witness is None:
        return False
    machine = not slack.same_arithmetic and _is_subnormal(finding.witness.exact, result)
    return finding.witness.ulp <= noise or machine


def _format(result: Result) -> Format:
    # The command line reads its grammar, and with it this module, before it waits for numpy.
    from gradcheck_suite.floats import format_of

    return format_of(result.dtype)


def _is_subnormal(exact: str, result: Result) -> bool:
    """Whether an exact value lies below the normal range, where vector units and libraries take shortcuts."""
    return exact != "undefined" and 0 < abs(float(exact)) < _format(result).smallest_normal


def _unexplained(finding: Finding, result: Result, entry: Entry, slack: Slack) -> str | None:
    """Why the entry does not explain the finding, as a sentence; None where it does."""
    new = region_of(finding)
    alike = [old for old in entry.regions.values() if _at_least_as_bad(old, new, slack, result)]
    if not alike:
        return _nothing(new)
    if new.lo is None or new.hi is None:
        return None
    margin = max(slack.binades, slack.sample_steps * _step(result))
    near = [old for old in alike if _overlaps(_span(old), _span(new), margin)]
    if not near:
        same = [old for old in alike if old.kind == new.kind]
        return f"The baseline has {_listed(same)}, not this region." if same else _nothing(new)
    same = [old for old in near if old.kind == new.kind]
    points = sum(old.points for old in same)
    crowded = bool(same) and new.points > max(slack.crowd * points, points + _FEW)
    if not _covered(_span(new), [_span(old) for old in near], margin) and not _scattered(new, same, margin):
        return f"The region grew: the baseline has {_listed(near)}."
    if crowded and _same_sample(result, entry):
        return f"More inputs fail: {new.points} instead of {points}."
    return _larger(new, near, slack)


def _nothing(new: Region) -> str:
    return f"The baseline has nothing of the kind ({new.kind}) there."


def _larger(new: Region, near: Sequence[Region], slack: Slack) -> str | None:
    same = [old for old in near if old.kind == new.kind]
    if not slack.same_arithmetic and any(old.severity == "major" for old in same):
        # Over half of the digits are lost either way; how many more depends on where the samples of a steep
        # curve lie.
        return None
    known = [old.ulp for old in same if old.ulp is not None]
    if new.ulp is None or not known or new.ulp <= slack.allowed(max(known)):
        return None
    return f"The error grew: the baseline has {max(known):.6g} ULP there."


def _at_least_as_bad(old: Region, new: Region, slack: Slack, result: Result) -> bool:
    """Whether `old` is of the same class as `new` or a worse one, and about the same inputs."""
    same_inputs = (old.probe, old.cotangent, old.lo is None) == (new.probe, new.cotangent, new.lo is None)
    if not same_inputs or (slack.same_arithmetic and old.path not in (new.path, "vector")):
        return False
    rank = severity_rank(old.severity) - severity_rank(new.severity)
    if old.kind == new.kind:
        # Severity steps by an error limit; that an error crossed it is told by the error itself.
        return rank <= 0 or (new.kind == "inaccurate" and rank == 1)
    either = not slack.same_arithmetic and _all_lost(old, result) and _all_lost(new, result)
    return rank < 0 or either


def _all_lost(region: Region, result: Result) -> bool:
    """Whether the error is as large as the exact value: of rounding noise, that may be tiny, the sign is chance."""
    if region.kind in ("sign", "underflow"):
        return True
    limit = 2.0 ** (_format(result).precision - 1)
    return region.kind == "inaccurate" and region.ulp is not None and region.ulp >= limit


def _touches(old: Region, new: Region) -> bool:
    if (old.kind, old.probe, old.cotangent, old.lo is None) != (
        new.kind,
        new.probe,
        new.cotangent,
        new.lo is None,
    ):
        return False
    return old.lo is None or _overlaps(_span(old), _span(new), 0.0)


Span = tuple[float, float]


def _span(region: Region) -> Span:
    assert region.lo is not None
    assert region.hi is not None
    return position(region.lo), position(region.hi)


def _overlaps(a: Span, b: Span, margin: float) -> bool:
    return a[0] - margin <= b[1] and b[0] <= a[1] + margin


def _covered(span: Span, by: Iterable[Span], margin: float) -> bool:
    """Whether the spans, each grown by the margin, cover `span` without a gap."""
    reached = span[0]
    for low, high in sorted(by):
        if low - margin <= reached:
            reached = max(reached, high + margin)
    return reached >= span[1]


def _scattered(new: Region, known: Sequence[Region], margin: float) -> bool:
    """Whether `new` lies between the outermost ends of `known`: points of a noisy class cluster anew every
    time.
    """
    if not known:
        return False
    low, high = min(_span(old)[0] for old in known), max(_span(old)[1] for old in known)
    return low - margin <= _span(new)[0] and _span(new)[1] <= high + margin


def _step(result: Result) -> float:
    """The distance of neighbouring points of the sample in binades; those of several inputs lie on several
    lines.
    """
    inputs = [] if result.worst is None else [name for name in result.worst.inputs if name != "cotangent"]
    lines = _LINES if len(inputs) > 1 else 1
    return 0.0 if result.exhaustive else 2 * lines * _BINADES[result.dtype] / max(result.points, 1)


def _worse(result: Result, findings: Sequence[Finding], entry: Entry, slack: Slack) -> Iterable[Finding]:
    if result.verdict == "unsupported" and entry.verdict != "unsupported":
        text = (
            f"{result.id} was judged when the baseline was recorded, and is not supported now: {result.note}"
        )
        yield Finding(id=f"{result.id}::unsupported", kind="raises", severity="critical", message=text)
    if any(gated(finding) and finding.status == "new" for finding in findings):
        return
    old, new = entry.max_ulp, result.max_ulp
    if old is None or new is None or not _same_sample(result, entry) or new <= slack.allowed(old):
        return
    if not slack.same_arithmetic and _is_the_machines(result, old):
        return
    yield _larger_maximum(result, old, new)


def _is_the_machines(result: Result, old: float) -> bool:
    """Whether a larger maximum says nothing: over half of the digits were lost before, or it is a subnormal's."""
    lost = old >= 2.0 ** (_format(result).precision / 2)
    return lost or (result.worst is not None and _is_subnormal(result.worst.exact, result))


def _larger_maximum(result: Result, old: float, new: float) -> Finding:
    worst = result.worst
    ends = [value for name, value in worst.inputs.items() if name != "cotangent"] if worst else []
    end = ends[0] if len(ends) == 1 and isinstance(ends[0], str) else None
    at = "" if worst is None else " at " + ", ".join(f"{n} = {v}" for n, v in worst.inputs.items())
    text = f"{result.id}: the largest error grew from {old:.6g} to {new:.6g} ULP{at}."
    if worst is not None:
        text += f" It computes {worst.got}, exact is {worst.exact}."
    return Finding(
        id=f"{result.id}::larger-error",
        kind="inaccurate",
        severity="minor",
        lo=end,
        hi=end,
        witness=None
        if worst is None
        else Witness(inputs=worst.inputs, got=worst.got, exact=worst.exact, ulp=worst.ulp),
        message=text,
    )


def _same_sample(result: Result, entry: Entry) -> bool:
    return result.sample == entry.sample


def _listed(regions: Sequence[Region]) -> str:
    shown = [_named(region) for region in regions[:3]]
    more = f" and {len(regions) - 3} more" if len(regions) > 3 else ""
    return ", ".join(shown) + more


def _named(region: Region) -> str:
    if region.lo is None or region.hi is None:
        return region.kind
    lo, hi = float.fromhex(region.lo), float.fromhex(region.hi)
    where = f"at {lo:.6g}" if lo == hi or (math.isnan(lo) and math.isnan(hi)) else f"for {lo:.6g} … {hi:.6g}"
    return f"{region.kind} {where}"
