"""The law against PyTorch in float64, where PyTorch is installed and has the same function."""

import itertools

import numpy as np
import pytest
from reference_tools import rng

from convfast import reference as ref

torch = pytest.importorskip("torch")
F = torch.nn.functional

MODES = {"constant": "constant", "edge": "replicate", "reflect": "reflect", "wrap": "circular"}


def tensor(x, requires_grad=False):
    return torch.tensor(x, requires_grad=requires_grad)


def agree(ours, theirs):
    np.testing.assert_allclose(ours, theirs.detach().numpy(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize(
    ("stride", "padding", "dilation"), list(itertools.product([1, (2, 3)], [0, (2, 1)], [1, (1, 2)]))
)
def test_conv2d_and_gradients(stride, padding, dilation, groups, mode):
    x, w, b = rng.normal(size=(2, 4, 7, 8)), rng.normal(size=(6, 4 // groups, 2, 3)), rng.normal(size=6)
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    X, W, B = tensor(x, True), tensor(w, True), tensor(b)
    h, v = (padding, padding) if padding == 0 else padding
    Y = F.conv2d(F.pad(X, (v, v, h, h), MODES[mode]), W, B, stride, 0, dilation, groups)
    agree(ref.conv2d(x, w, b, padding_mode=mode, **options), Y)
    g = rng.normal(size=Y.shape)
    Y.backward(tensor(g))
    agree(ref.conv2d_input_grad(g, w, x.shape, padding_mode=mode, **options), X.grad)
    agree(ref.conv2d_weight_grad(x, g, (2, 3), padding_mode=mode, **options), W.grad)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@pytest.mark.parametrize(("kernel", "dilation"), list(itertools.product([1, 2, 3, 4], [1, 2])))
def test_same(kernel, dilation):
    x, w = rng.normal(size=(2, 3, 7, 8)), rng.normal(size=(4, 3, kernel, 3))
    Y = F.conv2d(tensor(x), tensor(w), padding="same", dilation=dilation)
    agree(ref.conv2d(x, w, padding="same", dilation=dilation), Y)


def test_conv1d():
    x, w, b = rng.normal(size=(2, 4, 9)), rng.normal(size=(6, 2, 3)), rng.normal(size=6)
    agree(
        ref.conv1d(x, w, b, stride=2, padding=3, dilation=2, groups=2),
        F.conv1d(tensor(x), tensor(w), tensor(b), 2, 3, 2, 2),
    )


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize(
    ("stride", "padding", "extra", "dilation"),
    list(itertools.product([1, (2, 3)], [0, (1, 2)], [0, (0, 1), 1], [1, (2, 2)])),
)
def test_conv_transpose2d(stride, padding, extra, dilation, groups):
    x, w, b = rng.normal(size=(2, 4, 5, 6)), rng.normal(size=(4, 6 // groups, 2, 3)), rng.normal(size=6)
    try:
        Y = F.conv_transpose2d(tensor(x), tensor(w), tensor(b), stride, padding, extra, groups, dilation)
    except RuntimeError:
        pytest.skip("PyTorch wants output_padding below stride or dilation")
    y = ref.conv_transpose2d(
        x, w, b, stride=stride, padding=padding, output_padding=extra, dilation=dilation, groups=groups
    )
    agree(y, Y)


@pytest.mark.parametrize("size", [(2, 2), (3, 5), (6, 7), (9, 8)])
@pytest.mark.parametrize(("stride", "padding"), list(itertools.product([None, 1, 2, 3, (3, 2), 5], [0, 1, (0, 1)])))
@pytest.mark.parametrize("kernel", [2, 3, (3, 2)])
def test_pooling_and_gradients(kernel, stride, padding, size):
    for ceil_mode, dilation in itertools.product([False, True], [1, 2]):
        x = rng.permutation(2 * 3 * size[0] * size[1]).reshape(2, 3, *size).astype(float)
        X = tensor(x, True)
        options = {"stride": stride, "padding": padding, "ceil_mode": ceil_mode}
        try:
            Y, index = F.max_pool2d(X, kernel, dilation=dilation, return_indices=True, **options)
        except RuntimeError:
            with pytest.raises(ValueError, match=r"fit|padding"):
                ref.max_pool2d(x, kernel, dilation=dilation, **options)
            continue
        ours = ref.max_pool2d(x, kernel, dilation=dilation, return_indices=True, **options)
        agree(ours[0], Y)
        seen = ours[1] >= 0  # of windows without a cell PyTorch names one that does not exist
        np.testing.assert_array_equal(ours[1][seen], index.numpy()[seen])
        assert np.isneginf(ours[0][~seen]).all()
        g = rng.normal(size=Y.shape)
        if seen.all():
            Y.backward(tensor(g))
            agree(ref.max_pool2d_grad(g, x, kernel, dilation=dilation, **options), X.grad)
        if dilation > 1:
            continue
        for include, divisor in (True, None), (False, None), (True, 5):
            X = tensor(x, True)
            Y = F.avg_pool2d(X, kernel, count_include_pad=include, divisor_override=divisor, **options)
            every = {"count_include_pad": include, "divisor_override": divisor, **options}
            agree(ref.avg_pool2d(x, kernel, **every), Y)
            Y.backward(tensor(g))
            agree(ref.avg_pool2d_grad(g, x.shape, kernel, **every), X.grad)


def test_defaults_count_padding():
    x = rng.normal(size=(1, 5, 6))
    agree(ref.avg_pool2d(x, 3, padding=1), F.avg_pool2d(tensor(x), 3, padding=1))


@pytest.mark.parametrize("size", [1, 2, 3, (5, 4), (8, 20)])
def test_adaptive(size):
    x = rng.normal(size=(2, 3, 7, 10))
    agree(ref.adaptive_max_pool2d(x, size), F.adaptive_max_pool2d(tensor(x), size))
    agree(ref.adaptive_avg_pool2d(x, size), F.adaptive_avg_pool2d(tensor(x), size))


@pytest.mark.parametrize(
    ("stride", "padding", "dilation"), list(itertools.product([1, (2, 3)], [0, (2, 1)], [1, (1, 2)]))
)
def test_columns(stride, padding, dilation):
    x = rng.normal(size=(2, 3, 7, 8))
    options = {"stride": stride, "padding": padding, "dilation": dilation}
    cols = ref.im2col(x, (2, 3), **options)
    agree(cols, F.unfold(tensor(x), (2, 3), **options))
    agree(ref.col2im(cols, (7, 8), (2, 3), **options), F.fold(tensor(cols), (7, 8), (2, 3), **options))


@pytest.mark.parametrize("size", [(7, 9), (1, 1), (3, 4), (14, 27), (10, 5), (20, 31)])
def test_resize2d(size):
    x = rng.normal(size=(2, 3, 7, 9))
    agree(ref.resize2d(x, size), F.interpolate(tensor(x), size))
    for corners in False, True:
        theirs = F.interpolate(tensor(x), size, mode="bilinear", align_corners=corners)
        agree(ref.resize2d(x, size, mode="bilinear", align_corners=corners), theirs)


@pytest.mark.parametrize("mode", MODES)
def test_pad2d(mode):
    x = rng.normal(size=(2, 3, 4, 5))
    agree(ref.pad2d(x, ((1, 2), (3, 0)), mode=mode), F.pad(tensor(x), (3, 0, 1, 2), MODES[mode]))


def test_crops_before_it_pads():
    x = rng.normal(size=(2, 3, 4, 5))
    agree(ref.pad2d(x, ((-1, 2), (3, -2)), value=7), F.pad(tensor(x), (3, -2, -1, 2), value=7))
