"""Local maxima and the sums around them."""

import numpy as np
import pytest
from conftest import normal, x_shape

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
