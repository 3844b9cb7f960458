"""conv2d and conv1d against PyTorch, where it is installed and has the same function."""

import numpy as np
import pytest
from conftest import assert_same_bits, integers, normal

from convfast import Conv2D, conv1d, conv2d

torch = pytest.importorskip("torch")
F = torch.nn.functional

OPTIONS = [
    {},
    {"stride": (3, 2), "padding": (2, 1)},
    {"dilation": (2, 3), "padding": (1, 4)},
    {"groups": 5},
    {"groups": 15, "padding": 2, "stride": 2},
    {"padding": "same"},
    {"padding": "same", "dilation": 3},
    {"padding": "valid"},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_conv2d(isa, dtype, options, rng):
    x = integers(rng, (2, 15, 13, 17), dtype)
    w = integers(rng, (30, 15 // options.get("groups", 1), 3, 5), dtype)
    bias = integers(rng, 30, dtype)
    theirs = F.conv2d(*map(torch.from_numpy, (x, w, bias)), **options)
    np.testing.assert_array_equal(conv2d(x, w, bias, **options), theirs.numpy())


@pytest.mark.parametrize("options", [{}, {"stride": 2, "padding": 3}, {"dilation": 2}, {"groups": 3}], ids=str)
def test_conv1d(isa, dtype, options, rng):
    x, w = integers(rng, (2, 6, 41), dtype), integers(rng, (9, 6 // options.get("groups", 1), 5), dtype)
    theirs = F.conv1d(torch.from_numpy(x), torch.from_numpy(w), **options)
    np.testing.assert_array_equal(conv1d(x, w, **options), theirs.numpy())


@pytest.mark.parametrize(("ours", "theirs"), [("edge", "replicate"), ("reflect", "reflect"), ("wrap", "circular")])
def test_padding_modes(isa, ours, theirs, rng):
    x, w = integers(rng, (1, 3, 11, 13)), integers(rng, (5, 3, 3, 3))
    layer = torch.nn.Conv2d(3, 5, 3, padding=2, padding_mode=theirs, bias=False)
    layer.weight = torch.nn.Parameter(torch.from_numpy(w))
    y = layer(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_array_equal(conv2d(x, w, padding=2, padding_mode=ours), y)


def test_tensors_are_arrays(isa, rng):
    x, w, bias = normal(rng, (2, 3, 11, 13)), normal(rng, (5, 3, 3, 3)), normal(rng, 5)
    expected = conv2d(x, w, bias)
    assert_same_bits(conv2d(*map(torch.from_numpy, (x, w, bias))), expected)
    channels_last = torch.from_numpy(x).to(memory_format=torch.channels_last)
    assert_same_bits(conv2d(channels_last, torch.from_numpy(w), bias), expected)
    assert_same_bits(Conv2D(torch.from_numpy(w), bias)(torch.from_numpy(x)), expected)
