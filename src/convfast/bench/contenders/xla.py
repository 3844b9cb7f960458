"""JAX: XLA's compiler for CPUs."""

import numpy as np

from convfast.bench.contenders.base import Contender, Row


class Jax(Contender):
    library = "jax"
    modules = ("jax",)
    rows = (
        Row("jax"),
        Row("jax NHWC", layout="NHWC"),
        Row("jax raw", weights="raw"),
        Row("jax NHWC raw", layout="NHWC", weights="raw"),
    )

    def start(self, threads):
        import jax

        self.jax = jax
        return "has no setting for threads: it takes one for every CPU it may use, which the affinity limits"

    def conv(self, layer, row, x, w):
        jax = self.jax
        filters = {"NCHW": "OIHW", "NHWC": "HWIO"}[row.layout]
        if row.layout == "NHWC":
            w = w.transpose(2, 3, 1, 0).copy()

        @jax.jit
        def conv(x, w):
            return jax.lax.conv_general_dilated(
                x, w, window_strides=layer.stride, padding=[(p, p) for p in layer.padding],
                rhs_dilation=layer.dilation, feature_group_count=layer.groups,
                dimension_numbers=(row.layout, filters, row.layout), precision=jax.lax.Precision.HIGHEST,
            )  # fmt: skip

        if row.weights == "packed":
            w = jax.device_put(w)
        return lambda: np.asarray(conv(x, w))

    def pool(self, layer, row, x):
        jax, cells = self.jax, float(np.prod(layer.kernel))

        def shape(pair, rest):
            return (rest, rest, *pair) if row.layout == "NCHW" else (rest, *pair, rest)

        window, stride = shape(layer.kernel, 1), shape(layer.stride, 1)
        padding = shape([(p, p) for p in layer.padding], (0, 0))

        @jax.jit
        def pool(x):
            if layer.kind == "max":
                return jax.lax.reduce_window(x, -np.inf, jax.lax.max, window, stride, padding)
            return jax.lax.reduce_window(x, 0.0, jax.lax.add, window, stride, padding) / cells

        return lambda: np.asarray(pool(x))

    def pad(self, layer, row, x):
        pairs = [(p, p) for p in layer.padding]
        width = [(0, 0), (0, 0), *pairs] if row.layout == "NCHW" else [(0, 0), *pairs, (0, 0)]
        pad = self.jax.jit(lambda x: self.jax.numpy.pad(x, width))
        return lambda: np.asarray(pad(x))
