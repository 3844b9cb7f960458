"""Pooling, padding, columns and sampling: a seeded sweep against the law, for every ISA; the same bits everywhere."""

import warnings

import numpy as np
from conftest import integers, x_shape
from forward_sweep import EXACT_DTYPES, Call, calls
from guard_pages import SIDES, guarded, results_guarded

import convfast

CONFIGURATIONS = 2000


def test_sweep(isa):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # NumPy's own, for NaN and infinity in the law
        for call in calls(20, CONFIGURATIONS):
            call.check()


def bits(result):
    parts = result if isinstance(result, tuple) else (result,)
    return [np.ascontiguousarray(part).tobytes() for part in parts]


def values(result):
    """Without the indices, where those came too."""
    return result[0] if isinstance(result, tuple) else result


def test_threads_and_strides_change_no_bit(isa):
    for call in calls(21, 200):
        with convfast.num_threads(1):
            alone = bits(call.run())
        for threads in 2, 3:
            with convfast.num_threads(threads):
                assert bits(call.run()) == alone, str(call)
        call.x = np.ascontiguousarray(call.x)
        assert bits(call.run()) == alone, str(call)
        if call.x.ndim > 2:  # the same numbers, the other layout in memory
            call.x = np.ascontiguousarray(np.moveaxis(call.x, -1, -3)).transpose(*range(call.x.ndim - 3), -2, -1, -3)
            assert bits(call.run()) == alone, str(call)


def test_large_work_has_the_same_bits_with_threads():
    x = np.random.default_rng(5).normal(size=(2, 24, 96, 120)).astype("f4")
    every = {
        "max_pool2d": ({"kernel_size": 3, "stride": 2, "padding": 1}, {"kernel_size": 13, "stride": 1, "padding": 6}),
        "avg_pool2d": ({"kernel_size": 3, "stride": 1, "padding": 1}, {"kernel_size": 21, "stride": 1}),
        "adaptive_avg_pool2d": ({"output_size": 7}, {"output_size": 8}),
        "global_avg_pool2d": ({},),
        "local_max_sum2d": ({}, {"size": 15}),
        "pad2d": ({"padding": 3, "mode": "reflect"},),
        "im2col": ({"kernel_size": 3, "padding": 1},),
        "resize2d": ({"scale": 1.7, "mode": "bilinear"}, {"scale": 2}),
    }
    for name, variants in every.items():
        for options in variants:
            for data_format in "NCHW", "NHWC":
                results = []
                for threads in 1, 2, 3:
                    with convfast.num_threads(threads):
                        results.append(bits(getattr(convfast, name)(x, data_format=data_format, **options)))
                assert results[0] == results[1] == results[2], (name, options, data_format)


def test_an_image_does_not_see_its_batch(isa):
    for call in calls(22, 150):
        if call.x.ndim == 4 and call.name != "col2im":
            whole = call.run()
            whole = whole if isinstance(whole, tuple) else (whole,)
            call.x = call.x[-1:]
            alone = call.run()
            for one, all_ in zip(alone if isinstance(alone, tuple) else (alone,), whole, strict=True):
                assert bits(one) == bits(all_[-1:]), str(call)


def test_nothing_outside_the_arrays_is_touched(isa):
    for call in calls(23, 400):
        call.x = np.ascontiguousarray(call.x.astype(call.x.dtype.newbyteorder("=")))
        assert_nothing_outside(call)


def test_nothing_outside_the_arrays_is_touched_for_indices(isa, data_format, rng):
    """Rows of every width and channels of every number."""
    windows = [{"stride": 1}, {}, {"padding": 1, "ceil_mode": True}, {"stride": 1, "dilation": (1, 2)}]
    for number, (C, W) in enumerate([*((3, W) for W in range(3, 68)), *((C, 5) for C in range(1, 36))]):
        x = integers(rng, x_shape(2, C, 4, W, data_format), EXACT_DTYPES[number % len(EXACT_DTYPES)], 0, 5)
        options = {"return_indices": True, "data_format": data_format, **windows[number % len(windows)]}
        call = Call("max_pool2d", x, ((3, 2),), options)
        call.check()
        assert_nothing_outside(call)


def assert_nothing_outside(call):
    """Whatever the call reads or writes stands against a page that nobody may touch: x, out, a new result, indices."""
    x, expected = call.x, bits(call.run())
    for side in SIDES:
        call.x = guarded(x, side)
        with results_guarded(side):
            new = call.run()
        assert bits(new) == expected, str(call)
        if call.name in ("max_pool2d", "avg_pool2d", "pad2d", "max_pool1d", "avg_pool1d"):
            call.options["out"] = out = guarded(np.zeros_like(values(new)), side)
            with results_guarded(side):
                filled = call.run()
            assert values(filled) is out
            assert bits(filled) == expected, str(call)
            del call.options["out"]
