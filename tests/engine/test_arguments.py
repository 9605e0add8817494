"""Arrays as documents write them, and the Python that makes them again."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from gradcheck_suite.engine.arguments import recipe, tensor_code, written

_ENTRIES = np.array([0.5, -1.25, 2.0, -0.0, 0.0, np.inf, 3.0])


def rebuilt(steps: dict[str, Any]) -> list[str]:
    """The entries that a recipe stands for, in C order."""
    fill = steps["fill"] if isinstance(steps["fill"], list) else [steps["fill"]]
    size = int(np.prod(steps["shape"]))
    return [steps["set"].get(str(i), fill[i % len(fill)]) for i in range(size)]


def spiked(size: int, *places: int) -> Any:
    array = np.resize(_ENTRIES, size)
    array[list(places)] = 7.5
    return array


ARRAYS = {
    "constant": np.full((9, 9), 0.25),
    "one entry set": np.concatenate([np.zeros(300), [1.0]]),
    "a pattern": np.resize(_ENTRIES, (5, 41)),
    "a pattern with exceptions": spiked(200, 3, 4, 117, 199).reshape(2, 100),
    "no pattern": np.arange(90.0).reshape(3, 30),
    "integers": np.resize([3, 1, 2], 80),
    "truths": np.resize([True, False, False], (2, 50)),
}


@pytest.mark.parametrize("array", ARRAYS.values(), ids=ARRAYS)
def test_recipes_and_code_give_back_the_array(array: Any) -> None:
    steps = recipe(array)
    assert steps["shape"] == list(array.shape)
    assert rebuilt(steps) == [written(entry) for entry in array.reshape(-1).tolist()]
    made = eval(tensor_code(array, "float64"), {"torch": torch})
    assert made.shape == array.shape
    assert np.array_equal(made.numpy(), array)
    assert np.array_equal(np.signbit(made.double().numpy()), np.signbit(array.astype(float)))


def test_a_pattern_that_repeats_is_stated_once() -> None:
    steps = recipe(spiked(65_000, 3, 64_999))
    assert steps["fill"] == written(_ENTRIES)
    assert set(steps["set"]) == {"3", "64999"}


def test_what_is_nearly_constant_stays_filled_with_one_value() -> None:
    array = np.zeros(500)
    array[[7, 8]] = 1.0
    assert recipe(array)["fill"] == "0x0.0p+0"
