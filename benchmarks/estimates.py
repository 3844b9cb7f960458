"""How well the plan guesses: each algorithm's estimated and measured time on one thread: python benchmarks/estimates.py

The 48 layers of the benchmark, or those named, in both layouts and at both precisions. The choice is the lowest
estimate, so what matters is their order: a line ends with how much longer the chosen algorithm takes than the fastest
one. The constants of csrc/*: estimate() were set with this; a machine where many lines end above 1.1 wants others.
"""

import argparse
import time

import numpy as np

from convfast import Conv2D, explain_conv2d, num_threads
from convfast.bench.layers import FORWARD, LAYERS
from convfast.bench.truth import arrays, in_layout


def fastest(call, seconds=0.05, calls=3):
    """Microseconds."""
    call()
    times, end = [], time.perf_counter() + seconds
    while len(times) < calls or time.perf_counter() < end:
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
    return min(times) * 1e6


def line(layer, data_format, precision):
    x, w = arrays(layer)
    x = in_layout(x, data_format)
    if data_format == "NHWC":
        w = np.ascontiguousarray(w.transpose(2, 3, 1, 0))
    options = dict(layer.options, data_format=data_format, precision=precision)
    told = explain_conv2d(x.shape, w.shape, **options)
    measured, words = {}, []
    for c in (c for c in told.candidates if c.applies):
        convolve = Conv2D(w, algorithm=c.algorithm, **options)
        measured[c.algorithm] = fastest(lambda convolve=convolve: convolve(x))
        words.append(f"{c.member or c.algorithm} {c.microseconds:,.0f}/{measured[c.algorithm]:,.0f}")
    lost = measured[told.algorithm] / min(measured.values())
    case = f"{layer.name:<18} {data_format} {precision:<7}"
    print(case, *words, f"{told.algorithm} x{lost:.2f}", sep="  ", flush=True)
    return lost


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("layers", nargs="*", metavar="layer", help="names of the benchmark; default: the suite forward")
    names = parser.parse_args().layers
    layers = [LAYERS[name] for name in names] or FORWARD
    print("layer, layout, precision; estimated/measured us of each algorithm; the chosen one, and what it loses")
    with num_threads(1):
        lost = [line(layer, f, p) for layer in layers for f in ("NCHW", "NHWC") for p in ("highest", "high")]
    print(f"{len(lost)} choices cost {np.exp(np.mean(np.log(lost))):.3f} times the fastest (geometric mean), "
          f"{sum(r > 1.1 for r in lost)} more than 1.1 times")  # fmt: skip


if __name__ == "__main__":
    main()
