"""conv2d_input_grad against the law, central differences and the adjoint identity."""

import numpy as np
import pytest
from gradient_tools import MODES, assert_close, random_layer
from reference_tools import GEOMETRIES, central_difference, inner, integers, nhwc, rsck

import convfast
from convfast import reference as ref

INF, NAN = np.inf, np.nan


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("options", GEOMETRIES)
def test_adjoint(isa, options, mode):
    """<conv(x, w), g> = <x, input_grad(g, w)>: exact in integers."""
    for groups, last in ((1, False), (1, True), (2, False), (2, True)):
        x, w = integers(2, 4, 5, 6), integers(6, 4 // groups, 2, 3)
        x, w = (nhwc(x), rsck(w)) if last else (x, w)
        every = dict(groups=groups, padding_mode=mode, data_format="NHWC" if last else "NCHW", **options)
        y = convfast.conv2d(x, w, **every)
        g = integers(*y.shape)
        dx = convfast.conv2d_input_grad(g, w, x.shape, **every)
        assert (dx.shape, dx.dtype) == (x.shape, y.dtype)
        assert inner(y, g) == inner(x, dx)


@pytest.mark.parametrize("seed", range(8))
def test_sweep(settings, seed):
    rng = np.random.default_rng(seed)
    for _ in range(25):
        layer = random_layer(rng)
        if layer is not None:
            (x, w, g), _, options = layer
            options["padding_mode"] = str(rng.choice(MODES))
            got = convfast.conv2d_input_grad(g, w, x.shape, **options)
            assert_close(got, ref.conv2d_input_grad, (g, w, x.shape), **options)


def test_central_differences(isa):
    rng = np.random.default_rng(5)
    x, w = rng.normal(size=(2, 4, 4, 5)), rng.normal(size=(6, 2, 2, 3))
    options = dict(stride=(1, 2), padding=((1, 0), (2, 1)), dilation=(2, 1), groups=2, padding_mode="reflect")
    g = rng.normal(size=ref.conv2d(x, w, **options).shape)
    want = central_difference(lambda x: inner(g, ref.conv2d(x, w, **options)), x)
    np.testing.assert_allclose(convfast.conv2d_input_grad(g, w, x.shape, **options), want, atol=1e-8)


def test_ranks():
    x, w, g = integers(1, 1, 5, 6), integers(1, 1, 2, 3), integers(1, 1, 4, 4)
    dx = ref.conv2d_input_grad(g, w, x.shape)
    np.testing.assert_array_equal(convfast.conv2d_input_grad(g[0], w, (1, 5, 6)), dx[0])
    np.testing.assert_array_equal(convfast.conv2d_input_grad(g[0, 0], w[0, 0], (5, 6)), dx[0, 0])


@pytest.mark.parametrize("value", [INF, -INF, NAN])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_non_finite_filters_meet_no_padding(isa, value, stride):
    """The gradient has no terms beyond grad: an infinite tap must not make NaN of the border."""
    rng = np.random.default_rng(3)
    for mode in MODES:
        w = rng.normal(size=(5, 3, 3, 3)).astype(np.float32)
        w[2, 1, 0, 2] = value
        options = dict(stride=stride, padding=1, padding_mode=mode)
        g = rng.normal(size=ref.conv2d_output_shape((2, 3, 7, 8), w.shape, stride=stride, padding=1)).astype(np.float32)
        got = convfast.conv2d_input_grad(g, w, (2, 3, 7, 8), **options)
        want = ref.conv2d_input_grad(g, w, (2, 3, 7, 8), **options)
        np.testing.assert_array_equal(np.isfinite(got), np.isfinite(want))
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)


def test_out_and_strides():
    g, w = integers(2, 6, 4, 4).astype(np.float32), integers(6, 4, 2, 3).astype(np.float32)
    want = ref.conv2d_input_grad(g, w, (2, 4, 5, 6))
    out = np.full((2, 4, 10, 18), NAN, np.float32)[:, :, ::-2, ::3]
    assert convfast.conv2d_input_grad(g, w, (2, 4, 5, 6), out=out) is out
    np.testing.assert_array_equal(out, want)
    upside = np.asfortranarray(g)[:, :, ::-1][:, :, ::-1]
    np.testing.assert_array_equal(convfast.conv2d_input_grad(upside, w[..., ::-1][..., ::-1], (2, 4, 5, 6)), want)


def test_out_may_be_the_grad():
    g, w = integers(2, 4, 5, 6).astype(np.float32), integers(4, 4, 3, 3).astype(np.float32)
    want = ref.conv2d_input_grad(g, w, g.shape, padding=1)
    np.testing.assert_array_equal(convfast.conv2d_input_grad(g, w, g.shape, padding=1, out=g), want)


@pytest.mark.parametrize("shape", [(0, 4, 5, 6), (2, 0, 5, 6)])
def test_empty(shape):
    w = np.ones((6, shape[1], 2, 3))
    assert convfast.conv2d_input_grad(np.ones((shape[0], 6, 4, 4)), w, shape).shape == shape
    no_filters = convfast.conv2d_input_grad(np.ones((2, 0, 4, 4)), np.ones((0, 4, 2, 3)), (2, 4, 5, 6))
    np.testing.assert_array_equal(no_filters, np.zeros((2, 4, 5, 6)))


def test_same_bits_for_any_batch_and_threads(isa, settings):
    rng = np.random.default_rng(7)
    g, w = rng.normal(size=(5, 9, 6, 7)).astype(np.float32), rng.normal(size=(9, 8, 3, 3)).astype(np.float32)
    for mode in MODES:
        options = dict(stride=2, padding=1, padding_mode=mode)
        convfast.set_num_threads(1)
        one = np.concatenate([convfast.conv2d_input_grad(g[n : n + 1], w, (1, 8, 12, 13), **options) for n in range(5)])
        convfast.set_num_threads(3)
        np.testing.assert_array_equal(convfast.conv2d_input_grad(g, w, (5, 8, 12, 13), **options), one)


@pytest.mark.parametrize("shape", [(2, 6, 4, 5), (2, 5, 4, 4), (1, 6, 4, 4), (6, 4, 4)])
def test_wrong_grad(shape):
    with pytest.raises(ValueError, match=r"grad must have the shape of the forward result, \(2, 6, 4, 4\)"):
        convfast.conv2d_input_grad(np.ones(shape), np.ones((6, 4, 2, 3)), (2, 4, 5, 6))


def test_wrong_arguments():
    g, w = np.ones((1, 2, 4, 4)), np.ones((2, 3, 3, 3))
    with pytest.raises(TypeError, match="input_shape must be a tuple"):
        convfast.conv2d_input_grad(g, w, 6)
    with pytest.raises(ValueError, match="has 3 input channels per group, but x has 4 channels"):
        convfast.conv2d_input_grad(g, w, (1, 4, 6, 6))
    with pytest.raises(ValueError, match="would be empty"):
        convfast.conv2d_input_grad(g, w, (1, 3, 2, 2))
    with pytest.raises(TypeError, match="complex"):
        convfast.conv2d_input_grad(g * 1j, w, (1, 3, 6, 6))
