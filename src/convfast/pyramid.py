"""Spatial pyramids: one vector length for images of every size."""

import sys

import numpy as np

from convfast import _core, errors


def spatial_pyramid_pool2d(x, levels=(4, 2, 1), *, mode="max", data_format="NCHW"):
    """Images of any size as vectors of equal length: adaptive pooling to every level.

    Parameters
    ----------
    x, data_format
        As for `max_pool2d`.
    levels : sequence of int
        Each level l pools to l x l windows.
    mode : {"max", "avg"}

    Returns
    -------
    ndarray, shape (N, C * sum(l*l)); without N for one image
        Level by level, each flattened as (C, l, l) in both layouts.

    Raises
    ------
    TypeError, ValueError, MemoryError
        As `max_pool2d`.

    Notes
    -----
    Every level is pooled straight into its place in the result, as by `adaptive_max_pool2d` or `adaptive_avg_pool2d`.
    Memory: beside the result at most 64 MiB of workspace.

    References
    ----------
    .. [1] K. He, X. Zhang, S. Ren, J. Sun, "Spatial pyramid pooling in deep convolutional networks for visual
       recognition", arXiv:1406.4729.

    Examples
    --------
    >>> import numpy as np
    >>> from convfast import spatial_pyramid_pool2d
    >>> spatial_pyramid_pool2d([[1, 2], [3, 4]], levels=(2, 1))
    array([1, 2, 3, 4, 4])
    >>> [spatial_pyramid_pool2d(np.zeros((2, 8, H, W))).shape for H, W in [(24, 16), (7, 31)]]
    [(2, 168), (2, 168)]
    """
    function = "spatial_pyramid_pool2d"
    _core.check_word(function, "mode", mode, ("max", "avg"))
    x, (N, C, _, _) = _core.image_axes(function, x, data_format)
    try:
        levels = list(levels)
        valid = all(isinstance(level, (int, np.integer)) and not isinstance(level, bool) for level in levels)
    except TypeError:
        valid = False
    if not valid or not levels or min(levels) < 1:
        raise errors.bad_levels(function, levels)
    cells = sum(int(level) ** 2 for level in levels)
    if max(N, 1) * max(C, 1) * cells > sys.maxsize // 64:
        raise errors.unaddressable(function, {"x": x.shape})
    batch = x if x.ndim == 4 else x.reshape((1, *x.shape) if x.ndim == 3 else (1, 1, *x.shape))
    if x.ndim == 2 and data_format == "NHWC":
        batch = x.reshape(1, *x.shape, 1)
    y = np.empty((N, C * cells), _core.pyramid_dtype(x, mode))
    start = 0
    for level in map(int, levels):
        part = y[:, start : start + C * level * level].reshape(N, C, level, level)
        start += C * level * level
        _core.adaptive_pool(
            function, mode, batch, level, data_format, part.transpose(0, 2, 3, 1) if data_format == "NHWC" else part
        )
    return y if x.ndim == 4 else y[0]
