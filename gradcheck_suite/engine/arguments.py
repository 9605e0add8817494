"""Arrays as documents and reproducers write them: hex lists up to 64 entries, recipes above."""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import indent
from typing import Any

import numpy as np
import numpy.typing as npt

from gradcheck_suite.engine.paths import TWIN, module_options
from gradcheck_suite.floats import hex_of
from gradcheck_suite.ops.custom import import_lines
from gradcheck_suite.ops.declare import qualified_name
from gradcheck_suite.ops.record import Op, Sample

Floats = npt.NDArray[np.float64]

_LISTED = 64
_FEW = 8  # entries that differ from one value: few enough not to look for a pattern


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
    """{"fill", "shape", "set"}: the most frequent value, and the others by flat index.

    Where a pattern of at most 64 values that repeats in C order takes less, the fill is the list of them.
    """
    flat = array.reshape(-1)
    # By their bits, which tell the zeros apart.
    bits = flat.view(np.int64) if flat.dtype == np.float64 else flat
    _, first, codes = np.unique(bits, return_index=True, return_inverse=True)
    fill = _pattern(codes.reshape(-1))
    places = np.flatnonzero(codes.reshape(-1) != np.resize(fill, flat.size))
    values = [_nested(flat[first[code]].item()) for code in fill]
    return {
        "fill": values if len(values) > 1 else values[0],
        "shape": list(array.shape),
        "set": {str(i): _nested(flat[i].item()) for i in places.tolist()},
    }


def _pattern(codes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """What to fill an array with so that pattern and exceptions are few: one code, or several that repeat."""
    constant = np.array([np.bincount(codes).argmax()])
    if np.count_nonzero(codes != constant) <= _FEW:
        return constant
    periods = range(2, min(_LISTED, codes.size // 2) + 1)
    broken = {p: np.count_nonzero(codes[p:] != codes[:-p]) for p in periods}
    best = min(periods, key=lambda p: broken[p] + p)
    repeated = np.array([np.bincount(codes[i::best]).argmax() for i in range(best)])
    return min((constant, repeated), key=lambda f: _cost(codes, f))


def _cost(codes: npt.NDArray[np.int64], fill: npt.NDArray[np.int64]) -> int:
    return len(fill) + int(np.count_nonzero(codes != np.resize(fill, codes.size)))


def tensor_code(value: Any, dtype: str) -> str:
    """A Python expression of torch alone that rebuilds an argument."""
    if not isinstance(value, np.ndarray):
        return repr(value)
    kind = dtype if value.dtype == np.float64 else {"bool": "bool"}.get(str(value.dtype), "int64")
    if value.size <= _LISTED:
        return f"torch.tensor({_literal(value.tolist())}, dtype=torch.{kind})"
    steps = recipe(value)
    made, flat = _filled_code(steps["fill"], value, kind)
    if not steps["set"]:
        return made if not flat else f"{made}.view{tuple(value.shape)}"
    places = ", ".join(steps["set"])
    numbers = ", ".join(_number(v) for v in steps["set"].values())
    put = f"index_put((torch.tensor([{places}]),), torch.tensor([{numbers}], dtype=torch.{kind}))"
    return f"{made}{'' if flat else '.view(-1)'}.{put}.view{tuple(value.shape)}"


def _filled_code(fill: Any, value: npt.NDArray[Any], kind: str) -> tuple[str, bool]:
    """An expression for an array filled with one value or a pattern, and whether it is flat."""
    if not isinstance(fill, list):
        return f"torch.full({tuple(value.shape)}, {_number(fill)}, dtype=torch.{kind})", False
    listed = ", ".join(_number(v) for v in fill)
    times, rest = divmod(value.size, len(fill))
    cut = f"[:{value.size}]" if rest else ""
    return f"torch.tensor([{listed}], dtype=torch.{kind}).repeat({times + bool(rest)}){cut}", True


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
    outputs: int = 1,
) -> str:
    """Python that runs with torch alone and prints the computed entry beside the exact one.

    Several outputs are one flat tensor, and `index` counts in it where the direction is forward.
    """
    lines = ["import torch", *import_lines(op), ""]
    for name, value in sample.inputs.items():
        made = _laid_out(value, dtype, path)
        recorded = direction != "forward" and (path != "frozen" or name == wrt)
        lines.append(f"{name} = {made}{'.requires_grad_()' if recorded else ''}")
    call = _call(op, variant, sample, dtype, path)
    lines.append(f"with torch.no_grad():\n{indent(call, '    ')}" if path == "inference" else call)
    if outputs > 1:
        lines.append("y = torch.cat([t.reshape(-1) for t in y])")
    shown = "y"
    if direction != "forward":
        seed = _seed(cotangent, dtype, path) if op.custom else tensor_code(cotangent, dtype)
        names = [n for n in sample.inputs if path != "frozen" or n == wrt]
        shown = _gradient_lines(lines, names, direction, wrt, seed, tangents, dtype)
    place = f"[{', '.join(map(str, index))}]" if index else ""
    lines += [
        f"got = {shown}{place}.item()",
        'print("computed", got, float(got).hex())',
        f'print("exact   ", "{exact}")',
    ]
    return "\n".join(lines) + "\n"


def _option(value: Any) -> str:
    return repr(value) if not isinstance(value, float) else _number(hex_of(value))


def _laid_out(value: Any, dtype: str, path: str) -> str:
    """An argument in the layout of the path."""
    made = tensor_code(value, dtype)
    if not isinstance(value, np.ndarray) or value.dtype != np.float64:
        return made
    if path == "channels_last" and value.ndim == 4:
        return f"{made}.contiguous(memory_format=torch.channels_last)"
    return f"torch.stack([t := {made}, t], -1)[..., 0]" if path == "strided" and value.ndim else made


def _seed(cotangent: Floats, dtype: str, path: str) -> str:
    """A cotangent as autograd hands it over: equal numbers are one that is expanded, as by a sum."""
    if np.size(cotangent) > 1 and (cotangent == np.ravel(cotangent)[0]).all():
        return (
            f"{tensor_code(np.ravel(cotangent)[:1], dtype)}[0].expand({', '.join(map(str, cotangent.shape))})"
        )
    return _laid_out(cotangent, dtype, path)


def _call(op: Op, variant: Mapping[str, Any], sample: Sample, dtype: str, path: str) -> str:
    """The lines that compute y, as the op writes them or as a plain call.

    A functional takes everything at once; a module, whose name is a class's, its options first.
    """
    extras = {n: _laid_out(x, dtype, path) for n, x in sample.extra.items()}
    options = {n: _option(v) for n, v in variant.items() if n not in sample.inputs and n not in extras}
    if op.code is not None:
        return op.code({**{n: n for n in sample.inputs}, **extras, **options})
    # A tensor that only some variants take goes by its name.
    inputs = [f"{n}={n}" if n in variant else n for n in sample.inputs]
    rest = [f"{n}={text}" for n, text in extras.items()]
    named = [f"{n}={text}" for n, text in options.items()]
    name = path.removeprefix(TWIN) if path.startswith(TWIN) else op.callable_name
    if path == "module":
        return _module_call(op, sample, extras, options)
    if path == "out" and op.out is not None:
        written_to = f"out={unwritten(next(iter(sample.inputs)))}"
        return f"y = {qualified_name(op.out)}({', '.join([*inputs, *rest, *named, written_to])})"
    if name.rpartition(".")[2][:1].isupper():
        return f"y = {name}({', '.join(named)})({', '.join([*inputs, *rest])})"
    return f"y = {name}({', '.join([*inputs, *rest, *named])})"


def unwritten(like: str) -> str:
    """A result tensor for the path `out`, as long as another one."""
    return f'torch.full((*{like}.shape, 2), float("nan"), dtype={like}.dtype)[..., 0]'


def _module_call(op: Op, sample: Sample, extras: Mapping[str, str], options: Mapping[str, str]) -> str:
    """The line that computes y by the op's module, whose weights are options too."""
    known = module_options(op)
    made = {n: text for n, text in {**extras, **options}.items() if n in known or n in options}
    made |= {n: n for n in sample.inputs if n in known}
    given = [n if n not in extras else f"{n}={n}" for n in sample.inputs if n not in known]
    rest = [f"{n}={text}" for n, text in extras.items() if n not in known]
    named = ", ".join(f"{n}={text}" for n, text in made.items())
    return f"y = torch.nn.{getattr(op.module, '__name__', '?')}({named})({', '.join([*given, *rest])})"


def _gradient_lines(
    lines: list[str],
    names: list[str],
    direction: str,
    wrt: str | None,
    cotangent: str,
    tangents: Mapping[str, Floats],
    dtype: str,
) -> str:
    which = names.index(wrt or names[0])
    lines.append(f"cotangent = {cotangent}")
    inputs = ", ".join(names)
    unused = "allow_unused=True, materialize_grads=True"
    if direction != "double-backward":
        lines.append(f"g = torch.autograd.grad(y, [{inputs}], cotangent, {unused})")
        return f"g[{which}]"
    lines.append(f"g = torch.autograd.grad(y, [{inputs}], cotangent, create_graph=True, {unused})")
    seeds = ", ".join(tensor_code(t, dtype) for t in tangents.values())
    lines.append(f"moving = [(d, v) for d, v in zip(g, [{seeds}]) if d.requires_grad]")
    pairs = "[d for d, _ in moving], [" + inputs + "], [v for _, v in moving]"
    lines.append(f"gg = torch.autograd.grad({pairs}, {unused})")
    return f"gg[{which}]"
