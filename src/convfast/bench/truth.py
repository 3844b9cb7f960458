"""The arrays of a layer, and its exact result in float64: what every answer is held against."""

import zlib

import numpy as np

from convfast import reference
from convfast.bench.layers import Conv, Pool

# An error above this share of A = abs(x) conv abs(w) is no rounding: float32 sums stay below 1e-5, Winograd below 1e-4.
WRONG = 1e-3


def arrays(layer):
    """x and w (None for layers without weights): normal numbers, the same in every process."""
    random = np.random.default_rng(zlib.crc32(layer.name.encode()))
    x = random.standard_normal(layer.x_shape, np.float32)
    w = random.standard_normal(layer.w_shape, np.float32) if isinstance(layer, Conv) else None
    return x, w


def in_layout(x, layout):
    """An NCHW array as one of the layout."""
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1)) if layout == "NHWC" else x


def to_nchw(y, layout):
    return y.transpose(0, 3, 1, 2) if layout == "NHWC" else y


def conv64(layer, x, w):
    """A matrix product in float64 for every tap: plain, and fast enough for every layer of the table."""
    N, K, P, Q = layer.output_shape
    g, (top, left), (down, right), (dh, dw) = layer.groups, layer.padding, layer.stride, layer.dilation
    x = np.pad(x.astype(np.float64), ((0, 0), (0, 0), (top, top), (left, left)))
    w = w.astype(np.float64).reshape(g, K // g, layer.C // g, layer.R, layer.S)
    y = np.zeros((N, g, K // g, P * Q))
    for r in range(layer.R):
        for s in range(layer.S):
            seen = x[:, :, r * dh :: down, s * dw :: right][:, :, :P, :Q]
            y += w[..., r, s] @ np.ascontiguousarray(seen).reshape(N, g, layer.C // g, P * Q)
    return y.reshape(N, K, P, Q)


def exact(layer, x, w):
    """The result in float64, and A, the size of what was added up."""
    if isinstance(layer, Conv):
        return conv64(layer, x, w), conv64(layer, np.abs(x), np.abs(w))
    if isinstance(layer, Pool) and layer.kind == "avg":
        x = x.astype(np.float64)
        return reference.avg_pool2d(x, **layer.options), reference.avg_pool2d(np.abs(x), **layer.options)
    y = reference.max_pool2d(x, **layer.options) if isinstance(layer, Pool) else reference.pad2d(x, layer.padding)
    return y.astype(np.float64), np.abs(y)


def error(y, truth, A):
    """The largest error in units of A, and what is wrong with the answer ("" if nothing)."""
    if y.shape != truth.shape:
        return np.inf, f"shape {y.shape} instead of {truth.shape}"
    if not np.isfinite(y).all():
        return np.inf, "not finite"
    off = np.abs(y - truth)
    worst = float(np.max(off / np.maximum(A, np.finfo(np.float32).tiny), initial=0))
    return worst, f"error {worst:.1e} of A, above {WRONG:.0e}" if worst > WRONG else ""
