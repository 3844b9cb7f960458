"""conv2d: every layer of a suite by every algorithm on every ISA, beside plain loops and the NumPy idiom."""

import pytest

import convfast
from convfast.bench.contenders import Unsupported
from convfast.bench.contenders.plain import CLoops, NumPy, PythonLoops
from convfast.bench.truth import arrays, in_layout

ALGORITHMS = [candidate.algorithm for candidate in convfast.explain_conv2d((1, 1, 3, 3), (1, 1, 3, 3)).candidates]


def precision_for(algorithm, layer, **words):
    """The most exact precision at which the algorithm can be had for the layer on the ISA in use."""
    for precision in ("highest", "high"):
        options = dict(layer.options, precision=precision, **words)
        found = convfast.explain_conv2d(layer.x_shape, layer.w_shape, **options)
        if any(candidate.applies for candidate in found.candidates if candidate.algorithm == algorithm):
            return precision
    pytest.skip(f"{algorithm} does not do {layer.name}")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def bench_algorithm(race, layer, algorithm, isa, threads):
    """Filters packed once, NCHW."""
    options = dict(layer.options, algorithm=algorithm, precision=precision_for(algorithm, layer))
    x, w = arrays(layer)
    convolve = convfast.Conv2D(w, **options)
    with convfast.num_threads(threads):
        race(layer, lambda: convolve(x), isa, threads)


@pytest.mark.parametrize("weights", ["packed", "raw"])
@pytest.mark.parametrize("data_format", ["NCHW", "NHWC"])
def bench_call(race, layer, data_format, weights, threads):
    """What a user calls, on the best ISA: the algorithm is convfast's choice."""
    x, w = arrays(layer)
    x, w = in_layout(x, data_format), w.transpose(2, 3, 1, 0).copy() if data_format == "NHWC" else w
    options = dict(layer.options, data_format=data_format)
    with convfast.num_threads(threads):
        convolve = convfast.Conv2D(w, **options)
        call = {"packed": lambda: convolve(x), "raw": lambda: convfast.conv2d(x, w, **options)}[weights]
        race(layer, call, convfast.isa(), threads)


@pytest.mark.parametrize("contender", [NumPy, CLoops, PythonLoops], ids=lambda contender: contender.library)
def bench_plain(race, layer, contender):
    """What a user would write without convfast."""
    one = contender()
    one.start(1)
    try:
        call = one.prepare(layer, one.rows[0], *arrays(layer))
    except Unsupported as reason:
        pytest.skip(str(reason))
    race(layer, call)
