"""The family "winograd": every member's promise on data of every kind, and the tiles that it computes directly."""

import pickle
from collections import namedtuple

import numpy as np
import pytest
from conftest import (
    assert_promise,
    assert_same_bits,
    integers,
    normal,
    operands,
    x_shape,
)

import convfast
from convfast import Conv2D, conv2d, explain_conv2d

Member = namedtuple("Member", "name outputs taps")  # of a tile and of a filter, in each direction
MEMBERS = Member("F(4x4, 3x3)", 4, 3), Member("F(2x2, 3x3)", 2, 3), Member("F(2x2, 5x5)", 2, 5)


@pytest.fixture(params=MEMBERS, ids=lambda member: member.name)
def member(request):
    return request.param


def high(member):
    return {"algorithm": member.name, "precision": "high"}


def check(member, x, w, bias=None, **options):
    y = conv2d(x, w, bias, **high(member), **options)
    assert_promise({"winograd": y}, x.astype(np.float64), w.astype(np.float64), bias, "high", **options)
    return y


@pytest.mark.parametrize("padding_mode", ["constant", "edge", "reflect", "symmetric", "wrap"])
def test_random_shapes(isa, member, data_format, padding_mode, rng):
    for _ in range(12):
        groups = int(rng.integers(1, 4))
        C, K = groups * rng.integers(1, 40, 2)
        dilation = rng.choice([1, 1, 2, 3], 2)
        H, W = dilation * member.taps + rng.integers(0, 20, 2)
        padding = [0, "same", "full", ((0, 3), (2, 1))][rng.integers(4)]
        x, w, bias = operands(rng, 2, C, H, W, K, member.taps, member.taps, data_format, groups=groups, make=normal)
        options = {"padding": padding, "groups": groups, "data_format": data_format, "padding_mode": padding_mode}
        options["dilation"] = tuple(int(d) for d in dilation)
        check(member, x, w, bias, **options, activation=[None, "relu", "relu6"][rng.integers(3)])


def spikes(rng, shape):
    """One number in twenty is not zero."""
    return (normal(rng, shape) * (rng.random(shape) < 0.05)).astype(np.float32)


def wide_range(rng, shape):
    return (10.0 ** rng.uniform(-15, 15, shape) * rng.choice([-1, 1], shape)).astype(np.float32)


KINDS = {
    "plain": (normal, normal),
    "rectified": (lambda rng, shape: np.maximum(normal(rng, shape), 0), normal),
    "offset": (lambda rng, shape: normal(rng, shape) + np.float32(1000), normal),
    "one sign": (lambda rng, shape: abs(normal(rng, shape)) + 1, lambda rng, shape: abs(normal(rng, shape))),
    "spikes": (spikes, spikes),
    "wide range": (wide_range, normal),
    "wide range of both": (wide_range, wide_range),
    "whole numbers": (lambda rng, shape: integers(rng, shape, high=256), integers),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("C", [1, 16, 200])
def test_the_promise_holds_for_data_of_every_kind(isa, member, data_format, kind, C, rng):
    make_x, make_w = KINDS[kind]
    x = make_x(rng, x_shape(1, C, 18, 15, data_format))
    taps = member.taps, member.taps
    w = make_w(rng, (16, C, *taps) if data_format == "NCHW" else (*taps, C, 16))
    for padding in (0, 1, 2):
        check(member, x, w, data_format=data_format, padding=padding)


def test_filters_that_cancel_an_offset(isa, member, rng):
    x, w, _ = operands(rng, 1, 24, 20, 20, 16, member.taps, member.taps, "NCHW", make=normal)
    check(member, x + np.float32(10000), w - w.mean(axis=(2, 3), keepdims=True), padding=1)


@pytest.mark.parametrize("cancel", [False, True])
@pytest.mark.parametrize("side", ["corner", "row", "last corner"])
@pytest.mark.parametrize("dilation", [1, 2])
def test_large_cells_at_the_border_under_zero_taps(isa, member, side, cancel, dilation, rng):
    """They are in no output, but in the transformed tile: from some size on it must be computed directly."""
    cells, taps = {
        "corner": (np.s_[..., 0, 0], np.s_[..., 0, 0]),
        "row": (np.s_[..., 0, :], np.s_[..., 0, :]),
        "last corner": (np.s_[..., -1, -1], np.s_[..., -1, -1]),
    }[side]
    for C in (1, 8, 64):
        H, W = dilation * (4 * member.taps - 5), dilation * (4 * member.taps - 3)
        x, w, _ = operands(rng, 1, C, H, W, 32, member.taps, member.taps, "NCHW", make=normal)
        w[taps] = 0
        for size in np.float32(10) ** np.arange(0, 12, 0.5, np.float32):
            image = x.copy()
            image[cells] += size
            if cancel:
                image[:, 1::2][cells] -= 2 * size
            check(member, image, w, dilation=dilation)


@pytest.mark.parametrize(("value", "dilation"), [(np.nan, 1), (np.inf, 1), (-np.inf, 1), (np.nan, (2, 1))])
def test_non_finite_cells_reach_exactly_their_windows(isa, member, data_format, value, dilation, rng):
    x, w, bias = operands(rng, 1, 9, 10, 7, 11, member.taps, member.taps, data_format, make=normal)
    options = {"padding": 1, "data_format": data_format, "dilation": dilation}
    for place in np.ndindex(10, 7):
        image = x.copy()
        image[(0, slice(4, 5), *place) if data_format == "NCHW" else (0, *place, slice(4, 5))] = value
        y = conv2d(image, w, bias, **high(member), **options)
        direct = conv2d(image, w, bias, algorithm="direct", **options)
        np.testing.assert_array_equal(np.isfinite(y), np.isfinite(direct))
        np.testing.assert_array_equal(y[~np.isfinite(y)], direct[~np.isfinite(direct)])


def test_each_phase_of_a_dilation_is_a_convolution_of_its_own(isa, member, data_format, rng):
    H, W, size = 8 * member.taps + 1, 12 * member.taps + 2, member.taps
    x, w, bias = operands(rng, 2, 21, H, W, 19, size, size, data_format, make=normal)
    options = {**high(member), "data_format": data_format}
    y = conv2d(x, w, bias, dilation=(2, 3), **options)
    for i, j in np.ndindex(2, 3):
        phase = np.s_[..., i::2, j::3] if data_format == "NCHW" else np.s_[:, i::2, j::3]
        assert_same_bits(y[phase], conv2d(x[phase], w, bias, **options))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_non_finite_taps_reach_their_filter_only(isa, member, data_format, value, rng):
    x, w, _ = operands(rng, 1, 9, 10, 7, 11, member.taps, member.taps, data_format, make=normal)
    w[(5, 3, 1, 0) if data_format == "NCHW" else (1, 0, 3, 5)] = value
    y = conv2d(x, w, **high(member), padding=1, data_format=data_format)
    direct = conv2d(x, w, algorithm="direct", padding=1, data_format=data_format)
    np.testing.assert_array_equal(np.isnan(y), np.isnan(direct))
    np.testing.assert_array_equal(np.isinf(y), np.isinf(direct))


def test_a_tile_computed_directly_has_the_bits_of_direct(isa, member, data_format, rng):
    x, w, bias = operands(rng, 1, 70, 12, 12, 20, member.taps, member.taps, data_format, make=normal)
    x[(0, 0, 5, 5) if data_format == "NCHW" else (0, 5, 5, 0)] = np.nan
    options = {"padding": 1, "data_format": data_format, "activation": "relu", "precision": "high"}
    y, direct = (conv2d(x, w, bias, algorithm=name, **options) for name in (member.name, "direct"))
    first = 6 // member.outputs * member.outputs  # of a tile that sees it; padded, it is cell 6
    rows = np.s_[first : first + member.outputs]
    tile = np.s_[:, :, rows, rows] if data_format == "NCHW" else np.s_[:, rows, rows]
    assert_same_bits(y[tile], direct[tile])


def test_numbers_that_overflow_only_in_the_transform(isa, member, data_format, rng):
    x, w, _ = operands(rng, 1, 8, 12, 12, 8, member.taps, member.taps, data_format, make=normal)
    huge = np.float32(3e38) * np.sign(x)
    small = w * np.float32(1e-4)
    y = conv2d(huge, small, **high(member), data_format=data_format)
    assert np.all(np.isfinite(y))
    wide = huge.astype(np.float64), small.astype(np.float64)
    assert_promise({"winograd": y}, *wide, precision="high", data_format=data_format)


@pytest.mark.parametrize(("C", "K"), [(5, 3), (64, 72), (96, 130)])
def test_same_bits_for_any_batch_threads_and_arrays(isa, member, data_format, C, K, rng):
    x, w, bias = operands(rng, 5, C, 13, 30, K, member.taps, member.taps, data_format, make=normal)
    options = {**high(member), "padding": 1, "data_format": data_format, "activation": "relu"}
    with convfast.num_threads(1):
        y = conv2d(x, w, bias, **options)
    for threads in (2, 3, 7):
        with convfast.num_threads(threads):
            assert_same_bits(conv2d(x, w, bias, **options), y)
            for n in range(5):
                assert_same_bits(conv2d(x[n : n + 1], w, bias, **options), y[n : n + 1])
    assert_same_bits(conv2d(np.asfortranarray(x), np.asfortranarray(w), bias, **options), y)
    assert_same_bits(conv2d(x[..., ::-1][..., ::-1], w[::-1][::-1], bias, **options), y)
    out = np.empty((*y.shape, 2), np.float32)[..., 0]
    assert conv2d(x, w, bias, **options, out=out) is out
    assert_same_bits(out, y)
    assert_same_bits(conv2d(x, w, bias, **options, out=np.empty_like(y, order="F")), y)


def test_half_precision_is_rounded_once(member, data_format, rng):
    x, w, _ = operands(rng, 2, 8, 9, 9, 8, member.taps, member.taps, data_format, np.float16, make=normal)
    y = conv2d(x, w, **high(member), data_format=data_format)
    wide = conv2d(x.astype(np.float32), w.astype(np.float32), **high(member), data_format=data_format)
    assert_same_bits(y, wide.astype(np.float16))


def test_layers_pack_for_each_algorithm_that_they_meet(data_format, rng):
    _, w, bias = operands(rng, 1, 64, 3, 3, 64, 3, 3, data_format, make=normal)
    options = {"padding": 1, "data_format": data_format, "precision": "high"}
    layer = Conv2D(w, bias, **options)
    copy = pickle.loads(pickle.dumps(layer))
    met = set()
    for size in (1, 3, 56, 5, 28):
        x = normal(rng, x_shape(2, 64, size, size, data_format))
        met.add(layer.explain(x.shape).algorithm)
        for one in (layer, copy, layer):
            assert_same_bits(one(x), conv2d(x, w, bias, **options))
    assert "winograd" in met
    assert len(met) > 1


def test_a_raw_call_that_packs_its_filters_in_parts_gives_the_bits_of_a_layer(member, data_format, rng):
    x, w, bias = operands(rng, 2, 480, 9, 7, 250, member.taps, member.taps, data_format, make=normal)
    transformed = w.nbytes * ((member.outputs + member.taps - 1) / member.taps) ** 2
    assert w.nbytes + transformed > 10 * 2**20  # two parts
    options = {**high(member), "padding": 1, "data_format": data_format, "activation": "relu"}
    layer = Conv2D(w, bias, **options)
    assert_same_bits(conv2d(x, w, bias, **options), layer(x))
    assert_same_bits(conv2d(x, w, **options), Conv2D(w, **options)(x))
    out = np.empty_like(layer(x), order="F")
    assert_same_bits(conv2d(x, w, bias, **options, out=out), layer(x))


def test_auto_takes_it_for_large_layers_where_it_may():
    shapes = (1, 64, 56, 56), (64, 64, 3, 3)
    assert explain_conv2d(*shapes, padding=1).algorithm != "winograd"
    assert explain_conv2d(*shapes, padding=1, precision="highest").algorithm != "winograd"
    for precision in ("high", "medium"):
        told = explain_conv2d(*shapes, padding=1, precision=precision)
        assert told.algorithm == "winograd"
        assert told.workspace_bytes <= 64 * 2**20
    few = ((1, 3, 56, 56), (64, 3, 3, 3)), ((1, 8, 56, 56), (8, 8, 3, 3)), ((1, 64, 1, 1), (64, 64, 3, 3))
    for shapes in few:
        assert explain_conv2d(*shapes, padding=1, precision="high").algorithm != "winograd"


@pytest.mark.parametrize(("size", "taps"), [(56, 3), (7, 3), (28, 5)])
def test_the_member_told_is_the_one_that_computes(isa, data_format, size, taps, rng):
    x, w, bias = operands(rng, 2, 32, size, size, 32, taps, taps, data_format, make=normal)
    options = {"padding": 1, "data_format": data_format, "precision": "high"}
    told = explain_conv2d(x.shape, w.shape, algorithm="winograd", **options)
    (name,) = (candidate.member for candidate in told.candidates if candidate.algorithm == "winograd")
    assert name in told.reason
    assert name.endswith(f"{taps}x{taps})")
    y = conv2d(x, w, bias, algorithm=name, **options)
    assert_same_bits(conv2d(x, w, bias, algorithm="winograd", **options), y)
    assert_same_bits(Conv2D(w, bias, algorithm="winograd", **options)(x), y)


def test_a_member_is_for_its_filters_only(member):
    taps = 8 - member.taps
    with pytest.raises(ValueError, match=r"algorithm='F\(.*3x3 or 5x5 filter"):
        explain_conv2d((1, 8, 9, 9), (8, 8, taps, taps), **high(member))


def test_too_many_channels_are_refused():
    with pytest.raises(ValueError, match=r"winograd.*channels"):
        explain_conv2d((1, 10**5, 9, 9), (8, 10**5, 3, 3), algorithm="winograd", precision="high")


def test_large_outputs_are_fetched_first(member, data_format):
    x, w, bias = operands(np.random.default_rng(5), 1, 8, 163, 167, 48, member.taps, member.taps, data_format)
    check(member, x, w, bias, data_format=data_format, padding=1)


def test_very_many_filters_of_no_channel():
    """Their bytes exceed every integer; what a task holds of them must not."""
    told = explain_conv2d((30, 0, 3, 3), (2**52, 0, 3, 3), algorithm="F(4x4, 3x3)", precision="high")
    assert 0 < told.workspace_bytes <= 64 << 20


def test_nothing_to_compute(member, data_format):
    x, w, bias = operands(np.random.default_rng(1), 2, 0, 6, 6, 8, member.taps, member.taps, data_format)
    y = conv2d(x, w, bias, **high(member), data_format=data_format)
    np.testing.assert_array_equal(y, np.broadcast_to(bias if data_format == "NHWC" else bias[:, None, None], y.shape))
    assert explain_conv2d((0, 8, 9, 9), (8, 8, member.taps, member.taps), **high(member)).algorithm == "winograd"
