"""Mistakes in registrations: one sentence that names the thing and the remedy, whatever interprets the formula."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import gradcheck_suite
from gradcheck_suite.errors import UsageError
from gradcheck_suite.samples import Sample, rows


def helper(x: Any) -> Any:
    return torch.exp(x)


def check(fn: Any = torch.tanh, dtype: str = "float32", **options: Any) -> gradcheck_suite.Check:
    return gradcheck_suite.check(
        fn, name="mine", dtypes=[dtype], directions=["forward"], budget="quick", paths=["vector"], **options
    )


FORMULAS: dict[str, tuple[Any, str]] = {
    "math": (lambda m, x: math.tanh(x), "the formula of mine calls math.tanh, .*; write m.tanh$"),
    "torch": (lambda m, x: 1 + torch.tanh(x), "calls torch.tanh, .*; write m.tanh$"),
    "functional": (lambda m, x: F.softplus(x), "calls F.softplus, .*; write m.softplus$"),
    "numpy": (lambda m, x: np.arctan(x), "calls np.arctan, .*; write m.atan$"),
    "in a helper": (lambda m, x: helper(x), "calls torch.exp, .*; write m.exp$"),
    "unknown": (lambda m, x: torch.bernoulli(x), "calls torch.bernoulli, .*; functions of formulas are those of m: "),
    "method": (lambda m, x: x.tanh(), r"asks an exact number for \.tanh; write m\.tanh\(x\)"),
    "abs": (lambda m, x: abs(x), r"abs\(x\): write m\.abs\(x\)"),
    "power": (lambda m, x: x**0.5, r"use m\.power\(x, p\)"),
    "base": (lambda m, x: 2**x, r"write m\.exp\(x \* m\.log\(2\)\), m\.exp2\(x\) or m\.power\(2, x\)"),
    "max": (lambda m, x: max(x, 0), r"use m\.where.*, m\.maximum and m\.minimum instead of max and min"),
    "if": (lambda m, x: x if x > 0 else -x, "use m.where"),
    "misspelt": (lambda m, x: m.tahn(x), "calls m.tahn, which does not exist; .*'tanh'"),
    "dim": (lambda m, x: m.sum(x, dim=-1), "unexpected keyword argument 'dim'; it is called axis"),
    "name": (lambda m, x: y * x, "NameError: name 'y' is not defined .test_mistakes.py:"),  # type: ignore[name-defined]  # noqa: F821
    "nothing": (lambda m, x: None, "the formula of mine returns None, which is no number"),
    "softmax": (lambda m, x: m.softmax(x), r"its entries depend on each other, so state .*samples\.rows\(dim=-1\)"),
    "centred": (lambda m, x: x - m.mean(x), "its entries depend on each other"),
}  # fmt: skip


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("name", FORMULAS)
def test_formulas(name: str, dtype: str) -> None:
    formula, sentence = FORMULAS[name]
    with pytest.raises(UsageError, match=sentence) as caught:
        check(formula=formula, dtype=dtype)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("option", ["forward", "double-backward"])
def test_what_works(option: str) -> None:
    two = torch.tensor(2.0)
    for fn, formula in (
        (lambda x: torch.where(x == 0, 1.0, 2 * x), lambda m, x: m.where(x == 0, 1, two * x)),
        (torch.square, lambda m, x: x**2),
        (torch.square, lambda m, x: np.float64(1.0) * x * x),
    ):
        found = gradcheck_suite.check(
            fn,
            formula=formula,
            name="mine",
            dtypes=["float32"],
            directions=[option],
            budget="quick",
            paths=["vector"],
        )
        found.assert_ok()


OPTIONS: dict[str, tuple[dict[str, Any], str]] = {
    "domain raises": ({"domain": lambda p, v: v["y"] > 0}, "domain= of mine fails: KeyError: 'y' .* is called as"),
    "domain takes one": ({"domain": lambda x: x > 0}, "domain= of mine fails: TypeError"),
    "domain of nothing": ({"domain": lambda p, v: None}, "domain= of mine returns NoneType .* as booleans"),
    "domain of numbers": ({"domain": lambda p, v: v["x"]}, "domain= of mine returns ndarray of dtype float64"),
    "domain of another shape": ({"domain": lambda p, v: np.array([True, False])}, r"shape \(2,\) for points of shape"),
    "documented": ({"documented": lambda p, v: 1 / 0}, "documented= of mine fails: ZeroDivisionError"),
    "landmarks": ({"landmarks": 3}, r"landmarks= of mine must be numbers, such as \[0\.0\], but it is 3"),
    "landmarks of a function": ({"landmarks": lambda p: 3}, "landmarks= of mine returns 3; it is called as"),
    "samples fail": ({"samples": lambda p, f, **_: 1 / 0}, "samples= of mine fails: ZeroDivisionError"),
    "samples fail later": ({"samples": lambda p, f, **_: (1 / 0 for _ in "a")}, "samples= of mine fails: Zero"),
    "samples of nothing": ({"samples": lambda p, f, **_: None}, "samples= of mine fails: TypeError"),
    "samples not called": ({"samples": rows}, "samples= of mine fails: TypeError"),
    "samples of text": ({"samples": lambda p, f, **_: [Sample(inputs={"x": "a"})]}, "samples= of mine holds no"),
    "variants": ({"variants": 3}, "variants=3 must be a mapping"),
    "a variant": ({"variants": [3]}, "variants= holds 3, which is no mapping"),
    "inputs": ({"inputs": 3}, "inputs= of mine must be a list of names, but it is 3"),
    "outputs": ({"outputs": ["a", "b"]}, "2 outputs are registered, but the formula of mine returns one Array"),
    "factor": ({"against": torch.tanh, "against_factor": "a"}, "against_factor='a' of mine must be a number"),
    "gradient": ({"gradient": lambda m, x: 1 / 0}, "the gradient formula of mine fails: ZeroDivisionError"),
}  # fmt: skip


@pytest.mark.parametrize("name", OPTIONS)
def test_options(name: str) -> None:
    options, sentence = OPTIONS[name]
    with pytest.raises(UsageError, match=sentence):
        check(formula=lambda m, x: m.tanh(x), **options)


def test_partners() -> None:
    for partners, sentence in (
        (lambda p: [1], "partners= of mine returns"),
        (lambda p: {"z": [1]}, "'z'; valid are: x, y"),
    ):
        with pytest.raises(UsageError, match=sentence):
            check(torch.hypot, formula=lambda m, x, y: m.hypot(x, y), partners=partners)


def test_what_cannot_be_a_definition() -> None:
    with pytest.raises(UsageError, match=r"torch\.tanh cannot be a formula"):
        check(formula=torch.tanh)
    with pytest.raises(UsageError, match="like= of mine is the name of an op, such as 'gelu'"):
        check(like=torch.tanh)


def test_one_name_may_stand_alone() -> None:
    check(formula=lambda m, first: m.tanh(first), inputs="first").assert_ok()
