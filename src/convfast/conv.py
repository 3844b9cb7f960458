"""Convolution: names, signatures and words. The work is done behind `_core`."""

from convfast import _core
from convfast.explain import explain_conv2d


def conv2d(
    x,
    w,
    bias=None,
    *,
    stride=1,
    padding=0,
    dilation=1,
    groups=1,
    data_format="NCHW",
    padding_mode="constant",
    activation=None,
    precision=None,
    algorithm="auto",
    out=None,
):
    """Two-dimensional convolution (cross-correlation: the filter is not flipped).

    ``y[n,k,p,q] = bias[k] + sum_{c,r,s} w[k,c,r,s] * x[n, c, p*stride+r*dilation-pad, q*stride+s*dilation-pad]``

    Parameters
    ----------
    x : array_like, shape (N, C, H, W), (C, H, W) or (H, W)
        Images; with ``data_format="NHWC"`` (N, H, W, C), (H, W, C) or (H, W). Any strides; never modified.
        bool, integers, float16, bfloat16 (of ml_dtypes), float32 or float64.
    w : array_like, shape (K, C / groups, R, S)
        Filters; with ``data_format="NHWC"`` (R, S, C / groups, K); for an x of shape (H, W) just (R, S).
    bias : array_like, shape (K,), optional
        Added to each output channel; cast to the result's dtype.
    stride, dilation : int or (h, w)
        Steps of the window, and of the taps within it; at least 1.
    padding : int, (h, w), ((top, bottom), (left, right)) or str
        ``"valid"`` (none), ``"same"`` (output ``ceil(in / stride)``, an odd cell goes to the bottom or right),
        ``"same_lower"`` (to the top or left), ``"full"`` (``dilation * (size - 1)`` on every side).
    groups : int
        Divides C and K; group g of the filters sees group g of the channels. ``groups=C`` is depthwise.
    data_format : {"NCHW", "NHWC"}
    padding_mode : {"constant", "edge", "reflect", "symmetric", "wrap"}
        What stands in the padding, in the words of `numpy.pad`; "constant" is zeros.
    activation : {None, "relu", "relu6"}
        Applied to the result in the same pass.
    precision : {None, "highest", "high", "medium"}
        How exact a float32 result must be at least; None is the process-wide setting (`set_precision`).
        "high" and "medium" allow Winograd's algorithm, with which large 3x3 layers take half the time, 5x5 ones two
        thirds.
    algorithm : {"auto", "depthwise", "direct", "narrow", "winograd", "im2col"}
        "depthwise" is for filters of one input channel (``C / groups = 1``), single planes included; with NHWC for
        groups of fewer channels and filters than a vector, too.
        "narrow" is "direct" with vectors of filters for NCHW, as "direct" has with NHWC.
        "winograd" is for 3x3 and 5x5 filters with stride 1, float32, at precision "high" or "medium". Its
        members have names of their own: "F(4x4, 3x3)" and "F(2x2, 3x3)" for 3x3, "F(2x2, 5x5)" for 5x5 filters.
    out : ndarray, optional
        Takes the result and is returned: its exact shape and dtype, any strides. It may share memory with an input.

    Returns
    -------
    ndarray, shape (N, K, P, Q)
        In the layout and with the rank of x. Of dtype ``np.result_type(x, w)``; for integers
        ``np.result_type(x, w, np.int32)``, exact (int64 wraps as NumPy's does).

    Raises
    ------
    TypeError
        An argument of the wrong kind: complex or object arrays, masked arrays, a float as stride, uint64 times integer.
    ValueError
        Shapes that do not fit, an output without a cell, an unknown word, sizes too large to address.
    MemoryError
        The result, the packed filters or the workspace cannot be had.

    See Also
    --------
    Conv2D : the same with filters packed once.
    explain_conv2d : what would be done, and why.

    Notes
    -----
    Accuracy: float32 results err by at most ``2e-6 * conv2d(abs(x), abs(w), abs(bias))``, element by element (for
    magnitudes between 1e-30 and 1e30): sums are formed in short chains, which are then added. float16 and bfloat16
    are computed in float32 and rounded once. The bits of an image's result do not depend on the batch, the number of
    threads or the memory layout of the arrays. NaN and infinity reach exactly those outputs whose window holds them.

    Memory: beside the result, packed filters (about the size of w; two to five times that for Winograd's algorithm) and
    at most 64 MiB of workspace.

    References
    ----------
    .. [1] J. Zhang, F. Franchetti, T. M. Low, "High performance zero-memory overhead direct convolutions",
       arXiv:1809.10170.

    Examples
    --------
    >>> import numpy as np
    >>> from convfast import conv2d
    >>> conv2d([[1, 2, 3], [4, 5, 6], [7, 8, 9]], [[1, 0], [0, -1]])
    array([[-4, -4],
           [-4, -4]])
    >>> conv2d(np.ones((1, 3, 32, 32)), np.ones((8, 3, 5, 5)), stride=2, padding="same").shape
    (1, 8, 16, 16)
    """
    return _core.conv(
        "conv2d", 2, x, w, bias, stride, padding, dilation, groups, data_format, padding_mode, activation, precision,
        algorithm, out,
    )  # fmt: skip


def conv1d(
    x,
    w,
    bias=None,
    *,
    stride=1,
    padding=0,
    dilation=1,
    groups=1,
    data_format="NCHW",
    padding_mode="constant",
    activation=None,
    precision=None,
    algorithm="auto",
    out=None,
):
    """One-dimensional convolution: `conv2d` for signals.

    Parameters
    ----------
    x : array_like, shape (N, C, L), (C, L) or (L,)
        Signals; with ``data_format="NHWC"`` (N, L, C), (L, C) or (L,).
    w : array_like, shape (K, C / groups, S)
        Filters; with ``data_format="NHWC"`` (S, C / groups, K); for an x of shape (L,) just (S,).
    stride, dilation : int
    padding : int, (left, right) or str
    bias, groups, data_format, padding_mode, activation, precision, algorithm, out
        As for `conv2d`.

    Returns
    -------
    ndarray, shape (N, K, Q)
        In the layout and with the rank of x.

    Raises
    ------
    TypeError, ValueError, MemoryError
        As `conv2d`.

    Notes
    -----
    Accuracy and sameness of bits are those of `conv2d`. Memory: as there.

    Examples
    --------
    >>> from convfast import conv1d
    >>> conv1d([1, 2, 3, 4], [1, 1, 1], stride=2, padding="same")
    array([6, 7])
    """
    return _core.conv(
        "conv1d", 1, x, w, bias, stride, padding, dilation, groups, data_format, padding_mode, activation, precision,
        algorithm, out,
    )  # fmt: skip


class Conv2D:
    """A convolution whose filters are packed once: ``layer = Conv2D(w); y = layer(x)``.

    It copies `w` and `bias`, cannot be changed, can be pickled and shared between threads, and gives the bits that
    `conv2d` gives.

    Parameters
    ----------
    w, bias, stride, padding, dilation, groups, data_format, padding_mode, activation, algorithm
        As for `conv2d`.
    precision : {None, "highest", "high", "medium"}
        As for `conv2d`. None is the process-wide setting at the time when the layer is made; what `set_precision` says
        later does not concern it.

    Raises
    ------
    TypeError, ValueError, MemoryError
        As `conv2d`: what concerns the filters at once, what concerns an image when it is called.

    Notes
    -----
    Memory: a copy of w and bias, and w packed (see `conv2d`) for each instruction set, dtype of results and algorithm
    that a call has needed. They live as long as the layer.

    Examples
    --------
    >>> import numpy as np
    >>> from convfast import Conv2D
    >>> layer = Conv2D(np.ones((8, 3, 3, 3), np.float32), padding="same")
    >>> layer(np.ones((2, 3, 16, 16), np.float32)).shape
    (2, 8, 16, 16)
    >>> layer.output_shape((2, 3, 64, 48))
    (2, 8, 64, 48)
    """

    __slots__ = ("_layer", "_options")

    def __init__(
        self,
        w,
        bias=None,
        *,
        stride=1,
        padding=0,
        dilation=1,
        groups=1,
        data_format="NCHW",
        padding_mode="constant",
        activation=None,
        precision=None,
        algorithm="auto",
    ):
        options = {
            "stride": stride,
            "padding": padding,
            "dilation": dilation,
            "groups": groups,
            "data_format": data_format,
            "padding_mode": padding_mode,
            "activation": activation,
            "precision": _core.get_precision() if precision is None else precision,
            "algorithm": algorithm,
        }
        options = {name: _frozen(value) for name, value in options.items()}
        object.__setattr__(self, "_layer", _core.Layer(w, bias, **options))
        object.__setattr__(self, "_options", options)

    def __call__(self, x, out=None):
        """Convolve x.

        Parameters
        ----------
        x : array_like, shape (N, C, H, W), (C, H, W) or (H, W)
            As for `conv2d`; (H, W) if w is (R, S). H and W may differ from call to call.
        out : ndarray, optional
            As for `conv2d`.

        Returns
        -------
        ndarray, shape (N, K, P, Q)
            As `conv2d`: in the layout and with the rank of x.

        Raises
        ------
        TypeError, ValueError, MemoryError
            As `conv2d`; ValueError too if an `algorithm` that was asked for cannot do it.

        Notes
        -----
        Memory: beside the result at most 64 MiB of workspace; the first call of its kind packs the filters.
        """
        return self._layer(x, out)

    @property
    def w(self):
        """The filters: a read-only copy of those given."""
        return self._layer.w

    @property
    def bias(self):
        """The bias: a read-only copy, or None."""
        return self._layer.bias

    def output_shape(self, x_shape):
        """The shape of the result, without computing it.

        Parameters
        ----------
        x_shape : tuple of int
            (N, C, H, W), (C, H, W) or (H, W), with "NHWC" the channels last.

        Returns
        -------
        tuple of int

        Raises
        ------
        TypeError, ValueError
            As `conv2d_output_shape`.
        """
        words = {name: self._options[name] for name in ("stride", "padding", "dilation", "groups", "data_format")}
        return conv2d_output_shape(x_shape, self.w.shape, **words)

    def explain(self, x_shape):
        """Tell what a call would do, without computing.

        Parameters
        ----------
        x_shape : tuple of int
            As for `output_shape`. The dtype of x is taken to be that of w.

        Returns
        -------
        Explanation
            As of `explain_conv2d`.

        Raises
        ------
        TypeError, ValueError
            As `explain_conv2d`.
        """
        return explain_conv2d(x_shape, self.w.shape, dtype=self.w.dtype, bias=self.bias is not None, **self._options)

    def __setattr__(self, name, value):
        raise AttributeError(f"Conv2D cannot be changed: make a new one instead of setting {name!r}")

    def __delattr__(self, name):
        raise AttributeError(f"Conv2D cannot be changed: {name!r} stays")

    def __reduce__(self):
        return _rebuild, (type(self), self.w, self.bias, self._options), getattr(self, "__dict__", None)

    def __repr__(self):
        defaults = Conv2D.__init__.__kwdefaults__ | {"precision": "highest"}
        words = "".join(f", {name}={value!r}" for name, value in self._options.items() if value != defaults[name])
        return f"Conv2D(w of shape {self.w.shape} and dtype {self.w.dtype}{words})"


def _frozen(value):
    """Sizes that nobody can change: tuples for lists and arrays. Words stay what they are."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    return tuple(map(_frozen, value)) if isinstance(value, (list, tuple)) else value


def _rebuild(kind, w, bias, options):
    layer = kind.__new__(kind)
    Conv2D.__init__(layer, w, bias, **options)
    return layer


def conv2d_output_shape(x_shape, w_shape, *, stride=1, padding=0, dilation=1, groups=1, data_format="NCHW"):
    """The shape of what `conv2d` returns, without computing it.

    Parameters
    ----------
    x_shape, w_shape : tuple of int
        Of x and w, in the given data format.
    stride, padding, dilation, groups, data_format
        As for `conv2d`.

    Returns
    -------
    tuple of int

    Raises
    ------
    TypeError, ValueError
        Exactly where `conv2d` would raise them for these shapes.

    Examples
    --------
    >>> from convfast import conv2d_output_shape
    >>> conv2d_output_shape((1, 3, 227, 227), (96, 3, 11, 11), stride=4)
    (1, 96, 55, 55)
    """
    return _core.conv2d_output_shape(x_shape, w_shape, stride, padding, dilation, groups, data_format)
