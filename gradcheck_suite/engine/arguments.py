"""Arrays as documents and reproducers write them: hex lists up to 64 entries, recipes above."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from gradcheck_suite.floats import hex_of
from gradcheck_suite.ops.custom import import_lines
from gradcheck_suite.ops.record import Op, Sample

Floats = npt.NDArray[np.float64]

_LISTED = 64


def written(value: Any) -> Any:
    """An argument in the results document: hex strings, integers, nested lists, or a recipe."""
    if isinstance(value, np.ndarray):
        if value.size > _LISTED:
            return recipe(value)
        return _nested(value.tolist())
    if isinstance(value, float):
        return hex_of(value)
    return value if isinstance(value, bool | int | str) or value is None else str(value)


def _nested(value: Any) -> Any:
    if isinstance(value, list):
        return [_nested(v) for v in value]
    return hex_of(value) if isinstance(value, float) else value


def recipe(array: npt.NDArray[Any]) -> dict[str, Any]:
    """{"fill", "shape", "set"}: the most frequent value, and the others by flat index."""
    flat = array.reshape(-1)
    keys = [_nested(v) for v in flat.tolist()]
    values, counts = np.unique(np.array([str(k) for k in keys]), return_counts=True)
    common = values[counts.argmax()]
    fill = next(k for k in keys if str(k) == common)
    others = {str(i): k for i, k in enumerate(keys) if k != fill}
    return {"fill": fill, "shape": list(array.shape), "set": others}


def tensor_code(value: Any, dtype: str) -> str:
    """A Python expression of torch alone that rebuilds an argument."""
    if not isinstance(value, np.ndarray):
        return repr(value)
    kind = dtype if value.dtype == np.float64 else {"bool": "bool"}.get(str(value.dtype), "int64")
    if value.size <= _LISTED:
        return f"torch.tensor({_literal(value.tolist())}, dtype=torch.{kind})"
    steps = recipe(value)
    made = f"torch.full({tuple(value.shape)}, {_number(steps['fill'])}, dtype=torch.{kind})"
    if not steps["set"]:
        return made
    places = ", ".join(steps["set"])
    numbers = ", ".join(_number(v) for v in steps["set"].values())
    put = f"index_put((torch.tensor([{places}]),), torch.tensor([{numbers}], dtype=torch.{kind}))"
    return f"{made}.view(-1).{put}.view{tuple(value.shape)}"


def _literal(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(_literal(v) for v in value) + "]"
    return _number(hex_of(value)) if isinstance(value, float) else repr(value)


def _number(text: Any) -> str:
    """A float as Python reads it back exactly."""
    if not isinstance(text, str):
        return repr(text)
    value = float.fromhex(text) if "0x" in text else float(text)
    if not np.isfinite(value):
        return f'float("{text}")'
    return repr(value)


def reproducer(
    op: Op,
    variant: Mapping[str, Any],
    sample: Sample,
    *,
    dtype: str,
    direction: str,
    wrt: str | None,
    index: tuple[int, ...],
    cotangent: Floats,
    tangents: Mapping[str, Floats],
    exact: str,
    path: str,
) -> str:
    """Python that runs with torch alone and prints the computed entry beside the exact one."""
    lines = ["import torch", *import_lines(op), ""]
    for name, value in sample.inputs.items():
        made = tensor_code(value, dtype)
        if path == "strided" and value.ndim:
            made = f"torch.stack([t := {made}, t], -1)[..., 0]"
        grad = "" if direction == "forward" else ".requires_grad_()"
        lines.append(f"{name} = {made}{grad}")
    extras = [f"{n}={tensor_code(x, dtype)}" for n, x in sample.extra.items()]
    options = [f"{n}={v!r}" for n, v in variant.items() if n not in sample.inputs and n not in sample.extra]
    lines.append(f"y = {_call(op.callable_name, list(sample.inputs), extras, options)}")
    shown = "y"
    if direction != "forward":
        shown = _gradient_lines(lines, list(sample.inputs), direction, wrt, cotangent, tangents, dtype)
    place = f"[{', '.join(map(str, index))}]" if index else ""
    lines += [
        f"got = {shown}{place}.item()",
        'print("computed", got, float(got).hex())',
        f'print("exact   ", "{exact}")',
    ]
    return "\n".join(lines) + "\n"


def _call(name: str, inputs: list[str], extras: list[str], options: list[str]) -> str:
    """A functional takes everything at once; a module, whose name is a class's, its options first."""
    if name.rpartition(".")[2][:1].isupper():
        return f"{name}({', '.join(options)})({', '.join([*inputs, *extras])})"
    return f"{name}({', '.join([*inputs, *extras, *options])})"


def _gradient_lines(
    lines: list[str],
    names: list[str],
    direction: str,
    wrt: str | None,
    cotangent: Floats,
    tangents: Mapping[str, Floats],
    dtype: str,
) -> str:
    which = names.index(wrt or names[0])
    lines.append(f"cotangent = {tensor_code(cotangent, dtype)}")
    inputs = ", ".join(names)
    more = ", create_graph=True" if direction == "double-backward" else ""
    lines.append(f"g = torch.autograd.grad(y, [{inputs}], cotangent{more})")
    if direction != "double-backward":
        return f"g[{which}]"
    seeds = ", ".join(tensor_code(t, dtype) for t in tangents.values())
    lines.append(f"gg = torch.autograd.grad(g, [{inputs}], [{seeds}])")
    return f"gg[{which}]"
