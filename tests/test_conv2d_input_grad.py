"""conv2d_input_grad against the law, central differences and the adjoint identity."""

import numpy as np
import pytest
from conftest import PROMISE, run_child
from gradient_tools import MODES, assert_close, check, layers_of_every_width, random_layer
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
            check("conv2d_input_grad", (g, w, x.shape), **options)


def test_nothing_outside_the_arrays_is_touched(isa, data_format):
    for (x, w, g), _, options in layers_of_every_width(data_format):
        check("conv2d_input_grad", (g, w, x.shape), **options)


@pytest.mark.parametrize("mode", MODES[1:])
def test_copies_of_a_cell_are_summed_as_exactly_as_promised(mode):
    """A plain chain rounds 0.1 the same way at every addition: 10,000 of them err by 100 times the promise."""
    g, one = np.full((1, 1, 404, 404), 0.1, np.float32), np.ones((1, 1, 1, 1), np.float32)
    options = dict(padding=200, padding_mode=mode)
    copies = convfast.conv2d_input_grad(np.ones(g.shape, np.int64), one.astype(np.int64), (1, 1, 4, 4), **options)
    assert copies.sum() == 404 * 404
    got = convfast.conv2d_input_grad(g, one, (1, 1, 4, 4), **options)
    np.testing.assert_allclose(got, copies * float(g[0, 0, 0, 0]), rtol=PROMISE["highest"][0])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("stride", [1, 3])
def test_taps_far_apart_cost_no_more_than_near_ones(isa, mode, stride):
    """The cells that padding repeats come again after 8, 14 or 16 of them, so two dilations have the same gradient."""
    near, far = 17, 17 + 8 * 7 * 2 * 2**22
    w = integers(4, 2, 3, 3)
    options = dict(stride=stride, padding_mode=mode)
    g = integers(*ref.conv2d(np.ones((2, 2, 8, 8)), w, padding=near, dilation=near, **options).shape)
    want = ref.conv2d_input_grad(g, w, (2, 2, 8, 8), padding=near, dilation=near, **options)
    for dilation in near, far:
        got = convfast.conv2d_input_grad(g, w, (2, 2, 8, 8), padding=dilation, dilation=dilation, **options)
        np.testing.assert_array_equal(got, want)


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


def test_what_overflows_does_not_depend_on_the_batch(isa):
    """NaN that finite taps make, of partial sums that overflow to both sides, is not the padding's."""
    w = np.full((16, 1, 3, 3), 1e20, np.float32)
    w[8:] *= -1
    g = np.full((20, 16, 8, 8), 1e20, np.float32)
    one, many = (convfast.conv2d_input_grad(g[:N], w, (N, 1, 8, 8), padding=1) for N in (1, 20))
    assert np.isnan(one[0, 0, 0, 0])
    np.testing.assert_array_equal(one[0], many[0])


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("groups", [1, 8])
def test_half_precision_is_float32_rounded_once(isa, dtype, groups):
    if dtype == "bfloat16":
        dtype = pytest.importorskip("ml_dtypes").bfloat16
    rng = np.random.default_rng(5)
    for last in (False, True):
        grad, w = rng.standard_normal((2, 16, 9, 11)), rng.standard_normal((16, 8 // groups, 3, 2))
        grad, w = (a.astype(dtype) for a in ((nhwc(grad), rsck(w)) if last else (grad, w)))
        options = dict(stride=(1, 2), padding=(1, 0), groups=groups, data_format="NHWC" if last else "NCHW")
        shape = (2, 9, 22, 8) if last else (2, 8, 9, 22)
        dx = convfast.conv2d_input_grad(grad, w, shape, **options)
        wide = convfast.conv2d_input_grad(grad.astype(np.float32), w.astype(np.float32), shape, **options)
        assert dx.dtype == dtype
        np.testing.assert_array_equal(dx.view(np.uint16), wide.astype(dtype).view(np.uint16))


@pytest.mark.parametrize("size", [(3, 3), (5, 5), (1, 2), (2, 1), (4, 7)])
@pytest.mark.parametrize("stride", [(2, 2), (1, 2), (3, 2)])
def test_depthwise_stride_2_has_the_bits_of_any_layout(isa, size, stride):
    """Rows of two phases are woven together; spread arrays take the general way."""
    rng = np.random.default_rng(6)
    for W, dilation, dtype in ((64, 1, np.float32), (38, 2, np.float64), (42, (2, 3), np.float32)):
        options = dict(stride=stride, padding=(1, 2), dilation=dilation, groups=5)
        x, w = np.zeros((2, 5, 23, W), dtype), rng.standard_normal((5, 1, *size)).astype(dtype)
        grad = rng.standard_normal(convfast.conv2d_output_shape(x.shape, w.shape, **options)).astype(dtype)
        spread = np.zeros((*x.shape[:3], 2 * W), dtype)[..., ::2]
        convfast.conv2d_input_grad(grad, w, x.shape, out=spread, **options)
        dx = convfast.conv2d_input_grad(grad, w, x.shape, **options)
        np.testing.assert_array_equal(dx, spread)
        assert_close(dx, ref.conv2d_input_grad, (grad, w, x.shape), **options)


LAYERS = [(64, 38, 1, 3), (41, 64, 1, 1), (80, 66, 2, 3), (48, 40, 1, 11)]


@pytest.mark.parametrize(("K", "C", "groups", "size"), LAYERS)
def test_many_filters_of_every_packing(isa, K, C, groups, size):
    """Whole panels and a last one that is not full, channels that fill vectors and that do not."""
    x, w = integers(1, C, 7, 6), integers(K, C // groups, size, size)
    grad = integers(1, K, 7, 6)
    expected = ref.conv2d_input_grad(grad, w, x.shape, padding=size // 2, groups=groups)
    for dtype in (np.float32, np.float64, np.int32, np.float16):
        g, f = grad.astype(dtype), w.astype(dtype)
        if dtype == np.float16:
            g, f = np.sign(g), np.sign(f)
            expected = ref.conv2d_input_grad(np.sign(grad), np.sign(w), x.shape, padding=size // 2, groups=groups)
        options = dict(padding=size // 2, groups=groups)
        np.testing.assert_array_equal(convfast.conv2d_input_grad(g, f, x.shape, **options), expected)
        last = convfast.conv2d_input_grad(nhwc(g), rsck(f), nhwc(x).shape, data_format="NHWC", **options)
        np.testing.assert_array_equal(last, nhwc(expected))


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


LARGE = [
    ("input", (1, 4, 3, 300000), (4, 4, 1, 3), dict(padding=(0, 1), padding_mode="edge")),
    ("input", (1, 1, 2, 20000000), (1, 1, 1, 3), dict(padding=(0, 1), padding_mode="wrap")),
    ("input", (1, 64, 2, 200000), (64, 1, 1, 3), dict(padding=(0, 1), padding_mode="symmetric", groups=64)),
    ("input", (1, 32, 396, 400), (32, 32, 3, 3), dict(padding=1, padding_mode="reflect")),
    ("input", (1, 32, 396, 400), (32, 32, 3, 3), dict(stride=2)),
    ("weight", (1, 4, 3, 300000), (4, 4, 1, 3), dict(padding=(0, 1), padding_mode="edge")),
    ("weight", (1, 32, 396, 400), (32, 32, 3, 3), dict(padding=1)),
]


@pytest.mark.parametrize(("of", "x_shape", "w_shape", "options"), LARGE)
def test_workspace_is_bounded(of, x_shape, w_shape, options):
    """Of both gradients: of extreme widths too, and with padding that repeats cells."""
    code = f"""
import resource, numpy as np, convfast
x_shape, w_shape, options = {x_shape}, {w_shape}, {options}
y_shape = convfast.conv2d_output_shape(x_shape, w_shape, **{{k: v for k, v in options.items() if k != "padding_mode"}})
grad, w, x = np.ones(y_shape, np.float32), np.ones(w_shape, np.float32), np.ones(x_shape, np.float32)
call = {{"input": lambda: convfast.conv2d_input_grad(grad, w, x_shape, **options),
        "weight": lambda: convfast.conv2d_weight_grad(x, grad, w_shape[2:], **options)}}[{of!r}]
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
y = call()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before * 1024 - y.nbytes)
"""
    assert int(run_child(code)) < 65 * 2**20


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
