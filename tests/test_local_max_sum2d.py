"""Local maxima and the sums around them."""

import numpy as np
import pytest
from conftest import assert_same_bits, normal, x_shape

import convfast
from convfast import avg_pool2d, local_max_sum2d, max_pool2d, reference


def test_golden_calorimeter():
    """GOLDEN: local maxima of a 24x16 image, each replaced by the sum over its 3x3 neighbourhood."""
    x = np.random.default_rng(0).integers(0, 99, (24, 16))
    y = local_max_sum2d(x)
    best = max_pool2d(x, 3, stride=1, padding=1)
    around = avg_pool2d(x, 3, stride=1, padding=1, divisor_override=1)
    np.testing.assert_array_equal(y, np.where(x == best, around, 0))


def test_plateaus_and_borders():
    assert local_max_sum2d(np.ones((2, 2), "u1")).tolist() == [[4, 4], [4, 4]]
    assert local_max_sum2d([[3, 1, 2, 1]], (1, 3)).tolist() == [[4, 0, 4, 0]]


@pytest.mark.parametrize("size", [1, 3, (1, 5), 7, 21, 2**61 + 1])
def test_sizes(isa, data_format, size, rng):
    x = normal(rng, x_shape(2, 3, 19, 40, data_format), np.float64).round(1)
    y = local_max_sum2d(x, size, data_format=data_format)
    known = 81 if size == 2**61 + 1 else size
    np.testing.assert_allclose(y, reference.local_max_sum2d(x, known, data_format=data_format), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("shape", "size", "dtypes"),
    [
        ((1, 1, 16, 30_000), (15, 29_999), ("f4", "f2", "i2")),
        ((1, 1, 1200, 260), (1101, 3), ("f2",)),
        ((1, 2, 2, 70_000), (1, 139_999), ("f4", "f8", "f2", "u4")),  # longer than a tile: as long as the plane,
        ((2, 1, 1, 150_000), (3, 140_001), ("f4", "f8", "i2")),  # and not, with many blocks that see neither end
        ((1, 1, 75_000, 2), (139_001, 3), ("f4", "i4")),
        ((1, 1, 9, 66_000), (2**61 + 1, 2**60 + 1), ("f4",)),
    ],
)
def test_long_windows(shape, size, dtypes, rng):
    """The same bits wherever x lies in memory and for any number of threads."""
    for dtype in dtypes:
        x = (rng.normal(size=shape) * 100).round()
        check_long_windows(abs(x).astype(dtype) if dtype == "u4" else x.astype(dtype), size, dtype)


def check_long_windows(x, size, dtype):
    shape = x.shape
    y = local_max_sum2d(x, size)
    half = [min(s // 2, n - 1) for s, n in zip(size, shape[2:], strict=True)]
    best, total = x.astype(y.dtype), x.astype("f8" if y.dtype.kind == "f" else "i8")
    for axis in 2, 3:
        best, total = along(best, half[axis - 2], axis, np.maximum), along(total, half[axis - 2], axis, np.add)
    want = np.where(x == best, total, 0)
    assert (want != 0).any()
    exact = {"f2": 1e-3, "f4": 1e-6, "f8": 1e-13}.get(dtype, 0)
    np.testing.assert_allclose(y, want.astype(y.dtype), rtol=exact, atol=1e3 * exact)
    for axis in 2, 3:
        apart = np.repeat(x, 2, axis)[(slice(None),) * axis + (slice(None, None, 2),)]
        assert_same_bits(local_max_sum2d(apart, size), y)
    last = np.ascontiguousarray(np.moveaxis(x, 1, -1))
    np.testing.assert_allclose(local_max_sum2d(last, size, data_format="NHWC"), np.moveaxis(y, 1, -1), exact, exact)
    for threads in 1, 3:
        with convfast.num_threads(threads):
            assert_same_bits(local_max_sum2d(x[..., ::-1].copy()[..., ::-1], size), y)
    if dtype == "f2":
        assert_same_bits(local_max_sum2d(x.astype("f4"), size).astype("f2"), y)


def along(x, reach, axis, reduce):
    """The reduction over 2 * reach + 1 cells, clipped, in runs of twice as many: sums of disjoint runs."""
    x = np.moveaxis(x, axis, -1)
    nothing = 0 if reduce is np.add else x.min()
    pad = np.pad(x, [(0, 0)] * 3 + [(reach, reach)], constant_values=nothing)
    done, width, result, run = 0, 1, None, pad
    while width <= 2 * reach + 1:
        if (2 * reach + 1) & width:
            part = run[..., done : done + x.shape[-1]]
            result = part if result is None else reduce(result, part)
            done += width
        run = reduce(run[..., :-width], run[..., width:]) if width < run.shape[-1] else run
        width *= 2
    return np.moveaxis(result, -1, axis)


def test_nan_and_infinity_in_long_windows():
    for shape, size in ((1, 1, 1, 70_000), (1, 131_073)), ((1, 1, 70_000, 1), (131_073, 1)):
        x = np.arange(70_000.0).reshape(shape)
        x.flat[69_000] = np.nan
        y = local_max_sum2d(x, size).ravel()
        assert (y[: 69_000 - 65_536] == 0).all()
        assert np.isnan(y[69_000 - 65_536 :]).all()
        x.flat[69_000] = np.inf
        y = local_max_sum2d(x, size).ravel()
        assert y[69_000] == np.inf
        assert not np.delete(y, 69_000).any()
        x = np.full(shape, -np.inf)
        assert (local_max_sum2d(x, size) == -np.inf).all()


def test_nan():
    y = local_max_sum2d([[1.0, 2.0, 1.0, np.nan, 5.0, 6.0]], (1, 3))
    np.testing.assert_array_equal(y, [[0, 4, np.nan, np.nan, np.nan, 11]])


def test_dtypes():
    for dtype, expected in (
        ("?", "i4"),
        ("u1", "i4"),
        ("u4", "i8"),
        ("i8", "i8"),
        ("f2", "f2"),
        ("f4", "f4"),
        ("f8", "f8"),
    ):
        assert local_max_sum2d(np.ones((3, 3), dtype)).dtype == expected
    with pytest.raises(TypeError, match="uint64"):
        local_max_sum2d(np.ones((3, 3), np.uint64))


def test_errors():
    for size in 2, (3, 4), 0, -1:
        with pytest.raises(ValueError, match="local_max_sum2d: size"):
            local_max_sum2d(np.ones((3, 3)), size)
    with pytest.raises(ValueError, match="without a cell"):
        local_max_sum2d(np.ones((3, 0)))
    assert local_max_sum2d(np.ones((0, 2, 3, 3))).shape == (0, 2, 3, 3)
