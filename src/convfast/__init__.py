"""Convolution, pooling and padding for NumPy arrays on CPUs.

Convolution   conv2d  conv1d  Conv2D  conv2d_output_shape  explain_conv2d
Gradients     conv2d_input_grad  conv2d_weight_grad  conv_transpose2d
Process       set_num_threads  get_num_threads  num_threads  set_precision  get_precision
              available_isas  isa  show_config
The law       reference: the same functions as plain float64 NumPy

Letters: N batch, C input channels, H W input height and width, K output channels, R S filter height and width,
P Q output height and width. Vertical always comes before horizontal.

>>> import numpy as np, convfast
>>> x = np.ones((1, 3, 8, 8), np.float32)
>>> w = np.ones((4, 3, 3, 3), np.float32)
>>> convfast.conv2d(x, w, stride=2, padding="same").shape
(1, 4, 4, 4)
"""

from convfast.config import (
    available_isas,
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
from convfast.grad import conv2d_input_grad, conv2d_weight_grad
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
    "available_isas",
    "conv1d",
    "conv2d",
    "conv2d_input_grad",
    "conv2d_output_shape",
    "conv2d_weight_grad",
    "conv_transpose2d",
    "explain_conv2d",
    "get_num_threads",
    "get_precision",
    "isa",
    "num_threads",
    "reference",
    "set_num_threads",
    "set_precision",
    "show_config",
]
