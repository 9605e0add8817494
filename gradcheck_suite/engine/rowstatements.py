"""Stating a finding about samples: an entry that shows it, confirmed by mpmath, a sentence, and Python."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from gradcheck_suite.engine import rowwording as words
from gradcheck_suite.engine.arguments import reproducer, written
from gradcheck_suite.engine.confirm import Confirmed
from gradcheck_suite.engine.quantities import Quantity, order_of
from gradcheck_suite.engine.regions import Region
from gradcheck_suite.engine.rowconfirm import confirm_entry
from gradcheck_suite.engine.rowfindings import RowGroup, extent, place
from gradcheck_suite.engine.rows import RowJudged, RowSubject
from gradcheck_suite.engine.statements import remarks, witnessed
from gradcheck_suite.engine.subdifferential import TieVerdict
from gradcheck_suite.floats import hex_of
from gradcheck_suite.inputs import cotangents
from gradcheck_suite.results import Finding, Witness

Floats = npt.NDArray[np.float64]
Shapes = tuple[tuple[int, ...], ...]


class RowStatements:
    """What a document states about one quantity of an op whose entries depend on each other.

    `doubted` says of which samples nothing is stated, and why.
    """

    def __init__(self, quantity: Quantity, subject: RowSubject) -> None:
        self.quantity, self.subject = quantity, subject
        self.case, self.column, self.wrt = quantity.case, quantity.column, quantity.wrt
        self.doubted: dict[int, str] = {}

    def finding(
        self,
        judged: RowJudged,
        group: RowGroup,
        region: Region | None,
        witness: Witness,
        confirmed: str | None,
    ) -> Finding:
        """The finding that a group makes, by its stated witness; its ends are those of the region if there is one."""
        lo, hi, share, points = extent(judged, self.subject.samples, group)
        if region is not None:
            lo, hi, share = region.lo, region.hi, round(region.share, 6)
        cotangent = "" if judged.cotangent == "mixed" else judged.cotangent
        parts = [group.kind, group.reason, judged.path, group.probe.replace(" ", "-")]
        parts.append(f"cotangent={cotangent}" if cotangent else "")
        return Finding(
            id=f"{self.quantity.id}::" + ".".join(p for p in parts if p),
            kind=group.kind,  # type: ignore[arg-type]
            severity=group.severity,  # type: ignore[arg-type]
            status="documented" if group.reason == "documented" else "new",
            reason=group.reason,  # type: ignore[arg-type]
            path=judged.path,
            probe=group.probe,
            lo=hex_of(lo),
            hi=hex_of(hi),
            lo_exact=region is not None and region.lo_exact,
            hi_exact=region is not None and region.hi_exact,
            fixed={"cotangent": cotangent} if cotangent else {},
            share=share,
            points=points,
            witness=witness,
            confirmed_by=confirmed,
            message=self._message(judged, group, witness),
            reproducer=self._reproducer(judged, group.witness, witness.exact),
        )

    def choice(self, judged: RowJudged, k: int, points: int) -> Finding:
        """The remark on the element of the subdifferential that torch picks on sample k, one of so many."""
        sample = self.subject.samples[k]
        where = np.flatnonzero((judged.owner == k) & judged.tie)
        at = hex_of(place(self.subject.samples, k))
        return Finding(
            id=f"{self.quantity.id}::tie.choice",
            kind="tie",
            severity="info",
            path=judged.path,
            probe=sample.probe,
            lo=at,
            hi=at,
            points=points,
            message=words.choice(self.quantity.label, sample, judged.entry[where], judged.computed[where]),
        )

    def raises(self, message: str, path: str, k: int) -> Finding:
        """The finding that torch raises on sample k."""
        where = f" for {self.subject.samples[k].label}"
        return self.quantity.raises(message, path, where, "" if path == "vector" else self._raising(k, path))

    def _raising(self, k: int, path: str) -> str:
        """Python that raises, as the vector path does not."""
        shapes = self.subject.called(k).shapes
        of = [np.shape(self.subject.samples[k].inputs[self.wrt])] if self.wrt is not None else shapes
        flat = len(shapes) > 1 and self.wrt is None
        return self._code(k, path, "mixed", shapes, (0,) if flat else (0,) * len(of[0]), "not an exception")

    def _message(self, judged: RowJudged, group: RowGroup, witness: Witness) -> str:
        limit = None if judged.limit is None else float(judged.limit[group.witness])
        text = self.sentence(judged, group.witness, group.kind, witness)
        return text + remarks(self.case.op, limit, group.reason)

    def sentence(self, judged: RowJudged, i: int, kind: str, witness: Witness) -> str:
        """One sentence on an entry."""
        return words.sentence(
            self.quantity.phrase,
            kind=kind,
            where=words.place(self.subject.samples[judged.owner[i]], self.index(judged, i), judged.cotangent),
            got=float(judged.computed[i]),
            exact=witness.exact,
            ulp=witness.ulp,
        )

    def index(self, judged: RowJudged, i: int) -> tuple[int, ...]:
        """The entry's place in its tensor; with several outputs, the number of the output comes first."""
        k, flat = int(judged.owner[i]), int(judged.entry[i])
        if self.wrt is not None:
            shape = np.shape(self.subject.samples[k].inputs[self.wrt])
            return tuple(int(j) for j in np.unravel_index(flat, shape)) if shape else ()
        shapes = self._shapes(judged, k)
        for number, shape in enumerate(shapes):
            size = int(np.prod(shape))
            if flat < size:
                inner = tuple(int(j) for j in np.unravel_index(flat, shape)) if shape else ()
                return (number, *inner) if len(shapes) > 1 else inner
            flat -= size
        raise IndexError(flat)

    def witness(self, judged: RowJudged, i: int) -> tuple[Witness, str | None]:
        """One entry as a document states it, and the precision at which mpmath confirmed it."""
        confirmed = self.confirm(judged, i)
        decimal = "nan" if confirmed is None else confirmed.decimal
        inputs = self._inputs(judged, i)
        witness = witnessed(inputs, float(judged.computed[i]), decimal, float(judged.verdicts.ulp[i]))
        return witness, None if confirmed is None else confirmed.by

    def _inputs(self, judged: RowJudged, i: int) -> dict[str, Any]:
        sample = self.subject.samples[judged.owner[i]]
        inputs = {n: written(x) for n, x in (*sample.inputs.items(), *sample.extra.items())}
        if self.wrt is not None:
            inputs["cotangent"] = written(self.cotangent(judged, i))
        if index := self.index(judged, i):
            inputs["entry"] = list(index)
        return inputs

    def cotangent(self, judged: RowJudged, i: int) -> Floats:
        """The cotangent under which an entry was computed, in the shape of the output where there is one."""
        return self._seed(self._shapes(judged, int(judged.owner[i])), judged.cotangent)

    def _shapes(self, judged: RowJudged, k: int) -> Shapes:
        return self.subject.called(k, judged.path, judged.cotangent).shapes

    def _seed(self, shapes: Shapes, cotangent: str) -> Floats:
        flat = self.subject.pattern(cotangent)(sum(int(np.prod(s)) for s in shapes))
        return flat.reshape(shapes[0]) if len(shapes) == 1 else flat

    def confirm(self, judged: RowJudged, i: int) -> Confirmed | None:
        """What mpmath says of an entry; None where its exact value is NaN."""
        k = int(judged.owner[i])
        if np.isnan(judged.lower.hi[i]):
            return None
        nearby = judged.ties[k] if k in judged.ties and judged.ties[k].weights else None
        confirmed = self._confirmed(judged, i, nearby if judged.tie[i] else None)
        if not confirmed.agrees and nearby:
            # A tie that leaves this entry no choice: at the point itself a formula sees one side of each kink.
            confirmed = self._confirmed(judged, i, nearby)
        # A choice that belongs to a set is stated as computed; the combination made of it is only as near.
        if not confirmed.agrees and not (judged.tie[i] and judged.verdicts.kind[i] == 0):
            self.doubted[k] = f"arb and mpmath do not agree on {self.subject.samples[k].label}"
        return confirmed

    def _confirmed(self, judged: RowJudged, i: int, tie: TieVerdict | None) -> Confirmed:
        k, order = int(judged.owner[i]), order_of(self.column)
        return confirm_entry(
            self.subject.problem(self.subject.samples[k]),
            self.subject.wanted(judged.cotangent, order),
            self.column,
            int(judged.entry[i]),
            judged.lower[i : i + 1],
            self.subject.fmt,
            by_mpmath=lambda bits: self.subject.by_mpmath(k, judged.cotangent, order, bits),
            tie=tie,
        )

    def _reproducer(self, judged: RowJudged, i: int, exact: str) -> str:
        k = int(judged.owner[i])
        shapes = self._shapes(judged, k)
        flat = len(shapes) > 1 and self.wrt is None
        index = (int(judged.entry[i]),) if flat else self.index(judged, i)
        return self._code(k, judged.path, judged.cotangent, shapes, index, exact)

    def _code(
        self, k: int, path: str, cotangent: str, shapes: Shapes, index: tuple[int, ...], exact: str
    ) -> str:
        sample = self.subject.samples[k]
        return reproducer(
            self.case.op,
            self.case.variant,
            sample,
            dtype=self.case.dtype,
            direction=self.case.direction,
            wrt=self.wrt,
            index=index,
            cotangent=self._seed(shapes, cotangent),
            outputs=len(shapes),
            tangents={
                n: cotangents.direction(np.size(x)).reshape(np.shape(x)) for n, x in sample.inputs.items()
            },
            exact=exact,
            path=path,
        )
