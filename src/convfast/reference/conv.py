"""Convolutions, their transposes and gradients."""

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
    padding_sides,
    pair,
    quiet,
    row_padding,
    span,
    taps,
    to_nchw,
)


def conv2d(
    x, w, bias=None, *, stride=1, padding=0, dilation=1, groups=1, data_format="NCHW", padding_mode="constant",
    activation=None, precision=None, algorithm="auto",
):  # fmt: skip
    """Cross-correlate images with filters.

    ::

        y[n,k,p,q] = bias[k]
            + sum_{c,r,s} x[n, c, p*stride + r*dilation - top, q*stride + s*dilation - left] * w[k,c,r,s]

    With groups, filter k sees the channels of its own group only. `precision` and `algorithm` change nothing here.

    Examples
    --------
    >>> conv2d([[1, 2, 3], [4, 5, 6], [7, 8, 9]], [[1, 0], [0, 1]])
    array([[ 6,  8],
           [12, 14]])
    """
    x, w = as_numbers(x), as_numbers(w)
    images, filters = _operands(x, w, x.ndim, data_format)
    N, C, H, W = images.shape
    K, _, R, S = filters.shape
    _check_groups(C, filters, groups)
    windows = Windows((H, W), (R, S), stride, padding, dilation)
    padded = _grouped(pad_planes(images, windows.sides, padding_mode), groups)
    filters = filters.reshape(groups, K // groups, C // groups, R, S)
    y = np.zeros((N, groups, K // groups, *windows.out), images.dtype)
    with quiet():
        for r, s, seen in windows.taps():
            y += np.einsum("ngcpq,gkc->ngkpq", padded[seen], filters[..., r, s])
        y = _finish(y.reshape(N, K, *windows.out), bias, np.result_type(x.dtype, w.dtype), x.ndim, activation)
    return from_nchw(y, x.ndim, data_format)


def conv2d_loops(x, w, bias=None, *, stride=1, padding=0, dilation=1, groups=1):
    """The same as seven nested loops, for x (N, C, H, W), w (K, C/groups, R, S) and zeros around.

    Examples
    --------
    >>> conv2d_loops([[[[1, 2, 3], [4, 5, 6], [7, 8, 9]]]], [[[[1, 0], [0, 1]]]])
    array([[[[ 6,  8],
             [12, 14]]]])
    """
    x, w = as_numbers(x), as_numbers(w)
    result_type = np.result_type(x.dtype, w.dtype)
    x, w = _operands(x, w, 4, "NCHW")
    N, C, H, W = x.shape
    K, _, R, S = w.shape
    _check_groups(C, w, groups)
    windows = Windows((H, W), (R, S), stride, padding, dilation)
    (P, Q), (step_h, step_w), (dilation_h, dilation_w) = windows.out, windows.stride, windows.dilation
    x = pad_planes(x, windows.sides)
    y = np.zeros((N, K, P, Q), x.dtype)
    with quiet():
        for n in range(N):
            for k in range(K):
                first = k // (K // groups) * (C // groups)  # the first channel of the group of k
                for p in range(P):
                    for q in range(Q):
                        for c in range(C // groups):
                            for r in range(R):
                                for s in range(S):
                                    h = p * step_h + r * dilation_h
                                    v = q * step_w + s * dilation_w
                                    y[n, k, p, q] += x[n, first + c, h, v] * w[k, c, r, s]
        return _finish(y, bias, result_type, 4, None)


def conv1d(
    x, w, bias=None, *, stride=1, padding=0, dilation=1, groups=1, data_format="NCHW", padding_mode="constant",
    activation=None, precision=None, algorithm="auto",
):  # fmt: skip
    """Cross-correlate signals (N, C, L), (C, L) or (L,) with filters (K, C/groups, S) or (S,).

    ::

        y[n,k,q] = bias[k] + sum_{c,s} x[n, c, q*stride + s*dilation - left] * w[k,c,s]

    With "NHWC" (N, L, C), (L, C) and (S, C/groups, K).

    Examples
    --------
    >>> conv1d([1, 2, 3, 4], [1, 1, 1], stride=2, padding="same")
    array([6, 7])
    >>> conv1d([1, 2, 3, 4], [1, 1, 1], stride=2, padding="same_lower")
    array([3, 9])
    """
    w = np.asarray(w)
    y = conv2d(
        as_row(x, data_format), np.expand_dims(w, 0 if data_format == "NHWC" else -2), bias,
        stride=(1, stride), padding=row_padding(padding), dilation=(1, dilation), groups=groups,
        data_format=data_format, padding_mode=padding_mode, activation=activation,
    )  # fmt: skip
    return from_row(y, data_format)


def conv_transpose2d(
    x, w, bias=None, *, stride=1, padding=0, output_padding=0, dilation=1, groups=1, data_format="NCHW",
    activation=None, precision=None,
):  # fmt: skip
    """Spread every pixel over the window that a convolution would have read: the adjoint of `conv2d`.

    ::

        y[n, k, h*stride + r*dilation - top, w*stride + s*dilation - left] += x[n,c,h,w] * w[c,k,r,s]

    on a plane of `(H-1)*stride - top - bottom + dilation*(R-1) + 1 + output_padding` rows of `bias[k]`; what falls
    outside is dropped. Words for `padding` are those of the convolution, with "same" from `H*stride` rows to H.

    Examples
    --------
    >>> conv_transpose2d([[1, 2], [3, 4]], [[1, 1], [1, 1]], stride=2)
    array([[1, 1, 2, 2],
           [1, 1, 2, 2],
           [3, 3, 4, 4],
           [3, 3, 4, 4]])
    """
    x, w = as_numbers(x), as_numbers(w)
    images, filters = _operands(x, w, x.ndim, data_format)
    N, C, H, W = images.shape
    _, per_group, R, S = filters.shape
    K = per_group * groups
    if filters.shape[0] != C or groups < 1 or C % groups:
        raise ValueError(f"x has {C} channels, w {filters.shape[0]}, groups={groups}")
    if H == 0 or W == 0:
        raise ValueError(f"cannot transpose a convolution with an empty output, x.shape={x.shape}")
    kernel, stride, dilation = pair((R, S), "w"), pair(stride, "stride"), pair(dilation, "dilation")
    extra = pair(output_padding, "output_padding", least=0)
    grown = (H * stride[0], W * stride[1])
    (top, bottom), (left, right) = padding_sides(padding, grown, kernel, stride, dilation)
    if min(top, bottom, left, right) < 0:
        raise ValueError(f"padding must not be negative, got {padding!r}")
    if isinstance(padding, str) and padding.lower() in ("same", "same_lower"):
        if extra != (0, 0):
            raise ValueError("padding='same' leaves no choice of output_padding")
        # Windows shorter than the stride leave a gap below the last pixel too.
        extra = tuple(max(step - span(k, d), 0) for step, k, d in zip(stride, kernel, dilation, strict=True))
    axes = zip((H, W), stride, kernel, dilation, extra, strict=True)
    rows, columns = ((count - 1) * step + span(k, d) + e for count, step, k, d, e in axes)  # with the padding
    if rows - top - bottom < 1 or columns - left - right < 1:
        raise ValueError(f"the output would be empty: {rows} - {top} - {bottom} x {columns} - {left} - {right}")
    with quiet():
        y = _spread(images, filters, taps(kernel, stride, dilation, (H, W)), (rows, columns), groups)
        y = y[:, :, top : rows - bottom, left : columns - right]
        y = _finish(y, bias, np.result_type(x.dtype, w.dtype), x.ndim, activation)
    return from_nchw(y.reshape(N, K, *y.shape[2:]), x.ndim, data_format)


def conv2d_input_grad(
    grad, w, input_shape, *, stride=1, padding=0, dilation=1, groups=1, data_format="NCHW", padding_mode="constant",
    precision=None,
):  # fmt: skip
    """The gradient of `sum(grad * conv2d(x, w))` with respect to x.

    ::

        dx[n, c, p*stride + r*dilation - top, q*stride + s*dilation - left] += grad[n,k,p,q] * w[k,c,r,s]

    What falls on the padding goes to the cell from which the padding was copied, or with zeros nowhere.

    Examples
    --------
    >>> conv2d_input_grad([[1, 2], [3, 4]], [[1, 0], [0, 1]], (3, 3))
    array([[1, 2, 0],
           [3, 5, 2],
           [0, 3, 4]])
    """
    grad, w = as_numbers(grad), as_numbers(w)
    N, C, H, W = nchw_shape(input_shape, data_format)
    grads, filters = _operands(grad, w, len(input_shape), data_format)
    K, _, R, S = filters.shape
    _check_groups(C, filters, groups)
    windows = Windows((H, W), (R, S), stride, padding, dilation)
    _check_grad(grads, (N, K, *windows.out))
    rows, columns = (size + before + after for size, (before, after) in zip((H, W), windows.sides, strict=True))
    with quiet():
        padded = _spread(grads, filters, windows.taps(), (rows, columns), groups)
        for axis, size, side in zip((2, 3), (H, W), windows.sides, strict=True):
            padded = _fold(padded, axis, size, side, padding_mode)
    return from_nchw(padded, len(input_shape), data_format)


def conv2d_weight_grad(
    x, grad, kernel_size, *, stride=1, padding=0, dilation=1, groups=1, data_format="NCHW", padding_mode="constant",
    precision=None,
):  # fmt: skip
    """The gradient of `sum(grad * conv2d(x, w))` with respect to w.

    ::

        dw[k,c,r,s] = sum_{n,p,q} grad[n,k,p,q] * x[n, c, p*stride + r*dilation - top, q*stride + s*dilation - left]

    Examples
    --------
    >>> conv2d_weight_grad([[1, 2, 3], [4, 5, 6], [7, 8, 9]], [[1, 0], [0, 1]], 2)
    array([[ 6,  8],
           [12, 14]])
    """
    x, grad = as_numbers(x), as_numbers(grad)
    dtype = exact_dtype(x, grad)
    if x.ndim != grad.ndim:
        raise ValueError(f"x and grad must have the same rank, got {x.shape} and {grad.shape}")
    images, grads = to_nchw(x, data_format).astype(dtype), to_nchw(grad, data_format).astype(dtype)
    N, C, H, W = images.shape
    K = grads.shape[1]
    if groups < 1 or C % groups or K % groups:
        raise ValueError(f"groups={groups} must divide {C} and {K} channels")
    windows = Windows((H, W), kernel_size, stride, padding, dilation)
    _check_grad(grads, (N, K, *windows.out))
    padded = _grouped(pad_planes(images, windows.sides, padding_mode), groups)
    grads = _grouped(grads, groups)
    dw = np.zeros((groups, K // groups, C // groups, *windows.kernel), dtype)
    with quiet():
        for r, s, seen in windows.taps():
            dw[..., r, s] = np.einsum("ngkpq,ngcpq->gkc", grads, padded[seen])
    dw = dw.reshape(K, C // groups, *windows.kernel)
    if x.ndim == 2:
        return dw[0, 0]
    return dw.transpose(2, 3, 1, 0) if data_format == "NHWC" else dw


def conv2d_output_shape(x_shape, w_shape, *, stride=1, padding=0, dilation=1, groups=1, data_format="NCHW"):
    """The shape of `conv2d(x, w)`: `P = floor((H + top + bottom - dilation*(R-1) - 1) / stride) + 1`.

    Examples
    --------
    >>> conv2d_output_shape((3, 227, 227), (96, 3, 11, 11), stride=4)
    (96, 55, 55)
    """
    N, C, H, W = nchw_shape(x_shape, data_format)
    filters = _to_kcrs(np.broadcast_to(0, w_shape), len(x_shape), data_format)
    K, _, R, S = filters.shape
    _check_groups(C, filters, groups)
    P, Q = Windows((H, W), (R, S), stride, padding, dilation).out
    if len(x_shape) == 2:
        return P, Q
    shape = (N, P, Q, K) if data_format == "NHWC" else (N, K, P, Q)
    return shape[4 - len(x_shape) :]


def _to_kcrs(w, rank, data_format):
    """View the filters for an x of that rank as (K, C/groups, R, S)."""
    if w.ndim != (2 if rank == 2 else 4):
        raise ValueError(f"x of rank {rank} does not go with w of shape {w.shape}")
    if rank == 2:
        return w[None, None]
    return w.transpose(3, 2, 0, 1) if data_format == "NHWC" else w


def _operands(x, w, rank, data_format):
    """Images (N, C, H, W) and filters (K, C/groups, R, S) in the type in which the sums are formed."""
    if x.ndim != rank:
        raise ValueError(f"expected an array of rank {rank}, got shape {x.shape}")
    dtype = exact_dtype(x, w)
    return to_nchw(x, data_format).astype(dtype), _to_kcrs(w, rank, data_format).astype(dtype)


def _grouped(x, groups):
    """(N, C, H, W) as (N, groups, C/groups, H, W)."""
    N, C, H, W = x.shape
    return x.reshape(N, groups, C // groups, H, W)


def _check_groups(C, filters, groups):
    if groups < 1 or filters.shape[0] % groups or filters.shape[1] * groups != C:
        raise ValueError(f"x has {C} channels, filters (K, C/groups, R, S) = {filters.shape}, groups={groups}")


def _check_grad(grads, expected):
    if grads.shape != expected:
        raise ValueError(f"grad must have (N, K, P, Q) = {expected}, got {grads.shape}")


def _spread(grads, filters, taps, plane, groups):
    """Add `grad[n,k,p,q] * w[k,c,r,s]` to the cell of the (padded) plane that window (p, q) saw at (r, s)."""
    N = grads.shape[0]
    K, per_group, R, S = filters.shape
    grads = _grouped(grads, groups)
    filters = filters.reshape(groups, K // groups, per_group, R, S)
    dx = np.zeros((N, groups, per_group, *plane), grads.dtype)
    for r, s, seen in taps:
        dx[seen] += np.einsum("ngkpq,gkc->ngcpq", grads, filters[..., r, s])
    return dx.reshape(N, groups * per_group, *plane)


def _fold(padded, axis, size, side, mode):
    """The adjoint of padding one axis: add the value of every cell to the cell from which it was copied."""
    padded = np.moveaxis(padded, axis, 0)
    if mode == "constant":
        folded = padded[side[0] : side[0] + size]
    else:
        folded = np.zeros((size, *padded.shape[1:]), padded.dtype)
        origin = pad_planes(np.arange(size)[None], ((0, 0), side), mode)[0]
        np.add.at(folded, origin, padded)
    return np.moveaxis(folded, 0, axis)


def _finish(y, bias, dtype, rank, activation):
    """Add the bias, rounded to the type that a caller's result would have, and apply the activation."""
    if bias is not None:
        bias = np.asarray(bias)
        K = y.shape[1]
        if bias.shape != (K,) and not (rank == 2 and bias.shape == ()):
            raise ValueError(f"bias must have shape ({K},), got {bias.shape}")
        bias = bias.astype(y.dtype if y.dtype.kind in "iu" else dtype).astype(y.dtype)
        y = y + bias.reshape(-1, 1, 1)
    if activation is None:
        return y
    if activation == "relu":
        return np.maximum(y, 0)
    if activation == "relu6":
        return np.minimum(np.maximum(y, 0), 6)
    raise ValueError(f"activation must be None, 'relu' or 'relu6', got {activation!r}")
