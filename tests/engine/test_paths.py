"""Ways of calling an op: each is compared with the vector path, and a finding names both."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
import torch

from gradcheck_suite.engine import paths
from gradcheck_suite.engine.calls import Unsupported, pointwise
from gradcheck_suite.floats import hex_of
from gradcheck_suite.ops.record import Sample
from gradcheck_suite.ops.registry import registry
from gradcheck_suite.options import PATHS, USUAL_PATHS, settings_from
from gradcheck_suite.results import Finding
from tests.engine.test_reproducers import check
from tests.engine.toys import DTYPES, bend, run, serious, slope, toy

LAST_BIT = 1 + 2.0**-22
"""About two units in the last place of float32."""


def switched(x: torch.Tensor, bad: Any) -> torch.Tensor:
    """Wrong for one element, right for vectors: the two take different code in torch as well."""
    return bad(x) if x.numel() == 1 else bend(x)


def only(findings: list[Finding]) -> Finding:
    (finding,) = findings
    return finding


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_size_switch_is_found_and_both_paths_are_named(dtype: str) -> None:
    result = run(toy(lambda x: switched(x, lambda x: bend(x) * 0)), dtype, "forward")
    found = serious(result)
    assert {f.path for f in found} == {"single"}
    assert "underflow" in {f.kind for f in found}
    for f in found:
        assert "on the single path" in f.message
        assert "On the vector path it computes" in f.message


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_region_of_another_path_has_exact_ends(dtype: str) -> None:
    def scalar(x: torch.Tensor) -> torch.Tensor:
        return torch.where((x >= 0.125) & (x <= 20), -bend(x), bend(x))

    op = toy(lambda x: bend(x) if x.is_contiguous() else scalar(x))
    finding = only(serious(run(op, dtype, "forward")))
    assert (finding.kind, finding.path) == ("sign", "strided")
    assert (finding.lo, finding.hi) == (hex_of(0.125), hex_of(20.0))
    assert finding.lo_exact
    assert finding.hi_exact
    assert finding.share == 1.0


def test_gradients_are_compared_too() -> None:
    def backward(x: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
        return g * slope(x) * (1 if x.numel() > 1 else 3)

    result = run(toy(lambda x: bend(x, backward)), "float32", "backward")
    assert {f.path for f in serious(result)} == {"single"}
    assert {f.kind for f in serious(result)} == {"inaccurate", "tie"}


def test_what_the_vector_path_shows_already_is_not_repeated() -> None:
    result = run(toy(lambda x: bend(x) * 0), "float32", "forward")
    assert {f.path for f in serious(result)} == {"vector"}


def test_harmless_differences_are_one_remark() -> None:
    op = toy(lambda x: bend(x) if x.is_contiguous() and x.numel() > 1 else bend(x) * LAST_BIT)
    result = run(op, "float32", "forward")
    assert serious(result) == []
    remark = only([f for f in result.findings if f.kind == "path"])
    assert remark.severity == "info"
    assert "strided (" in remark.message
    assert "single (" in remark.message
    assert "than on the vector path" in remark.message


def test_signs_of_zeros_are_a_remark() -> None:
    op = toy(lambda x: bend(x) if x.is_contiguous() else bend(x).where(x != 0, torch.copysign(bend(x), -x)))
    result = run(op, "float32", "forward", paths=("vector", "strided"))
    assert [(f.kind, f.severity) for f in result.findings] == [("path", "info")]


@pytest.mark.parametrize(
    ("path", "options"),
    [
        ("inplace", {"inplace": lambda x: x.mul_(0)}),
        ("out", {"out": lambda x, out: torch.mul(x, 0, out=out)}),
        ("module", {"module": lambda: lambda x: x * 0}),
    ],
)
def test_other_forms_are_called(path: str, options: dict[str, Any]) -> None:
    found = serious(run(toy(bend, **options), "float32", "forward"))
    assert {f.path for f in found} == {path}
    assert "underflow" in {f.kind for f in found}


def wrong_result(x: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
    return torch.mul(x, 0, out=out)


@pytest.mark.parametrize("written", [lambda y, out: out.contiguous().copy_(y), lambda y, out: None])
def test_a_result_that_is_not_written_where_it_was_asked_for_is_found(written: Any) -> None:
    def elsewhere(x: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
        written(bend(x), out)
        return out

    (finding,) = serious(run(toy(bend, out=elsewhere), "float32", "forward"))
    assert (finding.path, finding.kind, finding.severity) == ("out", "nan", "critical")


def wrong_twin(x: torch.Tensor) -> torch.Tensor:
    return bend(x) * 0


def test_twins_are_named() -> None:
    found = serious(run(toy(bend, twins=(wrong_twin,)), "float32", "forward", paths=("vector", "twins")))
    assert {f.path for f in found} == {"twin:tests.engine.test_paths.wrong_twin"}
    assert all("on the tests.engine.test_paths.wrong_twin path" in f.message for f in found)


def test_a_path_that_raises_is_a_finding() -> None:
    def refuse(x: torch.Tensor) -> torch.Tensor:
        if x.numel() == 1:
            raise ValueError("too small")
        return bend(x)

    finding = only(serious(run(toy(refuse), "float32", "forward")))
    assert (finding.kind, finding.path) == ("raises", "single")
    assert "too small" in finding.message


def test_tails_are_called_behind_a_whole_block() -> None:
    sizes: set[int] = set()

    def record(x: torch.Tensor) -> torch.Tensor:
        sizes.add(x.numel())
        return bend(x)

    run(toy(record), "float32", "forward", paths=("vector", "tail"))
    tails = {n % paths.BLOCK for n in sizes} - {0}
    assert tails
    assert max(tails) <= paths.TAIL


def test_vectors_are_filled_up_to_whole_blocks() -> None:
    """No element of the vector path may fall into the tail of a SIMD loop."""
    sizes: list[int] = []

    def record(x: torch.Tensor) -> torch.Tensor:
        sizes.append(x.numel())
        return bend(x)

    run(toy(record), "float32", "backward", paths=("vector",))
    assert all(n % paths.BLOCK == 0 for n in sizes)


@pytest.mark.parametrize("path", ["channels_last", "vmap", "jvp", "tail", "strided"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_torch_agrees_with_itself_on_relu(path: str, dtype: str) -> None:
    result = run(registry().get("relu"), dtype, "backward", paths=("vector", path))
    assert [f for f in result.findings if f.path == path] == []


def test_forward_mode_is_judged_by_the_gradient() -> None:
    class Half(torch.autograd.Function):
        @staticmethod
        def forward(x: torch.Tensor) -> torch.Tensor:
            return torch.where(x > 0, x, x * 0.5)

        @staticmethod
        def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
            ctx.save_for_backward(*inputs)
            ctx.save_for_forward(*inputs)

        @staticmethod
        def backward(ctx: Any, g: torch.Tensor) -> torch.Tensor:
            return g * slope(*ctx.saved_tensors)

        @staticmethod
        def jvp(ctx: Any, tangent: torch.Tensor) -> torch.Tensor:
            return tangent * slope(*ctx.saved_tensors) * 3

    op = toy(lambda x: Half.apply(x))  # type: ignore[no-untyped-call]
    found = serious(run(op, "float32", "backward", paths=("vector", "jvp")))
    assert {f.path for f in found} == {"jvp"}
    assert {f.kind for f in found} == {"inaccurate", "tie"}


def test_without_a_compiler_the_path_is_skipped_with_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    result = run(registry().get("relu"), "float32", "forward", paths=("vector", "compile"))
    assert result.verdict == "ok"
    assert "path compile skipped" in result.note
    assert "C++ compiler" in result.note


def test_forms_that_an_op_lacks_are_unsupported() -> None:
    op = registry().get("softsign")
    for path in ("inplace", "out"):
        with pytest.raises(Unsupported):
            paths.form_of(op, path)
    assert paths.form_of(op, "strided") is op.call


def test_all_stands_for_every_path_but_compile() -> None:
    op = registry().get("sigmoid")
    every = paths.expanded(op, ("all",))
    assert "compile" not in every
    assert "twin:torch.special.expit" in every
    assert {"strided", "single", "tail", "inplace", "out", "module", "channels_last"} < set(every)
    assert {"vmap", "jvp"} < set(every)
    assert paths.expanded(op, ("all", "compile")) == [*every, "compile"]
    assert settings_from({"paths": "all,compile"}).paths == ("all", "compile")
    assert set(USUAL_PATHS) < set(PATHS)


def images(*where: float) -> Any:
    """Samples that are images of four channels."""

    def samples(params: Any, fmt: Any, *, budget: str, seed: int) -> Any:
        for at in where:
            image = np.arange(1.0, 49.0).reshape(1, 4, 3, 4) + at
            yield Sample(inputs={"input": image}, label=f"image {at:g}", probe="draw", at=at)

    return samples


@pytest.mark.parametrize(
    ("path", "call"),
    [
        ("channels_last", lambda x: bend(x) * 0 if not x.is_contiguous() else bend(x)),
        ("module", bend),
        ("twins", bend),
        ("out", bend),
    ],
)
def test_whole_samples_are_compared_on_their_paths(path: str, call: Any) -> None:
    """An op that is judged sample by sample: images for the layout, and other forms."""
    op = toy(
        call,
        pointwise=False,
        samples=images(0.0),
        module=lambda: lambda x: bend(x) * 0,
        twins=(wrong_twin,) if path == "twins" else (),
        out=wrong_result,
    )
    found = serious(run(op, "float32", "forward", paths=("vector", path)))
    assert {f.path.partition(":")[0] for f in found} == {"twin" if path == "twins" else path}
    for f in found:
        if path != "module":
            check(f, toy=call, tests=sys.modules["tests"])


def refusing(x: torch.Tensor) -> torch.Tensor:
    if not x.is_contiguous():
        raise RuntimeError("input must be contiguous")
    return bend(x)


def test_ops_of_whole_samples_are_called_with_channels_last_unasked() -> None:
    op = toy(refusing, pointwise=False, samples=images(0.0, 1.0))
    found = serious(run(op, "float32", "forward"))
    assert {(f.kind, f.path) for f in found} == {("raises", "strided"), ("raises", "channels_last")}
    assert all("input must be contiguous" in f.message and "image 0" in f.message for f in found)
    for f in found:
        with pytest.raises(RuntimeError, match="input must be contiguous"):
            exec(f.reproducer, {"toy": refusing})
    assert "channels_last" not in paths.expanded(op, ("vector", "strided"))
    assert "channels_last" not in paths.expanded(registry().get("sigmoid"), USUAL_PATHS)


def test_what_raises_on_the_vector_path_alike_is_said_once() -> None:
    def refuses(x: torch.Tensor) -> torch.Tensor:
        if x.max() == 48:
            raise ValueError("an image of 48")
        return bend(x)

    (found,) = serious(run(toy(refuses, pointwise=False, samples=images(0.0, 1.0)), "float32", "forward"))
    assert (found.kind, found.path) == ("raises", "vector")


def test_one_element_and_tails_give_the_points_in_order() -> None:
    op = registry().get("tanh")
    x = np.linspace(-3, 3, 40)
    whole = pointwise(op, {}, {"input": x}, dtype="float64", order=1)
    for path in ("single", "tail"):
        found = pointwise(op, {}, {"input": x}, dtype="float64", order=1, path=path)
        for name, column in whole.columns.items():
            assert np.allclose(found.columns[name], column, rtol=1e-12)


def test_where_nothing_is_judged_other_numbers_are_a_remark() -> None:
    """The gradient at a NaN may be any number, but one that depends on the layout is told."""

    def leaky(x: torch.Tensor) -> torch.Tensor:
        return torch.where(torch.isnan(x), x * (1 if x.is_contiguous() else 2), bend(x))

    remark = only([f for f in run(toy(leaky), "float32", "backward").findings if f.reason == "undefined"])
    assert (remark.kind, remark.severity, remark.path) == ("path", "info", "strided")
    assert "at input = nan the vector path gives 1 and strided 2" in remark.message
    check(remark, toy=leaky)
    assert not [f for f in run(toy(bend), "float32", "backward").findings if f.reason == "undefined"]


@pytest.mark.parametrize("dtype", ["float64", "float16"])
def test_a_gradient_that_is_recorded_is_compared_too(dtype: str) -> None:
    def backward(x: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
        return g * slope(x) * (3 if torch.is_grad_enabled() else 1)

    op = toy(lambda x: bend(x, backward))
    found = serious(run(op, dtype, "backward"))
    assert {f.path for f in found} == {"create_graph"}
    for f in found:
        check(f, toy=op.call)
        assert "create_graph=True" in f.reproducer
    assert serious(run(op, dtype, "forward")) == []


def test_a_gradient_need_not_be_recorded() -> None:
    def backward(x: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
        if torch.is_grad_enabled():
            raise RuntimeError("written in numpy")
        return g * slope(x)

    assert serious(run(toy(lambda x: bend(x, backward)), "float32", "backward")) == []
