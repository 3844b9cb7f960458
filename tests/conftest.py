"""Fixtures, arrays to test with, and the one place for tolerances."""

import os
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest

import convfast
from convfast import _core, reference

TESTS = Path(__file__).parent

# What a result may differ from the exact value: `per_element * A + per_image * max(A)`, with A = abs(x) conv abs(w)
# plus abs(bias) and the largest A taken over the same image. For float32 these are the promises of the precisions.
PROMISE = {
    "highest": (2e-6, 0.0),
    "high": (0.0, 1.5e-5),
    "medium": (8e-3, 1.5e-5),
}

# For float64: 90 roundings of 2**-53. Its sums, and those of the law it is compared with, are chains of a few hundred.
FLOAT64_PROMISE = 1e-14

# One rounding to the result's own type, for those computed in float32 and narrowed at the end.
HALF_ULP = {"float16": 2.0**-11, "bfloat16": 2.0**-8}

# Sums of products of integers below 2**24 in magnitude are exact in float32, in any order.
EXACT_IN_FLOAT32 = 2**24


def promised(A, dtype, precision="highest"):
    """How far each element may lie from its exact value. `A` has the images in front."""
    per_element, per_image = (FLOAT64_PROMISE, 0) if dtype == np.float64 else PROMISE[precision]
    largest = A.reshape(len(A), -1).max(axis=1, initial=0).reshape(-1, *[1] * (A.ndim - 1))
    return per_element * A + per_image * largest


def assert_promise(results, x, w, bias=None, precision="highest", **options):
    """All results, a dict from algorithm to array, lie as close to the convolution of a batch `x` as promised."""
    exact = reference.conv2d(x, w, bias, **options)
    magnitude = {name: value for name, value in options.items() if name != "activation"}
    A = reference.conv2d(np.abs(x), np.abs(w), None if bias is None else np.abs(bias), **magnitude)
    for algorithm, y in results.items():
        assert y.shape == exact.shape
        error, allowed = np.abs(y - exact), promised(A, y.dtype, precision)
        allowed = allowed + HALF_ULP.get(y.dtype.name, 0) * np.abs(exact)
        assert np.all(error <= allowed), f"{algorithm}: {np.max(error / (allowed + 1e-300)):.3g} of the promise"


def applicable(x, w, **options):
    """"auto" and every algorithm that can be forced for this call."""
    told = convfast.explain_conv2d(x.shape, w.shape, dtype=np.result_type(x, w), **options)
    return ["auto", *(candidate.algorithm for candidate in told.candidates if candidate.applies)]


def every_way(x, w, **options):
    """(algorithm, precision) for every algorithm that applies, at the highest precision that it keeps."""
    known = set()
    for precision in PROMISE:
        for algorithm in applicable(x, w, precision=precision, **options):
            if algorithm not in known:
                known.add(algorithm)
                yield algorithm, precision


def assert_same_bits(a, b):
    assert a.dtype == b.dtype
    assert a.shape == b.shape
    np.testing.assert_array_equal(*(np.ascontiguousarray(array).view(f"u{array.itemsize}") for array in (a, b)))


def integers(rng, shape, dtype=np.float32, low=-4, high=5):
    """Small whole numbers: sums of their products are exact in every dtype, so errors of indices cannot hide."""
    return rng.integers(low, high, shape).astype(dtype)


def normal(rng, shape, dtype=np.float32):
    return rng.standard_normal(shape).astype(dtype)


def x_shape(N, C, H, W, data_format="NCHW"):
    return (N, C, H, W) if data_format == "NCHW" else (N, H, W, C)


def w_shape(K, C, R, S, data_format="NCHW"):
    """`C` is the number of channels per group."""
    return (K, C, R, S) if data_format == "NCHW" else (R, S, C, K)


def operands(rng, N, C, H, W, K, R, S, data_format, dtype=np.float32, groups=1, make=integers):
    """x, w and a bias for them."""
    x = make(rng, x_shape(N, C, H, W, data_format), dtype)
    w = make(rng, w_shape(K, C // groups, R, S, data_format), dtype)
    return x, w, make(rng, K, dtype)


needs_winograd = pytest.mark.skipif("winograd" not in _core.algorithms(), reason="this build has no Winograd algorithm")

def run_child(code, timeout=60, **environment):
    """Standard output of `code` in a fresh Python, which must end well and in time. It may import the tests."""
    run = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", code],
        env={**os.environ, "PYTHONPATH": str(TESTS), **environment},
        capture_output=True, text=True, timeout=timeout,
    )  # fmt: skip
    assert run.returncode == 0, f"exit code {run.returncode}\n{run.stderr}"
    return run.stdout


@pytest.fixture(params=convfast.available_isas())
def isa(request):
    """Every instruction set of this machine in turn."""
    former = _core.use_isa(request.param)
    assert convfast.isa() == request.param
    yield request.param
    _core.use_isa(former)


@pytest.fixture
def settings():
    """For a test that switches ISA and threads itself: puts them back."""
    former, threads = convfast.isa(), convfast.get_num_threads()
    yield
    _core.use_isa(former)
    convfast.set_num_threads(threads)


@pytest.fixture(params=["NCHW", "NHWC"])
def data_format(request):
    return request.param


@pytest.fixture(params=[np.float32, np.float64], ids=["float32", "float64"])
def dtype(request):
    return request.param


@pytest.fixture
def rng(request):
    """Random numbers that are the same at every run of the same test."""
    return np.random.default_rng(zlib.crc32(request.node.name.encode()))


@pytest.fixture(autouse=True)
def process_settings_restored():
    """No test may leave its threads, precision or instruction set to the next one."""
    before = convfast.get_num_threads(), convfast.get_precision(), convfast.isa()
    yield
    assert (convfast.get_num_threads(), convfast.get_precision(), convfast.isa()) == before
