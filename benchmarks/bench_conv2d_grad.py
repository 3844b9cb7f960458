"""Gradients of convolution: `pytest benchmarks/bench_conv2d_grad.py --suite backward`.

Against other libraries: `python -m convfast bench backward`.
"""

import pytest

from convfast.bench.contenders.own import Convfast
from convfast.bench.contenders.plain import NumPy
from convfast.bench.truth import arrays, in_layout


@pytest.mark.parametrize("row", [row for row in Convfast.rows if row.weights == "raw"], ids=lambda row: row.layout)
def bench_conv2d_grad(race, layer, row, isa, threads):
    one = Convfast()
    one.start(threads)
    first, second = arrays(layer)
    race(layer, one.prepare(layer, row, in_layout(first, row.layout), second), isa, threads)


def bench_plain(race, layer):
    """What a user would write without convfast."""
    race(layer, NumPy().prepare(layer, NumPy.rows[0], *arrays(layer)))
