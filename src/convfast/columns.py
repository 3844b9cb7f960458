"""Windows as columns of a matrix, and back. The work is done behind `_core`."""

from convfast import _core


def im2col(x, kernel_size, *, stride=1, padding=0, dilation=1, data_format="NCHW"):
    """Every window as a column, so that a convolution becomes a product of matrices.

    ``cols[n, (c*R + r)*S + s, p*Q + q] = x[n, c, p*stride + r*dilation - pad, q*stride + s*dilation - pad]``

    Parameters
    ----------
    x : array_like, shape (N, C, H, W), (C, H, W) or (H, W)
        Images; with ``data_format="NHWC"`` (N, H, W, C), (H, W, C) or (H, W). Any strides; never modified.
    kernel_size, stride, dilation : int or (h, w)
        R and S, and the steps of the window and within it.
    padding : int, (h, w), ((top, bottom), (left, right)) or str
        Zeros around the plane; the words of `conv2d`.
    data_format : {"NCHW", "NHWC"}

    Returns
    -------
    ndarray, shape (N, C*R*S, P*Q)
        With "NHWC" (N, P*Q, R*S*C): every window is a row. Without N if x has none. Of the dtype of x.

    Raises
    ------
    TypeError, ValueError, MemoryError
        As `conv2d`.

    Notes
    -----
    The result holds every cell up to R*S times. `conv2d` never builds it. Memory: nothing beside the result.

    Examples
    --------
    >>> from convfast import im2col
    >>> im2col([[1, 2, 3], [4, 5, 6]], 2)
    array([[1, 2],
           [2, 3],
           [4, 5],
           [5, 6]])
    """
    return _core.im2col(x, kernel_size, stride, padding, dilation, data_format)


def col2im(cols, output_size, kernel_size, *, stride=1, padding=0, dilation=1, data_format="NCHW"):
    """The adjoint of `im2col`: columns summed into planes.

    ``x[n, c, p*stride + r*dilation - pad, q*stride + s*dilation - pad] += cols[n, (c*R + r)*S + s, p*Q + q]``

    Parameters
    ----------
    cols : array_like, shape (N, C*R*S, P*Q) or (C*R*S, P*Q)
        With ``data_format="NHWC"`` (N, P*Q, R*S*C) or (P*Q, R*S*C).
    output_size : int or (h, w)
        H and W of the planes.
    kernel_size, stride, padding, dilation, data_format
        As for `im2col`.

    Returns
    -------
    ndarray, shape (N, C, H, W) or (C, H, W)
        Of the dtype of `cols`: floats are summed in short chains (float16 and bfloat16 in float32), integers wrap, bool
        is true where any value is.

    Raises
    ------
    TypeError, ValueError, MemoryError
        As `conv2d`; ValueError too where `cols` does not have the shape that the windows give.

    Notes
    -----
    Memory: beside the result at most 96 KiB for each thread.

    Examples
    --------
    >>> from convfast import col2im
    >>> col2im([[1, 2], [2, 3], [4, 5], [5, 6]], (2, 3), 2)
    array([[[ 1,  4,  3],
            [ 4, 10,  6]]])
    """
    return _core.col2im(cols, output_size, kernel_size, stride, padding, dilation, data_format)
