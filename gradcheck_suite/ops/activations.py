"""The elementwise activations of torch: one record each, its definition as torch documents it.

Sources: the documentation pages of torch.nn and torch.nn.functional, version 2.13.  Values of parameters include ones
that float32 cannot represent (0.1, 0.3), negative, tiny and huge ones where the op allows them.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from gradcheck_suite.formula.context import Context
from gradcheck_suite.formula.tape import Array
from gradcheck_suite.ops.declare import activation
from gradcheck_suite.ops.record import Params


def identity_call(x: torch.Tensor) -> torch.Tensor:
    """nn.Identity has no functional form; `+x` would copy, the module returns its input."""
    out: torch.Tensor = nn.Identity()(x)
    return out


@activation(identity_call, module=nn.Identity, callable_name="torch.nn.Identity")
def identity(m: Context, x: Array) -> Array:
    return x


@activation(
    F.threshold,
    module=nn.Threshold,
    inplace=F.threshold_,  # type: ignore[attr-defined]
    out=torch.threshold,
    twins=(torch.threshold,),
    variants=[
        {"threshold": 0.5, "value": 2.0},
        {"threshold": 0.0, "value": 0.0},
        {"threshold": -1.0, "value": -1.0},
        {"threshold": 0.1, "value": 0.3},
        {"threshold": 1e-30, "value": 1e30},
    ],
    variants_only=True,
    landmarks=lambda p: (p["threshold"],),
)
def threshold(m: Context, x: Array, *, threshold: Array, value: Array) -> Array:
    return m.where(x > threshold, x, value)


@activation(F.relu, module=nn.ReLU, inplace=F.relu_, landmarks=lambda p: (0.0,), twins=(torch.relu,))
def relu(m: Context, x: Array) -> Array:
    return m.maximum(x, 0)


@activation(
    F.relu6,
    module=nn.ReLU6,
    inplace=lambda x: F.relu6(x, inplace=True),
    landmarks=lambda p: (0.0, 6.0),
)
def relu6(m: Context, x: Array) -> Array:
    return m.clamp(x, 0, 6)


@activation(
    F.hardtanh,
    module=nn.Hardtanh,
    inplace=F.hardtanh_,
    variants=[
        {"min_val": -2.0, "max_val": 0.5},
        {"min_val": -0.1, "max_val": 0.3},
        {"min_val": 1e-30, "max_val": 1e30},
    ],
    landmarks=lambda p: (p["min_val"], p["max_val"]),
)
def hardtanh(m: Context, x: Array, *, min_val: Any = -1.0, max_val: Any = 1.0) -> Array:
    return m.clamp(x, min_val, max_val)


@activation(
    F.hardsigmoid,
    module=nn.Hardsigmoid,
    inplace=lambda x: F.hardsigmoid(x, inplace=True),
    landmarks=lambda p: (-3.0, 3.0),
    directions=("forward", "backward"),
)
def hardsigmoid(m: Context, x: Array) -> Array:
    return m.clamp(x + 3, 0, 6) / 6


@activation(
    F.hardswish,
    module=nn.Hardswish,
    inplace=lambda x: F.hardswish(x, inplace=True),
    landmarks=lambda p: (-3.0, -1.5, 3.0),
    stable_form="input * (torch.nn.functional.relu6(input + 3) / 6)",
)
def hardswish(m: Context, x: Array) -> Array:
    # The piecewise form of the documentation: x * relu6(x + 3)/6 would make 0 * inf of an infinite input.
    inner = m.where(x >= 3, x, x * (x + 3) / 6)
    return m.where(x <= -3, 0, inner)


@activation(
    F.leaky_relu,
    module=nn.LeakyReLU,
    inplace=F.leaky_relu_,
    variants=[{"negative_slope": v} for v in (0.0, 0.1, -0.5, 1.0, 2.5, 1e-30, 1e30)],
    landmarks=lambda p: (0.0,),
)
def leaky_relu(m: Context, x: Array, *, negative_slope: Any = 0.01) -> Array:
    return m.where(x >= 0, x, negative_slope * x)


@activation(
    F.rrelu,
    module=lambda **p: nn.RReLU(**p).eval(),
    covers=("torch.nn.RReLU",),
    inplace=F.rrelu_,
    variants=[{"lower": 0.0, "upper": 0.0}, {"lower": 0.25, "upper": 0.25}, {"lower": -0.1, "upper": 0.3}],
    landmarks=lambda p: (0.0,),
    twins=(torch.rrelu,),
)
def rrelu(m: Context, x: Array, *, lower: Any = 1.0 / 8, upper: Any = 1.0 / 3) -> Array:
    return m.where(x >= 0, x, x * (lower + upper) / 2)


@activation(
    F.elu,
    module=nn.ELU,
    inplace=F.elu_,
    variants=[{"alpha": v} for v in (0.1, 0.5, 2.0, 0.0, -1.0, 1e-30, 1e30)],
    landmarks=lambda p: (0.0,),
)
def elu(m: Context, x: Array, *, alpha: Any = 1.0) -> Array:
    return m.where(x > 0, x, alpha * m.expm1(x))


@activation(F.selu, module=nn.SELU, inplace=F.selu_, landmarks=lambda p: (0.0,), twins=(torch.selu,))
def selu(m: Context, x: Array) -> Array:
    # The decimal constants are the documented definition; torch rounds them to the dtype.
    scale = m.decimal("1.0507009873554804934193349852946")
    alpha = m.decimal("1.6732632423543772848170429916717")
    return scale * m.where(x > 0, x, alpha * m.expm1(x))


@activation(
    F.celu,
    module=nn.CELU,
    inplace=F.celu_,
    variants=[{"alpha": v} for v in (0.1, 0.5, 2.0, -2.0, 1e-30, 1e30)],
    landmarks=lambda p: (0.0,),
    twins=(torch.celu,),
)
def celu(m: Context, x: Array, *, alpha: Any = 1.0) -> Array:
    return m.maximum(0, x) + m.minimum(0, alpha * m.expm1(x / alpha))


@activation(
    F.gelu,
    module=nn.GELU,
    out=F.gelu,
    variants=[{"approximate": "tanh"}],
    stable_form="input * (torch.special.erfc(-input * 0.5**0.5) / 2)",
)
def gelu(m: Context, x: Array, *, approximate: str = "none") -> Array:
    if approximate == "tanh":
        inner = m.sqrt(2 / m.pi) * (x + m.decimal("0.044715") * x**3)
        # (1 + tanh u)/2 = sigmoid(2u), without the cancellation for negative u.
        return x * m.sigmoid(2 * inner)
    return x * m.ndtr(x)


@activation(
    F.silu,
    module=nn.SiLU,
    inplace=lambda x: F.silu(x, inplace=True),
    stable_form="input * torch.nn.functional.logsigmoid(input).exp()",
)
def silu(m: Context, x: Array) -> Array:
    return x * m.sigmoid(x)


@activation(
    F.mish,
    module=nn.Mish,
    inplace=lambda x: F.mish(x, inplace=True),
    stable_form="input * torch.tanh(torch.nn.functional.softplus(input))",
)
def mish(m: Context, x: Array) -> Array:
    return x * m.tanh(m.softplus(x))


@activation(
    torch.sigmoid,
    module=nn.Sigmoid,
    inplace=torch.sigmoid_,
    out=torch.sigmoid,
    twins=(torch.special.expit, F.sigmoid),
    stable_form=(
        "# 1 - sigmoid(input) is torch.sigmoid(-input); with all of its gradient, sigmoid itself is\n"
        "z = torch.exp(torch.where(input >= 0, -input, input))\n"
        "torch.where(input >= 0, 1, z) / (1 + z)"
    ),
)
def sigmoid(m: Context, x: Array) -> Array:
    return m.sigmoid(x)


@activation(F.logsigmoid, module=nn.LogSigmoid, out=F.logsigmoid)
def logsigmoid(m: Context, x: Array) -> Array:
    return m.logsigmoid(x)


@activation(
    torch.tanh,
    module=nn.Tanh,
    inplace=torch.tanh_,
    out=torch.tanh,
    twins=(F.tanh,),
    stable_form=(
        "z = torch.exp(torch.where(input >= 0, -2 * input, 2 * input))\n"
        "tail = torch.where(input >= 0, 1 - z, z - 1) / (1 + z)\n"
        "torch.where(input.abs() < 0.5, torch.tanh(input), tail)"
    ),
)
def tanh(m: Context, x: Array) -> Array:
    return m.tanh(x)


def _above_threshold(p: Params, values: dict[str, Any]) -> Any:
    return values["input"] * p["beta"] > p["threshold"]


@activation(
    F.softplus,
    module=nn.Softplus,
    out=F.softplus,
    variants=[
        {"beta": 10.0},
        {"beta": 0.1},
        {"beta": 2.0, "threshold": 1.0},
        {"beta": -1.0},
        {"beta": 1e-3, "threshold": 1e4},
        {"beta": 1e6},
    ],
    landmarks=lambda p: (0.0, p["threshold"] / p["beta"]),
    documented=_above_threshold,
    documented_form=lambda m, x, *, beta=1.0, threshold=20.0: x,
    documented_reason="softplus is documented to turn linear where input * beta > threshold",
    stable_form="-torch.nn.functional.logsigmoid(-beta * input) / beta",
)
def softplus(m: Context, x: Array, *, beta: Any = 1.0, threshold: Any = 20.0) -> Array:
    return m.softplus(beta * x) / beta  # type: ignore[no-any-return]


@activation(
    F.softsign,
    module=nn.Softsign,
    landmarks=lambda p: (0.0,),
    stable_form=("d = 1 + input.abs()\ntorch.where(d < 2, input / d, input.sign() * (1 - 1 / d))"),
)
def softsign(m: Context, x: Array) -> Array:
    return x / (1 + m.abs(x))


@activation(
    F.tanhshrink,
    module=nn.Tanhshrink,
    # Lambert's continued fraction of tanh, from whose first term x is subtracted by hand: nothing cancels.
    stable_form=(
        "q, t = input.clamp(-1, 1) ** 2, 0\n"
        "for k in range(19, 1, -2):\n"
        "    t = q / (k + t)\n"
        "torch.where(input.abs() < 1, input * (t / (1 + t)), input - torch.tanh(input))"
    ),
)
def tanhshrink(m: Context, x: Array) -> Array:
    return x - m.tanh(x)


@activation(
    F.softshrink,
    module=nn.Softshrink,
    out=F.softshrink,
    variants=[{"lambd": v} for v in (0.0, 0.1, 1.5, 1e-30, 1e30)],
    landmarks=lambda p: (-p["lambd"], p["lambd"]),
)
def softshrink(m: Context, x: Array, *, lambd: Any = 0.5) -> Array:
    return m.where(x > lambd, x - lambd, m.where(x < -lambd, x + lambd, 0))


@activation(
    F.hardshrink,
    module=nn.Hardshrink,
    out=torch.hardshrink,
    variants=[{"lambd": v} for v in (0.0, 0.1, 1.5, -1.0, 1e-30, 1e30)],
    landmarks=lambda p: (-p["lambd"], p["lambd"]),
    twins=(torch.hardshrink,),
)
def hardshrink(m: Context, x: Array, *, lambd: Any = 0.5) -> Array:
    return m.where((x > lambd) | (x < -lambd), x, 0)
