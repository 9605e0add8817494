"""The loops of `kernels.NumbaKernel`; importing this needs numba, the extra of that name.

One loop for one thing, over slices that begin at 0 and fit the first-level cache: then LLVM turns each into vector
instructions.  Compiling takes some seconds, once on a machine.
"""

from __future__ import annotations

import numba
import numpy as np

from gradcheck_suite.engine.sweep.kernels import BASE, BINS, HAIR, MAGNITUDE, SHIFT

# What fits the first-level cache, several times.
_TILE = 512


@numba.njit(cache=True, nogil=True, inline="always")
def _horner(x, centre, inverse, c, t, v):  # type: ignore[no-untyped-def]
    """The polynomial c in t = (x - centre)*inverse into v; t is overwritten."""
    for i in range(x.size):
        t[i] = (np.float64(x[i]) - centre) * inverse
        v[i] = c[c.size - 1]
    for j in range(c.size - 2, -1, -1):
        cj = c[j]
        for i in range(x.size):
            v[i] = v[i] * t[i] + cj


@numba.njit(cache=True, nogil=True, inline="always")
def _errors(  # type: ignore[no-untyped-def]
    got, limit, infinity, lowest, highest, base, factor, factor_bits, v, bits
):
    """Overwrite values v, whose bits are a view of them, by |got - v|/ulp(v); NaN for NaN."""
    for i in range(got.size):
        r = v[i]
        r = infinity if r >= limit else r
        v[i] = -infinity if r <= -limit else r
    for i in range(got.size):
        e = ((bits[i] & MAGNITUDE) - HAIR) >> 52
        e = lowest if e < lowest else e
        e = highest if e > highest else e
        factor_bits[i] = (base - e) << 52
    for i in range(got.size):
        g = np.float64(got[i])
        g = infinity if g > infinity else g
        g = -infinity if g < -infinity else g
        v[i] = np.abs(g - v[i]) * factor[i]


@numba.njit(cache=True, nogil=True)
def run(  # type: ignore[no-untyped-def]
    x,
    got,
    centre,
    inverse,
    c,
    half,
    small,
    threshold,
    limit,
    infinity,
    lowest,
    highest,
    base,
    histogram,
    suspects,
):
    """See `kernels.Kernel.run`; `small` are the bits of an error below which one is in the first bin."""
    t, v, factor = np.empty(_TILE), np.empty(_TILE), np.empty(_TILE)
    bits, factor_bits = v.view(np.int64), factor.view(np.int64)
    bins = np.empty(_TILE, dtype=np.uint8)
    # Four histograms in turn: a counter that was just written cannot be read at once.
    part = np.zeros((4, BINS), dtype=np.int64)
    rounded, worst, at, count, none = 0, np.int64(-1), 0, 0, 0
    for start in range(0, x.size, _TILE):
        xs, gs = x[start : start + _TILE], got[start : start + _TILE]
        size = xs.size
        _horner(xs, centre, inverse, c, t, v)
        _errors(gs, limit, infinity, lowest, highest, base, factor, factor_bits, v, bits)
        top = np.int64(-1)
        for i in range(size):
            top = max(top, bits[i])
        if top > worst:
            for i in range(size):
                if bits[i] > worst:
                    worst, at = bits[i], start + i
        if top < small:
            # Where a function is affine nothing else happens over a hundred binades.
            none += size
            continue
        for i in range(size):
            rounded += v[i] <= half
        for i in range(size):
            k = (bits[i] >> SHIFT) - BASE
            k = 0 if k < 0 else k
            bins[i] = BINS - 1 if k > BINS - 1 else k
        for i in range(0, size - 3, 4):
            part[0, bins[i]] += 1
            part[1, bins[i + 1]] += 1
            part[2, bins[i + 2]] += 1
            part[3, bins[i + 3]] += 1
        for i in range(size - size % 4, size):
            part[0, bins[i]] += 1
        if top > threshold:
            for i in range(size):
                if bits[i] > threshold:
                    suspects[count] = start + i
                    count += 1
    for k in range(BINS):
        histogram[k] += part[0, k] + part[1, k] + part[2, k] + part[3, k]
    histogram[0] += none
    return rounded + none, worst, at, count


@numba.njit(cache=True, nogil=True)
def closely(  # type: ignore[no-untyped-def]
    x, got, centre, inverse, c, limit, infinity, lowest, highest, base, exact, error
):
    """See `kernels.Kernel.closely`."""
    t, v, factor = np.empty(_TILE), np.empty(_TILE), np.empty(_TILE)
    bits, factor_bits = v.view(np.int64), factor.view(np.int64)
    for start in range(0, x.size, _TILE):
        xs, gs = x[start : start + _TILE], got[start : start + _TILE]
        es, rs = exact[start : start + _TILE], error[start : start + _TILE]
        _horner(xs, centre, inverse, c, t, v)
        for i in range(xs.size):
            es[i] = v[i]
        _errors(gs, limit, infinity, lowest, highest, base, factor, factor_bits, v, bits)
        for i in range(xs.size):
            rs[i] = v[i]


@numba.njit(cache=True, nogil=True)
def within(x, got, exact, step, centre, inverse, c, inside):  # type: ignore[no-untyped-def]
    """See `kernels.Kernel.within`, for float32."""
    moved, t, low, high = np.empty(_TILE), np.empty(_TILE), np.empty(_TILE), np.empty(_TILE)
    for start in range(0, x.size, _TILE):
        xs, gs = x[start : start + _TILE], got[start : start + _TILE]
        es, found = exact[start : start + _TILE], inside[start : start + _TILE]
        for i in range(xs.size):
            moved[i] = xs[i] * (1 - step)
        _horner(moved[: xs.size], centre, inverse, c, t, low)
        for i in range(xs.size):
            moved[i] = xs[i] * (1 + step)
        _horner(moved[: xs.size], centre, inverse, c, t, high)
        for i in range(xs.size):
            least = min(low[i], high[i], es[i])
            most = max(low[i], high[i], es[i])
            least, most = np.float64(np.float32(least)), np.float64(np.float32(most))
            low[i] = np.float64(np.float32(least - np.abs(least) * step))
            high[i] = np.float64(np.float32(most + np.abs(most) * step))
        for i in range(xs.size):
            found[i] = (gs[i] >= low[i]) & (gs[i] <= high[i])
