"""What the tests of the law share."""

import itertools

import numpy as np

rng = np.random.default_rng(1)

# The geometries every windowed function is tried with, on planes of 5 x 6.
GEOMETRIES = [
    {"stride": stride, "padding": padding, "dilation": dilation}
    for stride, padding, dilation in itertools.product(
        [1, (2, 3)],
        [0, (1, 0), ((0, 2), (1, 0)), "valid", "SAME", "same_lower", "full"],
        [1, (1, 2)],
    )
]

# The geometries every pooling is tried with, windows of 3 x 2.
POOLINGS = [
    {"stride": stride, "padding": padding, "ceil_mode": ceil_mode}
    for stride, padding, ceil_mode in itertools.product(
        [None, 1, (3, 2)], [0, (1, 0), ((1, 2), (0, 1)), "valid", "same", "Same_Lower", "full"], [False, True]
    )
]


def integers(*shape):
    """Small integers: sums of their products are exact, so that equal means equal."""
    return rng.integers(-9, 10, shape)


def inner(a, b):
    return np.sum(np.multiply(a, b))


def nhwc(x):
    return np.moveaxis(x, -3, -1)


def rsck(w):
    return w.transpose(2, 3, 1, 0)


def central_difference(f, x, step=1e-4):
    """The gradient of the scalar f at x."""
    gradient = np.empty_like(x)
    for cell in np.ndindex(*x.shape):
        there, back = x.copy(), x.copy()
        there[cell] += step
        back[cell] -= step
        gradient[cell] = (f(there) - f(back)) / (2 * step)
    return gradient
