"""The engine on ops whose entries depend on each other: planted defects are found, excusable results are
excused."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch

from gradcheck_suite.engine import Case, run_case
from gradcheck_suite.engine.rowconditioning import COTANGENT, DIRECTION, Signs, move
from gradcheck_suite.engine.rowconfirm import confirm_entry
from gradcheck_suite.floats import format_of
from gradcheck_suite.formula.arrays import Problem, Wanted
from gradcheck_suite.formula.context import Context
from gradcheck_suite.formula.tape import Array
from gradcheck_suite.ops.declare import make_op
from gradcheck_suite.ops.record import Op, Sample
from gradcheck_suite.ops.registry import registry
from gradcheck_suite.ops.variants import at_variant
from gradcheck_suite.options import Settings
from gradcheck_suite.results import Result, to_json
from tests.engine.toys import run, serious

INF = np.inf


def softmax_formula(m: Context, x: Array) -> Array:
    return m.softmax(x)


def sum_formula(m: Context, x: Array) -> Array:
    return m.sum(x)


def rows(*values: list[float], **more: Any) -> Callable[..., Iterator[Sample]]:
    def samples(params: Any, fmt: Any, *, budget: str, seed: int) -> Iterator[Sample]:
        for k, row in enumerate(values):
            yield Sample(
                inputs={"input": np.array(row, dtype=float)},
                label=f"row {k}",
                probe="row",
                at=float(k),
                **more,
            )

    return samples


def op_of(call: Callable[..., Any], formula: Callable[..., Any], samples: Any, **options: Any) -> Op:
    return make_op(
        "toy", call, formula, family="toy", callable_name="toy", pointwise=False, samples=samples, **options
    )


def kinds(result: Result) -> list[str]:
    return [f.kind for f in serious(result)]


def naive_softmax(x: torch.Tensor) -> torch.Tensor:
    e = x.exp()
    return e / e.sum()


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
def test_a_stable_softmax_is_ok_at_ordinary_rows(dtype: str) -> None:
    op = op_of(lambda x: torch.softmax(x, -1), softmax_formula, rows([0.5, -1.0, 2.0], [0.0] * 9))
    for direction in ("forward", "backward"):
        result = run(op, dtype, direction)
        assert result.verdict == "ok", result.findings
        assert result.points == 12


def test_a_softmax_that_overflows_is_found_and_confirmed() -> None:
    result = run(
        op_of(naive_softmax, softmax_formula, rows([100.0, 99.0, 0.0], [0.5, 1.0, 2.0])), "float32", "forward"
    )
    (found,) = serious(result)
    assert found.kind == "nan"
    assert found.confirmed_by is not None
    assert found.confirmed_by.startswith("mpmath@")
    assert (found.probe, found.lo, found.hi) == ("row", "0x0.0p+0", "0x0.0p+0")
    assert found.witness is not None
    assert found.witness.inputs["input"] == [(100.0).hex(), (99.0).hex(), "0x0.0p+0"]
    assert found.witness.exact.startswith("0.73105857863000487925")


def test_a_wrong_gradient_is_found() -> None:
    def call(x: torch.Tensor) -> torch.Tensor:
        return torch.softmax(x, -1) * 1.0 + (x - x.detach()) * 0.5

    result = run(op_of(call, softmax_formula, rows([0.5, -1.0, 2.0])), "float32", "backward")
    assert set(kinds(result)) <= {"inaccurate", "sign"}
    assert kinds(result)


def test_cancelling_sums_are_ill_conditioned() -> None:
    big = [2.0**27, 1.0, -(2.0**27), 2.0**-9]
    result = run(op_of(lambda x: ((x[0] + x[1]) + x[2]) + x[3], sum_formula, rows(big)), "float32", "forward")
    assert result.verdict == "ok"
    assert [f.reason for f in result.findings] == ["ill-conditioned"]


def test_a_cancelling_formula_does_not_excuse_itself() -> None:
    """x - tanh x is about x^3/3: well-conditioned in x, whatever its two terms are."""
    op = op_of(lambda x: (x - x.tanh()).sum(), lambda m, x: m.sum(x - m.tanh(x)), rows([2.0**-6, 2.0**-7]))
    assert kinds(run(op, "float32", "forward")) == ["inaccurate"]


def test_exceptions_are_findings_and_refusals_are_not() -> None:
    def fails(x: torch.Tensor) -> torch.Tensor:
        if len(x) == 1:
            raise ValueError("one entry is too few")
        return torch.softmax(x, -1)

    found = serious(run(op_of(fails, softmax_formula, rows([1.0], [1.0, 2.0])), "float32", "forward"))
    assert [f.kind for f in found] == ["raises"]
    assert "one entry is too few" in found[0].message
    assert "row 0" in found[0].message

    def refuses(x: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("\"toy\" not implemented for 'Half'")

    assert run(op_of(refuses, softmax_formula, rows([1.0])), "float16", "forward").verdict == "unsupported"


def test_another_dtype_is_one_finding() -> None:
    result = run(
        op_of(lambda x: torch.softmax(x.double(), -1), softmax_formula, rows([1.0, 2.0])),
        "float32",
        "forward",
    )
    assert [f.kind for f in serious(result)] == ["dtype"]


def test_where_arb_and_mpmath_do_not_agree_nothing_is_stated(monkeypatch: pytest.MonkeyPatch) -> None:
    def doubtful(problem: Any, *arguments: Any, **options: Any) -> Any:
        found = confirm_entry(problem, *arguments, **options)
        return dataclasses.replace(found, agrees=problem.inputs["input"][0] != 100.0)

    monkeypatch.setattr("gradcheck_suite.engine.rowstatements.confirm_entry", doubtful)
    op = op_of(naive_softmax, softmax_formula, rows([100.0, 99.0, 0.0], [100.0, 0.0], [98.0, 97.0, 0.0, 1.0]))
    result = run(op, "float32", "forward")
    (found,) = serious(result)
    assert found.lo == found.hi == (2.0).hex()
    assert "do not agree on row" in result.note
    assert result.worst is not None
    assert result.worst.inputs["input"][0] == (98.0).hex()
    alone = run(op_of(naive_softmax, softmax_formula, rows([100.0, 99.0])), "float32", "forward")
    assert (alone.verdict, alone.findings, alone.worst) == ("inconclusive", (), None)


def test_defects_of_other_layouts_are_found() -> None:
    def call(x: torch.Tensor) -> torch.Tensor:
        return torch.softmax(x, -1) if x.is_contiguous() else naive_softmax(x)

    (found,) = serious(run(op_of(call, softmax_formula, rows([100.0, 99.0, 0.0])), "float32", "forward"))
    assert (found.kind, found.path) == ("nan", "strided")


def test_a_nan_must_show_where_the_value_depends_on_it() -> None:
    op = op_of(lambda x: torch.nan_to_num(x).sum(), sum_formula, rows([1.0, np.nan]))
    assert kinds(run(op, "float32", "forward")) == ["masked"]
    assert kinds(run(op_of(lambda x: x.sum(), sum_formula, rows([1.0, np.nan])), "float32", "forward")) == []


def test_several_inputs_and_other_arguments() -> None:
    def formula(m: Context, x: Array, y: Array, *, scale: Array, index: Any) -> Array:
        return m.sum(x * y) * scale[index]

    def call(x: torch.Tensor, y: torch.Tensor, *, scale: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
        return (x * y).sum() * scale[index]

    def samples(params: Any, fmt: Any, *, budget: str, seed: int) -> Iterator[Sample]:
        inputs = {"x": np.array([1.0, 2.0]), "y": np.array([0.5, -0.25])}
        extra = {"scale": np.array([2.0, 4.0]), "index": np.array(1)}
        yield Sample(inputs=inputs, extra=extra, label="the sample")

    op = op_of(call, formula, samples, inputs=("x", "y"))
    case = Case(op=op, variant={}, dtype="float32", direction="backward")
    results = run_case(case, Settings())
    assert [r.wrt for r in results] == ["x", "y"]
    assert all(r.verdict == "ok" and r.max_ulp == 0 for r in results)
    assert results[0].id == "toy::float32::backward::x"


def test_long_arrays_are_recipes() -> None:
    row = [0.0] * 300
    row[7] = 100.0
    (found,) = serious(run(op_of(naive_softmax, softmax_formula, rows(row)), "float32", "forward"))
    assert found.witness is not None
    assert found.witness.inputs["input"] == {"fill": "0x0.0p+0", "shape": [300], "set": {"7": (100.0).hex()}}
    json.dumps(to_json(found), allow_nan=False)


REPRODUCED = [
    ("softmax", {"dim": -1}, "float32", "backward"),
    ("cross_entropy", {"reduction": "none"}, "float16", "forward"),
    ("cross_entropy", {"weight": "tensor"}, "float32", "backward"),
    ("cross_entropy_prob", {"reduction": "none"}, "float32", "double-backward"),
    ("normalize", {}, "float16", "forward"),
    ("softmax2d", {}, "float32", "backward"),
]


@pytest.mark.parametrize(("name", "variant", "dtype", "direction"), REPRODUCED)
def test_reproducers_run_with_torch_alone(
    name: str, variant: dict[str, Any], dtype: str, direction: str
) -> None:
    op = at_variant(registry().get(name), variant)
    case = Case(op=op, variant=variant, dtype=dtype, direction=direction)
    found = [
        f for result in run_case(case, Settings(budget="quick")) for f in serious(result) if f.reproducer
    ]
    assert found
    for finding in found:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(finding.reproducer, {})
        assert finding.witness is not None
        got = float(printed.getvalue().split()[1])
        want = finding.witness.got
        expected = float.fromhex(want) if "0x" in want else float(want)
        assert got == expected or (np.isnan(got) and np.isnan(expected)), finding.message


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("step", [8.0, 2.0**-14])
def test_moves_are_as_long_as_they_are_asked_to_be(dtype: str, step: float) -> None:
    problem = Problem(formula=sum_formula, inputs={"x": np.array([1.0, -3.0])}, reals={}, fixed={})
    wanted = Wanted(order=0, cotangent=np.ones, direction=np.ones)
    signs = Signs({"x": np.array([1.0, -1.0]), COTANGENT: np.ones(1), DIRECTION: np.ones(1)})
    moved, _ = move(problem, wanted, signs, format_of(dtype), step)
    first, second = moved.inputs["x"]
    unit = format_of(dtype).unit_roundoff
    assert float(first - 1) == pytest.approx(step * unit, rel=2.0**-8)
    assert float(second + 3) == pytest.approx(3 * step * unit, rel=2.0**-8)


def test_an_overflow_within_reach_is_excused() -> None:
    """The distance of x and y is theirs to 1/1000, and so is its reciprocal, which overflows as soon as they move."""
    op = op_of(
        lambda x: (1.0 / (x[0] - x[1])).float().mul(1.0 + 2.0**-9).to(x.dtype),
        lambda m, x: 1 / (x[0] - x[1]),
        rows([1.0, 1.0 - 2.0**-11], [1.0, 0.5]),
    )
    assert not serious(run(op, "float16", "forward"))


def test_the_direction_of_every_input_moves_by_its_own_signs() -> None:
    """f = x y along (u, v): the second derivative by x is v, to which the signs of x's direction mean nothing."""
    problem = Problem(
        formula=lambda m, x, y: m.sum(x * y),
        inputs={"x": np.array([1.0, 2.0]), "y": np.array([3.0, 5.0])},
        reals={},
        fixed={},
    )
    wanted = Wanted(order=2, cotangent=np.ones, direction=np.ones)
    signs = Signs(
        {n: np.ones(2) for n in "xy"} | {COTANGENT: np.ones(1), DIRECTION: np.array([1.0, 1.0, -1.0, 1.0])}
    )
    _, moved = move(problem, wanted, signs, format_of("float32"), 8.0)
    own = {n: np.asarray(moved.direction_of(n)(2), dtype=float) - 1 for n in "xy"}
    assert (own["x"] > 0).tolist() == [True, True]
    assert (own["y"] > 0).tolist() == [False, True]


def test_second_derivatives_beside_a_clamp_behind_which_the_first_is_a_set_are_excused() -> None:
    """The 1-norm of (0, -eps, 0) has a kink in its zeros, unless eps takes its place."""
    variant = {"p": 1.0}
    op = at_variant(registry().get("normalize"), variant)
    stated = op.samples
    assert stated is not None

    def chosen(*arguments: Any, **options: Any) -> list[Sample]:
        return [s for s in stated(*arguments, **options) if "a norm beside eps" in s.label]

    case = Case(
        op=dataclasses.replace(op, samples=chosen),
        variant=variant,
        dtype="float32",
        direction="double-backward",
    )
    (result,) = run_case(case, Settings())
    assert serious(result) == []


def test_a_mean_over_more_rows_than_float16_counts_is_judged() -> None:
    """The exact loss of 65,600 rows of -1 is 1, and torch's is NaN: inf / inf."""
    case = Case(op=registry().get("nll_loss"), variant={}, dtype="float16", direction="forward")
    (result,) = run_case(case, Settings())
    assert any("a batch of 65600" in f.message for f in serious(result))


QUIET = [
    ("cross_entropy", {}, "ignored"),
    ("nll_loss", {}, "ignored"),
    ("linear_cross_entropy_chunked", {}, "all ignored"),
    ("softmax", {"dim": -1}, "17 entries masked"),
    ("log_softmax", {"dim": -1}, "17 entries masked"),
    # All entries masked, and a cotangent that sums to 0 or is 0 in that row: no limit agrees about nothing.
    ("log_softmax", {"dim": -1}, "2 entries masked by -inf, length 2"),
    ("softmax2d", {}, "3 entries masked by -inf, length 3"),
    ("cross_entropy", {"reduction": "none"}, "3 entries masked by -inf, length 3"),
    # eps and a norm that rounds to it: on which side of the clamp it falls is a matter of rounding.
    ("cosine_similarity", {"eps": 1e-30}, "the norm of the first vector at eps"),
    ("softmax", {"dim": -1}, "equal entries"),
    ("multi_margin_loss", {"reduction": "none"}, "at the margin"),
]


@pytest.mark.parametrize(("name", "variant", "words"), QUIET)
@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_ambiguous_inputs_give_no_finding(
    name: str, variant: dict[str, Any], words: str, direction: str
) -> None:
    op = at_variant(registry().get(name), variant)
    assert op.samples is not None
    stated = op.samples

    def chosen(*arguments: Any, **options: Any) -> list[Sample]:
        found = [s for s in stated(*arguments, **options) if words in s.label]
        assert found
        return found

    case = Case(
        op=dataclasses.replace(op, samples=chosen), variant=variant, dtype="float32", direction=direction
    )
    for result in run_case(case, Settings()):
        assert serious(result) == []
        assert result.verdict == "ok"


def test_a_sample_is_judged_up_to_its_order() -> None:
    def twice_as_steep(x: torch.Tensor) -> torch.Tensor:
        return x.detach().softmax(-1) + 2 * (x - x.detach())

    samples = rows([0.5, -1.0, 2.0], order=0)
    found = run(op_of(twice_as_steep, softmax_formula, samples), "float32", "backward")
    assert (found.points, found.findings) == (0, ())
    assert run(op_of(twice_as_steep, softmax_formula, samples), "float32", "forward").points == 3


def test_no_tie_excuses_a_nan() -> None:
    def norm(m: Context, x: Array) -> Array:
        return m.norm(x, 100.0)

    def spoiled(x: torch.Tensor) -> torch.Tensor:
        broken: torch.Tensor = torch.linalg.vector_norm(x, 100.0) + (x - x.detach()).sum() * float("nan")
        return broken

    result = run(op_of(spoiled, norm, rows([2.0, 0.0, 1.0])), "float32", "backward")
    assert {f.kind for f in serious(result)} == {"nan"}
    assert not [f for f in result.findings if f.kind == "nan" and f.severity == "info"]
