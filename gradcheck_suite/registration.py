"""Registering custom ops: the function that conftest.py files, `--load` files and libraries are handed."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

import torch

from gradcheck_suite.errors import UsageError
from gradcheck_suite.floats import FORMATS
from gradcheck_suite.ops import custom, mistakes
from gradcheck_suite.ops.record import Op
from gradcheck_suite.ops.reduced import samples_of
from gradcheck_suite.ops.several import with_several
from gradcheck_suite.options import DIRECTIONS, HALF_AN_ULP, USUAL_DIRECTIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gradcheck_suite.ops.record import Params, Sample
    from gradcheck_suite.ops.registry import Registry

_NAME: Final = re.compile(r"[A-Za-z_][\w.\-]*")
_FRAMES: Final = 3
"""From the user's line to `custom.defined_at`."""


class Registrar:
    """`register(name, fn, …)`, bound to the registry of one run."""

    def __init__(
        self, registry: Registry, *, called: str = "register()", options: Iterable[str] = ()
    ) -> None:
        """`called` is what users call, which may take further `options`."""
        self._registry = registry
        own = inspect.signature(Registrar.__call__).parameters.keys() - {"self", "name", "fn", "params"}
        self._called, self._options = called, frozenset(own | set(options))
        self._undefined: dict[str, None] = {}

    def close(self) -> None:
        """Raises UsageError where an op that was to be registered never got its definition."""
        for name in self._undefined:
            raise UsageError(
                f"{name} is registered without a definition; give it formula=lambda m, x: … or like=, the name of an op"
            )

    def __call__(
        self,
        name: str,
        fn: Callable[..., Any],
        *,
        like: str | None = None,
        formula: Callable[..., Any] | None = None,
        gradient: Callable[..., Any] | None = None,
        inputs: Sequence[str] | None = None,
        outputs: Sequence[str] = (),
        variants: Iterable[Params] | Mapping[str, Sequence[Any]] | None = None,
        dtypes: Sequence[str] | None = None,
        directions: Sequence[str] | None = None,
        devices: Sequence[str] = (),
        max_ulp: float | None = None,
        against: Callable[..., Any] | None = None,
        against_factor: float = 2.0,
        domain: Callable[[Params, Mapping[str, Any]], Any] | None = None,
        landmarks: Callable[[Params], Sequence[float]] | Sequence[float] | None = None,
        partners: Callable[[Params], Mapping[str, Sequence[float]]] | None = None,
        offsets: Callable[[Params], Sequence[float]] | None = None,
        documented: Callable[[Params, Mapping[str, Any]], Any] | None = None,
        documented_form: Callable[..., Any] | None = None,
        documented_reason: str = "",
        samples: Callable[..., Iterable[Sample]] | None = None,
        adapter: Callable[..., Any] | None = None,
        inplace: bool | Callable[..., Any] = False,
        out: Callable[..., Any] | None = None,
        structural: Sequence[str] = (),
        stable_form: str | None = None,
        **params: Any,
    ) -> Any:
        """Register `fn` as the op `name`, and return its record; without a definition, return a decorator for
        one.

        The definition is that of the built-in op `like`, with its inputs, kinks and documented deviations, or
        a `formula(m, *tensors, **parameters)` in exact real arithmetic over the context `m`. `params` are the
        parameters at which `fn` is meant to equal it; `fn` does not get them. `variants` are parameter sets,
        or lists of values by name for all their combinations, which both get. A formula's tensors are its
        positional arguments; those not among `inputs` are not differentiated. `gradient` states the partial
        derivatives of an op whose backward is by intention not the derivative of its forward.

        `samples(params, fmt, budget=…, seed=…)` yields the calls to judge (see `gradcheck_suite.samples`);
        without it the op maps entries to entries. `outputs` names several outputs, each judged by itself.
        `domain` and `documented` take the parameters and float64 arrays by name and return which points they
        hold for; `documented_form` is a formula of what is computed there, without which anything is excused.
        `adapter(fn, *tensors, **parameters)` calls `fn` in its own way. `inplace` is True where
        `fn` overwrites its first tensor, or the form that does; `out` the form with `out=`. `structural`
        parameters are not numbers to be rounded.

        `landmarks` are the inputs where something happens (kinks, thresholds, saturation), as numbers or as a
        function of the parameters. With several inputs they are the first one's; `partners(params)` gives
        such values of the others by name, and `offsets(params)` distances between the first two. Tensors that are not
        differentiated take those values only, as labels do.

        `dtypes` default to all, `directions` to forward and backward. `max_ulp` is this op's threshold;
        `against` another callable: no error may exceed `against_factor` times that of `against` nearby plus
        what rounding both costs, (k + 1)/2 ULP. With both, both hold.

        Raises UsageError for what does not exist or cannot be meant.
        """
        if not _NAME.fullmatch(str(name)) or name != str(name):
            raise UsageError(f"{name!r} cannot name an op; use letters, digits, '_', '.' and '-'")
        _callable(
            name,
            fn=fn,
            formula=formula,
            gradient=gradient,
            against=against,
            domain=domain,
            partners=partners,
            offsets=offsets,
            documented=documented,
            documented_form=documented_form,
            samples=samples,
            adapter=adapter,
            out=out,
        )
        custom.check_mode(name, fn)
        stated = _Stated(
            name=name,
            fn=fn,
            like=like,
            gradient=gradient,
            inputs=None if inputs is None else _names(name, "inputs", inputs),
            outputs=_names(name, "outputs", outputs),
            variants=custom.grid(variants),
            adapter=adapter,
            inplace=inplace,
            params=params,
            misspelt=(self._called, self._options),
            options={
                "any_dtype": dtypes is None,
                "dtypes": _known("dtype", dtypes, tuple(FORMATS)),
                "directions": _known("direction", directions, DIRECTIONS, USUAL_DIRECTIONS),
                "devices": _names(name, "devices", devices),
                "max_ulp": _possible(name, max_ulp),
                "against": against,
                "against_factor": _positive(name, against_factor),
                "out": out,
                "source": custom.defined_at(fn, _FRAMES - 1),
                **_given(
                    domain=mistakes.mask_of(name, "domain", domain),
                    landmarks=mistakes.numbers_of(name, "landmarks", _constant(name, landmarks)),
                    partners=partners,
                    offsets=mistakes.numbers_of(name, "offsets", offsets),
                    documented=mistakes.mask_of(name, "documented", documented),
                    documented_form=documented_form,
                    documented_reason=documented_reason or None,
                    samples=samples,
                    structural=_names(name, "structural", structural) or None,
                    stable_form=stable_form,
                ),
            },
        )
        if like is not None and not isinstance(like, str):
            raise UsageError(f"like= of {name} is the name of an op, such as 'gelu', but it is {like!r:.60}")
        if like is not None and formula is not None:
            raise UsageError(f"{name} is given both like= and a formula; leave one out")
        if like is not None:
            return self._registry.register(_borrowed(stated, self._registry.get(like)))
        if formula is not None:
            return self._registry.register(_defined(stated, formula))

        self._undefined[name] = None

        def declare(definition: Callable[..., Any]) -> Callable[..., Any]:
            self._undefined.pop(name, None)
            self._registry.register(_defined(stated, definition))
            return definition

        return declare


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Stated:
    """What a user said; `options` are fields of the record as they are, `misspelt` what was called and the options
    that a parameter which is none may have been meant for.
    """

    name: str
    fn: Callable[..., Any]
    like: str | None
    gradient: Callable[..., Any] | None
    inputs: tuple[str, ...] | None
    outputs: tuple[str, ...]
    variants: tuple[Params, ...] | None
    adapter: Callable[..., Any] | None
    inplace: bool | Callable[..., Any]
    params: Mapping[str, Any]
    misspelt: tuple[str, frozenset[str]]
    options: Mapping[str, Any]

    def common(self, tensors: Sequence[str]) -> dict[str, Any]:
        """Fields of the record that do not depend on where the definition comes from."""
        inplace = None if isinstance(self.inplace, bool) else self.inplace
        partners = self.options.get("partners")
        stated = {} if partners is None else {"partners": mistakes.partners_of(self.name, partners, tensors)}
        form = self.options.get("documented_form")
        if form is not None:
            stated["documented_form"] = self._deviating(form)
        elif "documented" in self.options:
            # Somebody else's deviation has a form of its own, if any.
            stated["documented_form"] = None
        return {
            "name": self.name,
            "callable_name": custom.name_of(self.fn),
            "tier": "custom",
            "custom": True,
            "inplace": inplace,
            "twins": (),
            **self.options,
            **stated,
        }

    def _deviating(self, form: Callable[..., Any]) -> Callable[..., Any]:
        if "documented" not in self.options:
            raise UsageError(f"documented_form= of {self.name} holds nowhere; say where with documented=")
        explained = mistakes.explained(form, f"documented_form= of {self.name}", pointwise=True)
        return custom.output_of(explained, self.outputs, formula_of=self.name) if self.outputs else explained

    def call(self, names: Sequence[str]) -> Callable[..., Any]:
        """How the engine calls the op, with tensors in the order of `names`."""
        call = custom.module_call(self.fn, names) if isinstance(self.fn, torch.nn.Module) else self.fn
        if self.adapter is not None:
            call = custom.adapted(call, self.adapter)
        return custom.working_in_place(call) if self.inplace is True else call

    def code(self, names: Sequence[str]) -> Callable[[Mapping[str, str]], str]:
        """How a reproducer calls it."""
        adapted = self.adapter is not None or isinstance(self.fn, torch.nn.Module)
        remark = (
            "# It is registered with an adapter, or as a module: call it as that does." if adapted else ""
        )
        return custom.code_of(self.fn, names, self.outputs, remark)


def _borrowed(stated: _Stated, model: Op) -> Op:
    """The record of an op that equals `model`."""
    if stated.gradient is not None or stated.inputs is not None or stated.outputs:
        raise UsageError(
            f"{stated.name} borrows from {model.name}; gradient=, inputs= and outputs= need a formula"
        )
    _check_params(stated, model.defaults.keys() | {n for v in model.variants for n in v}, model.name)
    variants = stated.variants
    if variants is None:
        # An op without a default variant, such as one that needs a dim, is tried in all of them.
        variants = ({},) if {} in model.variants or stated.params else model.variants
    fields = {
        "module": None,
        "stable_form": None,
        "covers": (),
        "code": stated.code(model.inputs),
        **stated.common((*model.inputs, *model.extras)),
    }
    if "samples" in stated.options:
        samples = stated.options["samples"]
        fields["samples"] = custom.naming(stated.name, samples, model.inputs, model.extras)
    elif model.samples is not None and not model.pointwise:
        fields["samples"] = with_several(model.samples)
    return dataclasses.replace(
        model,
        call=_passing(custom.fitting(stated.call(model.inputs)), frozenset(stated.params)),
        variants=variants,
        defaults={**model.defaults, **stated.params},
        **fields,
    )


def _passing(call: Callable[..., Any], fixed: frozenset[str]) -> Callable[..., Any]:
    """The call without the parameters that only the definition gets."""
    if not fixed:
        return call

    def passing(*tensors: Any, **rest: Any) -> Any:
        return call(*tensors, **{name: value for name, value in rest.items() if name not in fixed})

    return passing


def _defined(stated: _Stated, formula: Callable[..., Any]) -> Op:
    """The record of an op with a formula of its own."""
    names = custom.positional_names(formula)
    inputs = stated.inputs or names
    for name in inputs:
        if name not in names:
            raise UsageError.lacking(f"the formula of {stated.name}", "tensor", name, names)
    if not inputs:
        raise UsageError(f"the formula of {stated.name} takes no tensor; write it as formula(m, x, …)")
    if names[: len(inputs)] != inputs:
        raise UsageError(f"the formula of {stated.name} must take the differentiated tensors {inputs} first")
    defaults = {**custom.keyword_defaults(formula), **stated.params}
    _check_params(stated, custom.keyword_defaults(formula).keys(), f"the formula of {stated.name}")
    call = custom.in_order(stated.call(names), names)
    pointwise = "samples" not in stated.options and "reduction" not in defaults
    definition = mistakes.explained(formula, f"the formula of {stated.name}", pointwise=pointwise)
    if stated.gradient is not None:
        slopes = mistakes.explained(
            stated.gradient, f"the gradient formula of {stated.name}", pointwise=False
        )
        definition = custom.straight_through(definition, slopes, inputs)
    variants = stated.variants or ({},)
    structural = tuple(stated.options.get("structural", ()))
    if stated.outputs:
        call, definition = (
            custom.output_of(call, stated.outputs),
            custom.output_of(definition, stated.outputs, formula_of=stated.name),
        )
        variants = tuple({**v, custom.OUTPUT: output} for v in variants for output in stated.outputs)
    fields = {**stated.common(names), "structural": structural, "code": stated.code(names)}
    pointwise = "samples" not in fields
    if pointwise and "reduction" in defaults:
        # Entry by entry where it is "none"; otherwise sums over the same tuples.
        fields["samples"] = samples_of
    if "samples" in stated.options:
        fields["samples"] = custom.naming(
            stated.name, stated.options["samples"], inputs, names[len(inputs) :]
        )
    return Op(
        call=call,
        formula=definition,
        family="custom",
        inputs=inputs,
        extras=names[len(inputs) :],
        variants=variants,
        defaults=defaults,
        pointwise=pointwise,
        labelled=True,
        **fields,
    )


def _check_params(stated: _Stated, valid: Iterable[str], of: str) -> None:
    known = set(valid)
    for name in (name for variant in stated.variants or () for name in variant if name not in known):
        raise UsageError.lacking(of, "parameter", name, known)
    for name in (name for name in stated.params if name not in known):
        called, options = stated.misspelt
        raise UsageError.lacking(of, f"parameter, and {called} no option,", name, known | options)


def _callable(op: str, **given: Any) -> None:
    """Raises UsageError for what has to be called and cannot be."""
    for name, value in given.items():
        if not callable(value) and (value is not None or name == "fn"):
            raise UsageError(
                f"{name}= of {op} must be callable, but it is {type(value).__name__} {value!r:.40}"
            )


def _known(
    noun: str, given: Sequence[Any] | None, valid: Sequence[str], default: Sequence[str] | None = None
) -> tuple[str, ...]:
    if given is None:
        return tuple(valid if default is None else default)
    # torch.float32 is understood as "float32", and one name as a list of one.
    given = [given] if isinstance(given, str) or not hasattr(given, "__iter__") else given
    names = tuple(str(name).removeprefix("torch.") for name in given)
    for name in names:
        if name not in valid:
            raise UsageError.unknown(noun, name, valid)
    return names


def _names(op: str, option: str, given: Any) -> tuple[str, ...]:
    """Texts, of which one may stand alone."""
    names = (given,) if isinstance(given, str) else tuple(given) if isinstance(given, Iterable) else None
    if names is None or not all(isinstance(name, str) for name in names):
        raise UsageError(f"{option}= of {op} must be a list of names, but it is {given!r:.60}")
    return names


def _constant(op: str, landmarks: Any) -> Any:
    if landmarks is None or callable(landmarks):
        return landmarks
    try:
        points = tuple(float(point) for point in landmarks)
    except (TypeError, ValueError):
        raise UsageError(
            f"landmarks= of {op} must be numbers, such as [0.0], but it is {landmarks!r:.60}"
        ) from None
    return lambda params: points


def _possible(name: str, max_ulp: float | None) -> float | None:
    if max_ulp is not None and not isinstance(max_ulp, int | float):
        raise UsageError(f"max_ulp={max_ulp!r} of {name} must be a number, such as 4")
    if max_ulp is not None and not max_ulp >= HALF_AN_ULP:
        raise UsageError(
            f"max_ulp={max_ulp:g} of {name} is impossible to pass: even a correctly rounded result is off by "
            "up to half an ULP; use 0.5 or more"
        )
    return max_ulp


def _positive(name: str, factor: float) -> float:
    if not isinstance(factor, int | float):
        raise UsageError(f"against_factor={factor!r} of {name} must be a number, such as 2")
    if not factor > 0:
        raise UsageError(f"against_factor={factor:g} of {name} must be positive, such as 2")
    return float(factor)


def _given(**options: Any) -> dict[str, Any]:
    """The options that somebody set."""
    return {name: value for name, value in options.items() if value is not None}
