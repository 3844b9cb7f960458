"""Numbers everybody knows: shapes, parameters and values of well-known networks and of often asked questions."""

import numpy as np
import pytest
from conftest import integers
from layers import LAYERS, SUITES

from convfast import Conv2D, conv1d, conv2d, conv2d_output_shape, explain_conv2d

# Output (K, P, Q) of one image and parameters with bias, as the question has them.
SEEDS = {
    "seed_alexnet": ((96, 55, 55), 34_944),
    "seed_alexnet_224": ((96, 55, 55), 34_944),
    "seed_256_valid": ((64, 127, 127), 3_136),
    "seed_256_same": ((64, 128, 128), 3_136),
    "seed_strided_1": ((24, 61, 61), 4_632),
    "seed_strided_2": ((24, 27, 27), 36_888),
    "seed_strided_3": ((24, 10, 10), 36_888),
    "seed_stack_1": ((32, 298, 298), 896),
    "seed_stack_2": ((64, 147, 147), 18_496),
    "seed_25x20": ((15, 25, 20), 2_640),
    "seed_nonoverlapping": ((3, 9, 9), 27 + 3),
    "seed_11x11": ((1, 4, 4), 101),
    "seed_conv1d": ((64, 1, 10), 6_208),
    "seed_lenet": ((6, 28, 28), 456),
    "seed_lenet_2": ((1, 24, 24), 151),
    "seed_lenet_3": ((16, 20, 20), 416),
    "seed_256_k5": ((32, 256, 256), 2_432),
    "seed_mnist_1": ((32, 28, 28), 832),
    "seed_mnist_2": ((64, 14, 14), 51_264),
    "seed_mnist_3x3": ((64, 26, 26), 640),
    "seed_mnist_7x7": ((32, 22, 22), 1_600),
    "seed_vgg": ((64, 224, 224), 1_792),
    "seed_cifar": ((32, 32, 32), 896),
}


def test_every_seed_has_its_numbers():
    assert {layer.name for layer in SUITES["seeds"]} == set(SEEDS)


@pytest.mark.parametrize("name", SEEDS)
def test_shapes_and_parameters(name):
    layer, (shape, parameters) = LAYERS[name], SEEDS[name]
    assert conv2d_output_shape(layer.x_shape, layer.w_shape, **layer.options) == (layer.N, *shape)
    assert conv2d_output_shape(layer.x_shape[1:], layer.w_shape, **layer.options) == shape
    told = explain_conv2d(layer.x_shape, layer.w_shape, **layer.options)
    assert told.output_shape == layer.output_shape
    assert told.parameters == layer.parameters == parameters


@pytest.mark.parametrize("name", SEEDS)
def test_computed_arrays_have_these_shapes(name):
    """Ones everywhere: the largest sum has all taps of one filter."""
    layer, (shape, _) = LAYERS[name], SEEDS[name]
    x, w = np.ones(layer.x_shape[1:], np.float32), np.ones(layer.w_shape, np.float32)
    y = conv2d(x, w, **layer.options)
    assert y.shape == shape
    assert y.max() == w[0].size


@pytest.mark.parametrize(
    ("suite", "layers", "multiply_adds"),
    [("resnet50", 53, 4_087_136_256), ("vgg16", 13, 15_346_630_656), ("mobilenet", 27, 567_716_352)],
)
def test_networks_cost_what_is_known(suite, layers, multiply_adds):
    """ResNet-50 4.1, VGG-16 15.3, MobileNet 0.57 billion multiply-adds in their convolutions."""
    assert sum(layer.count for layer in SUITES[suite]) == layers
    assert sum(layer.count * layer.flops for layer in SUITES[suite]) == 2 * multiply_adds


def test_the_suites_are_complete():
    assert len(SUITES["forward"]) == 48
    assert len(set(SUITES["forward"])) == 48
    assert all(layer.flops < 1e6 for layer in SUITES["tiny"])
    assert all(layer.C == layer.K == 1 for layer in SUITES["planes"])
    assert {layer.name for suite in SUITES.values() for layer in suite} <= set(LAYERS)
    assert all(name == layer.name for name, layer in LAYERS.items())


def test_padding_words(isa):
    x, w = np.array([1, 2, 3, 4]), np.array([1, 1, 1])
    for dtype in (np.int64, np.float32, np.float64):
        x, w = x.astype(dtype), w.astype(dtype)
        np.testing.assert_array_equal(conv1d(x, w, stride=2, padding="same"), [6, 7])
        np.testing.assert_array_equal(conv1d(x, w, stride=2, padding="same_lower"), [3, 9])
        np.testing.assert_array_equal(conv1d(x, w, stride=2, padding=1), [3, 9])


def test_channels_are_summed_never_averaged(isa, data_format):
    x = np.ones((1, 64, 5, 5) if data_format == "NCHW" else (1, 5, 5, 64), np.float32)
    w = np.ones((64, 64, 1, 1) if data_format == "NCHW" else (1, 1, 64, 64), np.float32)
    y = conv2d(conv2d(x, w, data_format=data_format), w, data_format=data_format)
    assert y.shape == x.shape  # 64 filters give 64 maps, whatever came before
    assert np.all(y == 64 * 64)


def test_one_filter_spans_all_channels():
    """3x3 on an RGB image has 27 weights and gives one map."""
    assert conv2d(np.ones((3, 6, 6)), np.ones((1, 3, 3, 3))).shape == (1, 4, 4)
    assert np.all(conv2d(np.ones((3, 6, 6)), np.ones((1, 3, 3, 3))) == 27)


def test_the_first_cell_is_a_dot_product(isa, rng):
    """V[0, 0, 0] = np.sum(X[:5, :5, :] * W0) + b0, of the CS231n notes."""
    X, W0, b0 = integers(rng, (11, 11, 4)), integers(rng, (5, 5, 4)), 1.0
    V = conv2d(X, W0[..., None], [b0], stride=2, data_format="NHWC")
    assert V.shape == (4, 4, 1)
    for p in range(4):
        for q in range(4):
            assert V[p, q, 0] == np.sum(X[2 * p : 2 * p + 5, 2 * q : 2 * q + 5] * W0) + b0


def test_a_dense_layer_on_every_pixel(isa, rng):
    """d maps of n x n become one."""
    d, n = 37, 13
    maps, weights = integers(rng, (d, n, n)), integers(rng, d)
    y = conv2d(maps, weights[None, :, None, None])[0]
    np.testing.assert_array_equal(y, np.tensordot(weights, maps, 1))


def test_one_head_over_all_levels_of_a_pyramid(isa, rng):
    """The same packed filter at many sizes, outputs joined as (H * W * anchors, classes)."""
    anchors, classes = 9, 4
    head = Conv2D(integers(rng, (anchors * classes, 256, 3, 3)), padding="same")
    levels = [integers(rng, (256, size, size)) for size in (8, 4, 2, 1, 1)]
    joined = np.concatenate([head(level).transpose(1, 2, 0).reshape(-1, classes) for level in levels])
    assert joined.shape == ((64 + 16 + 4 + 1 + 1) * anchors, classes)
    np.testing.assert_array_equal(joined[0], head(levels[0])[:classes, 0, 0])


def test_images_of_bytes_as_they_come(isa, rng):
    image = integers(rng, (16, 17, 3), np.uint8, 0, 256)
    w = integers(rng, (3, 3, 3, 8))
    y = conv2d(image, w, data_format="NHWC")
    assert y.dtype == np.float32
    np.testing.assert_array_equal(y, conv2d(image.astype(np.float32), w, data_format="NHWC"))
