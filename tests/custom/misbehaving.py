"""Ops that end or hold up the process they run in."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import torch


def aborts(x: torch.Tensor) -> torch.Tensor:
    os.abort()


def exits(x: torch.Tensor) -> torch.Tensor:
    os._exit(3)


def spins(x: torch.Tensor) -> torch.Tensor:
    while True:
        pass


def sleeps(x: torch.Tensor) -> torch.Tensor:
    time.sleep(1000)
    return x


def dawdles(x: torch.Tensor) -> torch.Tensor:
    time.sleep(0.2)
    return torch.relu(x)


class AbortsBackward(torch.autograd.Function):
    """Right on the way up."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(x)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> torch.Tensor:
        os.abort()


def prints(x: torch.Tensor) -> torch.Tensor:
    print("a word from the op")
    return torch.relu(x)


def endless_formula(m: Any, x: Any) -> Any:
    """An exact value that never comes: no fault of the op."""
    while True:
        x = x + 0


OPS = {op.__name__: op for op in (aborts, exits, spins, sleeps, dawdles, prints)}


def pytest_gradcheck_register(register: Callable[..., Any]) -> None:
    for name, op in {**OPS, "aborts_backward": AbortsBackward.apply}.items():
        register(name, op, like="relu", dtypes=["float32"])
    register(
        "waits_for_the_reference",
        torch.relu,
        formula=endless_formula,
        dtypes=["float32"],
        directions=["forward"],
    )
