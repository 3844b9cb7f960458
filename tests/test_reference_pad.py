"""The law of padding, columns and resampling, against numbers worked out by hand."""

import numpy as np
import pytest
from reference_tools import inner, nhwc, rng

from convfast import reference as ref

INF, NAN = np.inf, np.nan
SQUARE = np.arange(1, 10).reshape(3, 3)  # [[1, 2, 3], [4, 5, 6], [7, 8, 9]]


class TestPad2d:
    @pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "symmetric", "wrap"])
    def test_modes_are_those_of_numpy(self, mode):
        x = rng.normal(size=(2, 3, 4, 5))
        expected = np.pad(x, [(0, 0), (0, 0), (6, 1), (0, 2)], mode)
        np.testing.assert_array_equal(ref.pad2d(x, ((6, 1), (0, 2)), mode=mode), expected)
        np.testing.assert_array_equal(
            ref.pad2d(nhwc(x), ((6, 1), (0, 2)), mode=mode, data_format="NHWC"), nhwc(expected)
        )

    def test_interior_then_crop_then_pad(self):
        assert ref.pad2d([[1, 2]], ((0, 0), (-1, 2)), interior=(3, 2), value=7).tolist() == [[7, 7, 2, 7, 7]]
        assert ref.pad2d(SQUARE, (-1, 1)).tolist() == [[0, 4, 5, 6, 0]]
        assert ref.pad2d([[1, 2, 3]], ((0, 0), (-1, 2)), mode="reflect").tolist() == [[2, 3, 2, 3]]
        assert ref.pad2d([[1, 2]], ((0, 0), (3, -2))).tolist() == [[0, 0, 0]]

    def test_words(self):
        x = np.arange(1, 5)[None]
        assert ref.pad2d(x, "same", kernel_size=(1, 3), stride=2).tolist() == [[1, 2, 3, 4, 0]]
        assert ref.pad2d(x, "SAME_LOWER", kernel_size=(1, 3), stride=2).tolist() == [[0, 1, 2, 3, 4]]
        assert ref.pad2d(x, "full", kernel_size=(1, 2), dilation=2).tolist() == [[0, 0, 1, 2, 3, 4, 0, 0]]
        assert ref.pad2d(x, "valid").tolist() == x.tolist()
        w = rng.integers(-9, 9, (2, 3))
        image = rng.integers(-9, 9, (7, 8))
        y = ref.conv2d(image, w, padding="same", stride=2, dilation=2)
        padded = ref.pad2d(image, "same", kernel_size=(2, 3), stride=2, dilation=2)
        np.testing.assert_array_equal(ref.conv2d(padded, w, stride=2, dilation=2), y)

    def test_interior_makes_the_gradient_of_a_strided_convolution(self):
        x, w = rng.integers(-9, 9, (7, 7)), rng.integers(-9, 9, (3, 3))
        g = ref.conv2d(x, w, stride=2)
        spread = ref.pad2d(g, "full", interior=1, kernel_size=3)
        np.testing.assert_array_equal(ref.conv2d(spread, w[::-1, ::-1]), ref.conv2d_input_grad(g, w, (7, 7), stride=2))

    def test_result_is_new_and_keeps_the_type(self):
        x = np.ones((2, 2), "f2")
        y = ref.pad2d(x, 0)
        assert y.dtype == "f2"
        assert not np.shares_memory(x, y)

    @pytest.mark.parametrize(
        ("options", "complaint"),
        [
            ({"padding": -2}, "crop"),
            ({"padding": ((-4, 9), (0, 0))}, "crop"),
            ({"padding": ((-1, -2), (0, 0))}, "empty"),
            ({"padding": ((-3, 1), (0, 0)), "mode": "edge"}, "empty"),
            ({"padding": "same"}, "kernel_size"),
            ({"padding": 1, "mode": "mean"}, "mode"),
            ({"padding": 0, "interior": -1}, "interior"),
            ({"padding": 0, "interior": 1, "mode": "edge"}, "interior"),
        ],
    )
    def test_value_errors(self, options, complaint):
        with pytest.raises(ValueError, match=complaint):
            ref.pad2d(SQUARE, **options)

    def test_crop_or_pad(self):
        x = np.arange(5)[None]
        assert ref.crop_or_pad2d(x, (1, 2)).tolist() == [[1, 2]]
        assert ref.crop_or_pad2d(x, (1, 8)).tolist() == [[0, 0, 1, 2, 3, 4, 0, 0]]
        assert ref.crop_or_pad2d(x, (2, 5)).tolist() == [[0, 1, 2, 3, 4], [0] * 5]
        x = rng.normal(size=(2, 3, 6, 4))
        np.testing.assert_array_equal(ref.crop_or_pad2d(x, 5), ref.pad2d(x, ((0, -1), (0, 1))))
        np.testing.assert_array_equal(ref.crop_or_pad2d(nhwc(x), 5, data_format="NHWC"), nhwc(ref.crop_or_pad2d(x, 5)))


COLUMNS = {"stride": (2, 1), "padding": ((1, 0), (0, 2)), "dilation": (1, 2)}


class TestColumns:
    def test_convolution_is_a_product(self):
        x, w = rng.integers(-9, 9, (2, 3, 5, 6)), rng.integers(-9, 9, (4, 3, 2, 2))
        y = ref.conv2d(x, w, **COLUMNS)
        cols = ref.im2col(x, 2, **COLUMNS)
        np.testing.assert_array_equal((w.reshape(4, -1) @ cols).reshape(y.shape), y)
        np.testing.assert_array_equal(ref.im2col(x[1], 2, **COLUMNS), cols[1])
        cols = ref.im2col(nhwc(x), 2, data_format="NHWC", **COLUMNS)
        y = nhwc(y)
        np.testing.assert_array_equal((cols @ w.transpose(2, 3, 1, 0).reshape(-1, 4)).reshape(y.shape), y)

    def test_adjoint(self):
        x = rng.integers(-9, 9, (2, 3, 5, 6))
        for image, data_format in (x, "NCHW"), (nhwc(x), "NHWC"), (x[0], "NCHW"), (nhwc(x)[0], "NHWC"):
            every = dict(kernel_size=2, data_format=data_format, **COLUMNS)
            cols = ref.im2col(image, **every)
            other = rng.integers(-9, 9, cols.shape)
            back = ref.col2im(other, (5, 6), **every)
            assert back.shape == image.shape
            assert inner(cols, other) == inner(image, back)

    def test_types_and_errors(self):
        assert ref.im2col(np.ones((2, 2), "f4"), 1, padding=1).dtype == "f4"
        assert ref.col2im(np.ones((4, 1), "f4"), 2, 2).dtype == float
        assert ref.col2im(np.ones((4, 1), "u1"), 2, 2).dtype == "u1"
        for shape in (5, 1), (4, 2), (4,):
            with pytest.raises(ValueError, match="cols"):
                ref.col2im(np.ones(shape), 2, 2)


class TestResize2d:
    def test_nearest(self):
        x = np.arange(5)[None]
        assert ref.resize2d(x, (1, 3)).tolist() == [[0, 1, 3]]
        assert ref.resize2d(x, (2, 7)).tolist() == [[0, 0, 1, 2, 2, 3, 4]] * 2
        assert ref.resize2d(x, scale=(1, 0.5)).tolist() == [[0, 2]]
        image = rng.integers(0, 255, (2, 3, 4, 3), "u1")
        big = ref.resize2d(image, scale=3, data_format="NHWC")
        assert big.dtype == "u1"
        np.testing.assert_array_equal(big, image.repeat(3, 1).repeat(3, 2))

    def test_bilinear(self):
        x = [[0.0, 3.0, 6.0]]
        assert ref.resize2d(x, (1, 5), mode="bilinear", align_corners=True).tolist() == [[0, 1.5, 3, 4.5, 6]]
        assert ref.resize2d(x, (2, 6), mode="bilinear").tolist() == [[0, 0.75, 2.25, 3.75, 5.25, 6]] * 2
        assert ref.resize2d(x, (1, 1), mode="bilinear").tolist() == [[3]]
        assert ref.resize2d(x, (1, 1), mode="bilinear", align_corners=True).tolist() == [[0]]
        image = rng.normal(size=(2, 3, 5, 6))
        small = ref.resize2d(image, (3, 8), mode="bilinear")
        np.testing.assert_array_equal(
            ref.resize2d(nhwc(image), (3, 8), mode="bilinear", data_format="NHWC"), nhwc(small)
        )

    def test_a_neighbour_without_a_share_does_not_count(self):
        x = [[1.0, INF, 1.0, NAN]]
        np.testing.assert_array_equal(ref.resize2d(x, (1, 4), mode="bilinear"), x)
        y = ref.resize2d(x, (1, 7), mode="bilinear", align_corners=True)
        np.testing.assert_array_equal(y, [[1, INF, INF, INF, 1, NAN, NAN]])

    @pytest.mark.parametrize(
        ("options", "complaint"),
        [
            ({}, "either"),
            ({"size": 2, "scale": 2}, "either"),
            ({"size": 0}, "size"),
            ({"scale": 0.1}, "size"),
            ({"size": 2, "mode": "cubic"}, "mode"),
            ({"size": 2, "align_corners": True}, "align_corners"),
        ],
    )
    def test_value_errors(self, options, complaint):
        with pytest.raises(ValueError, match=complaint):
            ref.resize2d(SQUARE, **options)
