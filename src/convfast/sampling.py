"""Planes of another size. The work is done behind `_core`."""

from convfast import _core


def resize2d(x, size=None, *, scale=None, mode="nearest", align_corners=False, data_format="NCHW"):
    """Resample planes to a size, as PyTorch's ``interpolate``.

    Parameters
    ----------
    x : array_like, shape (N, C, H, W), (C, H, W) or (H, W)
        Images; with ``data_format="NHWC"`` (N, H, W, C), (H, W, C) or (H, W). Any strides; never modified.
    size : int or (h, w), optional
        P and Q of the result, each at least 1.
    scale : number or (h, w), optional
        Instead of size: ``floor(scale * H)``, ``floor(scale * W)``.
    mode : {"nearest", "bilinear"}
        "nearest" takes ``x[floor(p*H/P), floor(q*W/Q)]``. "bilinear" blends two rows and two columns, at half-pixel
        centres: ``h = max((p + 1/2) * H/P - 1/2, 0)``.
    align_corners : bool
        For "bilinear": the corners of x and of the result meet, ``h = p * (H-1)/(P-1)``.
    data_format : {"NCHW", "NHWC"}

    Returns
    -------
    ndarray, shape (N, C, P, Q)
        In the layout and with the rank of x. "nearest" keeps the dtype; "bilinear" gives float64 for integers.

    Raises
    ------
    TypeError
        An argument of the wrong kind.
    ValueError
        A plane or a result without a cell, both or neither of size and scale, an unknown word.
    MemoryError
        The result or the workspace cannot be had.

    Notes
    -----
    Positions are computed in exact integers. A neighbour whose share is 0 does not count, be it infinite or NaN.
    float16 and bfloat16 are computed in float32 and rounded once. Memory: beside the result about 80 KiB for each
    thread.

    Examples
    --------
    >>> from convfast import resize2d
    >>> resize2d([[1, 2], [3, 4]], scale=(1, 2))
    array([[1, 1, 2, 2],
           [3, 3, 4, 4]])
    >>> resize2d([[0, 4]], (1, 4), mode="bilinear")
    array([[0., 1., 3., 4.]])
    """
    return _core.resize2d(x, size, scale, mode, align_corners, data_format)
