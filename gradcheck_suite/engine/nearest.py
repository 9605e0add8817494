"""The point of a convex hull nearest to the origin, in the Euclidean and in the maximum norm."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_STEPS = 200
_REWEIGHTINGS = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """A convex combination of points: its weights, where it lies, and how far that is from 0.

    `gap` is the largest magnitude of an entry of the combination, `bound` a proven lower bound of the
    smallest gap that any combination has, `norm` the Euclidean distance of the hull and `residual` the point
    at that distance.
    """

    weights: Floats
    residual: Floats
    norm: float
    gap: float
    bound: float


def chebyshev(points: Floats) -> Fit:
    """The combination of the rows of `points` whose largest entry is smallest, as far as 1 has to be told
    apart.

    Lawson's algorithm (Lawson 1961): reweighted least squares, here over the simplex, where each step's
    weighted norm is a lower bound.  Stops once the gap is at most 1 or the bound above 1.
    """
    weights = nearest_point(points)
    residual = weights @ points
    norm, best, chosen = float(np.linalg.norm(residual)), _largest(residual), weights
    entries = points.shape[1]
    share = np.full(entries, 1.0 / entries)
    bound = norm / np.sqrt(entries)
    for _ in range(_REWEIGHTINGS):
        if best <= 1.0 or bound > 1.0:
            break
        share = share * np.abs(weights @ points)
        if not share.sum() > 0:
            break
        share /= share.sum()
        scaled = points * np.sqrt(share)
        weights = nearest_point(scaled)
        bound = max(bound, float(np.linalg.norm(weights @ scaled)))
        gap = _largest(weights @ points)
        if gap < best:
            best, chosen = gap, weights
    return Fit(weights=chosen, residual=residual, norm=norm, gap=best, bound=bound)


def _largest(x: Floats) -> float:
    return float(np.abs(x).max(initial=0.0))


def nearest_point(points: Floats) -> Floats:
    """Weights of the convex combination of the rows of `points` with the smallest Euclidean norm.

    Wolfe 1976, "Finding the nearest point in a polytope": an active set that grows by the most opposed point
    and shrinks where the affine minimiser leaves the simplex.
    """
    squares = np.einsum("ij,ij->i", points, points)
    active = [int(squares.argmin())]
    weights = np.array([1.0])
    slack = 1e-13 * max(float(squares.max()), 1e-300)
    for _ in range(_STEPS):
        here = weights @ points[active]
        scores = points @ here
        worst = int(scores.argmin())
        if worst in active or scores[worst] >= here @ here - slack:
            break
        active.append(worst)
        weights = np.append(weights, 0.0)
        active, weights = _settled(points, active, weights)
    out = np.zeros(len(points))
    out[active] = weights
    return out


def _settled(points: Floats, active: list[int], weights: Floats) -> tuple[list[int], Floats]:
    """Move to the affine minimiser of the active points, dropping those whose weight reaches 0 on the way."""
    while True:
        target = _affine_minimiser(points[active])
        if (target > 1e-12).all():
            return active, target
        falling = target <= 1e-12
        ratio = weights[falling] / np.maximum(weights[falling] - target[falling], 1e-300)
        step = min(1.0, float(ratio.min()))
        weights = np.maximum((1 - step) * weights + step * target, 0.0)
        keep = weights > 1e-12
        if keep.all():
            keep[int(np.where(falling, weights, np.inf).argmin())] = False
        active = [a for a, k in zip(active, keep, strict=True) if k]
        weights = weights[keep] / weights[keep].sum()


def _affine_minimiser(rows: Floats) -> Floats:
    """Weights of sum 1, of any sign, of the smallest combination."""
    count = len(rows)
    scale = max(float(np.abs(rows).max()), 1e-300)
    gram = (rows / scale) @ (rows / scale).T
    system = np.ones((count + 1, count + 1))
    system[0, 0] = 0.0
    system[1:, 1:] = gram
    wanted = np.zeros(count + 1)
    wanted[0] = 1.0
    return np.asarray(np.linalg.lstsq(system, wanted, rcond=None)[0][1:])
