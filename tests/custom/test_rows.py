"""Ops over rows as users write them: defects that only some rows or cotangents show, and what is no defect."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import gradcheck_suite
from gradcheck_suite.errors import UsageError
from gradcheck_suite.samples import Sample, labelled_rows, rows, shaped
from tests.engine.test_reproducers import check as check_reproducer

Change = Callable[[torch.Tensor], torch.Tensor]


class Softmax(torch.autograd.Function):
    """Correctly rounded but for what `change` does to the gradient, and `read` to the cotangent."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, change: Change, read: Change) -> torch.Tensor:
        y = torch.softmax(x.double(), -1)
        ctx.save_for_backward(y)
        ctx.change, ctx.read, ctx.dtype = change, read, x.dtype
        return y.to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        (y,) = ctx.saved_tensors
        g = ctx.read(grads[0]).double()
        # In pairs, so that nothing cancels.
        exact = y * ((g.unsqueeze(-1) - g.unsqueeze(-2)) * y.unsqueeze(-2)).sum(-1)
        return ctx.change(exact).to(ctx.dtype), None, None


def same(t: torch.Tensor) -> torch.Tensor:
    return t


def softmax(change: Change = same, read: Change = same) -> Callable[[torch.Tensor], torch.Tensor]:
    return lambda x: Softmax.apply(x, change, read)  # type: ignore[no-untyped-call]


def tail_lost(block: int) -> Change:
    def change(r: torch.Tensor) -> torch.Tensor:
        whole = r.shape[-1] // block * block
        return torch.cat([r[..., :whole], 0 * r[..., whole:]], -1) if whole else r

    return change


def by_storage(g: torch.Tensor) -> torch.Tensor:
    """As a kernel reads it that takes every tensor for contiguous."""
    if g.untyped_storage().nbytes() < g.numel() * g.element_size():
        return g * torch.nan
    return g.as_strided(g.shape, torch.empty(g.shape).stride(), g.storage_offset())


def rounded(g: torch.Tensor) -> torch.Tensor:
    return g.to(torch.bfloat16)


def check(fn: Callable[..., Any], formula: Callable[..., Any], samples: Any, **options: Any) -> Any:
    return gradcheck_suite.check(
        fn, **{"name": "op", "formula": formula, "samples": samples, "dtypes": ["float32"], **options}
    )


def test_an_exact_softmax_passes() -> None:
    check(softmax(), lambda m, x: m.softmax(x), rows(dim=-1)).assert_ok()


@pytest.mark.parametrize(
    "change",
    [
        lambda r: r * 1.0009 if r.shape[-1] > 1024 else r,
        lambda r: r * 1.0009 if r.shape[-1] > 4096 else r,
        tail_lost(32),
        tail_lost(1024),
    ],
    ids=["over-1024", "over-4096", "tail-of-32", "tail-of-1024"],
)
def test_what_only_long_or_uneven_rows_show_is_found(change: Change) -> None:
    assert not check(softmax(change), lambda m, x: m.softmax(x), rows(dim=-1), directions=["backward"]).ok


@pytest.mark.parametrize("read", [by_storage, rounded, lambda g: g.reshape(-1)[0].expand(g.shape)])
def test_cotangents_of_every_layout_and_with_all_digits_are_tried(read: Change) -> None:
    found = check(softmax(read=read), lambda m, x: m.softmax(x), rows(dim=-1), directions=["backward"])
    assert not found.ok


class RowSum(torch.autograd.Function):
    """The sum of each row, whose backward takes the first cotangent for all rows."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        ctx.shape = x.shape
        return x.double().sum(-1).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> torch.Tensor:
        return grads[0].reshape(-1)[0].expand(ctx.shape)


def test_several_rows_at_once_are_tried() -> None:
    found = check(RowSum.apply, lambda m, x: m.sum(x, -1), rows(dim=-1), directions=["backward"])
    assert "and two others like it" in found.explanation()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda x: x.ndim == 3, "2 times 5 like it"),
        (lambda x: x.ndim == 2 and len(x) > 4, "10 like it"),
    ],
)
def test_many_rows_and_three_axes_are_tried(wrong: Callable[[torch.Tensor], bool], said: str) -> None:
    def fn(x: torch.Tensor) -> torch.Tensor:
        return x.double().sum(-1).to(x.dtype) * (2 if wrong(x) else 1)

    found = check(fn, lambda m, x: m.sum(x, -1), rows(dim=-1), directions=["forward"])
    assert said in found.explanation()


def test_exponentials_of_the_largest_numbers_in_a_definition_are_told_apart() -> None:
    """log((e^x + e^-x) / 2) is x - log 2, in mpmath as in arb."""
    top = float(np.finfo(np.float32).max)
    level = [Sample(inputs={"x": np.array([-top, top])}, label="the largest gap")]
    formula = lambda m, x: m.log(m.mean(m.exp(x), -1))  # noqa: E731
    check(
        in_double(lambda x: torch.logsumexp(x, -1) - math.log(2)), formula, lambda *_, **__: level
    ).assert_ok()


def test_an_op_of_single_rows_is_left_alone() -> None:
    check(
        lambda x: torch.dot(x.double(), x.double()).to(x.dtype), lambda m, x: m.sum(x * x), rows(dim=-1)
    ).assert_ok()


def stable_logsumexp(x: torch.Tensor) -> torch.Tensor:
    """The largest entry's own term, exp(0) = 1, stays out of the sum, where it would swallow the others."""
    winner = x.argmax(-1, keepdim=True)
    top = x.gather(-1, winner)
    others = (x - top).exp().scatter(-1, winner, 0.0).sum(-1)
    return torch.where(top.squeeze(-1).isfinite(), top.squeeze(-1) + others.log1p(), torch.logsumexp(x, -1))


Fault = Callable[[torch.Tensor], bool]
FAULTS: dict[str, tuple[str, dict[str, Any], Callable[..., torch.Tensor], Fault]] = {
    "rows": ("softmax", {"dim": -1}, lambda x: torch.softmax(x, -1), lambda x: x.ndim > 1),
    "many rows": ("softmax", {"dim": -1}, lambda x: torch.softmax(x, -1), lambda x: x.shape[:-1].numel() > 4),
    "images": ("logsumexp", {"dim": -1}, lambda x: stable_logsumexp(x), lambda x: x.ndim == 3),
    "batch": ("normalize", {}, F.normalize, lambda x: len(x) > 1),
    "pairs": ("cosine_similarity", {}, F.cosine_similarity, lambda x: len(x) > 2),
    "classes": (
        "cross_entropy",
        {},
        lambda input, target: F.cross_entropy(input, target),
        lambda x: x.ndim == 2 and x.shape[1] > 32,
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_an_op_like_torchs_is_tried_on_more_shapes_than_torch(name: str) -> None:
    like, params, right, wrong = FAULTS[name]
    options: Any = {
        "like": like,
        "variants": [{}],
        "directions": ["forward"],
        "dtypes": ["float32"],
        **params,
    }

    def times(factor: float) -> Callable[..., torch.Tensor]:
        def fn(x: torch.Tensor, *rest: torch.Tensor, **labels: torch.Tensor) -> torch.Tensor:
            others = (t.double() if t.is_floating_point() else t for t in rest)
            y = right(x.double(), *others, **labels)
            return (y * (factor if wrong(x) else 1)).to(x.dtype)

        return fn

    gradcheck_suite.check(times(1), name="op", **options).assert_ok()
    assert "inaccurate" in {f.kind for f in gradcheck_suite.check(times(1.01), name="op", **options).failing}


def test_the_largest_of_all_rows_is_not_that_of_each() -> None:
    def by_all(x: torch.Tensor) -> torch.Tensor:
        e = torch.exp(x - x.amax())
        return e / e.sum(-1, keepdim=True)

    found = gradcheck_suite.check(by_all, name="op", like="softmax", dim=-1, dtypes=["float32"])
    assert "nan" in {f.kind for f in found.failing}


def test_an_op_like_torchs_that_takes_single_rows_is_left_alone() -> None:
    def of_a_row(x: torch.Tensor) -> torch.Tensor:
        assert x.ndim == 1
        return torch.softmax(x.double(), -1).to(x.dtype)

    options: Any = {"dtypes": ["float32"], "directions": ["forward"]}
    gradcheck_suite.check(of_a_row, name="op", like="softmax", dim=-1, **options).assert_ok()


PAIR = shaped({"a": (2, 3), "b": (2, 3)})


def recorded_only(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return (a * b).sum(-1) * (1 if torch.is_grad_enabled() and a.requires_grad else 3)


def unless_alone(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return (a * b).sum(-1) if a.requires_grad else (a * b.detach()).sum(-1) + 0 * b.sum()


@pytest.mark.parametrize(("fn", "path"), [(recorded_only, "inference"), (unless_alone, "frozen")])
def test_rows_without_autograd_and_with_one_input_that_alone_needs_a_gradient(fn: Any, path: str) -> None:
    found = check(fn, lambda m, a, b: m.sum(a * b, -1), PAIR).failing
    assert path in {f.path for f in found}
    for finding in found:
        if finding.path == path:
            check_reproducer(finding)


def test_an_input_whose_gradient_stops_is_no_fault() -> None:
    formula = lambda m, a, b: m.sum(a * m.stop(b), -1)  # noqa: E731
    check(lambda a, b: (a.double() * b.detach().double()).sum(-1).to(a.dtype), formula, PAIR).assert_ok()


def in_double(fn: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    return lambda *tensors: fn(*(t.double() for t in tensors)).to(tensors[0].dtype)


SQUARE = shaped({"x": (3, 5)})
LINEAR = shaped({"x": (2, 4), "w": (3, 4)})


@pytest.mark.parametrize(
    ("fn", "formula", "samples"),
    [
        (lambda x: torch.var(x, -1), lambda m, x: m.var(x), SQUARE),
        (lambda x: torch.std(x, -1), lambda m, x: m.std(x), SQUARE),
        (
            lambda x: F.normalize(x, dim=-1),
            lambda m, x: x / m.maximum(m.norm(x, keepdims=True), 1e-12),
            SQUARE,
        ),
        (lambda x, w: x @ w.T, lambda m, x, w: x @ w.transpose(1, 0), LINEAR),
        (
            lambda x: F.layer_norm(x, (5,)),
            lambda m, x: (
                (x - m.mean(x, -1, keepdims=True)) / m.sqrt(m.var(x, correction=0, keepdims=True) + 1e-5)
            ),
            SQUARE,
        ),
    ],
    ids=["var", "std", "normalize", "linear", "layer_norm"],
)
def test_nan_where_the_definition_itself_has_no_limit_is_no_defect(
    fn: Any, formula: Any, samples: Any
) -> None:
    check(in_double(fn), formula, samples).assert_ok()


@pytest.mark.parametrize(
    ("fn", "formula"),
    [
        (lambda x: torch.amax(x, -1), lambda m, x: m.max(x)),
        (lambda x: torch.max(x, -1).values, lambda m, x: m.max(x)),
        (lambda x: torch.kthvalue(x.nan_to_num(), 5, -1).values, lambda m, x: m.sort(x)[..., 4]),
        (lambda x: torch.topk(x, 2, -1).values, lambda m, x: m.topk(x, 2)),
    ],
    ids=["even-split", "one-of-all", "kth", "topk"],
)
def test_any_choice_at_a_tie_of_many_is_right(fn: Any, formula: Any) -> None:
    level = [np.zeros((2, 19)), np.resize([2.0, 1.0, -1.0], (2, 19))]
    samples = [Sample(inputs={"x": x}, label="ties") for x in level]
    check(fn, formula, lambda *_, **__: samples, directions=["backward"]).assert_ok()


def test_a_sum_in_sixteen_bits_that_stops_growing_is_found() -> None:
    """256 + 1 is 256 in bfloat16; of entries of many sizes the definition's own rounding allows as much."""

    def stops(x: torch.Tensor) -> torch.Tensor:
        total = torch.zeros_like(x[..., 0])
        for i in range(x.shape[-1]):
            total = total + x[..., i] ** 2
        return total / x.shape[-1]

    options: Any = {"dtypes": ["bfloat16"], "directions": ["forward"], "paths": ["vector"]}
    samples = rows(dim=-1, lengths=(3, 512))
    assert not check(stops, lambda m, x: m.mean(x * x, -1), samples, **options).ok
    upcast = in_double(stops)
    check(upcast, lambda m, x: m.mean(x * x, -1), samples, **options).assert_ok()


def nll(m: Any, logits: Any, target: Any) -> Any:
    keep = target != -100
    losses = -m.gather(m.log_softmax(logits), (target * keep)[:, None])[:, 0]
    return m.sum(m.select(keep, losses, 0))


def losses(logits: torch.Tensor, target: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    keep = target != -100
    rows = torch.log_softmax(logits.double(), -1)
    return -rows.gather(1, (target * keep)[:, None])[:, 0], keep


def left_out(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    each, keep = losses(logits, target)
    return torch.where(keep, each, 0).sum().to(logits.dtype)


def times_zero(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    each, keep = losses(logits, target)
    return (each * keep).sum().to(logits.dtype)


def counted_in_16_bits(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    each, keep = losses(logits, target)
    total = torch.zeros((), dtype=logits.dtype)
    for loss in torch.where(keep, each, 0).to(logits.dtype):
        total = total + loss
    return total


@pytest.mark.parametrize(
    ("fn", "dtype", "kinds"),
    [
        (left_out, "float16", set()),
        (times_zero, "float16", {"nan"}),
        (counted_in_16_bits, "float16", {"inaccurate"}),
        (counted_in_16_bits, "bfloat16", {"inaccurate"}),
    ],
)
def test_losses_that_are_left_out_or_many(fn: Any, dtype: str, kinds: set[str]) -> None:
    # In double the smallest losses lose their digits.
    few = lambda p, f, **o: (s for s in labelled_rows()(p, f, **o) if s.probe in ("ignored", "batch"))  # noqa: E731
    options: Any = {"inputs": ["logits"], "directions": ["forward"], "dtypes": [dtype]}
    assert {f.kind for f in check(fn, nll, few, **options).failing} == kinds


def test_what_a_mask_leaves_out_at_the_end_is_not_multiplied_by_zero() -> None:
    mask = np.arange(6) < 4
    formula = lambda m, x: m.sum(m.select(mask, x * x, 0))  # noqa: E731
    samples = shaped({"x": (6,)})
    check(lambda x: x.double()[:4].square().sum().to(x.dtype), formula, samples).assert_ok()
    found = check(lambda x: (x.double().square() * torch.tensor(mask)).sum().to(x.dtype), formula, samples)
    assert "nan" in {f.kind for f in found.failing}


NAN = [
    Sample(inputs={"x": np.array([3.0, np.nan, 1.0, -2.0, 0.5])}, label="one NaN"),
    Sample(inputs={"x": np.array([3.0, 0.25, 1.0, -2.0, 0.5])}, label="none"),
]
ORDERED: dict[str, tuple[Any, Any]] = {
    "sort": (lambda x: torch.sort(x, -1).values, lambda m, x: m.sort(x)),
    "falling": (
        lambda x: torch.sort(x, -1, descending=True).values,
        lambda m, x: m.sort(x, descending=True),
    ),
    "kthvalue": (lambda x: torch.kthvalue(x, 2, -1).values, lambda m, x: m.kthvalue(x, 2)),
    "topk": (lambda x: torch.topk(x, 2, -1).values, lambda m, x: m.topk(x, 2)),
    "fmax": (lambda x: torch.fmax(x, x.flip(-1)), lambda m, x: m.fmax(x, m.flip(x))),
    "median": (lambda x: torch.median(x, -1).values, lambda m, x: m.median(x)),
    "amax": (lambda x: torch.amax(x, -1), lambda m, x: m.amax(x)),
}


@pytest.mark.parametrize("name", ORDERED)
def test_nan_goes_where_the_definition_puts_it(name: str) -> None:
    fn, formula = ORDERED[name]
    check(fn, formula, lambda *_, **__: NAN, directions=["forward"]).assert_ok()


@pytest.mark.parametrize("name", ["sort", "topk", "amax"])
def test_mpmath_alone_tells_equal_entries_apart_as_well(name: str) -> None:
    fn, formula = ORDERED[name]
    level = [Sample(inputs={"x": np.full(5, -1.0)}, label="equal entries")]
    check(fn, formula, lambda *_, **__: level, directions=["backward"], reference="mpmath").assert_ok()


@pytest.mark.parametrize("name", ["sort", "topk", "median", "amax"])
def test_a_nan_that_is_lost_is_found(name: str) -> None:
    fn, formula = ORDERED[name]
    found = check(
        lambda x: fn(torch.where(x.isnan(), -torch.inf, x)),
        formula,
        lambda *_, **__: NAN,
        directions=["forward"],
    )
    assert [f.kind for f in found.failing] == ["masked"]


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_wrong_share_at_a_tie_is_found(share: float) -> None:
    class Most(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
            ctx.save_for_backward(x == x.amax(-1, keepdim=True))
            return x.amax(-1)

        @staticmethod
        def backward(ctx: Any, *grads: torch.Tensor) -> torch.Tensor:
            (best,) = ctx.saved_tensors
            alone = best.sum(-1, keepdim=True) == 1
            return torch.where(best, torch.where(alone, 1.0, share), 0.0) * grads[0].unsqueeze(-1)

    assert not check(Most.apply, lambda m, x: m.max(x), shaped({"x": (2, 5)}), directions=["backward"]).ok


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"formula": lambda m, x: m.softmx(x)}, "did you mean 'softmax'"),
        (
            {"formula": lambda m, x: x if x > 0 else 0},
            "fails: TypeError: a condition has one entry per element",
        ),
        ({"samples": [1]}, "samples= of op must be callable"),
        ({"samples": rows}, "it is called as samples(params, fmt, budget=…, seed=…)"),
        (
            {"samples": shaped({"x": (2,), "wieght": (2,)})},
            "state 'x', 'wieght', but its definition takes 'x'",
        ),
        ({"adapter": 3}, "adapter= of op must be callable"),
        ({"max_ulp": "4"}, "must be a number"),
        ({"variants": {"dim": 1}}, "needs a list of values of 'dim'"),
        ({"formula": lambda m, x: m.sum(x), "samples": None}, "state the calls to judge with samples="),
    ],
)
def test_mistakes_are_one_sentence(options: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        check(**{"fn": softmax(), "formula": lambda m, x: m.softmax(x), "samples": rows(dim=-1), **options})
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_dropout_in_training_mode_is_a_mistake() -> None:
    with pytest.raises(UsageError, match=r"register module\.eval\(\)"):
        gradcheck_suite.check(torch.nn.Dropout(0.5), formula=lambda m, x: x)


def test_samples_may_be_lists_and_tensors_of_any_numbers() -> None:
    for values in ([0.1, 0.2], torch.tensor([0.1, 0.2]), np.array([1, 2])):
        given = [Sample(inputs={"anything": values})]
        check(softmax(), lambda m, x: m.softmax(x), lambda *_, given=given, **__: given).assert_ok()


def test_labels_reach_a_function_that_takes_further_keywords() -> None:
    found = gradcheck_suite.check(
        lambda logits, labels, **_: F.cross_entropy(logits.double(), labels).to(logits.dtype),
        like="cross_entropy",
        variants=[{}],
        directions=["forward"],
        dtypes=["float32"],
    )
    found.assert_ok()
