"""Calls that the documentation allows, for the type checker to allow too; .ci/run has mypy read them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

import convfast


def calls(x: NDArray[np.float32], w: NDArray[np.float32], steps: list[int], with_indices: bool) -> None:
    y: NDArray[Any] = convfast.conv2d(x, w, stride=steps, padding="same", dilation=(1, np.int64(2)), groups=np.int8(1))
    convfast.conv2d([[1, 2], [3, 4]], [[1.0]], padding=((1, 0), [0, 1]), activation="relu", precision="high", out=y)
    convfast.conv2d(x, w, stride=np.array([2, 1]), padding=np.array([[1, 0], [0, 1]]))
    layer = convfast.Conv2D(w, None, stride=steps)
    shape: tuple[int, ...] = layer.output_shape(x.shape)
    flops: int = layer.explain(shape).flops
    pooled: NDArray[Any] = convfast.max_pool2d(x, 2, stride=None)
    values, indices = convfast.max_pool2d(x, steps, return_indices=True)
    either = convfast.max_pool1d(x, flops, return_indices=with_indices)
    first: NDArray[Any] = either[0]
    convfast.avg_pool2d(x, (3, 2), divisor_override=2.5, count_include_pad=None, out=pooled)
    convfast.pad2d(values, steps, value=np.float32(1.5))
    convfast.pad2d(indices, 1, value=np.int64(3), mode="edge")
    convfast.resize2d(first, scale=[2, 1.5], mode="bilinear")
    convfast.spatial_pyramid_pool2d(x, levels=np.array([4, 2]))
    convfast.spatial_pyramid_pool2d(x, levels=range(1, 3))
    convfast.set_num_threads(np.int64(2))
    with convfast.num_threads(np.int64(1)):
        convfast.conv2d_weight_grad(x, y, steps)
