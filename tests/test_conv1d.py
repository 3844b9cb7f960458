"""conv1d is conv2d on images of height one."""

import numpy as np
import pytest
from conftest import assert_same_bits, integers, normal

from convfast import conv1d, conv2d, reference

OPTIONS = {
    "plain": {},
    "stride": dict(stride=3),
    "padding": dict(padding=4),
    "two paddings": dict(padding=(5, 2)),
    "same": dict(padding="same", stride=2),
    "same_lower": dict(padding="SAME_LOWER", stride=2),
    "full": dict(padding="full", dilation=2),
    "dilation": dict(dilation=5),
    "groups": dict(groups=3),
    "edge": dict(padding=(3, 1), padding_mode="edge"),
    "wrap": dict(padding=(2, 47), padding_mode="wrap"),
    "relu": dict(activation="relu", padding=1),
}


def signals(rng, N, C, L, K, S, data_format, dtype=np.float32, make=integers):
    """x, filters and a bias; `C` is the number of channels per filter."""
    x, w = make(rng, (N, C, L), dtype), make(rng, (K, C, S), dtype)
    if data_format == "NHWC":
        x, w = np.ascontiguousarray(x.transpose(0, 2, 1)), np.ascontiguousarray(w.transpose(2, 1, 0))
    return x, w, make(rng, K, dtype)


@pytest.mark.parametrize("name", OPTIONS)
def test_equals_the_law(isa, data_format, dtype, name, rng):
    options = dict(OPTIONS[name], data_format=data_format)
    groups = options.get("groups", 1)
    x, _, _ = signals(rng, 2, 5 * groups, 43, 1, 1, data_format, dtype)
    _, w, bias = signals(rng, 1, 5, 1, 7 * groups, 3, data_format, dtype)
    for b in (None, bias):
        y = conv1d(x, w, b, **options)
        assert y.dtype == dtype
        np.testing.assert_array_equal(y, reference.conv1d(x, w, b, **options))


@pytest.mark.parametrize(("padding", "row"), [(3, (0, 3)), ((1, 4), ((0, 0), (1, 4))), ("same", "same")], ids=str)
def test_equals_conv2d_on_images_of_height_one(isa, padding, row, rng):
    x, w, bias = signals(rng, 2, 11, 47, 13, 5, "NCHW", make=normal)
    y = conv1d(x, w, bias, padding=padding, stride=2)
    np.testing.assert_array_equal(
        y, conv2d(x[:, :, None], w[:, :, None], bias, padding=row, stride=(1, 2))[:, :, 0]
    )


def test_result_has_the_rank_of_x(isa, data_format, rng):
    x, w, bias = signals(rng, 1, 3, 43, 5, 7, data_format)
    batched = conv1d(x, w, bias, data_format=data_format)
    assert_same_bits(conv1d(x[0], w, bias, data_format=data_format), batched[0])
    signal, filter = integers(rng, 43), integers(rng, 7)
    expected = conv1d(signal[None, None], filter[None, None])[0, 0]
    assert_same_bits(conv1d(signal, filter, data_format=data_format), expected)
    np.testing.assert_array_equal(conv1d(signal, filter), np.correlate(signal, filter))


def test_integers_are_exact(data_format, rng):
    x, w, _ = signals(rng, 2, 3, 29, 5, 3, data_format, np.int8)
    y = conv1d(x, w, data_format=data_format)
    assert y.dtype == np.int32
    np.testing.assert_array_equal(y, reference.conv1d(x, w, data_format=data_format))


def test_out_is_filled_and_returned(isa, data_format, rng):
    x, w, bias = signals(rng, 2, 3, 29, 5, 3, data_format, make=normal)
    expected = conv1d(x, w, bias, data_format=data_format)
    out = np.full((*expected.shape, 2), 99, np.float32)[..., 1]
    assert conv1d(x, w, bias, data_format=data_format, out=out) is out
    assert_same_bits(out, expected)


def test_empty_sizes(isa, data_format, rng):
    for N, C, K in [(0, 3, 5), (2, 0, 5), (2, 3, 0)]:
        x, w, bias = signals(rng, N, C, 11, K, 3, data_format)
        y = conv1d(x, w, bias, data_format=data_format)
        np.testing.assert_array_equal(y, reference.conv1d(x, w, bias, data_format=data_format))


@pytest.mark.parametrize("algorithm", ["direct", "im2col"])
def test_algorithm_can_be_forced(isa, data_format, algorithm, rng):
    x, w, bias = signals(rng, 1, 17, 101, 13, 7, data_format)
    y = conv1d(x, w, bias, data_format=data_format, algorithm=algorithm)
    np.testing.assert_array_equal(y, reference.conv1d(x, w, bias, data_format=data_format))
