"""How exact results are, and what becomes of NaN, infinity and subnormal numbers."""

from math import fsum

import numpy as np
import pytest
from conftest import (
    FLOAT64_PROMISE,
    PROMISE,
    applicable,
    assert_promise,
    assert_same_bits,
    integers,
    normal,
    operands,
    w_shape,
    x_shape,
)

import convfast
from convfast import conv2d, reference

KINDS = {
    "normal": normal,
    "positive": lambda rng, shape: rng.random(shape, np.float32),
    "far from zero": lambda rng, shape: (100 + rng.standard_normal(shape)).astype(np.float32),
    "alternating": lambda rng, shape: rng.random(shape, np.float32) * np.resize([1, -1], shape).astype(np.float32),
    "one large": lambda rng, shape: np.where(rng.random(shape) < 0.01, 1e4, normal(rng, shape)).astype(np.float32),
    "tiny": lambda rng, shape: normal(rng, shape) * np.float32(1e-14),
    "huge": lambda rng, shape: normal(rng, shape) * np.float32(1e14),
}


TERMS = [(512, 5, 7, 7, 3, 3), (50021, 2, 3, 5, 1, 1), (1, 79, 83, 1, 71, 73)]  # 4,608, 50,021 and 5,183 of them


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("C", "H", "W", "K", "R", "S"), TERMS)
def test_highest_bounds_every_element_for_any_number_of_terms(isa, data_format, kind, C, H, W, K, R, S, rng):
    x, w, bias = (KINDS[kind](rng, a.shape) for a in operands(rng, 1, C, H, W, K, R, S, data_format))
    assert_all_keep_promise(x, w, bias, "highest", data_format=data_format)


@pytest.mark.parametrize(
    ("dtype", "terms"), [*((np.float32, terms) for terms in (72, 4608, 50_021, 400_009)), (np.float64, 50_021)]
)
def test_roundings_of_equal_terms_do_not_add_up(isa, data_format, dtype, terms, rng):
    """A chain of equal numbers errs in the same direction at every addition, for as long as the exponent stays."""
    bound = FLOAT64_PROMISE if dtype == np.float64 else PROMISE["highest"][0]
    for a, b in rng.random((8, 2), np.float32):
        x = np.full(x_shape(1, terms, 1, 1, data_format), a, dtype)
        w = np.full(w_shape(4, terms, 1, 1, data_format), b, dtype)
        exact = terms * (float(a) * float(b))
        assert np.max(np.abs(conv2d(x, w, data_format=data_format) - exact)) <= bound * exact


@pytest.mark.parametrize("kind", ["normal", "positive"])
@pytest.mark.parametrize(("C", "H", "W", "K", "R", "S"), TERMS)
def test_float64_is_exact_to_its_own_roundings(isa, data_format, kind, C, H, W, K, R, S, rng):
    """Products of two numbers of 24 bits are exact in float64, so that fsum has the exact value of every sum."""
    x, w, _ = (KINDS[kind](rng, a.shape).astype(float) for a in operands(rng, 1, C, H, W, K, R, S, data_format))
    planes, filters = (x, w) if data_format == "NCHW" else (x.transpose(0, 3, 1, 2), w.transpose(3, 2, 0, 1))
    windows = np.lib.stride_tricks.sliding_window_view(planes[0], (R, S), (1, 2))
    algorithms = applicable(x, w, data_format=data_format)
    results = [conv2d(x, w, data_format=data_format, algorithm=algorithm) for algorithm in algorithms]
    for k, p, q in np.ndindex(K, *windows.shape[1:3]):
        terms = windows[:, p, q] * filters[k]
        for y in results:
            error = abs(y[(0, k, p, q) if data_format == "NCHW" else (0, p, q, k)] - fsum(terms.ravel()))
            assert error <= FLOAT64_PROMISE * fsum(np.abs(terms).ravel())


@pytest.mark.parametrize("precision", ["high", "medium"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("N", "C", "H", "W", "K"), [(2, 67, 13, 17, 29), (1, 512, 7, 11, 5), (3, 1, 5, 6, 2)])
def test_lower_precisions_keep_their_promise(isa, data_format, kind, precision, N, C, H, W, K, rng):
    x, w, bias = (KINDS[kind](rng, a.shape) for a in operands(rng, N, C, H, W, K, 3, 3, data_format))
    assert_all_keep_promise(x, w, bias, precision, data_format=data_format, padding=((1, 1), (2, 0)))


OPTIONS = [
    {},
    {"padding": 1},
    {"padding": "full"},
    {"padding": 2, "padding_mode": "wrap"},
    {"padding": ((0, 3), (5, 1)), "activation": "relu"},
    {"groups": 3},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_lower_precisions_understand_every_option(isa, data_format, options, rng):
    for H, W in [(3, 3), (4, 9), (11, 13), (18, 31)]:
        x, w, bias = operands(rng, 2, 21, H, W, 33, 3, 3, data_format, groups=options.get("groups", 1), make=normal)
        assert_all_keep_promise(x, w, bias, "high", data_format=data_format, **options)


def assert_all_keep_promise(x, w, bias, precision, **options):
    """Whatever the algorithm."""
    algorithms = applicable(x, w, precision=precision, **options)
    results = {name: conv2d(x, w, bias, precision=precision, algorithm=name, **options) for name in algorithms}
    assert_promise(results, x, w, bias, precision, **options)


def test_precision_none_is_the_process_setting(isa, data_format, rng):
    x, w, _ = operands(rng, 1, 64, 28, 30, 64, 3, 3, data_format, make=normal)
    assert convfast.get_precision() == "highest"
    for level in ("high", "medium", "highest"):
        convfast.set_precision(level)
        try:
            assert convfast.get_precision() == level
            y = conv2d(x, w, data_format=data_format)
        finally:
            convfast.set_precision("highest")
        assert_same_bits(y, conv2d(x, w, data_format=data_format, precision=level))


def test_precision_is_for_float32_only(isa, rng):
    x, w, bias = operands(rng, 1, 16, 13, 17, 16, 3, 3, "NCHW", np.float64, make=normal)
    assert_same_bits(conv2d(x, w, bias, precision="medium"), conv2d(x, w, bias, precision="highest"))


def assert_same_class(x, w, bias, precision, **options):
    """NaN where the law has NaN, infinity where it has infinity, and near it elsewhere; whatever the algorithm."""
    exact = reference.conv2d(x, w, bias, **options)
    assert np.isfinite(exact).any()
    assert not np.isfinite(exact).all()
    near = 0.1 if precision == "medium" else 1e-3
    for algorithm in applicable(x, w, precision=precision, **options):
        y = conv2d(x, w, bias, precision=precision, algorithm=algorithm, **options)
        np.testing.assert_allclose(y, exact, rtol=near, atol=near, err_msg=algorithm)


@pytest.mark.parametrize("precision", ["highest", "high", "medium"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_non_finite_values_reach_exactly_the_outputs_that_see_them(isa, data_format, dtype, precision, value, rng):
    x, w, bias = operands(rng, 2, 5, 9, 19, 7, 3, 3, data_format, dtype, make=normal)
    w[rng.random(w.shape) < 0.1] = 0  # times infinity: NaN
    planes = x if data_format == "NCHW" else x.transpose(0, 3, 1, 2)
    for n, c, h, v in [(0, 0, 0, 0), (1, 4, 8, 18), (0, 2, 4, 7), (1, 1, 3, 16)]:
        planes[n, c, h, v] = value
    assert_same_class(x, w, bias, precision, data_format=data_format, padding=1)


@pytest.mark.parametrize("precision", ["highest", "high", "medium"])
def test_infinite_filter_taps_over_padding_give_nan(isa, data_format, precision, rng):
    x, w, bias = operands(rng, 1, 3, 9, 11, 5, 3, 3, data_format, make=normal)
    w[0, 0, 0, 0] = np.inf
    assert np.isnan(reference.conv2d(x, w, bias, data_format=data_format, padding=1)).any()
    assert_same_class(x, w, bias, precision, data_format=data_format, padding=1)


@pytest.mark.parametrize("options", [{"groups": 5}, {"stride": 2}, {"dilation": 2, "padding": "same"}], ids=str)
def test_non_finite_values_under_every_option(isa, data_format, options, rng):
    x, w, bias = operands(rng, 1, 5, 13, 17, 15, 3, 3, data_format, groups=options.get("groups", 1), make=normal)
    x.flat[rng.choice(x.size, 3, replace=False)] = np.inf, -np.inf, np.nan
    assert_same_class(x, w, bias, "highest", data_format=data_format, **options)


@pytest.mark.parametrize("precision", ["highest", "high", "medium"])
def test_large_finite_values_stay_finite(isa, data_format, precision, rng):
    """A transform that multiplies them by more than the filter does would overflow."""
    x, w, bias = operands(rng, 1, 3, 13, 17, 5, 3, 3, data_format, make=normal)
    x[0, 2, 2, 2] = 3e38
    w /= 16
    exact = reference.conv2d(x, w, bias, data_format=data_format)
    assert 1e37 < np.abs(exact).max() < 3e38
    for algorithm in applicable(x, w, precision=precision, data_format=data_format):
        y = conv2d(x, w, bias, data_format=data_format, algorithm=algorithm, precision=precision)
        assert np.isfinite(y).all(), algorithm
        np.testing.assert_allclose(y, exact, rtol=1e-2, atol=1e36, err_msg=algorithm)


@pytest.mark.parametrize("activation", ["relu", "relu6"])
def test_activation_keeps_nan(isa, data_format, activation):
    x = np.full(x_shape(1, 2, 5, 7, data_format), np.nan, np.float32)
    y = conv2d(x, np.ones(w_shape(3, 2, 2, 2, data_format), np.float32), data_format=data_format, activation=activation)
    assert np.isnan(y).all()


@pytest.mark.parametrize("algorithm", ["direct", "im2col"])
def test_subnormal_numbers_are_kept(isa, data_format, dtype, algorithm, rng):
    smallest = np.finfo(dtype).smallest_subnormal
    x = integers(rng, x_shape(1, 3, 11, 23, data_format), dtype) * smallest
    w = integers(rng, w_shape(5, 3, 3, 3, data_format), dtype)
    y = conv2d(x, w, data_format=data_format, algorithm=algorithm)
    exact = reference.conv2d(x / smallest, w, data_format=data_format)
    np.testing.assert_array_equal(y / smallest, exact)
