"""Packed curves: small, and still showing what matters."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from gradcheck_suite.reporters.curves import Packer, number, pack_grid, thinned
from gradcheck_suite.results import Curve, Grid


def curve(*, ulp: list[float | None], got: list[float | None] | None = None, probe: str = "input") -> Curve:
    n = len(ulp)
    exact = tuple(float(i) for i in range(n))
    return Curve(probe=probe, x=exact, exact=exact, got=tuple(got) if got else exact, ulp=tuple(ulp))


def test_the_highest_errors_survive_thinning() -> None:
    ulp = [0.1] * 1000
    ulp[437] = 9e9
    kept = thinned(ulp, 50)
    assert 437 in kept
    assert len(kept) == 50
    assert kept == sorted(kept)


@given(st.lists(st.floats(min_value=0), max_size=90), st.integers(1, 60))
def test_thinning_keeps_the_worst_and_about_the_number_asked_for(ulp: list[float], limit: int) -> None:
    kept = thinned(ulp, limit)
    assert len(kept) <= limit
    assert max((ulp[i] for i in kept), default=0) == max(ulp, default=0)


def test_curves_over_the_same_inputs_share_an_axis_and_its_points() -> None:
    first, second = curve(ulp=[0.1, 9.0, 0.1, 0.1]), curve(ulp=[0.1, 0.1, None, math.inf])
    packer = Packer([("float32", first), ("float32", second), ("float64", first)], 2)
    packed = [packer.pack("float32", first), packer.pack("float32", second)]
    assert [p["axis"] for p in packed] == [0, 0]
    assert packer.axes == [[1, 3]]
    assert [p["ulp"] for p in packed] == [[9, 0.1], [0.1, "inf"]]
    assert packer.pack("float64", first)["axis"] == 1


def test_only_what_visibly_differs_is_stated_twice() -> None:
    got: list[float | None] = [0.0, 1.000001, 2.1, math.inf, None]
    packed = (packer := Packer([("float32", c := curve(ulp=[0.5] * 5, got=got))], 9)).pack("float32", c)
    assert packer.axes == [[0, 1, 2, 3, 4]]
    assert packed["got"] == {"2": 2.1, "3": "inf", "4": None}


def test_a_lost_zero_is_stated() -> None:
    c = curve(ulp=[0.5, 0.5], got=[1e-45, 1.0])
    assert Packer([("float32", c)], 9).pack("float32", c)["got"] == {"0": 1e-45}


@given(st.floats(), st.integers(1, 17))
def test_numbers_keep_their_digits_and_are_json(value: float, digits: int) -> None:
    packed = number(value, digits)
    if math.isnan(value):
        assert packed is None
    elif math.isinf(value):
        assert packed == str(value)
    else:
        assert math.isclose(packed, value, rel_tol=0.51 * 10.0 ** (1 - digits), abs_tol=0)


def test_a_map_names_each_kind_once() -> None:
    grid = Grid(
        x_probe="input",
        y_probe="target",
        x=("-inf", "0x1.8p+0"),
        y=("0x0.0p+0",),
        kind=("", "overflow"),
        ulp=(0.4, None),
    )
    packed = pack_grid(grid)
    assert packed["words"] == ["", "overflow"]
    assert packed["kind"] == [0, 1]
    assert (packed["x"], packed["ulp"]) == (["-inf", 1.5], [0.4, None])
