"""The law of pooling, against numbers worked out by hand and brute force."""

import numpy as np
import pytest
from reference_tools import POOLINGS, nhwc, rng

from convfast import reference as ref

SQUARE = np.arange(1, 10).reshape(3, 3)  # [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
NAN, INF = np.nan, np.inf


def brute_force(plane, kernel, out, stride, sides, dilation=(1, 1)):
    """For every window the cells (h, w) that it sees, row by row, and whether they lie in the plane or its padding."""
    (top, bottom), (left, right) = sides
    H, W = plane.shape
    for p, q in np.ndindex(*out):
        cells = [
            (p * stride[0] + r * dilation[0] - top, q * stride[1] + s * dilation[1] - left)
            for r, s in np.ndindex(*kernel)
        ]
        real = [(h, w) for h, w in cells if 0 <= h < H and 0 <= w < W]
        padded = [(h, w) for h, w in cells if h < H + bottom and w < W + right]
        yield (p, q), real, padded


def first_maximum(plane, cells):
    for cell in cells:
        if np.isnan(plane[cell]):
            return cell
    return max(cells, key=lambda cell: plane[cell])  # the first of equals


class TestMaxPool2d:
    def test_by_hand(self):
        assert ref.max_pool2d([[5, 8], [7, 2]], 2).tolist() == [[8]]
        assert ref.max_pool2d(SQUARE, 2, stride=1).tolist() == [[5, 6], [8, 9]]
        assert ref.max_pool2d(SQUARE, 2).tolist() == [[5]]
        assert ref.max_pool2d(SQUARE, 2, ceil_mode=True).tolist() == [[5, 6], [8, 9]]
        assert ref.max_pool2d(SQUARE, 2, padding=1).tolist() == [[1, 3], [7, 9]]
        assert ref.max_pool2d(SQUARE, 2, dilation=2).tolist() == [[9]]
        assert ref.max_pool2d(-SQUARE, 2, stride=1, padding="same").tolist() == [
            [-1, -2, -3],
            [-4, -5, -6],
            [-7, -8, -9],
        ]

    @pytest.mark.parametrize("dilation", [(1, 1), (2, 1)])
    @pytest.mark.parametrize("options", POOLINGS)
    def test_brute_force(self, options, dilation):
        x = rng.integers(-3, 4, (2, 3, 5, 6)).astype(float)  # many ties
        x[rng.random(x.shape) < 0.1] = NAN
        windows = ref.pool._windows(x, (3, 2), options["stride"], options["padding"], dilation, options["ceil_mode"])
        y, index = ref.max_pool2d(x, (3, 2), dilation=dilation, return_indices=True, **options)
        assert y.shape == index.shape
        assert index.dtype == np.int64
        for n, c in np.ndindex(2, 3):
            plane = x[n, c]
            for place, real, _ in brute_force(plane, (3, 2), y.shape[2:], windows.stride, windows.sides, dilation):
                h, w = first_maximum(plane, real) if real else (0, -1)
                assert index[n, c][place] == h * 6 + w
                np.testing.assert_equal(y[n, c][place], plane[h, w] if real else -INF)
        last = ref.max_pool2d(nhwc(x), (3, 2), dilation=dilation, return_indices=True, data_format="NHWC", **options)
        np.testing.assert_array_equal(last[0], nhwc(y))
        np.testing.assert_array_equal(last[1], nhwc(index))

    def test_nan_wins_and_the_first_is_named(self):
        y, index = ref.max_pool2d([[1, NAN, INF, NAN]], (1, 4), return_indices=True)
        assert np.isnan(y)
        assert index == 1

    def test_the_first_of_equals_is_named(self):
        assert ref.max_pool2d(np.zeros((4, 4)), 2, return_indices=True)[1].tolist() == [[0, 2], [8, 10]]

    def test_padding_never_wins(self):
        y, index = ref.max_pool2d([[-INF]], 2, stride=1, padding=1, return_indices=True)
        assert (y == -INF).all()
        assert (index == 0).all()
        lowest = np.full((2, 2), -128, "i1")
        y, index = ref.max_pool2d(lowest, 2, padding=1, return_indices=True)
        assert (y == -128).all()
        assert index.tolist() == [[0, 1], [2, 3]]

    @pytest.mark.parametrize("dtype", ["?", "u1", "i2", "u8", "i8", "f2", "f4", "f8"])
    def test_keeps_the_type(self, dtype):
        x = np.array([[0, 1], [1, 0]], dtype)
        assert (
            ref.max_pool2d(x, 2).dtype == dtype == ref.global_max_pool2d(x).dtype == ref.adaptive_max_pool2d(x, 2).dtype
        )
        assert ref.max_pool2d(x, 2) == 1

    def test_ceil_mode_drops_windows_that_begin_in_the_padding(self):
        assert ref.max_pool2d(np.zeros((4, 4)), 1, stride=3, ceil_mode=True).shape == (2, 2)
        assert ref.max_pool2d(np.zeros((3, 4)), 1, stride=3, ceil_mode=True).shape == (1, 2)
        assert ref.max_pool2d(np.zeros((2, 5)), 2, stride=2, padding=1, ceil_mode=True).shape == (2, 3)
        assert ref.max_pool2d(np.zeros((2, 2)), 3, stride=2, ceil_mode=True).shape == (1, 1)

    def test_ranks(self):
        x = rng.normal(size=(2, 3, 5, 6))
        y = ref.max_pool2d(x, 2)
        np.testing.assert_array_equal(ref.max_pool2d(x[0], 2), y[0])
        np.testing.assert_array_equal(ref.max_pool2d(x[0, 0], 2), y[0, 0])
        np.testing.assert_array_equal(
            ref.max_pool1d(x[0, 0], 3, stride=2), ref.max_pool2d(x[0, 0], (1, 3), stride=(1, 2))
        )
        np.testing.assert_array_equal(
            ref.max_pool1d(x[0, 0, 0], 3, padding=1), ref.max_pool1d(x[0, 0], 3, padding=1)[0]
        )
        for data_format in "NCHW", "NHWC":
            y, index = ref.max_pool1d(x[0, 0, 0], 4, padding=(2, 0), return_indices=True, data_format=data_format)
            np.testing.assert_array_equal(y, x[0, 0, 0][index])
        y, index = ref.max_pool1d(x[0].swapaxes(1, 2), 2, return_indices=True, data_format="NHWC")
        np.testing.assert_array_equal(y, ref.max_pool1d(x[0], 2).swapaxes(1, 2))
        np.testing.assert_array_equal(y, np.take_along_axis(x[0].swapaxes(1, 2), index, 1))

    @pytest.mark.parametrize(
        ("shape", "options", "complaint"),
        [
            ((0, 4), {"padding": 1}, "empty"),
            ((4, 4), {"padding": 2}, "padding"),
            ((4, 4), {"padding": ((0, 2), (0, 0))}, "padding"),
            ((1, 4), {}, "fit"),
            ((4, 4), {"kernel_size": 0}, "kernel_size"),
            ((4, 4), {"stride": 0}, "stride"),
            ((4,), {}, "rank"),
        ],
    )
    def test_value_errors(self, shape, options, complaint):
        with pytest.raises(ValueError, match=complaint):
            ref.max_pool2d(np.ones(shape), **{"kernel_size": 2, **options})
        with pytest.raises(ValueError, match=complaint):
            ref.avg_pool2d(np.ones(shape), **{"kernel_size": 2, **options})

    def test_empty_batch(self):
        assert ref.max_pool2d(np.ones((0, 3, 4, 4)), 2).shape == ref.avg_pool2d(np.ones((0, 3, 4, 4)), 2).shape
        assert ref.global_max_pool2d(np.ones((2, 0, 4, 4))).shape == (2, 0, 1, 1)


class TestAvgPool2d:
    def test_what_counts(self):
        x = [[4.0, 8.0]]
        row = {"stride": 1, "padding": ((0, 0), (1, 1))}
        assert ref.avg_pool2d(x, (1, 2), **row).tolist() == [[2, 6, 4]]
        assert ref.avg_pool2d(x, (1, 2), count_include_pad=False, **row).tolist() == [[4, 6, 8]]
        assert ref.avg_pool2d(x, (1, 2), divisor_override=4, **row).tolist() == [[1, 3, 2]]
        assert ref.avg_pool2d(x, (1, 2), stride=1, padding="full").tolist() == [[4, 6, 8]]
        assert ref.avg_pool2d(x, (1, 2), stride=1, padding="full", count_include_pad=True).tolist() == [[2, 6, 4]]
        assert ref.avg_pool2d([[1, 2, 6]], (1, 2), ceil_mode=True).tolist() == [[1.5, 6]]

    @pytest.mark.parametrize("include", [None, False, True])
    @pytest.mark.parametrize("options", POOLINGS)
    def test_brute_force(self, options, include):
        x = rng.integers(-99, 99, (2, 3, 5, 6))
        windows = ref.pool._windows(x, (3, 2), options["stride"], options["padding"], 1, options["ceil_mode"])
        y = ref.avg_pool2d(x, (3, 2), count_include_pad=include, **options)
        counts_padding = include or (include is None and not isinstance(options["padding"], str))
        for n, c in np.ndindex(2, 3):
            plane = x[n, c]
            for place, real, padded in brute_force(plane, (3, 2), y.shape[2:], windows.stride, windows.sides):
                assert y[n, c][place] == sum(plane[cell] for cell in real) / len(padded if counts_padding else real)
        last = ref.avg_pool2d(nhwc(x), (3, 2), count_include_pad=include, data_format="NHWC", **options)
        np.testing.assert_array_equal(last, nhwc(y))

    @pytest.mark.parametrize("dtype", ["?", "u1", "i8", "f2", "f4", "f8"])
    def test_float64(self, dtype):
        x = np.ones((2, 2), dtype)
        for y in ref.avg_pool2d(x, 2), ref.global_avg_pool2d(x), ref.adaptive_avg_pool2d(x, 1):
            assert y.dtype == float
            assert y == 1

    def test_1d(self):
        x = rng.normal(size=(2, 3, 7))
        y = ref.avg_pool1d(x, 3, stride=2, padding=(1, 0), ceil_mode=True, count_include_pad=False)
        np.testing.assert_allclose(y[..., 0], x[..., :2].mean(-1))
        np.testing.assert_allclose(y[..., 1], x[..., 1:4].mean(-1))
        np.testing.assert_allclose(y[..., -1], x[..., 5:].mean(-1))
        last = ref.avg_pool1d(x.swapaxes(1, 2), 3, stride=2, padding="same", data_format="NHWC")
        np.testing.assert_array_equal(last.swapaxes(1, 2), ref.avg_pool1d(x, 3, stride=2, padding="SAME"))

    def test_non_finite(self):
        assert np.isnan(ref.avg_pool2d([[INF, -INF]], (1, 2)))
        assert ref.avg_pool2d([[1.0, INF]], (1, 2)) == INF
        with pytest.raises(ValueError, match="zero"):
            ref.avg_pool2d(SQUARE, 2, divisor_override=0)


class TestWholePlanes:
    def test_global(self):
        x = rng.normal(size=(2, 3, 4, 5))
        for pool, reduce in (ref.global_max_pool2d, np.max), (ref.global_avg_pool2d, np.mean):
            np.testing.assert_array_equal(pool(x), reduce(x, axis=(2, 3), keepdims=True))
            np.testing.assert_array_equal(pool(x, keepdims=False), reduce(x, axis=(2, 3)))
            np.testing.assert_allclose(pool(x[0], data_format="NHWC"), reduce(x[0], axis=(0, 1), keepdims=True))
            np.testing.assert_allclose(pool(x, keepdims=False, data_format="NHWC"), reduce(x, axis=(1, 2)))
            assert pool(x[0, 0], keepdims=False).shape == ()
            with pytest.raises(ValueError, match="empty"):
                pool(np.ones((3, 0, 5)))
        assert np.isnan(ref.global_max_pool2d([[1, NAN], [INF, 2]]))

    def test_adaptive(self):
        x = np.arange(5.0)[None]
        assert ref.adaptive_avg_pool2d(x, (1, 3)).tolist() == [[0.5, 2, 3.5]]  # cells 0-1, 1-3, 3-4
        assert ref.adaptive_max_pool2d(x, (1, 3)).tolist() == [[1, 3, 4]]
        assert ref.adaptive_max_pool2d([[1, 2]], (2, 3)).tolist() == [[1, 2, 2]] * 2  # cells 0, 0-1, 1
        x = rng.normal(size=(2, 3, 6, 8))
        np.testing.assert_allclose(ref.adaptive_avg_pool2d(x, (3, 2)), ref.avg_pool2d(x, (2, 4)))
        np.testing.assert_array_equal(
            ref.adaptive_max_pool2d(nhwc(x), 2, data_format="NHWC"), nhwc(ref.max_pool2d(x, (3, 4)))
        )
        with pytest.raises(ValueError, match="output_size"):
            ref.adaptive_max_pool2d(x, 0)

    def test_spatial_pyramid_is_equally_long_for_any_size(self):
        for H, W in (24, 16), (5, 7), (1, 1):
            x = rng.normal(size=(2, 3, H, W))
            y = ref.spatial_pyramid_pool2d(x)
            assert y.shape == (2, 3 * 21)
            np.testing.assert_array_equal(y[:, 48:60].reshape(2, 3, 2, 2), ref.adaptive_max_pool2d(x, 2))
            np.testing.assert_array_equal(ref.spatial_pyramid_pool2d(nhwc(x), data_format="NHWC"), y)
            np.testing.assert_array_equal(ref.spatial_pyramid_pool2d(x[1]), y[1])
            np.testing.assert_allclose(ref.spatial_pyramid_pool2d(x, [1], mode="avg"), x.mean((2, 3)))

    def test_local_max_sum(self):
        assert ref.local_max_sum2d(np.ones((2, 2), "u1")).tolist() == [[4, 4], [4, 4]]
        assert ref.local_max_sum2d([[3, 1, 2, 1]], (1, 3)).tolist() == [[4, 0, 4, 0]]
        y = ref.local_max_sum2d([[1.0, 2.0, 1.0, NAN, 5.0, 6.0]], (1, 3))
        np.testing.assert_array_equal(y, [[0, 4, NAN, NAN, NAN, 11]])
        x = rng.integers(0, 99, (24, 16))  # a calorimeter
        y = ref.local_max_sum2d(x)
        around = ref.conv2d(x, np.ones((3, 3), int), padding=1)
        best = ref.max_pool2d(x, 3, stride=1, padding=1)
        np.testing.assert_array_equal(y, around * (x == best))
        np.testing.assert_array_equal(ref.local_max_sum2d(x[:, :, None], data_format="NHWC")[:, :, 0], y)
        with pytest.raises(ValueError, match="odd"):
            ref.local_max_sum2d(x, 2)
