"""The law: every function of convfast as plain NumPy, in float64 or exact integers.

Same names, arguments and results as the fast functions, so slow and simple that each can be checked by eye against
its formula. Python loops run over the cells (r, s) of a window only; what all windows see there is one slice. Tests
compare against these functions, benchmarks call `conv2d_loops` the naive way, and readers may learn from both.

Upper case is a size, lower case its index: N images, C channels, H W input, K filters, R S filter, P Q output.

Sums come out as float64 for float16, float32 and float64 alike: the value to compare with, before the last rounding.
Integers are exact, and wrap, in `np.result_type(x, w, np.int32)`. What only moves or picks values (maxima, padding,
nearest neighbours, columns) keeps its type. Arguments are checked for sense, without the care for good messages.
"""

from .conv import (
    conv1d,
    conv2d,
    conv2d_input_grad,
    conv2d_loops,
    conv2d_output_shape,
    conv2d_weight_grad,
    conv_transpose2d,
)
from .pad import col2im, crop_or_pad2d, im2col, pad2d
from .pool import (
    adaptive_avg_pool2d,
    adaptive_max_pool2d,
    avg_pool1d,
    avg_pool2d,
    avg_pool2d_grad,
    global_avg_pool2d,
    global_max_pool2d,
    local_max_sum2d,
    max_pool1d,
    max_pool2d,
    max_pool2d_grad,
    spatial_pyramid_pool2d,
)
from .resize import resize2d

__all__ = [
    "adaptive_avg_pool2d",
    "adaptive_max_pool2d",
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool2d_grad",
    "col2im",
    "conv1d",
    "conv2d",
    "conv2d_input_grad",
    "conv2d_loops",
    "conv2d_output_shape",
    "conv2d_weight_grad",
    "conv_transpose2d",
    "crop_or_pad2d",
    "global_avg_pool2d",
    "global_max_pool2d",
    "im2col",
    "local_max_sum2d",
    "max_pool1d",
    "max_pool2d",
    "max_pool2d_grad",
    "pad2d",
    "resize2d",
    "spatial_pyramid_pool2d",
]
