"""A Conv2D is a convolution whose filters are packed once: the bits of conv2d, and an object one can trust."""

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from conftest import assert_same_bits, normal, operands, run_child

import convfast
from convfast import Conv2D, conv2d

OPTIONS = {
    "plain": {},
    "stride, padding": dict(stride=(2, 1), padding=((1, 2), (0, 3))),
    "same, dilation": dict(padding="same", dilation=2),
    "groups": dict(groups=3),
    "edge, relu": dict(padding=2, padding_mode="edge", activation="relu"),
    "high": dict(precision="high", padding=1),
    "im2col": dict(algorithm="im2col", padding=1),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_gives_the_bits_of_conv2d(isa, data_format, dtype, name, rng):
    options = dict(OPTIONS[name], data_format=data_format)
    x, w, bias = operands(rng, 2, 33, 17, 19, 21, 3, 3, data_format, dtype, options.get("groups", 1), normal)
    for b in (None, bias):
        layer = Conv2D(w, b, **options)
        y = layer(x)
        assert_same_bits(y, conv2d(x, w, b, **options))
        assert_same_bits(layer(x), y)


@pytest.mark.parametrize("x_type", ["float16", "float32", "float64", "uint8"])
@pytest.mark.parametrize("w_type", ["float16", "float32", "float64", "int8"])
def test_gives_the_bits_of_conv2d_for_every_pair_of_dtypes(isa, data_format, x_type, w_type, rng):
    x, w, bias = operands(rng, 1, 5, 11, 13, 7, 3, 2, data_format, make=normal)
    x, w = (8 * x).astype(x_type), (8 * w).astype(w_type)
    assert_same_bits(Conv2D(w, bias, data_format=data_format)(x), conv2d(x, w, bias, data_format=data_format))


def test_one_layer_serves_images_of_every_size_and_rank(isa, data_format, rng):
    _, w, bias = operands(rng, 1, 5, 1, 1, 7, 3, 3, data_format, make=normal)
    layer = Conv2D(w, bias, padding=1, data_format=data_format)
    for N, H, W in [(1, 8, 8), (3, 4, 5), (1, 1, 1), (2, 61, 67), (0, 5, 5), (1, 8, 8)]:
        x, _, _ = operands(rng, N, 5, H, W, 7, 3, 3, data_format, make=normal)
        y = conv2d(x, w, bias, padding=1, data_format=data_format)
        assert_same_bits(layer(x), y)
        if N:
            assert_same_bits(layer(x[0]), y[0])


def test_remembers_nothing_that_the_next_call_must_not_meet(isa, data_format, rng):
    """Sizes with different algorithms, dtypes and instruction sets in turns."""
    _, w, bias = operands(rng, 1, 16, 1, 1, 24, 3, 3, data_format, make=normal)
    options = dict(padding=1, precision="high", data_format=data_format)
    layer = Conv2D(w, bias, **options)
    images = [operands(rng, 1, 16, size, size, 24, 3, 3, data_format, dtype, make=normal)[0]
              for size in (4, 56) for dtype in (np.float32, np.float64)]
    assert len({layer.explain(x.shape).algorithm for x in images}) > 1
    for name in (isa, convfast.available_isas()[0], isa):
        convfast._core.use_isa(name)
        for x in images:
            assert_same_bits(layer(x), conv2d(x, w, bias, **options))


def test_threads_share_a_layer_with_images_of_their_own_sizes(isa, rng):
    _, w, bias = operands(rng, 1, 16, 1, 1, 24, 3, 3, "NCHW", make=normal)
    layer = Conv2D(w, bias, padding=1, precision="high")
    images = [operands(rng, 1, 16, size, size, 24, 3, 3, "NCHW", make=normal)[0] for size in (4, 7, 16, 30, 56)]
    expected = [conv2d(x, w, bias, padding=1, precision="high") for x in images]

    def call(i):
        assert_same_bits(layer(images[i % 5]), expected[i % 5])

    with ThreadPoolExecutor(5) as pool:
        list(pool.map(call, range(500)))


def test_filters_of_a_plane(isa, rng):
    plane, filter = normal(rng, (31, 37)), normal(rng, (5, 3))
    assert_same_bits(Conv2D(filter, padding="same")(plane), conv2d(plane, filter, padding="same"))


def test_copies_filters_and_bias(isa, rng):
    x, w, bias = operands(rng, 1, 5, 11, 13, 7, 3, 2, "NCHW", make=normal)
    layer, expected = Conv2D(w, bias), conv2d(x, w, bias)
    w[...], bias[...] = 0, 0
    assert_same_bits(layer(x), expected)


def test_is_immutable(rng):
    _, w, bias = operands(rng, 1, 5, 1, 1, 7, 3, 2, "NCHW")
    layer = Conv2D(w, bias)
    for name in ("stride", "w", "bias", "anything"):
        with pytest.raises((AttributeError, TypeError)):
            setattr(layer, name, 2)


def test_owes_nothing_to_the_sizes_it_was_made_of(rng):
    x, w, _ = operands(rng, 1, 2, 9, 9, 3, 3, 3, "NCHW")
    strides, sides = [2, 2], np.array([[1, 1], [0, 2]])
    layer = Conv2D(w, stride=strides, padding=sides)
    y = layer(x)
    strides[:], sides[:] = [1, 1], 0
    assert layer.output_shape(x.shape) == layer.explain(x.shape).output_shape == y.shape
    assert pickle.loads(pickle.dumps(layer))(x).shape == y.shape
    assert "stride=(2, 2), padding=((1, 1), (0, 2))" in repr(layer)


def test_filters_and_bias_cannot_be_made_writeable(rng):
    _, w, bias = operands(rng, 1, 5, 1, 1, 7, 3, 2, "NCHW")
    layer = Conv2D(w, bias)
    for array in (layer.w, layer.bias):
        with pytest.raises(ValueError, match="WRITEABLE"):
            array.setflags(write=True)


class Named(Conv2D):
    """A layer with a name, as a program may have."""

    def __init__(self, name, *arguments, **options):
        super().__init__(*arguments, **options)
        object.__setattr__(self, "name", name)


def test_copies_are_of_the_class_of_the_original(rng):
    x, w, _ = operands(rng, 1, 2, 9, 9, 3, 3, 3, "NCHW")
    layer = Named("first", w, stride=2)
    for twin in (pickle.loads(pickle.dumps(layer)), copy.copy(layer)):
        assert type(twin) is Named
        assert twin.name == "first"
        assert_same_bits(twin(x), layer(x))


@pytest.mark.parametrize("name", OPTIONS)
def test_survives_pickling_and_copying(isa, name, rng):
    options = OPTIONS[name]
    x, w, bias = operands(rng, 1, 33, 17, 19, 21, 3, 3, "NCHW", groups=options.get("groups", 1), make=normal)
    layer = Conv2D(w, bias, **options)
    for twin in (pickle.loads(pickle.dumps(layer)), copy.copy(layer), copy.deepcopy(layer)):
        assert_same_bits(twin(x), layer(x))
        assert repr(twin) == repr(layer)


def test_pickles_travel_between_instruction_sets(isa, tmp_path, rng):
    """Packed on one machine, unpickled on another: filters must not travel in the layout of the first."""
    x, w, bias = operands(rng, 1, 33, 17, 19, 21, 3, 3, "NCHW", make=normal)
    (tmp_path / "layer").write_bytes(pickle.dumps(Conv2D(w, bias)))
    np.save(tmp_path / "x.npy", x)
    code = f"""
import pickle, pathlib, numpy, convfast
layer = pickle.loads(pathlib.Path({str(tmp_path / "layer")!r}).read_bytes())
numpy.save({str(tmp_path / "y.npy")!r}, layer(numpy.load({str(tmp_path / "x.npy")!r})))
print(convfast.isa())
"""
    lowest = convfast.available_isas()[0]
    assert run_child(code, CONVFAST_ISA=lowest).strip() == lowest
    convfast._core.use_isa(lowest)
    assert_same_bits(np.load(tmp_path / "y.npy"), conv2d(x, w, bias))


def test_out_is_filled_and_returned(isa, data_format, rng):
    x, w, bias = operands(rng, 2, 5, 11, 13, 7, 3, 2, data_format, make=normal)
    layer = Conv2D(w, bias, data_format=data_format)
    expected = layer(x)
    out = np.full_like(expected, np.nan)[:, ::-1]
    assert layer(x, out=out) is out
    assert_same_bits(out, expected)


def test_out_may_be_x(isa, data_format, rng):
    x, w, bias = operands(rng, 2, 7, 11, 13, 7, 3, 3, data_format, make=normal)
    layer = Conv2D(w, bias, data_format=data_format, padding=1)
    expected = layer(x)
    assert layer(x, out=x) is x
    assert_same_bits(x, expected)


@pytest.mark.parametrize("name", OPTIONS)
def test_output_shape_and_explain_agree_with_the_call(data_format, name, rng):
    options = dict(OPTIONS[name], data_format=data_format)
    x, w, bias = operands(rng, 2, 33, 17, 19, 21, 3, 3, data_format, groups=options.get("groups", 1))
    layer = Conv2D(w, bias, **options)
    for image in (x, x[0]):
        assert layer.output_shape(image.shape) == layer(image).shape
        assert layer.explain(image.shape).output_shape == layer(image).shape
    ours, theirs = layer.explain(x.shape), convfast.explain_conv2d(x.shape, w.shape, **options)
    assert (ours.algorithm, ours.flops) == (theirs.algorithm, theirs.flops)
