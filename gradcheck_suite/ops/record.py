"""What the harness knows of an op: one record, written once, from which cases, inputs and references follow."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gradcheck_suite.floats import FORMATS
from gradcheck_suite.results import variant_label

Params = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where an op was registered: a file and a line, for annotations and reports."""

    file: str
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One call of an op that is not pointwise: values of the dtype in float64 arrays of any shape.

    `inputs` are the differentiable tensors by name, in the op's order.  `extra` holds the other arguments:
    integer and boolean arrays go to torch as such, float arrays as tensors of the dtype and to the formula as
    exact arrays.  `label` says what is hard about it ("two entries tie at the maximum, length 17"); `probe`
    and `at` place it on a curve through the input space ("gap between the top two logits", 12.5).  `curve`
    gives the sample at another place of that curve, a number of the dtype, so that the ends of a failure can
    be searched, with `curve_budget` or a larger budget.  `order` is the highest derivative that is judged on
    it, 0 for the value alone.  A `tentative` sample is left out where the op, or its definition, does not take
    the shape.
    """

    inputs: dict[str, Any]
    extra: dict[str, Any] = field(default_factory=dict)
    label: str = ""
    probe: str = "sample"
    at: float | None = None
    curve: Callable[[float], Sample] | None = field(default=None, repr=False, compare=False)
    curve_budget: str = "default"
    order: int = 2
    tentative: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Op:
    """One op: the callable under test, its exact definition, and where it is hard.

    `call(*inputs, **params)` is the torch callable.  `formula(m, *inputs, **params)` is its definition in
    exact real arithmetic; parameters that are floats reach it as exact arrays, everything else as it is.
    `inputs` names the differentiable tensors in order; `extras` further tensors, which both take by keyword.
    `optional` maps the tensors that only some variants take, by setting the parameter of that name to
    "tensor", to whether they are differentiable.

    `landmarks(params)` lists the inputs where something happens: kinks, jumps, thresholds, saturation points.
    With several inputs these belong to the first one; `partners(params)` lists such values of the others by
    name, and `offsets(params)` the distances between the first two where something happens.
    Extras of a `labelled` op take no other values than these, where there are any.
    `documented(params, values)` marks inputs (float64 arrays by name) where the documentation states a
    deviation from the definition, and `documented_form` is what it says is computed there, a formula like the
    definition; without it anything is.  `domain(params, values)` marks the inputs for which the op is defined at
    all. `module(**params)`, `inplace(x, **params)` and `out(x, out=..., **params)` are further ways of
    calling it. `pointwise` ops map entries to entries; the others state `samples(params, fmt, budget=...,
    seed=...)`, the calls to judge.  `twins` are callables that must agree with `call`, and `covers` further
    public names, such as a module's, that the record stands for.  `code(texts)` writes the lines of a
    reproducer that compute y, from the source texts of all arguments by name, where `callable_name` alone
    does not.  `against` is one that `call` may be `against_factor` times worse than, and `devices` the only
    kinds of device that it runs on (all, where there is none).
    `stable_form` is Python that computes what the first variant does, but more accurately, from the inputs
    and parameters by name; its last line is the result. With
    `any_dtype` nobody stated the dtypes: one that the op refuses is no defect.
    """

    name: str
    call: Callable[..., Any]
    formula: Callable[..., Any]
    callable_name: str
    family: str
    tier: str = "core"
    inputs: tuple[str, ...] = ("input",)
    extras: tuple[str, ...] = ()
    optional: Mapping[str, bool] = field(default_factory=dict)
    variants: tuple[Params, ...] = ({},)
    defaults: Params = field(default_factory=dict)
    landmarks: Callable[[Params], Sequence[float]] = lambda params: ()
    partners: Callable[[Params], Mapping[str, Sequence[float]]] = lambda params: {}
    labelled: bool = False
    offsets: Callable[[Params], Sequence[float]] = lambda params: ()
    documented: Callable[[Params, Mapping[str, Any]], Any] | None = None
    documented_form: Callable[..., Any] | None = None
    documented_reason: str = ""
    domain: Callable[[Params, Mapping[str, Any]], Any] | None = None
    module: Callable[..., Any] | None = None
    inplace: Callable[..., Any] | None = None
    out: Callable[..., Any] | None = None
    twins: tuple[Callable[..., Any], ...] = ()
    covers: tuple[str, ...] = ()
    code: Callable[[Mapping[str, str]], str] | None = None
    dtypes: tuple[str, ...] = tuple(FORMATS)
    any_dtype: bool = False
    directions: tuple[str, ...] = ("forward", "backward", "double-backward")
    structural: tuple[str, ...] = ()
    stable_form: str | None = None
    max_ulp: float | None = None
    against: Callable[..., Any] | None = None
    against_factor: float = 2.0
    devices: tuple[str, ...] = ()
    custom: bool = False
    source: Source | None = None
    pointwise: bool = True
    samples: Callable[..., Iterable[Sample]] | None = None

    @property
    def definition(self) -> str:
        """The source text of the formula, as a report shows it."""
        try:
            return inspect.getsource(self.formula)
        except (OSError, TypeError):
            return ""

    def arguments(self, variant: Params) -> dict[str, Any]:
        """The keyword arguments of a variant that are no tensors, as the callable takes them."""
        tensors = (*self.optional, *self.inputs, *self.extras)
        return {k: v for k, v in variant.items() if k not in tensors}

    def params(self, variant: Params) -> dict[str, Any]:
        """The same with the defaults, as the formula takes them."""
        return self.arguments({**self.defaults, **variant})

    def reals(self, variant: Params) -> dict[str, float]:
        """The parameters that are real numbers: exact for the reference, moved by the conditioning ruler."""
        chosen = self.params(variant)
        return {k: v for k, v in chosen.items() if isinstance(v, float) and k not in self.structural}

    def label(self, variant: Params) -> str:
        """The op with its variant as ids write it: "softplus[beta=10]"."""
        return self.name + variant_label({k: _plain(v) for k, v in variant.items()})


def _plain(value: Any) -> Any:
    """10.0 reads as 10 in an id."""
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 1e6 else value


def source_of(function: Callable[..., Any]) -> Source | None:
    """The file and line of a function, where Python knows them."""
    code = getattr(function, "__code__", None)
    return Source(file=code.co_filename, line=code.co_firstlineno) if code else None
