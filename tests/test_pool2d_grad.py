"""max_pool2d_grad and avg_pool2d_grad against the law."""

import numpy as np
import pytest
from conftest import run_child, x_shape
from gradient_tools import assert_nothing_outside
from reference_tools import POOLINGS, central_difference, inner, nhwc

import convfast
from convfast import reference as ref

INF, NAN = np.inf, np.nan
DTYPES = [np.float32, np.float64, np.float16, np.int32, np.int64]


def numbers(rng, shape, dtype):
    """With many ties."""
    return rng.integers(-3, 4, shape).astype(dtype)


@pytest.mark.parametrize("dilation", [1, (1, 2)])
@pytest.mark.parametrize("options", POOLINGS)
def test_max(rng, options, dilation):
    options = {"dilation": dilation, **options}
    for dtype in DTYPES:
        x = numbers(rng, (2, 3, 7, 8), dtype)
        try:
            shape = ref.max_pool2d(x, (3, 2), **options).shape
        except ValueError:
            with pytest.raises(ValueError, match="max_pool2d_grad: "):
                convfast.max_pool2d_grad(np.ones((1, 1, 1, 1)), x, (3, 2), **options)
            continue
        g = numbers(rng, shape, dtype)
        want = ref.max_pool2d_grad(g, x, (3, 2), **options)
        got = convfast.max_pool2d_grad(g, x, (3, 2), **options)
        assert got.dtype == g.dtype
        np.testing.assert_array_equal(got, want)
        assert_nothing_outside("max_pool2d_grad", (g, x, (3, 2)), got, **options)
        last = convfast.max_pool2d_grad(nhwc(g), nhwc(x), (3, 2), data_format="NHWC", **options)
        np.testing.assert_array_equal(last, nhwc(want))


@pytest.mark.parametrize("include", [None, False, True])
@pytest.mark.parametrize("options", POOLINGS)
def test_avg(rng, options, include):
    options = {"count_include_pad": include, **options}
    for dtype in (np.float32, np.float64, np.float16, np.int8):
        shape = (2, 3, 7, 8)
        g = numbers(rng, ref.avg_pool2d(np.zeros(shape), (3, 2), **options).shape, dtype)
        want = ref.avg_pool2d_grad(g, shape, (3, 2), **options)
        got = convfast.avg_pool2d_grad(g, shape, (3, 2), **options)
        assert got.dtype == (np.float64 if dtype == np.int8 else dtype)
        np.testing.assert_allclose(got, want, rtol=2 * np.finfo(got.dtype).eps, atol=1e-7)
        assert_nothing_outside("avg_pool2d_grad", (g, shape, (3, 2)), got, **options)
        last = convfast.avg_pool2d_grad(nhwc(g), (2, 7, 8, 3), (3, 2), data_format="NHWC", **options)
        np.testing.assert_array_equal(last, nhwc(got))


def test_nothing_outside_the_arrays_is_touched(isa, data_format, rng):
    """Rows of every width, channels of every number; halves and quarters of whole numbers, so that means are exact."""
    sizes = [(W, 3, kernel) for W in range(1, 68) for kernel in ((2, min(W, 4)), 1)]
    sizes += [(5, C, (2, 4)) for C in range(1, 36)]
    for number, (W, C, kernel) in enumerate(sizes):
        options = dict(stride=(1, 1 + number % 3), ceil_mode=number % 2 == 0, data_format=data_format)
        x = numbers(rng, x_shape(2, C, 4, W, data_format), DTYPES[number % len(DTYPES)])
        g = numbers(rng, ref.max_pool2d(x, kernel, **options).shape, x.dtype)
        got = convfast.max_pool2d_grad(g, x, kernel, **options)
        np.testing.assert_array_equal(got, ref.max_pool2d_grad(g, x, kernel, **options))
        assert_nothing_outside("max_pool2d_grad", (g, x, kernel), got, **options)
        options["divisor_override"] = 4
        got = convfast.avg_pool2d_grad(g, x.shape, kernel, **options)
        np.testing.assert_array_equal(got, ref.avg_pool2d_grad(g, x.shape, kernel, **options))
        assert_nothing_outside("avg_pool2d_grad", (g, x.shape, kernel), got, **options)


def test_central_differences(rng):
    x = rng.permutation(60).reshape(2, 1, 5, 6).astype(float)  # no ties
    options = dict(stride=(1, 2), padding=((1, 0), (0, 1)), ceil_mode=True)
    g = rng.normal(size=ref.max_pool2d(x, (3, 2), **options).shape)
    want = central_difference(lambda x: inner(g, ref.max_pool2d(x, (3, 2), **options)), x)
    np.testing.assert_allclose(convfast.max_pool2d_grad(g, x, (3, 2), **options), want, atol=1e-8)
    want = central_difference(lambda x: inner(g, ref.avg_pool2d(x, (3, 2), **options)), x)
    np.testing.assert_allclose(convfast.avg_pool2d_grad(g, x.shape, (3, 2), **options), want, atol=1e-8)


def test_adjoint_of_means(rng):
    for shape, kernel in (((3, 4, 40, 1000), (3, 3)), ((1, 2, 300, 200), (300, 200)), ((2, 1, 1, 20000), (1, 7))):
        x = rng.normal(size=shape)
        y = convfast.avg_pool2d(x, kernel, stride=2)
        g = rng.normal(size=y.shape)
        np.testing.assert_allclose(inner(x, convfast.avg_pool2d_grad(g, shape, kernel, stride=2)), inner(y, g))


def test_bands_of_large_planes(rng):
    """A plane of many bands, with windows that reach over their borders."""
    x = numbers(rng, (1, 2, 120, 200), np.float32)
    for kernel, options in (((5, 3), {"stride": 2, "padding": 1}), ((13, 7), {"stride": (1, 3)}), ((120, 20), {})):
        g = numbers(rng, ref.max_pool2d(x, kernel, **options).shape, np.float32)
        want = ref.max_pool2d_grad(g, x, kernel, **options)
        np.testing.assert_array_equal(convfast.max_pool2d_grad(g, x, kernel, **options), want)


def test_bands_of_long_rows(rng):
    """Rows of several bands, with windows and distances larger than a band."""
    x = rng.permutation(2 * 200_000).reshape(1, 1, 2, -1).astype(np.float32)
    size, step = 90_000, 1009
    g = numbers(rng, (1, 1, 1, (x.shape[3] - size) // step + 1), np.float64)
    maxima, means = np.zeros(x.shape), np.zeros(x.shape)
    for q, value in enumerate(g[0, 0, 0]):
        seen = x[0, 0, :, q * step :][:, :size]
        row, col = np.unravel_index(seen.argmax(), seen.shape)
        maxima[0, 0, row, q * step + col] += value
        means[0, 0, :, q * step :][:, :size] += value
    np.testing.assert_array_equal(convfast.max_pool2d_grad(g, x, (2, size), stride=(1, step)), maxima)
    got = convfast.avg_pool2d_grad(g, x.shape, (2, size), stride=(1, step), divisor_override=1)
    np.testing.assert_array_equal(got, means)
    left, right = x[0, 0, :, :-70_000], x[0, 0, :, 70_000:]
    g = numbers(rng, (1, 1, *left.shape), np.float64)
    want = np.zeros(x.shape)
    want[0, 0, :, :-70_000] += np.where(left >= right, g[0, 0], 0)
    want[0, 0, :, 70_000:] += np.where(left < right, g[0, 0], 0)
    np.testing.assert_array_equal(convfast.max_pool2d_grad(g, x, (1, 2), stride=1, dilation=70_000), want)


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((1, 1, 1, 5_000_000), dict(kernel_size=(1, 3), stride=1)),
        ((1, 1, 3, 2_000_000), dict(kernel_size=(2, 2), stride=2)),
        ((1, 12, 1, 400_000), dict(kernel_size=(1, 3), stride=1)),
        ((1, 1, 2, 3), dict(kernel_size=(1, 2**40), stride=2**18, padding=(0, 2**40 - 1))),  # 8 million windows
    ],
)
@pytest.mark.parametrize("kind", ["max", "avg"])
def test_workspace_is_bounded(kind, shape, options):
    code = f"""
import resource, numpy as np, convfast
shape, options = {shape}, {options}
x = np.ones(shape, np.float32)
g = np.ones(convfast.max_pool2d(x, **options).shape, np.float32)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
if {kind!r} == "max":
    dx = convfast.max_pool2d_grad(g, x, **options)
else:
    dx = convfast.avg_pool2d_grad(g, shape, count_include_pad=False, **options)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before * 1024 - dx.nbytes)
np.testing.assert_allclose(dx.sum(dtype=np.float64), g.sum(dtype=np.float64), rtol=1e-6)
"""
    assert int(run_child(code, CONVFAST_NUM_THREADS="8")) < 65 * 2**20


@pytest.mark.parametrize("size", [(1, 2**40), (2**40, 1), (2**30 + 1, 2**30)])
def test_windows_far_larger_than_the_plane(size, rng):
    """They see no more than windows of 13 do, and take no longer."""
    x, g = numbers(rng, (2, 3, 5, 6), np.float32), numbers(rng, (2, 3, 5, 6), np.float32)
    seen = tuple(min(n, 13) for n in size)
    want = ref.max_pool2d_grad(g, x, seen, stride=1, padding="same")
    np.testing.assert_array_equal(convfast.max_pool2d_grad(g, x, size, stride=1, padding="same"), want)
    want = ref.avg_pool2d_grad(g, x.shape, seen, stride=1, padding="same", count_include_pad=False)
    got = convfast.avg_pool2d_grad(g, x.shape, size, stride=1, padding="same", count_include_pad=False)
    np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-9)


def test_windows_far_apart(rng):
    """Of a thousand windows of 2**40 taps each meets the plane with three at most."""
    x = numbers(rng, (1, 1, 2, 3), np.float32)
    options = dict(kernel_size=(1, 2**40), stride=2**30, padding=(0, 2**40 - 1))
    g = np.arange(1, convfast.max_pool2d(x, **options).size + 1, dtype=np.float32).reshape(1, 1, 1, -1)
    assert g.size > 1000
    assert convfast.max_pool2d_grad(g, x, **options).sum() == g.sum()
    assert convfast.avg_pool2d_grad(g, x.shape, count_include_pad=False, **options).sum() == g.sum()


def test_the_first_of_equals_takes_all():
    assert convfast.max_pool2d_grad([[5.0]], np.zeros((2, 2)), 2).tolist() == [[5, 0], [0, 0]]
    assert convfast.max_pool2d_grad([[5.0]], [[0, NAN], [NAN, INF]], 2).tolist() == [[0, 5], [0, 0]]
    assert convfast.max_pool2d_grad([[5.0]], [[-INF, -INF], [-INF, -INF]], 2).tolist() == [[5, 0], [0, 0]]


def test_large_integers_are_compared_exactly():
    top = 2**63
    x = np.array([[top, top + 1], [top - 1, 0]], np.uint64)
    assert convfast.max_pool2d_grad([[5]], x, 2).tolist() == [[0, 5], [0, 0]]
    x = np.array([[-(2**62), 2**62], [2**62 + 1, -1]], np.int64)
    assert convfast.max_pool2d_grad([[5]], x, 2).tolist() == [[0, 0], [5, 0]]


def test_divisors():
    g = np.ones((1, 2))
    assert convfast.avg_pool2d_grad(g, (1, 3), (1, 2), ceil_mode=True).tolist() == [[0.5, 0.5, 1]]
    assert convfast.avg_pool2d_grad(g, (1, 3), (1, 2), ceil_mode=True, divisor_override=4).tolist() == [[0.25] * 3]


def test_out_may_be_an_input(rng):
    x = numbers(rng, (2, 3, 6, 6), np.float32)
    g = numbers(rng, (2, 3, 6, 6), np.float32)
    want = ref.max_pool2d_grad(g, x, 1)
    out = np.full((2, 3, 12, 6), NAN, np.float32)[:, :, ::-2]
    assert convfast.max_pool2d_grad(g, x, 1, out=out) is out
    np.testing.assert_array_equal(out, want)
    np.testing.assert_array_equal(convfast.max_pool2d_grad(g, x, 1, out=g), want)


def test_same_bits_for_any_number_of_threads(rng, settings):
    x, g = rng.normal(size=(2, 3, 90, 400)), rng.normal(size=(2, 3, 88, 398))
    results = []
    for threads in (1, 2, 5):
        convfast.set_num_threads(threads)
        results.append((convfast.max_pool2d_grad(g, x, 3, stride=1), convfast.avg_pool2d_grad(g, x.shape, 3, stride=1)))
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])


def test_empty():
    assert convfast.max_pool2d_grad(np.ones((0, 2, 3, 3)), np.ones((0, 2, 6, 6)), 2).shape == (0, 2, 6, 6)
    assert convfast.avg_pool2d_grad(np.ones((1, 0, 3, 3)), (1, 0, 6, 6), 2).shape == (1, 0, 6, 6)


def test_wrong_arguments():
    for g in (np.ones((2, 2)), np.ones((1, 3, 3))):
        with pytest.raises(ValueError, match="max_pool2d_grad: grad must have the shape of the forward result"):
            convfast.max_pool2d_grad(g, np.ones((3, 3)), 1)
        with pytest.raises(ValueError, match="avg_pool2d_grad: grad must have the shape of the forward result"):
            convfast.avg_pool2d_grad(g, (3, 3), 1)
    with pytest.raises(TypeError, match="input_shape must be a tuple"):
        convfast.avg_pool2d_grad(np.ones((3, 3)), 3, 1)
    with pytest.raises(ValueError, match="padding must stay below the window"):
        convfast.max_pool2d_grad(np.ones((5, 5)), np.ones((3, 3)), 1, padding=1)
    with pytest.raises(ValueError, match="divisor_override"):
        convfast.avg_pool2d_grad(np.ones((3, 3)), (3, 3), 1, divisor_override=0)
