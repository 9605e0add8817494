"""What tells apart machines that compute other bits, though torch names one instruction set on both.

MKL and oneDNN choose code by the processor's maker and by features that torch's capability does not name, and other
builds of torch bring other versions of them. So a few functions of each library are computed, and their bits hashed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import lru_cache

import torch

_POINTWISE = (
    torch.exp,
    torch.expm1,
    torch.tanh,
    torch.erf,
    torch.sigmoid,
    torch.nn.functional.gelu,
    torch.nn.functional.softplus,
    torch.log,
    torch.log1p,
    torch.sqrt,
)
_DTYPES = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
_DIGITS = 12


@lru_cache
def fingerprint(device: str) -> str:
    """The hash of what this torch computes on the device; "" where it computes nothing there."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        digest = hashlib.sha256()
        for computed in _computed(device):
            digest.update(computed.to("cpu", torch.float64).numpy().tobytes())
    except (RuntimeError, AssertionError):
        return ""
    finally:
        torch.set_num_threads(threads)
    return digest.hexdigest()[:_DIGITS]


def _computed(device: str) -> Iterator[torch.Tensor]:
    line = torch.linspace(-9.0, 9.0, 4096, dtype=torch.float64)
    for dtype in _DTYPES:
        x = line.to(device, dtype)
        for function in _POINTWISE:
            # Which of its many patterns a NaN has, says nothing.
            yield torch.nan_to_num(function(x))
        table = x.reshape(64, 64)
        yield from (table.softmax(1), table.sum(1), table.norm(dim=1), table @ table.T)
        yield torch.nn.functional.linear(table, table)
