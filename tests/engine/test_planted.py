"""Every planted defect must be found, and a correctly rounded op must have no finding."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from tests.engine.toys import DTYPES, PRECISION, bend, run, serious, slope, toy

Backward = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_correctly_rounded_op_is_silent(dtype: str, direction: str) -> None:
    result = run(toy(bend), dtype, direction)
    assert result.verdict == "ok"
    assert result.findings == ()
    assert result.max_ulp is not None
    assert result.max_ulp <= 0.5


def scaled(x: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
    """1 + 2^(4-p): eight to sixteen units in the last place."""
    factor = 1 + 2.0 ** (4 - PRECISION[str(x.dtype).removeprefix("torch.")])
    return (g * slope(x) * factor).to(x.dtype)


def zero_tail(x: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
    return torch.where(x > 12, torch.zeros_like(x), g * slope(x))


def nan_mask(x: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
    return torch.where(x > 12, torch.full_like(x, torch.nan), g * slope(x))


def wrong_sign(x: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
    return torch.where(x < -12, -g * slope(x), g * slope(x))


def all_zeros(x: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
    return torch.zeros_like(x)


def outside_the_set(x: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
    """0 at the kink, where the subdifferential is [1/2, 1]."""
    return torch.where(x == 0, torch.zeros_like(x), g * slope(x))


def infinite(x: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
    return torch.where(x > 12, torch.full_like(x, torch.inf), g * slope(x))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("backward", "kind"),
    [
        (scaled, "inaccurate"),
        (zero_tail, "underflow"),
        (nan_mask, "nan"),
        (wrong_sign, "sign"),
        (all_zeros, "underflow"),
        (outside_the_set, "tie"),
        (infinite, "overflow"),
    ],
)
def test_planted_gradient_is_found(backward: Backward, kind: str, dtype: str) -> None:
    result = run(toy(lambda x: bend(x, backward)), dtype, "backward")
    assert kind in {f.kind for f in serious(result)}
    stated = [f.confirmed_by for f in serious(result) if f.lo != "nan"]
    assert all(text and text.startswith("mpmath@") for text in stated)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_small_relative_error_is_found(dtype: str) -> None:
    result = run(toy(lambda x: bend(x, lambda x, g: g * slope(x) * 1.0009)), dtype, "backward")
    assert {f.kind for f in serious(result)} == {"inaccurate"}


@pytest.mark.parametrize("dtype", DTYPES)
def test_error_in_one_interval_is_located(dtype: str) -> None:
    """The gradient is wrong for 12 < x < 40 only; the finding lies inside, at its widest for exhaustive dtypes."""

    def backward(x: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
        good = g * slope(x)
        return torch.where((x > 12) & (x < 40), 2 * good, good)

    result = run(toy(lambda x: bend(x, backward)), dtype, "backward")
    (finding,) = [f for f in serious(result) if "cotangent" not in f.fixed]
    lo, hi = float.fromhex(str(finding.lo)), float.fromhex(str(finding.hi))
    assert 12 < lo <= hi < 40
    if result.exhaustive:
        assert finding.lo_exact
        assert finding.hi_exact
        assert lo < 12.1
        assert hi > 39.7


@pytest.mark.parametrize("dtype", DTYPES)
def test_wrong_values_are_found(dtype: str) -> None:
    result = run(toy(lambda x: bend(x) * 2), dtype, "forward")
    assert {"inaccurate", "overflow"} <= {f.kind for f in serious(result)}


@pytest.mark.parametrize("dtype", DTYPES)
def test_nan_input_must_show(dtype: str) -> None:
    result = run(
        toy(lambda x: torch.nan_to_num(bend(x), nan=0.0, posinf=torch.inf, neginf=-torch.inf)),
        dtype,
        "forward",
    )
    assert [(f.kind, f.lo) for f in serious(result)] == [("masked", "nan")]


@pytest.mark.parametrize("dtype", DTYPES)
def test_infinite_result_must_show(dtype: str) -> None:
    result = run(toy(lambda x: bend(x).clamp(-100, 100)), dtype, "forward")
    assert {f.lo for f in serious(result) if f.kind == "masked"} == {"inf", "-inf"}


def test_result_in_another_dtype_is_one_finding_and_judged_on() -> None:
    result = run(toy(lambda x: bend(x).float()), "float16", "forward")
    assert [f.kind for f in serious(result)] == ["dtype"]


def test_wrong_shape_is_a_finding() -> None:
    result = run(toy(lambda x: bend(x)[1:]), "float32", "forward")
    assert [f.kind for f in serious(result)] == ["raises"]
    assert "shape" in result.findings[0].message


def test_exception_is_a_finding() -> None:
    def broken(x: torch.Tensor) -> torch.Tensor:
        raise ValueError("cannot")

    result = run(toy(broken), "float32", "forward")
    assert [f.kind for f in serious(result)] == ["raises"]
    assert "ValueError: cannot" in result.findings[0].message


def test_path_that_alone_is_wrong_is_named() -> None:
    """The scalar loop gives the half of the value: only the strided path shows it."""
    result = run(toy(lambda x: bend(x) if x.is_contiguous() else bend(x) * 0.5), "float32", "forward")
    assert {f.path for f in serious(result)} == {"strided"}
