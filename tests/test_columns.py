"""Windows as columns, and back."""

import numpy as np
import pytest
from conftest import integers, x_shape

from convfast import col2im, conv2d, im2col

OPTIONS = dict(stride=(2, 1), padding=((1, 0), (0, 2)), dilation=(1, 2))


def test_a_convolution_is_a_product(rng):
    x, w = integers(rng, (2, 3, 9, 8)), integers(rng, (4, 3, 2, 3))
    y = conv2d(x, w, **OPTIONS)
    cols = im2col(x, (2, 3), **OPTIONS)
    np.testing.assert_array_equal((w.reshape(4, -1) @ cols).reshape(y.shape), y)
    last = im2col(np.moveaxis(x, 1, -1), (2, 3), data_format="NHWC", **OPTIONS)
    np.testing.assert_array_equal(last @ w.transpose(2, 3, 1, 0).reshape(-1, 4), y.reshape(2, 4, -1).swapaxes(1, 2))


@pytest.mark.parametrize("dtype", ["f4", "f8", "i2", "u8"])
def test_adjoint(isa, data_format, dtype, rng):
    x = integers(rng, x_shape(2, 5, 7, 9, data_format), dtype, 0)
    every = dict(kernel_size=(3, 2), data_format=data_format, **OPTIONS)
    cols = im2col(x, **every)
    other = integers(rng, cols.shape, dtype, 0)
    back = col2im(other, (7, 9), **every)
    assert back.shape == x.shape
    assert back.dtype == x.dtype
    assert np.sum(cols * other) == np.sum(x * back)


@pytest.mark.parametrize(("dtype", "error"), [("f4", 1e-7), ("f2", 5e-4)])
def test_long_sums_do_not_drift(dtype, error):
    """A plain chain of float32 rounds 0.1 the same way at every addition."""
    cols = np.full((2001, 2001), 0.1, dtype)
    middle = col2im(cols, (1, 4001), (1, 2001))[0, 0, 2000]
    np.testing.assert_allclose(float(middle), 2001 * float(cols[0, 0]), rtol=error)


def test_small_integers_wrap_and_bool_is_true_where_any_is():
    ones = np.full((4, 1), 100, np.uint8)
    assert col2im(np.tile(ones, (1, 4)), 3, 2).tolist()[0][1][1] == 400 - 256
    assert col2im(np.array([[True], [True]]), (1, 2), (1, 2)).tolist() == [[[True, True]]]


def test_empties():
    assert im2col(np.zeros((0, 3, 4, 4)), 2).shape == (0, 12, 9)
    assert im2col(np.zeros((2, 0, 4, 4)), 2).shape == (2, 0, 9)
    assert col2im(np.zeros((2, 0, 9)), 4, 2).shape == (2, 0, 4, 4)


@pytest.mark.parametrize("shape", [(5, 1), (4, 2), (4,), (1, 1, 4, 1)])
def test_bad_columns(shape):
    with pytest.raises(ValueError, match="col2im: cols must"):
        col2im(np.ones(shape), 2, 2)


def test_huge_arguments():
    for options in {"kernel_size": 2**62}, {"kernel_size": 1, "padding": 2**55}, {"kernel_size": 1, "stride": 2**62}:
        with pytest.raises(ValueError, match="im2col: "):
            im2col(np.ones((2, 2)), **options)
    with pytest.raises(ValueError, match="col2im: "):
        col2im(np.ones((1, 1)), 2**61, 1)
