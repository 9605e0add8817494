"""Activations and attention that draw random numbers, judged on numbers drawn from a fixed seed.

The noise is recovered by drawing it again in the same way, never from the gradient under test; given the
noise, each op is an ordinary function.  Sources: the documentation pages of torch.nn.RReLU and of
gumbel_softmax and scaled_dot_product_attention in torch.nn.functional, version 2.13.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import numpy as np
import torch
import torch.nn.functional as F

from gradcheck_suite.floats import Format
from gradcheck_suite.formula.context import Context
from gradcheck_suite.formula.tape import Array
from gradcheck_suite.inputs import binades
from gradcheck_suite.inputs.attention import attentions
from gradcheck_suite.inputs.rows import Row, place, rows
from gradcheck_suite.ops.declare import operation
from gradcheck_suite.ops.record import Params, Sample

_SEED: Final = 20_000


def _drawn(values: Any, fmt: Format, draw: Any) -> Any:
    """What `draw(tensor)` gives from the seed, as float64; zeros where torch has no such kernel."""
    x = torch.from_numpy(np.array(values, dtype=np.float64)).to(getattr(torch, fmt.name))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_SEED)
        try:
            return draw(x).to(torch.float64).numpy()
        except (NotImplementedError, RuntimeError):
            return np.zeros(np.shape(values))


# --- rrelu in training mode


def rrelu_call(input: torch.Tensor, *, slope: torch.Tensor, seed: int, **options: Any) -> torch.Tensor:
    """rrelu in training mode from a seed; the slopes that it is going to draw are not used."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return F.rrelu(input, training=True, **options)


def _seeded_code(function: str, noise: str, *options: str) -> Callable[[Mapping[str, str]], str]:
    """A call of the op right after the seed that its noise was drawn from."""

    def code(texts: Mapping[str, str]) -> str:
        given = [t if t == n else f"{n}={t}" for n, t in texts.items() if n not in ("seed", noise)]
        return f"torch.manual_seed({texts['seed']})\ny = {function}({', '.join([*given, *options])})"

    return code


def _slopes(values: Any, fmt: Format, lower: float, upper: float) -> Any:
    def noise(x: torch.Tensor) -> torch.Tensor:
        out = torch.empty_like(x)
        torch.ops.aten.rrelu_with_noise(x, out, lower, upper, True)
        return out

    # A slope outside the interval would be a defect, so the definition does not follow it there.
    return np.clip(_drawn(values, fmt, noise), lower, upper)


def _rrelu_samples(params: Params, fmt: Format, *, budget: str, seed: int) -> Iterator[Sample]:
    lower, upper = float(params["lower"]), float(params["upper"])
    spread = np.asarray(binades(fmt, per_binade=1, seed=seed))
    step = max(len(spread) // 190, 1)
    groups = {
        "all binades": spread[spread != 0][::step],
        "ordinary entries": np.array([-1.75, -0.8125, 0.75, 1.5, -3.0]),
        "one positive entry": np.array([2.0]),
        "zeros": np.array([0.0, -0.0]),
        "infinities": np.array([np.inf, -np.inf]),
        "a NaN": np.array([np.nan, -1.0]),
    }
    for label, values in groups.items():
        extra = {"slope": _slopes(values, fmt, lower, upper), "seed": _SEED}
        count = float(len(values))
        yield Sample(inputs={"input": values}, extra=extra, label=label, probe="entries", at=count)


@operation(
    rrelu_call,
    name="rrelu_training",
    code=_seeded_code("torch.nn.functional.rrelu", "slope", "training=True"),
    family="activation",
    callable_name="torch.nn.functional.rrelu",
    extras=("slope", "seed"),
    variants=[
        {"lower": 0.25, "upper": 0.25},
        {"lower": -0.1, "upper": 0.3},
        {"lower": 0.0, "upper": 0.0},
        {"lower": 1e-30, "upper": 1e-3},
        {"lower": 1.0, "upper": 1e4},
    ],
    samples=_rrelu_samples,
)
def rrelu_training(
    m: Context, input: Array, *, slope: Array, seed: int, lower: Any = 1.0 / 8, upper: Any = 1.0 / 3
) -> Array:
    return m.where(input >= 0, input, slope * input)


# --- gumbel_softmax


def gumbel_call(logits: torch.Tensor, *, gumbels: torch.Tensor, seed: int, **options: Any) -> torch.Tensor:
    """gumbel_softmax from a seed; the noise that it is going to draw is not used."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return F.gumbel_softmax(logits, **options)


def _gumbels(values: Any, fmt: Format) -> Any:
    """The Gumbel numbers as torch rounds them: they are inputs, and how they are drawn is not judged."""
    return _drawn(values, fmt, lambda x: -torch.empty_like(x).exponential_().log())


def _gumbel_samples(params: Params, fmt: Format, *, budget: str, seed: int) -> Iterator[Sample]:
    dim = int(params["dim"])
    plain = params["tau"] == 1 and dim == -1 and not params["hard"]
    for row in _gumbel_rows(fmt, full=plain and budget != "quick"):
        values = row.values if dim == -1 else place(row.values, dim)
        extra = {"gumbels": _gumbels(values, fmt), "seed": _SEED}
        yield Sample(inputs={"logits": values}, extra=extra, label=row.label, probe=row.probe, at=row.at)


def _gumbel_rows(fmt: Format, *, full: bool) -> Iterator[Row]:
    for row in rows(fmt, (1, 3, 17, 64) if full else (3, 17)):
        # One number that is equal to all others decides nothing once noise is added.
        if row.common or (full and (len(row.values) == 3 or row.probe == "gap")):
            yield row


@operation(
    gumbel_call,
    code=_seeded_code("torch.nn.functional.gumbel_softmax", "gumbels"),
    family="activation",
    callable_name="torch.nn.functional.gumbel_softmax",
    inputs=("logits",),
    extras=("gumbels", "seed"),
    variants=[
        {"tau": 0.1},
        {"tau": 100.0},
        {"tau": 1e-30},
        {"dim": 0},
        {"hard": True},
        {"hard": True, "tau": 0.1},
        {"hard": True, "dim": 0},
    ],
    samples=_gumbel_samples,
)
def gumbel_softmax(
    m: Context, logits: Array, *, gumbels: Array, seed: int, tau: Any = 1.0, hard: bool = False, dim: int = -1
) -> Array:
    soft = m.softmax((logits + gumbels) / tau, dim)
    # The documented straight-through form y_hard - stop(y_soft) + y_soft.
    return m.through(m.one_hot_max(logits + gumbels, dim), soft) if hard else soft


# --- attention with dropout


def dropout_call(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    *,
    keep: torch.Tensor,
    seed: int,
    **options: Any,
) -> torch.Tensor:
    """Attention that drops weights from a seed; which ones it is going to keep is not used."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return F.scaled_dot_product_attention(query, key, value, **options)


def _dropout_samples(params: Params, fmt: Format, *, budget: str, seed: int) -> Iterator[Sample]:
    share = float(params["dropout_p"])
    for case in attentions(fmt, full=False):
        inputs = {"query": case.query, "key": case.key, "value": case.value}
        inputs = {n: x[np.newaxis] for n, x in inputs.items()}
        ones = np.ones((1, len(case.query), len(case.key)))
        keep = _drawn(ones, fmt, lambda x: (torch.dropout(x, share, True) != 0).to(x.dtype))
        extra = {"keep": keep, "seed": _SEED}
        yield Sample(inputs=inputs, extra=extra, label=case.label, probe=case.probe, at=case.at)


@operation(
    dropout_call,
    name="scaled_dot_product_attention_dropout",
    code=_seeded_code("torch.nn.functional.scaled_dot_product_attention", "keep"),
    family="attention",
    callable_name="torch.nn.functional.scaled_dot_product_attention",
    inputs=("query", "key", "value"),
    extras=("keep", "seed"),
    variants=[{"dropout_p": 0.5}, {"dropout_p": 0.0}],
    variants_only=True,
    samples=_dropout_samples,
)
def scaled_dot_product_attention_dropout(
    m: Context, query: Array, key: Array, value: Array, *, keep: Array, seed: int, dropout_p: Any = 0.0
) -> Array:
    scores = query @ key.transpose(0, 2, 1) / m.sqrt(query.shape[-1])
    return m.softmax(scores, -1) * keep / (1 - m.const(dropout_p)) @ value
