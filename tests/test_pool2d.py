"""Pooling: values everybody knows, NaN and ties everywhere, out, empties, and what is refused."""

import itertools

import numpy as np
import pytest
from conftest import assert_same_bits, integers, normal, x_shape

import convfast
from convfast import avg_pool1d, avg_pool2d, max_pool1d, max_pool2d, reference

NAN, INF = np.nan, np.inf
NINE = np.arange(1, 10).reshape(3, 3)


class TestGolden:
    def test_values(self):
        assert max_pool2d([[5, 8], [7, 2]], 2).tolist() == [[8]]
        x = [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
        assert max_pool2d(x, 2, stride=1).tolist() == [[5, 6], [8, 9]]
        assert max_pool2d(x, 2).tolist() == [[5]]
        assert avg_pool2d(x, 3).tolist() == [[5.0]]

    @pytest.mark.parametrize(
        ("shape", "kernel", "options", "expected"),
        [
            ((15, 25, 20), 2, {"stride": 1, "padding": "same"}, (15, 25, 20)),
            ((8, 298, 298), 2, {}, (8, 149, 149)),
            ((8, 147, 147), 2, {}, (8, 73, 73)),
            ((64, 128, 128), 2, {}, (64, 64, 64)),
            ((32, 28, 28), 2, {}, (32, 14, 14)),
            ((64, 112, 112), 3, {"stride": 2, "padding": 1}, (64, 56, 56)),
            ((1, 4, 4), 2, {"padding": "same"}, (1, 2, 2)),
        ],
    )
    def test_shapes(self, shape, kernel, options, expected):
        x = np.zeros(shape, np.float32)
        assert max_pool2d(x, kernel, **options).shape == expected
        assert avg_pool2d(x, kernel, **options).shape == expected


@pytest.mark.parametrize("width", range(1, 68))
def test_nan_ties_and_infinities_in_every_place(isa, data_format, width, rng):
    """The body and the tail of every row give the same answer, whatever the width."""
    for kernel, stride, (dtype, special) in itertools.product(
        [(1, 2), (2, 3), (3, 9)], [1, 2], [("f4", NAN), ("f8", -INF), ("f4", INF), ("u1", 255), ("i4", -(2**31))]
    ):
        if kernel[1] > width:
            continue
        x = integers(rng, (5, width, 3) if data_format == "NHWC" else (3, 5, width), dtype)
        if dtype == "u1":
            x %= 5
        x[rng.random(x.shape) < 0.1] = special
        options = dict(kernel_size=kernel, stride=stride, data_format=data_format)
        y, indices = max_pool2d(x, return_indices=True, **options)
        expected, places = reference.max_pool2d(x, return_indices=True, **options)
        np.testing.assert_array_equal(y, expected)
        np.testing.assert_array_equal(indices, places)
        assert_same_bits(y, max_pool2d(x, **options))


@pytest.mark.parametrize("kernel", [(1, 2), (2, 2), (3, 3), (5, 4), (9, 10), (11, 1)])
def test_of_zeros_the_first_column_by_column_is_shown(isa, data_format, kernel, rng):
    def first_zero(window):
        return np.signbit(next(value for value in window.ravel(order="F") if value == 0))

    widths = [*range(kernel[1], kernel[1] + 9), 41]
    for width, stride, dtype in itertools.product(widths, [1, 2, 3], ["f2", "f4", "f8"]):
        x = rng.choice([-0.0, 0.0], (20, 12, width)).astype(dtype)
        planes = x if data_format == "NCHW" else np.ascontiguousarray(x.transpose(1, 2, 0))
        y = max_pool2d(planes, kernel, stride=stride, data_format=data_format)
        y = y if data_format == "NCHW" else y.transpose(2, 0, 1)
        windows = np.lib.stride_tricks.sliding_window_view(x, kernel, (1, 2))[:, ::stride, ::stride]
        expected = [first_zero(window) for window in windows.reshape(-1, *kernel)]
        np.testing.assert_array_equal(np.signbit(y).ravel(), expected)
        whole = convfast.global_max_pool2d(planes, data_format=data_format)
        np.testing.assert_array_equal(np.signbit(whole).ravel(), np.signbit(x[:, 0, 0]))


@pytest.mark.parametrize("place", range(9))
def test_nan_wins_wherever_it_stands(isa, place):
    x = np.arange(9.0).reshape(3, 3)
    x[place // 3, place % 3] = NAN
    for dtype in "f2", "f4", "f8":
        y, index = max_pool2d(x.astype(dtype), 3, return_indices=True)
        assert np.isnan(y[0, 0])
        assert index[0, 0] == place
        assert np.isnan(convfast.global_max_pool2d(x.astype(dtype))).all()


def test_padding_never_wins():
    for value in -5, -INF:
        assert max_pool2d([[float(value)]], 3, stride=1, padding=1).tolist() == [[value]]
    x = np.full((2, 2), -128, np.int8)
    assert (max_pool2d(x, 3, stride=1, padding=1) == -128).all()
    y, index = max_pool2d([[1.0]], 2, dilation=2, padding=1, return_indices=True)
    assert y.tolist() == [[-INF]]  # no tap meets the plane
    assert index.tolist() == [[-1]]


@pytest.mark.parametrize("size", [7, 33, 120, 500])
def test_means_are_exact_for_any_window(isa, data_format, size, rng):
    """The mean of a constant drifts nowhere, and large numbers pass without a trace."""
    x = np.full(x_shape(1, 2, size, 2 * size, data_format), 0.1, np.float32)
    for kernel in {min(size, 5), size // 2, size}:
        y = avg_pool2d(x, kernel, stride=1, data_format=data_format)
        assert abs(y / np.float32(0.1) - 1).max() <= 1e-6
    row = np.ones((1, 1000), np.float32)
    row[0, 3] = 1e30
    assert (avg_pool1d(row, 20, stride=1)[0, 4:] == 1).all()


LARGE_WINDOWS = [
    ("NHWC", (1, 14, 14, 2048), (13, 13), 1),
    ("NHWC", (1, 18, 24, 2048), (16, 16), (2, 3)),
    ("NHWC", (1, 5, 5, 40_000), (3, 3), 2),  # few cells, each of them large
    ("NHWC", (1, 1203, 4, 256), (1200, 2), 1),
    ("NCHW", (1, 1, 2255, 400), (2250, 1), 1),
    ("NCHW", (1, 1, 2255, 401), (2250, 2), 2),
    ("NCHW", (1, 1, 16, 20_004), (16, 20_000), 1),
    ("NCHW", (1, 2, 60, 20_000), (30, 9), (7, 1)),
]


@pytest.mark.parametrize(("data_format", "shape", "kernel", "stride"), LARGE_WINDOWS)
def test_where_large_windows_lie_in_memory_changes_no_bit(isa, data_format, shape, kernel, stride, rng):
    """Windows whose rows are far more than a buffer holds: read in place, or with steps, backwards, as float16."""
    x = rng.normal(size=shape).astype("f2").astype("f4")
    backwards = np.ascontiguousarray(x[..., ::-1, ::-1])[..., ::-1, ::-1]
    apart = [np.repeat(x, 2, axis)[(slice(None),) * axis + (slice(None, None, 2),)] for axis in (1, 3)]
    for pool, padding in (max_pool2d, 0), (avg_pool2d, 0), (avg_pool2d, tuple(min(1, k - 1) for k in kernel)):
        options = {"kernel_size": kernel, "stride": stride, "padding": padding, "data_format": data_format}
        y = pool(x, **options)
        for other in (backwards, *apart):
            assert_same_bits(pool(other, **options), y)
        assert_same_bits(pool(x.astype("f2"), **options), y.astype("f2"))
        assert_same_bits(pool(x, out=np.repeat(y, 2, axis=3)[..., ::2], **options), y)


def test_means_of_ones_are_one():
    for size in range(1, 40):
        for dtype in "f4", "f8", "u1":
            assert (avg_pool2d(np.ones((40, 40), dtype), size, stride=1) == 1).all()


@pytest.mark.parametrize("pool", [max_pool2d, avg_pool2d])
class TestArrays:
    def test_out(self, pool, data_format, rng):
        x = normal(rng, x_shape(2, 3, 8, 9, data_format))
        expected = pool(x, 2, data_format=data_format)
        for out in np.empty_like(expected), np.empty_like(expected, order="F"), np.repeat(expected, 2, -1)[..., ::2]:
            assert pool(x, 2, data_format=data_format, out=out) is out
            assert_same_bits(out, expected)

    def test_out_may_share_memory(self, pool, rng):
        x = normal(rng, (1, 1, 8, 8))
        expected = pool(x, 3, stride=1, padding=1)
        assert pool(x, 3, stride=1, padding=1, out=x) is x
        assert_same_bits(x, expected)

    def test_bad_out(self, pool):
        x = np.zeros((4, 4), np.float32)
        for out, kind in ((np.zeros((2, 3), "f4"), ValueError), (np.zeros((2, 2)), TypeError), ([0], TypeError)):
            with pytest.raises(kind, match="out"):
                pool(x, 2, out=out)

    def test_empty(self, pool, data_format):
        assert pool(np.zeros((0, 3, 4, 4)), 2).shape == (0, 3, 2, 2)
        assert pool(np.zeros((2, 4, 4, 0)), 2, data_format="NHWC").shape == (2, 2, 2, 0)
        for shape in (2, 3, 0, 4), (2, 3, 4, 0), (0, 0, 0, 0):
            with pytest.raises(ValueError, match="without a cell"):
                pool(np.zeros(shape), 1)

    def test_broadcast(self, pool):
        x = np.broadcast_to(np.float32(3), (2, 3, 7, 9))
        assert (pool(x, 3, stride=1) == 3).all()

    def test_huge_arguments(self, pool):
        x = np.ones((1, 1, 4, 4), np.float32)
        assert pool(x, 2, stride=2**62 // 64).shape == (1, 1, 1, 1)
        for options in (
            {"kernel_size": 2**62}, {"kernel_size": 2, "stride": 2**62}, {"kernel_size": 2, "padding": 2**62},
            {"kernel_size": 2, "padding": (2**40, 0)}, {"kernel_size": 2**61, "padding": "same", "stride": 1},
        ):  # fmt: skip
            with pytest.raises(ValueError, match="pool2d: "):
                pool(x, **options)


def test_huge_windows_that_fit():
    x = np.arange(16, dtype=np.float32).reshape(4, 4)
    assert max_pool2d(x, 2**30, padding=2**30 - 1).tolist() == [[0, 3], [12, 15]]
    assert max_pool2d(x, (2**31, 2**40), padding="same", stride=1).tolist() == [[15] * 4] * 4
    assert max_pool2d(x, 2, dilation=2**61 // 64, padding="full", stride=2**61 // 64).shape == (2, 2)
    large = np.zeros((1, 1, 600, 700), np.float32)
    large[0, 0, 300, 300] = 1
    assert (max_pool2d(large, 501, stride=1)[0, 0] == 1).all()
    assert max_pool1d(np.arange(300_000.0), 200_000, stride=50_000).tolist() == [199_999, 249_999, 299_999]


@pytest.mark.parametrize(
    ("function", "arguments", "kind", "words"),
    [
        ("max_pool2d", dict(kernel_size=0), ValueError, ("kernel_size", "0")),
        ("max_pool2d", dict(kernel_size=2.0), TypeError, ("kernel_size", "2.0")),
        ("max_pool2d", dict(kernel_size=2, stride=0), ValueError, ("stride", "0")),
        ("max_pool2d", dict(kernel_size=2, padding=2), ValueError, ("padding", "below the window", "(1, 1)")),
        ("max_pool2d", dict(kernel_size=9), ValueError, ("empty", "9 x 9", "6 x 8", "x.shape=(1, 2, 6, 8)")),
        ("max_pool2d", dict(kernel_size=2, padding="smae"), ValueError, ("padding", "did you mean 'same'")),
        ("max_pool2d", dict(kernel_size=2, data_format="nhwc"), ValueError, ("data_format", "NHWC")),
        ("avg_pool2d", dict(kernel_size=2, divisor_override=0), ValueError, ("divisor_override", "0")),
        ("avg_pool2d", dict(kernel_size=2, divisor_override="2"), TypeError, ("divisor_override", "'2'")),
        ("adaptive_max_pool2d", dict(output_size=0), ValueError, ("output_size", "0")),
        ("adaptive_avg_pool2d", dict(output_size=(1, 2, 3)), ValueError, ("output_size", "(1, 2, 3)")),
        ("spatial_pyramid_pool2d", dict(levels=(4, 0)), ValueError, ("levels", "0")),
        ("spatial_pyramid_pool2d", dict(levels=3), TypeError, ("levels", "3")),
        ("spatial_pyramid_pool2d", dict(levels=()), ValueError, ("levels",)),
        ("spatial_pyramid_pool2d", dict(mode="mean"), ValueError, ("mode", "'max', 'avg'")),
    ],
)
def test_errors(function, arguments, kind, words):
    with pytest.raises(kind) as caught:
        getattr(convfast, function)(np.zeros((1, 2, 6, 8), np.float32), **arguments)
    sentence = str(caught.value)
    assert sentence.startswith(f"{function}: ")
    for word in words:
        assert word in sentence, sentence


def test_wrong_kinds_of_arrays():
    for x in np.zeros((2, 2), complex), np.array([["a"]]), np.array([[None]]):
        with pytest.raises(TypeError, match="max_pool2d: x"):
            max_pool2d(x, 1)
    for x in 3.0, np.zeros(4), np.zeros((1, 1, 1, 2, 2)):
        with pytest.raises(ValueError, match="max_pool2d: x"):
            max_pool2d(x, 1)


def test_pyramids_are_equally_long():
    """GOLDEN: 4x4 + 2x2 + 1x1 gives 21 C, whatever the image."""
    for H, W in (224, 180), (7, 31), (1, 1):
        x = np.random.default_rng(H).normal(size=(2, 8, H, W)).astype("f4")
        y = convfast.spatial_pyramid_pool2d(x)
        assert y.shape == (2, 8 * 21)
        np.testing.assert_array_equal(y[:, -8:], x.max((2, 3)))
        assert_same_bits(y, convfast.spatial_pyramid_pool2d(np.moveaxis(x, 1, -1), data_format="NHWC"))


def test_global_pools(data_format, rng):
    x = normal(rng, x_shape(2, 37, 9, 11, data_format))
    axes = (1, 2) if data_format == "NHWC" else (2, 3)
    np.testing.assert_array_equal(convfast.global_max_pool2d(x, data_format=data_format), x.max(axes, keepdims=True))
    mean = convfast.global_avg_pool2d(x, keepdims=False, data_format=data_format)
    np.testing.assert_allclose(mean, x.mean(axes, dtype=float), rtol=1e-5, atol=1e-7)
    assert convfast.global_avg_pool2d(x[0, ..., 0] if data_format == "NHWC" else x[0, 0], keepdims=False).shape == ()
