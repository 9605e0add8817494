"""Distances between vectors and the losses made of them.

Sources: the documentation pages of torch.nn and torch.nn.functional, version 2.13.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from math import inf
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from gradcheck_suite.floats import Format, round_to
from gradcheck_suite.formula.context import Context
from gradcheck_suite.formula.tape import Array
from gradcheck_suite.inputs.pairs import (
    Pair,
    Triplet,
    near,
    ordinary,
    pairs,
    special_pairs,
    special_triplets,
    triplets,
)
from gradcheck_suite.ops.declare import operation
from gradcheck_suite.ops.record import Params, Sample
from gradcheck_suite.ops.reduction import reduced

_REDUCTIONS = ({"reduction": "none"}, {"reduction": "sum"})


def _chosen(params: Params, fmt: Format, budget: str, default: Params, shortest: int = 1) -> Iterator[Pair]:
    """Every family for the default options, and for the others those that an option may change."""
    full = dict(params) == dict(default) and budget != "quick"
    yield from pairs(fmt, full=full, shortest=shortest, longest=4096 if budget == "thorough" else 512)
    if full:
        yield from special_pairs()


def _sample(pair: Pair, lay: Callable[..., dict[str, Any]], extra: Any = None) -> Sample:
    """A pair as the op takes it, `lay(x, y)`."""
    return _along(lay, pair.curve, lay(pair.x, pair.y), extra or {}, pair)


def _along(
    lay: Callable[..., dict[str, Any]],
    curve: Callable[[float], Any] | None,
    inputs: dict[str, Any],
    extra: dict[str, Any],
    named: Pair | Triplet,
) -> Sample:
    """A sample that knows the others of its curve."""
    sample = Sample(inputs=inputs, extra=extra, label=named.label, probe=named.probe, at=named.at)
    if curve is None:
        return sample
    return replace(sample, curve=lambda at: replace(sample, inputs=lay(*curve(at)), at=at))


# --- cosine_similarity

_COSINE = {"dim": 1, "eps": 1e-8}


def _cosine_samples(params: Params, fmt: Format, *, budget: str, seed: int) -> Iterator[Sample]:
    dim, eps = int(params["dim"]), float(params["eps"])
    for pair in _chosen(params, fmt, budget, _COSINE, shortest=2):
        yield _sample(pair, lambda x, y: {"x1": _laid(x, dim), "x2": _laid(y, dim)})
    for value in near(fmt, eps / 5, 1 if dim == 1 else 0):
        # 3, 4, 5: the norm is eps to within an ulp. Along an axis a cosine would never change.
        x, y = np.asarray(round_to(value * np.array([3.0, 4.0]), fmt)), np.array([0.5, -1.0])
        yield Sample(
            inputs={"x1": _laid(x, dim), "x2": _laid(y, dim)},
            label="the norm of the first vector at eps",
            probe="norm",
            at=5 * float(value),
        )
    (pair,) = ordinary((24,))
    y = pair.y.reshape(2, 3, 4)
    yield Sample(
        inputs={"x1": pair.x.reshape(2, 3, 4), "x2": y[:, :, :1] if dim == 0 else y[:1]},
        label="ordinary vectors, broadcast",
        probe="length",
        at=3.0,
    )


def _laid(vector: Any, dim: int) -> Any:
    """A vector as an array in which it lies along `dim`."""
    return vector[np.newaxis] if dim == 1 else vector[:, np.newaxis] if dim == 0 else vector


@operation(
    F.cosine_similarity,
    family="distance",
    module=nn.CosineSimilarity,
    inputs=("x1", "x2"),
    variants=[{"dim": 0}, {"dim": -1}, {"eps": 0.0}, {"eps": 1e-30}, {"eps": 0.1}, {"eps": 100.0}],
    samples=_cosine_samples,
    # A cosine knows no scale: beside 1, the largest entry, no square leaves the format.
    stable_form=(
        "u = x1 / x1.detach().abs().amax(dim, keepdim=True).clamp_min(eps)\n"
        "v = x2 / x2.detach().abs().amax(dim, keepdim=True).clamp_min(eps)\n"
        "torch.nn.functional.cosine_similarity(u, v, dim, eps=1)"
    ),
)
def cosine_similarity(m: Context, x1: Array, x2: Array, *, dim: int = 1, eps: Any = 1e-8) -> Array:
    product = x1 * x2
    norms = [m.norm(m.broadcast(x, product.shape), 2, dim) for x in (x1, x2)]
    return m.sum(product, dim) / (m.documented_max(norms[0], eps) * m.documented_max(norms[1], eps))


# --- pairwise_distance

_PAIRWISE = {"p": 2.0, "eps": 1e-6, "keepdim": False}


def _pairwise_samples(params: Params, fmt: Format, *, budget: str, seed: int) -> Iterator[Sample]:
    for pair in _chosen(params, fmt, budget, _PAIRWISE):
        yield _sample(pair, lambda x, y: {"x1": x[np.newaxis], "x2": y[np.newaxis]})
    (pair,) = ordinary((24,))
    yield Sample(
        inputs={"x1": pair.x.reshape(2, 4, 3), "x2": pair.y[:12].reshape(4, 3)},
        label="ordinary vectors, broadcast",
        probe="length",
        at=3.0,
    )
    if fmt.precision == 53 and (eps := float(params["eps"])):
        # Only binary64 holds the float that is passed for eps: elsewhere it rounds to one side of the kink.
        inputs = {"x1": np.array([1.0, -eps, 0.0]), "x2": np.array([1.0, 0.0, eps])}
        yield Sample(inputs=inputs, label="entries that eps cancels", probe="entry", at=eps)


@operation(
    F.pairwise_distance,
    family="distance",
    module=nn.PairwiseDistance,
    inputs=("x1", "x2"),
    structural=("p",),
    variants=[
        *({"p": p} for p in (1.0, inf, -inf, 0.0, 0.5, 1.5, 3.0, -1.0, 100.0)),
        {"eps": 0.0},
        {"eps": 0.1},
        {"eps": 1e-30},
        {"keepdim": True},
        {"p": 1.0, "eps": 0.0},
    ],
    samples=_pairwise_samples,
    stable_form=(
        "d, limits = x1 - x2 + eps, torch.finfo(x1.dtype)\n"
        "s = d.detach().abs().amax(-1, keepdim=True).clamp(limits.tiny, limits.max)\n"
        "s.squeeze(-1) * torch.linalg.vector_norm(d / s, p, -1)"
    ),
)
def pairwise_distance(
    m: Context, x1: Array, x2: Array, *, p: float = 2.0, eps: Any = 1e-6, keepdim: bool = False
) -> Array:
    return m.norm(x1 - x2 + eps, p, -1, keepdims=keepdim)


# --- pdist


def _pdist_samples(params: Params, fmt: Format, *, budget: str, seed: int) -> Iterator[Sample]:
    for pair in _chosen(params, fmt, budget, {"p": 2.0}):
        yield _sample(pair, lambda x, y: {"input": np.stack([x, y])})
    (pair,) = ordinary((12,))
    rows = pair.x.reshape(4, 3).copy()
    yield Sample(inputs={"input": rows}, label="four ordinary rows", probe="rows", at=4.0)
    rows = rows.copy()
    rows[2] = rows[0]
    yield Sample(inputs={"input": rows}, label="four rows, two of them equal", probe="equal rows", at=2.0)
    yield Sample(inputs={"input": np.ones((3, 2))}, label="three equal rows", probe="equal rows", at=3.0)


@operation(
    F.pdist,
    family="distance",
    inputs=("input",),
    structural=("p",),
    directions=("forward", "backward"),
    variants=[{"p": p} for p in (0.0, 0.5, 1.0, 1.5, 3.0, 100.0, inf)],
    samples=_pdist_samples,
    stable_form=(
        "i, j = torch.triu_indices(len(input), len(input), 1)\n"
        "d, limits = input[i] - input[j], torch.finfo(input.dtype)\n"
        "s = d.detach().abs().amax(-1, keepdim=True).clamp(limits.tiny, limits.max)\n"
        "s.squeeze(-1) * torch.linalg.vector_norm(d / s, p, -1)"
    ),
)
def pdist(m: Context, input: Array, *, p: float = 2.0) -> Array:
    first, second = np.triu_indices(input.shape[0], 1)
    return m.norm(input[first] - input[second], p, -1)


# --- cosine_embedding_loss


def _stack(columns: list[Any], n: int) -> list[Any]:
    return [np.stack([np.resize(v, n) for v in column]) for column in columns]


def _embedding_samples(params: Params, fmt: Format, *, budget: str, seed: int) -> Iterator[Sample]:
    if params["reduction"] == "none":
        default = {"margin": 0.0, "reduction": "none"}
        for pair in _chosen(params, fmt, budget, default, shortest=2):
            extra = {"target": np.array([1, -1], dtype=np.int64)}
            lay = lambda x, y: {"input1": np.stack([x] * 2), "input2": np.stack([y] * 2)}  # noqa: E731
            yield _sample(pair, lay, extra)
        # cos is exactly 24/25.
        x, y = np.array([3.0, 4.0]), np.array([4.0, 3.0])
        yield _embedding(x[np.newaxis], y[np.newaxis], [-1], Pair(x, y, "an exact cosine", "angle", 16.0))
        return
    few = [p for p in pairs(fmt, full=False) if "scaled" not in p.label and "zero" not in p.label]
    yield _embedding_batch([p.x for p in few], [p.y for p in few], "hard pairs")
    (base,) = ordinary((3,))
    for n in (1, 3, 257):
        first, second = [np.roll(base.x, i) for i in range(n)], [np.roll(base.y, i // 3) for i in range(n)]
        yield _embedding_batch(first, second, f"ordinary vectors, a batch of {n}")


def _embedding_batch(x: list[Any], y: list[Any], label: str) -> Sample:
    first, second = _stack([x, y], 3)
    pair = Pair(first, second, label, "batch", float(len(x)))
    return _embedding(first, second, [(-1) ** i for i in range(len(x))], pair)


def _embedding(x: Any, y: Any, target: list[int], pair: Pair) -> Sample:
    return Sample(
        inputs={"input1": x, "input2": y},
        extra={"target": np.array(target, dtype=np.int64)},
        label=pair.label,
        probe=pair.probe,
        at=pair.at,
    )


@operation(
    F.cosine_embedding_loss,
    family="loss",
    module=nn.CosineEmbeddingLoss,
    inputs=("input1", "input2"),
    variants=[
        *_REDUCTIONS,
        *({"margin": v, "reduction": "none"} for v in (0.5, -0.5, 0.1, 0.9, 1e-30)),
    ],
    samples=_embedding_samples,
)
def cosine_embedding_loss(
    m: Context, input1: Array, input2: Array, *, target: Any, margin: Any = 0.0, reduction: str = "mean"
) -> Array:
    # torch adds 1e-12 to both squared norms, which the documentation does not state.
    cosine = m.sum(input1 * input2, -1) / (m.norm(input1) * m.norm(input2))
    return reduced(m, m.select(target == 1, 1 - cosine, m.relu(cosine - margin)), reduction)


# --- triplets

_TRIPLET = {
    "margin": 1.0,
    "p": 2.0,
    "eps": 1e-6,
    "swap": False,
    "reduction": "none",
    "distance_function": "default",
}


def _triplet_samples(params: Params, fmt: Format, *, budget: str, seed: int) -> Iterator[Sample]:
    if params["reduction"] != "none":
        yield from _triplet_batches(fmt)
        return
    full = budget != "quick" and all(params.get(n, v) == v for n, v in _TRIPLET.items())
    for triplet in triplets(fmt, full=full):
        yield _triplet(triplet)
    if full:
        for triplet in special_triplets():
            yield _triplet(triplet)


def _triplet(t: Triplet) -> Sample:
    def lay(*vectors: Any) -> dict[str, Any]:
        return {n: v[np.newaxis] for n, v in zip(_VECTORS, vectors, strict=True)}

    return _along(lay, t.curve, lay(t.anchor, t.positive, t.negative), {}, t)


def _triplet_batches(fmt: Format) -> Iterator[Sample]:
    few = [t for t in triplets(fmt, full=False) if len(t.anchor) == 3]
    ordinary_only = few[:1] * 3
    for group, label in ((ordinary_only, "three ordinary triplets"), (few, "a batch of hard triplets")):
        columns = {n: [getattr(t, n) for t in group] for n in ("anchor", "positive", "negative")}
        inputs = dict(zip(columns, _stack(list(columns.values()), 3), strict=True))
        yield Sample(inputs=inputs, label=label, probe="batch", at=float(len(group)))


_VECTORS = ("anchor", "positive", "negative")


def _hinge(m: Context, positive: Array, negative: Array, margin: Any, reduction: str) -> Array:
    return reduced(m, m.relu(positive - negative + margin), reduction)


@operation(
    F.triplet_margin_loss,
    family="loss",
    module=nn.TripletMarginLoss,
    inputs=("anchor", "positive", "negative"),
    structural=("p",),
    variants=[
        *_REDUCTIONS,
        *({"p": p, "reduction": "none"} for p in (1.0, inf, 3.0)),
        {"swap": True, "reduction": "none"},
        {"swap": True},
        {"p": 1.0, "swap": True, "reduction": "none"},
        *({"margin": v, "reduction": "none"} for v in (0.1, 1e-30, 1e4)),
        {"eps": 0.0, "reduction": "none"},
        {"eps": 0.1, "reduction": "none"},
    ],
    samples=_triplet_samples,
)
def triplet_margin_loss(
    m: Context,
    anchor: Array,
    positive: Array,
    negative: Array,
    *,
    margin: Any = 1.0,
    p: float = 2.0,
    eps: Any = 1e-6,
    swap: bool = False,
    reduction: str = "mean",
) -> Array:
    far = m.norm(anchor - negative + eps, p)
    if swap:
        far = m.minimum(far, m.norm(positive - negative + eps, p))
    return _hinge(m, m.norm(anchor - positive + eps, p), far, margin, reduction)


def _euclidean(m: Context, x: Array, y: Array) -> Array:
    return m.norm(x - y + m.const(1e-6))


def _manhattan(m: Context, x: Array, y: Array) -> Array:
    return m.norm(x - y, 1)


def _squared(m: Context, x: Array, y: Array) -> Array:
    d = x - y
    return m.sum(d * d, -1)


_DISTANCES = {
    "default": (None, "None", _euclidean),
    "manhattan": (lambda x, y: (x - y).abs().sum(-1), "lambda x, y: (x - y).abs().sum(-1)", _manhattan),
    "squared": (lambda x, y: (x - y).square().sum(-1), "lambda x, y: (x - y).square().sum(-1)", _squared),
}
"""Distance functions by name: torch's form, its source text, and its definition."""


def with_distance(*tensors: torch.Tensor, distance_function: str = "default", **options: Any) -> torch.Tensor:
    """The loss with a distance function named in `_DISTANCES`."""
    chosen = _DISTANCES[distance_function][0]
    return F.triplet_margin_with_distance_loss(*tensors, distance_function=chosen, **options)


def _with_distance_module(distance_function: str = "default", **options: Any) -> nn.Module:
    chosen = _DISTANCES[distance_function][0]
    return nn.TripletMarginWithDistanceLoss(distance_function=chosen, **options)


def _with_distance_code(texts: Mapping[str, str]) -> str:
    chosen = _DISTANCES[texts.get("distance_function", "'default'").strip("'")][1]
    rest = [f"{n}={v}" for n, v in texts.items() if n not in (*_VECTORS, "distance_function")]
    given = ", ".join([*_VECTORS, f"distance_function={chosen}", *rest])
    return f"y = torch.nn.functional.triplet_margin_with_distance_loss({given})"


@operation(
    with_distance,
    code=_with_distance_code,
    family="loss",
    callable_name="torch.nn.functional.triplet_margin_with_distance_loss",
    module=_with_distance_module,
    covers=("torch.nn.TripletMarginWithDistanceLoss",),
    inputs=("anchor", "positive", "negative"),
    variants=[
        *_REDUCTIONS,
        {"swap": True, "reduction": "none"},
        {"margin": 0.1, "reduction": "none"},
        {"distance_function": "manhattan", "reduction": "none"},
        {"distance_function": "squared", "swap": True, "reduction": "none"},
        {"distance_function": "squared"},
    ],
    samples=_triplet_samples,
)
def triplet_margin_with_distance_loss(
    m: Context,
    anchor: Array,
    positive: Array,
    negative: Array,
    *,
    distance_function: str = "default",
    margin: Any = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Array:
    distance = _DISTANCES[distance_function][2]
    far = distance(m, anchor, negative)
    if swap:
        far = m.minimum(far, distance(m, positive, negative))
    return _hinge(m, distance(m, anchor, positive), far, margin, reduction)
