"""Calls that PyTorch has too, and its answers to some of them, which stand in tests/data/torch_answers.json.

Where convfast and PyTorch are installed, `python tests/torch_cases.py` writes that file.
"""

import itertools
import json
import zlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from convfast import reference as ref

FILE = Path(__file__).parent / "data" / "torch_answers.json"
UNIT = 1260  # every number of cells that a window here has divides it: means of its multiples are whole


@dataclass
class Case:
    function: str
    shapes: tuple  # of the arrays, which come first
    values: tuple = ()  # the arguments after them
    options: dict = field(default_factory=dict)
    stored: bool = False

    def __str__(self):
        words = [*map(str, self.shapes), *map(str, self.values), *(f"{k}={v!r}" for k, v in self.options.items())]
        return f"{self.function}({', '.join(words)})"

    def numbers(self):
        """Small whole numbers, with many ties: every sum and mean of them is exact. The same for ever."""
        rng = np.random.RandomState(zlib.crc32(str(self).encode()))
        unit = UNIT if "avg" in self.function else 1
        return [unit * rng.randint(-4, 5, shape).astype(float) for shape in self.shapes]

    def real_numbers(self):
        rng = np.random.default_rng(zlib.crc32(str(self).encode()))
        return [rng.normal(size=shape) for shape in self.shapes]

    def answer(self, functions, arrays):
        """Arrays, as `functions` computes them: convfast, its law or torch_twin. None if it refuses the call."""
        try:
            result = getattr(functions, self.function)(*arrays, *self.values, **self.options)
        except (ValueError, RuntimeError):
            return None
        return result if isinstance(result, tuple) else (result,)


def every(**choices):
    """All options with one of the choices for each name."""
    for chosen in itertools.product(*choices.values()):
        yield dict(zip(choices, chosen, strict=True))


MOVES = {"stride": [1, (2, 3)], "padding": [0, (2, 1)], "dilation": [1, (1, 2)]}
MODES = ["constant", "edge", "reflect", "wrap"]


def convolutions():
    x, kernel = (2, 4, 5, 6), (2, 3)
    for options in every(**MOVES, groups=[1, 2], padding_mode=MODES):
        w = (4, 4 // options["groups"], *kernel)
        grad = ref.conv2d(np.zeros(x), np.zeros(w), **options).shape
        yield Case("conv2d", (x, w, (4,)), (), options)
        yield Case("conv2d_input_grad", (grad, w), (x,), options)
        yield Case("conv2d_weight_grad", (x, grad), (kernel,), options)


def other_convolutions():
    for size, dilation in itertools.product([1, 2, 3, 4], [1, 2]):
        shapes = (1, 2, 5, 6), (3, 2, size, 3), (3,)
        yield Case("conv2d", shapes, (), {"padding": "same", "dilation": dilation})
    options = {"stride": 2, "padding": 3, "dilation": 2, "groups": 2}
    yield Case("conv1d", ((2, 4, 9), (6, 2, 3), (6,)), (), options)


def transposed_convolutions():
    steps = {"stride": [(1, 1), (2, 3)], "dilation": [(1, 1), (2, 2)]}
    for options in every(**steps, padding=[0, (1, 2)], output_padding=[(0, 0), (0, 1), (1, 1)], groups=[1, 2]):
        if np.all(np.less(options["output_padding"], np.maximum(options["stride"], options["dilation"]))):
            groups = options["groups"]
            yield Case("conv_transpose2d", ((1, 4, 3, 4), (4, 4 // groups, 2, 3), (4,)), (), options)


PLANES = [(2, 2), (3, 5), (6, 7), (9, 8)]
WINDOWS = {"stride": [None, 1, 2, 3, (3, 2), 5], "padding": [0, 1, (0, 1)], "ceil_mode": [False, True]}


def maxima():
    for plane, kernel, options in itertools.product(PLANES, [2, 3, (3, 2)], every(**WINDOWS, dilation=[1, 2])):
        x = (1, 2, *plane)
        yield Case("max_pool2d", (x,), (kernel,), {"return_indices": True, **options})
        try:
            y, index = ref.max_pool2d(np.zeros(x), kernel, return_indices=True, **options)
        except ValueError:
            continue
        if index.min() >= 0:  # PyTorch has no gradient of windows without a cell
            yield Case("max_pool2d_grad", (y.shape, x), (kernel,), options)


def means():
    counts = {"count_include_pad": [True, False], "divisor_override": [None, 5]}
    for plane, kernel, options in itertools.product(PLANES, [2, 3, (3, 2)], every(**WINDOWS, **counts)):
        x = (1, 2, *plane)
        yield Case("avg_pool2d", (x,), (kernel,), options)
        try:
            y = ref.avg_pool2d(np.zeros(x), kernel, **options)
        except ValueError:
            continue
        yield Case("avg_pool2d_grad", (y.shape,), (x, kernel), options)


def other_pooling():
    yield Case("avg_pool2d", ((1, 5, 6),), (3,), {"padding": 1})  # by default padding counts
    for size in (1, 2, 3, (5, 4), (8, 12)):
        yield Case("adaptive_max_pool2d", ((1, 2, 7, 10),), (size,))
        yield Case("adaptive_avg_pool2d", ((1, 2, 7, 10),), (size,))


def columns():
    x, kernel = (1, 2, 5, 6), (2, 3)
    for options in every(**MOVES):
        yield Case("im2col", (x,), (kernel,), options)
        yield Case("col2im", (ref.im2col(np.zeros(x), kernel, **options).shape,), (x[2:], kernel), options)


def sizes():
    for size in ((7, 9), (1, 1), (3, 4), (14, 27), (10, 5), (20, 31)):
        yield Case("resize2d", ((2, 3, 7, 9),), (size,), {"mode": "nearest"})
        for corners in (False, True):
            yield Case("resize2d", ((2, 3, 7, 9),), (size,), {"mode": "bilinear", "align_corners": corners})


def exact_sizes():
    """Weights are whole eighths, so that every mean is exact."""
    for size in ((3, 4), (20, 5)):
        yield Case("resize2d", ((1, 2, 7, 9),), (size,), {"mode": "nearest"})
    for corners, size in ((False, (14, 18)), (False, (28, 3)), (True, (13, 5)), (True, (4, 17))):
        yield Case("resize2d", ((1, 1, 7, 9),), (size,), {"mode": "bilinear", "align_corners": corners})


def paddings():
    for mode in MODES:
        yield Case("pad2d", ((1, 2, 4, 5),), (((1, 2), (3, 0)),), {"mode": mode})
    yield Case("pad2d", ((1, 2, 4, 5),), (((-1, 2), (3, -2)),), {"value": 7})


# Of each family every n-th case is stored. Steps that share no factor with the numbers of choices meet all of them.
FAMILIES = [
    (convolutions, 11), (other_convolutions, 1), (transposed_convolutions, 7), (maxima, 35), (means, 77),
    (other_pooling, 1), (columns, 3), (sizes, None), (exact_sizes, 1), (paddings, 1),
]  # fmt: skip


def cases():
    for family, step in FAMILIES:
        for number, case in enumerate(family()):
            case.stored = step is not None and number % step == 0
            yield case


def stored_answers():
    """From the text of a call to the answer: a list of arrays, or None if PyTorch refuses it."""
    answers = json.loads(FILE.read_text())["answers"]
    return {call: answer and [np.array(array) for array in answer] for call, answer in answers.items()}


def write():
    import torch
    import torch_twin

    lines = []
    for case in filter(lambda case: case.stored, cases()):
        answer = case.answer(torch_twin, case.numbers())
        plain = answer and [shortest(array).tolist() for array in answer]
        lines.append(f"{json.dumps(str(case))}: {json.dumps(plain, separators=(',', ':'))}")
    version = torch.__version__.partition("+")[0]
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(f'{{"PyTorch": "{version}", "answers": {{\n' + ",\n".join(lines) + "\n}}\n")
    print(f"{len(lines)} answers, {FILE.stat().st_size} bytes")


def shortest(array):
    """Without the points and zeros of whole numbers."""
    return array.astype(int) if np.all(array == np.round(array)) and np.isfinite(array).all() else array


if __name__ == "__main__":
    write()
