"""The law of convolution, against numbers worked out by hand and the seven loops."""

import doctest
import importlib
import inspect
import itertools

import numpy as np
import pytest
from reference_tools import GEOMETRIES, inner, integers, nhwc, rsck

from convfast import reference as ref

NAN, INF = np.nan, np.inf


@pytest.mark.parametrize("name", ["", "._geometry", ".conv", ".pool", ".pad", ".resize"])
def test_doctests(name):
    result = doctest.testmod(importlib.import_module(ref.__name__ + name))
    assert result.failed == 0


def test_every_function_has_an_example():
    for name in ref.__all__:
        assert ">>> " + name in inspect.getdoc(getattr(ref, name))


class TestShapes:
    """Well-known networks."""

    @pytest.mark.parametrize(
        ("x", "w", "options", "expected"),
        [
            ((227, 227, 3), (11, 11, 3, 96), {"stride": 4}, (55, 55, 96)),  # AlexNet
            ((224, 224, 3), (11, 11, 3, 96), {"stride": 4}, (54, 54, 96)),
            ((224, 224, 3), (11, 11, 3, 96), {"stride": 4, "padding": 2}, (55, 55, 96)),
            ((256, 256, 3), (4, 4, 3, 8), {"stride": 2}, (127, 127, 8)),
            ((256, 256, 3), (4, 4, 3, 8), {"stride": 2, "padding": "same"}, (128, 128, 8)),
            ((128, 128, 3), (8, 8, 3, 24), {"stride": 2}, (61, 61, 24)),
            ((61, 61, 24), (8, 8, 24, 24), {"stride": 2}, (27, 27, 24)),
            ((27, 27, 24), (8, 8, 24, 24), {"stride": 2}, (10, 10, 24)),
            ((300, 300, 3), (3, 3, 3, 32), {}, (298, 298, 32)),
            ((149, 149, 32), (3, 3, 32, 64), {}, (147, 147, 64)),
            ((25, 20, 7), (5, 5, 7, 15), {"padding": "same"}, (25, 20, 15)),
            ((27, 27, 1), (3, 3, 1, 3), {"stride": 3}, (9, 9, 3)),
            ((11, 11, 4), (5, 5, 4, 1), {"stride": 2}, (4, 4, 1)),
            ((1, 28, 28, 1), (5, 5, 1, 32), {"padding": "same"}, (1, 28, 28, 32)),  # MNIST
            ((1, 14, 14, 32), (5, 5, 32, 64), {"padding": "same"}, (1, 14, 14, 64)),
            ((32, 32, 3), (3, 3, 3, 32), {"padding": "same"}, (32, 32, 32)),  # CIFAR
            ((32, 32, 3), (5, 5, 3, 6), {}, (28, 28, 6)),
            ((28, 28, 6), (5, 5, 6, 1), {}, (24, 24, 1)),
            ((24, 24, 1), (5, 5, 1, 16), {}, (20, 20, 16)),
        ],
    )
    def test_nhwc(self, x, w, options, expected):
        assert ref.conv2d_output_shape(x, w, data_format="NHWC", **options) == expected

    def test_nchw(self):
        assert ref.conv2d_output_shape((3, 32, 32), (6, 3, 5, 5)) == (6, 28, 28)
        assert ref.conv2d_output_shape((16, 3, 256, 256), (32, 3, 5, 5), padding=2) == (16, 32, 256, 256)
        assert ref.conv2d_output_shape((3, 224, 224), (64, 3, 3, 3), padding="same") == (64, 224, 224)
        assert ref.conv2d_output_shape((8, 9), (3, 3)) == (6, 7)

    def test_conv1d(self):
        x, w = np.ones((10, 32)), np.ones((3, 32, 64))
        assert w.size + 64 == 6208
        assert ref.conv1d(x, w, np.ones(64), padding="same", data_format="NHWC").shape == (10, 64)

    def test_pooling(self):
        assert ref.max_pool2d(np.zeros((128, 128)), 2).shape == (64, 64)
        assert ref.max_pool2d(np.zeros((298, 298)), 2).shape == (149, 149)
        assert ref.max_pool2d(np.zeros((147, 147)), 2).shape == (73, 73)
        assert ref.max_pool2d(np.zeros((25, 20)), 2, stride=1, padding="same").shape == (25, 20)

    @pytest.mark.parametrize("options", GEOMETRIES)
    def test_same_as_conv2d(self, options):
        x, w = integers(2, 4, 5, 6), integers(6, 2, 2, 3)
        assert (
            ref.conv2d_output_shape(x.shape, w.shape, groups=2, **options)
            == ref.conv2d(x, w, groups=2, **options).shape
        )


class TestConv2d:
    def test_padding_words(self):
        x, w = [1, 2, 3, 4], [1, 1, 1]
        assert ref.conv1d(x, w, stride=2, padding="same").tolist() == [6, 7]
        assert ref.conv1d(x, w, stride=2, padding="same_lower").tolist() == [3, 9]
        assert ref.conv1d(x, w, stride=2, padding=1).tolist() == [3, 9]
        assert ref.conv1d(x, w, padding="full").tolist() == [1, 3, 6, 9, 7, 4]
        assert ref.conv1d(x, w, padding=(2, 0)).tolist() == [1, 3, 6, 9]

    def test_the_filter_is_not_flipped(self):
        assert ref.conv1d([0, 0, 1, 0, 0], [1, 2, 3]).tolist() == [3, 2, 1]

    @pytest.mark.parametrize("groups", [1, 2])
    @pytest.mark.parametrize("options", GEOMETRIES)
    def test_loops(self, options, groups):
        x, w, bias = integers(2, 4, 5, 6), integers(6, 4 // groups, 2, 3), integers(6)
        y = ref.conv2d(x, w, bias, groups=groups, **options)
        np.testing.assert_array_equal(y, ref.conv2d_loops(x, w, bias, groups=groups, **options))
        last = ref.conv2d(nhwc(x), rsck(w), bias, groups=groups, data_format="NHWC", **options)
        np.testing.assert_array_equal(last, nhwc(y))

    @pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "symmetric", "wrap"])
    def test_padding_modes_are_those_of_numpy(self, mode):
        x, w = integers(5, 6), integers(3, 2)
        y = ref.conv2d(x, w, padding=((2, 1), (0, 3)), padding_mode=mode)
        np.testing.assert_array_equal(y, ref.conv2d(np.pad(x, ((2, 1), (0, 3)), mode), w))

    def test_ranks(self):
        x, w = integers(2, 3, 5, 6), integers(4, 3, 2, 2)
        y = ref.conv2d(x, w)
        np.testing.assert_array_equal(ref.conv2d(x[1], w), y[1])
        np.testing.assert_array_equal(ref.conv2d(nhwc(x[1]), rsck(w), data_format="NHWC"), nhwc(y[1]))
        np.testing.assert_array_equal(ref.conv2d(x[0, 0], w[0, 0]), ref.conv2d(x[:1, :1], w[:1, :1])[0, 0])

    def test_conv1d_ranks_and_layouts(self):
        x, w, bias = integers(2, 4, 7), integers(6, 2, 3), integers(6)
        options = {"stride": 2, "padding": (1, 2), "dilation": 2, "groups": 2}
        y = ref.conv1d(x, w, bias, **options)
        np.testing.assert_array_equal(y[:, :, None], ref.conv2d_loops(
            x[:, :, None], w[:, :, None], bias, stride=(1, 2), padding=((0, 0), (1, 2)), dilation=(1, 2), groups=2
        ))  # fmt: skip
        np.testing.assert_array_equal(ref.conv1d(x[1], w, bias, **options), y[1])
        last = ref.conv1d(x.swapaxes(1, 2), w.transpose(2, 1, 0), bias, data_format="NHWC", **options)
        np.testing.assert_array_equal(last, y.swapaxes(1, 2))
        np.testing.assert_array_equal(ref.conv1d(x[0, 0], w[0, 0]), ref.conv1d(x[:1, :1], w[:1, :1])[0, 0])

    def test_channels_are_summed(self):
        assert ref.conv2d(np.ones((64, 3, 3)), np.ones((2, 64, 1, 1)))[1].tolist() == np.full((3, 3), 64.0).tolist()
        assert (
            ref.conv2d(np.ones((64, 3, 3)), np.ones((64, 1, 1, 1)), groups=64)[1].tolist() == np.ones((3, 3)).tolist()
        )

    def test_1x1_is_a_dense_layer_on_every_pixel(self):
        x, w = integers(5, 6, 7), integers(7, 4)
        np.testing.assert_array_equal(ref.conv2d(x, w[None, None], data_format="NHWC"), x @ w)

    def test_activation(self):
        x = [[-1, 2, 9]]
        assert ref.conv2d(x, [[1]], 1, activation="relu").tolist() == [[0, 3, 10]]
        assert ref.conv2d(x, [[1]], 1, activation="relu6").tolist() == [[0, 3, 6]]
        assert np.isnan(ref.conv2d([[NAN]], [[1]], activation="relu6"))

    @pytest.mark.parametrize(
        ("x", "w", "y"),
        [
            ("u1", "u1", "i4"), ("i1", "i2", "i4"), ("?", "?", "i4"), ("u4", "i4", "i8"), ("i8", "i8", "i8"),
            ("f2", "f2", "f8"), ("f4", "f4", "f8"), ("f8", "f4", "f8"), ("u1", "f4", "f8"), (">f4", ">i2", "f8"),
        ],
    )  # fmt: skip
    def test_dtypes(self, x, w, y):
        assert ref.conv2d(np.ones((3, 3), x), np.ones((2, 2), w)).dtype == y

    def test_integers_are_exact_and_wrap(self):
        assert ref.conv2d(np.full((3, 3), 100, "i1"), np.full((3, 3), 100, "i1")) == 90000
        assert ref.conv2d(np.array([[2**31 - 1, 1]], "i4"), np.ones((1, 2), "i4")) == -(2**31)
        assert ref.conv2d([[2**62, 1]], [[4, 7]]) == 7
        assert ref.conv2d(np.ones((2, 2), "u1"), np.ones((2, 2), "u1"), np.array(2.9)).item() == 6

    def test_bias_is_rounded_to_the_type_of_the_result(self):
        one = np.ones((1, 1), "f4")
        assert ref.conv2d(one, one, 0.1) == 1 + float(np.float32(0.1))

    @pytest.mark.parametrize("dtype", ["c8", "O", "U1", "M8[s]", "V4", [("a", "f4")]])
    def test_type_errors(self, dtype):
        with pytest.raises(TypeError):
            ref.conv2d(np.zeros((2, 2), dtype), np.ones((1, 1)))
        with pytest.raises(TypeError):
            ref.max_pool2d(np.zeros((2, 2), dtype), 1)

    def test_uint64_has_no_exact_type(self):
        with pytest.raises(TypeError):
            ref.conv2d(np.ones((2, 2), "u8"), np.ones((1, 1), "i1"))
        assert ref.conv2d(np.ones((2, 2), "u8"), np.ones((1, 1))).dtype == float

    def test_non_finite_values_stay_in_their_windows(self):
        x = np.ones((7, 7))
        x[3, 3] = NAN
        y = ref.conv2d(x, np.zeros((3, 3)), padding=1)
        assert np.isnan(y).sum() == 9
        assert np.isnan(y[2:5, 2:5]).all()
        # Padding is a zero like any other.
        y = ref.conv1d([1.0, 1.0], [INF, 1.0, 1.0], padding=1)
        np.testing.assert_array_equal(y, [NAN, INF])

    def test_empties(self):
        assert ref.conv2d(np.ones((0, 3, 5, 5)), np.ones((4, 3, 3, 3))).shape == (0, 4, 3, 3)
        assert ref.conv2d(np.ones((2, 3, 5, 5)), np.ones((0, 3, 3, 3))).shape == (2, 0, 3, 3)
        y = ref.conv2d(np.ones((1, 0, 5, 5)), np.ones((2, 0, 3, 3)), [1, 2])
        np.testing.assert_array_equal(y, np.broadcast_to([[[1]], [[2]]], (1, 2, 3, 3)))
        assert ref.conv2d(np.ones((0, 3)), np.ones((1, 1)), 5, padding=1).tolist() == [[5] * 5] * 2

    @pytest.mark.parametrize(
        ("x", "w", "options", "complaint"),
        [
            ((1, 3, 5, 5), (4, 2, 3, 3), {}, "channels"),
            ((1, 4, 5, 5), (3, 2, 3, 3), {"groups": 2}, "groups"),
            ((1, 3, 5, 5), (4, 3, 3, 3), {"groups": 0}, "groups"),
            ((1, 3, 5, 5), (4, 3, 6, 3), {}, "fit"),
            ((1, 3, 5, 5), (4, 3, 0, 3), {}, "kernel_size"),
            ((1, 3, 0, 5), (4, 3, 1, 1), {"padding": "same"}, "fit"),
            ((1, 3, 5, 5), (3, 3), {}, "rank 4"),
            ((5, 5), (1, 1, 3, 3), {}, "rank 2"),
            ((5,), (3,), {}, "rank"),
            ((1, 1, 1, 5, 5), (1, 1, 3, 3), {}, "rank"),
            ((5, 5), (3, 3), {"padding": -1}, "padding"),
            ((5, 5), (3, 3), {"padding": (1, 1, 1)}, "padding"),
            ((5, 5), (3, 3), {"padding": (1, (1, 2))}, "inhomogeneous"),
            ((5, 5), (3, 3), {"padding": "some"}, "padding"),
            ((5, 5), (3, 3), {"padding": 1, "padding_mode": "replicate"}, "padding mode"),
            ((5, 5), (3, 3), {"stride": 0}, "stride"),
            ((5, 5), (3, 3), {"stride": 1.5}, "stride"),
            ((5, 5), (3, 3), {"dilation": (1, 2, 3)}, "dilation"),
            ((5, 5), (3, 3), {"data_format": "nchw"}, "data_format"),
            ((5, 5), (3, 3), {"activation": "tanh"}, "activation"),
            ((5, 5), (3, 3), {"bias": [1, 2]}, "bias"),
        ],
    )
    def test_value_errors(self, x, w, options, complaint):
        with pytest.raises(ValueError, match=complaint):
            ref.conv2d(np.ones(x), np.ones(w), **options)


class TestConvTranspose2d:
    @pytest.mark.parametrize("options", GEOMETRIES)
    def test_adjoint_of_conv2d(self, options):
        """A convolution from K to C channels and back; rows that the forward windows miss are `output_padding`."""
        for groups, last in itertools.product([1, 2], [False, True]):
            big, w = integers(2, 6, 6, 6), integers(4, 6 // groups, 2, 3)  # 6 divides by every stride
            big, w = (nhwc(big), rsck(w)) if last else (big, w)
            every = dict(groups=groups, data_format="NHWC" if last else "NCHW", **options)
            x = integers(*ref.conv2d(big, w, **every).shape)
            plain = ref.conv_transpose2d(x, w, **every).shape
            missed = [full - size for full, size in zip(big.shape, plain, strict=True)]
            missed = missed[1:3] if last else missed[2:]
            y = ref.conv_transpose2d(x, w, output_padding=missed, **every)
            assert y.shape == big.shape
            assert inner(y, big) == inner(x, ref.conv2d(big, w, **every))
            np.testing.assert_array_equal(y, ref.conv2d_input_grad(x, w, big.shape, **every))

    @pytest.mark.parametrize("kernel", [1, 2, 3, 4, 5])
    def test_same_multiplies_by_the_stride(self, kernel):
        y = ref.conv_transpose2d(np.ones((4, 5)), np.ones((kernel, kernel)), stride=(2, 3), padding="same")
        assert y.shape == (8, 15)

    def test_bias_activation_and_gaps(self):
        y = ref.conv_transpose2d([[1, -5]], [[2]], 1, stride=(1, 2), output_padding=(1, 0), activation="relu")
        assert y.tolist() == [[3, 1, 0], [1, 1, 1]]

    def test_channels_last(self):
        x, w, bias = integers(2, 4, 3, 3), integers(4, 3, 2, 2), integers(6)
        y = ref.conv_transpose2d(x, w, bias, groups=2)
        last = ref.conv_transpose2d(nhwc(x), rsck(w), bias, groups=2, data_format="NHWC")
        assert y.shape == (2, 6, 4, 4)
        np.testing.assert_array_equal(last, nhwc(y))

    @pytest.mark.parametrize(
        ("options", "complaint"),
        [
            ({"padding": 3}, "empty"),
            ({"padding": -1}, "padding"),
            ({"padding": "same", "output_padding": 1}, "output_padding"),
            ({"output_padding": -1}, "output_padding"),
            ({"groups": 2}, "groups"),
        ],
    )
    def test_value_errors(self, options, complaint):
        with pytest.raises(ValueError, match=complaint):
            ref.conv_transpose2d(np.ones((1, 2, 2)), np.ones((1, 1, 3, 3)), **options)
