"""`python -m convfast selftest`: proves an installation on this machine, in a few seconds.

Every topic compares the compiled kernels with `convfast.reference`: exactly where the data are integers, within the
promise of the precision where they are not. The test suite does the same at length; this is for users.
"""

import os
import signal
import sys
import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np

import convfast
from convfast import _core, reference

CONFIGURATIONS = 200  # for each ISA: every dtype, layout and padding mode meets every other several times
HIGHEST = 2e-6  # the promise of precision="highest", times abs(x) conv abs(w)
HIGH = 1.5e-5  # the promise of precision="high", times its largest value in the image
FORK_SECONDS = 20

DTYPES = (np.float32, np.float64, np.float16, np.int8, np.uint8, np.int16, np.int32, np.int64)
PADDING_MODES = ("constant", "edge", "reflect", "symmetric", "wrap")


class Different(Exception):
    """A result that is not what it must be."""


def check(good, what):
    if not good:
        raise Different(what)


def random_case(rng):
    """A small convolution: arrays of small integers, so that every sum is exact in every dtype, and its options."""
    layout = rng.choice(["NCHW", "NHWC"])
    dtype = DTYPES[rng.integers(len(DTYPES))]
    groups = int(rng.choice([1, 1, 1, 2, 3]))
    N, C, K = rng.integers(1, 3), groups * rng.integers(1, 6), groups * rng.integers(1, 20)
    R, S = rng.integers(1, 5, 2)
    stride, dilation = rng.integers(1, 4, 2), rng.integers(1, 3, 2)
    H, W = dilation * (np.array([R, S]) - 1) + 1 + rng.integers(0, 24, 2)
    numbers = tuple(tuple(map(int, side)) for side in rng.integers(0, 3, (2, 2)))
    padding = [numbers, "valid", "same", "same_lower", "full"][rng.integers(5)]
    low = 0 if dtype == np.uint8 else -3
    x = rng.integers(low, 4, (N, C, H, W)).astype(dtype)
    w = rng.integers(low, 4, (K, C // groups, R, S)).astype(dtype)
    bias = rng.integers(low, 4, K).astype(dtype) if rng.random() < 0.5 else None
    if layout == "NHWC":
        x, w = np.moveaxis(x, 1, -1), w.transpose(2, 3, 1, 0)
        if rng.random() < 0.5:
            x, w = np.ascontiguousarray(x), np.ascontiguousarray(w)
    options = {
        "stride": tuple(map(int, stride)),
        "padding": padding,
        "dilation": tuple(map(int, dilation)),
        "groups": groups,
        "data_format": str(layout),
        "padding_mode": PADDING_MODES[rng.integers(len(PADDING_MODES))],
        "activation": [None, "relu", "relu6"][rng.integers(3)],
    }
    return x, w, bias, options


def exactly(rng):
    """Integers in every dtype: both layouts, every padding, stride, dilation, groups, activation."""
    for _ in range(CONFIGURATIONS):
        x, w, bias, options = random_case(rng)
        y = convfast.conv2d(x, w, bias, **options)
        law = reference.conv2d(x, w, bias, **options)
        what = f"conv2d of x {x.shape} {x.dtype} with w {w.shape}, {options}"
        check(y.shape == law.shape and np.array_equal(y, law.astype(y.dtype)), what)
    return f"{CONFIGURATIONS} convolutions, equal to the last bit"


def closely(rng):
    """Real numbers: the promise of precision="highest", with each algorithm, for short and for long sums."""
    worst = 0.0
    shapes = [((2, 3, 30, 33), (8, 3, 7, 7)), ((1, 64, 15, 14), (40, 64, 3, 3)), ((1, 600, 7, 7), (20, 600, 3, 3))]
    for x_shape, w_shape in shapes:
        x, w = rng.standard_normal(x_shape, np.float32), rng.standard_normal(w_shape, np.float32)
        law = reference.conv2d(x, w, padding="same")
        size = reference.conv2d(abs(x), abs(w), padding="same")
        for algorithm in ("direct", "im2col"):
            y = convfast.conv2d(x, w, padding="same", precision="highest", algorithm=algorithm)
            worst = max(worst, float(np.max(abs(y - law) / size)))
            check(worst <= HIGHEST, f"{algorithm} on {x_shape} and {w_shape} errs by {worst:.1e} of abs(x) conv abs(w)")
    return f"largest error {worst:.0e} of abs(x) conv abs(w), {HIGHEST:.0e} allowed"


def loosely(rng):
    """The promise of precision="high", with Winograd's algorithm: whole tiles and cut ones, in both layouts."""
    worst = 0.0
    for C, size, K in ((3, 5, 8), (64, 18, 40), (200, 11, 20)):
        x, w = rng.standard_normal((1, C, size, 21), np.float32), rng.standard_normal((K, C, 3, 3), np.float32)
        law = reference.conv2d(x, w, padding=1)
        size = reference.conv2d(abs(x), abs(w), padding=1).max()
        options = {"padding": 1, "precision": "high", "algorithm": "winograd"}
        planes = convfast.conv2d(x, w, **options)
        pixels = convfast.conv2d(np.moveaxis(x, 1, -1), w.transpose(2, 3, 1, 0), **options, data_format="NHWC")
        for y in (planes, np.moveaxis(pixels, -1, 1)):
            worst = max(worst, float(np.max(abs(y - law)) / size))
            check(worst <= HIGH, f"winograd on {x.shape} and {w.shape} errs by {worst:.1e} of abs(x) conv abs(w)")
    return f"precision='high': largest error {worst:.0e}, {HIGH:.0e} allowed"


def function_calls(rng):
    """One call of every other function of the contract: its name, arguments, options. All numbers are integers."""

    def ints(*shape):
        return rng.integers(-3, 4, shape).astype(np.float32)

    x, grad, step = ints(2, 4, 9, 11), ints(2, 4, 5, 6), {"stride": 2, "padding": 1}
    yield "conv1d", (ints(2, 4, 19), ints(6, 2, 3)), {"stride": 2, "padding": "same", "groups": 2}
    yield "conv_transpose2d", (x, ints(4, 3, 3, 3)), step
    yield "conv2d_input_grad", (grad, ints(4, 4, 3, 3), x.shape), step
    yield "conv2d_weight_grad", (x, grad, 3), step
    for kind in ("max", "avg"):
        yield f"{kind}_pool1d", (x[0], 3), step
        yield f"{kind}_pool2d", (x, 3), step
        yield f"global_{kind}_pool2d", (x,), {}
        yield f"adaptive_{kind}_pool2d", (x, (4, 3)), {}
        yield f"{kind}_pool2d_grad", (grad, x if kind == "max" else x.shape, 3), step
    yield "spatial_pyramid_pool2d", (x,), {}
    yield "pad2d", (x, ((1, -1), (2, 0))), {"interior": 1, "value": 2}
    yield "im2col", (x, 3), step
    yield "col2im", (ints(2, 4 * 9, 5 * 6), (9, 11), 3), step
    yield "resize2d", (x, (13, 7)), {"mode": "bilinear"}
    yield "crop_or_pad2d", (x, (7, 14)), {}
    yield "local_max_sum2d", (x,), {}


def other_functions(rng):
    """Everything beside conv2d, in one call each."""
    count = 0
    for name, arguments, options in function_calls(rng):
        y, law = getattr(convfast, name)(*arguments, **options), getattr(reference, name)(*arguments, **options)
        check(y.shape == law.shape and np.allclose(y, law, rtol=1e-6, atol=1e-5), f"{name}{options}")
        count += 1
    return f"{count} functions follow their law"


def special_values(rng):
    """NaN and infinity reach exactly the outputs whose window holds them."""
    x, w = rng.standard_normal((1, 5, 20, 37), np.float32), rng.standard_normal((9, 5, 3, 3), np.float32)
    x[0, 2, 7, 11], x[0, 0, 19, 36] = np.nan, np.inf
    with np.errstate(invalid="ignore"):
        for data_format in ("NCHW", "NHWC"):
            images, filters = (x, w) if data_format == "NCHW" else (np.moveaxis(x, 1, -1), w.transpose(2, 3, 1, 0))
            y = convfast.conv2d(images, filters, padding=1, data_format=data_format)
            law = reference.conv2d(images, filters, padding=1, data_format=data_format)
            check(np.array_equal(np.isnan(y), np.isnan(law)), f"NaN spreads wrongly in {data_format}")
            check(np.array_equal(np.isinf(y), np.isinf(law)), f"infinity spreads wrongly in {data_format}")
    return "NaN and infinity stay in their windows"


def subnormals(rng):
    """Numbers below 1e-38 are kept: neither flushed here, nor in the rest of the process."""
    tiny = np.float32(1e-45)
    x = (rng.integers(1, 50, (1, 4, 12, 20)) * tiny).astype(np.float32)
    w = np.ones((6, 4, 3, 3), np.float32)
    y = convfast.conv2d(x, w)
    check(np.array_equal(y, reference.conv2d(x, w).astype(np.float32)), "subnormal sums are flushed or rounded")
    check(float(np.multiply(tiny, np.ones(64, np.float32)).min()) > 0, "the process flushes subnormals to zero")
    return "kept, and the process's floating-point mode untouched"


def same_bits(rng):
    """One image has the same bits with any number of threads, in any batch, with and without out=."""
    x, w = rng.standard_normal((3, 32, 40, 41), np.float32), rng.standard_normal((48, 32, 3, 3), np.float32)
    with convfast.num_threads(1):
        expected = convfast.conv2d(x, w, padding=1)
    for threads in (2, 3, 5):
        with convfast.num_threads(threads):
            check(np.array_equal(convfast.conv2d(x, w, padding=1), expected), f"{threads} threads change the result")
            check(np.array_equal(convfast.conv2d(x[1], w, padding=1), expected[1]), "the batch changes the result")
            layer = convfast.Conv2D(w, padding=1)
            out = np.empty((*expected.shape[:-1], 50), np.float32)[..., 3:44]
            check(layer(x, out=out) is out and np.array_equal(out, expected), "Conv2D or out= changes the result")
    return "1, 2, 3 and 5 threads, alone and in a batch"


def callers(rng):
    """Many Python threads may call at once."""
    x, w = rng.standard_normal((1, 16, 32, 32), np.float32), rng.standard_normal((16, 16, 3, 3), np.float32)
    expected = convfast.conv2d(x, w)
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: convfast.conv2d(x, w), range(64)))
    check(all(np.array_equal(y, expected) for y in results), "Python threads disturb each other")
    return "64 calls from 8 Python threads"


def fork(rng):
    """A child made by os.fork computes, and does not hang."""
    if not hasattr(os, "fork"):
        return "this system has no fork"
    x, w = rng.standard_normal((1, 32, 40, 40), np.float32), rng.standard_normal((48, 32, 3, 3), np.float32)
    with convfast.num_threads(2):
        expected = convfast.conv2d(x, w)  # starts the pool of threads that the child will lack
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 on: the process has threads
            child = os.fork()
        if child == 0:
            code = 3
            try:
                code = 0 if np.array_equal(convfast.conv2d(x, w), expected) else 2
            finally:
                os._exit(code)
    deadline = time.monotonic() + FORK_SECONDS
    while (ended := os.waitpid(child, os.WNOHANG))[0] == 0:
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            raise Different(f"the child still computes after {FORK_SECONDS} s")
        time.sleep(0.005)
    check(os.waitstatus_to_exitcode(ended[1]) == 0, "the child's result differs")
    return "the child computes the same"


PER_ISA = (exactly, closely, loosely, other_functions, special_values, subnormals)
ONCE = (same_bits, callers, fork)


def mark(good, stream=None):
    """A tick or a cross, in letters where the terminal knows no better."""
    symbol, word = ("✓", "ok") if good else ("✗", "FAILED")
    try:
        symbol.encode(getattr(stream or sys.stdout, "encoding", None) or "ascii")
    except UnicodeEncodeError:
        return word
    return symbol


def run_topic(name, topic):
    """Run one topic and print its line. True if it passed."""
    start = time.perf_counter()
    try:
        result, good = topic(np.random.default_rng(1)), True
    except Different as difference:
        result, good = str(difference), False
    except Exception as error:  # a broken installation fails in any way, and the other topics still say something
        result, good = f"{type(error).__name__}: {error}", False
    print(f"{mark(good)} {name:<26} {time.perf_counter() - start:5.2f} s  {result}", flush=True)
    return good


def main():
    """Run every topic, print a line for each. The exit status: 0, or 1 if one failed."""
    start = time.perf_counter()
    before = convfast.isa()
    passed = []
    try:
        for isa in convfast.available_isas():
            _core.use_isa(isa)
            passed += [run_topic(f"{isa}: {topic.__name__}".replace("_", " "), topic) for topic in PER_ISA]
    finally:
        _core.use_isa(before)
    passed += [run_topic(topic.__name__.replace("_", " "), topic) for topic in ONCE]
    seconds = time.perf_counter() - start
    if all(passed):
        print(f"convfast {convfast.__version__} works on this machine: {len(passed)} topics in {seconds:.1f} s")
        return 0
    print(f"convfast {convfast.__version__}: {passed.count(False)} of {len(passed)} topics failed, see above")
    return 1
