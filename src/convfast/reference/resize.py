"""Planes of another size."""

import numpy as np

from ._geometry import as_numbers, from_nchw, pair, quiet, to_nchw


def resize2d(x, size=None, *, scale=None, mode="nearest", align_corners=False, data_format="NCHW"):
    """Resample the plane to `size`, or to `floor(scale * (H, W))`.

    ::

        nearest    y[n,c,p,q] = x[n, c, floor(p*H/P), floor(q*W/Q)]
        bilinear   h = max((p + 1/2) * H/P - 1/2, 0), or p * (H-1)/(P-1) with align_corners (0 if P = 1)
                   t = h - floor(h)
                   y[p] = (1 - t) * x[floor(h)] + t * x[min(floor(h) + 1, H - 1)], and the same along w

    Examples
    --------
    >>> resize2d([[1, 2], [3, 4]], scale=(1, 2))
    array([[1, 1, 2, 2],
           [3, 3, 4, 4]])
    >>> resize2d([[0, 4]], (1, 4), mode="bilinear")
    array([[0., 1., 3., 4.]])
    """
    x = as_numbers(x)
    planes = to_nchw(x, data_format)
    H, W = planes.shape[2:]
    if (size is None) == (scale is None):
        raise ValueError("give either size or scale")
    if size is None:
        size = np.floor(np.multiply((H, W), scale)).astype(int)
    P, Q = pair(size, "size")
    if H == 0 or W == 0:
        raise ValueError(f"cannot resize an empty plane of {(H, W)}")
    if mode == "nearest":
        if align_corners:
            raise ValueError("align_corners needs mode='bilinear'")
        rows, columns = np.arange(P) * H // P, np.arange(Q) * W // Q
        y = planes[:, :, rows[:, None], columns]
    elif mode == "bilinear":
        y = _lines(_lines(planes.astype(np.float64), 2, P, align_corners), 3, Q, align_corners)
    else:
        raise ValueError(f"mode must be 'nearest' or 'bilinear', got {mode!r}")
    return from_nchw(y, x.ndim, data_format)


def _lines(x, axis, count, align_corners):
    """Resample one axis linearly, with the fraction t = part / whole in exact integers."""
    size = x.shape[axis]
    x = np.moveaxis(x, axis, 0)
    y = np.empty((count, *x.shape[1:]))
    for p in range(count):
        if align_corners:
            position, whole = p * (size - 1), max(count - 1, 1)
        else:
            position, whole = max((2 * p + 1) * size - count, 0), 2 * count
        h, part = divmod(position, whole)
        if part == 0:  # the neighbour, be it infinite, has no share
            y[p] = x[h]
        else:
            t = part / whole
            with quiet():
                y[p] = (1 - t) * x[h] + t * x[min(h + 1, size - 1)]
    return np.moveaxis(y, 0, axis)
