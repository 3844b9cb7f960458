"""What all functions of the law share: layouts, number types, padding, and where the windows lie."""

import numpy as np


def as_numbers(x):
    """`x` as an array in native byte order; TypeError unless it holds real numbers."""
    x = np.asarray(x)
    if x.dtype.kind in "cOSUTmM" or issubclass(x.dtype.type, np.void):
        raise TypeError(f"expected an array of real numbers, got dtype {x.dtype}")
    return x.astype(x.dtype.newbyteorder("="), copy=False)


def exact_dtype(*arrays):
    """The type in which sums are formed: float64, or for integers alone one that wraps as NumPy's does."""
    types = [array.dtype for array in arrays]
    if any(dtype.kind not in "biu" for dtype in types):
        return np.dtype(np.float64)
    dtype = np.result_type(*types, np.int32)
    if dtype.kind == "f":  # NumPy's answer to uint64 with a signed integer
        raise TypeError("uint64 has no exact common type with int32")
    return dtype


def quiet():
    """Zero times infinity is NaN and integers wrap: the answers asked for, no reason to warn."""
    return np.errstate(invalid="ignore", over="ignore")


def check_format(data_format):
    """ValueError unless there is such a layout."""
    if data_format not in ("NCHW", "NHWC"):
        raise ValueError(f"data_format must be 'NCHW' or 'NHWC', got {data_format!r}")


def to_nchw(x, data_format):
    """View `x` of rank 2, 3 or 4 as (N, C, H, W); a missing N, and the C of a single plane, become 1."""
    check_format(data_format)
    if not 2 <= x.ndim <= 4:
        raise ValueError(f"expected an array of rank 2, 3 or 4, got shape {x.shape}")
    if x.ndim == 2:
        return x[None, None]
    if x.ndim == 3:
        x = x[None]
    return x.transpose(0, 3, 1, 2) if data_format == "NHWC" else x


def from_nchw(y, rank, data_format):
    """The inverse of `to_nchw`."""
    if rank == 2:
        return y[0, 0]
    if data_format == "NHWC":
        y = y.transpose(0, 2, 3, 1)
    return y[0] if rank == 3 else y


def nchw_shape(shape, data_format):
    """(N, C, H, W) of an array of that shape."""
    return to_nchw(np.broadcast_to(0, shape), data_format).shape


def as_row(x, data_format):
    """View the signal `x`, (N, C, L) or (N, L, C) or without N or (L,), as an image of height one."""
    return np.expand_dims(x, row_axis(np.ndim(x) + 1, data_format))


def from_row(y, data_format):
    """The inverse of `as_row`."""
    return np.squeeze(y, row_axis(y.ndim, data_format))


def row_axis(rank, data_format):
    """Which axis of an image of that rank is its height."""
    return -3 if data_format == "NHWC" and rank > 2 else -2


def row_padding(padding):
    """The padding of an image of height one, from that of a signal: an int, (left, right) or a word."""
    if isinstance(padding, str):
        return padding
    if np.shape(padding) not in ((), (2,)):
        raise ValueError(f"padding must be an int, (left, right) or a word, got {padding!r}")
    left, right = np.broadcast_to(padding, 2).tolist()
    return (0, 0), (left, right)


def pair(value, name, least=1):
    """(h, w) from an int or two ints, none below `least`."""
    numbers = np.asarray(value)
    if numbers.shape not in ((), (2,)) or numbers.dtype.kind not in "iu" or numbers.min() < least:
        raise ValueError(f"{name} must be an int or (h, w), at least {least}; got {value!r}")
    h, w = np.broadcast_to(numbers, 2).tolist()
    return h, w


def span(kernel, dilation):
    """How many rows or columns a dilated window covers."""
    return dilation * (kernel - 1) + 1


def padding_sides(padding, plane, kernel, stride, dilation):
    """((top, bottom), (left, right)) from any form of `padding`, for windows on an H x W plane."""
    if isinstance(padding, str):
        word = padding.lower()
        return tuple(word_sides(word, *axis) for axis in zip(plane, kernel, stride, dilation, strict=True))
    sides = np.asarray(padding)
    if sides.shape not in ((), (2,), (2, 2)) or sides.dtype.kind not in "iu":
        raise ValueError(f"padding must be ints: one, (h, w) or ((top, bottom), (left, right)); got {padding!r}")
    if sides.shape == (2,):
        sides = sides[:, None]
    return tuple((before, after) for before, after in np.broadcast_to(sides, (2, 2)).tolist())


def word_sides(word, size, kernel, stride, dilation):
    """(before, after) along one axis."""
    if word == "valid":
        return 0, 0
    if word == "full":
        return dilation * (kernel - 1), dilation * (kernel - 1)
    if word not in ("same", "same_lower"):
        raise ValueError(f"padding must be 'valid', 'same', 'same_lower' or 'full', got {word!r}")
    out = -(-size // stride)  # ceil(size / stride)
    total = max((out - 1) * stride + span(kernel, dilation) - size, 0)
    smaller, larger = total // 2, total - total // 2
    return (smaller, larger) if word == "same" else (larger, smaller)


def pad_planes(x, sides, mode="constant", value=0):
    """Pad the last two axes, as np.pad does."""
    if mode not in ("constant", "edge", "reflect", "symmetric", "wrap"):
        raise ValueError(f"unknown padding mode {mode!r}")
    widths = [(0, 0)] * (x.ndim - 2) + list(sides)
    return np.pad(x, widths, mode, **({"constant_values": value} if mode == "constant" else {}))


class Windows:
    """The P x Q windows that a convolution or a pooling lays over a padded H x W plane.

    Window (p, q) sees the R x S cells `(p * stride + r * dilation - top, q * stride + s * dilation - left)`.

    Attributes
    ----------
    plane, kernel, stride, dilation, out : pairs of ints
        (H, W), (R, S), the steps, and (P, Q).
    sides : ((top, bottom), (left, right))
        The padding.
    cover : ((top, bottom), (left, right))
        The same, longer at the end where the last windows of `ceil_mode` need it.
    """

    def __init__(self, plane, kernel_size, stride, padding, dilation=1, ceil_mode=False):
        self.plane = plane
        self.kernel = pair(kernel_size, "kernel_size")
        self.stride = pair(stride, "stride")
        self.dilation = pair(dilation, "dilation")
        self.sides = padding_sides(padding, plane, self.kernel, self.stride, self.dilation)
        if min(map(min, self.sides)) < 0:
            raise ValueError(f"padding must not be negative, got {padding!r}")
        out, cover = [], []
        axes = zip(plane, self.sides, self.kernel, self.stride, self.dilation, strict=True)
        for size, (before, after), k, step, d in axes:
            spare = size + before + after - span(k, d)  # rows below the first window
            count = spare // step + 1
            if ceil_mode:
                count = -(-spare // step) + 1
                if (count - 1) * step >= size + before:  # it would see nothing but trailing padding
                    count -= 1
            if count < 1:
                raise ValueError(f"windows of {self.kernel} do not fit a plane of {plane} with padding {self.sides}")
            out.append(count)
            cover.append((before, after + max((count - 1) * step - spare, 0)))
        self.out, self.cover = tuple(out), tuple(cover)

    def taps(self):
        """See the function `taps`."""
        return taps(self.kernel, self.stride, self.dilation, self.out)


def taps(kernel, stride, dilation, out):
    """Every (r, s) of a window, with the cells of the padded plane that all P x Q windows see there."""
    for r in range(kernel[0]):
        for s in range(kernel[1]):
            rows, columns = (
                slice(offset * d, offset * d + (count - 1) * step + 1, step)
                for offset, d, count, step in zip((r, s), dilation, out, stride, strict=True)
            )
            yield r, s, (..., rows, columns)
