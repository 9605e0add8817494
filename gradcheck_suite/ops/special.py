"""Elementwise special functions of torch that losses and distributions are built from (tier "extended").

Sources: the documentation pages of torch and torch.special, version 2.13.  The references are free of
cancellation where that costs nothing; where it does, the precision is raised until it does not matter.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import torch

from gradcheck_suite.formula.context import Context
from gradcheck_suite.formula.tape import Array
from gradcheck_suite.ops.declare import elementwise
from gradcheck_suite.ops.record import Params

_WIDE: Final = ("float64", "float32")
"""The dtypes of functions that torch has no 16-bit kernels for."""


def _special(call: Callable[..., Any], **options: Any) -> Callable[[Any], Any]:
    return elementwise(call, family="special", tier="extended", **options)


def _between(lo: float, hi: float) -> Callable[[Params, Any], Any]:
    """Inputs outside [lo, hi] are outside the domain; NaN stands for any number."""
    return lambda params, values: ~((values["input"] < lo) | (values["input"] > hi))


# --- exponentials and logarithms


@_special(torch.exp2, inplace=torch.exp2_, out=torch.exp2, twins=(torch.special.exp2,))
def exp2(m: Context, input: Array) -> Array:
    return m.exp2(input)


@_special(
    torch.expm1,
    inplace=torch.expm1_,
    out=torch.expm1,
    twins=(torch.special.expm1,),
    stable_form="torch.where(input < -1, torch.exp(input.clamp_max(-1)) - 1, torch.expm1(input))",
)
def expm1(m: Context, input: Array) -> Array:
    return m.expm1(input)


@_special(
    torch.log1p,
    inplace=torch.log1p_,
    out=torch.log1p,
    twins=(torch.special.log1p,),
    landmarks=lambda p: (-1.0,),
    domain=_between(-1.0, np.inf),
)
def log1p(m: Context, input: Array) -> Array:
    return m.log1p(input)


@_special(
    torch.logit,
    inplace=torch.logit_,
    out=torch.logit,
    twins=(torch.special.logit,),
    variants=[{"eps": v} for v in (0.1, 1e-6, 0.25, 0.0)],
    landmarks=lambda p: (0.5, 0.0, 1.0, *((p["eps"], 1 - p["eps"]) if p["eps"] is not None else ())),
    domain=lambda p, v: (
        _between(0.0, 1.0)(p, v) if p["eps"] is None else np.ones(len(v["input"]), dtype=bool)
    ),
)
def logit(m: Context, input: Array, *, eps: Any = None) -> Array:
    z = input if eps is None else m.clamp(input, eps, 1 - eps)
    return m.log(z) - m.log1p(-z)


@_special(
    torch.special.entr,
    out=torch.special.entr,
    landmarks=lambda p: (0.0, 1.0, 0.36787944117144233),
    domain=_between(0.0, np.inf),
)
def entr(m: Context, input: Array) -> Array:
    return -m.xlogy(input, input)


def _above(lo: float) -> Callable[[Params, Any], Any]:
    return lambda params, values: ~(values["other"] < lo)


@_special(
    torch.xlogy,
    inputs=("input", "other"),
    inplace=lambda x, other: x.xlogy_(other),
    out=torch.xlogy,
    twins=(torch.special.xlogy,),
    partners=lambda p: {"other": (1.0, 0.0, 2.5, 1e-30, 1e30, np.inf)},
    domain=_above(0.0),
)
def xlogy(m: Context, input: Array, other: Array) -> Array:
    return m.xlogy(input, other)


@_special(
    torch.special.xlog1py,
    inputs=("input", "other"),
    out=torch.special.xlog1py,
    partners=lambda p: {"other": (0.0, -1.0, 1e-10, -0.9999999, 2.5, np.inf)},
    domain=_above(-1.0),
)
def xlog1py(m: Context, input: Array, other: Array) -> Array:
    return m.xlog1py(input, other)


@_special(torch.logaddexp, inputs=("input", "other"), out=torch.logaddexp, offsets=lambda p: (0.0, 1.0, 40.0))
def logaddexp(m: Context, input: Array, other: Array) -> Array:
    return m.logsumexp(m.stack([input, other]), axis=0)


@_special(
    torch.logaddexp2, inputs=("input", "other"), out=torch.logaddexp2, offsets=lambda p: (0.0, 1.0, 60.0)
)
def logaddexp2(m: Context, input: Array, other: Array) -> Array:
    two = m.log(2)
    return m.logsumexp(m.stack([input * two, other * two]), axis=0) / two


# --- the error function and the normal distribution


@_special(torch.erf, inplace=torch.erf_, out=torch.erf, twins=(torch.special.erf,))
def erf(m: Context, input: Array) -> Array:
    return m.erf(input)


@_special(torch.erfc, inplace=torch.erfc_, out=torch.erfc, twins=(torch.special.erfc,))
def erfc(m: Context, input: Array) -> Array:
    return m.erfc(input)


@_special(torch.special.erfcx, out=torch.special.erfcx, dtypes=_WIDE)
def erfcx(m: Context, input: Array) -> Array:
    return m.erfcx(input)


@_special(
    torch.erfinv,
    inplace=lambda x: x.erfinv_(),
    out=torch.erfinv,
    twins=(torch.special.erfinv,),
    landmarks=lambda p: (-1.0, 1.0),
    domain=_between(-1.0, 1.0),
)
def erfinv(m: Context, input: Array) -> Array:
    return m.erfinv(input)


@_special(torch.special.ndtr, out=torch.special.ndtr, stable_form="torch.special.erfc(-input * 0.5**0.5) / 2")
def ndtr(m: Context, input: Array) -> Array:
    return m.ndtr(input)


@_special(torch.special.log_ndtr, out=torch.special.log_ndtr, dtypes=_WIDE)
def log_ndtr(m: Context, input: Array) -> Array:
    return m.log_ndtr(input)


@_special(
    torch.special.ndtri,
    out=torch.special.ndtri,
    dtypes=_WIDE,
    landmarks=lambda p: (0.5, 0.0, 1.0, 0.1353352832366127),
    domain=_between(0.0, 1.0),
)
def ndtri(m: Context, input: Array) -> Array:
    return m.ndtri(input)


# --- others


@_special(
    torch.sinc,
    inplace=torch.sinc_,
    out=torch.sinc,
    twins=(torch.special.sinc,),
    landmarks=lambda p: (0.5, 1.0, 2.0, -1.0),
)
def sinc(m: Context, input: Array) -> Array:
    return m.sinc(input)


def _bounds(params: Params) -> Sequence[float]:
    return [b for b in (params["min"], params["max"]) if b is not None]


@_special(
    torch.clamp,
    inplace=torch.clamp_,
    out=torch.clamp,
    twins=(torch.clip,),
    variants=[
        {"min": -1.0, "max": 1.0},
        {"min": 0.0},
        {"max": 0.3},
        {"min": -0.1, "max": 1e30},
        {"min": 1.0, "max": -1.0},
        {"min": 1e-30, "max": 1e-30},
    ],
    variants_only=True,
    landmarks=_bounds,
)
def clamp(m: Context, input: Array, *, min: Any = None, max: Any = None) -> Array:
    above = input if min is None else m.maximum(input, min)
    return above if max is None else m.minimum(above, max)
