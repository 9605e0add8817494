"""From verdicts on entries of samples to groups of which each makes one finding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gradcheck_suite.engine.judge import KINDS, REASONS, SEVERITIES
from gradcheck_suite.engine.profiles import Key
from gradcheck_suite.engine.rows import RowJudged
from gradcheck_suite.ops.record import Sample

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class RowGroup:
    """Failing entries that make one finding: one kind and reason (`key` has their codes) on one probe.

    `witness` is the entry to show.
    """

    key: Key
    kind: str
    reason: str | None
    severity: str
    probe: str
    members: Ints
    witness: int

    @classmethod
    def of(cls, judged: RowJudged, samples: Sequence[Sample], key: Key, members: Ints) -> RowGroup:
        """The group of entries of a class."""
        witness = simplest(judged, samples, members)
        return cls(
            key=key,
            kind=KINDS[key[0]],
            reason=REASONS[key[1]] or None,
            severity=SEVERITIES[int(judged.verdicts.severity[members].min())],
            probe=samples[judged.owner[witness]].probe,
            members=members,
            witness=witness,
        )


def grouped(judged: RowJudged, samples: Sequence[Sample], *, among: Bools | None = None) -> list[RowGroup]:
    """Failing entries by kind, reason and probe; what is excused is one group for all probes.

    Only entries `among` those are looked at.
    """
    v = judged.verdicts
    keys: dict[tuple[int, int, str], list[int]] = {}
    for i in np.flatnonzero(v.kind > 0 if among is None else (v.kind > 0) & among):
        excused = SEVERITIES[v.severity[i]] == "info"
        probe = "" if excused else samples[judged.owner[i]].probe
        keys.setdefault((int(v.kind[i]), int(v.reason[i]), probe), []).append(int(i))
    return [RowGroup.of(judged, samples, key[:2], np.array(members)) for key, members in sorted(keys.items())]


def simplest(judged: RowJudged, samples: Sequence[Sample], members: Ints) -> int:
    """The witness: of the members with nearly the largest error one of the shortest samples."""
    v = judged.verdicts
    grave = members[v.severity[members] == v.severity[members].min()]
    errors = v.ulp[grave]
    bad = grave[errors >= errors.max() / 16] if np.isfinite(errors.max()) else grave[np.isinf(errors)]
    owners, of = np.unique(judged.owner[bad], return_inverse=True)
    sizes = np.array([numbers(samples[k]) for k in owners])[of.reshape(-1)]
    return int(bad[np.lexsort((bad, -v.ulp[bad], sizes))[0]])


def numbers(sample: Sample) -> int:
    """How many numbers a reader of the sample sees."""
    return sum(int(np.size(x)) for x in (*sample.inputs.values(), *sample.extra.values()))


def extent(judged: RowJudged, samples: Sequence[Sample], group: RowGroup) -> tuple[float, float, float, int]:
    """Ends on the probe, the part of the samples between them that fail, and how many fail in all."""
    owners = np.unique(judged.owner[group.members])
    places = [place(samples, k) for k in owners if samples[k].probe == group.probe]
    lo, hi = min(places), max(places)
    tried = [place(samples, k) for k in np.unique(judged.owner) if samples[k].probe == group.probe]
    between = sum(lo <= at <= hi for at in tried)
    return lo, hi, round(len(places) / max(between, 1), 6), len(owners)


def place(samples: Sequence[Sample], k: int) -> float:
    """Where sample k lies on its probe: by its number, where it does not say."""
    at = samples[k].at
    return float(k) if at is None else float(at)
