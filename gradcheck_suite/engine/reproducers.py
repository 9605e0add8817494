"""Reproducers of pointwise findings: Python that runs with torch alone and shows one value on one path.

What torch computes for an element may depend on its neighbours in the SIMD register and on whether autograd
records. So each reproducer is tried before it is stated: first with a vector of equal elements, then with the
neighbours that the element had.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gradcheck_suite.engine import paths
from gradcheck_suite.engine.arguments import unwritten
from gradcheck_suite.engine.calls import MIXED
from gradcheck_suite.engine.refusals import Raised, Unsupported
from gradcheck_suite.floats import hex_of
from gradcheck_suite.ops.custom import import_lines
from gradcheck_suite.ops.declare import qualified_name
from gradcheck_suite.ops.record import Op

Floats = npt.NDArray[np.float64]

NEIGHBOURS = paths.BLOCK // 2
"""Elements that a block of neighbours holds: the longest SIMD body."""

COMPILED = 1024
"""Elements of a compiled call, as the engine makes it."""

Compute = Callable[[Mapping[str, Floats], int], Floats]
"""What torch computes for inputs on the path in question, recording derivatives up to an order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What a reproducer shows: one column of an op at one point on one path, under one cotangent.

    `exact` is the decimal to print beside it.
    """

    op: Op
    variant: Mapping[str, Any]
    dtype: str
    direction: str
    column: str
    path: str
    point: Mapping[str, float]
    exact: str
    cotangent: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Vector:
    """The elements of a reproducer's inputs: equal ones, or a block of neighbours with the point at `index`."""

    values: Mapping[str, Floats]
    index: int
    recorded: bool


def reproducer(
    shown: Shown, got: float, order: int, compute: Compute, neighbours: Mapping[str, Floats], place: int
) -> str:
    """The first form that computes `got`; the last one where none does.

    `order` is that of the call which computed it, `neighbours` the inputs of that call, `place` the point's
    index among them.
    """
    vector = None
    for vector in _candidates(shown, order, neighbours, place):
        try:
            found = compute(vector.values, order if vector.recorded else 0)[vector.index]
        except (Raised, Unsupported, KeyError):
            continue
        if found == got or (np.isnan(found) and np.isnan(got)):
            break
    assert vector is not None
    return _text(shown, vector)


def _candidates(shown: Shown, order: int, neighbours: Mapping[str, Floats], place: int) -> Iterator[_Vector]:
    equal = {n: np.full(1, x) for n, x in shown.point.items()}
    if shown.path == "mixed":
        # One element for each of the cotangents.
        size = len(MIXED)
        yield _Vector(
            values={n: np.full(size, x) for n, x in shown.point.items()}, index=place % size, recorded=True
        )
    if shown.direction == "forward":
        yield _Vector(values=equal, index=0, recorded=False)
    if order:
        yield _Vector(values=equal, index=0, recorded=True)
    if shown.path in (*paths.ONE_BY_ONE, "compile"):
        return
    start = place // NEIGHBOURS * NEIGHBOURS
    filled = {n: np.resize(x, -(-len(x) // NEIGHBOURS) * NEIGHBOURS) for n, x in neighbours.items()}
    block = {n: x[start : start + NEIGHBOURS] for n, x in filled.items()}
    yield _Vector(values=block, index=place - start, recorded=shown.direction != "forward")
    if shown.direction == "forward" and order:
        yield _Vector(values=block, index=place - start, recorded=True)


# --- text


def _text(shown: Shown, vector: _Vector) -> str:
    lines = ["import torch", *import_lines(shown.op), ""]
    for name, values in vector.values.items():
        recorded = vector.recorded and name in shown.op.inputs and shown.path not in ("jvp", "inference")
        if shown.path == "frozen" and name != shown.column.rpartition(":")[2]:
            recorded = False
        grad = ".requires_grad_()" if recorded else ""
        lines.append(f"{name} = {_tensor(values, shown)}{grad}")
    lines += _computation(shown)
    index = -1 if shown.path == "tail" else vector.index
    result = {"forward": "y", "backward": "g", "double-backward": "gg"}[shown.direction]
    flat = ".reshape(-1)" if shown.path in paths.SHAPED else ""
    lines += [
        _got(shown, result, f"{flat}[{index}]"),
        'print("computed", got, float(got).hex())',
        f'print("exact   ", "{shown.exact}")',
    ]
    return "\n".join(lines) + "\n"


def _got(shown: Shown, result: str, place: str) -> str:
    if shown.path == "long":
        # One element that differs from the first, where there is any.
        odd = f"[{result} != {result}[0]]" if shown.direction != "double-backward" else ""
        return f"got = (*{result}{odd}, {result}[0])[0].item()"
    return f"got = {result}{'' if shown.path == 'scalar' else place}.item()"


def _tensor(values: Floats, shown: Shown) -> str:
    """The elements as a tensor in the layout of the path."""
    dtype = f"dtype=torch.{shown.dtype}"
    if len(values) == 1:
        number = f'float.fromhex("{hex_of(float(values[0]))}")'
        size = _SIZES.get(shown.path, paths.BLOCK)
        if shown.path == "strided":
            return f"torch.full(({2 * size},), {number}, {dtype})[::2]"
        if shown.path == "scalar":
            return f"torch.tensor({number}, {dtype})"
        vector = f"torch.full(({size},), {number}, {dtype})"
    else:
        numbers = " ".join(hex_of(float(v)) for v in values)
        vector = f'torch.tensor([float.fromhex(x) for x in "{numbers}".split()], {dtype}).repeat(2)'
        if shown.path == "strided":
            return f"{vector}.repeat_interleave(2)[::2]"
    if shown.path == "offset":
        return f"torch.nn.functional.pad({vector}, (1, 0))[1:]"
    return vector + _LAYOUTS.get(shown.path, "")


_LAYOUTS = {
    "matrix": ".reshape(-1, 8)",
    "transposed": ".reshape(-1, 8).t().contiguous().t()",
    "batch": ".reshape(-1, 4, 8)",
    "channels_last": ".reshape(-1, 8, 4, 4).contiguous(memory_format=torch.channels_last)",
}

_SIZES = {"single": 1, "tail": paths.BLOCK + paths.TAIL, "compile": COMPILED, "long": paths.LONG}


def _computation(shown: Shown) -> list[str]:
    names = list(shown.point)
    wrt = shown.column.rpartition(":")[2]
    hexed = f'float.fromhex("{hex_of(shown.cotangent)}")'
    if shown.path == "jvp":
        return _forward_mode(shown, names, wrt, hexed)
    lines = [_custom(shown, {n: n for n in names}) or f"y = {_call(shown, names)}"]
    if shown.path == "twice":
        other = {n: f"{n}.detach().reshape(-1, {NEIGHBOURS}).flip(1).reshape(-1)" for n in names}
        lines += [
            "kept = y",
            _custom(shown, other) or f"y = {_call(shown, list(other.values()))}",
            "y = kept",
        ]
    if shown.path == "inference":
        lines = [f"with torch.no_grad():\n    {lines[0].replace(chr(10), chr(10) + '    ')}"]
    if shown.direction == "forward":
        return lines
    g = "torch.ones_like(y)" if shown.cotangent == 1.0 else f"torch.full_like(y, {hexed})"
    if shown.path == "expanded":
        g = "torch.ones((), dtype=y.dtype).expand_as(y)"
    if shown.path in paths.WITH_MIXED:
        lines.append(
            f"c = torch.tensor({list(MIXED)}, dtype=y.dtype).repeat(y.numel())[: y.numel()].reshape(y.shape)"
        )
        lines.append(f"(g,) = torch.autograd.grad(y, {wrt}, c)")
        return [*lines, "g = g / c"]
    recorded = shown.direction == "double-backward" or shown.path == paths.GRAPH
    more = ", create_graph=True" if recorded else ""
    if shown.path == "twice":
        lines.append(f"torch.autograd.grad(y, {wrt}, {g}, retain_graph=True)")
    lines.append(f"(g,) = torch.autograd.grad(y, {wrt}, {g}{more})")
    if shown.direction == "double-backward":
        lines.append(f"(gg,) = torch.autograd.grad(g, {wrt}, torch.ones_like(g))")
    return lines


def _forward_mode(shown: Shown, names: list[str], wrt: str, hexed: str) -> list[str]:
    moved = wrt if wrt in names else names[0]
    tangent = f"torch.ones_like({moved})" if shown.cotangent == 1.0 else f"torch.full_like({moved}, {hexed})"
    return [
        "with torch.autograd.forward_ad.dual_level():",
        f"    {moved} = torch.autograd.forward_ad.make_dual({moved}, {tangent})",
        f"    y, g = torch.autograd.forward_ad.unpack_dual({_call(shown, names)})",
    ]


def _custom(shown: Shown, tensors: Mapping[str, str]) -> str:
    """The lines that call an op with code of its own, on a path that is a plain call; `tensors` are texts by name."""
    if shown.op.code is None or shown.path not in ("vector", "strided", *paths.OWN, "single", paths.GRAPH):
        return ""
    options = {k: repr(v) for k, v in shown.variant.items() if k not in shown.point}
    return shown.op.code({**tensors, **options})


def _call(shown: Shown, names: list[str]) -> str:
    """The call of the op on its path."""
    op, path = shown.op, shown.path
    options = [f"{k}={v!r}" for k, v in shown.variant.items() if k not in shown.point]
    first, *others = names
    if path == "module" or op.callable_name == "torch.nn.Identity":
        return f"{_module(shown)}({', '.join([first, *others])})"
    arguments = [first, *(f"{n}={n}" for n in others), *options]
    name = path.removeprefix(paths.TWIN) if path.startswith(paths.TWIN) else op.callable_name
    if path == "inplace":
        return _inplace(op, [f"{first}.clone()", *arguments[1:]])
    if path == "out":
        assert op.out is not None
        return f"{qualified_name(op.out)}({', '.join([*arguments, f'out={unwritten(first)}'])})"
    call = f"{name}({', '.join(arguments)})"
    if path == "vmap":
        return f"torch.vmap(lambda {', '.join(names)}: {call})({', '.join(names)})"
    if path == "compile":
        return f"torch.compile(lambda {', '.join(names)}: {call}, dynamic=False)({', '.join(names)})"
    return call


def _inplace(op: Op, arguments: list[str]) -> str:
    assert op.inplace is not None
    name = qualified_name(op.inplace)
    if "<lambda>" in name:
        return f"{op.callable_name}({', '.join([*arguments, 'inplace=True'])})"
    return f"{name}({', '.join(arguments)})"


def _module(shown: Shown) -> str:
    """The module with its options; in evaluation mode where the op's record has it so."""
    if shown.op.module is None:
        return f"{shown.op.callable_name}()"
    options = {k: v for k, v in shown.variant.items() if k not in shown.point}
    module = shown.op.module(**options)
    kind = type(module)
    name = f"torch.nn.{kind.__name__}" if kind.__module__.startswith("torch.nn.") else kind.__qualname__
    made = f"{name}({', '.join(f'{k}={v!r}' for k, v in options.items())})"
    return made if getattr(module, "training", True) else f"{made}.eval()"
