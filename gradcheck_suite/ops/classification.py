"""The losses of torch that compare logits with classes or with class probabilities.

Sources: the documentation pages of torch.nn and torch.nn.functional, version 2.13.  Classes lie along axis 1,
or along axis 0 of a single sample.  The mean of losses with class indices divides by the sum of the weights
of the classes that are not ignored, that of losses with probabilities by the number of samples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch.nn.functional as F
from torch import nn

from gradcheck_suite.floats import Format, round_to
from gradcheck_suite.formula.context import Context
from gradcheck_suite.formula.tape import Array
from gradcheck_suite.inputs.classes import (
    Batch,
    batches,
    few_rows,
    images,
    probabilities,
    single_rows,
    weights,
    wide_row,
)
from gradcheck_suite.inputs.rows import PAST_FLOAT16, Row, highest_order, rows
from gradcheck_suite.ops.declare import operation
from gradcheck_suite.ops.record import Params, Sample
from gradcheck_suite.ops.variants import TENSOR

Ints = npt.NDArray[np.int64]

_ALL: tuple[Params, ...] = ({"reduction": "none"}, {}, {"reduction": "sum"})
_WEIGHTED = tuple({**given, "weight": TENSOR} for given in _ALL)
_OPTIONS = {"weight": False}
_HEIGHT = 80  # of an image of PAST_FLOAT16 pixels
_STABLE_LOGS = """\
dim = min(1, input.ndim - 1)
w = input.argmax(dim, keepdim=True)
d = input - input.gather(dim, w)
log_p = d - torch.log1p(d.exp().scatter(dim, w, 0).sum(dim, keepdim=True))"""


# --- formulas


def classes_last(m: Context, x: Array) -> Array:
    """Logits as rows of classes: (samples and positions, classes)."""
    if x.ndim == 1:
        return x.reshape(1, -1)
    order = (0, *range(2, x.ndim), 1)
    return x.transpose(*order).reshape(-1, x.shape[1])


def _selected(
    m: Context, rows: Array, target: Ints, weight: Array | None, ignore_index: int
) -> tuple[Array, Array]:
    """Per row the entry of its class, and the weight of that class: 0 for ignored rows."""
    ignored = target == ignore_index
    index = np.where(ignored, 0, target)
    picked = m.gather(rows, index[:, np.newaxis])[:, 0]
    weights = m.const(np.ones(len(index))) if weight is None else weight[index]
    return picked, m.select(ignored, 0, weights)


def _reduced(m: Context, losses: Array, weights: Array, shape: tuple[int, ...], reduction: str) -> Array:
    if reduction == "none":
        return losses.reshape(*shape) if shape else losses[0]
    total = m.sum(losses)
    return total if reduction == "sum" else total / m.sum(weights)


# --- samples


def _extras(target: Any, weight: Any) -> dict[str, Any]:
    return {"target": target} if weight is None else {"target": target, "weight": weight}


def _with_weights(batch: Batch, fmt: Format, tensors: Sequence[str], *, every: bool) -> Iterator[Sample]:
    """The batch without weights, or with every kind of them."""
    kinds = list(weights(fmt, batch.logits.shape[1])) if "weight" in tensors else [("", None)]
    for name, weight in kinds if every else kinds[:1]:
        label = f"{batch.label}, {name}" if name else batch.label
        sample = Sample(
            inputs={"input": batch.logits},
            extra=_extras(batch.target, weight),
            label=label,
            probe=batch.probe,
            at=batch.at,
            order=highest_order(batch.logits.size),
        )
        yield replace(sample, curve=_curve(sample, batch.curve))


def _curve(sample: Sample, logits: Callable[[float], Any] | None) -> Callable[[float], Sample] | None:
    return None if logits is None else lambda at: replace(sample, inputs={"input": logits(at)}, at=at)


def _plain(params: Params, tensors: Sequence[str]) -> bool:
    """The variant that every adversarial row is tried with: one loss for each row and no further option."""
    given = {"reduction": "none", "ignore_index": -100, "label_smoothing": 0.0}
    return not tensors and all(given[name] == value for name, value in params.items())


def _for_classes(
    params: Params, fmt: Format, *, budget: str, seed: int, tensors: Sequence[str] = ()
) -> Iterator[Sample]:
    ignored = int(params["ignore_index"])
    if _plain(params, tensors):
        for batch in single_rows(fmt, budget):
            yield from _with_weights(batch, fmt, tensors, every=False)
    else:
        for batch in few_rows(fmt):
            yield from _with_weights(batch, fmt, tensors, every=False)
    if params.get("label_smoothing"):
        # It adds up all classes.
        yield from _with_weights(wide_row(fmt), fmt, tensors, every=False)
    for number, batch in enumerate(batches(fmt, ignored)):
        # Right answers too: beside a loss of almost nothing, a large weight times the cotangent overflows alone.
        yield from _with_weights(batch, fmt, tensors, every=number < 3 or batch.confident)
    (first, *_) = images(fmt, ignored)
    yield from _with_weights(first, fmt, tensors, every=False)
    single = Sample(
        inputs={"input": round_to([1.0, -0.5, 2.0], fmt)},
        extra=_extras(np.array(1), round_to([0.5, 2.0, 0.1], fmt) if "weight" in tensors else None),
        label="one sample without a batch axis",
        probe="batch",
        at=1.0,
    )
    yield single
    yield from _past_float16(params, fmt, budget, tensors)


def _past_float16(
    params: Params, fmt: Format, budget: str, tensors: Sequence[str], positions: tuple[int, ...] = ()
) -> Iterator[Sample]:
    """A mean over more samples than the largest float16 number, which it divides by; of the op's defaults.

    `positions` is the shape of an image that has as many, in place of a batch.

    By default of logarithms of one class: those of several take the reference ten times as long, and weights
    whose sum overflows show the same.
    """
    usual = params["reduction"] == "mean" and params["ignore_index"] == -100 and not tensors
    if fmt.name != "float16" or budget == "quick" or not usual or params.get("label_smoothing"):
        return
    # The loss of logits of one class is 0.
    logits = "label_smoothing" in params
    if logits and budget != "thorough":
        return
    batch, classes = 1 if positions else PAST_FLOAT16, 2 if logits else 1
    yield Sample(
        inputs={"input": np.full((batch, classes, *positions), -1.0)},
        extra={"target": np.zeros((batch, *positions), dtype=np.int64)},
        label=f"an image of {PAST_FLOAT16} pixels" if positions else f"a batch of {PAST_FLOAT16}",
        probe="pixels" if positions else "batch",
        at=float(PAST_FLOAT16),
        order=0 if logits else 2,
    )


def _for_images(
    params: Params, fmt: Format, *, budget: str, seed: int, tensors: Sequence[str] = ()
) -> Iterator[Sample]:
    for batch in images(fmt, int(params["ignore_index"])):
        yield from _with_weights(batch, fmt, tensors, every=True)
    if budget == "thorough":
        # Large losses overflow the same sum, at a hundredth of the cost.
        yield from _past_float16(params, fmt, budget, tensors, (_HEIGHT, PAST_FLOAT16 // _HEIGHT))


# --- losses with class indices


@operation(
    F.nll_loss,
    family="loss",
    module=nn.NLLLoss,
    optional=_OPTIONS,
    variants=[*_ALL, *_WEIGHTED, {"ignore_index": 1}, {"ignore_index": 0, "reduction": "none"}],
    variants_only=True,
    samples=_for_classes,
)
def nll_loss(
    m: Context,
    input: Array,
    *,
    target: Ints,
    weight: Any = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Array:
    picked, weights = _selected(m, classes_last(m, input), target.reshape(-1), weight, ignore_index)
    losses = m.select(target.reshape(-1) == ignore_index, 0, -weights * picked)
    return _reduced(m, losses, weights, target.shape, reduction)


@operation(
    F.nll_loss,
    name="nll_loss2d",
    family="loss",
    module=nn.NLLLoss,
    covers=("torch.nn.NLLLoss2d",),
    optional=_OPTIONS,
    variants=[*_ALL, *_WEIGHTED, {"ignore_index": 1}],
    variants_only=True,
    samples=_for_images,
)
def nll_loss2d(
    m: Context,
    input: Array,
    *,
    target: Ints,
    weight: Any = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Array:
    losses: Array = nll_loss(
        m, input, target=target, weight=weight, ignore_index=ignore_index, reduction=reduction
    )
    return losses


@operation(
    F.cross_entropy,
    family="loss",
    module=nn.CrossEntropyLoss,
    optional=_OPTIONS,
    variants=[
        *_ALL,
        *_WEIGHTED,
        {"ignore_index": 1},
        *({"label_smoothing": s} for s in (0.1, 0.5, 1.0, 1e-30)),
        {"label_smoothing": 0.1, "reduction": "none"},
        {"label_smoothing": 0.1, "reduction": "sum"},
        {"label_smoothing": 0.1, "weight": TENSOR},
        {"label_smoothing": 0.1, "weight": TENSOR, "reduction": "none"},
        {"label_smoothing": 0.1, "ignore_index": 0},
    ],
    variants_only=True,
    samples=_for_classes,
    stable_form=f"{_STABLE_LOGS}\ntorch.nn.functional.nll_loss(log_p, target, reduction=reduction)",
)
def cross_entropy(
    m: Context,
    input: Array,
    *,
    target: Ints,
    weight: Any = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: Any = 0.0,
) -> Array:
    logs = m.log_softmax(classes_last(m, input))
    picked, weights = _selected(m, logs, target.reshape(-1), weight, ignore_index)
    even = m.sum(logs if weight is None else weight * logs, -1) / logs.shape[1]
    losses = -(1 - label_smoothing) * weights * picked - label_smoothing * even
    kept = m.select(target.reshape(-1) == ignore_index, 0, losses)
    return _reduced(m, kept, weights, target.shape, reduction)


# --- losses with class probabilities


def _for_probabilities(
    params: Params, fmt: Format, *, budget: str, seed: int, tensors: Sequence[str] = ()
) -> Iterator[Sample]:
    full = params["reduction"] == "none" and not params["label_smoothing"] and not tensors
    for row in rows(fmt, (1, 2, 3, 17)):
        if not (row.common or (full and len(row.values) in (2, 3))):
            continue
        n = len(row.values)
        named = list(probabilities(fmt, n))
        logits, target = np.stack([row.values] * len(named)), np.stack([p for _, p in named])
        label = f"{row.label}, three kinds of probabilities"
        weight = _class_weights(fmt, n, tensors)
        sample = _probable(logits, target, weight, label, row.probe, row.at)
        yield replace(sample, curve=_several(sample, row), curve_budget="thorough")
    images = round_to(np.resize([0.5, -1.25, 2.0, 0.125, -0.75], (1, 2, 2, 2)), fmt)
    even = np.full(images.shape, 0.5)
    yield _probable(images, even, _class_weights(fmt, 2, tensors), "an image of 2x2", "pixels", 4.0)
    single = round_to([1.0, -0.5, 2.0], fmt)
    chances = round_to([0.25, 0.25, 0.5], fmt)
    yield _probable(
        single, chances, _class_weights(fmt, 3, tensors), "one sample without a batch axis", "batch", 1.0
    )


def _several(sample: Sample, row: Row) -> Callable[[float], Sample] | None:
    """The sample with other logits, the row of another place of the probe for each kind of target."""
    along, kinds = row.curve, len(sample.inputs["target"])
    if along is None:
        return None
    return lambda at: replace(sample, inputs={**sample.inputs, "input": np.stack([along(at)] * kinds)}, at=at)


def _class_weights(fmt: Format, classes: int, tensors: Sequence[str]) -> Any:
    return next(weights(fmt, classes))[1] if "weight" in tensors else None


def _probable(logits: Any, target: Any, weight: Any, label: str, probe: str, at: float) -> Sample:
    inputs = {"input": logits, "target": target}
    if weight is not None:
        inputs["weight"] = weight
    return Sample(inputs=inputs, label=label, probe=probe, at=at)


@operation(
    F.cross_entropy,
    name="cross_entropy_prob",
    family="loss",
    module=nn.CrossEntropyLoss,
    inputs=("input", "target"),
    optional={"weight": True},
    variants=[
        *_ALL,
        *_WEIGHTED,
        *({"label_smoothing": s} for s in (0.1, 1.0, 1e-30)),
        {"label_smoothing": 0.1, "reduction": "none"},
        {"label_smoothing": 0.1, "weight": TENSOR},
    ],
    variants_only=True,
    samples=_for_probabilities,
    stable_form=f"{_STABLE_LOGS}\n-(target * log_p).sum(dim)",
)
def cross_entropy_prob(
    m: Context,
    input: Array,
    target: Array,
    *,
    weight: Any = None,
    reduction: str = "mean",
    label_smoothing: Any = 0.0,
) -> Array:
    logs, chances = m.log_softmax(classes_last(m, input)), classes_last(m, target)
    smooth = (1 - label_smoothing) * chances + label_smoothing / logs.shape[1]
    losses = -m.sum(smooth * (logs if weight is None else weight * logs), -1)
    shape = () if input.ndim == 1 else (input.shape[0], *input.shape[2:])
    return _reduced(m, losses, m.const(np.ones(losses.shape)), shape, reduction)


@operation(
    F.multilabel_soft_margin_loss,
    family="loss",
    module=nn.MultiLabelSoftMarginLoss,
    inputs=("input", "target"),
    optional={"weight": True},
    variants=[*_ALL, *_WEIGHTED],
    variants_only=True,
    samples=lambda params, fmt, **options: _for_labels(params, fmt, **options),
)
def multilabel_soft_margin_loss(
    m: Context, input: Array, target: Array, *, weight: Any = None, reduction: str = "mean"
) -> Array:
    losses = -(target * m.logsigmoid(input) + (1 - target) * m.logsigmoid(-input))
    if weight is not None:
        losses = losses * weight
    return _mean_or_sum(m, m.mean(losses, -1), reduction)


def _mean_or_sum(m: Context, losses: Array, reduction: str) -> Array:
    if reduction == "none":
        return losses
    return m.sum(losses) if reduction == "sum" else m.mean(losses)


def _for_labels(
    params: Params, fmt: Format, *, budget: str, seed: int, tensors: Sequence[str] = ()
) -> Iterator[Sample]:
    full = params["reduction"] == "none" and not tensors
    for row in rows(fmt, (1, 2, 3, 17)):
        if not (row.common or (full and len(row.values) in (1, 2, 3))):
            continue
        n = len(row.values)
        labels = np.stack([np.resize([1.0, 0.0], n), np.resize([0.0, 1.0, 1.0], n), np.full(n, 0.5)])
        logits = np.stack([row.values] * 3)
        sample = _probable(logits, labels, _class_weights(fmt, n, tensors), row.label, row.probe, row.at)
        yield replace(sample, curve=_several(sample, row), curve_budget="thorough")
    single = round_to([1.0, -0.5, 2.0], fmt)
    yield _probable(
        single,
        np.array([1.0, 0.0, 0.25]),
        _class_weights(fmt, 3, tensors),
        "one sample without a batch axis",
        "batch",
        1.0,
    )


# --- margins


@dataclass(frozen=True, slots=True)
class _Scores:
    """Four scores, what is hard about them, and where they lie on a probe."""

    values: Any
    label: str
    probe: str
    at: float
    curve: Callable[[float], Any] | None = None

    def sample(self, extra: dict[str, Any]) -> Sample:
        """One row of the scores."""
        sample = Sample(
            inputs={"input": self.values[np.newaxis]},
            extra=extra,
            label=self.label,
            probe=self.probe,
            at=self.at,
        )
        along = self.curve
        return replace(sample, curve=_curve(sample, along and (lambda at: along(at)[np.newaxis])))


def _margin_rows(fmt: Format, margin: float) -> Iterator[_Scores]:
    """Rows of scores whose distance to that of class 0 is the margin, beside it, and far from it."""
    (exact,) = round_to([margin], fmt)
    ulp = float(2.0 ** (np.frexp(exact)[1] - fmt.precision)) if exact else fmt.smallest_subnormal

    def gapped(gap: float) -> Any:
        return round_to([gap, 0.0, 0.0, gap / 2], fmt)

    def scaled(scale: float) -> Any:
        with np.errstate(over="ignore"):
            return round_to(np.array([0.5, -1.25, 2.0, 0.125]) * scale, fmt)

    for name, gap in (
        ("at", exact),
        ("an ulp below", exact - ulp),
        ("an ulp above", exact + ulp),
        ("far beyond", 4 * exact + 3),
    ):
        yield _Scores(gapped(gap), f"scores with gaps {name} the margin", "gap", float(gap), gapped)
    yield _Scores(np.zeros(4), "equal scores", "gap", 0.0, gapped)
    yield _Scores(scaled(1.0), "ordinary scores", "scale", 1.0, scaled)
    high = fmt.max / 4
    yield _Scores(scaled(high), "scores at the end of the format", "scale", high, scaled)
    (tiny,) = round_to([1e-6], fmt)
    yield _Scores(scaled(1e-6), "tiny scores", "scale", float(tiny))
    yield _Scores(np.array([0.0, np.inf, 1.0, -1.0]), "an infinite score", "infinite entries", 1.0)
    yield _Scores(np.array([0.0, -np.inf, 1.0, -1.0]), "a score of -inf", "infinite entries", -1.0)
    yield _Scores(np.array([0.0, np.nan, 1.0, -1.0]), "a NaN score", "NaN entries", 1.0)


def _for_margins(
    params: Params, fmt: Format, *, budget: str, seed: int, tensors: Sequence[str] = ()
) -> Iterator[Sample]:
    weight = round_to([0.5, 2.0, 0.1, 1.0], fmt) if "weight" in tensors else None
    for scores in _margin_rows(fmt, float(params["margin"])):
        for target in (0, 3):
            yield scores.sample(_extras(np.array([target]), weight))
    several = round_to(np.resize([0.5, -1.25, 2.0, 0.125, 1.5, -0.75, 3.0], (5, 4)), fmt)
    yield Sample(
        inputs={"input": several},
        extra=_extras(np.array([0, 3, 1, 2, 0]), weight),
        label="a batch of 5",
        probe="batch",
        at=5.0,
    )
    yield Sample(
        inputs={"input": several[0]},
        extra=_extras(np.array(2), weight),
        label="one sample without a batch axis",
        probe="batch",
        at=1.0,
    )


@operation(
    F.multi_margin_loss,
    family="loss",
    module=nn.MultiMarginLoss,
    optional=_OPTIONS,
    variants=[
        *_ALL,
        *({**given, "p": 2} for given in _ALL),
        *_WEIGHTED,
        {"p": 2, "weight": TENSOR},
        *({"margin": v, "reduction": "none"} for v in (0.0, 0.1, -0.5, 2.0, 1e-30, 1e30)),
        {"p": 2, "margin": 0.1},
    ],
    variants_only=True,
    directions=("forward", "backward"),
    samples=_for_margins,
)
def multi_margin_loss(
    m: Context,
    input: Array,
    *,
    target: Ints,
    p: int = 1,
    margin: Any = 1.0,
    weight: Any = None,
    reduction: str = "mean",
) -> Array:
    scores, index = classes_last(m, input), target.reshape(-1)
    own = m.gather(scores, index[:, np.newaxis])
    others = index[:, np.newaxis] != np.arange(scores.shape[1])
    gaps = m.select(others, margin - own + scores, -1)
    hinges = m.where(gaps >= 0, gaps**p, 0, smooth=p == 2)
    if weight is not None:
        hinges = hinges * weight[index].reshape(-1, 1)
    losses = m.sum(hinges, -1) / scores.shape[1]
    return _mean_or_sum(m, losses.reshape(*target.shape) if target.ndim else losses[0], reduction)


def _for_label_margins(params: Params, fmt: Format, *, budget: str, seed: int) -> Iterator[Sample]:
    """Targets list the classes of a row from the front; -1 ends the list."""
    for scores in _margin_rows(fmt, 1.0):
        for target in ([0, -1, -1, -1], [3, 0, -1, 1], [2, 1, 0, 3], [-1, -1, -1, -1]):
            yield scores.sample({"target": np.array([target])})
    several = round_to(np.resize([0.5, -1.25, 2.0, 0.125, 1.5, -0.75, 3.0], (3, 4)), fmt)
    targets = np.array([[1, 2, -1, 0], [0, -1, 3, 3], [3, 2, 1, -1]])
    yield Sample(
        inputs={"input": several}, extra={"target": targets}, label="a batch of 3", probe="batch", at=3.0
    )
    yield Sample(
        inputs={"input": several[0]},
        extra={"target": targets[0]},
        label="one sample without a batch axis",
        probe="batch",
        at=1.0,
    )


@operation(
    F.multilabel_margin_loss,
    family="loss",
    module=nn.MultiLabelMarginLoss,
    variants=_ALL,
    variants_only=True,
    directions=("forward", "backward"),
    samples=_for_label_margins,
)
def multilabel_margin_loss(m: Context, input: Array, *, target: Ints, reduction: str = "mean") -> Array:
    scores, targets = classes_last(m, input), np.atleast_2d(target)
    losses = [_label_margins(m, scores[n], _listed(row)) for n, row in enumerate(targets)]
    return _mean_or_sum(m, m.stack(losses) if target.ndim > 1 else losses[0], reduction)


def _listed(row: Ints) -> Ints:
    ends = np.flatnonzero(row < 0)
    return row[: ends[0]] if len(ends) else row


def _label_margins(m: Context, scores: Array, own: Ints) -> Array:
    """The sum over the classes of the row and those that are not of max(0, 1 - (x_own - x_other)), over all
    classes."""
    others = np.setdiff1d(np.arange(scores.size), own)
    if not len(own) or not len(others):
        return m.sum(scores * 0)
    gaps = scores[own].reshape(-1, 1) - scores[others].reshape(1, -1)
    return m.sum(m.relu(1 - gaps)) / scores.size
