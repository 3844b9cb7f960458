"""The algorithm "depthwise": every filter size, layout and border, and the bits of the direct algorithm."""

import numpy as np
import pytest
from conftest import assert_promise, assert_same_bits, integers, normal, operands, promised, w_shape, x_shape
from guard_pages import SIDES, guarded

from convfast import _core, conv2d, explain_conv2d, num_threads, reference

SIZES = [1, 2, 3, 5, 7, 8, 9, (1, 4), (4, 1), (9, 3), (2, 80), (31, 31)]
MODES = ["constant", "edge", "reflect", "symmetric", "wrap"]


def depthwise(rng, C, H, W, size, data_format, multiplier=1, dtype=np.float32, N=1, make=integers):
    """x, w and bias of a depthwise convolution."""
    R, S = size if isinstance(size, tuple) else (size, size)
    return operands(rng, N, C, H, W, C * multiplier, R, S, data_format, dtype, groups=C, make=make)


def assert_law(x, w, bias, **options):
    """Operands are small integers: every dtype and order gives the exact sum."""
    y = conv2d(x, w, bias, algorithm="depthwise", **options)
    np.testing.assert_array_equal(y, reference.conv2d(x, w, bias, **options).astype(y.dtype), err_msg=str(options))
    return y


def candidate(x, w, **options):
    """What explain_conv2d says of this algorithm."""
    return next(c for c in explain_conv2d(x.shape, w.shape, dtype=x.dtype, **options).candidates
                if c.algorithm == "depthwise")  # fmt: skip


def assert_nothing_outside(x, w, bias, side, **options):
    """Arrays that end or begin at a page that nobody may touch."""
    exact = reference.conv2d(x, w, bias, **options).astype(np.float32)
    out = guarded(np.zeros_like(exact), side)
    x, w, bias = (guarded(array, side) for array in (x, w, bias))
    conv2d(x, w, bias, out=out, algorithm="depthwise", **options)
    np.testing.assert_array_equal(out, exact)


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_every_filter_size(isa, data_format, dtype, size, rng):
    for C, H, W in (1, 33, 40), (5, 40, 33), (24, 32, 36):
        x, w, bias = depthwise(rng, C, H, W, size, data_format, dtype=dtype)
        for options in dict(), dict(padding="same"), dict(padding="full", stride=2), dict(padding=1, stride=(3, 1)):
            if isinstance(size, tuple) and size[1] == 80 and options.get("padding") not in ("same", "full"):
                continue
            assert_law(x, w, bias, groups=C, data_format=data_format, **options)


@pytest.mark.parametrize("stride", [1, 2, 3, (1, 2), (4, 3)], ids=str)
@pytest.mark.parametrize("dilation", [1, 2, 3, (2, 1), (4, 6)], ids=str)
def test_strides_and_dilations(isa, data_format, stride, dilation, rng):
    """Rows that share input rows are neighbours no more."""
    for size in 2, 3, 5:
        x, w, bias = depthwise(rng, 9, 31, 29, size, data_format)
        for padding in 0, "same", ((3, 0), (1, 5)):
            options = dict(stride=stride, dilation=dilation, padding=padding)
            assert_law(x, w, bias, groups=9, data_format=data_format, **options)


def test_every_width(isa, data_format, rng):
    """Vectors that end within, at or beyond a row's end."""
    for width in range(1, 68):
        for stride in 1, 2:
            for rows, channels in (1, 3), (6, 17):
                x, w, bias = depthwise(rng, channels, rows, width, 3, data_format)
                assert_law(x, w, bias, groups=channels, data_format=data_format, padding=1, stride=stride)


def test_every_number_of_channels(isa, data_format, rng):
    for channels in range(1, 68):
        x, w, bias = depthwise(rng, channels, 9, 10, 3, data_format, N=2)
        assert_law(x, w, bias, groups=channels, data_format=data_format, padding=1)


@pytest.mark.parametrize("multiplier", [1, 2, 3, 6, 7])
def test_multipliers(isa, data_format, multiplier, rng):
    """Several filters to a channel; of one channel, a bank of filters."""
    for channels in 1, 3, 16, 21:
        x, w, bias = depthwise(rng, channels, 12, 19, 5, data_format, multiplier)
        options = dict(groups=channels, data_format=data_format, padding=2)
        if candidate(x, w, **options).applies:
            assert_law(x, w, bias, **options)


def grouped(rng, groups, C, K, H, W, R, S, dtype=np.float32, make=integers):
    """x, w and bias of groups of C channels and K filters, channels last."""
    return operands(rng, 2, groups * C, H, W, groups * K, R, S, "NHWC", dtype, groups=groups, make=make)


@pytest.mark.parametrize(("C", "K"), [(2, 2), (4, 4), (3, 3), (2, 3), (5, 1), (1, 3), (7, 2), (2, 1)])
def test_groups_of_few_channels(isa, C, K, dtype, rng):
    """Filters of several groups share a vector, of which a group may be cut in two; some vectors span many channels."""
    x, w, _ = grouped(rng, 32, C, K, 9, 9, 3, 3, dtype)
    told = candidate(x, w, groups=32, data_format="NHWC")
    if not told.applies:
        assert "vector" in told.reason
        return
    for groups in 16, 19, 33:
        for R, S in (1, 1), (3, 3), (2, 5):
            x, w, bias = grouped(rng, groups, C, K, 9, 11, R, S, dtype)
            for options in dict(), dict(padding=2, stride=2), dict(padding=((2, 0), (1, 3)), dilation=(1, 2)):
                assert_law(x, w, bias, groups=groups, data_format="NHWC", **options)
                assert_law(x[:, ::-1, :, ::-1], w, bias, groups=groups, data_format="NHWC", **options)


@pytest.mark.parametrize("side", SIDES)
def test_groups_of_few_channels_read_nothing_outside(isa, side, rng):
    for groups, C, K in (8, 2, 2), (5, 4, 4), (13, 3, 3), (16, 2, 1), (9, 3, 2):
        x, w, bias = grouped(rng, groups, C, K, 5, 7, 3, 3)
        options = dict(padding=(1, 0), groups=groups, data_format="NHWC")
        if candidate(x, w, **options).applies:
            assert_nothing_outside(x, w, bias, side, **options)


def test_groups_of_few_channels_same_bits_and_promise(isa, rng):
    x, w, bias = grouped(rng, 32, 2, 2, 30, 31, 11, 11, make=normal)
    options = dict(padding=5, groups=32, data_format="NHWC", algorithm="depthwise")
    y = conv2d(x, w, bias, **options)
    with num_threads(3):
        assert_same_bits(conv2d(x, w, bias, **options), y)
    assert_same_bits(conv2d(x[1:], w, bias, **options), y[1:])
    assert_same_bits(conv2d(np.asfortranarray(x), w, bias, **options), y)
    del options["algorithm"]
    assert_promise({"depthwise": y}, x, w, bias, **options)


@pytest.mark.parametrize("mode", MODES)
def test_padding_modes(isa, data_format, mode, rng):
    for channels in 3, 16:
        for options in dict(padding=2), dict(padding=((0, 3), (5, 1)), stride=2), dict(padding="same", dilation=3):
            x, w, bias = depthwise(rng, channels, 13, 21, 3, data_format)
            assert_law(x, w, bias, groups=channels, data_format=data_format, padding_mode=mode, **options)
            if data_format == "NHWC" and channels == 16:
                x, w, bias = grouped(rng, 16, 2, 2, 13, 21, 3, 3)
                assert_law(x, w, bias, groups=16, data_format=data_format, padding_mode=mode, **options)


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "int16", "int32", "int64", "float16", "float64"])
def test_dtypes(isa, data_format, dtype, rng):
    for channels in 2, 24:
        x = integers(rng, x_shape(2, channels, 11, 18, data_format), dtype)
        w = integers(rng, w_shape(channels, 1, 3, 3, data_format), "int8" if dtype == "bool" else dtype)
        for stride in 1, 2:
            assert_law(x, w, None, groups=channels, data_format=data_format, padding=1, stride=stride)


@pytest.mark.parametrize("activation", [None, "relu", "relu6"])
def test_activations(isa, data_format, activation, rng):
    for channels in 3, 16:
        x, w, bias = depthwise(rng, channels, 12, 12, 3, data_format)
        assert_law(x, w, bias, groups=channels, data_format=data_format, padding=1, activation=activation)


def test_same_bits_as_direct(isa, data_format, dtype, rng):
    """Chains of equal length in the same order: sums of up to 961 terms round alike."""
    for size in 1, 3, 5, 7, 9, 12, 31, (5, 40):
        for options in dict(padding="same"), dict(padding=40, stride=2), dict(padding=40, dilation=2):
            for channels in 1, 11, 16:
                x, w, bias = depthwise(rng, channels, 37, 41, size, data_format, dtype=dtype, make=normal)
                options = dict(options, groups=channels, data_format=data_format)
                assert_same_bits(conv2d(x, w, bias, algorithm="depthwise", **options),
                                 conv2d(x, w, bias, algorithm="direct", **options))  # fmt: skip


def test_same_bits_whatever_surrounds(isa, data_format, rng):
    """Threads, batch, memory layout and out= change no bit."""
    x, w, bias = depthwise(rng, 20, 60, 70, 5, data_format, N=3, make=normal)
    options = dict(padding=2, groups=20, data_format=data_format, algorithm="depthwise")
    y = conv2d(x, w, bias, **options)
    with num_threads(3):
        assert_same_bits(conv2d(x, w, bias, **options), y)
    assert_same_bits(conv2d(x[1:2], w, bias, **options), y[1:2])
    strange = np.asfortranarray(x)
    out = np.empty(y.shape[::-1], y.dtype).T
    assert_same_bits(conv2d(strange, w[::1], bias, out=out, **options), y)
    assert_same_bits(conv2d(np.repeat(x, 2, axis=2)[:, :, ::2], w, bias, **options), y)


def test_promise_of_highest(isa, data_format, rng):
    x, w, bias = depthwise(rng, 4, 50, 50, 31, data_format, make=normal)
    options = dict(padding=15, groups=4, data_format=data_format)
    assert_promise({"depthwise": conv2d(x, w, bias, algorithm="depthwise", **options)}, x, w, bias, **options)


def test_non_finite_values_stay_in_their_windows(isa, data_format, rng):
    for value in np.nan, np.inf:
        for channels in 3, 16:
            x, w, _ = depthwise(rng, channels, 15, 20, 3, data_format)
            w[w == 0] = 1
            pixel = (0, 1, 7, 9) if data_format == "NCHW" else (0, 7, 9, 1)
            x[pixel] = value
            y = conv2d(x, w, padding=1, groups=channels, data_format=data_format, algorithm="depthwise")
            y = y if data_format == "NCHW" else y.transpose(0, 3, 1, 2)
            expected = np.zeros(y.shape, bool)
            expected[0, 1, 6:9, 8:11] = True
            np.testing.assert_array_equal(~np.isfinite(y), expected)


@pytest.mark.parametrize("side", SIDES)
def test_no_access_outside(isa, data_format, side, rng):
    """In every place of a vector's tail."""
    for width in 1, 3, 7, 8, 9, 15, 16, 17, 30, 33:
        for channels in 1, 3, 8, 17:
            for stride, padding in (1, 0), (1, 1), (2, 0), (2, 1), (3, 2):
                x, w, bias = depthwise(rng, channels, 5, width + 2, 3, data_format)
                options = dict(stride=stride, padding=padding, groups=channels, data_format=data_format)
                assert_nothing_outside(x, w, bias, side, **options)


def test_large_planes_are_cut(isa, rng):
    """Bands of rows and columns meet without a seam, also where a filter reaches far."""
    x, w, bias = depthwise(rng, 1, 150, 1100, 3, "NCHW")
    assert_law(x, w, bias, padding=1)
    assert_law(x, w, bias, padding=40, dilation=40)
    x, w, bias = depthwise(rng, 33, 60, 130, 5, "NHWC")
    assert_law(x, w, bias, padding=2, groups=33, data_format="NHWC")
    assert_law(x, w, bias, padding=9, dilation=9, groups=33, data_format="NHWC")


def test_auto_takes_it(data_format):
    """Where each filter has one channel, unless the filters of one channel fill vectors."""
    for C, size in (32, 3), (96, 7), (512, 5):
        told = explain_conv2d(x_shape(1, C, 28, 28, data_format), w_shape(C, 1, size, size, data_format),
                              padding=size // 2, groups=C, data_format=data_format)  # fmt: skip
        assert told.algorithm == "depthwise"


@pytest.mark.parametrize(("groups", "C"), [(64, 2), (48, 3), (96, 2)])
def test_auto_takes_it_for_groups_of_few_channels(isa, groups, C):
    """With channels last, where the other algorithms move cells one by one."""
    sizes = (1, 28, 28, groups * C), (3, 3, C, groups * C)
    assert explain_conv2d(*sizes, padding=1, groups=groups, data_format="NHWC").algorithm == "depthwise"


def test_refusals():
    for x, w, options, reason in (
        ((1, 4, 9, 9), (4, 2, 3, 3), dict(groups=2), "more than one input channel"),
        ((1, 9, 9, 68), (3, 3, 17, 32), dict(groups=4, data_format="NHWC"), "more input channels than a vector"),
        ((1, 9, 9, 64), (3, 3, 2, 512), dict(groups=32, data_format="NHWC"), "filters of a group fill vectors"),
        ((1, 1, 99, 99), (1, 1, 33, 33), {}, "more than 1024 taps"),
    ):
        with pytest.raises(ValueError, match=reason):
            conv2d(np.zeros(x), np.zeros(w), algorithm="depthwise", **options)


def test_float16_rounds_once(data_format, rng):
    x, w, bias = depthwise(rng, 16, 14, 14, 3, data_format, dtype=np.float16, make=normal)
    options = dict(padding=1, groups=16, data_format=data_format)
    exact = reference.conv2d(x, w, bias, **options)
    A = reference.conv2d(np.abs(x), np.abs(w), np.abs(bias), **options)
    y = conv2d(x, w, bias, algorithm="depthwise", **options)
    assert y.dtype == np.float16
    assert np.all(np.abs(y - exact) <= promised(A, np.float32) + np.abs(exact) * 2.0**-10)


def test_it_is_known_by_name():
    assert "depthwise" in _core.algorithms()
