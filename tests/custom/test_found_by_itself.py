"""Mistakes of kernels that nobody pointed the harness at, and correct ops of ordinary quality beside them."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch

from gradcheck_suite import check
from gradcheck_suite.results import Finding
from tests.custom.ops import half, half_formula, half_slope
from tests.engine.test_reproducers import check as check_reproducer

Tensor = torch.Tensor


def accused(fn: Callable[..., Any], formula: Callable[..., Any], **options: Any) -> list[Finding]:
    """Findings above info, in float32 unless stated."""
    found = check(fn, name="mine", formula=formula, **{"dtypes": ["float32"], **options})
    assert all(r.verdict != "inconclusive" for r in found.results)
    return [f for r in found.results for f in r.findings if f.severity != "info"]


def with_last(value: Tensor, wrong: bool) -> Tensor:
    """The same but for the last entry, where `wrong`."""
    out = value.clone()
    if wrong:
        out.reshape(-1)[-1] = 7.0
    return out


BACKWARDS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "tail": lambda x, g: with_last(half_slope(x, g), x.numel() % 2 == 1 and x.numel() > 1),
    "long": lambda x, g: with_last(half_slope(x, g), x.numel() > 2**16),
    "matrix": lambda x, g: half_slope(x, g) * (0.9 if x.ndim == 2 else 1),
    "scalar": lambda x, g: half_slope(x, g) * (0.9 if x.ndim == 0 else 1),
    "channels_last": lambda x, g: half_slope(x, g) * (0.9 if x.ndim == 4 and not x.is_contiguous() else 1),
    "expanded": lambda x, g: half_slope(x, g) * (1 if g.is_contiguous() else 0.9),
    "mixed": lambda x, g: half_slope(x, g.reshape(-1)[0].expand_as(g)),
    "offset": lambda x, g: half_slope(x, g) * (0.9 if x.storage_offset() else 1),
    "batch": lambda x, g: half_slope(x, g) * (0.9 if x.ndim == 3 else 1),
    "transposed": lambda x, g: half_slope(x, g) * (0.9 if x.ndim == 2 and not x.is_contiguous() else 1),
}


wrong = half
"""What a test's reproducers call."""


@pytest.mark.parametrize("path", BACKWARDS)
def test_a_backward_that_is_wrong_on_one_path_names_it(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fn(x: Tensor) -> Tensor:
        return half(x, BACKWARDS[path])

    fn.__qualname__ = "wrong"
    monkeypatch.setattr(sys.modules[__name__], "wrong", fn)
    found = accused(fn, half_formula, directions=["backward"])
    assert path in {f.path for f in found}
    check_reproducer(next(f for f in found if f.path == path))


def test_a_cotangent_whose_memory_is_taken_for_that_of_the_input() -> None:
    def backward(x: Tensor, g: Tensor) -> Tensor:
        dense = g.is_contiguous() and x.ndim == 2
        return half_slope(x, torch.as_strided(g, x.shape, x.stride()) if dense else g)

    found = accused(lambda x: half(x, backward), half_formula, directions=["backward"])
    assert {f.path for f in found} == {"transposed"}


kept: dict[str, Tensor] = {}


def keeping(x: Tensor) -> Tensor:
    """Its gradient is that of the input that it saw last."""
    kept["x"] = x.detach()
    return half(x, lambda x, g: half_slope(kept["x"], g))


def reusing(x: Tensor) -> Tensor:
    """Its result lies where the next will lie."""
    y = half(x.detach())
    place = kept.setdefault(f"{x.dtype} {tuple(x.shape)}", torch.empty_like(y)).copy_(y)

    class Placed(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            ctx.save_for_backward(x)
            return place.view_as(place)

        @staticmethod
        def backward(ctx: Any, *grads: Tensor) -> Tensor:
            return half_slope(ctx.saved_tensors[0], grads[0])

    out: Tensor = Placed.apply(x)  # type: ignore[no-untyped-call]
    return out


@pytest.mark.parametrize(("fn", "direction"), [(keeping, "backward"), (reusing, "forward")])
def test_an_op_that_keeps_tensors_between_calls(fn: Callable[..., Any], direction: str) -> None:
    found = accused(fn, half_formula, directions=[direction])
    assert {f.path for f in found} == {"twice"}
    check_reproducer(found[0])


def test_a_way_back_that_can_be_gone_once() -> None:
    def fn(x: Tensor) -> Tensor:
        times = iter([1.0, 0.5])
        return half(x, lambda x, g: half_slope(x, g) * next(times))

    found = accused(fn, half_formula, directions=["backward"])
    assert {f.path for f in found} == {"twice"}


def test_an_op_of_vectors_need_not_take_images() -> None:
    def fn(x: Tensor) -> Tensor:
        if x.ndim > 1:
            raise ValueError("a vector is needed")
        return half(x)

    assert not accused(fn, half_formula)


def test_a_forward_that_is_wrong_without_autograd() -> None:
    found = accused(lambda x: half(x) if x.requires_grad else half(x) * 0.9, half_formula)
    assert {f.path for f in found} == {"inference"}


def test_an_input_that_alone_needs_a_gradient() -> None:
    def fn(a: Tensor, b: Tensor) -> Tensor:
        return a * b if a.requires_grad else a * b * 1.0 + (b - b.detach())

    found = accused(fn, lambda m, a, b: a * b, directions=["backward"])
    assert found
    assert {f.path for f in found} == {"frozen"}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_cotangent_that_loses_its_last_bits(dtype: str) -> None:
    found = accused(
        lambda x: half(x, lambda x, g: half_slope(x, g.bfloat16().to(g.dtype))), half_formula, dtypes=[dtype]
    )
    assert "inaccurate" in {f.kind for f in found}


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
def test_a_cotangent_that_is_taken_for_zero(dtype: str) -> None:
    found = accused(
        lambda x: half(x, lambda x, g: half_slope(x, torch.where(g.abs() < 1e-8, g * 0, g))),
        half_formula,
        dtypes=[dtype],
    )
    assert "underflow" in {f.kind for f in found}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_last_elements_of_a_long_vector(dtype: str) -> None:
    def forward(x: Tensor) -> Tensor:
        y = half(x).reshape(-1).clone()
        y[len(y) // 1024 * 1024 :] = 0
        return y.reshape(x.shape) if x.numel() > 1024 else half(x)

    found = accused(forward, half_formula, dtypes=[dtype], directions=["forward"])
    assert "long" in {f.path for f in found}


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
def test_an_infinity_that_becomes_the_largest_number(dtype: str) -> None:
    largest = torch.finfo(getattr(torch, dtype)).max
    found = accused(
        lambda x: half(x).clamp(-largest, largest), half_formula, dtypes=[dtype], directions=["forward"]
    )
    assert {(f.kind, f.lo) for f in found} == {("masked", "inf"), ("masked", "-inf")}


def test_a_value_far_beyond_the_format_that_is_cut_off() -> None:
    largest = torch.finfo(torch.float32).max
    found = accused(
        lambda x: torch.exp(x.double()).clamp(max=largest).float(),
        lambda m, x: m.exp(x),
        directions=["forward"],
    )
    (finding,) = found
    assert finding.kind == "masked"
    assert finding.lo_exact
    assert 88.7 < float.fromhex(str(finding.lo)) < 89.5


def test_a_kink_that_nobody_stated() -> None:
    """The subdifferential at 20.5 is [1, 2]; between 20.5 and its neighbours lies no other sample."""

    def backward(x: Tensor, g: Tensor) -> Tensor:
        return torch.where(x == 20.5, 5 * g, torch.where(x > 20.5, g, 2 * g))

    class Bent(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            ctx.save_for_backward(x)
            return torch.where(x > 20.5, x, 2 * x - 20.5)

        @staticmethod
        def backward(ctx: Any, *grads: Tensor) -> Tensor:
            return backward(ctx.saved_tensors[0], grads[0])

    found = accused(Bent.apply, lambda m, x: m.where(x > 20.5, x, 2 * x - 20.5))
    assert [(f.kind, float.fromhex(str(f.lo))) for f in found if "cotangent" not in f.fixed] == [
        ("tie", 20.5)
    ]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("ends", [(2.711, 2.712), (-0.31, -0.3), (101.0, 102.0), (-0.70714, -0.7071)])
def test_a_narrow_interval_on_which_the_gradient_is_wrong(ends: tuple[float, float], dtype: str) -> None:
    def backward(x: Tensor, g: Tensor) -> Tensor:
        good = half_slope(x, g)
        return torch.where((x > ends[0]) & (x < ends[1]), 0.9 * good, good)

    found = accused(lambda x: half(x, backward), half_formula, dtypes=[dtype], directions=["backward"])
    spans = [(float.fromhex(str(f.lo)), float.fromhex(str(f.hi))) for f in found]
    assert spans
    assert all(ends[0] < lo <= hi < ends[1] for lo, hi in spans)


@pytest.mark.parametrize(("start", "floats"), [(2.703, 300), (0.3712, 1000), (-5.21, 2000), (17.3, 20000)])
def test_a_few_hundred_floats_at_which_the_gradient_is_wrong_by_a_few_units(
    start: float, floats: int
) -> None:
    first = torch.tensor(start).view(torch.int32)

    def backward(x: Tensor, g: Tensor) -> Tensor:
        place = x.contiguous().view(torch.int32).reshape(x.shape) - first
        good = half_slope(x, g)
        return torch.where((place >= 0) & (place < floats), good * (1 + 2.0**-20), good)

    found = accused(lambda x: half(x, backward), half_formula, directions=["backward"])
    assert {f.kind for f in found} == {"inaccurate"}


@pytest.mark.parametrize("x", [0.1, 3.7, 42.0])
def test_a_number_that_people_write_at_which_the_gradient_is_wrong(x: float) -> None:
    def backward(inputs: Tensor, g: Tensor) -> Tensor:
        good = half_slope(inputs, g)
        return torch.where(inputs == torch.tensor(x), 2 * good, good)

    found = accused(lambda x: half(x, backward), half_formula, directions=["backward"])
    assert torch.tensor(x).item() in {float.fromhex(str(f.lo)) for f in found}


def test_an_op_that_is_too_slow_for_very_many_floats_is_asked_no_more_of_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gradcheck_suite.engine.exploring._PATIENCE", 0.0)
    asked: list[int] = []

    def fn(x: Tensor) -> Tensor:
        asked.append(x.numel())
        return half(x)

    assert accused(fn, half_formula, directions=["forward"]) == []
    assert sum(size == 2**18 for size in asked) == 1


@pytest.mark.parametrize("ends", [(5.0, 5.1), (0.0717, 0.0718), (-13.021, -13.008)])
def test_a_narrow_interval_of_another_input(ends: tuple[float, float]) -> None:
    class Product(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, a: Tensor, b: Tensor) -> Tensor:
            ctx.save_for_backward(a, b)
            return a * b

        @staticmethod
        def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor]:
            a, b = ctx.saved_tensors
            return torch.where((b > ends[0]) & (b < ends[1]), 1.1 * b, b) * grads[0], a * grads[0]

    found = accused(Product.apply, lambda m, a, b: a * b, directions=["backward"])
    assert {f.probe for f in found} == {"b"}


def test_an_input_without_a_gradient_of_its_own() -> None:
    assert accused(lambda a, b: a * b.detach(), lambda m, a, b: a * m.stop(b)) == []


# --- correct ops of ordinary quality


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
@pytest.mark.parametrize(
    ("fn", "formula"),
    [
        (lambda a, b: a * b, lambda m, a, b: a * b),
        (lambda a, b: (a - b) ** 2, lambda m, a, b: (a - b) ** 2),
        (lambda a, b: (a - b).abs(), lambda m, a, b: m.abs(a - b)),
        (torch.maximum, lambda m, a, b: m.maximum(a, b)),
        (lambda x, c=0.1: (x - c).abs(), lambda m, x, *, c=0.1: m.abs(x - c)),
        (lambda x, c=0.1: (x - c) ** 2, lambda m, x, *, c=0.1: (x - c) ** 2),
    ],
    ids=["product", "square", "distance", "maximum", "offset", "squared offset"],
)
def test_plain_compositions_are_silent(
    fn: Callable[..., Any], formula: Callable[..., Any], dtype: str
) -> None:
    assert accused(fn, formula, dtypes=[dtype], budget="quick") == []


@pytest.mark.parametrize("frequency", [30.1, 1e-3])
def test_a_wave_of_a_rounded_argument_is_ill_conditioned(frequency: float) -> None:
    found = accused(
        lambda x, w=frequency: torch.sin(w * x),
        lambda m, x, *, w=frequency: m.sin(w * x),
        domain=lambda p, v: abs(v["x"]) < 1e30,
    )
    assert found == []


def test_a_derivative_beyond_the_format_times_zero() -> None:
    """exp(3x) has one past x = 30: inf times a cotangent of 0 is NaN, however it is computed."""
    assert accused(lambda x: torch.exp(3 * x), lambda m, x: m.exp(3 * x), directions=["backward"]) == []


def test_a_naive_formula_of_a_stable_op() -> None:
    def fn(a: Tensor, b: Tensor) -> Tensor:
        return torch.logaddexp(a.double(), b.double()).to(a.dtype)

    assert accused(fn, lambda m, a, b: m.log(m.exp(a) + m.exp(b)), directions=["forward"]) == []


def test_zero_times_infinity_is_undefined_but_an_infinity_that_dominates_is_not() -> None:
    found = accused(
        lambda a, b: torch.where(a.isinf(), a * 0, a * b), lambda m, a, b: a * b, directions=["forward"]
    )
    assert found
    assert all(math.isinf(float.fromhex(str(f.witness.inputs["a"]))) for f in found if f.witness)
    assert all(float.fromhex(str(f.witness.inputs["b"])) != 0 for f in found if f.witness)


def test_a_formula_may_return_a_plain_number() -> None:
    assert accused(lambda x: torch.full_like(x, 3.0), lambda m, x: 3.0, directions=["forward"]) == []
