"""The gradients and the transposed convolution against PyTorch, where it is installed."""

import numpy as np
import pytest
from conftest import integers, normal

from convfast import conv2d_input_grad, conv2d_weight_grad, conv_transpose2d

torch = pytest.importorskip("torch")
F = torch.nn.functional

OPTIONS = [
    {},
    {"stride": (3, 2), "padding": (2, 1)},
    {"dilation": (2, 3), "padding": (1, 4)},
    {"groups": 5},
    {"groups": 15, "padding": 2, "stride": 2},
    {"groups": 15, "padding": 1},
]


def gradients(x, w, options, dtype=None):
    """What autograd gives: grad, dx, dw."""
    x, w = (torch.from_numpy(a).to(dtype).requires_grad_() for a in (x, w))
    y = F.conv2d(x, w, **options)
    grad = torch.from_numpy(integers(np.random.default_rng(3), y.shape)).to(y.dtype)
    y.backward(grad)
    return grad, x.grad, w.grad


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_both_gradients(isa, options, rng):
    x = integers(rng, (2, 15, 13, 17))
    w = integers(rng, (30, 15 // options.get("groups", 1), 3, 5))
    grad, dx, dw = (a.numpy() for a in gradients(x, w, options))
    np.testing.assert_array_equal(conv2d_input_grad(grad, w, x.shape, **options), dx)
    np.testing.assert_array_equal(conv2d_weight_grad(x, grad, (3, 5), **options), dw)
    last = {"data_format": "NHWC", **options}
    x, grad, w = x.transpose(0, 2, 3, 1), grad.transpose(0, 2, 3, 1), w.transpose(2, 3, 1, 0)
    np.testing.assert_array_equal(conv2d_input_grad(grad, w, x.shape, **last), dx.transpose(0, 2, 3, 1))
    np.testing.assert_array_equal(conv2d_weight_grad(x, grad, (3, 5), **last), dw.transpose(2, 3, 1, 0))


@pytest.mark.parametrize(("ours", "theirs"), [("edge", "replicate"), ("reflect", "reflect"), ("wrap", "circular")])
def test_padding_modes(isa, ours, theirs, rng):
    x, w = integers(rng, (2, 3, 11, 13)), integers(rng, (5, 3, 3, 3))
    at = torch.from_numpy(x).requires_grad_()
    layer = torch.nn.Conv2d(3, 5, 3, padding=2, padding_mode=theirs, bias=False)
    layer.weight = torch.nn.Parameter(torch.from_numpy(w))
    grad = integers(rng, (2, 5, 13, 15))
    layer(at).backward(torch.from_numpy(grad))
    options = {"padding": 2, "padding_mode": ours}
    np.testing.assert_array_equal(conv2d_input_grad(grad, w, x.shape, **options), at.grad.numpy())
    np.testing.assert_array_equal(conv2d_weight_grad(x, grad, 3, **options), layer.weight.grad.numpy())


@pytest.mark.parametrize(
    "options",
    [{}, {"stride": (3, 2), "padding": 1, "output_padding": (2, 1)}, {"dilation": 2}, {"groups": 3, "stride": 2}],
    ids=str,
)
def test_transposed(isa, options, rng):
    x, w, bias = integers(rng, (2, 6, 7, 9)), integers(rng, (6, 4, 3, 5)), integers(rng, 4 * options.get("groups", 1))
    theirs = F.conv_transpose2d(*map(torch.from_numpy, (x, w, bias)), **options)
    np.testing.assert_array_equal(conv_transpose2d(x, w, bias, **options), theirs.numpy())


@pytest.mark.parametrize("groups", [1, 6])
def test_real_numbers(isa, groups, rng):
    """Both err by rounding alone: measured by sums of magnitudes."""
    options = {"padding": 1, "groups": groups}
    x, w = normal(rng, (3, 6, 19, 23)), normal(rng, (12, 6 // groups, 3, 3))
    grad, dx, dw = (a.numpy() for a in gradients(x, w, options))
    wide = conv2d_input_grad(abs(grad), abs(w), x.shape, **options)
    assert np.all(abs(conv2d_input_grad(grad, w, x.shape, **options) - dx) <= 1e-5 * wide)
    wide = conv2d_weight_grad(abs(x), abs(grad), 3, **options)
    assert np.all(abs(conv2d_weight_grad(x, grad, 3, **options) - dw) <= 1e-5 * wide)
