"""The module of multi-head attention as programs call it: batches first, trained and without autograd.

In training it calls the functional form, with its own handling of layouts and masks; a module that only infers
runs a kernel of its own. Source: the documentation page of torch.nn.MultiheadAttention, version 2.13.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
import torch
from torch import nn
from torch.func import functional_call

from gradcheck_suite.floats import Format
from gradcheck_suite.formula.context import Context
from gradcheck_suite.formula.tape import Array
from gradcheck_suite.inputs.attention import Attention, attentions, key_bias, masked, packed_weights, weights
from gradcheck_suite.ops.attention import PACKED, multi_head_attention, only_tensors
from gradcheck_suite.ops.declare import operation
from gradcheck_suite.ops.record import Params, Sample

_NAME: Final = "torch.nn.MultiheadAttention"
_WIDTH, _HEADS = 4, 2


def _made(in_proj_weight: torch.Tensor, num_heads: int) -> nn.MultiheadAttention:
    with torch.random.fork_rng(devices=[]):
        module = nn.MultiheadAttention(in_proj_weight.shape[1], num_heads, batch_first=True)
    return module.to(in_proj_weight.dtype)


def _named(
    in_proj_weight: torch.Tensor,
    in_proj_bias: torch.Tensor,
    out_proj_weight: torch.Tensor,
    out_proj_bias: torch.Tensor,
) -> dict[str, torch.Tensor]:
    return {
        "in_proj_weight": in_proj_weight,
        "in_proj_bias": in_proj_bias,
        "out_proj.weight": out_proj_weight,
        "out_proj.bias": out_proj_bias,
    }


def trained_call(
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
    **options: Any,
) -> Any:
    """The module in training mode, with the given weights; weights of keys that are not asked for are left out."""
    in_proj_bias = torch.cat([query_bias, key_bias, value_bias])
    given = _named(in_proj_weight, in_proj_bias, out_proj_weight, out_proj_bias)
    return only_tensors(functional_call(_made(in_proj_weight, _HEADS), given, (query, key, value), options))


def inferring_call(
    input: torch.Tensor,
    in_proj_weight: torch.Tensor,
    in_proj_bias: torch.Tensor,
    out_proj_weight: torch.Tensor,
    out_proj_bias: torch.Tensor,
    *,
    num_heads: int = _HEADS,
    **options: Any,
) -> Any:
    """A sequence that attends to itself, in evaluation mode and without autograd."""
    module = _made(in_proj_weight, num_heads).eval()
    given = _named(in_proj_weight, in_proj_bias, out_proj_weight, out_proj_bias)
    with torch.no_grad():
        return only_tensors(functional_call(module, given, (input, input, input), options))


def _code(texts: Mapping[str, str], given: str, known: tuple[str, ...], bias: str, mode: str) -> str:
    rest = [f", {n}={t}" for n, t in texts.items() if n not in known]
    module = f"torch.nn.MultiheadAttention({_WIDTH}, {texts.get('num_heads', _HEADS)}, batch_first=True)"
    named = (
        f"{{'in_proj_weight': in_proj_weight, 'in_proj_bias': {bias}, "
        "'out_proj.weight': out_proj_weight, 'out_proj.bias': out_proj_bias}"
    )
    one = "[0]" if texts.get("need_weights") == "False" else ""
    return (
        f"module = {module}.to(in_proj_weight.dtype){mode}\n"
        f"weights = {named}\n"
        f"y = torch.func.functional_call(module, weights, ({given}){_options(rest)}){one}"
    )


def _options(rest: list[str]) -> str:
    return f", dict({''.join(rest)[2:]})" if rest else ""


def _trained_code(texts: Mapping[str, str]) -> str:
    bias = f"torch.cat([query_bias, {texts['key_bias']}, value_bias])"
    known = (*PACKED, "key_bias")
    return _code(texts, "query, key, value", known, bias, "")


def _inferring_code(texts: Mapping[str, str]) -> str:
    return "with torch.no_grad():\n    " + _code(
        texts, "input, input, input", (*_INFERRING, "num_heads"), "in_proj_bias", ".eval()"
    ).replace("\n", "\n    ")


def _cases(fmt: Format) -> Iterator[tuple[Attention, Any]]:
    """Ordinary scores, some far apart and past the largest float, some keys masked; true where a key is."""
    yield from ((case, None) for case in attentions(fmt, full=False))
    some, none, *_ = masked(fmt)
    yield from ((case, ~case.mask[:, :3]) for case in (some, none))


def _trained_samples(params: Params, fmt: Format, *, budget: str, seed: int) -> Iterator[Sample]:
    """A batch of one sequence, plain and masked, and for causal attention under its mask."""
    plain, *_, some, _ = _cases(fmt)
    for case, mask in (plain, some):
        if params["is_causal"]:
            mask = ~np.tri(3, dtype=bool)
        arrays = {"query": case.query, "key": case.key, "value": case.value}
        inputs = {n: np.resize(x[:3], (1, 3, _WIDTH)) for n, x in arrays.items()} | packed_weights(_WIDTH)
        extra = {"key_bias": key_bias(_WIDTH)} | ({} if mask is None else {"attn_mask": mask})
        yield Sample(inputs=inputs, extra=extra, label=case.label, probe=case.probe, at=case.at)


def _inferring_samples(params: Params, fmt: Format, *, budget: str, seed: int) -> Iterator[Sample]:
    for case, mask in _cases(fmt):
        known = packed_weights(_WIDTH) | {
            "input": case.query.reshape(1, 3, _WIDTH),
            "in_proj_bias": weights(1, 3 * _WIDTH, 7)[0],
        }
        inputs = {n: known[n] for n in _INFERRING}
        given = [{}] if mask is None else [{"attn_mask": mask}, {"key_padding_mask": mask[:1]}]
        for extra in given:
            yield Sample(inputs=inputs, extra=extra, label=case.label, probe=case.probe, at=case.at)


_INFERRING: Final = ("input", "in_proj_weight", "in_proj_bias", "out_proj_weight", "out_proj_bias")


def _first(x: Array) -> Array:
    """The batch axis and that of the sequence exchanged."""
    return x.transpose(1, 0, *range(2, x.ndim))


def _exchanged(found: Any) -> Any:
    """The output with the batch first again; weights have it first anyway."""
    return (_first(found[0]), found[1]) if isinstance(found, tuple) else _first(found)


@operation(
    trained_call,
    code=_trained_code,
    family="attention",
    callable_name=_NAME,
    inputs=PACKED,
    extras=("key_bias", "attn_mask"),
    variants=[{"is_causal": True, "need_weights": False}],
    directions=("forward", "backward"),
    samples=_trained_samples,
)
def multi_head_attention_module(
    m: Context,
    query: Array,
    key: Array,
    value: Array,
    *weights: Array,
    is_causal: bool = False,
    **options: Any,
) -> Any:
    # The mask says which keys take part; `is_causal` is a hint about it.
    found = multi_head_attention(m, _first(query), _first(key), _first(value), *weights, **options)
    return _exchanged(found)


@operation(
    inferring_call,
    code=_inferring_code,
    family="attention",
    callable_name=_NAME,
    inputs=_INFERRING,
    extras=("attn_mask", "key_padding_mask"),
    variants=[{"need_weights": False}, {"average_attn_weights": False}, {"num_heads": 4}],
    directions=("forward",),
    samples=_inferring_samples,
)
def multi_head_attention_inference(
    m: Context,
    input: Array,
    in_proj_weight: Array,
    in_proj_bias: Array,
    out_proj_weight: Array,
    out_proj_bias: Array,
    *,
    num_heads: int = _HEADS,
    need_weights: bool = True,
    average_attn_weights: bool = True,
    attn_mask: Any = None,
    key_padding_mask: Any = None,
) -> Any:
    x, e = _first(input), input.shape[-1]
    found = multi_head_attention(
        m,
        x,
        x,
        x,
        in_proj_weight,
        in_proj_bias[:e],
        in_proj_bias[2 * e :],
        out_proj_weight,
        out_proj_bias,
        key_bias=in_proj_bias[e : 2 * e],
        num_heads=num_heads,
        need_weights=need_weights,
        average_attn_weights=average_attn_weights,
        attn_mask=attn_mask,
        key_padding_mask=key_padding_mask,
    )
    return _exchanged(found)
