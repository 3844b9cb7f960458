"""conv_transpose2d against the law."""

import numpy as np
import pytest
from gradient_tools import check, layers_of_every_width, random_layer
from reference_tools import integers

import convfast
from convfast import reference as ref


@pytest.mark.parametrize("seed", range(12))
def test_sweep(settings, seed):
    rng = np.random.default_rng(200 + seed)
    for _ in range(25):
        layer = random_layer(rng)
        if layer is None:
            continue
        (_, w, x), _, options = layer
        last = options["data_format"] == "NHWC"
        bias = rng.integers(-3, 4, w.shape[2 if last else 1] * options["groups"]).astype(w.dtype)
        options["activation"] = [None, "relu", "relu6"][rng.integers(3)]
        if str(options["padding"])[:4] != "same":
            reach = zip(options["stride"], options["dilation"], strict=True)
            options["output_padding"] = tuple(int(rng.integers(max(pair))) for pair in reach)
        try:
            ref.conv_transpose2d(x, w, bias, **options)
        except ValueError:
            with pytest.raises(ValueError, match="conv_transpose2d: the output would be empty"):
                convfast.conv_transpose2d(x, w, bias, **options)
            continue
        check("conv_transpose2d", (x, w, bias), **options)


def test_nothing_outside_the_arrays_is_touched(isa, data_format):
    for (_, w, x), _, options in layers_of_every_width(data_format):
        channels = w.shape[2 if data_format == "NHWC" else 1] * options.get("groups", 1)
        check("conv_transpose2d", (x, w, np.arange(channels).astype(w.dtype)), **options)


@pytest.mark.parametrize("padding", ["same", "same_lower"])
def test_same_grows_by_the_stride(isa, padding):
    for size, stride in (((3, 3), 2), ((2, 5), (3, 2)), ((1, 1), 4)):
        x, w = integers(2, 3, 4, 5), integers(3, 6, *size)
        y = convfast.conv_transpose2d(x, w, stride=stride, padding=padding)
        h, v = (stride, stride) if isinstance(stride, int) else stride
        assert y.shape == (2, 6, 4 * h, 5 * v)
        np.testing.assert_array_equal(y, ref.conv_transpose2d(x, w, stride=stride, padding=padding))


def test_is_the_input_gradient():
    g, w = integers(2, 6, 4, 4), integers(6, 4, 3, 3)
    dx = convfast.conv2d_input_grad(g, w, (2, 4, 8, 8), stride=2, padding=1)
    np.testing.assert_array_equal(convfast.conv_transpose2d(g, w, stride=2, padding=1, output_padding=1), dx)


def test_out_and_ranks():
    x, w = integers(4, 5), integers(2, 3)
    want = ref.conv_transpose2d(x, w, stride=2)
    out = np.empty(want.shape, np.int64)
    assert convfast.conv_transpose2d(x, w, stride=2, out=out) is out
    np.testing.assert_array_equal(out, want)
    np.testing.assert_array_equal(convfast.conv_transpose2d(x[None], w[None, None], stride=2)[0], want)


def test_empty():
    assert convfast.conv_transpose2d(np.ones((0, 2, 3, 3)), np.ones((2, 4, 3, 3))).shape == (0, 4, 5, 5)
    assert convfast.conv_transpose2d(np.ones((1, 2, 3, 3)), np.ones((2, 0, 3, 3))).shape == (1, 0, 5, 5)
    x, w = np.ones((1, 0, 3, 3)), np.ones((0, 2, 3, 3))
    no_channels = convfast.conv_transpose2d(x, w, [1.0, -1.0], activation="relu")
    np.testing.assert_array_equal(no_channels, np.stack([np.ones((5, 5)), np.zeros((5, 5))])[None])


def test_wrong_arguments():
    x, w = np.ones((1, 4, 3, 3)), np.ones((4, 2, 3, 3))
    with pytest.raises(ValueError, match="w must have the 4 channels of x first"):
        convfast.conv_transpose2d(x, np.ones((3, 2, 3, 3)))
    with pytest.raises(ValueError, match="groups must divide the channels of x"):
        convfast.conv_transpose2d(x, w, groups=3)
    with pytest.raises(ValueError, match="output_padding must be smaller than stride or dilation"):
        convfast.conv_transpose2d(x, w, stride=2, output_padding=2)
    with pytest.raises(ValueError, match="output_padding must be 0, as padding='same'"):
        convfast.conv_transpose2d(x, w, stride=2, padding="same", output_padding=1)
    with pytest.raises(ValueError, match="the output would be empty"):
        convfast.conv_transpose2d(x, w, padding=3)
    with pytest.raises(ValueError, match="the output would be empty"):
        convfast.conv_transpose2d(np.ones((1, 4, 0, 3)), w)
    with pytest.raises(ValueError, match="bias must be one-dimensional"):
        convfast.conv_transpose2d(x, w, np.ones(4))
