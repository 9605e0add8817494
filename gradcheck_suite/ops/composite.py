"""Losses that bring their own linear layer: adaptive softmax and linear cross entropy, whole and in chunks.

Sources: the documentation pages of torch.nn.AdaptiveLogSoftmaxWithLoss and of
torch.nn.functional.linear_cross_entropy, version 2.13; for the former Grave et al. 2017, "Efficient softmax
approximation for GPUs".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call

from gradcheck_suite.floats import Format
from gradcheck_suite.formula.context import Context
from gradcheck_suite.formula.tape import Array
from gradcheck_suite.inputs.projections import Projection, few, filled, projections
from gradcheck_suite.ops.classification import cross_entropy, cross_entropy_prob
from gradcheck_suite.ops.declare import operation
from gradcheck_suite.ops.record import Params, Sample
from gradcheck_suite.ops.variants import TENSOR

# --- adaptive softmax

_FEATURES: Final = 4
_CLASSES: Final = 7
_LAYERS: Final = ("head", "tail_0_0", "tail_0_1", "tail_1_0", "tail_1_1")


def _sizes(cutoffs: Sequence[int], div_value: float) -> dict[str, tuple[int, int]]:
    """The shapes of the weights for two tail clusters, as the module makes them."""
    hidden = [int(_FEATURES // div_value**k) for k in (1, 2)]
    ends = (*cutoffs, _CLASSES)
    return {
        "head": (cutoffs[0] + 2, _FEATURES),
        "tail_0_0": (hidden[0], _FEATURES),
        "tail_0_1": (ends[1] - ends[0], hidden[0]),
        "tail_1_0": (hidden[1], _FEATURES),
        "tail_1_1": (ends[2] - ends[1], hidden[1]),
    }


def _module(
    layers: Sequence[torch.Tensor], head_bias: torch.Tensor | None, cutoffs: Sequence[int], div_value: float
) -> tuple[nn.AdaptiveLogSoftmaxWithLoss, dict[str, torch.Tensor]]:
    """The module and its parameters by the names that it has for them."""
    biased = head_bias is not None
    with torch.random.fork_rng(devices=[]):
        module = nn.AdaptiveLogSoftmaxWithLoss(_FEATURES, _CLASSES, cutoffs, div_value, biased)
    names = ["head.weight", *(f"tail.{i}.{j}.weight" for i in (0, 1) for j in (0, 1))]
    weights = dict(zip(names, layers, strict=True))
    return module, weights if head_bias is None else {**weights, "head.bias": head_bias}


def adaptive_call(
    input: torch.Tensor,
    *layers: torch.Tensor,
    target: torch.Tensor,
    head_bias: torch.Tensor | None = None,
    cutoffs: Sequence[int] = (2, 4),
    div_value: float = 2.0,
) -> Any:
    """The module with the given weights: output and loss."""
    module, weights = _module(layers, head_bias, cutoffs, div_value)
    return tuple(functional_call(module, weights, (input, target)))


def adaptive_log_prob_call(
    input: torch.Tensor,
    *layers: torch.Tensor,
    head_bias: torch.Tensor | None = None,
    cutoffs: Sequence[int] = (2, 4),
    div_value: float = 2.0,
) -> torch.Tensor:
    """Its method log_prob with the given weights."""
    module, weights = _module(layers, head_bias, cutoffs, div_value)
    for name, value in weights.items():
        owner, _, attribute = name.rpartition(".")
        layer = module.get_submodule(owner)
        delattr(layer, attribute)
        setattr(layer, attribute, value)
    return module.log_prob(input)


def _module_lines(texts: Mapping[str, str]) -> str:
    """The module with the weights of the sample in the place of its parameters."""
    cutoffs, div_value = texts.get("cutoffs", "(2, 4)"), texts.get("div_value", "2.0")
    biased = "head_bias" in texts
    given = ["'head.weight': head", *(f"'tail.{i}.{j}.weight': tail_{i}_{j}" for i in (0, 1) for j in (0, 1))]
    if biased:
        given.append("'head.bias': head_bias")
    arguments = f"{_FEATURES}, {_CLASSES}, {cutoffs}, {div_value}, {biased}"
    return f"module = torch.nn.AdaptiveLogSoftmaxWithLoss({arguments})\nweights = {{{', '.join(given)}}}\n"


def _adaptive_code(texts: Mapping[str, str]) -> str:
    called = f"torch.func.functional_call(module, weights, (input, {texts['target']}))"
    return f"{_module_lines(texts)}y = {called}"


def _log_prob_code(texts: Mapping[str, str]) -> str:
    return (
        f"{_module_lines(texts)}for name, value in weights.items():\n"
        "    owner, _, leaf = name.rpartition('.')\n"
        "    delattr(module.get_submodule(owner), leaf)\n"
        "    setattr(module.get_submodule(owner), leaf, value)\n"
        "y = module.log_prob(input)"
    )


def _weights(fmt: Format, params: Params, head: Any) -> dict[str, Any]:
    shapes = _sizes(params["cutoffs"], float(params["div_value"]))
    made = {name: filled(*shape, shift) / 2 for shift, (name, shape) in enumerate(shapes.items())}
    return {**made, "head": np.resize(head, shapes["head"])}


def _adaptive_cases(
    params: Params, fmt: Format, tensors: Sequence[str], full: bool
) -> Iterator[tuple[Projection, dict[str, Any]]]:
    for case in projections(fmt, 4, _FEATURES, params["cutoffs"][0] + 2, full=full):
        inputs = {"input": case.input, **_weights(fmt, params, case.weight)}
        if "head_bias" in tensors:
            inputs["head_bias"] = few(fmt, len(inputs["head"]), 3)
        yield case, inputs


def _adaptive_samples(
    params: Params, fmt: Format, *, budget: str, seed: int, tensors: Sequence[str] = ()
) -> Iterator[Sample]:
    plain = tuple(params["cutoffs"]) == (2, 4) and params["div_value"] == 2 and not tensors
    full = plain and budget != "quick"
    targets = [np.array([0, 3, 6, 1]), np.array([1, 1, 0, 0])]
    for case, inputs in _adaptive_cases(params, fmt, tensors, full):
        for target in targets if case.label == "ordinary entries" else targets[:1]:
            yield _classified(case, inputs, target)
    single = {**inputs, "input": case.input[0]}
    yield _classified(case, single, np.array(5))


def _classified(case: Projection, inputs: dict[str, Any], target: Any) -> Sample:
    extra = {} if target is None else {"target": target}
    return Sample(inputs=inputs, extra=extra, label=case.label, probe=case.probe, at=case.at)


def _log_prob_samples(
    params: Params, fmt: Format, *, budget: str, seed: int, tensors: Sequence[str] = ()
) -> Iterator[Sample]:
    for case, inputs in _adaptive_cases(params, fmt, tensors, False):
        yield _classified(case, inputs, None)


@operation(
    adaptive_log_prob_call,
    code=_log_prob_code,
    family="activation",
    callable_name="torch.nn.AdaptiveLogSoftmaxWithLoss.log_prob",
    inputs=("input", *_LAYERS),
    optional={"head_bias": True},
    structural=("div_value",),
    variants=[{"head_bias": TENSOR}],
    samples=_log_prob_samples,
)
def adaptive_log_prob(
    m: Context,
    input: Array,
    head: Array,
    tail_0_0: Array,
    tail_0_1: Array,
    tail_1_0: Array,
    tail_1_1: Array,
    *,
    head_bias: Any = None,
    cutoffs: Sequence[int] = (2, 4),
    div_value: float = 2.0,
) -> Array:
    rows = input if input.ndim == 2 else input.reshape(1, -1)
    scores = rows @ head.transpose()
    first = m.log_softmax(scores if head_bias is None else scores + head_bias)
    short = cutoffs[0]
    parts = [first[:, :short]]
    for i, (inner, outer) in enumerate(((tail_0_0, tail_0_1), (tail_1_0, tail_1_1))):
        within = m.log_softmax(rows @ inner.transpose() @ outer.transpose())
        parts.append(first[:, short + i : short + i + 1] + within)
    return m.concat(parts, 1)


@operation(
    adaptive_call,
    code=_adaptive_code,
    family="loss",
    callable_name="torch.nn.AdaptiveLogSoftmaxWithLoss",
    inputs=("input", *_LAYERS),
    extras=("target",),
    optional={"head_bias": True},
    structural=("div_value",),
    variants=[{"head_bias": TENSOR}, {"cutoffs": (1, 6)}, {"div_value": 1.0}],
    samples=_adaptive_samples,
)
def adaptive_log_softmax_with_loss(
    m: Context,
    input: Array,
    head: Array,
    tail_0_0: Array,
    tail_0_1: Array,
    tail_1_0: Array,
    tail_1_1: Array,
    *,
    target: Any,
    head_bias: Any = None,
    cutoffs: Sequence[int] = (2, 4),
    div_value: float = 2.0,
) -> tuple[Array, Array]:
    logs = adaptive_log_prob(
        m, input, head, tail_0_0, tail_0_1, tail_1_0, tail_1_1, head_bias=head_bias, cutoffs=cutoffs
    )
    picked = m.gather(logs, np.reshape(target, (-1, 1)))[:, 0]
    return picked if input.ndim == 2 else picked[0], -m.mean(picked)


# --- linear cross entropy


def _absent(*arguments: Any, **options: Any) -> torch.Tensor:
    raise NotImplementedError(f"torch {torch.__version__} has no torch.nn.functional.linear_cross_entropy")


_linear: Callable[..., torch.Tensor] = getattr(F, "linear_cross_entropy", _absent)


def chunked_call(
    *tensors: torch.Tensor,
    target: torch.Tensor,
    batch_chunk_size: int = 2,
    chunking_method: str | None = None,
    acc_policy: str = "auto",
    **options: Any,
) -> torch.Tensor:
    """The chunked implementation; a chunking method chooses the size of the chunks itself."""
    if _linear is _absent:
        return _absent()
    policy: Any = acc_policy
    size = None if chunking_method else batch_chunk_size
    chosen = nn.LinearCrossEntropyOptions(
        batch_chunk_size=size, chunking_method=chunking_method, acc_policy=policy
    )
    return _linear(*tensors, target, options=chosen, **options)


def _chunked_code(texts: Mapping[str, str]) -> str:
    own = {"batch_chunk_size": "2", "chunking_method": "None", "acc_policy": "'auto'"}
    own |= {n: t for n, t in texts.items() if n in own}
    if own["chunking_method"] != "None":
        own["batch_chunk_size"] = "None"
    options = ", ".join(f"{n}={t}" for n, t in own.items())
    rest = [f"{n}={t}" for n, t in texts.items() if n not in (*own, "input", "linear_weight")]
    chosen = f"options=torch.nn.LinearCrossEntropyOptions({options})"
    given = ", ".join(["input", "linear_weight", *rest, chosen])
    return f"y = torch.nn.functional.linear_cross_entropy({given})"


def linear_call(*tensors: torch.Tensor, target: torch.Tensor, **options: Any) -> torch.Tensor:
    """The reference implementation; the target comes by name, as extras do."""
    return _linear(*tensors, target, **options)


def _linear_samples(
    params: Params, fmt: Format, *, budget: str, seed: int, tensors: Sequence[str] = ()
) -> Iterator[Sample]:
    plain = params["reduction"] == "mean" and not tensors and not params.get("label_smoothing")
    full = plain and params["ignore_index"] is None and budget != "quick"
    for case in projections(fmt, 3, 3, 4, full=full):
        yield _linear_sample(case, fmt, tensors, [0, 3, 1])
    base, *_ = projections(fmt, 5, 3, 4, full=False)
    ignored = -100 if params["ignore_index"] is None else params["ignore_index"]
    some, every = [2, ignored, 0, 3, ignored], [ignored] * 5
    for target, label in ((some, "two of five ignored"), (every, "all ignored")):
        case = Projection(base.input, base.weight, label, "ignored", float(target.count(ignored)))
        yield _linear_sample(case, fmt, tensors, target)
    single = Projection(base.input[0], base.weight, "one sample without a batch axis", "batch", 1.0)
    yield _linear_sample(single, fmt, tensors, 2)


def _linear_sample(case: Projection, fmt: Format, tensors: Sequence[str], target: Any) -> Sample:
    inputs = {"input": case.input, "linear_weight": case.weight}
    if "linear_bias" in tensors:
        inputs["linear_bias"] = few(fmt, len(case.weight), 2)
    extra: dict[str, Any] = {"target": np.array(target, dtype=np.int64)}
    if "weight" in tensors:
        extra["weight"] = np.abs(few(fmt, len(case.weight), 6))
    sample = Sample(inputs=inputs, extra=extra, label=case.label, probe=case.probe, at=case.at)
    return replace(sample, curve=_curve(sample, case), curve_budget="thorough")


def _curve(sample: Sample, case: Projection) -> Callable[[float], Sample] | None:
    """The sample with the projection of another place of the probe."""
    along = case.curve
    if along is None:
        return None
    names = ("input", "linear_weight")
    return lambda at: replace(
        sample, inputs={**sample.inputs, **dict(zip(names, along(at), strict=True))}, at=at
    )


def _with_images(
    params: Params, fmt: Format, *, budget: str, seed: int, tensors: Sequence[str] = ()
) -> Iterator[Sample]:
    """The samples of the reference implementation, and a loss at two positions of each sample."""
    yield from _linear_samples(params, fmt, budget=budget, seed=seed, tensors=tensors)
    if not tensors and params["ignore_index"] is None:
        inputs = {"input": filled(2, 3), "linear_weight": filled(8, 3, 4).reshape(4, 2, 3) / 2}
        extra = {"target": np.array([[0, 3], [1, -100]])}
        yield Sample(inputs=inputs, extra=extra, label="two positions", probe="positions", at=2.0)


_REDUCTIONS = ({"reduction": "none"}, {"reduction": "sum"})


@operation(
    linear_call,
    family="loss",
    callable_name="torch.nn.functional.linear_cross_entropy",
    covers=("torch.nn.LinearCrossEntropyLoss",),
    inputs=("input", "linear_weight"),
    extras=("target",),
    optional={"linear_bias": True, "weight": False},
    variants=[
        *_REDUCTIONS,
        {"linear_bias": TENSOR},
        {"weight": TENSOR},
        {"ignore_index": 1},
        {"label_smoothing": 0.1},
        {"label_smoothing": 0.1, "weight": TENSOR, "linear_bias": TENSOR},
    ],
    samples=_with_images,
)
def linear_cross_entropy(
    m: Context,
    input: Array,
    linear_weight: Array,
    *,
    target: Any,
    linear_bias: Any = None,
    weight: Any = None,
    reduction: str = "mean",
    ignore_index: int | None = None,
    label_smoothing: Any = 0.0,
) -> Array:
    logits = _logits(input, linear_weight, linear_bias)
    ignored = -100 if ignore_index is None else ignore_index
    loss: Array = cross_entropy(
        m,
        logits,
        target=np.asarray(target),
        weight=weight,
        ignore_index=ignored,
        reduction=reduction,
        label_smoothing=label_smoothing,
    )
    return loss


def _logits(input: Array, linear_weight: Array, linear_bias: Any) -> Array:
    shape = linear_weight.shape[:-1]
    features = linear_weight.shape[-1]
    flat = input.reshape(-1, features) @ linear_weight.reshape(-1, features).transpose()
    logits = flat.reshape(*input.shape[:-1], *shape)
    return logits if linear_bias is None else logits + linear_bias


@operation(
    chunked_call,
    code=_chunked_code,
    family="loss",
    callable_name="torch.nn.functional.linear_cross_entropy",
    inputs=("input", "linear_weight"),
    extras=("target",),
    optional={"linear_bias": True, "weight": False},
    directions=("forward", "backward"),
    variants=[
        *_REDUCTIONS,
        *({"acc_policy": p} for p in ("accurate", "balanced", "compact")),
        {"linear_bias": TENSOR},
        {"weight": TENSOR},
        {"weight": TENSOR, "linear_bias": TENSOR, "reduction": "none"},
        {"batch_chunk_size": 16},
        {"chunking_method": "aspect_ratio:2"},
        {"ignore_index": 1},
    ],
    samples=_linear_samples,
)
def linear_cross_entropy_chunked(
    m: Context,
    input: Array,
    linear_weight: Array,
    *,
    target: Any,
    linear_bias: Any = None,
    weight: Any = None,
    reduction: str = "mean",
    ignore_index: int | None = None,
    batch_chunk_size: int = 2,
    chunking_method: str | None = None,
    acc_policy: str = "auto",
) -> Array:
    loss: Array = linear_cross_entropy(
        m,
        input,
        linear_weight,
        target=target,
        linear_bias=linear_bias,
        weight=weight,
        reduction=reduction,
        ignore_index=ignore_index,
    )
    return loss


def _probability_samples(params: Params, fmt: Format, *, budget: str, seed: int) -> Iterator[Sample]:
    chances = np.array([[0.25, 0.25, 0.5, 0.0], [0.0, 1.0, 0.0, 0.0], [0.125, 0.375, 0.25, 0.25]])
    for case in projections(fmt, 3, 3, 4, full=False):
        inputs = {"input": case.input, "linear_weight": case.weight, "target": chances}
        sample = Sample(inputs=inputs, label=case.label, probe=case.probe, at=case.at)
        yield replace(sample, curve=_curve(sample, case), curve_budget="thorough")


@operation(
    _linear,
    name="linear_cross_entropy_prob",
    family="loss",
    callable_name="torch.nn.functional.linear_cross_entropy",
    inputs=("input", "linear_weight", "target"),
    variants=[*_REDUCTIONS, {"label_smoothing": 0.1}],
    samples=_probability_samples,
)
def linear_cross_entropy_prob(
    m: Context,
    input: Array,
    linear_weight: Array,
    target: Array,
    *,
    reduction: str = "mean",
    label_smoothing: Any = 0.0,
) -> Array:
    logits = _logits(input, linear_weight, None)
    loss: Array = cross_entropy_prob(m, logits, target, reduction=reduction, label_smoothing=label_smoothing)
    return loss
