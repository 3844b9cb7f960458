"""Padding and cropping. The work is done behind `_core`."""

from convfast import _core


def pad2d(
    x,
    padding,
    *,
    mode="constant",
    value=0,
    interior=0,
    kernel_size=None,
    stride=1,
    dilation=1,
    data_format="NCHW",
    out=None,
):
    """Extend, crop and spread planes.

    First `interior` values are put between neighbours, then planes are cropped where `padding` is negative, then
    extended where it is positive.

    Parameters
    ----------
    x : array_like, shape (N, C, H, W), (C, H, W) or (H, W)
        Images; with ``data_format="NHWC"`` (N, H, W, C), (H, W, C) or (H, W). Any strides, any dtype but complex and
        objects; never modified.
    padding : int, (h, w), ((top, bottom), (left, right)) or str
        Cells to add on each side, or to crop where negative. A word is what a window of `kernel_size`, `stride` and
        `dilation` needs: ``"same"``, ``"same_lower"``, ``"full"``, ``"valid"``.
    mode : {"constant", "edge", "reflect", "symmetric", "wrap"}
        What stands in the padding, as in `numpy.pad`.
    value : number
        For ``mode="constant"`` and `interior`; must fit the dtype of x.
    interior : int or (h, w)
        That many values between neighbours, as the gradient of a strided convolution needs; only with "constant".
    kernel_size : int or (h, w), optional
        The window that a word for `padding` speaks of.
    stride, dilation : int or (h, w)
        Of that window.
    data_format : {"NCHW", "NHWC"}
    out : ndarray, optional
        Takes the result and is returned: its exact shape and dtype, any strides. It may share memory with x.

    Returns
    -------
    ndarray
        In the layout, with the rank and of the dtype of x.

    Raises
    ------
    TypeError
        An argument of the wrong kind.
    ValueError
        More cropped than there is, an output without a cell, a word without `kernel_size`, a value that does not fit.
    MemoryError
        The result cannot be had.

    Notes
    -----
    Cells are copied, bit for bit. Memory: nothing beside the result; where `out` shares memory with x, one more array
    of its size.

    Examples
    --------
    >>> from convfast import pad2d
    >>> pad2d([[1, 2], [3, 4]], ((0, 1), (-1, 1)), value=9)
    array([[2, 9],
           [4, 9],
           [9, 9]])
    >>> pad2d([[1, 2, 3]], (0, 2), mode="reflect")
    array([[3, 2, 1, 2, 3, 2, 1]])
    >>> pad2d([[1, 2, 3]], 0, interior=(0, 1))
    array([[1, 0, 2, 0, 3]])
    """
    return _core.pad2d(x, padding, mode, value, interior, kernel_size, stride, dilation, data_format, out)


def crop_or_pad2d(x, size, *, data_format="NCHW"):
    """Cut the middle out of every plane, or put the plane in the middle of zeros.

    Parameters
    ----------
    x, data_format
        As for `pad2d`.
    size : int or (h, w)
        Of the result. A difference d begins at ``floor(d / 2)``: the odd cell goes to, or is cut at, the bottom
        or right.

    Returns
    -------
    ndarray
        In the layout, with the rank and of the dtype of x.

    Raises
    ------
    TypeError, ValueError, MemoryError
        As `pad2d`.

    Notes
    -----
    Cells are copied, bit for bit. Memory: nothing beside the result.

    Examples
    --------
    >>> from convfast import crop_or_pad2d
    >>> crop_or_pad2d([[1, 2, 3, 4]], (2, 3))
    array([[1, 2, 3],
           [0, 0, 0]])
    """
    return _core.crop_or_pad2d(x, size, data_format)
