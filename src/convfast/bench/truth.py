"""The arrays of a layer, and its exact result in float64: what every answer is held against."""

import zlib

import numpy as np

from convfast import reference
from convfast.bench.layers import Conv, Gradient, Pool

# An error above this share of A = abs(x) conv abs(w) is no rounding: float32 sums stay below 1e-5, Winograd below 1e-4.
WRONG = 1e-3


def arrays(layer):
    """x and w (None for layers without weights): normal numbers, the same in every process.

    Of an input gradient grad and w, of a weight gradient x and grad.
    """
    random = np.random.default_rng(zlib.crc32(layer.name.encode()))
    if isinstance(layer, Gradient):
        shapes = [layer.output_shape, layer.w_shape] if layer.of == "input" else [layer.x_shape, layer.output_shape]
        return tuple(random.standard_normal(shape, np.float32) for shape in shapes)
    x = random.standard_normal(layer.x_shape, np.float32)
    w = random.standard_normal(layer.w_shape, np.float32) if isinstance(layer, Conv) else None
    return x, w


def in_layout(x, layout):
    """An NCHW array as one of the layout."""
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1)) if layout == "NHWC" else x


def to_nchw(y, layout, layer=None):
    """The answer of a layer by (N, C, H, W), filters by (K, C, R, S)."""
    if layout != "NHWC":
        return y
    return y.transpose(3, 2, 0, 1) if getattr(layer, "of", None) == "weight" else y.transpose(0, 3, 1, 2)


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


def gradient64(layer, a, b):
    """The same for the gradients: what arrays(layer) gives, to the other operand."""
    N, K, P, Q = layer.output_shape
    g, (top, left), (down, right), (dh, dw) = layer.groups, layer.padding, layer.stride, layer.dilation
    c, k, (H, W) = layer.C // g, K // g, (layer.H + 2 * top, layer.W + 2 * left)
    a, b = a.astype(np.float64), b.astype(np.float64)
    padded = np.zeros((N, layer.C, H, W))
    if layer.of == "input":
        grad, w = a.reshape(N, g, k, P * Q), b.reshape(g, k, c, layer.R, layer.S)
    else:
        padded[:, :, top : H - top, left : W - left] = a
        grad, w = b.reshape(N, g, k, P * Q), np.zeros((g, k, c, layer.R, layer.S))
    for r in range(layer.R):
        for s in range(layer.S):
            seen = padded[:, :, r * dh :: down, s * dw :: right][:, :, :P, :Q]
            if layer.of == "input":
                seen += (w[..., r, s].transpose(0, 2, 1) @ grad).reshape(seen.shape)
            else:
                cells = np.ascontiguousarray(seen).reshape(N, g, c, P * Q)
                w[..., r, s] = (grad @ cells.transpose(0, 1, 3, 2)).sum(axis=0)
    return padded[:, :, top : H - top, left : W - left] if layer.of == "input" else w.reshape(layer.w_shape)


def exact(layer, x, w):
    """The result in float64, and A, the size of what was added up."""
    if isinstance(layer, Gradient):
        return gradient64(layer, x, w), gradient64(layer, np.abs(x), np.abs(w))
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
