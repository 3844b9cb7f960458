"""Libraries for images and signals: SciPy and OpenCV."""

import numpy as np

from convfast.bench.contenders.base import Contender, Row, Unsupported, sides


def planes_only(layer):
    """Filters for single planes: y[n, c] = x[n, c] * w[c]; all of the padded image that a centred filter sees."""
    if layer.K != layer.C or layer.groups != layer.C:
        raise Unsupported("filters of one channel only")
    if layer.dilation != (1, 1) or layer.padding[0] > layer.R // 2 or layer.padding[1] > layer.S // 2:
        raise Unsupported("no dilation, no padding beyond half the filter")


def centred(layer):
    """Where the wanted outputs stand in the result of a filter whose centre is at R // 2, S // 2."""
    return tuple(
        slice(size // 2 - pad, size // 2 - pad + (out - 1) * stride + 1, stride)
        for size, pad, out, stride in zip(
            (layer.R, layer.S), layer.padding, (layer.P, layer.Q), layer.stride, strict=True
        )
    )


class Signal(Contender):
    """scipy.signal.correlate, one filter after the other; directly or by FFT, whichever it estimates to be faster."""

    library = "scipy.signal"
    package = "scipy"
    modules = ("scipy",)
    rows = (Row("scipy.signal", weights="raw"),)
    most_flops = 5e7

    def start(self, threads):
        import scipy.signal

        self.signal = scipy.signal
        return "one thread" if threads > 1 else None

    def conv(self, layer, row, x, w):
        if layer.dilation != (1, 1):
            raise Unsupported("no dilation")
        C, K = layer.C // layer.groups, layer.K // layer.groups
        step = (slice(None, None, layer.stride[0]), slice(None, None, layer.stride[1]))
        padded = np.pad(x, sides(layer.padding)) if any(layer.padding) else x
        method = self.signal.choose_conv_method(padded[0, :C], w[0], mode="valid")

        def call():
            images = np.pad(x, sides(layer.padding)) if any(layer.padding) else x
            y = np.empty(layer.output_shape, x.dtype)
            for n in range(layer.N):
                for k in range(layer.K):
                    seen = images[n, k // K * C :][:C]
                    y[n, k] = self.signal.correlate(seen, w[k], mode="valid", method=method)[0][step]
            return y

        return call


class NdImage(Contender):
    """scipy.ndimage.correlate, plane by plane."""

    library = "scipy.ndimage"
    package = "scipy"
    modules = ("scipy",)
    rows = (Row("scipy.ndimage", weights="raw"),)
    most_flops = 1.5e8

    def start(self, threads):
        import scipy.ndimage

        self.correlate = scipy.ndimage.correlate
        return "one thread" if threads > 1 else None

    def conv(self, layer, row, x, w):
        planes_only(layer)
        where = centred(layer)

        def call():
            y = np.empty(layer.output_shape, x.dtype)
            for n in range(layer.N):
                for c in range(layer.C):
                    y[n, c] = self.correlate(x[n, c], w[c, 0], mode="constant")[where]
            return y

        return call


class OpenCV(Contender):
    """cv2.filter2D for planes, plane by plane; blur and copyMakeBorder for channels-last images."""

    library = "opencv"
    package = "opencv-python-headless"
    modules = ("cv2",)
    rows = (Row("opencv", weights="raw"),)

    @classmethod
    def version(cls):
        import cv2

        return cv2.__version__

    def start(self, threads):
        import cv2

        self.cv2 = cv2
        cv2.setNumThreads(threads)

    def conv(self, layer, row, x, w):
        planes_only(layer)
        cv2, where = self.cv2, centred(layer)
        zeros = cv2.BORDER_CONSTANT
        if layer.N == layer.C == 1:
            plane, taps = x[0, 0], w[0, 0]
            return lambda: cv2.filter2D(plane, -1, taps, borderType=zeros)[where][None, None]

        def call():
            y = np.empty(layer.output_shape, x.dtype)
            for n in range(layer.N):
                for c in range(layer.C):
                    y[n, c] = cv2.filter2D(x[n, c], -1, w[c, 0], borderType=zeros)[where]
            return y

        return call

    def pad(self, layer, row, x):
        cv2, (h, w) = self.cv2, layer.padding
        return lambda: np.stack([
            [cv2.copyMakeBorder(plane, h, h, w, w, cv2.BORDER_CONSTANT) for plane in image] for image in x
        ])  # fmt: skip
