"""convfast itself."""

from convfast.bench.contenders.base import Contender, Row, Unsupported


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
