"""Convolution, pooling and padding for NumPy arrays on CPUs.

Convolution   conv2d  conv1d  Conv2D  conv2d_output_shape  explain_conv2d
Gradients     conv2d_input_grad  conv2d_weight_grad  conv_transpose2d  max_pool2d_grad  avg_pool2d_grad
Pooling       max_pool2d  avg_pool2d  max_pool1d  avg_pool1d  global_max_pool2d  global_avg_pool2d
              adaptive_max_pool2d  adaptive_avg_pool2d  spatial_pyramid_pool2d  local_max_sum2d
Planes        pad2d  crop_or_pad2d  resize2d  im2col  col2im
Process       set_num_threads  get_num_threads  num_threads  set_precision  get_precision
              available_isas  isa  show_config  get_include
The law       reference: the same functions as plain float64 NumPy

Letters: N batch, C input channels, H W input height and width, K output channels, R S filter height and width,
P Q output height and width. Vertical always comes before horizontal.

>>> import numpy as np, convfast
>>> x = np.ones((1, 3, 8, 8), np.float32)
>>> w = np.ones((4, 3, 3, 3), np.float32)
>>> convfast.conv2d(x, w, stride=2, padding="same").shape
(1, 4, 4, 4)
"""

from convfast.columns import col2im, im2col
from convfast.config import (
    available_isas,
    get_include,
    get_num_threads,
    get_precision,
    isa,
    num_threads,
    set_num_threads,
    set_precision,
    show_config,
)
from convfast.conv import Conv2D, conv1d, conv2d, conv2d_output_shape
from convfast.explain import explain_conv2d
from convfast.grad import avg_pool2d_grad, conv2d_input_grad, conv2d_weight_grad, max_pool2d_grad
from convfast.pad import crop_or_pad2d, pad2d
from convfast.peaks import local_max_sum2d
from convfast.pool import (
    adaptive_avg_pool2d,
    adaptive_max_pool2d,
    avg_pool1d,
    avg_pool2d,
    global_avg_pool2d,
    global_max_pool2d,
    max_pool1d,
    max_pool2d,
)
from convfast.pyramid import spatial_pyramid_pool2d
from convfast.sampling import resize2d
from convfast.transpose import conv_transpose2d

__version__ = "0.1.0"


def __getattr__(name):
    """`reference` is imported when it is first asked for: most programs never do."""
    if name == "reference":
        import importlib

        return importlib.import_module("convfast.reference")
    raise AttributeError(f"module 'convfast' has no attribute {name!r}")


__all__ = [
    "Conv2D",
    "adaptive_avg_pool2d",
    "adaptive_max_pool2d",
    "available_isas",
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool2d_grad",
    "col2im",
    "conv1d",
    "conv2d",
    "conv2d_input_grad",
    "conv2d_output_shape",
    "conv2d_weight_grad",
    "conv_transpose2d",
    "crop_or_pad2d",
    "explain_conv2d",
    "get_include",
    "get_num_threads",
    "get_precision",
    "global_avg_pool2d",
    "global_max_pool2d",
    "im2col",
    "isa",
    "local_max_sum2d",
    "max_pool1d",
    "max_pool2d",
    "max_pool2d_grad",
    "num_threads",
    "pad2d",
    "reference",
    "resize2d",
    "set_num_threads",
    "set_precision",
    "show_config",
    "spatial_pyramid_pool2d",
]
