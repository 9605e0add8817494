"""Points of several inputs: on lines, inside the domain, near what an op lists, the same every time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gradcheck_suite.floats import FORMATS, format_of, round_to, to_ordinal
from gradcheck_suite.inputs.targets import Landscape, Line, spread, tuples


def landscape(**changes: Any) -> Landscape:
    made: dict[str, Any] = {
        "names": ("input", "target"),
        "landmarks": (0.0, 1.0),
        "partners": {},
        "offsets": (),
    }
    return Landscape(**{**made, **changes})


@pytest.mark.parametrize("name", FORMATS)
def test_points_are_of_the_format_and_lie_on_their_lines(name: str) -> None:
    fmt = format_of(name)
    found = tuples(fmt, landscape(offsets=(0.0, 0.75)), 700, 0)
    assert 500 <= len(found) <= 1400
    for values in found.values.values():
        assert np.array_equal(round_to(values, fmt), values, equal_nan=True)
    assert sum(len(line.members) for line in found.lines) == len(found)
    for line in found.lines:
        x = found.values[line.probe][line.members]
        numbers = x[~np.isnan(x)]
        assert (np.diff(numbers) >= 0).all()
        assert not np.isnan(x[: len(numbers)]).any()
        for held, value in line.fixed.items():
            assert np.array_equal(found.values[held][line.members], np.full(len(x), value), equal_nan=True)


def test_it_is_the_same_every_time() -> None:
    fmt = format_of("float32")
    one, two = (tuples(fmt, landscape(), 700, 3) for _ in range(2))
    for name in one.values:
        assert np.array_equal(one.values[name], two.values[name], equal_nan=True)


def test_the_second_input_equals_the_first_is_a_few_ulps_beside_it_and_at_the_offsets() -> None:
    fmt = format_of("float32")
    found = tuples(fmt, landscape(offsets=(0.0, 0.75)), 700, 0)
    x, y = found.values["input"], found.values["target"]
    finite = np.isfinite(x) & np.isfinite(y)
    steps = np.abs(to_ordinal(x[finite], fmt) - to_ordinal(y[finite], fmt))
    assert all((steps == k).sum() > 10 for k in (0, 1, 3))
    with np.errstate(invalid="ignore"):
        assert (x - y == 0.75).sum() > 10
        assert (x - y == -0.75).sum() > 10


def test_everything_lies_in_the_domain() -> None:
    def unit(values: Any) -> Any:
        return (values["input"] >= 0) & (values["input"] <= 1) & (np.abs(values["target"]) == 1)

    found = tuples(format_of("float32"), landscape(partners={"target": (-1.0, 1.0)}, domain=unit), 700, 0)
    assert len(found) >= 350, "a narrow domain must not leave few points"
    assert unit(found.values).all()
    assert set(found.values["target"]) == {-1.0, 1.0}


def test_infinities_are_tried_in_pairs_unless_a_list_leaves_them_out() -> None:
    fmt = format_of("float32")
    free = tuples(fmt, landscape(), 700, 0).values
    assert {
        (a, b) for a, b in zip(free["input"], free["target"], strict=True) if np.isinf(a) and np.isinf(b)
    } == {(a, b) for a in (np.inf, -np.inf) for b in (np.inf, -np.inf)}
    listed = tuples(fmt, landscape(partners={"target": (0.5, np.inf)}), 700, 0).values
    assert np.isposinf(listed["target"]).any()
    assert not np.isneginf(listed["target"]).any()


def test_three_inputs() -> None:
    names = ("input", "target", "var")
    found = tuples(format_of("float64"), landscape(names=names, partners={"var": (1.0, 1e-6)}), 700, 0)
    assert set(found.values) == set(names)
    assert {line.probe for line in found.lines} == set(names)
    assert np.isin(found.values["var"], [1.0, 1e-6]).mean() > 0.3


def test_a_line_gives_its_further_points() -> None:
    fmt = format_of("float16")
    behind = Line(probe="a", members=None, fixed={"c": 2.0}, follower="b", behind=0.1)
    values = behind.at(np.array([1.0, -65504.0, np.inf]), fmt)
    assert values["b"].tolist() == [float(round_to([0.9], fmt)[0]), -65504.0, np.inf]
    assert values["c"].tolist() == [2.0, 2.0, 2.0]
    assert behind.held == {"a - b": 0.1, "c": 2.0}


def test_spread_has_landmarks_ends_and_binades() -> None:
    fmt = format_of("float64")
    x = spread(fmt, (0.3,), 100, 0)
    assert np.isin([0.3, fmt.max, -fmt.smallest_subnormal, np.inf], x).all()
    exponents = np.unique(np.frexp(np.abs(x[np.isfinite(x) & (x != 0)]))[1])
    assert exponents.max() - exponents.min() > 2000
    assert len(exponents) > 30


def test_a_partner_beyond_the_format_does_not_become_infinite() -> None:
    fmt = format_of("float16")
    wanted = Landscape(
        names=("input", "weight"), landmarks=(), partners={"weight": (1.0, 1e30, -1e30)}, offsets=()
    )
    weights = tuples(fmt, wanted, 300, 0).values["weight"]
    assert not np.isinf(weights).any()


def test_spread_reaches_where_squares_and_any_factor_leave_the_format() -> None:
    for name in FORMATS:
        fmt = format_of(name)
        x = spread(fmt, (0.0,), 40, 0)
        for sign in (1, -1):
            y = sign * x[np.isfinite(x)]
            assert ((y > 0.8 * fmt.max) & (y < 0.95 * fmt.max)).any()
            assert ((y > fmt.max**0.5) & (y < fmt.max**0.5 * 1.5)).any()
            assert ((y < fmt.smallest_normal**0.5 / 2) & (y > fmt.smallest_normal**0.5 / 32)).any()
