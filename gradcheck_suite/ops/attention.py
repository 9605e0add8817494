"""Attention: the functional form on its kernels, and multi-head attention with its weights as inputs.

Sources: the documentation pages of torch.nn.functional.scaled_dot_product_attention and of
torch.nn.MultiheadAttention, version 2.13.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from gradcheck_suite.floats import Format
from gradcheck_suite.formula.context import Context
from gradcheck_suite.formula.tape import Array
from gradcheck_suite.inputs.attention import (
    Attention,
    attentions,
    biased,
    key_bias,
    long_attentions,
    masked,
    packed_weights,
    special,
    weights,
)
from gradcheck_suite.ops.declare import operation
from gradcheck_suite.ops.record import Params, Sample


def _mask_out(m: Context, scores: Array, allowed: Any) -> Array:
    """Scores of -inf where a plain boolean array is false; a row without any key has no softmax at all."""
    kept = np.broadcast_to(allowed, scores.shape)
    empty = np.broadcast_to(~kept.any(-1, keepdims=True), scores.shape)
    masked = m.select(kept, scores, -m.inf)
    return m.select(empty, scores * m.const(float("nan")), masked) if empty.any() else masked


def _turned(x: Array) -> Array:
    """x with its last two axes exchanged."""
    return x.transpose(*range(x.ndim - 2), x.ndim - 1, x.ndim - 2)


def _attend(m: Context, scores: Array, value: Array) -> tuple[Array, Array]:
    """The output and the weights."""
    attention = m.softmax(scores, -1)
    return attention @ value, attention


# --- scaled_dot_product_attention


def scaled_dot_product(
    m: Context,
    query: Array,
    key: Array,
    value: Array,
    attn_mask: Any = None,
    *,
    is_causal: bool = False,
    scale: Any = None,
    enable_gqa: bool = False,
) -> Array:
    """softmax(scale q k^T + mask) v, scale = 1/sqrt(E) by default; a boolean mask is true for keys in use."""
    if enable_gqa:
        heads = np.repeat(np.arange(key.shape[-3]), query.shape[-3] // key.shape[-3])
        key, value = key[..., heads, :, :], value[..., heads, :, :]
    scores = query @ _turned(key) * (1 / m.sqrt(query.shape[-1]) if scale is None else scale)
    if is_causal:
        scores = _mask_out(m, scores, np.tri(scores.shape[-2], scores.shape[-1], dtype=bool))
    if isinstance(attn_mask, np.ndarray):
        scores = _mask_out(m, scores, attn_mask)
    elif attn_mask is not None:
        scores = scores + attn_mask
    return _attend(m, scores, value)[0]


def _samples(
    params: Params, fmt: Format, *, budget: str, seed: int, rank: int, bias: bool = False
) -> Iterator[Sample]:
    causal = params["is_causal"]
    full = not (causal or params["enable_gqa"] or params["scale"] is not None or budget == "quick")
    for case in _cases(fmt, budget, masks=not causal, bias=bias, full=full):
        yield _sample(case, rank, heads=2 if params["enable_gqa"] else 1, bias=bias)


def _cases(fmt: Format, budget: str, *, masks: bool, bias: bool, full: bool) -> Iterator[Attention]:
    if bias:
        yield from biased(fmt)
        return
    yield from attentions(fmt, full=full)
    if masks:
        yield from masked(fmt)
    if full:
        yield from special(fmt)
        yield from long_attentions(fmt, (512, 65_600) if budget == "thorough" else (512,))


def _sample(case: Attention, rank: int, *, heads: int, bias: bool) -> Sample:
    laid = partial(_laid, rank=rank, heads=heads)
    inputs = laid(case.query, case.key, case.value)
    mask = case.mask if case.mask is None else np.resize(case.mask, (len(case.query), len(case.key)))
    if bias:
        inputs["attn_mask"] = mask
    extra = {} if bias or mask is None else {"attn_mask": mask}
    sample = Sample(inputs=inputs, extra=extra, label=case.label, probe=case.probe, at=case.at)
    along = case.curve
    if along is None:
        return sample
    curve = lambda at: replace(sample, inputs={**inputs, **laid(*along(at))}, at=at)  # noqa: E731
    return replace(sample, curve=curve, curve_budget="thorough")


def _laid(query: Any, key: Any, value: Any, *, rank: int, heads: int) -> dict[str, Any]:
    # The fused kernel of the CPU takes values as wide as the keys only.
    values = value if rank == 3 else np.resize(value, (len(key), query.shape[1]))
    queries = np.stack([np.roll(query, i, axis=1) for i in range(heads)])
    inputs = {"query": queries, "key": key[np.newaxis], "value": values[np.newaxis]}
    return {n: x[np.newaxis] for n, x in inputs.items()} if rank == 4 else inputs


_TRIPLE = ("query", "key", "value")
_OPTIONS = ({"is_causal": True}, {"scale": 0.1}, {"scale": 1e-30}, {"enable_gqa": True})

scaled_dot_product_attention = operation(
    F.scaled_dot_product_attention,
    name="scaled_dot_product_attention",
    family="attention",
    inputs=_TRIPLE,
    extras=("attn_mask",),
    variants=_OPTIONS,
    samples=partial(_samples, rank=3),
)(scaled_dot_product)

fused = operation(
    F.scaled_dot_product_attention,
    name="scaled_dot_product_attention_fused",
    family="attention",
    inputs=_TRIPLE,
    extras=("attn_mask",),
    variants=_OPTIONS,
    directions=("forward", "backward"),
    samples=partial(_samples, rank=4),
)(scaled_dot_product)

with_bias = operation(
    F.scaled_dot_product_attention,
    name="scaled_dot_product_attention_mask",
    family="attention",
    inputs=(*_TRIPLE, "attn_mask"),
    samples=partial(_samples, rank=3, bias=True),
)(scaled_dot_product)


# --- multi-head attention


def _heads(x: Array, heads: int) -> Array:
    """(length, batch, width) as (batch, head, length, width / heads)."""
    length, batch, width = x.shape
    return x.reshape(length, batch, heads, width // heads).transpose(1, 2, 0, 3)


def _multi_head(
    m: Context,
    projected: Sequence[Array],
    out_proj_weight: Array,
    out_proj_bias: Any,
    *,
    num_heads: int,
    need_weights: bool,
    average_attn_weights: bool,
    attn_mask: Any,
    key_padding_mask: Any,
) -> Any:
    batched = projected[0].ndim == 3
    whole = projected if batched else [x.reshape(x.shape[0], 1, -1) for x in projected]
    q, k, v = (_heads(x, num_heads) for x in whole)
    scores = q @ _turned(k) / m.sqrt(q.shape[-1])
    padding = None if key_padding_mask is None else key_padding_mask[:, np.newaxis, np.newaxis]
    allowed = np.ones(scores.shape, dtype=bool)
    for mask in (attn_mask, padding):
        if isinstance(mask, np.ndarray):
            allowed = allowed & ~_padded(mask, scores.shape[-1])
        elif mask is not None:
            scores = scores + mask
    scores = _mask_out(m, scores, allowed)
    output, attention = _attend(m, scores, v)
    batch, _, length, _ = output.shape
    joined = output.transpose(2, 0, 1, 3).reshape(length, batch, -1)
    out = joined @ _turned(out_proj_weight)
    out = out if out_proj_bias is None else out + out_proj_bias
    shares = m.mean(attention, 1) if average_attn_weights else attention
    if not batched:
        out, shares = out[:, 0], shares[0]
    return (out, shares) if need_weights else out


def _padded(mask: Any, length: int) -> Any:
    """Keys that the options add at the end are never masked."""
    return np.concatenate([mask, np.zeros((*mask.shape[:-1], length - mask.shape[-1]), dtype=bool)], -1)


def _with_zeros(m: Context, x: Array) -> Array:
    return m.concat([x, m.const(np.zeros((1, *x.shape[1:])))])


def only_tensors(found: tuple[torch.Tensor, torch.Tensor | None]) -> Any:
    """An output and the weights of its keys; without these where they were not asked for."""
    output, attention = found
    return output if attention is None else (output, attention)


def multi_head_call(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    in_proj_weight: torch.Tensor,
    query_bias: torch.Tensor,
    value_bias: torch.Tensor,
    out_proj_weight: torch.Tensor,
    out_proj_bias: torch.Tensor,
    *,
    key_bias: torch.Tensor,
    num_heads: int = 2,
    add_zero_attn: bool = False,
    **options: Any,
) -> Any:
    """The functional form with packed weights; weights that are not asked for are left out of the result."""
    in_proj_bias = torch.cat([query_bias, key_bias, value_bias])
    found = F.multi_head_attention_forward(
        query,
        key,
        value,
        query.shape[-1],
        num_heads,
        in_proj_weight,
        in_proj_bias,
        None,
        None,
        add_zero_attn,
        0.0,
        out_proj_weight,
        out_proj_bias,
        **options,
    )
    return only_tensors(found)


def separate_call(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    q_proj_weight: torch.Tensor,
    k_proj_weight: torch.Tensor,
    v_proj_weight: torch.Tensor,
    bias_k: torch.Tensor,
    bias_v: torch.Tensor,
    out_proj_weight: torch.Tensor,
    *,
    num_heads: int = 2,
    **options: Any,
) -> Any:
    """The functional form with a weight for each of query, key and value, and biases appended to the keys."""
    found = F.multi_head_attention_forward(
        query,
        key,
        value,
        query.shape[-1],
        num_heads,
        None,
        None,
        bias_k,
        bias_v,
        False,
        0.0,
        out_proj_weight,
        None,
        use_separate_proj_weight=True,
        q_proj_weight=q_proj_weight,
        k_proj_weight=k_proj_weight,
        v_proj_weight=v_proj_weight,
        **options,
    )
    return only_tensors(found)


_FUNCTION = "torch.nn.functional.multi_head_attention_forward"


def _packed_code(texts: Mapping[str, str]) -> str:
    bias = f"torch.cat([query_bias, {texts['key_bias']}, value_bias])"
    zeros, heads = texts.get("add_zero_attn", "False"), texts.get("num_heads", "2")
    return _multi_head_code(
        texts,
        f"{heads}, in_proj_weight, {bias}, None, None, {zeros}, 0.0, out_proj_weight, out_proj_bias",
        (*PACKED, "key_bias", "add_zero_attn", "num_heads"),
    )


def _separate_code(texts: Mapping[str, str]) -> str:
    own = [f"{n}_proj_weight={n}_proj_weight" for n in "qkv"]
    return _multi_head_code(
        texts,
        f"2, None, None, bias_k, bias_v, False, 0.0, out_proj_weight, None, use_separate_proj_weight=True, "
        f"{', '.join(own)}",
        _SEPARATE,
    )


def _multi_head_code(texts: Mapping[str, str], positional: str, known: tuple[str, ...]) -> str:
    """The call, and of its two results those that are tensors."""
    rest = [f"{n}={t}" for n, t in texts.items() if n not in known]
    given = ", ".join(["query, key, value, query.shape[-1]", positional, *rest])
    return f"y = {_FUNCTION}({given})" + ("[0]" if texts.get("need_weights") == "False" else "")


_EMBEDDING, _QUERIES, _KEYS = 4, 2, 3


def _sequences(case: Attention, key_width: int, value_width: int) -> dict[str, Any]:
    widths = (_EMBEDDING, key_width, value_width)
    arrays = (case.query[:_QUERIES], case.key[:_KEYS], case.value[:_KEYS])
    return {n: np.resize(x, (len(x), 1, width)) for n, x, width in zip(_TRIPLE, arrays, widths, strict=True)}


def _multi_head_cases(
    fmt: Format, *, full: bool, few: bool = False
) -> Iterator[tuple[Attention, dict[str, Any]]]:
    """Attention masks and padding masks as this op takes them: true where a key is masked out."""
    plain, hidden = list(attentions(fmt, full=False)), list(masked(fmt))
    yield from ((case, {}) for case in (plain[:1] if few else plain))
    for case in hidden[:2] if few else hidden:
        mask = ~case.mask[:_QUERIES, :_KEYS]
        yield case, {"attn_mask": mask}
        if full:
            yield case, {"key_padding_mask": mask[:1]}
    if full:
        for case in biased(fmt):
            yield case, {"attn_mask": np.ascontiguousarray(case.mask[:_QUERIES, :_KEYS])}


def _packed_samples(params: Params, fmt: Format, *, budget: str, seed: int) -> Iterator[Sample]:
    full = not params["need_weights"] and budget != "quick"
    few = params["add_zero_attn"] or not params["average_attn_weights"] or params["num_heads"] == 1
    for case, extra in _multi_head_cases(fmt, full=full, few=few):
        inputs = _sequences(case, _EMBEDDING, _EMBEDDING) | packed_weights(_EMBEDDING)
        given = {"key_bias": key_bias(_EMBEDDING), **extra}
        yield Sample(inputs=inputs, extra=given, label=case.label, probe=case.probe, at=case.at)
        if case.label == "ordinary entries":
            alone = {n: x[:, 0] if n in _TRIPLE else x for n, x in inputs.items()}
            label = "an ordinary sequence without a batch"
            yield Sample(inputs=alone, extra=given, label=label, probe="batch", at=1.0)


def _separate_samples(params: Params, fmt: Format, *, budget: str, seed: int) -> Iterator[Sample]:
    for case, extra in _multi_head_cases(fmt, full=False):
        inputs = _sequences(case, 3, 2) | {
            "q_proj_weight": weights(_EMBEDDING, _EMBEDDING, 2),
            "k_proj_weight": weights(_EMBEDDING, 3, 3),
            "v_proj_weight": weights(_EMBEDDING, 2, 4),
            "bias_k": weights(1, _EMBEDDING, 5)[np.newaxis],
            "bias_v": weights(1, _EMBEDDING, 6)[np.newaxis],
            "out_proj_weight": weights(_EMBEDDING, _EMBEDDING, 7),
        }
        yield Sample(inputs=inputs, extra=extra, label=case.label, probe=case.probe, at=case.at)


PACKED = (*_TRIPLE, "in_proj_weight", "query_bias", "value_bias", "out_proj_weight", "out_proj_bias")
_SEPARATE = (
    *_TRIPLE, "q_proj_weight", "k_proj_weight", "v_proj_weight", "bias_k", "bias_v", "out_proj_weight",
)  # fmt: skip


@operation(
    multi_head_call,
    code=_packed_code,
    family="attention",
    callable_name=_FUNCTION,
    covers=("torch.nn.MultiheadAttention",),
    inputs=PACKED,
    extras=("key_bias", "attn_mask", "key_padding_mask"),
    variants=[
        {"need_weights": False},
        {"average_attn_weights": False},
        {"add_zero_attn": True},
        {"num_heads": 1},
    ],
    samples=_packed_samples,
)
def multi_head_attention(
    m: Context,
    query: Array,
    key: Array,
    value: Array,
    in_proj_weight: Array,
    query_bias: Array,
    value_bias: Array,
    out_proj_weight: Array,
    out_proj_bias: Array,
    *,
    key_bias: Array,
    num_heads: int = 2,
    need_weights: bool = True,
    average_attn_weights: bool = True,
    add_zero_attn: bool = False,
    attn_mask: Any = None,
    key_padding_mask: Any = None,
) -> Any:
    e = query.shape[-1]
    biases = (query_bias, key_bias, value_bias)
    weights_of = [_turned(in_proj_weight[i * e : (i + 1) * e]) for i in range(3)]
    q, k, v = (x @ w + b for x, w, b in zip((query, key, value), weights_of, biases, strict=True))
    if add_zero_attn:
        k, v = _with_zeros(m, k), _with_zeros(m, v)
    return _multi_head(
        m,
        (q, k, v),
        out_proj_weight,
        out_proj_bias,
        num_heads=num_heads,
        need_weights=need_weights,
        average_attn_weights=average_attn_weights,
        attn_mask=attn_mask,
        key_padding_mask=key_padding_mask,
    )


@operation(
    separate_call,
    code=_separate_code,
    family="attention",
    callable_name=_FUNCTION,
    inputs=_SEPARATE,
    extras=("attn_mask", "key_padding_mask"),
    variants=[{"need_weights": False}],
    samples=_separate_samples,
)
def multi_head_attention_separate(
    m: Context,
    query: Array,
    key: Array,
    value: Array,
    q_proj_weight: Array,
    k_proj_weight: Array,
    v_proj_weight: Array,
    bias_k: Array,
    bias_v: Array,
    out_proj_weight: Array,
    *,
    num_heads: int = 2,
    need_weights: bool = True,
    average_attn_weights: bool = True,
    attn_mask: Any = None,
    key_padding_mask: Any = None,
) -> Any:
    shape = (1, *query.shape[1:])
    k = m.concat([key @ _turned(k_proj_weight), m.broadcast(bias_k, shape)])
    v = m.concat([value @ _turned(v_proj_weight), m.broadcast(bias_v, shape)])
    return _multi_head(
        m,
        (query @ _turned(q_proj_weight), k, v),
        out_proj_weight,
        None,
        num_heads=num_heads,
        need_weights=need_weights,
        average_attn_weights=average_attn_weights,
        attn_mask=attn_mask,
        key_padding_mask=key_padding_mask,
    )
