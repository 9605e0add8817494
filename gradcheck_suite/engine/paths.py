"""The ways of calling an op that must agree: layouts, in-place, out= and module forms, twins, transforms.

torch computes a contiguous vector in SIMD registers, but its tail, a strided vector and a single element one
by one, with other bits; in-place and `out=` forms, a gradient that is recorded, `vmap`, forward-mode AD and
`torch.compile` reach other code yet.
"""

from __future__ import annotations

import inspect
import os
import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from math import nan
from typing import Any, Final

import torch

from gradcheck_suite.engine.refusals import Unsupported
from gradcheck_suite.ops.declare import qualified_name
from gradcheck_suite.ops.record import Op
from gradcheck_suite.options import EVERY_PATH, PATHS, USUAL_PATHS

Form = Callable[..., Any]

TWIN: Final = "twin:"
"""Prefix of the path of one twin, followed by the name of the callable."""

BLOCK: Final = 128
"""Vectors are filled up to whole blocks, twice the longest SIMD body: then no element falls into a tail."""

TAIL: Final = 15
"""Elements of a tail: one fewer than the shortest SIMD body (float64 under AVX-512)."""

ONE_BY_ONE: Final = ("single", "tail", "scalar")
"""Paths that take many calls, and so are tried at few points."""

LAYOUTS: Final = ("strided", "channels_last")
"""Paths that are a memory layout of the same call."""

TRANSFORMS: Final = ("vmap", "jvp", "compile")
"""Paths that not every op has to support: where they raise, there is nothing to judge."""

OWN: Final = (
    "tail",
    "long",
    "matrix",
    "scalar",
    "inference",
    "expanded",
    "mixed",
    "frozen",
    "channels_last",
    "offset",
    "batch",
    "transposed",
    "twice",
)
"""Paths on which a kernel of one's own is tried too: those that only careless code tells apart.

A tail; more elements than 16 bits count; two dimensions; none; no autograd; the cotangent of a sum, which has no memory
of its own; cotangents that differ; one input that alone needs a gradient; images whose channels lie innermost; a part
of a longer vector, which does not begin where its memory does; three dimensions; a transposed matrix, with a cotangent
that is none; and a call with others after it, whose graph is gone through twice.
"""

LONG: Final = 2**17 + TAIL
"""Elements of a long vector: beyond the grain of parallel loops, and beyond 16-bit indices."""

OWN_OF_ROWS: Final = ("inference", "frozen")
"""Those of them that ops whose entries depend on each other are tried on; samples are shapes of many kinds anyway."""

_HIGHEST: Final = {"out": 0, "inference": 0, "frozen": 1}
"""The highest derivative on a path: autograd does not go through results that are written elsewhere, and a second one
is along a direction of all inputs.
"""

WITH_MIXED: Final = ("mixed", "transposed")
"""Paths on which cotangents differ, so that it shows which of them is taken."""

_SHAPES: Final[Mapping[str, tuple[int, ...]]] = {
    "matrix": (-1, 8),
    "transposed": (-1, 8),
    "batch": (-1, 4, 8),
    "channels_last": (-1, 8, 4, 4),
    "scalar": (),
}
"""Sizes, of which whole blocks are multiples: images have eight channels, so that these can lie innermost."""

GRAPH: Final = "create_graph"
"""The path of a gradient that is itself recorded, as a gradient penalty needs it: torch computes some by another
formula then. It has no value of its own.
"""

OPTIONAL: Final = (*TRANSFORMS, *_SHAPES, "twice", GRAPH)
"""Paths that an op of vectors, used once, need not support."""

SHAPED: Final = tuple(path for path, shape in _SHAPES.items() if shape)
"""Paths on which results are no vectors."""

_COMPILERS: Final = ("g++", "clang++", "c++", "cl")


def expanded(op: Op, paths: Sequence[str]) -> list[str]:
    """The paths of an op besides "vector": "all" is every one but "compile", "twins" is each of its twins."""
    wanted: list[str] = []
    for path in paths:
        wanted += [p for p in PATHS if p not in (EVERY_PATH, "compile")] if path == EVERY_PATH else [path]
    if not op.pointwise and set(USUAL_PATHS) <= set(wanted):
        # Where entries depend on each other, kernels for images differ by layout, and few samples are images.
        wanted.append("channels_last")
    named: list[str] = []
    for path in wanted:
        named += [TWIN + qualified_name(twin) for twin in op.twins] if path == "twins" else [path]
    own = (OWN if op.pointwise else OWN_OF_ROWS) if op.custom and set(USUAL_PATHS) <= set(wanted) else ()
    return [path for path in dict.fromkeys([*named, *own]) if path != "vector"]


def highest_order(path: str) -> int:
    """The highest derivative of a whole call that a path gives."""
    return _HIGHEST.get(path, 2)


def shown(path: str) -> str:
    """A path as sentences name it."""
    return path.removeprefix(TWIN)


def form_of(op: Op, path: str) -> Form:
    """The callable that a path stands for, with the arguments of `op.call`.

    Raises Unsupported where the op has no such form.
    """
    if path.startswith(TWIN):
        return next(twin for twin in op.twins if TWIN + qualified_name(twin) == path)
    make = _FORMS.get(path)
    return op.call if make is None else make(op)


def _inplace(op: Op) -> Form:
    if op.inplace is None:
        raise Unsupported("no in-place form")
    # `+ 0` would turn -0 into 0; a clone keeps every bit and is no leaf, so that it may be overwritten.
    form = op.inplace
    return lambda first, *rest, **params: form(first.clone(), *rest, **params)


def _out(op: Op) -> Form:
    if op.out is None:
        raise Unsupported("no out= form")
    form = op.out
    # Without contiguous dimensions and full of NaN: a kernel that writes elsewhere, or nothing, shows.
    return lambda *tensors, **params: form(*tensors, **params, out=apart(torch.full_like(tensors[0], nan)))


def _module(op: Op) -> Form:
    if op.module is None:
        raise Unsupported("no module form")
    module = op.module
    known = module_options(op)

    def call(*tensors: torch.Tensor, **arguments: Any) -> Any:
        options, further = _without_tensors(arguments)
        weights = {n: further.pop(n) for n in known if n in further}
        return module(**weights, **options)(*tensors, **further)

    return call


def module_options(op: Op) -> tuple[str, ...]:
    """The arguments that an op's module is made with, weights among them, as its signature names them."""
    try:
        return tuple(inspect.signature(op.module).parameters) if op.module is not None else ()
    except (TypeError, ValueError):
        return ()


def _without_tensors(arguments: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Options, which a module is made with, and tensors, which it is called with."""
    tensors = {n: v for n, v in arguments.items() if isinstance(v, torch.Tensor)}
    return {n: v for n, v in arguments.items() if n not in tensors}, tensors


def _vmap(op: Op) -> Form:
    def call(*tensors: torch.Tensor, **arguments: Any) -> Any:
        options, further = _without_tensors(arguments)
        names = list(further)

        def one(*entries: torch.Tensor) -> Any:
            count = len(tensors)
            return op.call(*entries[:count], **dict(zip(names, entries[count:], strict=True)), **options)

        return torch.vmap(one)(*tensors, *further.values())

    return call


def _compile(op: Op) -> Form:
    missing = missing_compiler()
    if missing:
        raise Unsupported(missing)
    return _compiled(op.call)


@lru_cache(maxsize=1)
def _compiled(call: Form) -> Form:
    # Beyond eight versions of one function torch silently runs it uncompiled: start anew for every op.
    torch._dynamo.reset()
    compiled: Form = torch.compile(lambda *tensors, **arguments: call(*tensors, **arguments), dynamic=False)
    return compiled


def missing_compiler() -> str | None:
    """Why `torch.compile` cannot run here; None where it can."""
    named = os.environ.get("CXX")
    if any(shutil.which(compiler) for compiler in ([named] if named else _COMPILERS)):
        return None
    return f"torch.compile needs a C++ compiler: {named or 'g++ or clang++'} was not found"


_FORMS: Final[Mapping[str, Callable[[Op], Form]]] = {
    "inplace": _inplace,
    "out": _out,
    "module": _module,
    "vmap": _vmap,
    "compile": _compile,
}


@contextmanager
def quiet(path: str) -> Iterator[None]:
    """Keep warnings of transforms to the user's own code: that batching is slow here is nobody's mistake."""
    if path not in TRANSFORMS:
        yield
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


# --- layouts


def arranged(vector: torch.Tensor, path: str) -> torch.Tensor:
    """The entries of a vector of whole blocks, in order, in the layout of a path."""
    return laid_out(vector.reshape(_SHAPES.get(path, (-1,))), path)


def laid_out(t: torch.Tensor, path: str) -> torch.Tensor:
    """A tensor in the layout of a path; where that makes no difference to it, as it is."""
    if path == "strided":
        return apart(t)
    if path == "offset" and t.ndim == 1:
        return torch.cat([torch.full_like(t[:1], nan), t])[1:]
    if path == "transposed" and t.ndim == 2:
        return t.t().contiguous().t()
    return t.contiguous(memory_format=torch.channels_last) if path == "channels_last" and t.ndim == 4 else t


def turned(vector: torch.Tensor) -> torch.Tensor:
    """The entries of a vector of whole blocks in another order, which half a block of neighbours is enough to know."""
    return vector.reshape(-1, BLOCK // 2).flip(1).reshape(-1)


def apart(t: torch.Tensor) -> torch.Tensor:
    """The same values laid out with a gap after each, so that no dimension is contiguous."""
    if t.ndim == 0:
        return t
    wide = torch.zeros(*t.shape, 2, dtype=t.dtype, device=t.device)
    wide[..., 0] = t
    return wide[..., 0]
