"""Sentences and reproducers: what a person reads and pastes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gradcheck_suite.engine.paths import shown
from gradcheck_suite.floats import hex_of
from gradcheck_suite.ops.custom import import_lines
from gradcheck_suite.ops.record import Op

_SAYS = {
    "overflow": "overflows",
    "nan": "is NaN",
    "underflow": "underflows",
    "sign": "has the wrong sign",
    "inaccurate": "is inaccurate",
    "tie": "lies outside the subdifferential",
    "masked": "hides a value that is not finite",
    "path": "depends on the way it is called",
    "dtype": "comes in another dtype",
    "raises": "raises",
}

_QUANTITY = {"forward": "value", "backward": "gradient", "double-backward": "second derivative"}


def quantity(direction: str) -> str:
    """What a direction computes."""
    return _QUANTITY[direction]


def failure(kind: str) -> str:
    """How a kind of finding reads after its subject."""
    return _SAYS[kind]


def decimal(value: float) -> str:
    """A float as people write it: shortest decimal that reads back."""
    return repr(int(value)) if value == value and abs(value) < 1e6 and value == int(value) else repr(value)


def sentence(
    label: str,
    dtype: str,
    direction: str,
    *,
    kind: str,
    point: Mapping[str, float],
    got: float,
    exact: str,
    ulp: float,
    path: str = "vector",
    vector: float | None = None,
) -> str:
    """One sentence that names the op, dtype, input, computed and exact value.

    On a path other than the vector path a second one says what that computes (`vector`).
    """
    where = ", ".join(f"{n} = {decimal(x)} ({hex_of(x)})" for n, x in point.items())
    size = "" if ulp == float("inf") else f", {ulp:.6g} ULP"
    way = "" if path == "vector" else f" on the {shown(path)} path"
    text = (
        f"{label} {dtype}: the {quantity(direction)} {failure(kind)}{way}: at {where} "
        f"torch computes {decimal(got)}, exact is {shorter(exact)}{size}."
    )
    return text if vector is None else f"{text} On the vector path it computes {decimal(vector)}."


def shorter(exact: str, digits: int = 17) -> str:
    """A 25-digit decimal cut to what a float64 could show."""
    mantissa, mark, exponent = exact.partition("e")
    return mantissa[: digits + 2] + mark + exponent


def reproducer(
    op: Op,
    variant: Mapping[str, Any],
    dtype: str,
    direction: str,
    *,
    path: str,
    point: Mapping[str, float],
    exact: str,
    column: str,
    cotangent: float = 1.0,
) -> str:
    """Python that runs with torch alone and prints the computed value beside the exact one."""
    lines = ["import torch", *import_lines(op), ""]
    repeat = {"vector": "128", "strided": "128", "single": "1"}.get(path, "128")
    for name, value in point.items():
        made = f'torch.full(({repeat},), float.fromhex("{hex_of(value)}"), dtype=torch.{dtype})'
        if path == "strided":
            made = made.replace("(128,)", "(256,)") + "[::2]"
        grad = "" if direction == "forward" or name in op.extras else ".requires_grad_()"
        lines.append(f"{name} = {made}{grad}")
    first, *others = point
    options = [f"{k}={v!r}" for k, v in variant.items() if k not in point]
    arguments = ", ".join([first, *(f"{n}={n}" for n in others), *options])
    call = f"torch.nn.Identity()({arguments})" if op.callable_name == "torch.nn.Identity" else f"{op.callable_name}({arguments})"
    lines.append(f"y = {call}")
    shown = "y"
    if direction != "forward":
        wrt = column.rpartition(":")[2]
        g = f'torch.full_like(y, float.fromhex("{hex_of(cotangent)}"))'
        more = ", create_graph=True" if direction == "double-backward" else ""
        lines.append(f"(g,) = torch.autograd.grad(y, {wrt}, {g}{more})")
        shown = "g"
        if direction == "double-backward":
            lines.append(f"(gg,) = torch.autograd.grad(g, {wrt}, torch.ones_like(g))")
            shown = "gg"
    lines += [f"got = {shown}[0].item()", 'print("computed", got, float(got).hex())', f'print("exact   ", "{exact}")']
    return "\n".join(lines) + "\n"
