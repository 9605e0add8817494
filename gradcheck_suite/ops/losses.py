"""The losses of torch that compare an input with a target entry by entry.

Sources: the documentation pages of torch.nn and torch.nn.functional, version 2.13.  With reduction "none"
each op maps entries to entries; "mean" divides by the number of entries (by the sum of the weights in l1_loss
and mse_loss), "sum" does not, "batchmean" divides by the size of the first dimension.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import torch.nn.functional as F
from torch import nn

from gradcheck_suite.formula.context import Context
from gradcheck_suite.formula.tape import Array
from gradcheck_suite.inputs.targets import SIGNS
from gradcheck_suite.ops.declare import Formula, elementwise
from gradcheck_suite.ops.record import Params
from gradcheck_suite.ops.reduced import samples_of
from gradcheck_suite.ops.variants import TENSOR

_REDUCTIONS: Final[tuple[Params, ...]] = ({}, {"reduction": "sum"})
_PAIR: Final = ("input", "target")


def _loss(
    call: Callable[..., Any],
    *,
    options: Sequence[Params] = ({},),
    reduced: Sequence[Params] = _REDUCTIONS,
    **more: Any,
) -> Callable[[Formula], Formula]:
    """Declare a loss: every set of `options` entry by entry, and what `reduced` lists as it stands."""
    variants = [*({"reduction": "none", **given} for given in options), *reduced]
    more.setdefault("inputs", _PAIR)
    return elementwise(call, family="loss", variants=variants, variants_only=True, samples=samples_of, **more)


def _reduced(m: Context, losses: Array, reduction: str, weight: Array | None = None) -> Array:
    """The documented reduction; with `weight` the mean is the sum over the sum of the weights."""
    if reduction == "none":
        return losses
    total = m.sum(losses)
    if reduction == "sum":
        return total
    if reduction == "batchmean":
        return total / losses.shape[0]
    return total / losses.size if weight is None else total / m.sum(weight)


def _weighted(losses: Array, weight: Array | None) -> Array:
    return losses if weight is None else losses * weight


# --- regression

_WEIGHTED: Final[tuple[Params, ...]] = ({}, {"weight": TENSOR})
_WEIGHTED_REDUCED: Final[tuple[Params, ...]] = (
    *_REDUCTIONS,
    {"weight": TENSOR},
    {"reduction": "sum", "weight": TENSOR},
)
_WEIGHTS: Final = (1.0, 0.0, 0.3, -2.0, 1e-30, 1e30)


def _weights(params: Params) -> dict[str, Sequence[float]]:
    return {"weight": _WEIGHTS}


@_loss(
    F.l1_loss,
    module=nn.L1Loss,
    options=_WEIGHTED,
    reduced=_WEIGHTED_REDUCED,
    optional={"weight": True},
    partners=_weights,
    offsets=lambda p: (0.0,),
)
def l1_loss(m: Context, input: Array, target: Array, *, weight: Any = None, reduction: str = "mean") -> Array:
    return _reduced(m, _weighted(m.abs(input - target), weight), reduction, weight)


@_loss(
    F.mse_loss,
    module=nn.MSELoss,
    options=_WEIGHTED,
    reduced=_WEIGHTED_REDUCED,
    optional={"weight": True},
    partners=_weights,
    offsets=lambda p: (0.0,),
)
def mse_loss(
    m: Context, input: Array, target: Array, *, weight: Any = None, reduction: str = "mean"
) -> Array:
    return _reduced(m, _weighted((input - target) ** 2, weight), reduction, weight)


def _two_sided(m: Context, d: Array, edge: Any, inside: Array, outside: Callable[[Array], Array]) -> Array:
    """`inside` for |d| < edge, `outside(|d|)` beyond, without a kink at d = 0."""
    return m.where(d >= edge, outside(d), m.where(d <= -edge, outside(-d), inside))


@_loss(
    F.smooth_l1_loss,
    module=nn.SmoothL1Loss,
    options=[{}, *({"beta": v} for v in (0.0, 0.1, 2.0, 1e-30, 1e30))],
    reduced=[*_REDUCTIONS, {"beta": 0.1}, {"beta": 0.0}],
    offsets=lambda p: (0.0, p["beta"]),
)
def smooth_l1_loss(
    m: Context, input: Array, target: Array, *, beta: Any = 1.0, reduction: str = "mean"
) -> Array:
    d, beta = input - target, m.const(beta)
    losses = _two_sided(m, d, beta, d * d / (2 * beta), lambda size: size - beta / 2)
    return _reduced(m, losses, reduction)


@_loss(
    F.huber_loss,
    module=nn.HuberLoss,
    options=[{}, *({"delta": v} for v in (0.1, 2.0, 1e-30, 1e30)), {"weight": TENSOR}],
    reduced=[*_WEIGHTED_REDUCED, {"delta": 0.1}],
    optional={"weight": True},
    partners=_weights,
    offsets=lambda p: (0.0, p["delta"]),
)
def huber_loss(
    m: Context, input: Array, target: Array, *, weight: Any = None, delta: Any = 1.0, reduction: str = "mean"
) -> Array:
    d, delta = input - target, m.const(delta)
    losses = _two_sided(m, d, delta, d * d / 2, lambda size: delta * (size - delta / 2))
    # Its weighted mean divides by the number of entries, unlike those of l1_loss and mse_loss.
    return _reduced(m, _weighted(losses, weight), reduction)


# --- probabilities


def _unit(name: str, values: Any) -> Any:
    return (values[name] >= 0) & (values[name] <= 1)


_PROBABILITIES: Final = (0.0, 1.0, 0.5, 0.1, 0.9999999, 1e-30)


@_loss(
    F.binary_cross_entropy,
    module=nn.BCELoss,
    options=[{}, {"weight": TENSOR}],
    reduced=[*_REDUCTIONS, {"weight": TENSOR}, {"reduction": "sum", "weight": TENSOR}],
    optional={"weight": False},
    landmarks=lambda p: (0.0, 1.0, 0.5, 1e-12, 3.7200759760208361e-44),
    partners=lambda p: {"target": _PROBABILITIES, "weight": _WEIGHTS},
    offsets=lambda p: (0.0,),
    domain=lambda p, v: _unit("input", v) & _unit("target", v),
    stable_form=(
        "# with input = sigmoid(logits)\n"
        "torch.nn.functional.binary_cross_entropy_with_logits(logits, target, reduction=reduction)"
    ),
)
def binary_cross_entropy(
    m: Context, input: Array, target: Array, *, weight: Any = None, reduction: str = "mean"
) -> Array:
    yes, no = m.documented_max(m.log(input), -100), m.documented_max(m.log1p(-input), -100)
    losses = -(target * yes + (1 - target) * no)
    return _reduced(m, _weighted(losses, weight), reduction)


@_loss(
    F.binary_cross_entropy_with_logits,
    module=nn.BCEWithLogitsLoss,
    options=[{}, {"weight": TENSOR}, {"pos_weight": TENSOR}, {"weight": TENSOR, "pos_weight": TENSOR}],
    reduced=[*_REDUCTIONS, {"pos_weight": TENSOR}, {"weight": TENSOR}],
    optional={"weight": False, "pos_weight": False},
    partners=lambda p: {
        "target": _PROBABILITIES,
        "weight": _WEIGHTS,
        "pos_weight": (1.0, 0.3, 3.0, 0.0, 1e-30, 1e30),
    },
    domain=lambda p, v: _unit("target", v),
)
def binary_cross_entropy_with_logits(
    m: Context,
    input: Array,
    target: Array,
    *,
    weight: Any = None,
    pos_weight: Any = None,
    reduction: str = "mean",
) -> Array:
    positive = target * m.softplus(-input)
    positive = positive if pos_weight is None else pos_weight * positive
    losses = positive + (1 - target) * m.softplus(input)
    return _reduced(m, _weighted(losses, weight), reduction)


# exp(-17.5), exp(-109) and exp(-750.3) lie below the subnormal numbers of float16, float32 and float64.
_LOG_PROBABILITIES: Final = (-1.0, 0.0, -0.1, -17.5, -109.0, -750.3, -np.inf)
_KL_REDUCED: Final[tuple[Params, ...]] = (*_REDUCTIONS, {"reduction": "batchmean"})


@_loss(
    F.kl_div,
    module=nn.KLDivLoss,
    options=[{}, {"log_target": True}],
    reduced=[*_KL_REDUCED, *({**given, "log_target": True} for given in _KL_REDUCED)],
    landmarks=lambda p: (0.0, -1.0),
    partners=lambda p: {"target": _LOG_PROBABILITIES if p["log_target"] else _PROBABILITIES},
    offsets=lambda p: (0.0,) if p["log_target"] else (),
    domain=lambda p, v: (v["input"] <= 0) & ((v["target"] <= 0) if p["log_target"] else _unit("target", v)),
)
def kl_div(
    m: Context, input: Array, target: Array, *, log_target: bool = False, reduction: str = "mean"
) -> Array:
    losses = m.exp(target) * (target - input) if log_target else m.xlogy(target, target) - target * input
    return _reduced(m, losses, reduction)


_COUNTS: Final = (0.0, 1.0, 2.0, 7.0, 0.5, 1000.0)


def _poisson_domain(params: Params, values: Any) -> Any:
    counts = values["target"] >= 0
    return counts if params["log_input"] else counts & (values["input"] >= 0)


@_loss(
    F.poisson_nll_loss,
    module=nn.PoissonNLLLoss,
    options=[
        {},
        {"full": True},
        {"log_input": False},
        {"log_input": False, "full": True},
        *({"log_input": False, "eps": v} for v in (0.1, 1e-30, 0.0)),
    ],
    reduced=[*_REDUCTIONS, {"full": True}, {"log_input": False}],
    # Where the whole loss is least, exp(input) = target or input = target, large terms cancel.
    landmarks=lambda p: (
        (0.0, 1.0, float(np.log(_COUNTS[-1]))) if p["log_input"] and p["full"] else (0.0, 1.0)
    ),
    partners=lambda p: {"target": _COUNTS},
    offsets=lambda p: (0.0,) if p["full"] and not p["log_input"] else (),
    domain=_poisson_domain,
)
def poisson_nll_loss(
    m: Context,
    input: Array,
    target: Array,
    *,
    log_input: bool = True,
    full: bool = False,
    eps: Any = 1e-8,
    reduction: str = "mean",
) -> Array:
    losses = m.exp(input) - target * input if log_input else input - target * m.log(input + eps)
    if full:
        stirling = target * m.log(target) - target + m.log(2 * m.pi * target) / 2
        losses = losses + m.where(target > 1, stirling, 0)
    return _reduced(m, losses, reduction)


@_loss(
    F.gaussian_nll_loss,
    module=nn.GaussianNLLLoss,
    inputs=("input", "target", "var"),
    options=[{}, {"full": True}, *({"eps": v} for v in (0.1, 1e-30))],
    reduced=[*_REDUCTIONS, {"full": True}],
    partners=lambda p: {"var": (1.0, p["eps"], 0.0, 0.3, 1e30, 1e-30, np.inf)},
    offsets=lambda p: (0.0,),
    domain=lambda p, v: ~(v["var"] < 0),
)
def gaussian_nll_loss(
    m: Context,
    input: Array,
    target: Array,
    var: Array,
    *,
    full: bool = False,
    eps: Any = 1e-6,
    reduction: str = "mean",
) -> Array:
    # The documentation states that the clamp is ignored with respect to autograd.
    v = var + m.stop(m.maximum(var, eps) - var)
    losses = (m.log(v) + (input - target) ** 2 / v) / 2
    return _reduced(m, losses + m.log(2 * m.pi) / 2 if full else losses, reduction)


# --- margins


def _labelled(params: Params, values: Any) -> Any:
    return np.abs(values["target"]) == 1


def _labels(params: Params) -> dict[str, Sequence[float]]:
    return {"target": SIGNS}


@_loss(
    F.soft_margin_loss,
    module=nn.SoftMarginLoss,
    inputs=("input",),
    extras=("target",),
    partners=_labels,
    domain=_labelled,
    stable_form="-torch.nn.functional.logsigmoid(target * input)",
)
def soft_margin_loss(m: Context, input: Array, *, target: Array, reduction: str = "mean") -> Array:
    return _reduced(m, m.softplus(-target * input), reduction)


@_loss(
    F.hinge_embedding_loss,
    module=nn.HingeEmbeddingLoss,
    inputs=("input",),
    extras=("target",),
    options=[{}, *({"margin": v} for v in (0.1, 2.0, -1.0, 1e-30, 1e30))],
    reduced=[*_REDUCTIONS, {"margin": 0.1}],
    landmarks=lambda p: (0.0, p["margin"]),
    partners=_labels,
    domain=_labelled,
)
def hinge_embedding_loss(
    m: Context, input: Array, *, target: Array, margin: Any = 1.0, reduction: str = "mean"
) -> Array:
    return _reduced(m, m.where(target > 0, input, m.relu(margin - input)), reduction)


@_loss(
    F.margin_ranking_loss,
    module=nn.MarginRankingLoss,
    inputs=("input1", "input2", "target"),
    options=[{}, *({"margin": v} for v in (0.1, 2.0, -1.0, 1e-30, 1e30))],
    reduced=[*_REDUCTIONS, {"margin": 0.1}],
    partners=_labels,
    offsets=lambda p: (0.0, p["margin"]),
    domain=_labelled,
)
def margin_ranking_loss(
    m: Context, input1: Array, input2: Array, target: Array, *, margin: Any = 0.0, reduction: str = "mean"
) -> Array:
    return _reduced(m, m.relu(margin - target * (input1 - input2)), reduction)
