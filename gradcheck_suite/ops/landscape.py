"""What is special about an op's inputs at given parameters, as the generators of inputs take it."""

from __future__ import annotations

import functools

from gradcheck_suite.inputs.targets import Landscape
from gradcheck_suite.ops.record import Op, Params


def landscape_of(op: Op, params: Params) -> Landscape:
    """The landmarks, partners, offsets and domain of an op of several inputs."""
    partners = op.partners(params)
    return Landscape(
        names=(*op.inputs, *op.extras),
        landmarks=list(op.landmarks(params)),
        partners=partners,
        offsets=list(op.offsets(params)),
        domain=None if op.domain is None else functools.partial(op.domain, params),
        closed=frozenset(n for n in op.extras if op.labelled and partners.get(n)),
    )
