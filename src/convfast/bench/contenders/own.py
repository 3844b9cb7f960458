"""convfast itself."""

from functools import partial

from convfast.bench.contenders.base import Contender, Row, Unsupported
from convfast.bench.layers import Gradient
from convfast.bench.truth import in_layout


class Convfast(Contender):
    library = "convfast"
    rows = (
        Row("convfast"),
        Row("convfast NHWC", layout="NHWC"),
        Row("convfast raw", weights="raw"),
        Row("convfast NHWC raw", layout="NHWC", weights="raw"),
        Row("convfast high", precision="high", winograd=True),
        Row("convfast NHWC high", layout="NHWC", precision="high", winograd=True),
        Row("convfast medium", precision="medium", winograd=True),
    )

    @classmethod
    def rows_for(cls, layer):
        rows = super().rows_for(layer)
        high = tuple(row for row in cls.rows if row.precision == "high") if isinstance(layer, Gradient) else ()
        return rows + high

    def start(self, threads):
        import convfast

        self.module = convfast
        convfast.set_num_threads(threads)

    def conv(self, layer, row, x, w):
        convfast = self.module
        options = dict(layer.options, data_format=row.layout)
        if row.layout == "NHWC":
            w = w.transpose(2, 3, 1, 0).copy()
        if row.precision != "highest":
            same = convfast.Conv2D(w, precision="highest", **options)(x).tobytes()
            if convfast.Conv2D(w, precision=row.precision, **options)(x).tobytes() == same:
                raise Unsupported('the same bits as "highest": the same computation')
        if row.weights == "raw":
            return lambda: convfast.conv2d(x, w, precision=row.precision, **options)
        convolve = convfast.Conv2D(w, precision=row.precision, **options)
        return lambda: convolve(x)

    def gradient(self, layer, row, x, w):
        convfast = self.module
        options = dict(layer.options, data_format=row.layout)
        if layer.of == "weight":
            w, kernel = in_layout(w, row.layout), (layer.R, layer.S)
            call = partial(convfast.conv2d_weight_grad, x, w, kernel, **options)
        else:
            w = w.transpose(2, 3, 1, 0).copy() if row.layout == "NHWC" else w
            N, C, H, W = layer.x_shape
            shape = (N, H, W, C) if row.layout == "NHWC" else layer.x_shape
            call = partial(convfast.conv2d_input_grad, x, w, shape, **options)
        timed = partial(call, precision=row.precision)
        if row.precision != "highest" and timed().tobytes() == call(precision="highest").tobytes():
            raise Unsupported('the same bits as "highest": the same computation')
        return timed

    def pool(self, layer, row, x):
        pool = getattr(self.module, f"{layer.kind}_pool2d", None)
        if pool is None:
            raise Unsupported("no pooling")
        options = dict(layer.options, data_format=row.layout)
        return lambda: pool(x, **options)

    def pad(self, layer, row, x):
        pad = getattr(self.module, "pad2d", None)
        if pad is None:
            raise Unsupported("no padding")
        return lambda: pad(x, layer.padding, data_format=row.layout)
