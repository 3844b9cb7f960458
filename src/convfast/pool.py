"""Pooling: names, signatures and words. The work is done behind `_core`."""

from convfast import _core


def max_pool2d(
    x,
    kernel_size,
    *,
    stride=None,
    padding=0,
    dilation=1,
    ceil_mode=False,
    return_indices=False,
    data_format="NCHW",
    out=None,
):
    """The largest value of every window.

    ``y[n,c,p,q] = max_{r,s} x[n, c, p*stride + r*dilation - pad, q*stride + s*dilation - pad]``

    Parameters
    ----------
    x : array_like, shape (N, C, H, W), (C, H, W) or (H, W)
        Images; with ``data_format="NHWC"`` (N, H, W, C), (H, W, C) or (H, W). Any strides; never modified.
        bool, integers, float16, bfloat16 (of ml_dtypes), float32 or float64.
    kernel_size : int or (h, w)
        Cells of a window in each direction.
    stride : int or (h, w), optional
        Steps of the window; by default `kernel_size`.
    padding : int, (h, w), ((top, bottom), (left, right)) or str
        Cells around the plane that are never chosen, on each side fewer than the window covers. ``"valid"`` (none),
        ``"same"`` (output ``ceil(in / stride)``, an odd cell goes to the bottom or right), ``"same_lower"`` (to the top
        or left), ``"full"`` (``dilation * (kernel_size - 1)`` on every side).
    dilation : int or (h, w)
        Steps within the window.
    ceil_mode : bool
        Round the number of outputs up; a last window that would begin beyond the input and its leading padding is
        dropped.
    return_indices : bool
        Return the places of the maxima too.
    data_format : {"NCHW", "NHWC"}
    out : ndarray, optional
        Takes the result and is returned: its exact shape and dtype, any strides. It may share memory with x.

    Returns
    -------
    y : ndarray, shape (N, C, P, Q)
        In the layout, with the rank and of the dtype of x.
    indices : ndarray of int64
        With ``return_indices=True``: ``h*W + w`` in the plane without padding, of equal values (and of several NaN) the
        first in row-major order; -1 for a window without a cell, as dilation and padding allow.

    Raises
    ------
    TypeError
        An argument of the wrong kind.
    ValueError
        A plane or an output without a cell, padding as wide as the window, an unknown word, sizes too large to address.
    MemoryError
        The result or the workspace cannot be had.

    Notes
    -----
    NaN wins; a window of -inf gives -inf. The result is exact and the same on every instruction set and with any number
    of threads; of +0 and -0, which are equal, it shows the first column by column (from the left, down each column). A
    large window costs about as much as a small one: rows and columns are reduced one after the other, wide ones by
    doubling; with indices it costs the sum of its sides. Memory: beside the result at most 64 MiB of workspace.

    Examples
    --------
    >>> from convfast import max_pool2d
    >>> max_pool2d([[1, 2, 3], [4, 5, 6], [7, 8, 9]], 2, stride=1)
    array([[5, 6],
           [8, 9]])
    >>> max_pool2d([[5, 8], [7, 2]], 2, return_indices=True)
    (array([[8]]), array([[1]]))
    """
    return _core.max_pool(
        "max_pool2d", 2, x, kernel_size, stride, padding, dilation, ceil_mode, return_indices, data_format, out
    )


def max_pool1d(
    x,
    kernel_size,
    *,
    stride=None,
    padding=0,
    dilation=1,
    ceil_mode=False,
    return_indices=False,
    data_format="NCHW",
    out=None,
):
    """The largest value of every window of a signal: `max_pool2d` for (N, C, L), (C, L) or (L,).

    Parameters
    ----------
    x : array_like, shape (N, C, L), (C, L) or (L,)
        Signals; with ``data_format="NHWC"`` (N, L, C), (L, C) or (L,).
    kernel_size, stride, dilation : int
    padding : int, (left, right) or str
    ceil_mode, return_indices, data_format, out
        As for `max_pool2d`.

    Returns
    -------
    ndarray, shape (N, C, Q)
        In the layout, with the rank and of the dtype of x; with ``return_indices=True`` the places along L too.

    Raises
    ------
    TypeError, ValueError, MemoryError
        As `max_pool2d`.

    Notes
    -----
    Memory: beside the result at most 64 MiB of workspace.

    Examples
    --------
    >>> from convfast import max_pool1d
    >>> max_pool1d([1, 3, 2, 5, 4], 2)
    array([3, 5])
    """
    return _core.max_pool(
        "max_pool1d", 1, x, kernel_size, stride, padding, dilation, ceil_mode, return_indices, data_format, out
    )


def avg_pool2d(
    x,
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
    """The mean of every window.

    ``y[n,c,p,q] = sum_{r,s} x[n, c, p*stride + r - pad, q*stride + s - pad] / cells(p, q)``

    Parameters
    ----------
    x, kernel_size, stride, padding, ceil_mode, data_format, out
        As for `max_pool2d`; padding holds zeros.
    count_include_pad : bool, optional
        Whether the cells of the padding count in the mean. By default they do where `padding` is given as numbers (as
        in PyTorch) and do not where it is a word (as in TensorFlow). Cells that only `ceil_mode` adds never count.
    divisor_override : number, optional
        Divide every sum by this instead; not 0.

    Returns
    -------
    ndarray, shape (N, C, P, Q)
        In the layout and with the rank of x. Of its dtype; of float64 for integers and bool, as `numpy.mean`.

    Raises
    ------
    TypeError, ValueError, MemoryError
        As `max_pool2d`.

    Notes
    -----
    Accuracy: float32 results err by at most ``2e-6 * mean(abs(x))`` of their window, whatever its size: there are no
    running sums that drift. float16 and bfloat16 are computed in float32 and rounded once. The bits do not depend on
    the batch, the number of threads or the memory layout. Memory: beside the result at most 64 MiB of workspace.

    Examples
    --------
    >>> from convfast import avg_pool2d
    >>> avg_pool2d([[1, 2], [3, 4]], 2)
    array([[2.5]])
    >>> avg_pool2d([[4]], 2, stride=1, padding=1)
    array([[1., 1.],
           [1., 1.]])
    """
    return _core.avg_pool(
        "avg_pool2d",
        2,
        x,
        kernel_size,
        stride,
        padding,
        ceil_mode,
        count_include_pad,
        divisor_override,
        data_format,
        out,
    )


def avg_pool1d(
    x,
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
    """The mean of every window of a signal: `avg_pool2d` for (N, C, L), (C, L) or (L,).

    Parameters
    ----------
    x : array_like, shape (N, C, L), (C, L) or (L,)
        Signals; with ``data_format="NHWC"`` (N, L, C), (L, C) or (L,).
    kernel_size, stride : int
    padding : int, (left, right) or str
    ceil_mode, count_include_pad, divisor_override, data_format, out
        As for `avg_pool2d`.

    Returns
    -------
    ndarray, shape (N, C, Q)
        As `avg_pool2d`.

    Raises
    ------
    TypeError, ValueError, MemoryError
        As `max_pool2d`.

    Notes
    -----
    Memory: beside the result at most 64 MiB of workspace.

    Examples
    --------
    >>> from convfast import avg_pool1d
    >>> avg_pool1d([1, 3, 2, 5], 2)
    array([2. , 3.5])
    """
    return _core.avg_pool(
        "avg_pool1d",
        1,
        x,
        kernel_size,
        stride,
        padding,
        ceil_mode,
        count_include_pad,
        divisor_override,
        data_format,
        out,
    )


def _squeezed(y, keepdims, data_format):
    """Without the axes h and w, which have one cell each, unless they are to be kept."""
    if keepdims:
        return y
    return y.squeeze((-3, -2) if data_format == "NHWC" and y.ndim > 2 else (-2, -1))


def global_max_pool2d(x, *, keepdims=True, data_format="NCHW"):
    """The largest value of every plane.

    Parameters
    ----------
    x, data_format
        As for `max_pool2d`.
    keepdims : bool
        Keep h and w as axes of length one; else the result has the shape (N, C), (C,) or ().

    Returns
    -------
    ndarray, shape (N, C, 1, 1) or (N, C)
        Of the dtype of x. NaN wins.

    Raises
    ------
    TypeError, ValueError, MemoryError
        As `max_pool2d`.

    Notes
    -----
    Memory: beside the result at most 64 MiB of workspace.

    Examples
    --------
    >>> from convfast import global_max_pool2d
    >>> global_max_pool2d([[1, 2], [3, 4]])
    array([[4]])
    """
    return _squeezed(_core.adaptive_pool("global_max_pool2d", "max", x, 1, data_format), keepdims, data_format)


def global_avg_pool2d(x, *, keepdims=True, data_format="NCHW"):
    """The mean of every plane.

    Parameters
    ----------
    x, data_format
        As for `max_pool2d`.
    keepdims : bool
        Keep h and w as axes of length one; else the result has the shape (N, C), (C,) or ().

    Returns
    -------
    ndarray, shape (N, C, 1, 1) or (N, C)
        Of the dtype of x, of float64 for integers; as accurate as `avg_pool2d`.

    Raises
    ------
    TypeError, ValueError, MemoryError
        As `max_pool2d`.

    Notes
    -----
    Memory: beside the result at most 64 MiB of workspace.

    Examples
    --------
    >>> from convfast import global_avg_pool2d
    >>> global_avg_pool2d([[1, 2], [3, 4]])
    array([[2.5]])
    """
    return _squeezed(_core.adaptive_pool("global_avg_pool2d", "avg", x, 1, data_format), keepdims, data_format)


def adaptive_max_pool2d(x, output_size, *, data_format="NCHW"):
    """The largest values of as many windows as are asked for.

    Window p of P covers the rows ``floor(p*H/P) <= h < ceil((p+1)*H/P)``; columns alike.

    Parameters
    ----------
    x, data_format
        As for `max_pool2d`.
    output_size : int or (h, w)
        P and Q, each at least 1; more than there are cells repeats cells.

    Returns
    -------
    ndarray, shape (N, C, P, Q)
        In the layout, with the rank and of the dtype of x.

    Raises
    ------
    TypeError, ValueError, MemoryError
        As `max_pool2d`.

    Notes
    -----
    Memory: beside the result at most 64 MiB of workspace.

    Examples
    --------
    >>> from convfast import adaptive_max_pool2d
    >>> adaptive_max_pool2d([[1, 2, 3], [4, 5, 6], [7, 8, 9]], 2)
    array([[5, 6],
           [8, 9]])
    """
    return _core.adaptive_pool("adaptive_max_pool2d", "max", x, output_size, data_format)


def adaptive_avg_pool2d(x, output_size, *, data_format="NCHW"):
    """The means of as many windows as are asked for.

    Parameters
    ----------
    x, output_size, data_format
        As for `adaptive_max_pool2d`, with the same windows.

    Returns
    -------
    ndarray, shape (N, C, P, Q)
        Of the dtype of x, of float64 for integers; as accurate as `avg_pool2d`.

    Raises
    ------
    TypeError, ValueError, MemoryError
        As `max_pool2d`.

    Notes
    -----
    Memory: beside the result at most 64 MiB of workspace.

    Examples
    --------
    >>> from convfast import adaptive_avg_pool2d
    >>> adaptive_avg_pool2d([[1, 2, 3], [4, 5, 6], [7, 8, 9]], 2)
    array([[3., 4.],
           [6., 7.]])
    """
    return _core.adaptive_pool("adaptive_avg_pool2d", "avg", x, output_size, data_format)
