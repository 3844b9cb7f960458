"""How far results lie from float64, in units of the largest A = abs(x) conv abs(w): python benchmarks/errors.py"""

import numpy as np

from convfast import conv2d
from convfast.bench.layers import conv
from convfast.bench.truth import exact

CHANNELS = 16, 64, 256, 512
WAYS = {  # taps in each direction, the precision that the algorithm needs
    "direct": {3: "highest", 5: "highest"},
    "F(4x4, 3x3)": {3: "high"},
    "F(2x2, 3x3)": {3: "high"},
    "F(2x2, 5x5)": {5: "high"},
}


def centred(w):
    """Filters that an offset of x cannot pass."""
    return w - w.mean(axis=(2, 3), keepdims=True)


def wide(rng, a):
    """Six orders of magnitude, evenly."""
    return np.sign(a) * np.float32(10) ** rng.uniform(-3, 3, a.shape).astype(np.float32)


KINDS = {
    "normal": lambda rng, x, w: (x, w),
    "rectified": lambda rng, x, w: (np.maximum(x, 0), w),
    "offset of 100": lambda rng, x, w: (x + np.float32(100), w),
    "the same, filters that cancel it": lambda rng, x, w: (x + np.float32(100), centred(w)),
    "six orders of magnitude": lambda rng, x, w: (wide(rng, x), w),
    "the same in filters too": lambda rng, x, w: (wide(rng, x), wide(rng, w)),
}


def main():
    rng = np.random.default_rng(0)
    print("| data | algorithm |", *(f"C = {C} |" for C in CHANNELS))
    print("|---|---|", *("---|" for _ in CHANNELS), sep="")
    for kind, make in KINDS.items():
        errors = {way: np.zeros(len(CHANNELS)) for way in WAYS}
        for i, C in enumerate(CHANNELS):
            for taps in (3, 5):
                layer = conv("errors", C, 24, 32, taps, padding=taps // 2)
                x, w = make(rng, *(rng.standard_normal(shape, np.float32) for shape in (layer.x_shape, layer.w_shape)))
                y, A = exact(layer, x, w)
                for way in (way for way in WAYS if taps in WAYS[way]):
                    off = np.abs(conv2d(x, w, **layer.options, algorithm=way, precision=WAYS[way][taps]) - y)
                    errors[way][i] = max(errors[way][i], off.max() / A.max())
        for way in WAYS:
            print(f"| {kind} | {way} |", *(f"{error:.1e} |" for error in errors[way]))


if __name__ == "__main__":
    main()
