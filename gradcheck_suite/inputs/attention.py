"""Adversarial queries, keys, values and masks for attention; numpy only, deterministic."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gradcheck_suite.floats import Format, round_to

Floats = NDArray[np.float64]
Triple = tuple[Floats, Floats, Floats]
"""Queries, keys and values."""

_CYCLE: Final = np.array([0.5, -1.25, 2.0, 0.125, -0.75, 1.5, -2.5, 0.875, 3.0, -0.25, 1.0, -1.75, 0.0625])


@dataclass(frozen=True, slots=True)
class Attention:
    """Queries (L, E), keys (S, E), values (S, Ev), an optional mask (L, S), and where they lie on a probe.

    A boolean mask is true where a key takes part; a float mask is added to the scores.
    """

    query: Floats
    key: Floats
    value: Floats
    label: str
    probe: str
    at: float
    mask: Any = field(default=None)
    curve: Callable[[float], Triple] | None = field(default=None, repr=False, compare=False)
    """Queries, keys and values at another place of the probe."""


def attentions(fmt: Format, *, full: bool) -> Iterator[Attention]:
    """Attention without masks: ordinary, far apart and degenerate scores, values that cancel or are huge."""
    q, k, v = arrays(3, 4)
    yield Attention(q, k, v, "ordinary entries", "scale", 1.0)
    for scale in (8.0, 64.0) if full else (8.0,):
        yield _along(lambda at: (_times(q, at, fmt), k, v), scale, "scores far apart", "scale")

    def both(at: float) -> Triple:
        return _times(q, at, fmt), _times(k, at, fmt), v

    yield _along(both, 2.0 ** (fmt.emax // 2), "scores past the largest float", "scale")
    if not full:
        return
    # The only query: beside others, what one that is sure of its key hands back would drown.
    yield Attention(q[2:] * 8.0, k, v, "one query, scores far apart", "scale", 8.0)
    yield Attention(q[:1], k[:1], v[:1], "one key", "keys", 1.0)
    yield Attention(q, np.resize(k[:1], (4, 4)), v, "equal keys", "equal keys", 4.0)
    yield _along(both, 2.0 ** (fmt.emin // 2 - 2), "scores below the smallest normal", "scale")
    yield _along(lambda at: (q, k, np.full((4, 3), at)), fmt.max, "values of the largest float", "value")
    alike, ones = np.resize(k[:1], (4, 4)), np.ones(3)
    big = 2.0 ** (fmt.precision + 2)
    yield _along(lambda at: (q, alike, np.outer([at, 1, -at, 1], ones)), big, "values that cancel", "value")
    yield _along(lambda at: (q, k, _times(v, at, fmt)), 2.0 ** (fmt.emax - 3), "huge values", "value")


def _along(
    curve: Callable[[float], Triple], at: float, label: str, probe: str, mask: Any = None
) -> Attention:
    """What stands at a place of a curve."""
    return Attention(*curve(at), label, probe, at, mask, curve)


def _times(x: Floats, scale: float, fmt: Format) -> Floats:
    with np.errstate(over="ignore"):
        return np.asarray(round_to(x * scale, fmt))


def long_attentions(fmt: Format, lengths: tuple[int, ...]) -> Iterator[Attention]:
    """Many equal keys, so that each weight is small and their sum long."""
    for n in lengths:
        q, k, v = np.ones((1, 1)), np.full((n, 1), 0.5), np.resize(_CYCLE, (n, 1))
        yield Attention(q, k, v, f"{n} equal keys", "keys", float(n))


def masked(fmt: Format) -> Iterator[Attention]:
    """Boolean masks: some keys, all but one, a row without any key, and huge keys behind the mask."""
    q, k, v = arrays(3, 4)
    some = np.array([[True, True, False, True], [False, True, False, False], [True, True, True, True]])
    yield Attention(q, k, v, "some keys masked", "masked keys", 1.0, some)
    # Beside it rows with one key, whose results are exact: an undefined row leaves others no range to lie in.
    none = np.eye(3, 4, dtype=bool)
    none[1] = False
    yield Attention(q, k, v, "a row with every key masked", "masked keys", 4.0, none)
    label = "a masked key with scores past the largest float"
    yield _along(
        lambda at: (q, np.stack([k[0], k[1], np.full(4, at), k[3]]), v),
        fmt.max / 2, label, "masked score", some[:2],
    )  # fmt: skip


def biased(fmt: Format) -> Iterator[Attention]:
    """Float masks: ordinary, -inf, large negative numbers, the most negative float, a row of -inf."""
    q, k, v = arrays(2, 4)
    bias = np.resize(_CYCLE[::-1], (2, 4))
    yield Attention(q, k, v, "an ordinary float mask", "mask", 1.0, bias)
    for value in (-1e4, -fmt.max, -np.inf):
        mask = bias.copy()
        mask[0, 1] = mask[1, 2:] = round_to(np.array(value), fmt)
        yield Attention(q, k, v, "a float mask", "mask", float(value), mask)
    mask = np.where(np.eye(2, 4, dtype=bool), bias, -np.inf)
    mask[1] = -np.inf
    yield Attention(q, k, v, "a row of -inf in a float mask", "masked keys", 4.0, mask)
    mask = np.resize(np.array([fmt.max / 2, 0.0, fmt.max / 2, -1.0]), (2, 4))
    yield Attention(q, k, v, "a mask of huge entries", "mask", fmt.max / 2, mask)


def special(fmt: Format) -> Iterator[Attention]:
    """An infinite value and a NaN, attended to and masked, and as an entry of a query and of a key."""
    q, k, v = arrays(2, 3)
    allowed = np.array([[True, True, False], [True, False, True]])
    for value, name in ((np.inf, "+inf"), (np.nan, "NaN")):
        changed = v.copy()
        changed[1, 0] = value
        for mask, where in ((None, ""), (allowed, ", masked for one query")):
            yield Attention(q, k, changed, f"one value {name}{where}", "special entries", 1.0, mask)
        for label, (query, keys) in {
            "query": (_with(q, value), k),
            "key": (q, _with(k, value)),
        }.items():
            yield Attention(query, keys, v, f"one entry of a {label} {name}", "special entries", 1.0)


def _with(matrix: Floats, value: float) -> Floats:
    """A matrix whose first entry is `value`."""
    changed = matrix.copy()
    changed[0, 0] = value
    return changed


def arrays(queries: int, keys: int) -> tuple[Floats, Floats, Floats]:
    """Ordinary queries and keys of width 4 and values of width 3."""
    q = np.resize(_CYCLE, (queries, 4))
    k = np.resize(np.roll(_CYCLE, 5), (keys, 4))
    v = np.resize(np.roll(_CYCLE, 3), (keys, 3))
    return q, k, v


def weights(rows: int, columns: int, shift: int) -> Floats:
    """An ordinary matrix with entries below 1."""
    return np.resize(np.roll(_CYCLE, shift), (rows, columns)) / 4


def packed_weights(width: int) -> dict[str, Floats]:
    """Ordinary weights of multi-head attention that is given those of query, key and value as one."""
    return {
        "in_proj_weight": weights(3 * width, width, 2),
        "query_bias": weights(1, width, 7)[0],
        "value_bias": weights(1, width, 9)[0],
        "out_proj_weight": weights(width, width, 4),
        "out_proj_bias": weights(1, width, 1)[0],
    }


def key_bias(width: int) -> Floats:
    """The bias of the keys, beside `packed_weights`.

    It moves all scores of a query alike: its gradient is 0 whatever the other numbers are, and what torch computes
    there is rounding noise. It takes part as a constant.
    """
    bias: Floats = weights(1, width, 8)[0]
    return bias
