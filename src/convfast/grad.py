"""Gradients of convolution and pooling: names, signatures and words. The work is done behind `_core`."""

from convfast import _core


def conv2d_input_grad(
    grad,
    w,
    input_shape,
    *,
    stride=1,
    padding=0,
    dilation=1,
    groups=1,
    data_format="NCHW",
    padding_mode="constant",
    precision=None,
    out=None,
):
    """The gradient of ``sum(grad * conv2d(x, w))`` with respect to x.

    ``dx[n,c,h,v] = sum grad[n,k,p,q] * w[k,c,r,s]`` over all k, r, s, p, q with ``p*stride + r*dilation - pad = h`` and
    ``q*stride + s*dilation - pad = v``.

    Parameters
    ----------
    grad : array_like, shape (N, K, P, Q)
        What comes back from behind the convolution, in the shape of its result: ``conv2d_output_shape`` tells it.
    w : array_like, shape (K, C / groups, R, S)
        The filters of the convolution; with ``data_format="NHWC"`` (R, S, C / groups, K).
    input_shape : tuple of int
        The shape of x: a strided convolution has the same result for several.
    stride, padding, dilation, groups, data_format, padding_mode, precision
        Those of the convolution, see `conv2d`.
    out : ndarray, optional
        Takes the result and is returned: its exact shape and dtype, any strides. It may share memory with an input.

    Returns
    -------
    ndarray, shape `input_shape`
        Of dtype ``np.result_type(grad, w)``; integers are exact, in ``np.result_type(grad, w, np.int32)``.

    Raises
    ------
    TypeError
        An argument of the wrong kind, as for `conv2d`.
    ValueError
        A grad that is not of the convolution's result shape, and whatever `conv2d` refuses.
    MemoryError
        The result, the packed filters or the workspace cannot be had.

    See Also
    --------
    conv_transpose2d : the same sum as a layer of its own.
    conv2d_weight_grad : the other half.

    Notes
    -----
    Computed by the forward kernels: with stride s the plane falls apart into s x s phases, each of which is a
    convolution of grad with some taps of the flipped filters; no zeros are inserted. Accuracy and sameness of bits are
    those of `conv2d`: float32 errs by at most ``2e-6 * conv2d_input_grad(abs(grad), abs(w), ...)``. What falls on a
    padding of zeros is dropped; other padding modes send it back to the cells that were repeated.

    Memory: beside the result, packed filters (see `conv2d`), for small groups a copy of w with its channels exchanged,
    and at most 64 MiB of workspace.

    References
    ----------
    .. [1] V. Dumoulin, F. Visin, "A guide to convolution arithmetic for deep learning", arXiv:1603.07285.

    Examples
    --------
    >>> from convfast import conv2d_input_grad
    >>> conv2d_input_grad([[1, 2], [3, 4]], [[1, 0], [0, 1]], (3, 3))
    array([[1, 2, 0],
           [3, 5, 2],
           [0, 3, 4]])
    """
    return _core.conv2d_input_grad(
        grad, w, input_shape, stride, padding, dilation, groups, data_format, padding_mode, precision, out
    )


def conv2d_weight_grad(
    x,
    grad,
    kernel_size,
    *,
    stride=1,
    padding=0,
    dilation=1,
    groups=1,
    data_format="NCHW",
    padding_mode="constant",
    precision=None,
    out=None,
):
    """The gradient of ``sum(grad * conv2d(x, w))`` with respect to w.

    ``dw[k,c,r,s] = sum_{n,p,q} grad[n,k,p,q] * x[n, c, p*stride + r*dilation - pad, q*stride + s*dilation - pad]``

    Parameters
    ----------
    x : array_like, shape (N, C, H, W), (C, H, W) or (H, W)
        What the convolution was given.
    grad : array_like, shape (N, K, P, Q)
        What comes back from behind the convolution, in the shape of its result.
    kernel_size : int or (R, S)
    stride, padding, dilation, groups, data_format, padding_mode, precision
        Those of the convolution, see `conv2d`.
    out : ndarray, optional
        Takes the result and is returned: its exact shape and dtype, any strides. It may share memory with an input.

    Returns
    -------
    ndarray, shape (K, C / groups, R, S)
        With ``data_format="NHWC"`` (R, S, C / groups, K); for an x of shape (H, W) just (R, S). Of dtype
        ``np.result_type(x, grad)``; integers are exact, in ``np.result_type(x, grad, np.int32)``.

    Raises
    ------
    TypeError
        An argument of the wrong kind, as for `conv2d`.
    ValueError
        A grad that is not of the convolution's result shape, and whatever `conv2d` refuses.
    MemoryError
        The result or the workspace cannot be had.

    See Also
    --------
    conv2d_input_grad : the other half.

    Notes
    -----
    The gradient of the bias needs no function: it is ``grad.sum(axis=(0, 2, 3))``, with "NHWC"
    ``grad.sum(axis=(0, 1, 2))``.

    Accuracy: float32 errs by at most ``2e-6 * conv2d_weight_grad(abs(x), abs(grad), ...)``, however many images and
    pixels there are: long sums go on in float64. Pixels are added in an order that depends on the shapes alone, so the
    bits do not depend on the number of threads. float16 and bfloat16 are computed in float32 and rounded once.

    Memory: beside the result at most 64 MiB of workspace.

    References
    ----------
    .. [1] E. Georganas et al., "Anatomy of high-performance deep learning convolutions on SIMD architectures",
       arXiv:1808.05567.

    Examples
    --------
    >>> from convfast import conv2d_weight_grad
    >>> conv2d_weight_grad([[1, 2, 3], [4, 5, 6], [7, 8, 9]], [[1, 0], [0, 1]], 2)
    array([[ 6,  8],
           [12, 14]])
    """
    return _core.conv2d_weight_grad(
        x, grad, kernel_size, stride, padding, dilation, groups, data_format, padding_mode, precision, out
    )


def max_pool2d_grad(
    grad, x, kernel_size, *, stride=None, padding=0, dilation=1, ceil_mode=False, data_format="NCHW", out=None
):
    """The gradient of ``sum(grad * max_pool2d(x, ...))`` with respect to x.

    Every number of `grad` goes to the cell that its window's maximum came from.

    Parameters
    ----------
    grad : array_like, shape (N, C, P, Q)
        What comes back from behind the pooling, in the shape of its result.
    x : array_like, shape (N, C, H, W), (C, H, W) or (H, W)
        What the pooling was given. The maxima are looked up again.
    kernel_size, stride, padding, dilation, ceil_mode, data_format
        Those of the pooling, see `max_pool2d`.
    out : ndarray, optional
        Takes the result and is returned: its exact shape and dtype, any strides. It may share memory with an input.

    Returns
    -------
    ndarray, shape of x
        Of the dtype of `grad`; integers exact, in ``np.result_type(grad, np.int32)``.

    Raises
    ------
    TypeError
        An argument of the wrong kind.
    ValueError
        A grad that is not of the pooling's result shape, and whatever `max_pool2d` refuses.
    MemoryError
        The result or the workspace cannot be had.

    Notes
    -----
    Of equal values, and of several NaN, the first in row-major order takes all, as `max_pool2d` with
    ``return_indices=True`` says. Where windows overlap, sums are formed in float64 and rounded once. The bits do not
    depend on the batch, the number of threads or the memory layout. Memory: beside the result at most 64 MiB.

    Examples
    --------
    >>> from convfast import max_pool2d_grad
    >>> max_pool2d_grad([[1, 2], [3, 4]], [[1, 2, 3], [4, 9, 6], [7, 8, 9]], 2, stride=1)
    array([[ 0,  0,  0],
           [ 0, 10,  0],
           [ 0,  0,  0]])
    """
    return _core.max_pool2d_grad(grad, x, kernel_size, stride, padding, dilation, ceil_mode, data_format, out)


def avg_pool2d_grad(
    grad,
    input_shape,
    kernel_size,
    *,
    stride=None,
    padding=0,
    ceil_mode=False,
    count_include_pad=None,
    divisor_override=None,
    data_format="NCHW",
    out=None,
):
    """The gradient of ``sum(grad * avg_pool2d(x, ...))`` with respect to x.

    Every number of `grad`, divided by the cells that its window counts, goes to each cell of the window.

    Parameters
    ----------
    grad : array_like, shape (N, C, P, Q)
        What comes back from behind the pooling, in the shape of its result.
    input_shape : tuple of int
        The shape of x.
    kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override, data_format
        Those of the pooling, see `avg_pool2d`.
    out : ndarray, optional
        Takes the result and is returned: its exact shape and dtype, any strides. It may share memory with `grad`.

    Returns
    -------
    ndarray, shape `input_shape`
        Of the dtype of `grad`; float64 for integers and bool.

    Raises
    ------
    TypeError
        An argument of the wrong kind.
    ValueError
        A grad that is not of the pooling's result shape, and whatever `avg_pool2d` refuses.
    MemoryError
        The result or the workspace cannot be had.

    Notes
    -----
    Sums are formed in float64 and rounded once. The bits do not depend on the batch, the number of threads or the
    memory layout. Memory: beside the result at most 64 MiB.

    Examples
    --------
    >>> from convfast import avg_pool2d_grad
    >>> avg_pool2d_grad([[4, 8], [12, 16]], (3, 3), 2, stride=1)
    array([[ 1.,  3.,  2.],
           [ 4., 10.,  6.],
           [ 3.,  7.,  4.]])
    """
    return _core.avg_pool2d_grad(
        grad, input_shape, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override, data_format,
        out,
    )  # fmt: skip
