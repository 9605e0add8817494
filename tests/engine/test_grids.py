"""Maps of input against target: even in float ordinals, with the class and the error of each cell."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch

from gradcheck_suite.engine import collect, run_case
from gradcheck_suite.engine.cases import Case
from gradcheck_suite.floats import format_of, to_ordinal
from gradcheck_suite.ops.declare import make_op
from gradcheck_suite.ops.record import Op
from gradcheck_suite.ops.registry import registry
from gradcheck_suite.options import Settings
from gradcheck_suite.results import Grid
from tests.engine.toys import DTYPES


def difference(call: Any, **options: Any) -> Op:
    """A toy of two inputs that is one exact operation."""
    options = {"inputs": ("input", "target"), "tier": "custom", "custom": True, **options}
    return make_op("toy", call, lambda m, x, y: x - y, family="toy", callable_name="toy", **options)


def grid_of(op: Op, dtype: str, direction: str = "forward", **settings: Any) -> Grid | None:
    case = Case(op=op, variant={}, dtype=dtype, direction=direction)
    return run_case(case, Settings(dtypes=(dtype,), **settings))[0].grid


def cells(grid: Grid) -> Any:
    """Each cell with its coordinates."""
    points = itertools.product(map(float.fromhex, grid.y), map(float.fromhex, grid.x))
    return [(x, y, kind, ulp) for (y, x), kind, ulp in zip(points, grid.kind, grid.ulp, strict=True)]


@pytest.mark.parametrize("dtype", DTYPES)
def test_axes_rise_evenly_in_ordinals(dtype: str) -> None:
    grid = grid_of(difference(torch.sub), dtype)
    assert grid is not None
    assert (grid.x_probe, grid.y_probe) == ("input", "target")
    for axis in (grid.x, grid.y):
        ordinals = [int(o) for o in to_ordinal(np.array([float.fromhex(v) for v in axis]), format_of(dtype))]
        steps = {b - a for a, b in itertools.pairwise(ordinals)}
        assert min(steps) > 0
        assert max(steps) - min(steps) <= 2
        assert 0 in ordinals
    assert set(grid.kind) == {""}
    assert max(u for u in grid.ulp if u is not None) <= 0.5


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_defect_colours_its_cells(dtype: str) -> None:
    """The value has the wrong sign where both are beyond 1."""
    grid = grid_of(difference(lambda x, y: torch.where((x > 1) & (y > 1), y - x, x - y)), dtype)
    assert grid is not None
    for x, y, kind, ulp in cells(grid):
        bad = x > 1 and y > 1 and x != y
        assert kind == ("sign" if bad else "")
        assert ulp is not None
        assert (ulp > 4) == bad


def test_gradients_have_maps_too() -> None:
    class Wrong(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            ctx.save_for_backward(x)
            return x - y

        @staticmethod
        def backward(ctx: Any, g: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            (x,) = ctx.saved_tensors
            return torch.where(x < 0, g * 0, g), -g

    op = difference(lambda x, y: Wrong.apply(x, y))  # type: ignore[no-untyped-call]
    case = Case(op=op, variant={}, dtype="float32", direction="backward")
    by_input, by_target = (result.grid for result in run_case(case, Settings()))
    assert by_input is not None
    assert by_target is not None
    assert all((kind == "underflow") == (x < 0) for x, _, kind, _ in cells(by_input))
    assert set(by_target.kind) == {""}


def test_cells_outside_the_domain_are_undefined() -> None:
    """The op refuses inputs outside; they are not even tried."""

    def refuse(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        if bool((x * y < 0).any()):
            raise ValueError("outside")
        return x - y

    def domain(params: Any, values: Any) -> Any:
        return values["input"] * values["target"] >= 0

    grid = grid_of(difference(refuse, domain=domain), "float32")
    assert grid is not None
    assert all((kind == "undefined") == (x * y < 0) for x, y, kind, _ in cells(grid))
    assert all((ulp is None) == (kind == "undefined") for _, _, kind, ulp in cells(grid))


def test_a_target_of_few_values_has_as_many_rows() -> None:
    settings = Settings(ops=("soft_margin_loss",), dtypes=("float32",), directions=("forward",))
    grid = run_case(collect(settings, registry())[0], settings)[0].grid
    assert grid is not None
    assert set(map(float.fromhex, grid.y)) == {-1.0, 1.0}


def test_effort_follows_the_budget() -> None:
    op = difference(torch.sub)
    assert grid_of(op, "float32", budget="quick") is None
    usual, thorough = grid_of(op, "float32"), grid_of(op, "float32", budget="thorough")
    assert usual is not None
    assert thorough is not None
    assert len(thorough.kind) > 4 * len(usual.kind)


def test_only_the_first_variant_of_two_inputs_has_a_map() -> None:
    settings = Settings(ops=("huber_loss", "relu"), dtypes=("float32",), directions=("forward",))
    with_map = [case.id for case in collect(settings, registry()) if run_case(case, settings)[0].grid]
    assert with_map == ["huber_loss[reduction=none]::float32::forward"]
