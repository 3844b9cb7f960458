"""Local maxima. The work is done behind `_core`."""

from convfast import _core


def local_max_sum2d(x, size=3, *, data_format="NCHW"):
    """At every local maximum the sum over its window, elsewhere 0.

    A cell is a local maximum if it equals the largest value of the window around it, clipped at the border; on a
    plateau every cell is one.

    Parameters
    ----------
    x, data_format
        As for `convfast.max_pool2d`.
    size : int or (h, w)
        Of the window; odd.

    Returns
    -------
    ndarray
        Of the shape of x, and of its dtype; for integers and bool of ``np.result_type(x, np.int32)``, exact.

    Raises
    ------
    TypeError
        An argument of the wrong kind, or uint64, whose sums are exact in no dtype.
    ValueError
        A plane without a cell, an even size.
    MemoryError
        The result or the workspace cannot be had.

    Notes
    -----
    One pass over x. A window with a NaN has no largest value: its result is NaN. float32 sums err by at most 2e-6 of
    the sum of magnitudes. Memory: beside the result at most 64 MiB of workspace.

    Examples
    --------
    >>> from convfast import local_max_sum2d
    >>> local_max_sum2d([[0, 1, 0, 0], [2, 5, 1, 0], [0, 1, 0, 3]])
    array([[ 0,  0,  0,  0],
           [ 0, 10,  0,  0],
           [ 0,  0,  0,  4]])
    """
    return _core.local_max_sum2d(x, size, data_format)
