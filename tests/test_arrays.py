"""Arrays of every kind: whatever their memory looks like, they give the bits of a copy and stay as they were."""

import itertools
import mmap
import sys
import warnings
from functools import partial

import numpy as np
import pytest
from conftest import assert_same_bits, every_way, integers, normal, operands, run_child, w_shape, x_shape
from guard_pages import SIDES, guarded

from convfast import Conv2D, _core, conv2d, reference


def gaps(array):
    return np.repeat(array, 2, axis=-1)[..., ::2]


def in_a_record(array):
    """float32 at steps of five bytes."""
    record = np.zeros(array.shape, [("skip", "u1"), ("value", array.dtype)])
    record["value"] = array
    return record["value"]


def unaligned(array):
    memory = np.zeros(array.nbytes + 1, np.uint8)[1:].view(array.dtype).reshape(array.shape)
    memory[...] = array
    return memory


def reversed_axes_of_one(array):
    """Axes of one element have strides without a meaning."""
    return np.lib.stride_tricks.as_strided(array, strides=[-7 if n == 1 else s for n, s in layout(array)])


def layout(array):
    return zip(array.shape, array.strides, strict=True)


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


MEMORIES = {
    "Fortran order": np.asfortranarray,
    "axes swapped": lambda array: np.ascontiguousarray(array.T).T,
    "gaps": gaps,
    "negative strides": lambda array: np.ascontiguousarray(array[::-1, ::-1, ::-1, ::-1])[::-1, ::-1, ::-1, ::-1],
    "rows backwards": lambda array: np.ascontiguousarray(array[:, :, ::-1])[:, :, ::-1],
    "in a record": in_a_record,
    "unaligned": unaligned,
    "other byte order": lambda array: array.astype(array.dtype.newbyteorder()),
    "reversed axes of one": reversed_axes_of_one,
    "read-only": read_only,
    "part of a larger array": lambda array: np.pad(array, 3)[3:-3, 3:-3, 3:-3, 3:-3],
    "subclass": lambda array: array.view(Subclass),
    "memoryview": memoryview,
    "lists": lambda array: array.tolist(),
    "object with __array__": lambda array: WithArray(array),
    "object with __array_interface__": lambda array: WithInterface(array),
    "masked array without a mask": np.ma.masked_array,
}


class Subclass(np.ndarray):
    pass


class WithArray:
    def __init__(self, array):
        self.array = array

    def __array__(self, dtype=None, copy=None):
        return self.array


class WithInterface:
    def __init__(self, array):
        self.array, self.__array_interface__ = array, array.__array_interface__


@pytest.mark.parametrize("padding", [0, 2])
@pytest.mark.parametrize("name", MEMORIES)
def test_memory_layout_does_not_change_a_bit(isa, data_format, dtype, name, padding, rng):
    if name == "lists":
        dtype = np.float64
    x, w, bias = operands(rng, 1, 7, 11, 13, 5, 3, 2, data_format, dtype, make=normal)
    make, options = MEMORIES[name], dict(data_format=data_format, padding=padding)
    expected = conv2d(x, w, bias, **options)
    for y in (conv2d(make(x), w, bias, **options), conv2d(x, make(w), bias, **options)):
        assert_same_bits(y, expected)
        assert type(y) is np.ndarray
        assert y.dtype.isnative
    assert_same_bits(Conv2D(make(w), bias, **options)(make(x)), expected)


@pytest.mark.parametrize("make", [gaps, read_only, unaligned, np.ndarray.tolist, lambda bias: bias[::-1].copy()[::-1]])
def test_memory_layout_of_the_bias(isa, data_format, make, rng):
    x, w, bias = operands(rng, 1, 7, 11, 13, 5, 3, 2, data_format, make=normal)
    assert_same_bits(conv2d(x, w, make(bias), data_format=data_format), conv2d(x, w, bias, data_format=data_format))


def test_every_alignment(isa, rng):
    x, w, _ = operands(rng, 1, 3, 7, 19, 5, 3, 2, "NCHW", make=normal)
    expected = conv2d(x, w)
    memory = np.zeros(x.nbytes + 64, np.uint8)
    for start in range(64):
        shifted = memory[start : start + x.nbytes].view(np.float32).reshape(x.shape)
        shifted[...] = x
        assert_same_bits(conv2d(shifted, w), expected)


@pytest.mark.parametrize("axis", range(4))
def test_broadcast_views(isa, data_format, axis, rng):
    x, w, _ = operands(rng, 3, 5, 11, 13, 7, 3, 2, data_format, make=normal)
    view = np.broadcast_to(x.take([0], axis), x.shape)
    assert_same_bits(conv2d(view, w, data_format=data_format), conv2d(view.copy(), w, data_format=data_format))


def test_views_larger_than_memory(isa):
    """A terabyte of the same number, of which few cells are read."""
    x = np.broadcast_to(np.float32(1), (1, 1, 10**6, 10**6))
    y = conv2d(x, np.ones((1, 1, 2, 2), np.float32), stride=499_999)
    np.testing.assert_array_equal(y, np.full((1, 1, 3, 3), 4, np.float32))


def test_sizes_beyond_31_bits(isa):
    x = np.broadcast_to(np.arange(1, 8, dtype=np.float32), (1, 1, 2**31, 7))
    y = conv2d(x, np.ones((1, 1, 1, 3), np.float32), stride=(2**31 - 1, 1))
    np.testing.assert_array_equal(y[0, 0], [[6, 9, 12, 15, 18]] * 2)


def test_offsets_beyond_32_bits(isa, data_format, rng):
    """Rows that lie 5 GiB apart, in memory of which only the pages touched exist."""
    x, w, _ = operands(rng, 1, 3, 2, 7, 5, 2, 3, data_format)
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000  # MAP_NORESERVE
    memory = np.frombuffer(mmap.mmap(-1, 6 * 2**30, flags), np.float32)
    strides = list(x.strides)
    strides[x.shape.index(2)] = 5 * 2**30
    far = np.lib.stride_tricks.as_strided(memory, x.shape, strides)
    far[...] = x
    assert_same_bits(conv2d(far, w, data_format=data_format), conv2d(x, w, data_format=data_format))


def test_memory_mapped_files(isa, tmp_path, rng):
    x, w, _ = operands(rng, 1, 5, 11, 13, 7, 3, 2, "NCHW", make=normal)
    np.save(tmp_path / "x.npy", x)
    assert_same_bits(conv2d(np.load(tmp_path / "x.npy", mmap_mode="r"), w), conv2d(x, w))


def test_inputs_are_never_modified_nor_kept(isa, data_format, dtype, rng):
    x, w, bias = arrays = operands(rng, 2, 7, 11, 13, 5, 3, 3, data_format, dtype, make=normal)
    copies = [array.copy() for array in arrays]
    references = [sys.getrefcount(array) for array in arrays]
    options = {"data_format": data_format, "activation": "relu", "padding": 1}
    for algorithm, precision in every_way(x, w, **options):
        conv2d(x, w, bias, algorithm=algorithm, precision=precision, **options)
    with pytest.raises(ValueError, match="groups"):
        conv2d(x, w, bias, data_format=data_format, groups=3)
    for array, copy in zip(arrays, copies, strict=True):
        assert_same_bits(array, copy)
    del array
    assert [sys.getrefcount(array) for array in arrays] == references


# ---------------------------------------------------------------------------------------------------------------------
# out=

OUTS = {
    "plain": lambda y: np.full(y.shape, np.nan, y.dtype),
    "gaps": lambda y: gaps(np.full(y.shape, np.nan, y.dtype)),
    "Fortran order": lambda y: np.full(y.shape, np.nan, y.dtype, order="F"),
    "negative strides": lambda y: np.full(y.shape, np.nan, y.dtype)[::-1, ::-1, ::-1, ::-1],
    "unaligned": lambda y: unaligned(np.full(y.shape, np.nan, y.dtype)),
    "part of a larger array": lambda y: np.full([n + 6 for n in y.shape], np.nan, y.dtype)[3:-3, 3:-3, 3:-3, 3:-3],
    "subclass": lambda y: np.full(y.shape, np.nan, y.dtype).view(Subclass),
}


@pytest.mark.parametrize("name", OUTS)
def test_out_is_filled_with_the_same_bits_and_returned(isa, data_format, dtype, name, rng):
    x, w, bias = operands(rng, 2, 7, 11, 37, 19, 3, 3, data_format, dtype, make=normal)
    options = {"data_format": data_format, "padding": 1}
    for algorithm, precision in every_way(x, w, **options):
        way = {"algorithm": algorithm, "precision": precision, **options}
        expected = conv2d(x, w, bias, **way)
        out = OUTS[name](expected)
        assert conv2d(x, w, bias, out=out, **way) is out
        assert_same_bits(np.asarray(out), expected)


def test_nothing_around_out_is_written(isa, data_format, rng):
    x, w, bias = operands(rng, 2, 7, 11, 37, 19, 3, 2, data_format, make=normal)
    y = conv2d(x, w, bias, data_format=data_format)
    frame = np.full([n + 6 for n in y.shape], 99, np.float32)
    conv2d(x, w, bias, data_format=data_format, out=frame[3:-3, 3:-3, 3:-3, 3:-3])
    frame[3:-3, 3:-3, 3:-3, 3:-3] = 99
    assert np.all(frame == 99)
    wide = np.full((*y.shape, 2), 99, np.float32)
    conv2d(x, w, bias, data_format=data_format, out=wide[..., 0])
    assert np.all(wide[..., 1] == 99)


def test_out_of_integers_and_of_half_precision(data_format, rng):
    for dtype in ("int8", "int64", "float16"):
        x, w, _ = operands(rng, 2, 3, 7, 11, 5, 3, 2, data_format, dtype)
        expected = conv2d(x, w, data_format=data_format)
        out = gaps(np.zeros_like(expected))
        assert conv2d(x, w, data_format=data_format, out=out) is out
        assert_same_bits(out, expected)


def overlaps(x):
    """Outputs of the shape of x that share its memory."""
    yield x
    yield x[:, ::-1]
    yield x[..., ::-1]
    yield x[::-1]
    if x.shape[1] == x.shape[2] == x.shape[3]:
        yield x.transpose(0, 2, 3, 1)


@pytest.mark.parametrize("which", range(5))
def test_out_may_share_memory_with_x(isa, data_format, which, rng):
    x, w, bias = operands(rng, 2, 11, 11, 11, 11, 3, 3, data_format, make=normal)
    expected = conv2d(x, w, bias, padding=1, data_format=data_format)
    out = next(itertools.islice(overlaps(x), which, None))
    assert conv2d(x, w, bias, padding=1, data_format=data_format, out=out) is out
    assert_same_bits(np.ascontiguousarray(out), expected)


@pytest.mark.parametrize("shift", [-13, -1, 1, 13])
def test_out_may_be_x_shifted(isa, shift, rng):
    memory = normal(rng, 2 * 7 * 11 * 13 + 2 * abs(shift))
    x = memory[abs(shift) : -abs(shift)].reshape(2, 7, 11, 13)
    out = memory[abs(shift) + shift :][: x.size].reshape(x.shape)
    _, w, bias = operands(rng, 1, 7, 1, 1, 7, 3, 3, "NCHW", make=normal)
    expected = conv2d(x.copy(), w, bias, padding=1)
    conv2d(x, w, bias, padding=1, out=out)
    assert_same_bits(out, expected)


def test_out_may_share_memory_with_filters_or_bias(isa, rng):
    x, w, bias = operands(rng, 1, 6, 6, 7, 5, 2, 3, "NCHW", make=normal)
    expected = conv2d(x, w, bias)
    for memory in (w, bias):
        room = np.concatenate([memory.ravel(), np.zeros(expected.size, np.float32)])
        part, out = room[: memory.size].reshape(memory.shape), room[: expected.size].reshape(expected.shape)
        conv2d(x, part if memory is w else w, part if memory is bias else bias, out=out)
        assert_same_bits(out, expected)


# ---------------------------------------------------------------------------------------------------------------------
# No read and no write outside: in a child, because a fault ends the process


@pytest.mark.parametrize("data_format", ["NCHW", "NHWC"])
@pytest.mark.parametrize("side", SIDES)
def test_guard_pages(isa, data_format, side):
    run_child(f"from test_arrays import walk_along_guard_pages as walk; walk({isa!r}, {data_format!r}, {side!r})")


def walk_along_guard_pages(isa, data_format, side):
    """Every width and every number of channels, by every algorithm, all arrays against a page nobody may touch."""
    warnings.simplefilter("error")
    _core.use_isa(isa)
    rng = np.random.default_rng(7)
    for W in range(1, 68):
        walk(rng, 3, 4, W, 7, data_format, side, (3, min(W, 5)), {})
        walk(rng, 3, 5, W, 3, data_format, side, (2, min(W, 3)), {"padding": 1, "stride": 2})
    for C in range(1, 36):
        walk(rng, C, 4, 9, 36 - C, data_format, side, (1, 1), {})
        walk(rng, C, 6, 7, C, data_format, side, (3, 3), {"padding": (0, 2)})
        walk(rng, C, 5, 19, C, data_format, side, (3, 3), {"groups": C, "padding": 1})
    for dtype in ("float64", "float16", "int8", "int64"):
        walk(rng, 5, 6, 21, 19, data_format, side, (3, 3), {"padding": 1}, dtype)


def walk(rng, C, H, W, K, data_format, side, kernel, options, dtype="float32"):
    groups = options.get("groups", 1)
    x = guarded(integers(rng, x_shape(2, C, H, W, data_format), dtype), side)
    w = guarded(integers(rng, w_shape(K, C // groups, *kernel, data_format), dtype), side)
    bias = guarded(integers(rng, K, dtype), side)
    exact = reference.conv2d(x, w, bias, data_format=data_format, **options)
    out = guarded(exact.astype(np.result_type(dtype, np.int32) if "int" in dtype else dtype), side)
    for algorithm, precision in every_way(x, w, data_format=data_format, **options):
        out[...] = 99
        conv2d(x, w, bias, algorithm=algorithm, precision=precision, data_format=data_format, out=out, **options)
        near = 0 if precision == "highest" else 1e-2
        np.testing.assert_allclose(out, exact, atol=near, rtol=0, err_msg=algorithm)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("make", ["x", "y", "indices"])
def test_the_guard_is_awake(side, make):
    """Both pages themselves, of arrays given and of arrays made: a walk that cannot fault would prove nothing."""
    code = f"""
import sys, numpy as np
from convfast import max_pool2d
from guard_pages import guarded, results_guarded
x = guarded(np.arange(15, dtype=np.float32).reshape(3, 5), {side!r})
with results_guarded({side!r}):
    y, indices = max_pool2d(x, 1, return_indices=True)
first, step = {make}.reshape(-1)[:1], {make}.itemsize
def read(cell): return np.lib.stride_tricks.as_strided(first, (2,), (cell * step,))[1]
print("the last is", int(read(14)), file=sys.stderr)
print(read({-1 if side == "before" else 15}))
"""
    with pytest.raises(AssertionError, match=r"exit code -11\s+the last is 14\s"):
        run_child(code)


# ---------------------------------------------------------------------------------------------------------------------
# Memory


@pytest.mark.parametrize("make", [conv2d, lambda x, w, **options: Conv2D(w, **options)(x)], ids=["conv2d", "Conv2D"])
def test_every_failing_allocation_is_a_memory_error_and_the_next_call_is_right(isa, data_format, make, rng):
    x, w, _ = operands(rng, 2, 17, 19, 23, 13, 3, 3, data_format, make=normal)
    for algorithm, precision in every_way(x, w, data_format=data_format):
        options = {"algorithm": algorithm, "precision": precision, "data_format": data_format}
        assert fail_every_allocation(partial(make, x, w, **options)) >= 1, algorithm


def fail_every_allocation(call):
    """How many allocations the call makes; each fails once."""
    expected = call()
    for nth in range(1, 50):
        _core.fail_allocation(nth)
        try:
            assert_same_bits(call(), expected)
            return nth - 1
        except MemoryError:
            assert_same_bits(call(), expected)
        finally:
            _core.fail_allocation(0)
    pytest.fail("the call never succeeded")


@pytest.mark.parametrize("algorithm", _core.algorithms())
def test_workspace_is_bounded(data_format, algorithm):
    """Columns of the whole image would take 180 MB."""
    if algorithm == "narrow" and data_format == "NHWC":
        pytest.skip("narrow is for NCHW")
    depthwise, taps = algorithm == "depthwise", 5 if "5x5" in algorithm else 3
    code = f"""
import resource, numpy as np, convfast
x = np.ones({x_shape(1, 32, 396, 400, data_format)}, np.float32)
w = np.ones({w_shape(32, 1 if depthwise else 32, taps, taps, data_format)}, np.float32)
options = dict(data_format={data_format!r}, algorithm={algorithm!r}, precision="high", groups={32 if depthwise else 1})
convfast.conv2d(x[:, :8, :8] if {data_format!r} == "NHWC" else x[..., :8, :8], w, **options)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
y = convfast.conv2d(x, w, **options)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before * 1024 - y.nbytes)
"""
    assert int(run_child(code)) < 65 * 2**20


def test_memory_does_not_grow():
    """Results, packed filters and error sentences are all given back."""
    code = """
import numpy as np, convfast, os
def pages():
    return int(open("/proc/self/statm").read().split()[1])
def work():
    convfast.conv2d(x, w, padding=1)
    convfast.conv2d(x[:, ::-1], w[::-1], padding="same", out=out)
    convfast.conv2d(out, w, padding=1, out=out)
    convfast.Conv2D(w)(x)
    convfast.explain_conv2d(x.shape, w.shape)
    for bad in (dict(stride=0), dict(padding="smae"), dict(groups=3), dict(algorithm="fft")):
        try:
            convfast.conv2d(x, w, **bad)
        except ValueError:
            pass
x, w = np.ones((1, 8, 17, 19), np.float32), np.ones((8, 8, 3, 3), np.float32)
out = np.empty_like(x)
for _ in range(100):
    work()
before = pages()
for _ in range(1000):
    work()
print((pages() - before) * os.sysconf("SC_PAGESIZE"))
"""
    assert int(run_child(code)) < 2**20
