"""conv2d_weight_grad against the law, central differences and the adjoint identity."""

import numpy as np
import pytest
from gradient_tools import MODES, assert_close, check, layers_of_every_width, random_layer
from reference_tools import GEOMETRIES, central_difference, inner, integers, nhwc, rsck

import convfast
from convfast import reference as ref

NAN = np.nan


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("options", GEOMETRIES)
def test_adjoint(isa, options, mode):
    """<conv(x, w), g> = <w, weight_grad(x, g)>: exact in integers."""
    for groups, last in ((1, False), (1, True), (2, False), (2, True)):
        x, w = integers(2, 4, 5, 6), integers(6, 4 // groups, 2, 3)
        x, w = (nhwc(x), rsck(w)) if last else (x, w)
        every = dict(groups=groups, padding_mode=mode, data_format="NHWC" if last else "NCHW", **options)
        y = convfast.conv2d(x, w, **every)
        g = integers(*y.shape)
        dw = convfast.conv2d_weight_grad(x, g, (2, 3), **every)
        assert (dw.shape, dw.dtype) == (w.shape, y.dtype)
        assert inner(y, g) == inner(w, dw)


@pytest.mark.parametrize("seed", range(8))
def test_sweep(settings, seed):
    rng = np.random.default_rng(100 + seed)
    for _ in range(25):
        layer = random_layer(rng)
        if layer is not None:
            (x, _, g), kernel, options = layer
            options["padding_mode"] = str(rng.choice(MODES))
            check("conv2d_weight_grad", (x, g, kernel), **options)


def test_nothing_outside_the_arrays_is_touched(isa, data_format):
    for (x, _, g), kernel, options in layers_of_every_width(data_format):
        check("conv2d_weight_grad", (x, g, kernel), **options)


def test_central_differences(isa):
    rng = np.random.default_rng(5)
    x, w = rng.normal(size=(2, 4, 4, 5)), rng.normal(size=(6, 2, 2, 3))
    options = dict(stride=(1, 2), padding=((1, 0), (2, 1)), dilation=(2, 1), groups=2, padding_mode="reflect")
    g = rng.normal(size=ref.conv2d(x, w, **options).shape)
    want = central_difference(lambda w: inner(g, ref.conv2d(x, w, **options)), w)
    np.testing.assert_allclose(convfast.conv2d_weight_grad(x, g, (2, 3), **options), want, atol=1e-8)


@pytest.mark.parametrize("shape", [(1, 33, 7, 7, 40), (6, 33, 7, 7, 40), (2, 5, 40, 41, 17), (1, 2, 3, 700, 3)])
def test_blocks_of_pixels(isa, shape):
    """Several images in a block, several blocks in an image, rows longer than a block; many channels."""
    N, C, H, W, K = shape
    for kernel, options in (((1, 1), {}), ((3, 3), {"padding": 1}), ((1, 1), {"stride": 2}), ((2, 2), {"stride": 2})):
        x = integers(N, C, H, W).astype(np.float32)
        g = integers(*ref.conv2d_output_shape(x.shape, (K, C, *kernel), **options)).astype(np.float32)
        want = ref.conv2d_weight_grad(x, g, kernel, **options)
        np.testing.assert_array_equal(convfast.conv2d_weight_grad(x, g, kernel, **options), want)
        last = convfast.conv2d_weight_grad(nhwc(x), nhwc(g), kernel, data_format="NHWC", **options)
        np.testing.assert_array_equal(last, rsck(want))


@pytest.mark.parametrize("fill", ["ones of 0.1", "positive", "normal"])
def test_promise_of_highest(isa, fill):
    """Sums of 200,000 terms of one sign, which a plain chain loses digits of."""
    rng = np.random.default_rng(11)
    make = {"ones of 0.1": lambda s: np.full(s, 0.1), "positive": rng.random, "normal": rng.normal}[fill]
    x, g = (make((4, 2, 224, 224)) if fill != "normal" else rng.normal(size=(4, 2, 224, 224)) for _ in range(2))
    x, g = x.astype(np.float32), g.astype(np.float32)
    for groups in (1, 2):
        options = dict(padding=1, groups=groups)
        assert_close(convfast.conv2d_weight_grad(x, g, 3, **options), ref.conv2d_weight_grad, (x, g, 3), **options)


@pytest.mark.parametrize("taps", [(40, 40), (1, 1100)])
def test_giant_filters(isa, taps):
    x, g = integers(2, 2, 42, 1102).astype(np.float32), None
    g = integers(*ref.conv2d_output_shape(x.shape, (3, 2, *taps), stride=(1, 2))).astype(np.float32)
    got = convfast.conv2d_weight_grad(x, g, taps, stride=(1, 2))
    np.testing.assert_array_equal(got, ref.conv2d_weight_grad(x, g, taps, stride=(1, 2)))


def test_ranks():
    x, g = integers(1, 1, 5, 6), integers(1, 1, 4, 4)
    dw = ref.conv2d_weight_grad(x, g, (2, 3))
    np.testing.assert_array_equal(convfast.conv2d_weight_grad(x[0], g[0], (2, 3)), dw)
    np.testing.assert_array_equal(convfast.conv2d_weight_grad(x[0, 0], g[0, 0], (2, 3)), dw[0, 0])


def test_non_finite_values_stay_where_they_belong(isa):
    """A NaN in a column that no window sees at some tap does not reach that tap."""
    for groups in (1, 4):
        for last in (False, True):
            x, g = integers(1, 4, 5, 13).astype(np.float32), integers(1, 4, 3, 11).astype(np.float32)
            x[0, 1, 2, 12], x[0, 2, 0, 0], g[0, 3, 1, 1] = NAN, np.inf, NAN
            want = ref.conv2d_weight_grad(x, g, 3, groups=groups)
            args = (nhwc(x), nhwc(g)) if last else (x, g)
            got = convfast.conv2d_weight_grad(*args, 3, groups=groups, data_format="NHWC" if last else "NCHW")
            np.testing.assert_array_equal(got, rsck(want) if last else want)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("groups", [1, 8])
def test_half_precision_is_float32_rounded_once(isa, dtype, groups):
    if dtype == "bfloat16":
        dtype = pytest.importorskip("ml_dtypes").bfloat16
    rng = np.random.default_rng(5)
    for last in (False, True):
        x, grad = rng.standard_normal((2, 8, 9, 22)), rng.standard_normal((2, 16, 9, 11))
        x, grad = (a.astype(dtype) for a in ((nhwc(x), nhwc(grad)) if last else (x, grad)))
        options = dict(stride=(1, 2), padding=(1, 0), groups=groups, data_format="NHWC" if last else "NCHW")
        dw = convfast.conv2d_weight_grad(x, grad, (3, 2), **options)
        wide = convfast.conv2d_weight_grad(x.astype(np.float32), grad.astype(np.float32), (3, 2), **options)
        assert dw.dtype == dtype
        np.testing.assert_array_equal(dw.view(np.uint16), wide.astype(dtype).view(np.uint16))


def test_out_and_strides():
    x, g = integers(2, 4, 5, 6).astype(np.float32), integers(2, 6, 4, 4).astype(np.float32)
    want = ref.conv2d_weight_grad(x, g, (2, 3))
    out = np.full((6, 4, 4, 9), NAN, np.float32)[:, :, ::-2, ::3]
    assert convfast.conv2d_weight_grad(x, g, (2, 3), out=out) is out
    np.testing.assert_array_equal(out, want)
    odd = np.asfortranarray(x)[:, :, ::-1][:, :, ::-1]
    other = g.swapaxes(0, 1).copy().swapaxes(0, 1)
    np.testing.assert_array_equal(convfast.conv2d_weight_grad(odd, other, (2, 3)), want)


def test_empty():
    ones = np.ones
    no_images = convfast.conv2d_weight_grad(ones((0, 4, 5, 6)), ones((0, 6, 4, 4)), (2, 3))
    np.testing.assert_array_equal(no_images, np.zeros((6, 4, 2, 3)))
    assert convfast.conv2d_weight_grad(ones((2, 0, 5, 6)), ones((2, 6, 4, 4)), (2, 3)).shape == (6, 0, 2, 3)
    assert convfast.conv2d_weight_grad(ones((2, 4, 5, 6)), ones((2, 0, 4, 4)), (2, 3)).shape == (0, 4, 2, 3)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("C", [16, 37])
def test_depthwise_with_channels_last(isa, C, dtype):
    """Vectors of channels: whole ones and a tail, rows longer than a chain, every stride and dilation of a few."""
    options = dict(groups=C, data_format="NHWC")
    for W, kernel, stride, dilation in ((130, 3, 1, 1), (21, (5, 2), 2, 1), (65, (2, 3), (1, 3), (2, 3)), (9, 1, 2, 1)):
        every = dict(stride=stride, dilation=dilation, padding="same", **options)
        R, S = kernel if isinstance(kernel, tuple) else (kernel, kernel)
        x = integers(2, 11, W, C).astype(dtype)
        g = integers(*ref.conv2d_output_shape(x.shape, (R, S, 1, C), **every)).astype(dtype)
        want = ref.conv2d_weight_grad(x, g, (R, S), **every)
        np.testing.assert_array_equal(convfast.conv2d_weight_grad(x, g, (R, S), **every), want.astype(dtype))


@pytest.mark.parametrize("groups", [1, 2, 24])
def test_same_bits_for_any_number_of_threads_and_layout(isa, settings, groups):
    rng = np.random.default_rng(7)
    x, g = (rng.normal(size=(7, 24, 20, 21)).astype(np.float32) for _ in range(2))
    results = []
    for threads in (1, 2, 3, 5):
        convfast.set_num_threads(threads)
        for order in "CF":
            arrays = np.asarray(x, order=order), np.asarray(g, order=order)
            last = np.asarray(nhwc(x), order=order), np.asarray(nhwc(g), order=order)
            results.append((
                convfast.conv2d_weight_grad(*arrays, 3, padding=1, groups=groups),
                convfast.conv2d_weight_grad(*last, 3, padding=1, groups=groups, data_format="NHWC"),
            ))  # fmt: skip
    for result in results[1:]:
        for got, want in zip(result, results[0], strict=True):
            np.testing.assert_array_equal(got, want)


def test_wrong_arguments():
    x = np.ones((2, 4, 5, 6))
    for shape in ((2, 6, 4, 5), (1, 6, 4, 4)):
        with pytest.raises(ValueError, match="conv2d_weight_grad: grad must have the shape of the forward result"):
            convfast.conv2d_weight_grad(x, np.ones(shape), (2, 3))
    with pytest.raises(ValueError, match="grad must be 4-dimensional like x"):
        convfast.conv2d_weight_grad(x, np.ones((6, 4, 4)), (2, 3))
    with pytest.raises(ValueError, match="groups must divide"):
        convfast.conv2d_weight_grad(x, np.ones((2, 5, 4, 4)), (2, 3), groups=2)
    with pytest.raises(ValueError, match="kernel_size must be at least 1"):
        convfast.conv2d_weight_grad(x, np.ones((2, 6, 4, 4)), 0)
