"""Connectionist temporal classification.

Sources: the documentation page of torch.nn.CTCLoss, version 2.13; Graves et al. 2006, "Connectionist Temporal
Classification: Labelling Unsegmented Sequence Data with Recurrent Neural Networks", equations 5 to 8.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import torch.nn.functional as F
from torch import nn

from gradcheck_suite.floats import Format
from gradcheck_suite.formula.context import Context
from gradcheck_suite.formula.tape import Array
from gradcheck_suite.inputs.sequences import Sequences, sequences
from gradcheck_suite.ops.declare import operation
from gradcheck_suite.ops.record import Params, Sample


def _samples(params: Params, fmt: Format, *, budget: str, seed: int) -> Iterator[Sample]:
    plain = params["reduction"] == "none" and not (params["blank"] or params["zero_infinity"])
    full = plain and budget != "quick"
    for case in sequences(fmt, full=full, blank=params["blank"]):
        if params["zero_infinity"] and np.isinf(case.log_probs).any():
            # A loss that is infinite only because a probability is 0 has no limit at 0.
            continue
        yield _sample(case)


def _sample(case: Sequences) -> Sample:
    extra = {
        "targets": np.asarray(case.targets, dtype=np.int64),
        "input_lengths": np.asarray(case.input_lengths, dtype=np.int64),
        "target_lengths": np.asarray(case.target_lengths, dtype=np.int64),
    }
    sample = Sample(
        inputs={"log_probs": case.log_probs}, extra=extra, label=case.label, probe=case.probe, at=case.at
    )
    along = case.curve
    if along is None:
        return sample
    curve = lambda at: replace(sample, inputs={"log_probs": along(at)}, at=at)  # noqa: E731
    return replace(sample, curve=curve, curve_budget="thorough")


def _likelihood(m: Context, p: Array, labels: Sequence[int], blank: int) -> Array:
    """The sum over all alignments of the labels with blanks between: the last two forward variables.

    In exact arithmetic nothing underflows, so that it needs no logarithms.
    """
    if p.shape[0] < len(labels) + sum(a == b for a, b in pairwise(labels)):
        # No alignment at all: 0 for all p, so that the loss is infinite and has no gradient.
        return m.sum(p) * 0
    states = [blank]
    for label in labels:
        states += [label, blank]
    # A blank between two labels may be left out unless they are the same.
    skips = np.array([i >= 2 and s != blank and s != states[i - 2] for i, s in enumerate(states)])
    emitted = p[:, states]
    zero = m.const(np.zeros(2))
    alpha = m.select(np.arange(len(states)) < 2, emitted[0], 0)
    for t in range(1, p.shape[0]):
        one = m.concat([zero[:1], alpha])[: len(states)]
        two = m.concat([zero, alpha])[: len(states)]
        alpha = (alpha + one + m.select(skips, two, 0)) * emitted[t]
    return m.sum(alpha[-2:])


@operation(
    F.ctc_loss,
    family="loss",
    module=nn.CTCLoss,
    inputs=("log_probs",),
    extras=("targets", "input_lengths", "target_lengths"),
    directions=("forward", "backward"),
    variants=[
        {"reduction": "none"},
        {"reduction": "sum"},
        {"zero_infinity": True, "reduction": "none"},
        {"zero_infinity": True},
        {"blank": 2, "reduction": "none"},
    ],
    samples=_samples,
)
def ctc_loss(
    m: Context,
    log_probs: Array,
    *,
    targets: Any,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Array:
    batched = log_probs.ndim == 3
    rows = log_probs if batched else log_probs.reshape(log_probs.shape[0], 1, -1)
    lengths = [int(n) for n in np.ravel(target_lengths)]
    starts = np.cumsum([0, *lengths])
    losses = []
    for n, (steps, length) in enumerate(zip(np.ravel(input_lengths), lengths, strict=True)):
        known = targets[n] if np.ndim(targets) == 2 else np.ravel(targets)[starts[n] :]
        p = _likelihood(m, m.exp(rows[: int(steps), n]), [int(k) for k in known[:length]], blank)
        loss = -m.log(p)
        losses.append(m.where(p > 0, loss, 0, smooth=True) if zero_infinity else loss)
    if reduction == "mean":
        return m.mean(m.stack([loss / max(n, 1) for loss, n in zip(losses, lengths, strict=True)]))
    every = m.stack(losses) if batched else losses[0]
    return m.sum(every) if reduction == "sum" else every
