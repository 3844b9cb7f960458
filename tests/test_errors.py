"""Bad calls: which exception, and what its sentence says."""

import itertools
import re

import numpy as np
import pytest

import convfast
from convfast import Conv2D, conv1d, conv2d, conv2d_output_shape, explain_conv2d

X, W = np.ones((1, 6, 8, 9), np.float32), np.ones((4, 6, 3, 2), np.float32)

ENTRIES = {
    "conv2d": lambda **options: conv2d(X, W, **options),
    "conv1d": lambda **options: conv1d(X[:, :, 0], W[:, :, 0], **options),
    "Conv2D": lambda **options: Conv2D(W, **options)(X),
    "explain_conv2d": lambda **options: explain_conv2d(X.shape, W.shape, **options),
    "conv2d_output_shape": lambda **options: conv2d_output_shape(X.shape, W.shape, **options),
}

# The options, the exception, and pieces of its sentence: the argument, the value, the cure.
BAD_OPTIONS = [
    (dict(stride=0), ValueError, "stride", "0"),
    (dict(stride=-1), ValueError, "stride", "-1"),
    (dict(stride=True), TypeError, "stride", "True"),
    (dict(stride=np.True_), TypeError, "stride", "True"),
    (dict(stride=2.0), TypeError, "stride", "2.0"),
    (dict(stride=np.float32(2)), TypeError, "stride", "2.0"),
    (dict(stride="2"), TypeError, "stride", "'2'"),
    (dict(stride=b"2"), TypeError, "stride"),
    (dict(stride=None), TypeError, "stride", "None"),
    (dict(stride={1, 2}), TypeError, "stride"),
    (dict(stride=1j), TypeError, "stride"),
    (dict(stride=2**63), ValueError, "stride", str(2**63)),
    (dict(stride=-(2**100)), ValueError, "stride", str(-(2**100))),
    (dict(dilation=0), ValueError, "dilation", "0"),
    (dict(dilation=-(2**63)), ValueError, "dilation", str(-(2**63))),
    (dict(dilation=False), TypeError, "dilation", "False"),
    (dict(dilation=1.5), TypeError, "dilation", "1.5"),
    (dict(dilation=2**31), ValueError, "dilation", str(2**31)),
    (dict(dilation=2**62), ValueError, "dilation", str(2**62)),
    (dict(dilation=2**100), ValueError, "dilation", str(2**100)),
    (dict(dilation=np.datetime64(1, "s")), TypeError, "dilation"),
    (dict(padding=-1), ValueError, "padding", "-1"),
    (dict(padding=(1, -2)), ValueError, "padding", "-2"),
    (dict(padding=True), TypeError, "padding", "True"),
    (dict(padding=1.0), TypeError, "padding", "1.0"),
    (dict(padding=None), TypeError, "padding", "None"),
    (dict(padding=(1, 2, 3, 4)), ValueError, "padding", "(1, 2, 3, 4)"),
    (dict(padding=(1, "2")), TypeError, "padding", "'2'"),
    (dict(padding=2**63), ValueError, "padding", str(2**63)),
    (dict(padding=2**100), ValueError, "padding", str(2**100)),
    (dict(padding="smae"), ValueError, "padding", "'smae'", "did you mean 'same'", "'valid'", "'full'", "'same_lower'"),
    (dict(padding=""), ValueError, "padding", "''", "'same'"),
    (dict(groups=0), ValueError, "groups", "0"),
    (dict(groups=-2), ValueError, "groups", "-2"),
    (dict(groups=True), TypeError, "groups", "True"),
    (dict(groups=1.0), TypeError, "groups", "1.0"),
    (dict(groups=(1, 1)), TypeError, "groups", "(1, 1)"),
    (dict(groups=None), TypeError, "groups", "None"),
    (dict(groups=5), ValueError, "groups", "5"),
    (dict(groups=2), ValueError, "groups=2", "expected 3"),
    (dict(groups=2**31), ValueError, "groups", str(2**31)),
    (dict(groups=2**64), ValueError, "groups", str(2**64)),
    (dict(data_format="NCWH"), ValueError, "data_format", "'NCWH'", "did you mean 'NCHW'", "'NHWC'"),
    (dict(data_format="nhwc"), ValueError, "data_format", "'nhwc'", "did you mean 'NHWC'"),
    (dict(data_format=None), TypeError, "data_format", "None"),
    (dict(data_format=3), TypeError, "data_format", "3"),
    (dict(padding_mode="replicate"), ValueError, "padding_mode", "'replicate'", "did you mean 'edge'", "'symmetric'"),
    (dict(padding_mode="reflct"), ValueError, "padding_mode", "'reflct'", "did you mean 'reflect'", "'constant'"),
    (dict(padding_mode=None), TypeError, "padding_mode", "None"),
    (dict(activation="rellu"), ValueError, "activation", "'rellu'", "did you mean 'relu'", "'relu6'"),
    (dict(activation=max), TypeError, "activation"),
    (dict(precision="hightest"), ValueError, "precision", "'hightest'", "did you mean 'highest'", "'medium'"),
    (dict(precision=32), TypeError, "precision", "32"),
    (dict(algorithm="im2cool"), ValueError, "algorithm", "'im2cool'", "did you mean 'im2col'", "'auto'", "'direct'"),
    (dict(algorithm=None), TypeError, "algorithm", "None"),
    (dict(algorithm="winograd"), ValueError, "algorithm", "'winograd'"),
    (dict(strides=2), TypeError, "strides"),
]

OF_THE_SHAPE = {"stride", "padding", "dilation", "groups", "data_format", "strides"}


def bad_calls():
    for (entry, call), (options, *rest) in itertools.product(ENTRIES.items(), BAD_OPTIONS):
        if entry != "conv2d_output_shape" or options.keys() <= OF_THE_SHAPE:
            yield pytest.param(entry, call, options, *rest[:1], rest[1:], id=f"{entry}({options})"[:60])


def assert_says(error, function, pieces):
    """One sentence that begins with the function and has every piece."""
    sentence = str(error.value)
    if "unexpected keyword" not in sentence:  # Python's own
        assert sentence.startswith(f"{function}: "), sentence
    assert "\n" not in sentence
    for piece in pieces:
        assert piece in sentence, f"{piece!r} not in: {sentence}"


@pytest.mark.parametrize(("entry", "call", "options", "exception", "pieces"), list(bad_calls()))
def test_bad_options(entry, call, options, exception, pieces):
    with pytest.raises(exception) as error:
        call(**options)
    assert_says(error, entry, pieces)


def floats(*shape):
    return np.ones(shape, np.float32)


def stored(dtype, *shape):
    return np.zeros(shape, dtype)


MASKED = np.ma.masked_array(X, mask=np.arange(X.size).reshape(X.shape) == 5)
READ_ONLY = floats(1, 4, 6, 8)
READ_ONLY.flags.writeable = False

# x, w, options, the exception, and pieces of its sentence.
BAD_ARRAYS = [
    (floats(7), W, {}, ValueError, "x", "(7,)"),
    (np.float32(1), W, {}, ValueError, "x", "()"),
    (floats(1, 1, 6, 8, 9), W, {}, ValueError, "x", "(1, 1, 6, 8, 9)"),
    (X, floats(3, 2), {}, ValueError, "w", "(3, 2)", "(1, 6, 8, 9)"),
    (X, floats(4, 6, 3), {}, ValueError, "w", "(4, 6, 3)"),
    (X[0], floats(3, 2), {}, ValueError, "w", "(3, 2)"),
    (X[0, 0], W, {}, ValueError, "w", "(4, 6, 3, 2)", "(8, 9)"),
    (X, floats(4, 5, 3, 2), {}, ValueError, "w", "5", "6", "(4, 5, 3, 2)", "(1, 6, 8, 9)"),
    (X, floats(4, 6, 3, 2), dict(data_format="NHWC"), ValueError, "w", "9"),
    (X, floats(5, 3, 3, 2), dict(groups=2), ValueError, "groups", "5", "2"),
    (X, floats(4, 6, 0, 2), {}, ValueError, "w", "(4, 6, 0, 2)"),
    (X, floats(4, 6, 3, 0), {}, ValueError, "w", "(4, 6, 3, 0)"),
    (X, floats(4, 6, 9, 2), {}, ValueError, "9", "8", "(1, 6, 8, 9)"),
    (X, floats(4, 6, 3, 11), dict(padding=(0, 0)), ValueError, "11", "9"),
    (X, floats(4, 6, 3, 2), dict(dilation=(4, 1)), ValueError, "9", "8", "dilation"),
    (floats(1, 6, 0, 9), W, {}, ValueError, "x", "(1, 6, 0, 9)"),
    (floats(1, 6, 0, 9), W, dict(padding=3, padding_mode="edge"), ValueError, "padding_mode", "'edge'", "(1, 6, 0, 9)"),
    (floats(1, 6, 8, 0), W, dict(padding=3, padding_mode="reflect"), ValueError, "'reflect'", "(1, 6, 8, 0)"),
    (floats(1, 6, 8, 0), W, dict(padding=3, padding_mode="wrap"), ValueError, "'wrap'", "(1, 6, 8, 0)"),
    (X.astype(complex), W, {}, TypeError, "x", "complex128"),
    (X, W.astype(np.complex64), {}, TypeError, "w", "complex64"),
    (X.astype(object), W, {}, TypeError, "x", "object"),
    (None, W, {}, TypeError, "x"),
    (X, None, {}, TypeError, "w"),
    ("image", W, {}, TypeError, "x"),
    (b"image", W, {}, TypeError, "x"),
    (X.astype(str), W, {}, TypeError, "x", "<U"),
    (stored("M8[s]", *X.shape), W, {}, TypeError, "x", "datetime64"),
    (stored("m8[s]", *X.shape), W, {}, TypeError, "x", "timedelta64"),
    (stored([("a", "f4")], *X.shape), W, {}, TypeError, "x"),
    (X.astype(np.longdouble), W, {}, TypeError, "x", str(np.dtype(np.longdouble))),
    (MASKED, W, {}, TypeError, "x", "mask", "filled"),
    (X, np.ma.masked_less(W, 2), {}, TypeError, "w", "mask", "filled"),
    (X.astype(np.uint64), W.astype(np.int8), {}, TypeError, "uint64"),
    (X.astype(np.int32), W.astype(np.uint64), {}, TypeError, "uint64"),
    (X, W, dict(bias=floats(5)), ValueError, "bias", "(5,)", "4 "),
    (X, W, dict(bias=floats(4, 1)), ValueError, "bias", "(4, 1)", "4 "),
    (X, W, dict(bias=1.0), ValueError, "bias", "()", "4 "),
    (X, W, dict(bias=np.ones(4, complex)), TypeError, "bias", "complex128"),
    (X, W, dict(bias=["a"] * 4), TypeError, "bias"),
    (X, W, dict(out=floats(1, 4, 6, 9)), ValueError, "out", "(1, 4, 6, 9)", "(1, 4, 6, 8)"),
    (X, W, dict(out=floats(4, 6, 8)), ValueError, "out", "(4, 6, 8)", "(1, 4, 6, 8)"),
    (X, W, dict(out=stored("f8", 1, 4, 6, 8)), TypeError, "out", "float64", "float32"),
    (X, W, dict(out=stored("i4", 1, 4, 6, 8)), TypeError, "out", "int32", "float32"),
    (X, W, dict(out=READ_ONLY), ValueError, "out", "read-only"),
    (X, W, dict(out=np.broadcast_to(np.float32(0), (1, 4, 6, 8))), ValueError, "out"),
    (X, W, dict(out=[[1.0]]), TypeError, "out", "list"),
    (X, W, dict(out=()), TypeError, "out", "tuple"),
    (X, W, dict(out="y"), TypeError, "out", "str"),
]


@pytest.mark.parametrize("entry", ["conv2d", "Conv2D"])
@pytest.mark.parametrize(
    ("x", "w", "options", "exception", "pieces"),
    [pytest.param(*row[:4], row[4:], id=f"{number}: {' '.join(row[4:])}") for number, row in enumerate(BAD_ARRAYS)],
)
def test_bad_arrays(entry, x, w, options, exception, pieces):
    options = dict(options)
    bias, out = options.pop("bias", None), options.pop("out", None)
    call = conv2d if entry == "conv2d" else through_a_layer
    with pytest.raises(exception) as error:
        call(x, w, bias, out=out, **options)
    assert_says(error, entry, pieces)


def through_a_layer(x, w, bias, out, **options):
    return Conv2D(w, bias, **options)(x, out=out)


def test_the_sentence_of_the_contract():
    sentence = (
        "conv2d: w has 4 input channels per group, but x has 6 channels and groups=2 (expected 3); "
        "x.shape=(1, 6, 8, 8), w.shape=(8, 4, 3, 3)"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        conv2d(floats(1, 6, 8, 8), floats(8, 4, 3, 3), groups=2)


# x_shape, w_shape, the exception, and pieces of its sentence.
BAD_SHAPES = [
    ((1, 6, 8), W.shape, ValueError, "6"),
    ((8,), W.shape, ValueError, "x", "(8,)"),
    ((1, 6, -8, 9), W.shape, ValueError, "x_shape", "-8"),
    ((1, 6, 8.0, 9), W.shape, TypeError, "x_shape", "8.0"),
    ((1, 6, True, 9), W.shape, TypeError, "x_shape", "True"),
    ("NCHW", W.shape, TypeError, "x_shape"),
    (7, W.shape, TypeError, "x_shape", "7"),
    (None, W.shape, TypeError, "x_shape", "None"),
    (X.shape, (4, 6, 3), ValueError, "w", "(4, 6, 3)"),
    (X.shape, (4, 6, 3, -1), ValueError, "w_shape", "-1"),
    (X.shape, (4, 6, 0, 2), ValueError, "w", "(4, 6, 0, 2)"),
    (X.shape, None, TypeError, "w_shape", "None"),
    ((1, 6, 2**63, 9), W.shape, ValueError, "x_shape", str(2**63)),
    ((2**100, 6, 8, 9), W.shape, ValueError, "x_shape", str(2**100)),
]


@pytest.mark.parametrize("function", [conv2d_output_shape, explain_conv2d])
@pytest.mark.parametrize("row", BAD_SHAPES, ids=str)
def test_bad_shapes(function, row):
    x_shape, w_shape, exception, *pieces = row
    with pytest.raises(exception) as error:
        function(x_shape, w_shape)
    assert_says(error, function.__name__, pieces)


@pytest.mark.parametrize(
    ("options", "of_conv2d", "of_conv1d"),
    [
        ({"stride": (1, 2, 3)}, ValueError, TypeError),
        ({"stride": ()}, ValueError, TypeError),
        ({"stride": (1, 2)}, None, TypeError),
        ({"dilation": (1, 1)}, None, TypeError),
        ({"padding": (1, 2, 3)}, ValueError, ValueError),
        ({"padding": ((1, 2), (3, 4))}, None, (TypeError, ValueError)),
        ({"padding": ((1, 2), (3,))}, ValueError, (TypeError, ValueError)),
        ({"padding": ((1, 2), (3, 4), (5, 6))}, ValueError, (TypeError, ValueError)),
        ({"padding": ((1, 2.0), (3, 4))}, TypeError, (TypeError, ValueError)),
        ({"padding": ((1, 2), (3, -4))}, ValueError, (TypeError, ValueError)),
    ],
    ids=str,
)
def test_tuples(options, of_conv2d, of_conv1d):
    """Sizes are ints or pairs; those of conv1d are ints, and its padding (left, right)."""
    for entry, exception in [("conv2d", of_conv2d), ("conv1d", of_conv1d)]:
        if exception is None:
            ENTRIES[entry](**options)
            continue
        with pytest.raises(exception) as error:
            ENTRIES[entry](**options)
        assert_says(error, entry, options)


def test_ranks_of_conv1d():
    for x, w in [(floats(1, 6, 8, 9), W), (floats(1, 6, 9), floats(2)), (floats(9), floats(4, 6, 2))]:
        with pytest.raises(ValueError, match=re.escape(str(w.shape))):
            conv1d(x, w)


def test_positional_options_are_refused():
    with pytest.raises(TypeError):
        conv2d(X, W, None, 2)
    with pytest.raises(TypeError):
        conv2d(X)


@pytest.mark.parametrize("value", [np.int8(2), np.uint64(2), np.int64(2)])
def test_integers_of_numpy_are_integers(value):
    expected = conv2d_output_shape(X.shape, W.shape, stride=2, padding=2, dilation=2)
    assert conv2d_output_shape(X.shape, W.shape, stride=value, padding=value, dilation=value) == expected
    assert conv2d_output_shape(X.shape, W.shape, stride=[value, value], padding=(value, 2), dilation=2) == expected


EDGES = [-(2**63), -1, 0, 1, 2, 3, 7, 2**31 - 1, 2**31, 2**32, 2**62, 2**63 - 1, 2**63, 2**100]


def test_any_sizes_give_the_shape_or_a_value_error():
    """No overflow makes a wrong shape look right, and nothing crashes."""
    for size, kernel, stride, padding, dilation in itertools.product(EDGES, [1, 2, 3], EDGES, [*EDGES, None], EDGES):
        padding = 0 if padding is None else padding
        out = None
        if min(size, padding) >= 0 and min(stride, dilation) >= 1:
            out = (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
        try:
            shape = conv2d_output_shape(
                (1, size), (1, kernel), stride=(1, stride), padding=((0, 0), (padding, padding)), dilation=(1, dilation)
            )
        except ValueError:
            assert out is None or out < 1 or max(size, stride, padding, dilation) >= 2**31
        else:
            assert shape == (1, out)


@pytest.mark.parametrize(("name", "other"), list(itertools.permutations(["stride", "padding", "dilation"], 2)))
def test_any_sizes_leave_calls_alive(name, other):
    """The call itself: a result, a ValueError, or memory ends."""
    for value, second in itertools.product(EDGES, [1, 2**31, 2**62, 2**63 - 1]):
        options = {name: value, other: second}
        try:
            y = conv2d(X, W, **options)
            told = explain_conv2d(X.shape, W.shape, **options)
        except (ValueError, MemoryError):
            continue
        assert y.shape == told.output_shape == conv2d_output_shape(X.shape, W.shape, **options)
        assert y.size < 10**6


def test_results_beyond_memory_are_memory_errors():
    """Inputs of a trillion and of 10**18 elements that take four bytes."""
    for size, exception in [(10**6, MemoryError), (10**9, (MemoryError, ValueError))]:
        x = np.broadcast_to(np.float32(1), (1, 1, size, size))
        for call in (conv2d, lambda x, w: Conv2D(w)(x)):
            with pytest.raises(exception):
                call(x, floats(1, 1, 3, 3))


def test_an_error_leaves_out_untouched():
    out = np.full((1, 4, 6, 8), 7, np.float32)
    for x, options in [(X[:, :5], {}), (X, dict(stride=0)), (X, dict(algorithm="winograd")), (X.astype(complex), {})]:
        with pytest.raises((TypeError, ValueError)):
            conv2d(x, W, out=out, **options)
        assert np.all(out == 7)


@pytest.mark.parametrize(
    ("call", "exception", "pieces"),
    [
        (lambda: convfast.set_precision("exact"), ValueError, ["set_precision", "'exact'", "'highest'", "'medium'"]),
        (lambda: convfast.set_precision("hihgest"), ValueError, ["set_precision", "did you mean 'highest'"]),
        (lambda: convfast.set_precision(None), TypeError, ["set_precision", "None"]),
        (lambda: convfast.set_num_threads(-1), ValueError, ["set_num_threads", "-1"]),
        (lambda: convfast.set_num_threads(1.5), TypeError, ["set_num_threads", "1.5"]),
        (lambda: convfast.set_num_threads("2"), TypeError, ["set_num_threads", "'2'"]),
        (lambda: convfast.num_threads(-3).__enter__(), ValueError, ["num_threads", "-3"]),
    ],
)
def test_process_settings(call, exception, pieces):
    with pytest.raises(exception) as error:
        call()
    for piece in pieces:
        assert piece in str(error.value)


@pytest.mark.parametrize("method", ["__call__", "output_shape", "explain"])
def test_a_layer_names_the_shapes(method):
    x = X[:, :5]
    with pytest.raises(ValueError, match=r"5 channels.*\(1, 5, 8, 9\).*\(4, 6, 3, 2\)"):
        getattr(Conv2D(W), method)(x if method == "__call__" else x.shape)


U64, EYE = np.ones((1, 2, 6, 6), np.uint64), np.eye(2, dtype=np.uint64)[:, :, None, None]


@pytest.mark.parametrize(
    ("call", "exception", "said", "unsaid"),
    [
        (lambda: convfast.max_pool2d_grad(U64, None, 2), TypeError, "x has dtype object", "input_shape"),
        (lambda: convfast.max_pool2d_grad(U64, U64, 1), TypeError, "(grad is uint64)", "w is"),
        (lambda: convfast.conv2d_weight_grad(U64, U64, 1), TypeError, "(x is uint64, grad is uint64)", "w is"),
        (lambda: convfast.conv2d_input_grad(U64, EYE, (1, 2, 6, 6)), TypeError, "(grad is uint64, w is", "x is"),
        (
            lambda: convfast.conv2d_weight_grad(np.ones((1, 4, 6, 6)), np.ones((1, 5, 6, 6)), 1, groups=2),
            ValueError, "grad has 5 channels", "filters",
        ),
        (lambda: convfast.max_pool2d(X, 2, padding=2), ValueError, "at most (1, 1), not 2 (size (2, 2)", "),)"),
        (lambda: convfast.max_pool1d(np.ones(5), 2, padding=2), ValueError, "at most 1, not 2 (size 2,", "(0, "),
        (lambda: convfast.max_pool1d(np.ones(5), 9), ValueError, "9 cells (size 9, dilation 1) and x has 5", "1 x"),
        (lambda: conv1d(np.ones((1, 5)), np.ones((1, 1, 9))), ValueError, "9 cells (size 9, dilation 1)", "1 x"),
        (lambda: explain_conv2d(X.shape, W.shape, dtype="float31"), TypeError, "not 'float31'", "understood"),
        (lambda: convfast.spatial_pyramid_pool2d(X, (2**40,)), ValueError, "too large to address", "dimension"),
        (lambda: conv2d(X, W, stride=np.array([1, 2, 3])), ValueError, "not (1, 2, 3)", "int64"),
    ],
)  # fmt: skip
def test_sentences_speak_of_what_was_given(call, exception, said, unsaid):
    """Of the arguments of the function that was called, in as many dimensions as it has."""
    with pytest.raises(exception) as caught:
        call()
    assert said in str(caught.value)
    assert unsaid not in str(caught.value)


def test_integers_may_be_arrays_of_no_dimension():
    two = np.array(2)
    assert conv2d(X, W, stride=two, padding=two, groups=np.array(1, np.uint8)).shape == (1, 4, 5, 6)
    with pytest.raises(ValueError, match="stride must be at least 1, not 0"):
        conv2d(X, W, stride=np.array(0))
    for value in (np.array(True), np.array(2.0), np.array([2])):
        with pytest.raises((TypeError, ValueError), match="groups must be an integer"):
            conv2d(X, W, groups=value)
