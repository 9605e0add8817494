"""The nearest point of a hull, against cases that can be seen and against a fine grid of weights."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from gradcheck_suite.engine.nearest import chebyshev, nearest_point


def test_a_hull_around_the_origin_contains_it() -> None:
    points = np.array([[1.0, 0.0], [-1.0, 1.0], [-1.0, -1.0]])
    assert np.linalg.norm(nearest_point(points) @ points) < 1e-12


def test_nearest_point_of_a_segment_is_the_foot_of_the_perpendicular() -> None:
    points = np.array([[1.0, -1.0], [1.0, 3.0]])
    np.testing.assert_allclose(nearest_point(points) @ points, [1.0, 0.0], atol=1e-12)


def test_nearest_vertex() -> None:
    points = np.array([[2.0, 2.0], [3.0, 2.0], [2.0, 3.0]])
    np.testing.assert_allclose(nearest_point(points), [1.0, 0.0, 0.0])


@pytest.mark.parametrize("seed", range(12))
def test_against_a_grid(seed: int) -> None:
    points = np.random.RandomState(seed).uniform(-1, 2, (4, 3))
    grid = [np.array(w) / 24 for w in itertools.product(range(25), repeat=4) if sum(w) == 24]
    weights = nearest_point(points)
    assert weights.min() >= 0
    assert weights.sum() == pytest.approx(1)
    assert np.linalg.norm(weights @ points) <= min(np.linalg.norm(w @ points) for w in grid) + 1e-9


@pytest.mark.parametrize("seed", range(12))
def test_the_bound_of_the_maximum_norm_is_one(seed: int) -> None:
    points = np.random.RandomState(seed).uniform(-1, 3, (5, 4)) * 3
    grid = [np.array(w) / 12 for w in itertools.product(range(13), repeat=5) if sum(w) == 12]
    best = min(np.abs(w @ points).max() for w in grid)
    fit = chebyshev(points)
    assert fit.bound <= best + 1e-9
    assert fit.gap == pytest.approx(np.abs(fit.weights @ points).max())
    assert fit.gap >= fit.bound - 1e-9
    if best <= 0.95:
        assert fit.gap <= 1


def test_equal_points_and_one_point() -> None:
    assert chebyshev(np.array([[0.5, -0.5]])).gap == 0.5
    assert chebyshev(np.full((6, 2), 0.25)).gap == 0.25
