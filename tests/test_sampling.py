"""Planes of another size."""

import numpy as np
import pytest
from conftest import integers, normal, x_shape

from convfast import reference, resize2d


@pytest.mark.parametrize("factor", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("dtype", ["?", "u1", "i2", "f4", "f8"])
def test_upsampling_by_any_factor(factor, dtype, data_format, rng):
    x = integers(rng, x_shape(2, 3, 5, 6, data_format), dtype, 0)
    first = 1 if data_format == "NHWC" else 2
    y = resize2d(x, scale=factor, data_format=data_format)
    assert y.dtype == x.dtype
    np.testing.assert_array_equal(y, x.repeat(factor, first).repeat(factor, first + 1))


@pytest.mark.parametrize("size", [1, 2, 5, 11, 40, (3, 97)])
def test_any_size(isa, size, data_format, rng):
    x = normal(rng, x_shape(2, 3, 11, 13, data_format))
    for options in {}, {"mode": "bilinear"}, {"mode": "bilinear", "align_corners": True}:
        y = resize2d(x, size, data_format=data_format, **options)
        expected = reference.resize2d(x, size, data_format=data_format, **options)
        np.testing.assert_allclose(y, expected, rtol=0, atol=0 if not options else 1e-6)


def test_bilinear_by_hand():
    x = [[0.0, 3.0, 6.0]]
    assert resize2d(x, (1, 5), mode="bilinear", align_corners=True).tolist() == [[0, 1.5, 3, 4.5, 6]]
    assert resize2d(x, (2, 6), mode="bilinear").tolist() == [[0, 0.75, 2.25, 3.75, 5.25, 6]] * 2


def test_a_neighbour_without_a_share_does_not_count(isa):
    x = [[1.0, np.inf, 1.0, np.nan]]
    np.testing.assert_array_equal(resize2d(x, (3, 4), mode="bilinear"), x * 3)
    y = resize2d(x, (1, 7), mode="bilinear", align_corners=True)
    np.testing.assert_array_equal(y, [[1, np.inf, np.inf, np.inf, 1, np.nan, np.nan]])


def test_long_rows(rng):
    """Rows are worked on in blocks."""
    x = normal(rng, (2, 30_000))
    for size in (3, 7), (3, 50_001):
        y = resize2d(x, size, mode="bilinear")
        np.testing.assert_allclose(y, reference.resize2d(x, size, mode="bilinear"), rtol=0, atol=1e-6)
        np.testing.assert_array_equal(resize2d(x, size), reference.resize2d(x, size))


def test_empties():
    assert resize2d(np.zeros((0, 3, 4, 4)), 2).shape == (0, 3, 2, 2)
    with pytest.raises(ValueError, match="without a cell"):
        resize2d(np.zeros((3, 0, 4)), 2)


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({}, ValueError, ("either size or scale",)),
        ({"size": 2, "scale": 2}, ValueError, ("either size or scale",)),
        ({"size": 0}, ValueError, ("size", "0")),
        ({"size": 2.5}, TypeError, ("size", "2.5")),
        ({"size": 2**62}, ValueError, ("too large",)),
        ({"scale": 0.1}, ValueError, ("scale", "no cell")),
        ({"scale": -1}, ValueError, ("scale", "-1")),
        ({"scale": np.nan}, ValueError, ("scale", "nan")),
        ({"scale": 1e300}, ValueError, ("scale",)),
        ({"scale": "2"}, TypeError, ("scale", "'2'")),
        ({"scale": (1, 2, 3)}, ValueError, ("scale",)),
        ({"size": 2, "mode": "linear"}, ValueError, ("mode", "did you mean 'bilinear'")),
        ({"size": 2, "align_corners": True}, ValueError, ("align_corners", "bilinear")),
    ],
)
def test_errors(options, kind, words):
    with pytest.raises(kind) as caught:
        resize2d(np.zeros((3, 3)), **options)
    assert str(caught.value).startswith("resize2d: ")
    for word in words:
        assert word in str(caught.value), str(caught.value)
