"""Padding, cropping, and windows as columns."""

import numpy as np

from ._geometry import (
    Windows,
    as_numbers,
    check_format,
    exact_dtype,
    from_nchw,
    pad_planes,
    padding_sides,
    pair,
    quiet,
    to_nchw,
)


def pad2d(
    x, padding, *, mode="constant", value=0, interior=0, kernel_size=None, stride=1, dilation=1, data_format="NCHW"
):
    """Put `interior` values between neighbours, crop where `padding` is negative, pad where it is positive.

    ::

        y[n, c, top + h*(interior+1), left + w*(interior+1)] = x[n,c,h,w]        (mode "constant", elsewhere `value`)

    A word for `padding` is what windows of `kernel_size`, `stride` and `dilation` need.

    Examples
    --------
    >>> pad2d([[1, 2], [3, 4]], ((0, 1), (-1, 1)), value=9)
    array([[2, 9],
           [4, 9],
           [9, 9]])
    >>> pad2d([[1, 2, 3]], (0, 2), mode="reflect")
    array([[3, 2, 1, 2, 3, 2, 1]])
    >>> pad2d([[1, 2, 3]], 0, interior=(0, 1))
    array([[1, 0, 2, 0, 3]])
    """
    x = as_numbers(x)
    planes = to_nchw(x, data_format)
    gap_h, gap_w = pair(interior, "interior", least=0)
    if (gap_h or gap_w) and mode != "constant":
        raise ValueError(f"interior needs mode='constant', got {mode!r}")
    N, C, H, W = planes.shape
    spread = np.full((N, C, max(H + (H - 1) * gap_h, 0), max(W + (W - 1) * gap_w, 0)), value, planes.dtype)
    spread[:, :, :: gap_h + 1, :: gap_w + 1] = planes

    kernel = (1, 1) if kernel_size is None else pair(kernel_size, "kernel_size")
    if kernel_size is None and isinstance(padding, str) and padding.lower() != "valid":
        raise ValueError(f"padding={padding!r} needs kernel_size")
    H, W = spread.shape[2:]
    (top, bottom), (left, right) = padding_sides(
        padding, (H, W), kernel, pair(stride, "stride"), pair(dilation, "dilation")
    )
    if H + min(top, 0) + min(bottom, 0) < 0 or W + min(left, 0) + min(right, 0) < 0:
        raise ValueError(f"cannot crop {padding!r} from a plane of {(H, W)}")
    cropped = spread[:, :, max(-top, 0) : H - max(-bottom, 0), max(-left, 0) : W - max(-right, 0)]
    y = pad_planes(cropped, ((max(top, 0), max(bottom, 0)), (max(left, 0), max(right, 0))), mode, value)
    _check_plane(y)
    return from_nchw(y, x.ndim, data_format)


def crop_or_pad2d(x, size, *, data_format="NCHW"):
    """Cut the middle out of the plane, or put it in the middle of zeros: a difference d starts at `floor(d / 2)`.

    Examples
    --------
    >>> crop_or_pad2d([[1, 2, 3, 4]], (2, 3))
    array([[1, 2, 3],
           [0, 0, 0]])
    """
    x = as_numbers(x)
    planes = to_nchw(x, data_format)
    for axis, wanted in zip((2, 3), pair(size, "size"), strict=True):
        have = planes.shape[axis]
        if have >= wanted:
            start = (have - wanted) // 2
            planes = planes.take(range(start, start + wanted), axis)
        else:
            before = (wanted - have) // 2
            widths = [(0, 0)] * 4
            widths[axis] = (before, wanted - have - before)
            planes = np.pad(planes, widths)
    return from_nchw(planes, x.ndim, data_format)


def im2col(x, kernel_size, *, stride=1, padding=0, dilation=1, data_format="NCHW"):
    """Every window as a column: a convolution is then a product of matrices.

    ::

        cols[n, (c*R + r)*S + s, p*Q + q] = x[n, c, p*stride + r*dilation - top, q*stride + s*dilation - left]

    With "NHWC" every window is a row: `cols[n, p*Q + q, (r*S + s)*C + c]`. A missing N is missing in the result too.

    Examples
    --------
    >>> im2col([[1, 2, 3], [4, 5, 6]], 2)
    array([[1, 2],
           [2, 3],
           [4, 5],
           [5, 6]])
    """
    x = as_numbers(x)
    planes = to_nchw(x, data_format)
    N, C, H, W = planes.shape
    windows = Windows((H, W), kernel_size, stride, padding, dilation)
    (R, S), (P, Q) = windows.kernel, windows.out
    padded = pad_planes(planes, windows.sides)
    cols = np.empty((N, C, R, S, P, Q), planes.dtype)
    for r, s, seen in windows.taps():
        cols[:, :, r, s] = padded[seen]
    if data_format == "NHWC":
        cols = cols.transpose(0, 4, 5, 2, 3, 1).reshape(N, P * Q, R * S * C)
    else:
        cols = cols.reshape(N, C * R * S, P * Q)
    return cols if x.ndim == 4 else cols[0]


def col2im(cols, output_size, kernel_size, *, stride=1, padding=0, dilation=1, data_format="NCHW"):
    """The adjoint of `im2col`: sum the columns (N, C*R*S, P*Q) or (C*R*S, P*Q) into planes of `output_size`.

    ::

        x[n, c, p*stride + r*dilation - top, q*stride + s*dilation - left] += cols[n, (c*R + r)*S + s, p*Q + q]

    Examples
    --------
    >>> col2im([[1, 2], [2, 3], [4, 5], [5, 6]], (2, 3), 2)
    array([[[ 1,  4,  3],
            [ 4, 10,  6]]])
    """
    cols = as_numbers(cols)
    check_format(data_format)
    if cols.ndim not in (2, 3):
        raise ValueError(f"cols must have rank 2 or 3, got {cols.shape}")
    H, W = pair(output_size, "output_size")
    windows = Windows((H, W), kernel_size, stride, padding, dilation)
    (R, S), (P, Q) = windows.kernel, windows.out
    stack = cols if cols.ndim == 3 else cols[None]
    if data_format == "NHWC":
        stack = stack.transpose(0, 2, 1)
    N, rows, columns = stack.shape
    C = rows // (R * S)
    if rows != C * R * S or columns != P * Q:
        raise ValueError(f"cols of shape {cols.shape} are not {P * Q} windows of {R * S} cells")
    if data_format == "NHWC":
        stack = stack.reshape(N, R, S, C, P, Q).transpose(0, 3, 1, 2, 4, 5)
    else:
        stack = stack.reshape(N, C, R, S, P, Q)
    dtype = cols.dtype if cols.dtype.kind in "biu" else exact_dtype(cols)
    padded = pad_planes(np.zeros((N, C, H, W), dtype), windows.sides)
    with quiet():
        for r, s, seen in windows.taps():
            padded[seen] += stack[:, :, r, s]
    (top, _), (left, _) = windows.sides
    y = padded[:, :, top : top + H, left : left + W]
    return from_nchw(y, cols.ndim + 1, data_format)


def _check_plane(y):
    if 0 in y.shape[2:]:
        raise ValueError(f"the output would be empty: {y.shape}")
