"""conv2d is its formula: on every instruction set, in both layouts, in float32 and float64, by every algorithm."""

import itertools

import numpy as np
import pytest
from conftest import (
    EXACT_IN_FLOAT32,
    HALF_ULP,
    applicable,
    assert_promise,
    assert_same_bits,
    integers,
    needs_winograd,
    normal,
    operands,
    w_shape,
    x_shape,
)

import convfast
from convfast import conv2d, reference

# Sizes are different primes, so that no two can be mistaken for each other: N, C, H, W, K, R, S.
PRIMES = (2, 7, 17, 19, 11, 3, 5)

OPTIONS = {
    "plain": {},
    "stride": dict(stride=(3, 2)),
    "padding": dict(padding=(1, 3)),
    "four paddings": dict(padding=((1, 2), (5, 3))),
    "more padding than filter": dict(padding=((7, 0), (0, 11))),
    "same": dict(padding="same", stride=2),
    "same_lower": dict(padding="same_lower", stride=2),
    "full": dict(padding="full", dilation=(2, 1)),
    "dilation": dict(dilation=(5, 3)),
    "groups": dict(groups=7),
    "stride, padding, dilation": dict(stride=(2, 3), padding=((3, 1), (2, 5)), dilation=(3, 2)),
    "edge": dict(padding=(2, 3), padding_mode="edge"),
    "reflect": dict(padding=(2, 3), padding_mode="reflect", stride=2),
    "symmetric": dict(padding=((0, 19), (21, 3)), padding_mode="symmetric"),
    "wrap": dict(padding=((3, 40), (1, 2)), padding_mode="wrap", dilation=2),
    "relu": dict(activation="relu", padding=1),
    "relu6": dict(activation="relu6", stride=3),
}

# One size of each is larger than any block, tile or vector of a driver: N, C, H, W, K, R, S, options.
LARGE = {
    "many images": (67, 2, 5, 7, 3, 2, 3, {}),
    "many channels": (1, 1031, 5, 7, 13, 1, 1, {}),
    "many channels and taps": (1, 541, 7, 5, 11, 3, 3, dict(padding=1)),
    "many filters": (1, 3, 7, 5, 1033, 3, 1, {}),
    "high": (1, 3, 521, 7, 5, 3, 2, dict(stride=(2, 1))),
    "wide": (1, 3, 5, 2053, 7, 2, 3, dict(padding=(0, 1))),
    "wide, stride": (1, 3, 7, 1049, 5, 3, 7, dict(stride=(1, 4))),
    "large filter": (1, 2, 61, 67, 3, 53, 59, {}),
    "depthwise": (1, 523, 11, 13, 523, 3, 5, dict(groups=523, padding=1)),
    "depthwise, twice the filters": (1, 131, 11, 13, 262, 5, 3, dict(groups=131, stride=2)),
    "depthwise, large filter": (1, 5, 37, 41, 5, 31, 29, dict(groups=5, padding="same")),
    "many groups": (1, 148, 11, 13, 111, 3, 3, dict(groups=37)),
    "plane": (1, 1, 257, 263, 1, 7, 5, dict(padding="same")),
    "dense": (1, 97, 29, 31, 101, 3, 3, dict(padding=1)),
    "dense, stride": (2, 89, 29, 31, 83, 3, 3, dict(padding=1, stride=2)),
    "1x1, stride": (1, 103, 29, 31, 107, 1, 1, dict(stride=2)),
    "1x1, whole panels": (2, 641, 13, 13, 12, 1, 1, {}),
    "1x3, whole panels": (1, 211, 5, 29, 12, 1, 3, {}),
    "5 MB of outputs, fetched first": (1, 3, 223, 227, 29, 3, 3, dict(padding=1)),
}


def assert_exact(x, w, bias=None, **options):
    """conv2d gives the very numbers of the law, in the dtype promised."""
    y = conv2d(x, w, bias, **options)
    kinds = {x.dtype.kind, w.dtype.kind}
    assert y.dtype == (np.result_type(x, w) if "f" in kinds else np.result_type(x, w, np.int32))
    assert y.flags.c_contiguous
    assert y.flags.writeable
    assert y.base is None
    np.testing.assert_array_equal(y, reference.conv2d(x, w, bias, **options).astype(y.dtype), err_msg=str(options))


@pytest.mark.parametrize("name", OPTIONS)
def test_equals_the_law(isa, data_format, dtype, name, rng):
    options = dict(OPTIONS[name], data_format=data_format)
    groups = options.get("groups", 1)
    N, C, H, W, K, R, S = PRIMES
    x, w, bias = operands(rng, N, C, H, W, K * groups, R, S, data_format, dtype, groups)
    for algorithm in applicable(x, w, **options):
        assert_exact(x, w, bias, algorithm=algorithm, **options)
        assert_exact(x, w, algorithm=algorithm, **options)


@pytest.mark.parametrize("name", LARGE)
def test_equals_the_law_beyond_one_block(isa, data_format, name, rng):
    *sizes, options = LARGE[name]
    options = dict(options, data_format=data_format)
    x, w, bias = operands(rng, *sizes, data_format, groups=options.get("groups", 1))
    exact = reference.conv2d(x, w, bias, **options)
    for algorithm in applicable(x, w, **options):
        y = conv2d(x, w, bias, algorithm=algorithm, **options)
        np.testing.assert_array_equal(y, exact, err_msg=algorithm)


@pytest.mark.parametrize("name", ["many channels and taps", "many filters", "wide", "dense", "dense, stride"])
def test_equals_the_law_beyond_one_block_in_float64(isa, data_format, name, rng):
    *sizes, options = LARGE[name]
    x, w, bias = operands(rng, *sizes, data_format, np.float64, options.get("groups", 1))
    assert_exact(x, w, bias, data_format=data_format, **options)


def test_every_width_and_channel_count(isa, data_format, rng):
    """Vector, tile and tail meet at every remainder."""
    for W in range(1, 68):
        x, w, bias = operands(rng, 1, 3, 3, W, 5, 2, min(3, W), data_format)
        assert_exact(x, w, bias, data_format=data_format)
    for C in range(1, 36):
        for K in (C, 36 - C):
            x, w, bias = operands(rng, 1, C, 3, 5, K, 2, 3, data_format)
            assert_exact(x, w, bias, data_format=data_format, padding=1)


FILTER_LAYOUTS = {
    "as given": lambda w: w,
    "(K, R, S, C)": lambda w: np.ascontiguousarray(w.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2),
    "(R, S, C, K)": lambda w: np.ascontiguousarray(w.transpose(2, 3, 1, 0)).transpose(3, 2, 0, 1),
    "(C, K, R, S)": lambda w: np.ascontiguousarray(w.transpose(1, 0, 2, 3)).transpose(1, 0, 2, 3),
    "taps backwards": lambda w: np.ascontiguousarray(w[:, :, ::-1, ::-1])[:, :, ::-1, ::-1],
}


@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize("layout", FILTER_LAYOUTS)
def test_filters_of_every_layout_and_count_of_channels(isa, data_format, layout, size, rng):
    """Runs of terms that fill vectors of the packed filters, and that do not; the last panel is not full."""
    for C in [*range(1, 20), 289, 301]:
        x, w, _ = operands(rng, 1, C, 4, 5, 37, size, size, "NCHW")
        exact = reference.conv2d(x, w, padding=size // 2)
        w = FILTER_LAYOUTS[layout](w)
        if data_format == "NHWC":
            x, w, exact = x.transpose(0, 2, 3, 1), w.transpose(2, 3, 1, 0), exact.transpose(0, 2, 3, 1)
        for algorithm in applicable(x, w, padding=size // 2, data_format=data_format):
            y = conv2d(x, w, padding=size // 2, data_format=data_format, algorithm=algorithm)
            np.testing.assert_array_equal(y, exact, err_msg=f"{C} channels, {algorithm}")


def test_grouped_convolution_is_separate_convolutions_side_by_side(isa, data_format, rng):
    groups, C, K = 5, 3, 2
    x, w, bias = operands(rng, 2, groups * C, 11, 13, groups * K, 3, 2, data_format, groups=groups, make=normal)
    channels, filters = (1, 0) if data_format == "NCHW" else (3, 3)
    split = np.split(x, groups, channels), np.split(w, groups, filters), np.split(bias, groups)
    parts = [conv2d(*part, data_format=data_format, padding=1) for part in zip(*split, strict=True)]
    y = conv2d(x, w, bias, data_format=data_format, padding=1, groups=groups)
    np.testing.assert_allclose(y, np.concatenate(parts, channels), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "symmetric", "wrap"])
def test_padding_is_np_pad_before_a_valid_convolution(isa, mode, rng):
    x, w, bias = operands(rng, 2, 3, 5, 7, 11, 3, 2, "NCHW")
    for sides in [((1, 2), (3, 0)), ((0, 11), (13, 1)), ((4, 4), (6, 6))]:
        padded = np.pad(x, [(0, 0), (0, 0), *sides], mode)
        y = conv2d(x, w, bias, padding=sides, padding_mode=mode)
        np.testing.assert_array_equal(y, conv2d(padded, w, bias))


def test_padding_words_are_numbers_in_any_case_of_letters(isa, rng):
    x, w, _ = operands(rng, 1, 2, 11, 14, 3, 4, 3, "NCHW")
    for word, stride, numbers in [
        ("VALID", 2, 0),
        ("Same", 1, ((1, 2), (1, 1))),
        ("same", 2, ((1, 2), (0, 1))),
        ("SAME_LOWER", 1, ((2, 1), (1, 1))),
        ("same_lower", 2, ((2, 1), (1, 0))),
        ("Full", 3, ((3, 3), (2, 2))),
    ]:
        np.testing.assert_array_equal(
            conv2d(x, w, padding=word, stride=stride), conv2d(x, w, padding=numbers, stride=stride)
        )


def test_filters_of_one_cell_are_a_dense_layer_at_every_pixel(isa, rng):
    x, w, bias = operands(rng, 2, 31, 11, 13, 17, 1, 1, "NHWC")
    np.testing.assert_array_equal(conv2d(x, w, bias, data_format="NHWC"), x @ w[0, 0] + bias)


def test_result_has_the_rank_of_x(isa, data_format, rng):
    x, w, bias = operands(rng, 1, 3, 11, 13, 5, 3, 2, data_format)
    batched = conv2d(x, w, bias, data_format=data_format)
    assert_same_bits(conv2d(x[0], w, bias, data_format=data_format), batched[0])
    plane, filter = integers(rng, (11, 13)), integers(rng, (5, 3))
    expected = conv2d(plane[None, None], filter[None, None], [3.0])[0, 0]
    assert_same_bits(conv2d(plane, filter, [3.0], data_format=data_format), expected)


def test_activation_is_applied_to_the_sum_with_bias(isa, data_format, dtype, rng):
    x, w, bias = operands(rng, 2, 3, 11, 13, 5, 3, 2, data_format, dtype)
    y = conv2d(x, w, bias, data_format=data_format)
    assert y.min() < 0
    assert y.max() > 6
    np.testing.assert_array_equal(conv2d(x, w, bias, data_format=data_format, activation="relu"), np.maximum(y, 0))
    np.testing.assert_array_equal(conv2d(x, w, bias, data_format=data_format, activation="relu6"), np.clip(y, 0, 6))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_float32_rounded_once(isa, data_format, dtype, rng):
    if dtype == "bfloat16":
        dtype = pytest.importorskip("ml_dtypes").bfloat16
    x, w, bias = operands(rng, 2, 7, 11, 13, 5, 3, 2, data_format, dtype, make=normal)
    y = conv2d(x, w, bias, data_format=data_format, padding=1)
    wide = conv2d(*(a.astype(np.float32) for a in (x, w, bias)), data_format=data_format, padding=1)
    assert y.dtype == dtype
    assert_same_bits(y, wide.astype(dtype))
    assert np.all(np.abs(y.astype(np.float32) - wide) <= HALF_ULP[y.dtype.name] * np.abs(wide) + 1e-7)


REAL = ["float16", "float32", "float64", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64"]


@pytest.mark.parametrize("w_type", REAL)
@pytest.mark.parametrize("x_type", REAL)
def test_mixed_dtypes_promote_as_numpy_does(x_type, w_type, data_format, rng):
    x = integers(rng, x_shape(2, 3, 7, 11, data_format), x_type, low=0)
    w = integers(rng, w_shape(5, 3, 3, 2, data_format), w_type, low=0)
    assert_exact(x, w, integers(rng, 5, np.float32), data_format=data_format)


@pytest.mark.parametrize("w_type", ["int8", "int32", "int64"])
@pytest.mark.parametrize("x_type", ["uint8", "int32", "int64"])
def test_integer_convolution_is_exact_and_wraps_as_numpy(data_format, x_type, w_type, rng):
    x = rng.integers(*whole_range(x_type), x_shape(2, 3, 7, 11, data_format), x_type, endpoint=True)
    w = rng.integers(*whole_range(w_type), w_shape(5, 3, 3, 2, data_format), w_type, endpoint=True)
    assert_exact(x, w, data_format=data_format)


def whole_range(dtype):
    return np.iinfo(dtype).min, np.iinfo(dtype).max


def test_images_of_bytes_are_not_rounded(rng):
    """Beyond 2**24 float32 would lose the last digits."""
    x, w = np.full((1, 300, 3, 3), 255, np.uint8), np.full((1, 300, 3, 3), 127, np.int8)
    y = conv2d(x, w)
    assert y.dtype == np.int32
    assert y.item() == 300 * 9 * 255 * 127 > EXACT_IN_FLOAT32


@pytest.mark.parametrize("N", [0, 2])
@pytest.mark.parametrize("C", [0, 3])
@pytest.mark.parametrize("K", [0, 5])
@pytest.mark.parametrize("activation", [None, "relu"])
def test_empty_sizes(isa, data_format, dtype, N, C, K, activation, rng):
    """Nothing in, nothing out; no channels: a sum of no terms, which is zero."""
    x, w, bias = operands(rng, N, C, 7, 11, K, 3, 2, data_format, dtype)
    assert_exact(x, w, data_format=data_format, activation=activation)
    assert_exact(x, w, bias, data_format=data_format, activation=activation)


def test_plane_of_padding_only(isa, data_format):
    x, w = np.ones(x_shape(1, 2, 0, 5, data_format)), np.ones(w_shape(3, 2, 2, 2, data_format))
    assert_exact(x, w, np.arange(3.0), data_format=data_format, padding=((1, 2), (0, 0)))


ABILITIES = {
    "plain": (1, 16, 13, 17, 16, 3, 3, {}),
    "1x1": (1, 16, 13, 17, 16, 1, 1, {}),
    "depthwise": (1, 16, 13, 17, 16, 3, 3, dict(groups=16)),
    "strided, dilated": (1, 16, 13, 17, 16, 5, 2, dict(stride=2, dilation=2)),
    "plane, large filter": (1, 1, 61, 67, 1, 41, 43, {}),
}


@pytest.mark.parametrize("precision", ["highest", "high", "medium"])
@pytest.mark.parametrize("name", ABILITIES)
def test_every_algorithm_can_be_forced_or_says_why_not(isa, data_format, dtype, name, precision, rng):
    *sizes, options = ABILITIES[name]
    x, w, bias = operands(rng, *sizes, data_format, dtype, options.get("groups", 1))
    options = dict(options, data_format=data_format)
    told = convfast.explain_conv2d(x.shape, w.shape, dtype=dtype, precision=precision, **options)
    assert {"direct", "im2col"} <= {candidate.algorithm for candidate in told.candidates}
    for candidate in told.candidates:
        call = dict(options, algorithm=candidate.algorithm, precision=precision)
        if candidate.applies:
            results = {candidate.algorithm: conv2d(x, w, bias, **call)}
            assert_promise(results, x, w, bias, precision, **options)
        else:
            with pytest.raises(ValueError, match=f"algorithm='{candidate.algorithm}'") as error:
                conv2d(x, w, bias, **call)
            assert candidate.reason
            assert candidate.reason in str(error.value)


def test_plain_layers_have_a_choice(isa, data_format, rng):
    """Loops over the algorithms that apply are loops over several."""
    x, w, _ = operands(rng, 1, 16, 13, 17, 16, 3, 3, data_format)
    assert {"auto", "direct", "im2col"} <= set(applicable(x, w, data_format=data_format))


@needs_winograd
def test_a_call_is_not_taken_for_the_one_before(isa, rng):
    """What was decided for a call serves the next one only if it is the same in all that matters."""
    x, w, bias = operands(rng, 1, 80, 12, 12, 80, 3, 3, "NCHW", make=normal)
    two = np.concatenate([x, x])
    calls = {
        "plain": lambda: conv2d(x, w),
        "bias": lambda: conv2d(x, w, bias),
        "two images": lambda: conv2d(two, w),
        "a smaller image": lambda: conv2d(x[..., :7, :11], w),
        "fewer channels": lambda: conv2d(x[:, :40], w[:, :40]),
        "fewer filters": lambda: conv2d(x, w[:3]),
        "a smaller filter": lambda: conv2d(x, w[..., :2, :1]),
        "float64": lambda: conv2d(x.astype(np.float64), w),
        "float16": lambda: conv2d(x.astype(np.float16), w.astype(np.float16)),
        "channels last": lambda: conv2d(x.transpose(0, 2, 3, 1), w.transpose(2, 3, 1, 0), data_format="NHWC"),
        "stride": lambda: conv2d(x, w, stride=2),
        "padding": lambda: conv2d(x, w, padding=1),
        "reflected padding": lambda: conv2d(x, w, padding=1, padding_mode="reflect"),
        "dilation": lambda: conv2d(x, w, dilation=2),
        "groups": lambda: conv2d(x, w[:, :16], groups=5),
        "activation": lambda: conv2d(x, w, activation="relu"),
        "high": lambda: conv2d(x, w, precision="high"),
        "direct": lambda: conv2d(x, w, precision="high", algorithm="direct"),
        "im2col": lambda: conv2d(x, w, algorithm="im2col"),
        "winograd": lambda: conv2d(x, w, precision="high", algorithm="winograd"),
        "a member of winograd": lambda: conv2d(x, w, precision="high", algorithm="F(2x2, 3x3)"),
        "another instruction set": lambda: on_baseline(isa, lambda: conv2d(x, w)),
    }
    alone = {}
    for name, call in calls.items():
        conv2d(x[0, 0], w[0, 0])
        alone[name] = call()
    for before, after in itertools.permutations(calls, 2):
        calls[before]()
        assert_same_bits(calls[after](), alone[after])


def on_baseline(isa, call):
    convfast._core.use_isa(convfast.available_isas()[0])
    try:
        return call()
    finally:
        convfast._core.use_isa(isa)


@needs_winograd
def test_winograd_is_a_choice_for_lower_precisions(isa, data_format, rng):
    x, w, _ = operands(rng, 1, 16, 13, 17, 16, 3, 3, data_format)
    assert "winograd" not in applicable(x, w, data_format=data_format)
    assert "winograd" in applicable(x, w, data_format=data_format, precision="high")
    assert "winograd" in applicable(x, w, data_format=data_format, precision="medium")


@needs_winograd
@pytest.mark.parametrize(
    ("sizes", "dtype", "options", "why"),
    [
        ((1, 4, 9, 9, 4, 3, 3), np.float32, {"precision": "highest"}, "precision"),
        ((1, 4, 9, 9, 4, 4, 4), np.float32, {"precision": "high"}, "3x3"),
        ((1, 4, 9, 9, 4, 3, 3), np.float32, {"precision": "high", "stride": 2}, "stride"),
        ((1, 4, 9, 9, 4, 3, 3), np.float32, {"precision": "high", "dilation": 4}, "such a dilation"),
        ((1, 4, 9, 9, 4, 3, 3), np.float64, {"precision": "high"}, "float32"),
    ],
)
def test_winograd_says_why_it_cannot_do_a_job(sizes, dtype, options, why, rng):
    x, w, _ = operands(rng, *sizes, "NCHW", dtype)
    with pytest.raises(ValueError, match=f"algorithm='winograd'.*{why}"):
        conv2d(x, w, algorithm="winograd", **options)
