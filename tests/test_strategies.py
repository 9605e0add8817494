"""The public Hypothesis strategies: what they draw, towards what they shrink, and that they say no."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample

from gradcheck_suite import strategies
from gradcheck_suite.errors import UsageError
from gradcheck_suite.floats import format_of, round_to
from gradcheck_suite.ops.registry import registry
from tests.engine.toys import DTYPES

quiet = settings(
    database=None, derandomize=True, deadline=None, max_examples=60, suppress_health_check=list(HealthCheck)
)


def simplest(strategy: st.SearchStrategy[Any], condition: Any) -> Any:
    """The simplest example for which a condition holds."""
    best: list[Any] = []

    @settings(quiet, max_examples=600)
    @given(strategy)
    def search(value: Any) -> None:
        if condition(value):
            best[:] = [value]
            raise LookupError

    with pytest.raises(LookupError):
        search()
    return best[0]


def drawn(strategy: st.SearchStrategy[Any], count: int = 300) -> list[Any]:
    found: list[Any] = []

    @settings(quiet, max_examples=count)
    @given(strategy)
    def collect(value: Any) -> None:
        found.append(value)

    collect()
    return found


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_number_is_one_of_the_dtype(dtype: str) -> None:
    values = np.array(drawn(strategies.floats(dtype)))
    kept = values[~np.isnan(values)]
    assert (round_to(kept, format_of(dtype)) == kept).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_extremes_are_drawn(dtype: str) -> None:
    fmt = format_of(dtype)
    values = np.array(drawn(strategies.floats(dtype), 600))
    size = np.abs(values)
    assert np.isnan(values).any()
    assert np.isinf(values).any()
    assert ((size < fmt.smallest_normal) & (size > 0)).any()
    assert (size > fmt.max / 4).any()
    assert (values < 0).any()
    assert (values > 0).any()


def test_numbers_near_a_point_are_drawn() -> None:
    values = np.array(drawn(strategies.floats("float32", near=[88.7228394]), 600))
    assert (np.abs(values - 88.7228394) < 1e-3).any()


@pytest.mark.parametrize("dtype", DTYPES)
def test_bounds_are_kept(dtype: str) -> None:
    values = np.array(drawn(strategies.floats(dtype, min_value=-0.1, max_value=2.5)))
    assert (values >= -0.1).all()
    assert (values <= 2.5).all()
    assert (values < 0).any()


def test_a_bound_that_the_dtype_has_not_is_rounded_inwards() -> None:
    values = drawn(strategies.floats("bfloat16", min_value=0.1, max_value=0.1012), 50)
    assert set(values) == {0.10009765625, 0.1005859375, 0.10107421875}


def test_special_numbers_can_be_left_out() -> None:
    values = np.array(drawn(strategies.floats("float16", allow_nan=False, allow_infinity=False), 600))
    assert np.isfinite(values).all()


def test_one_is_the_simplest_number() -> None:
    assert simplest(strategies.floats("float32"), lambda x: True) == 1.0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"dtype": "flaot32"}, "did you mean 'float32'"),
        ({"dtype": "float16", "min_value": 1.0001, "max_value": 1.0002}, "no float16 number lies between"),
        ({"dtype": "float16", "min_value": 2, "max_value": 1}, "no float16 number lies between"),
    ],
)
def test_mistakes_are_one_sentence(arguments: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        strategies.floats(**arguments)


@pytest.mark.parametrize("dtype", DTYPES)
def test_rows_have_the_dtype_and_length(dtype: str) -> None:
    for row in drawn(strategies.rows(dtype, min_size=2, max_size=9), 60):
        assert row.dtype == getattr(torch, dtype)
        assert row.ndim == 1
        assert 2 <= len(row) <= 9


def test_rows_have_ties_masks_and_gaps() -> None:
    found = drawn(strategies.rows("float32", min_size=3, max_size=17), 300)
    assert any(bool((row == row[0]).all()) for row in found)
    assert any(bool(torch.isneginf(row).any()) for row in found)
    assert any(bool(row.isfinite().all()) and float(row.max() - row.min()) > 100 for row in found)


def test_special_entries_can_be_left_out_of_rows() -> None:
    for row in drawn(strategies.rows("float16", allow_nan=False, allow_infinity=False), 200):
        assert bool(row.isfinite().all())


def test_a_stable_softmax_passes_and_a_naive_one_does_not() -> None:
    """What the strategies are for."""

    def sums_to_one(softmax: Any) -> Any:
        @quiet
        @given(strategies.rows("float32", max_size=20, allow_nan=False, allow_infinity=False))
        def check(row: torch.Tensor) -> None:
            assert math.isclose(float(softmax(row).sum()), 1.0, rel_tol=1e-4)

        return check

    sums_to_one(lambda row: torch.softmax(row, 0))()
    with pytest.raises(AssertionError):
        sums_to_one(lambda row: row.exp() / row.exp().sum())()


@pytest.mark.parametrize("name", ["softplus", "hardtanh", "softmax", "cross_entropy", "gelu"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_inputs_are_what_the_op_takes(name: str, dtype: str) -> None:
    op = registry().get(name)

    @quiet
    @given(strategies.inputs(name, dtype=dtype))
    def call(example: strategies.OpInputs) -> None:
        assert all(t.dtype == getattr(torch, dtype) for t in example.args)
        assert isinstance(op.call(*example.args, **example.kwargs), torch.Tensor)

    call()


def test_parameters_are_handed_on_and_their_landmarks_drawn() -> None:
    found = drawn(strategies.inputs("softplus", dtype="float64", beta=10.0), 200)
    assert all(example.kwargs == {"beta": 10.0} for example in found)
    entries = torch.cat([example.args[0] for example in found])
    assert bool(((entries - 2.0).abs() < 1e-12).any())


def test_unknown_ops_and_parameters_are_refused() -> None:
    with pytest.raises(UsageError, match="did you mean 'softplus'"):
        strategies.inputs("sofplus")
    with pytest.raises(UsageError, match="did you mean 'beta'"):
        strategies.inputs("softplus", bta=1.0)


def test_strategies_compose() -> None:
    pairs = st.tuples(strategies.floats("float16"), strategies.floats("float16"))

    @quiet
    @given(pairs)
    def ordered(pair: tuple[float, float]) -> None:
        a, b = pair
        assume(not math.isnan(a) and not math.isnan(b))
        assert max(a, b) >= min(a, b)

    ordered()


def test_the_public_names_are_listed() -> None:
    assert strategies.__all__ == ["OpInputs", "floats", "inputs", "rows"]
    assert issubclass(NoSuchExample, Exception)
