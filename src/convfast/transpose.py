"""Transposed convolution: names, signatures and words. The work is done behind `_core`."""

from convfast import _core


def conv_transpose2d(
    x,
    w,
    bias=None,
    *,
    stride=1,
    padding=0,
    output_padding=0,
    dilation=1,
    groups=1,
    data_format="NCHW",
    activation=None,
    precision=None,
    out=None,
):
    """Transposed convolution: every pixel is spread over the window that a convolution would have read.

    ``y[n, k, h*stride + r*dilation - pad, v*stride + s*dilation - pad] += x[n,c,h,v] * w[c,k,r,s]``, on a plane of
    ``(H - 1) * stride + dilation * (R - 1) + 1 + output_padding`` rows less the padding; what falls outside is dropped.

    Parameters
    ----------
    x : array_like, shape (N, C, H, W), (C, H, W) or (H, W)
        With ``data_format="NHWC"`` (N, H, W, C), (H, W, C) or (H, W).
    w : array_like, shape (C, K / groups, R, S)
        With ``data_format="NHWC"`` (R, S, K / groups, C): the filters of the convolution from y to x, in both layouts.
    bias : array_like, shape (K,), optional
        Added to each output channel; cast to the result's dtype.
    stride, dilation : int or (h, w)
        Steps between the windows, and of the taps within one; at least 1.
    padding : int, (h, w), ((top, bottom), (left, right)) or str
        What is cut off the plane. ``"same"`` and ``"same_lower"``: the output has ``stride`` times the input's size.
    output_padding : int or (h, w)
        Rows and columns added at the bottom and right: the sizes that a strided convolution maps onto one. Smaller
        than stride or dilation.
    groups : int
        Divides C and K.
    data_format, activation, precision
        As for `conv2d`.
    out : ndarray, optional
        Takes the result and is returned: its exact shape and dtype, any strides. It may share memory with an input.

    Returns
    -------
    ndarray, shape (N, K, P, Q)
        In the layout and with the rank of x. Of dtype ``np.result_type(x, w)``; integers are exact, in
        ``np.result_type(x, w, np.int32)``.

    Raises
    ------
    TypeError
        An argument of the wrong kind, as for `conv2d`.
    ValueError
        Shapes that do not fit, an output without a cell, an output_padding that is too large.
    MemoryError
        The result, the packed filters or the workspace cannot be had.

    See Also
    --------
    conv2d_input_grad : the same sum, of a given output shape.

    Notes
    -----
    Computed by the forward kernels, as `conv2d_input_grad` says; no zeros are inserted between the pixels.

    Accuracy: float32 results err by at most ``2e-6 * conv_transpose2d(abs(x), abs(w), abs(bias))``, element by element
    (for magnitudes between 1e-30 and 1e30). float16 and bfloat16 are computed in float32 and rounded once. The bits do
    not depend on the batch, the number of threads or the memory layout.

    Memory: beside the result, packed filters (see `conv2d`), for small groups a copy of w with its channels exchanged,
    and at most 64 MiB of workspace.

    References
    ----------
    .. [1] V. Dumoulin, F. Visin, "A guide to convolution arithmetic for deep learning", arXiv:1603.07285.

    Examples
    --------
    >>> from convfast import conv_transpose2d
    >>> conv_transpose2d([[1, 2], [3, 4]], [[1, 1], [1, 1]], stride=2)
    array([[1, 1, 2, 2],
           [1, 1, 2, 2],
           [3, 3, 4, 4],
           [3, 3, 4, 4]])
    """
    return _core.conv_transpose2d(
        x, w, bias, stride, padding, output_padding, dilation, groups, data_format, activation, precision, out
    )
