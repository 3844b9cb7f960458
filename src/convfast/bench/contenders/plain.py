"""What needs no library beside NumPy: loops in Python, loops in C, the NumPy idiom."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from convfast.bench.contenders.base import Contender, Row, Unsupported, sides


class PythonLoops(Contender):
    """Seven nested for loops: what everybody writes first."""

    library = "python"
    package = "numpy"
    rows = (Row("python loops", weights="raw"),)
    most_flops = 2e6  # about half a second

    def conv(self, layer, row, x, w):
        from convfast.reference import conv2d_loops

        return lambda: conv2d_loops(x, w, **layer.options)


class CLoops(Contender):
    """The same loops in C, -O2, one thread."""

    library = "c"
    package = "convfast"
    rows = (Row("C loops", weights="raw"),)
    most_flops = 1e9

    def start(self, threads):
        return "one thread, as naive loops have" if threads > 1 else None

    def conv(self, layer, row, x, w):
        from convfast._core import naive_conv2d

        return lambda: naive_conv2d(x, w, **layer.options)


class NumPy(Contender):
    """Windows copied into columns, then one matmul; for depthwise filters a product for every tap."""

    library = "numpy"
    rows = (Row("numpy", weights="raw"),)

    def start(self, threads):
        return "its BLAS takes threads from the environment"

    def conv(self, layer, row, x, w):
        return (lambda: depthwise(layer, x, w)) if layer.depthwise else (lambda: columns(layer, x, w))

    def gradient(self, layer, row, x, w):
        if layer.of == "input":
            return lambda: input_columns(layer, x, w)
        return lambda: weight_columns(layer, x, w)

    def pool(self, layer, row, x):
        reduce = {"max": np.max, "avg": np.mean}[layer.kind]
        fill = {"max": -np.inf, "avg": 0}[layer.kind]

        def call():
            padded = np.pad(x, sides(layer.padding), constant_values=fill) if any(layer.padding) else x
            return reduce(windows(padded, layer.kernel, layer.stride), axis=(4, 5))

        return call

    def pad(self, layer, row, x):
        return lambda: np.pad(x, sides(layer.padding))


def windows(x, kernel, stride, dilation=(1, 1), writeable=False):
    """(N, C, P, Q, R, S): a view."""
    extent = [d * (size - 1) + 1 for size, d in zip(kernel, dilation, strict=True)]
    view = sliding_window_view(x, extent, axis=(2, 3), writeable=writeable)
    return view[:, :, :: stride[0], :: stride[1], :: dilation[0], :: dilation[1]]


def seen_cells(layer, x):
    """(N, groups, C / groups * R * S, P * Q): a copy."""
    N, _, P, Q = layer.output_shape
    padded = np.pad(x, sides(layer.padding)) if any(layer.padding) else x
    seen = windows(padded, (layer.R, layer.S), layer.stride, layer.dilation)
    return seen.transpose(0, 1, 4, 5, 2, 3).reshape(N, layer.groups, -1, P * Q)


def columns(layer, x, w):
    N, K, P, Q = layer.output_shape
    g = layer.groups
    return np.matmul(w.reshape(g, K // g, -1), seen_cells(layer, x)).reshape(N, K, P, Q)


def input_columns(layer, grad, w):
    """One matmul, whose columns are added to the cells they came from."""
    N, K, P, Q = layer.output_shape
    g, (h, v) = layer.groups, layer.padding
    cells = np.matmul(w.reshape(g, K // g, -1).transpose(0, 2, 1), grad.reshape(N, g, K // g, P * Q))
    cells = cells.reshape(N, layer.C, layer.R, layer.S, P, Q)
    padded = np.zeros((N, layer.C, layer.H + 2 * h, layer.W + 2 * v), grad.dtype)
    seen = windows(padded, (layer.R, layer.S), layer.stride, layer.dilation, writeable=True)
    for r in range(layer.R):
        for s in range(layer.S):
            seen[..., r, s] += cells[:, :, r, s]
    return padded[:, :, h : h + layer.H, v : v + layer.W]


def weight_columns(layer, x, grad):
    N, K, P, Q = layer.output_shape
    g = layer.groups
    each = np.matmul(grad.reshape(N, g, K // g, P * Q), seen_cells(layer, x).transpose(0, 1, 3, 2))
    return each.sum(axis=0).reshape(layer.w_shape)


def depthwise(layer, x, w):
    if layer.K != layer.C:
        raise Unsupported("more than one filter for a channel")
    padded = np.pad(x, sides(layer.padding)) if any(layer.padding) else x
    y = np.zeros(layer.output_shape, x.dtype)
    seen = windows(padded, (layer.R, layer.S), layer.stride, layer.dilation)
    for r in range(layer.R):
        for s in range(layer.S):
            y += seen[..., r, s] * w[:, 0, r, s, None, None]
    return y
