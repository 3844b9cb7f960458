"""Pooling, and its relatives on a photograph's size; against other libraries: `python -m convfast bench pools pads`."""

import numpy as np
import pytest

import convfast
from convfast.bench.truth import in_layout

IMAGE = 1, 32, 224, 160  # for what has no table of layers
RELATIVES = {
    "adaptive_avg_pool2d_7": lambda x, **layout: convfast.adaptive_avg_pool2d(x, 7, **layout),
    "adaptive_max_pool2d_5": lambda x, **layout: convfast.adaptive_max_pool2d(x, 5, **layout),
    "spatial_pyramid_pool2d": lambda x, **layout: convfast.spatial_pyramid_pool2d(x, **layout),
    "max_pool2d_indices": lambda x, **layout: convfast.max_pool2d(x, 2, return_indices=True, **layout),
    "local_max_sum2d_3": lambda x, **layout: convfast.local_max_sum2d(x, 3, **layout),
    "local_max_sum2d_15": lambda x, **layout: convfast.local_max_sum2d(x, 15, **layout),
    "pad2d_reflect": lambda x, **layout: convfast.pad2d(x, 3, mode="reflect", **layout),
    "crop_or_pad2d": lambda x, **layout: convfast.crop_or_pad2d(x, 192, **layout),
    "im2col_3x3": lambda x, **layout: convfast.im2col(x, 3, padding=1, **layout),
    "resize2d_nearest_2": lambda x, **layout: convfast.resize2d(x, scale=2, **layout),
    "resize2d_bilinear_2": lambda x, **layout: convfast.resize2d(x, scale=2, mode="bilinear", **layout),
}
WINDOWS = (2, 3, 5, 7, 9, 13, 21, 41)


@pytest.fixture
def image():
    return np.random.default_rng(0).normal(size=IMAGE).astype(np.float32)


@pytest.mark.parametrize("data_format", ["NCHW", "NHWC"])
def bench_pool2d(race, layer, data_format, isa, threads):
    pool = convfast.max_pool2d if layer.kind == "max" else convfast.avg_pool2d
    x = in_layout(np.random.default_rng(0).normal(size=layer.x_shape).astype(np.float32), data_format)
    with convfast.num_threads(threads):
        race(layer, lambda: pool(x, data_format=data_format, **layer.options), threads=threads)


@pytest.mark.parametrize("data_format", ["NCHW", "NHWC"])
@pytest.mark.parametrize("name", RELATIVES)
def bench_relatives(benchmark, image, name, data_format, threads):
    x = in_layout(image, data_format)
    benchmark.group = name
    with convfast.num_threads(threads):
        benchmark(RELATIVES[name], x, data_format=data_format)


@pytest.mark.parametrize("data_format", ["NCHW", "NHWC"])
@pytest.mark.parametrize("size", WINDOWS)
@pytest.mark.parametrize("kind", ["max", "avg"])
def bench_windows(benchmark, image, kind, size, data_format, threads):
    """A wide window costs about what a narrow one does."""
    pool = convfast.max_pool2d if kind == "max" else convfast.avg_pool2d
    x = in_layout(image, data_format)
    benchmark.group = f"{kind} pooling by size"
    with convfast.num_threads(threads):
        benchmark(pool, x, size, stride=1, data_format=data_format)
