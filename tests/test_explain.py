"""explain_conv2d tells, without computing, what conv2d would do."""

import time
from math import prod

import pytest
from conftest import assert_same_bits, needs_winograd, normal, operands
from layers import LAYERS, Conv

import convfast
from convfast import conv2d, conv2d_output_shape, explain_conv2d

CONVOLUTIONS = [layer for layer in LAYERS.values() if type(layer) is Conv]
MEBIBYTE = 2**20


def nhwc(layer):
    """The shapes of a layer with channels last."""
    N, C, H, W = layer.x_shape
    K, per_group, R, S = layer.w_shape
    return (N, H, W, C), (R, S, per_group, K)


@pytest.mark.parametrize("layer", CONVOLUTIONS, ids=lambda layer: layer.name)
@pytest.mark.parametrize("precision", ["highest", "high", "medium"])
def test_every_known_layer(isa, layer, precision):
    told = explain_conv2d(layer.x_shape, layer.w_shape, precision=precision, **layer.options)
    assert told.output_shape == layer.output_shape
    assert told.parameters == layer.parameters
    assert told.flops == layer.flops
    assert told.bytes_moved == layer.bytes
    assert told.isa == isa
    assert 1 <= told.threads <= convfast.get_num_threads()
    assert 0 <= told.workspace_bytes <= 64 * MEBIBYTE
    assert told.algorithm in [candidate.algorithm for candidate in told.candidates if candidate.applies]
    assert told.reason


@pytest.mark.parametrize("layer", CONVOLUTIONS, ids=lambda layer: layer.name)
def test_both_layouts_tell_the_same_sizes(layer):
    x_shape, w_shape = nhwc(layer)
    told = explain_conv2d(x_shape, w_shape, data_format="NHWC", **layer.options)
    N, K, P, Q = layer.output_shape
    assert told.output_shape == (N, P, Q, K)
    assert (told.flops, told.bytes_moved) == (layer.flops, layer.bytes)


@pytest.mark.parametrize("layer", CONVOLUTIONS, ids=lambda layer: layer.name)
@pytest.mark.parametrize("precision", ["highest", "high"])
def test_choice_depends_neither_on_batch_nor_on_threads(isa, layer, precision):
    choices = set()
    for N in (1, 2, 1000):
        for threads in (1, 2, 64):
            with convfast.num_threads(threads):
                shape = (N, *layer.x_shape[1:])
                choices.add(explain_conv2d(shape, layer.w_shape, precision=precision, **layer.options).algorithm)
    assert len(choices) == 1


@pytest.mark.parametrize("precision", ["highest", "high"])
@pytest.mark.parametrize(("C", "K", "size"), [(3, 64, 32), (64, 64, 28), (32, 1, 9), (1, 1, 64)])
def test_the_algorithm_named_is_the_one_that_runs(isa, data_format, C, K, size, precision, rng):
    x, w, bias = operands(rng, 1, C, size, size, K, 3, 3, data_format, make=normal)
    options = dict(data_format=data_format, precision=precision, padding=1)
    name = explain_conv2d(x.shape, w.shape, **options).algorithm
    assert_same_bits(conv2d(x, w, bias, **options), conv2d(x, w, bias, algorithm=name, **options))


def test_forced_algorithm_is_the_one_named():
    for algorithm in ("direct", "im2col"):
        assert explain_conv2d((1, 8, 9, 9), (8, 8, 3, 3), algorithm=algorithm).algorithm == algorithm


@needs_winograd
def test_forced_winograd_is_the_one_named():
    told = explain_conv2d((1, 8, 9, 9), (8, 8, 3, 3), algorithm="winograd", precision="high")
    assert told.algorithm == "winograd"


def test_candidates_that_do_not_apply_say_why():
    told = explain_conv2d((1, 1, 99, 99), (1, 1, 97, 97), precision="high", stride=2)
    refused = {candidate.algorithm: candidate.reason for candidate in told.candidates if not candidate.applies}
    assert refused
    assert all(refused.values())


def test_prints_the_sum_that_gives_the_shape():
    text = str(explain_conv2d((16, 3, 227, 227), (96, 3, 11, 11), stride=4))
    for piece in ("(16, 96, 55, 55)", "227", "11", "4", "55", "34,944", convfast.isa()):
        assert piece in text
    assert all(len(line) <= 120 for line in text.splitlines())


def test_nothing_is_computed_and_nothing_is_allocated():
    """A petabyte of input is explained at once."""
    start = time.perf_counter()
    told = explain_conv2d((1000, 512, 20000, 20000), (512, 512, 3, 3), padding=1)
    assert time.perf_counter() - start < 0.1
    assert told.flops == 2 * prod(told.output_shape) * 512 * 9
    assert told.workspace_bytes <= 64 * MEBIBYTE


@pytest.mark.parametrize("layer", CONVOLUTIONS, ids=lambda layer: layer.name)
def test_output_shape(layer):
    assert conv2d_output_shape(layer.x_shape, layer.w_shape, **layer.options) == layer.output_shape
    assert conv2d_output_shape(layer.x_shape[1:], layer.w_shape, **layer.options) == layer.output_shape[1:]


def test_output_shape_of_a_plane_and_of_words():
    assert conv2d_output_shape((31, 37), (5, 3)) == (27, 35)
    assert conv2d_output_shape((31, 37), (5, 3), padding="same", stride=2) == (16, 19)
    assert conv2d_output_shape((31, 37), (5, 3), padding="full", dilation=2) == (39, 41)
    shape = conv2d_output_shape([2, 31, 37, 3], [5, 3, 3, 11], padding=((1, 2), (3, 4)), data_format="NHWC")
    assert shape == (2, 30, 42, 11)
    assert all(type(size) is int for size in shape)
