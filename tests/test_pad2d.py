"""Padding and cropping."""

import numpy as np
import pytest
from conftest import assert_same_bits, normal, x_shape

from convfast import conv2d, crop_or_pad2d, pad2d, reference


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "symmetric", "wrap"])
@pytest.mark.parametrize("dtype", ["?", "u1", "f2", "i4", "f8"])
def test_modes_are_those_of_numpy(mode, dtype, data_format, rng):
    x = (normal(rng, x_shape(2, 3, 4, 5, data_format)) * 9).astype(dtype)
    rows, cols = (11, 1), (0, 7)
    widths = [(0, 0), rows, cols, (0, 0)] if data_format == "NHWC" else [(0, 0), (0, 0), rows, cols]
    assert_same_bits(pad2d(x, (rows, cols), mode=mode, data_format=data_format), np.pad(x, widths, mode))


def test_same_padding_is_what_the_convolution_needs(data_format, rng):
    x = normal(rng, x_shape(1, 3, 13, 10, data_format))
    w = normal(rng, (4, 3, 3, 5) if data_format == "NCHW" else (3, 5, 3, 4))
    options = dict(stride=2, dilation=2, data_format=data_format)
    padded = pad2d(x, "same", kernel_size=(3, 5), **options)
    assert_same_bits(conv2d(padded, w, **options), conv2d(x, w, padding="same", **options))


def test_value_interior_and_crop():
    assert pad2d([[1, 2]], ((0, 0), (-1, 2)), interior=(3, 2), value=7).tolist() == [[7, 7, 2, 7, 7]]
    assert pad2d(np.array([[1.5]], "f2"), 1, value=np.inf)[0, 0] == np.inf
    assert pad2d(np.array([[200]], "u1"), ((0, 0), (1, 0)), value=255).tolist() == [[255, 200]]


def test_out_and_aliasing(rng):
    x = normal(rng, (5, 6))
    expected = pad2d(x, ((1, -1), (-2, 2)), mode="wrap")
    assert pad2d(x, ((1, -1), (-2, 2)), mode="wrap", out=x) is x
    assert_same_bits(x, expected)


def test_empties():
    assert pad2d(np.zeros((0, 2, 3, 3)), 1).shape == (0, 2, 5, 5)
    assert pad2d(np.zeros((0, 3)), ((1, 1), (0, 0)), value=2).tolist() == [[2] * 3] * 2
    assert crop_or_pad2d(np.ones((2, 0, 5)), (1, 1)).tolist() == [[[0]]] * 2


def test_golden_crop_or_pad():
    """An odd difference starts at floor(d / 2)."""
    x = np.arange(5)[None]
    assert crop_or_pad2d(x, (1, 2)).tolist() == [[1, 2]]
    assert crop_or_pad2d(x, (1, 8)).tolist() == [[0, 0, 1, 2, 3, 4, 0, 0]]
    image = np.random.default_rng(0).integers(0, 256, (301, 200, 3), np.uint8)
    y = crop_or_pad2d(image, 224, data_format="NHWC")
    np.testing.assert_array_equal(y[:, 12:212], image[38:262])
    np.testing.assert_array_equal(y, reference.crop_or_pad2d(image, 224, data_format="NHWC"))


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"padding": -2}, ValueError, ("crops more", "-2", "x.shape=(3, 3)")),
        ({"padding": ((-1, -2), (0, 0))}, ValueError, ("empty",)),
        ({"padding": ((-3, 1), (0, 0)), "mode": "edge"}, ValueError, ("mode='edge'", "empty axis")),
        ({"padding": "same"}, ValueError, ("kernel_size",)),
        ({"padding": "sam", "kernel_size": 1}, ValueError, ("did you mean 'same'",)),
        ({"padding": 1, "mode": "replicate"}, ValueError, ("did you mean 'edge'",)),
        ({"padding": 0, "interior": -1}, ValueError, ("interior", "-1")),
        ({"padding": 0, "interior": 1, "mode": "edge"}, ValueError, ("interior=1", "constant")),
        ({"padding": 1.5}, TypeError, ("padding", "1.5")),
        ({"padding": 2**62}, ValueError, ("too large",)),
        ({"padding": -(2**62)}, ValueError, ("crops more",)),
        ({"padding": 2**70}, ValueError, ("too large",)),
        ({"padding": 0, "interior": 2**62}, ValueError, ("too large",)),
        ({"padding": "same", "kernel_size": 3, "interior": 2**62}, ValueError, ("too large",)),
        ({"padding": 1, "value": "1"}, TypeError, ("value", "'1'")),
        ({"padding": 1, "value": 2**70}, ValueError, ("value",)),
        ({"padding": 1, "value": [1, 2]}, ValueError, ("value",)),
    ],
)
def test_errors(options, kind, words):
    with pytest.raises(kind) as caught:
        pad2d(np.arange(9).reshape(3, 3), **options)
    assert str(caught.value).startswith("pad2d: ")
    for word in words:
        assert word in str(caught.value), str(caught.value)


@pytest.mark.parametrize(
    ("dtype", "value"),
    [
        ("u1", 300.0), ("u1", np.int64(300)), ("u1", np.array([300])), ("u1", -1.0), ("i4", 1.5), ("i8", np.nan),
        ("i2", np.inf), ("i4", 1e300), ("?", 2), ("f2", 70000), ("f4", 1e300), ("f2", 2**70),
    ],
)  # fmt: skip
def test_values_that_do_not_fit(dtype, value):
    """NumPy stores another number for these, at best with a warning."""
    with pytest.raises(ValueError, match=f"value must be a number of dtype {np.dtype(dtype)}, .*: it does not fit"):
        pad2d(np.ones((2, 2), dtype), 1, value=value)


@pytest.mark.parametrize("value", [1j, np.complex64(1j), np.array([1j]), None, "1", np.str_("1"), b"1"])
def test_values_that_are_no_numbers(value):
    with pytest.raises(TypeError, match="value must be a number of dtype float32"):
        pad2d(np.ones((2, 2), "f4"), 1, value=value)


@pytest.mark.parametrize(
    ("dtype", "value"),
    [("u1", 200.0), ("i1", np.float64(-3)), ("?", 1), ("f4", 2**70), ("f2", -np.inf), ("f4", 0.1), ("f8", np.nan)],
)
def test_values_that_fit(dtype, value):
    corner = pad2d(np.ones((2, 2), dtype), 1, value=value)[0, 0]
    np.testing.assert_equal(corner, np.array(value).astype(dtype))
