"""Two thousand calls of conv2d drawn at random from all it understands, each against the law."""

import numpy as np
import pytest
from conftest import applicable, assert_promise, integers, w_shape, x_shape

import convfast
from convfast import _core, conv2d, reference

CHUNKS, CALLS = 20, 100

FLOATING, WHOLE = ["float32", "float64", "float16"], ["int8", "uint8", "int16", "int32", "int64"]


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_random_calls_equal_the_law(settings, chunk):
    """On every instruction set; the law is computed once."""
    for number in range(CALLS):
        rng = np.random.default_rng([chunk, number])
        x, w, bias, options, precision = random_call(rng)
        exact = reference.conv2d(x, w, bias, **options)
        for isa in convfast.available_isas():
            _core.use_isa(isa)
            algorithm = str(rng.choice(applicable(x, w, precision=precision, **options)))
            call = f"{chunk, number}: {isa}, {algorithm}, {x.dtype}{x.shape} * {w.dtype}{w.shape}, {options}"
            out = random_out(rng, exact, x, w)
            y = conv2d(x, w, bias, precision=precision, algorithm=algorithm, out=out, **options)
            assert out is None or y is out, call
            if y.dtype in (np.float16, np.float32) and precision != "highest":
                assert_random_promise(y, x, w, bias, precision, options)
            else:
                np.testing.assert_array_equal(y, exact.astype(y.dtype), err_msg=call)


def assert_random_promise(y, x, w, bias, precision, options):
    if x.ndim == 3:
        x, y = x[None], y[None]
    elif x.ndim == 2:
        x, w, y, options = x[None, None], w[None, None], y[None, None], {**options, "data_format": "NCHW"}
    assert_promise({"call": y}, x, w, bias, precision, **options)


def random_call(rng):
    """Operands whose sums are exact in any order, and options that leave at least one output."""
    while True:
        rank = rng.choice([4, 4, 4, 3, 2])
        data_format = str(rng.choice(["NCHW", "NHWC"]))
        groups = int(rng.choice([1, 1, 1, 2, 3, 7])) if rank > 2 else 1
        C, K = rng.choice([1, 2, 3, 5, 16, 17, 33], 2) if rank > 2 else (1, 1)
        N = int(rng.integers(1, 4)) if rank == 4 else 1
        H, W = rng.integers(1, 24, 2)
        R, S = rng.choice([1, 2, 3, 3, 3, 4, 5, 7], 2)
        x_dtype, w_dtype = random_dtypes(rng)
        precision = str(rng.choice(["highest", "highest", "high"]))
        options = dict(
            stride=random_pair(rng, [1, 1, 1, 2, 3, 4]),
            dilation=random_pair(rng, [1, 1, 1, 2, 3]),
            padding=random_padding(rng),
            groups=groups,
            data_format=data_format,
            padding_mode=str(rng.choice(["constant", "constant", "edge", "reflect", "symmetric", "wrap"])),
            activation=[None, None, "relu", "relu6"][rng.integers(4)],
        )
        if rng.random() < 0.15:  # what Winograd and its kind are for
            R, S, x_dtype, w_dtype, precision = 3, 3, "float32", "float32", "high"
            options.update(stride=1, dilation=1)
        x = integers(rng, x_shape(N, C * groups, H, W, data_format), x_dtype)
        w = integers(rng, w_shape(K * groups, C, R, S, data_format), w_dtype)
        bias = integers(rng, K * groups) if rng.random() < 0.5 else None
        if rank < 4:
            x, w = (x[0], w) if rank == 3 else (x.reshape(H, W), w.reshape(R, S))
        try:
            convfast.explain_conv2d(x.shape, w.shape, **options)
        except ValueError:  # no output
            continue
        return random_memory(rng, x), random_memory(rng, w), bias, options, precision


def random_pair(rng, values):
    h, w = (int(value) for value in rng.choice(values, 2))
    return (h, w) if rng.random() < 0.5 else h


def random_padding(rng):
    """Every form of it."""
    top, bottom, left, right = (int(side) for side in rng.choice([0, 0, 1, 1, 2, 3, 9], 4))
    forms = [0, 1, top, (top, left), ((top, bottom), (left, right)), "valid", "same", "same_lower", "full"]
    return forms[rng.integers(len(forms))]


def random_dtypes(rng):
    """float32 half of the time, sometimes mixed."""
    if rng.random() < 0.5:
        return "float32", "float32"
    return rng.choice(FLOATING + WHOLE, 2)


def random_memory(rng, array):
    """The same numbers, perhaps in another order in memory, perhaps with gaps."""
    order = rng.permutation(array.ndim)
    array = np.ascontiguousarray(array.transpose(order)).transpose(np.argsort(order))
    if rng.random() < 0.5:
        return array
    gaps = np.repeat(array, 2, axis=-1)[..., ::2]
    return gaps[::-1].copy()[::-1] if rng.random() < 0.5 else gaps


def random_out(rng, exact, x, w):
    """None, or an array for the result, full of something else."""
    if rng.random() < 0.5:
        return None
    floating = {x.dtype.kind, w.dtype.kind} & {"f"}
    dtype = np.result_type(x, w) if floating else np.result_type(x, w, np.int32)
    return random_memory(rng, np.full(exact.shape, 99, dtype))
