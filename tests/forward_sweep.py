"""Random configurations of the pooling, padding, column and sampling functions, and how each compares with the law.

for call in calls(seed, count): call.check()
"""

from dataclasses import dataclass, field

import ml_dtypes
import numpy as np
from conftest import FLOAT64_PROMISE, HALF_ULP, PROMISE

import convfast
from convfast import reference as ref

EXACT_DTYPES = ["?", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8", ml_dtypes.bfloat16]
FLOATS = ["f4", "f4", "f8", "f2", ml_dtypes.bfloat16]


@dataclass
class Call:
    name: str
    x: np.ndarray
    args: tuple = ()
    options: dict = field(default_factory=dict)

    def __str__(self):
        return f"{self.name}({self.x.dtype}{self.x.shape} strides {self.x.strides}, {self.args}, {self.options})"

    def run(self):
        return getattr(convfast, self.name)(self.x, *self.args, **self.options)

    def law(self, x=None, **more):
        return getattr(ref, self.name)(widened(self.x if x is None else x), *self.args, **{**self.options, **more})

    def check(self):
        got, expected = self.run(), self.law()
        if isinstance(got, tuple):
            np.testing.assert_array_equal(got[1], expected[1], str(self))
            got, expected = got[0], expected[0]
        assert got.shape == expected.shape, str(self)
        if got.dtype.kind in "biu" or self.is_exact():
            assert got.dtype == np.result_type(self.x) or self.name == "local_max_sum2d", str(self)
            np.testing.assert_array_equal(widened(got), expected, str(self))
            return
        size = self.magnitude()
        kind = got.dtype.name
        per_element = FLOAT64_PROMISE if kind == "float64" else PROMISE["highest"][0]
        subnormal = 2.0**-24 if kind == "float16" else 1e-37  # where a half unit is no longer relative
        bound = per_element * size + HALF_ULP.get(kind, 0) * np.abs(expected) + subnormal
        with np.errstate(invalid="ignore"):
            close = np.abs(widened(got) - expected) <= np.where(np.isfinite(expected), bound, 0)
            same = (widened(got) == expected) | (np.isnan(got) & np.isnan(expected))
        assert (close | same).all(), f"{self}: {np.argwhere(~(close | same))[:3].tolist()}"

    def magnitude(self):
        """What errors are measured against: the same of the magnitudes."""
        magnitudes = np.abs(widened(self.x).astype(np.float64))
        if self.name == "local_max_sum2d":
            options = {"stride": 1, "padding": "same", "divisor_override": 1, **self.options}
            return ref.avg_pool2d(magnitudes, *self.args, **options)
        return np.abs(self.law(magnitudes))

    def is_exact(self):
        exact = {
            "max_pool2d",
            "max_pool1d",
            "global_max_pool2d",
            "adaptive_max_pool2d",
            "pad2d",
            "crop_or_pad2d",
            "im2col",
        }
        return (
            self.name in exact
            or (self.name == "spatial_pyramid_pool2d" and self.options["mode"] == "max")
            or (self.name == "resize2d" and self.options["mode"] == "nearest")
        )


def widened(a):
    """The law knows NumPy's own dtypes: bfloat16 as float32, which holds all its values."""
    return a.astype(np.float32) if a.dtype == ml_dtypes.bfloat16 else a


def numbers(rng, shape, dtype, special=True):
    """Few different values, so that there are ties; NaN and infinities now and then."""
    dtype = np.dtype(dtype)
    if dtype.kind == "b":
        return rng.random(shape) < 0.3
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        x = rng.integers(max(info.min, -9), 10, shape).astype(dtype)
        x[rng.random(shape) < 0.02] = info.max
        x[rng.random(shape) < 0.02] = info.min
        return x
    x = np.round(rng.normal(size=shape) * 4) if rng.random() < 0.3 else rng.normal(size=shape)
    if special and rng.random() < 0.4:
        x[rng.random(shape) < 0.03] = rng.choice([np.nan, np.inf, -np.inf])
    return x.astype(dtype)


def laid_out(rng, x):
    """The same numbers with other strides."""
    way = rng.integers(8)
    if way == 0:
        return np.asfortranarray(x)
    if way == 1:
        wide = np.zeros((*x.shape[:-1], 2 * x.shape[-1] + 1), x.dtype)
        wide[..., 1::2] = x
        return wide[..., 1::2]
    if way == 2:
        return np.ascontiguousarray(x[..., ::-1])[..., ::-1]
    if way == 3 and x.ndim > 2:
        return np.ascontiguousarray(x[:1]).repeat(x.shape[0], 0)[:1].repeat(1, 0) if len(x) == 1 else x
    if way == 4:
        raw = np.zeros(x.nbytes + 1, np.uint8)
        unaligned = raw[1:].view(x.dtype).reshape(x.shape)
        unaligned[...] = x
        return unaligned
    if way == 5 and x.dtype.kind in "iuf" and x.dtype.itemsize > 1:
        return x.astype(x.dtype.newbyteorder())
    if way == 6:
        x = x.copy()
        x.flags.writeable = False
    return x


def image(rng, dtype, data_format, special=True, most=24):
    H, W = (int(n) for n in rng.integers(1, most, 2))
    if rng.random() < 0.3:
        W = int(rng.integers(1, 68))
    N, C = int(rng.integers(1, 3)), int(rng.choice([1, 2, 3, 5, 8, 17]))
    rank = int(rng.choice([2, 3, 4, 4, 4]))
    shape = {"NCHW": (N, C, H, W), "NHWC": (N, H, W, C)}[data_format] if rank == 4 else (
        (H, W) if rank == 2 else {"NCHW": (C, H, W), "NHWC": (H, W, C)}[data_format])  # fmt: skip
    return laid_out(rng, numbers(rng, shape, dtype, special)), H, W


def pick(rng, values):
    return values[rng.integers(len(values))]


def some_pair(rng, least, most):
    a, b = (int(n) for n in rng.integers(least, most + 1, 2))
    return pick(rng, [a, (a, b), [a, b]])


def both(value):
    return (value, value) if isinstance(value, int) else tuple(value)


def padding_below(rng, reach):
    """Numbers up to `reach`, or a word."""
    sides = [[int(rng.integers(0, r + 1)) for _ in range(2)] for r in reach]
    least = min(reach)
    return pick(rng, ["valid", "same", "SAME_LOWER", "full", 0, 0, least, (reach[0], least), sides, sides])


def window_options(rng, H, W, data_format, dilation=True):
    kernel = pick(rng, [1, 2, 3, some_pair(rng, 1, 5), some_pair(rng, 1, 14), (min(H, 40), min(W, 40))])
    step = pick(rng, [1, 1, 2, some_pair(rng, 1, 3)]) if dilation else 1
    reach = [d * (k - 1) for d, k in zip(both(step), both(kernel), strict=True)]
    padding = padding_below(rng, reach)
    fits = {"stride": pick(rng, [None, 1, 2, some_pair(rng, 1, 4)]), "padding": padding, "data_format": data_format}
    return kernel, fits | ({"dilation": step} if dilation else {})


def one_call(rng):
    """A call that the law accepts, or None."""
    data_format = pick(rng, ["NCHW", "NHWC"])
    name = pick(rng, [*["max_pool2d"] * 5, *["avg_pool2d"] * 5, "max_pool1d", "avg_pool1d", "adaptive_max_pool2d",
                      "adaptive_avg_pool2d", "global_max_pool2d", "global_avg_pool2d", "spatial_pyramid_pool2d",
                      "pad2d", "pad2d", "im2col", "col2im", "resize2d", "resize2d", "crop_or_pad2d",
                      "local_max_sum2d", "local_max_sum2d"])  # fmt: skip
    x, H, W = image(rng, pick(rng, EXACT_DTYPES if rng.random() < 0.5 else FLOATS), data_format)
    args, options = arguments(rng, name, x, H, W, data_format)
    if args is None:
        return None
    if name == "col2im":
        x = laid_out(rng, numbers(rng, args[-1], x.dtype.newbyteorder("="), special=False))
        args = args[:-1]
    if name.endswith("pool1d") and x.ndim == 4:
        x = x[0]
    if name == "local_max_sum2d" and x.dtype == np.uint64:
        x = x.astype(np.int64)
    call = Call(name, x, args, options)
    try:
        with np.errstate(all="ignore"):
            call.law()
    except ValueError:
        return None
    return call


def arguments(rng, name, x, H, W, data_format):
    """Arguments and options of a call; for col2im the shape of its columns comes last."""
    args, options = (), {"data_format": data_format}
    if name in ("max_pool2d", "avg_pool2d"):
        kernel, options = window_options(rng, H, W, data_format, name == "max_pool2d")
        args, options["ceil_mode"] = (kernel,), bool(rng.integers(2))
        if name == "max_pool2d":
            options["return_indices"] = bool(rng.integers(2))
        else:
            options["count_include_pad"] = pick(rng, [None, True, False])
            options["divisor_override"] = pick(rng, [None, None, 3, -2.5])
    elif name in ("max_pool1d", "avg_pool1d"):
        args = (int(rng.integers(1, 12)),)
        options |= {"stride": pick(rng, [None, 1, 2, 3]), "padding": pick(rng, ["same", 0, "full", (args[0] // 2, 0)])}
    elif name.startswith("adaptive"):
        args = (some_pair(rng, 1, 9),)
    elif name.startswith("global"):
        options["keepdims"] = bool(rng.integers(2))
    elif name == "spatial_pyramid_pool2d":
        options |= {"levels": pick(rng, [(4, 2, 1), [3], (1, 5)]), "mode": pick(rng, ["max", "avg"])}
    elif name == "pad2d":
        sides = rng.integers(-3, 9, (2, 2)).tolist()
        mode = pick(rng, ["constant", "constant", "edge", "reflect", "symmetric", "wrap"])
        args = (pick(rng, [sides, sides, int(sides[0][0]), "same", "full"]),)
        options |= {"mode": mode, "value": pick(rng, [0, 1]), "kernel_size": some_pair(rng, 1, 4),
                    "stride": some_pair(rng, 1, 3), "dilation": some_pair(rng, 1, 2)}  # fmt: skip
        if mode == "constant":
            options["interior"] = some_pair(rng, 0, 3)
    elif name == "im2col":
        kernel, options = window_options(rng, H, W, data_format)
        args, options["stride"] = (kernel,), options["stride"] or 1
    elif name == "col2im":
        kernel, options = window_options(rng, H, W, data_format)
        options["stride"] = options["stride"] or 1
        try:
            args = ((H, W), kernel, ref.im2col(widened(x), kernel, **options).shape)
        except ValueError:
            return None, None
    elif name == "resize2d":
        mode = pick(rng, ["nearest", "bilinear"])
        options |= {"mode": mode, "align_corners": mode == "bilinear" and bool(rng.integers(2))}
        options |= pick(rng, [{"scale": 2}, {"scale": (0.7, 1.5)}, {"size": some_pair(rng, 1, 40)}])
    elif name == "crop_or_pad2d":
        args = (some_pair(rng, 1, 30),)
    elif name == "local_max_sum2d":
        args = (pick(rng, [1, 3, 5, (1, 3), (7, 5), (11, 13), (101, 3)]),)
    return args, options


def calls(seed, count):
    rng = np.random.default_rng(seed)
    found = 0
    while found < count:
        call = one_call(rng)
        if call is not None:
            found += 1
            yield call
