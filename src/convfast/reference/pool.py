"""Pooling: the largest or the mean value of every window."""

import numpy as np

from ._geometry import (
    Windows,
    as_numbers,
    as_row,
    exact_dtype,
    from_nchw,
    from_row,
    nchw_shape,
    pad_planes,
    pair,
    quiet,
    row_padding,
    to_nchw,
)


def max_pool2d(
    x, kernel_size, *, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False, data_format="NCHW"
):
    """The largest value of every window.

    ::

        y[n,c,p,q] = max_{r,s} x[n, c, p*stride + r*dilation - top, q*stride + s*dilation - left]

    Padding is never chosen, NaN always. The index `h*W + w` is that of the first of equals (and of several NaN) in
    row-major order. A window that meets padding only, as dilation allows, gives the least value and the index -1.

    Examples
    --------
    >>> max_pool2d([[1, 2, 3], [4, 5, 6], [7, 8, 9]], 2, stride=1)
    array([[5, 6],
           [8, 9]])
    """
    x = as_numbers(x)
    planes = to_nchw(x, data_format)
    best, index = _max(planes, _windows(planes, kernel_size, stride, padding, dilation, ceil_mode))
    y = from_nchw(best, x.ndim, data_format)
    return (y, from_nchw(index, x.ndim, data_format)) if return_indices else y


def avg_pool2d(
    x, kernel_size, *, stride=None, padding=0, ceil_mode=False, count_include_pad=None, divisor_override=None,
    data_format="NCHW",
):  # fmt: skip
    """The mean of every window.

    ::

        y[n,c,p,q] = sum_{r,s} x[n, c, p*stride + r - top, q*stride + s - left] / cells(p, q)

    `cells` is `divisor_override`, or the number of cells of the window that lie in the plane or, with
    `count_include_pad` (by default where the padding is given as numbers), in the padded plane.

    Examples
    --------
    >>> avg_pool2d([[1, 2], [3, 4]], 2)
    array([[2.5]])
    >>> avg_pool2d([[4]], 2, stride=1, padding=1)
    array([[1., 1.],
           [1., 1.]])
    >>> avg_pool2d([[4]], 2, stride=1, padding="full")
    array([[4., 4.],
           [4., 4.]])
    """
    x = as_numbers(x)
    planes = to_nchw(x, data_format).astype(np.float64)
    windows = _windows(planes, kernel_size, stride, padding, 1, ceil_mode)
    padded = pad_planes(planes, windows.cover)
    with quiet():
        total = sum(padded[seen] for _, _, seen in windows.taps())
        y = total / _cells(windows, padding, count_include_pad, divisor_override)
    return from_nchw(y, x.ndim, data_format)


def max_pool1d(
    x, kernel_size, *, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False, data_format="NCHW"
):
    """`max_pool2d` of signals (N, C, L), (C, L) or (L,), with "NHWC" (N, L, C) or (L, C).

    Examples
    --------
    >>> max_pool1d([1, 3, 2, 5, 4], 2)
    array([3, 5])
    """
    best, index = max_pool2d(
        as_row(x, data_format), (1, kernel_size), stride=(1, kernel_size if stride is None else stride),
        padding=row_padding(padding), dilation=(1, dilation), ceil_mode=ceil_mode, return_indices=True,
        data_format=data_format,
    )  # fmt: skip
    best, index = from_row(best, data_format), from_row(index, data_format)
    return (best, index) if return_indices else best


def avg_pool1d(
    x, kernel_size, *, stride=None, padding=0, ceil_mode=False, count_include_pad=None, divisor_override=None,
    data_format="NCHW",
):  # fmt: skip
    """`avg_pool2d` of signals (N, C, L), (C, L) or (L,), with "NHWC" (N, L, C) or (L, C).

    Examples
    --------
    >>> avg_pool1d([1, 3, 2, 5], 2)
    array([2. , 3.5])
    """
    y = avg_pool2d(
        as_row(x, data_format), (1, kernel_size), stride=(1, kernel_size if stride is None else stride),
        padding=row_padding(padding), ceil_mode=ceil_mode, count_include_pad=count_include_pad,
        divisor_override=divisor_override, data_format=data_format,
    )  # fmt: skip
    return from_row(y, data_format)


def global_max_pool2d(x, *, keepdims=True, data_format="NCHW"):
    """`y[n,c] = max_{h,w} x[n,c,h,w]`, with axes of length one for h and w if `keepdims`.

    Examples
    --------
    >>> global_max_pool2d([[1, 2], [3, 4]])
    array([[4]])
    """
    return _global(adaptive_max_pool2d(x, 1, data_format=data_format), keepdims, data_format)


def global_avg_pool2d(x, *, keepdims=True, data_format="NCHW"):
    """`y[n,c] = sum_{h,w} x[n,c,h,w] / (H * W)`, with axes of length one for h and w if `keepdims`.

    Examples
    --------
    >>> global_avg_pool2d([[1, 2], [3, 4]])
    array([[2.5]])
    """
    return _global(adaptive_avg_pool2d(x, 1, data_format=data_format), keepdims, data_format)


def adaptive_max_pool2d(x, output_size, *, data_format="NCHW"):
    """The largest values of P x Q windows that cover the plane: rows `floor(p*H/P)` to `ceil((p+1)*H/P)`, exclusive.

    Examples
    --------
    >>> adaptive_max_pool2d([[1, 2, 3], [4, 5, 6], [7, 8, 9]], 2)
    array([[5, 6],
           [8, 9]])
    """
    x = as_numbers(x)
    return from_nchw(_adaptive(np.max, to_nchw(x, data_format), output_size), x.ndim, data_format)


def adaptive_avg_pool2d(x, output_size, *, data_format="NCHW"):
    """The means of P x Q windows that cover the plane: rows `floor(p*H/P)` to `ceil((p+1)*H/P)`, exclusive.

    Examples
    --------
    >>> adaptive_avg_pool2d([[1, 2, 3], [4, 5, 6], [7, 8, 9]], 2)
    array([[3., 4.],
           [6., 7.]])
    """
    x = as_numbers(x)
    planes = to_nchw(x, data_format).astype(np.float64)
    return from_nchw(_adaptive(np.mean, planes, output_size), x.ndim, data_format)


def spatial_pyramid_pool2d(x, levels=(4, 2, 1), *, mode="max", data_format="NCHW"):
    """Images of any size as equally long vectors: adaptive pooling to each level, flattened as (C, level, level).

    Examples
    --------
    >>> spatial_pyramid_pool2d([[1, 2], [3, 4]], levels=(2, 1))
    array([1, 2, 3, 4, 4])
    """
    x = as_numbers(x)
    if mode not in ("max", "avg"):
        raise ValueError(f"mode must be 'max' or 'avg', got {mode!r}")
    pool = adaptive_max_pool2d if mode == "max" else adaptive_avg_pool2d
    planes = to_nchw(x, data_format)
    N, C = planes.shape[:2]
    y = np.concatenate([pool(planes, level).reshape(N, C * level * level) for level in levels], axis=1)
    return y if x.ndim == 4 else y[0]


def max_pool2d_grad(grad, x, kernel_size, *, stride=None, padding=0, dilation=1, ceil_mode=False, data_format="NCHW"):
    """The gradient of `sum(grad * max_pool2d(x, ...))` with respect to x: `dx[index[n,c,p,q]] += grad[n,c,p,q]`.

    Examples
    --------
    >>> max_pool2d_grad([[1, 2], [3, 4]], [[1, 2, 3], [4, 9, 6], [7, 8, 9]], 2, stride=1)
    array([[ 0,  0,  0],
           [ 0, 10,  0],
           [ 0,  0,  0]])
    """
    grad, x = as_numbers(grad), as_numbers(x)
    planes, grads = to_nchw(x, data_format), to_nchw(grad, data_format)
    _, index = _max(planes, _windows(planes, kernel_size, stride, padding, dilation, ceil_mode))
    _check_grad(grad, grads, x.ndim, index.shape)
    N, C, H, W = planes.shape
    dx = np.zeros((N, C, H * W), exact_dtype(grad))
    n, c, p, q = np.nonzero(index >= 0)
    with quiet():
        np.add.at(dx, (n, c, index[n, c, p, q]), grads[n, c, p, q])
    return from_nchw(dx.reshape(N, C, H, W), x.ndim, data_format)


def avg_pool2d_grad(
    grad, input_shape, kernel_size, *, stride=None, padding=0, ceil_mode=False, count_include_pad=None,
    divisor_override=None, data_format="NCHW",
):  # fmt: skip
    """The gradient of `sum(grad * avg_pool2d(x, ...))` with respect to x.

    ::

        dx[n, c, p*stride + r - top, q*stride + s - left] += grad[n,c,p,q] / cells(p, q)

    Examples
    --------
    >>> avg_pool2d_grad([[4, 8], [12, 16]], (3, 3), 2, stride=1)
    array([[ 1.,  3.,  2.],
           [ 4., 10.,  6.],
           [ 3.,  7.,  4.]])
    """
    grad = as_numbers(grad)
    grads = to_nchw(grad, data_format).astype(np.float64)
    planes = np.zeros(nchw_shape(input_shape, data_format))
    windows = _windows(planes, kernel_size, stride, padding, 1, ceil_mode)
    _check_grad(grad, grads, len(input_shape), (*planes.shape[:2], *windows.out))
    padded = pad_planes(planes, windows.cover)
    with quiet():
        share = grads / _cells(windows, padding, count_include_pad, divisor_override)
        for _, _, seen in windows.taps():
            padded[seen] += share
    return from_nchw(_plane_of(padded, windows), len(input_shape), data_format)


def local_max_sum2d(x, size=3, *, data_format="NCHW"):
    """At every local maximum the sum over its window, elsewhere 0.

    A cell is a local maximum if it equals the largest value of the `size` window around it, clipped at the border.
    A window with a NaN has no largest value: its result is NaN.

    Examples
    --------
    >>> local_max_sum2d([[0, 1, 0, 0], [2, 5, 1, 0], [0, 1, 0, 3]])
    array([[ 0,  0,  0,  0],
           [ 0, 10,  0,  0],
           [ 0,  0,  0,  4]])
    """
    x = as_numbers(x)
    size = pair(size, "size")
    if size[0] % 2 == 0 or size[1] % 2 == 0:
        raise ValueError(f"size must be odd, got {size}")
    planes = to_nchw(x, data_format)
    windows = _windows(planes, size, 1, "same", 1, False)
    best, _ = _max(planes, windows)
    padded = pad_planes(planes.astype(exact_dtype(x)), windows.cover)
    with quiet():
        total = sum(padded[seen] for _, _, seen in windows.taps())
    y = np.where((planes == best) | np.isnan(best), total, 0)
    return from_nchw(y, x.ndim, data_format)


def _windows(planes, kernel_size, stride, padding, dilation, ceil_mode):
    """The windows of a pooling, by default side by side."""
    H, W = planes.shape[2:]
    if H == 0 or W == 0:
        raise ValueError(f"cannot pool an empty plane of {(H, W)}")
    windows = Windows((H, W), kernel_size, kernel_size if stride is None else stride, padding, dilation, ceil_mode)
    for sides, kernel, step in zip(windows.sides, windows.kernel, windows.dilation, strict=True):
        if max(sides) > step * (kernel - 1):
            raise ValueError(f"padding {windows.sides} must stay below the window {windows.kernel}")
    return windows


def _max(planes, windows):
    """The largest value of every window, and its position `h*W + w` in the plane."""
    H, W = windows.plane
    padded = pad_planes(planes, windows.cover)
    position = np.arange(H * W, dtype=np.int64).reshape(H, W)
    position = pad_planes(position, windows.cover, value=-1)  # there is no such cell
    shape = planes.shape[:2] + windows.out
    best, index = np.full(shape, _least(planes.dtype)), np.full(shape, -1)
    for _, _, seen in windows.taps():
        value, place = padded[seen], position[seen]
        with quiet():
            better = (value > best) | (np.isnan(value) & ~np.isnan(best)) | (index == -1)
        chosen = better & (place >= 0)
        best, index = np.where(chosen, value, best), np.where(chosen, place, index)
    return best, index


def _least(dtype):
    """The least value of a number type."""
    if dtype.kind in "iu":
        return dtype.type(np.iinfo(dtype).min)
    return dtype.type(False if dtype.kind == "b" else -np.inf)


def _cells(windows, padding, count_include_pad, divisor_override):
    """By what the sum of every window is divided, (P, Q)."""
    if divisor_override is not None:
        if divisor_override == 0:
            raise ValueError("divisor_override must not be zero")
        return np.full(windows.out, float(divisor_override))
    if count_include_pad is None:
        count_include_pad = not isinstance(padding, str)
    counted = pad_planes(np.ones(windows.plane), windows.sides, value=1 if count_include_pad else 0)
    beyond = [(0, longer[1] - side[1]) for longer, side in zip(windows.cover, windows.sides, strict=True)]
    counted = pad_planes(counted, beyond)  # what ceil_mode adds is never counted
    return sum(counted[seen] for _, _, seen in windows.taps())


def _plane_of(padded, windows):
    """What is left of a covering plane without its padding."""
    (H, W), ((top, _), (left, _)) = windows.plane, windows.cover
    return padded[:, :, top : top + H, left : left + W]


def _adaptive(reduce, planes, output_size):
    """`reduce` every one of the P x Q windows of an adaptive pooling."""
    N, C, H, W = planes.shape
    P, Q = pair(output_size, "output_size")
    if H == 0 or W == 0:
        raise ValueError(f"cannot pool an empty plane of {(H, W)}")
    y = np.empty((N, C, P, Q), planes.dtype)
    with quiet():
        for p in range(P):
            for q in range(Q):
                rows = slice(p * H // P, -(-(p + 1) * H // P))  # -(-a // b) is ceil(a / b)
                columns = slice(q * W // Q, -(-(q + 1) * W // Q))
                y[:, :, p, q] = reduce(planes[:, :, rows, columns], axis=(2, 3))
    return y


def _global(y, keepdims, data_format):
    """Drop the axes h and w of length one, unless they are to be kept."""
    if keepdims:
        return y
    return y.squeeze((-3, -2) if data_format == "NHWC" and y.ndim > 2 else (-2, -1))


def _check_grad(grad, grads, rank, expected):
    if grad.ndim != rank or grads.shape != expected:
        raise ValueError(f"grad must have (N, C, P, Q) = {expected} in rank {rank}, got {grad.shape}")
