"""From what a user states about an op to callables and formulas of a record."""

from __future__ import annotations

import copy
import functools
import inspect
import itertools
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from gradcheck_suite.errors import UsageError
from gradcheck_suite.floats import Format, round_to
from gradcheck_suite.loading import LOADED
from gradcheck_suite.ops.declare import qualified_name
from gradcheck_suite.ops.record import Op, Params, Sample, Source

Call = Callable[..., Any]
OUTPUT: Final = "output"
"""The parameter that picks one of several outputs; it stands in the variant, so reports name it."""


def positional_names(formula: Call) -> tuple[str, ...]:
    """The tensors that a formula takes: its positional parameters without default, after the context."""
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    try:
        parameters = inspect.signature(formula).parameters.values()
    except (TypeError, ValueError):
        raise UsageError(
            f"{name_of(formula)} cannot be a formula, for Python does not know its arguments; write formula(m, x, …)"
        ) from None
    return tuple(p.name for p in parameters if p.kind in kinds and p.default is p.empty)[1:]


def keyword_defaults(formula: Call) -> dict[str, Any]:
    """The parameters of a formula that have a default."""
    return {
        p.name: p.default for p in inspect.signature(formula).parameters.values() if p.default is not p.empty
    }


def grid(variants: Any) -> tuple[Params, ...] | None:
    """Variants as a tuple; a mapping of names to values stands for all combinations."""
    if variants is None:
        return None
    if isinstance(variants, Mapping):
        for name, values in variants.items():
            if isinstance(values, str) or not isinstance(values, Iterable):
                raise UsageError(f"variants= needs a list of values of {name!r}, such as [{values!r}]")
        products = itertools.product(*variants.values())
        return tuple(dict(zip(variants, values, strict=True)) for values in products)
    if isinstance(variants, str) or not isinstance(variants, Iterable):
        raise UsageError(
            f"variants={variants!r} must be a mapping of names to lists of values, or a list of mappings"
        )
    stated = tuple(variants)
    for variant in stated:
        if not isinstance(variant, Mapping):
            raise UsageError(f"variants= holds {variant!r}, which is no mapping; write {{'alpha': 0.5}}")
    return tuple(dict(variant) for variant in stated)


def in_order(fn: Call, names: Sequence[str]) -> Call:
    """`fn` called with the tensors by position, in the order of `names`, however they are handed over.

    Further arguments stay keywords.
    """

    def call(*inputs: Any, **rest: Any) -> Any:
        given = [rest.pop(name) if name in rest else None for name in names[len(inputs) :]]
        return fn(*inputs, *given, **rest)

    return call


def fitting(fn: Call) -> Call:
    """`fn` called with tensors by keyword where it knows their names, and by position where it has others for
    them.

    An op that borrows a definition calls its labels what it likes: `fused(logits, labels)` for `target`.
    """
    try:
        parameters = inspect.signature(fn).parameters.values()
    except (TypeError, ValueError):
        return fn
    by_name = {p.name for p in parameters if p.kind is not inspect.Parameter.POSITIONAL_ONLY}
    several = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    kinds = {p.kind for p in parameters}
    if inspect.Parameter.VAR_POSITIONAL in kinds:
        # As `apply` of a torch.autograd.Function, which takes no keyword.
        return _by_position(fn, by_name)
    # A function that takes any keywords still needs those positions filled that have no default.
    needed = inspect.Parameter.VAR_KEYWORD in kinds
    positional = [
        p.name
        for p in parameters
        if p.kind not in (inspect.Parameter.KEYWORD_ONLY, *several)
        and not (needed and p.default is not p.empty)
    ]

    def call(*tensors: Any, **rest: Any) -> Any:
        free = [name for name in positional[len(tensors) :] if name not in rest]
        strange = [
            name for name, value in rest.items() if name not in by_name and isinstance(value, torch.Tensor)
        ]
        named = dict(zip(free, strange, strict=False))
        moved = {new: rest.pop(old) for new, old in named.items()}
        return fn(*tensors, **moved, **rest)

    return call


def _by_position(fn: Call, by_name: Set[str]) -> Call:
    """`fn` called with those tensors by position that it has no name for."""

    def call(*tensors: Any, **rest: Any) -> Any:
        strange = [n for n, v in rest.items() if n not in by_name and isinstance(v, torch.Tensor)]
        return fn(*tensors, *(rest.pop(n) for n in strange), **rest)

    return call


def naming(
    op: str, samples: Callable[..., Iterable[Sample]], inputs: Sequence[str], extras: Sequence[str]
) -> Callable[..., Iterator[Sample]]:
    """Samples with the tensors in the order of an op's definition, and by its names where there is only one.

    Raises UsageError, once samples are drawn, for what is no sample and for tensors that the op does not have.
    """

    def named(params: Params, fmt: Format, *, budget: str, seed: int) -> Iterator[Sample]:
        try:
            drawn = iter(samples(params, fmt, budget=budget, seed=seed))
        except UsageError:
            raise
        except Exception as error:
            raise UsageError(
                f"samples= of {op} fails: {type(error).__name__}: {error}; it is called as "
                "samples(params, fmt, budget=…, seed=…) and yields gradcheck_suite.samples.Sample, as rows(dim=-1) does"
            ) from error
        for sample in _drawn(op, drawn):
            if not isinstance(sample, Sample):
                raise UsageError(
                    f"samples= of {op} yields {type(sample).__name__}; yield gradcheck_suite.samples.Sample"
                )
            yield _named(op, sample, inputs, extras, fmt)

    return named


def _drawn(op: str, drawn: Iterator[Any]) -> Iterator[Any]:
    try:
        yield from drawn
    except UsageError:
        raise
    except Exception as error:
        raise UsageError(f"samples= of {op} fails: {type(error).__name__}: {error}") from error


def _named(op: str, sample: Sample, inputs: Sequence[str], extras: Sequence[str], fmt: Format) -> Sample:
    try:
        given = {n: _of_format(x, fmt) for n, x in sample.inputs.items()}
        further = {n: _of_format(x, fmt) if _is_real(x) else x for n, x in sample.extra.items()}
    except (TypeError, ValueError, AttributeError) as error:
        raise UsageError(
            f"samples= of {op} holds no numbers: {error}; give arrays by the names of tensors"
        ) from error
    if len(given) == len(inputs) == 1:
        given = {inputs[0]: next(iter(given.values()))}
    missing = [n for n in extras if n not in further]
    strange = [n for n in further if n not in extras]
    if len(missing) == len(strange) == 1:
        further[missing[0]] = further.pop(strange[0])
    if set(given) != set(inputs) or not set(extras) <= set(further):
        raise UsageError(
            f"the samples of {op} state {_listed([*given, *further])}, but its definition takes "
            f"{_listed([*inputs, *extras])}; state them all, by the same names"
        )
    curve = sample.curve
    return replace(
        sample,
        inputs={n: given[n] for n in inputs},
        extra=further,
        curve=None if curve is None else lambda at: _named(op, curve(at), inputs, extras, fmt),
    )


def _is_real(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype == np.float64


def _of_format(values: Any, fmt: Format) -> Any:
    """Numbers as an array of the format, whatever they came in."""
    plain = values.detach().cpu().double().numpy() if isinstance(values, torch.Tensor) else values
    return round_to(np.asarray(plain, dtype=np.float64), fmt)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(repr(n) for n in names) or "nothing"


def adapted(fn: Call, adapter: Call) -> Call:
    """`fn` as its adapter calls it: `adapter(fn, *tensors, **parameters)`."""
    return functools.partial(adapter, fn)


def working_in_place(fn: Call) -> Call:
    """A call that hands over a copy of the first tensor, which `fn` overwrites and which is the result."""

    def call(first: torch.Tensor, *rest: Any, **params: Any) -> torch.Tensor:
        overwritten = first.clone()
        returned = fn(overwritten, *rest, **params)
        return overwritten if returned is None else returned

    return call


def module_call(module: torch.nn.Module, names: Sequence[str]) -> Call:
    """A call of a module that takes parameters of it as further tensors: "weight", or "linear_weight" for
    linear.weight.

    Parameters and buffers that are not among `names` keep their values, rounded to the dtype of the first
    tensor.
    """
    known = {name.replace(".", "_"): name for name, _ in module.named_parameters()}

    @functools.lru_cache(maxsize=8)
    def fitted(dtype: torch.dtype, device: torch.device) -> torch.nn.Module:
        return copy.deepcopy(module).to(device=device, dtype=dtype)

    def call(*tensors: Any, **params: Any) -> Any:
        given = dict(zip(names, tensors, strict=False))
        replaced = {known[name]: t for name, t in given.items() if name in known}
        positional = [t for name, t in given.items() if name not in known]
        target = fitted(tensors[0].dtype, tensors[0].device)
        return torch.func.functional_call(target, replaced, tuple(positional), params)

    return call


def output_of(function: Call, outputs: Sequence[str], *, formula_of: str = "") -> Call:
    """A callable or formula of several outputs that returns the one which the parameter `output` names.

    Where it returns another number of them, that is a mistake in the formula of `formula_of`, or else the op's.
    """

    @functools.wraps(function)
    def chosen(*arguments: Any, **params: Any) -> Any:
        place = outputs.index(params.pop(OUTPUT))
        found = function(*arguments, **params)
        if not isinstance(found, tuple | list) or len(found) != len(outputs):
            told = f"{len(outputs)} outputs are registered, but"
            if formula_of:
                raise UsageError(f"{told} the formula of {formula_of} returns {_described(found)}")
            raise TypeError(f"{told} it returns {_described(found)}")
        return found[place]

    return chosen


def _described(found: Any) -> str:
    return f"{len(found)} of them" if isinstance(found, tuple | list) else f"one {type(found).__name__}"


def check_mode(op: str, fn: Call) -> None:
    """Raises UsageError for a module that draws numbers at random, as dropout in training mode does."""
    if not isinstance(fn, torch.nn.Module):
        return
    for part in fn.modules():
        if isinstance(part, torch.nn.modules.dropout._DropoutNd) and part.training and part.p > 0:
            raise UsageError(
                f"{op} holds {type(part).__name__} in training mode, which draws at random: register module.eval()"
            )


def straight_through(formula: Call, gradient: Call, inputs: Sequence[str]) -> Call:
    """The value of `formula` with the partial derivatives that `gradient` states, one for each input.

    f + sum (x - stop x) * stop(g): the second term is exactly 0 and has the slope g. For ops whose backward
    is by intention not the derivative of their forward.
    """

    @functools.wraps(formula)
    def stated(m: Any, *arguments: Any, **params: Any) -> Any:
        slopes = gradient(m, *arguments, **params)
        slopes = slopes if isinstance(slopes, tuple | list) else (slopes,)
        if len(slopes) != len(inputs):
            raise UsageError(
                f"the gradient formula states {len(slopes)} derivatives for {len(inputs)} inputs"
            )
        value = m.stop(formula(m, *arguments, **params))
        for x, slope in zip(arguments, slopes, strict=False):
            value = value + (x - m.stop(x)) * m.stop(slope)
        return value

    return stated


def code_of(
    fn: Call, names: Sequence[str], outputs: Sequence[str], remark: str
) -> Callable[[Mapping[str, str]], str]:
    """What writes the line of a reproducer that calls `fn`: tensors by position, like the engine; the rest by
    name.
    """

    def code(texts: Mapping[str, str]) -> str:
        known = _keywords(fn)
        rest = {n: text for n, text in texts.items() if n not in names and n != OUTPUT}
        strange = [text for n, text in rest.items() if known is not None and n not in known]
        named = [f"{n}={text}" for n, text in rest.items() if known is None or n in known]
        chosen = f"[{outputs.index(texts[OUTPUT].strip(chr(39)))}]" if outputs else ""
        arguments = ", ".join([*(texts[n] for n in names if n in texts), *strange, *named])
        return "\n".join(line for line in (remark, f"y = {name_of(fn)}({arguments}){chosen}") if line)

    return code


def _keywords(fn: Call) -> set[str] | None:
    """The names by which a function takes arguments; None where Python does not know, or it takes any."""
    try:
        parameters = inspect.signature(fn).parameters.values()
    except (TypeError, ValueError):
        return None
    if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters):
        return None
    return {p.name for p in parameters if p.kind is not inspect.Parameter.POSITIONAL_ONLY}


def name_of(fn: Call) -> str:
    """What reports call a callable: torch.ops.mylib.op, mylib.Function.apply, mylib.function."""
    operator = getattr(fn, "_qualified_op_name", None)
    if isinstance(operator, str):
        return "torch.ops." + operator.replace("::", ".")
    owner = getattr(fn, "__self__", None)
    if isinstance(owner, type):
        full = f"{owner.__module__}.{owner.__qualname__}.{getattr(fn, '__name__', '')}"
    else:
        full = qualified_name(fn.func if isinstance(fn, functools.partial) else fn)
    module, dot, rest = full.partition(".")
    # A file that was loaded by its path goes by a name that nobody wrote.
    file = getattr(sys.modules.get(module), "__file__", None) if module.startswith(LOADED) else None
    return f"{Path(file).stem}{dot}{rest}" if file else full


def import_lines(op: Op) -> list[str]:
    """What a reproducer imports beside torch: the module of a custom op, or a remark on where the op is
    defined.
    """
    if not op.custom or op.callable_name.startswith("torch."):
        return []
    parts = op.callable_name.split(".")
    modules = [".".join(parts[:n]) for n in range(len(parts) - 1, 0, -1)]
    module = next((name for name in modules if name in sys.modules), "")
    if module and module not in ("__main__", "conftest") and "<" not in op.callable_name:
        return [f"import {module}"]
    place = f"{Path(op.source.file).name}:{op.source.line}" if op.source else "your code"
    return [f"# {op.callable_name} is defined at {place}"]


def defined_at(fn: Call, depth: int) -> Source | None:
    """Where `fn` is defined; where Python does not know, the line that registers it, `depth` frames up."""
    owner = getattr(fn, "__self__", None)
    target: Any = owner if isinstance(owner, type) else type(fn) if isinstance(fn, torch.nn.Module) else fn
    target = target.func if isinstance(target, functools.partial) else inspect.unwrap(target)
    try:
        file = inspect.getsourcefile(target)
        line = inspect.getsourcelines(target)[1]
        if file is not None:
            return Source(file=file, line=max(line, 1))
    except (OSError, TypeError):
        pass
    frame = inspect.stack(context=0)[depth]
    return Source(file=frame.filename, line=frame.lineno)
