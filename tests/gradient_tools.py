"""What the tests of gradients share: calls between guard pages, the promise of precision, layers of all sizes."""

import numpy as np
from conftest import FLOAT64_PROMISE, HALF_ULP, PROMISE, assert_same_bits, integers, w_shape, x_shape
from guard_pages import SIDES, guarded, results_guarded

import convfast
from convfast import _core
from convfast import reference as ref

PADDINGS = [0, (1, 2), ((0, 2), (3, 1)), "valid", "same", "same_lower", "full"]
MODES = ["constant", "edge", "reflect", "symmetric", "wrap"]
SUBNORMAL = {"float16": 2.0**-25}  # where half a unit is no longer relative


def check(name, arrays, **options):
    """The function of this name obeys its law and touches nothing outside its arrays."""
    got = getattr(convfast, name)(*arrays, **options)
    assert_close(got, getattr(ref, name), arrays, **options)
    assert_nothing_outside(name, arrays, got, **options)


def assert_nothing_outside(name, arrays, expected, **options):
    """The same bits from arrays between guard pages, in `out` and in a new array, which stand there too."""
    function = getattr(convfast, name)
    for side in SIDES:
        placed = [guarded(a, side) if isinstance(a, np.ndarray) else a for a in arrays]
        with results_guarded(side):
            new, out = function(*placed, **options), np.empty_like(expected)
            assert function(*placed, out=out, **options) is out
        assert_same_bits(new, expected)
        assert_same_bits(out, expected)


def assert_close(got, function, arrays, **options):
    """`got` lies as close to the law's function of `arrays` as promised: exactly, for integers."""
    want = function(*arrays, **options)
    assert got.shape == want.shape
    if got.dtype.kind in "iu":
        np.testing.assert_array_equal(got, want)
        return
    magnitude = function(*(abs(a) if isinstance(a, np.ndarray) else a for a in arrays), **{**options, **plain(options)})
    kind = got.dtype.name
    promise = FLOAT64_PROMISE if kind == "float64" else PROMISE["highest"][0]
    allowed = (promise + HALF_ULP.get(kind, 0)) * magnitude + SUBNORMAL.get(kind, 0)
    error = np.abs(got.astype(np.float64) - want)
    assert np.all(error <= allowed), f"{np.max(error / (allowed + 1e-300)):.3g} of the promise with {options}"


def plain(options):
    return {"activation": None} if "activation" in options else {}


def layers_of_every_width(data_format):
    """((x, w, grad), (R, S), options): rows of every width and channels of every number, up to two wide tiles."""
    rng = np.random.default_rng(8)
    sizes = [((2, 3, 4, W, 7, 3, min(W, 5)), {}) for W in range(1, 68)]
    sizes += [((1, 3, 5, W, 3, 2, min(W, 3)), {"padding": 1, "stride": 2}) for W in range(1, 68)]
    for C in range(1, 36):
        sizes += [
            ((2, C, 4, 5, 36 - C, 1, 1), {}),
            ((1, C, 4, 7, C, 3, 3), {"padding": (0, 2)}),
            ((2, C, 5, 19, C, 3, 3), {"groups": C, "padding": 1, "stride": (1, 1 + C % 2)}),
        ]
    for number, ((N, C, H, W, K, R, S), options) in enumerate(sizes):
        options = {"data_format": data_format, **options}
        dtype = ["float32", "float32", "float64", "float16", "int32"][number % 5]
        shapes = x_shape(N, C, H, W, data_format), w_shape(K, C // options.get("groups", 1), R, S, data_format)
        shapes += (ref.conv2d_output_shape(*shapes, **options),)
        yield [integers(rng, shape, dtype) for shape in shapes], (R, S), options


def random_layer(rng):
    """(x, w, grad), their options; None where the window does not fit. On a random ISA and number of threads."""
    _core.use_isa(str(rng.choice(_core.available_isas())))
    convfast.set_num_threads(int(rng.integers(1, 4)))
    groups = int(rng.choice([1, 1, 1, 2, 3, 8]))
    C, K = (int(n) for n in rng.integers(1, 3 if groups == 8 else 20, 2))
    N, H, W, R, S = (int(rng.integers(1, top)) for top in (4, 24, 24, 6, 6))
    last = bool(rng.integers(2))
    options = {
        "stride": tuple(int(n) for n in rng.integers(1, 4, 2)),
        "dilation": tuple(int(n) for n in rng.integers(1, 3, 2)),
        "padding": PADDINGS[rng.integers(len(PADDINGS))],
        "groups": groups,
        "data_format": "NHWC" if last else "NCHW",
    }
    x_shape = (N, H, W, C * groups) if last else (N, C * groups, H, W)
    w_shape = (R, S, C, K * groups) if last else (K * groups, C, R, S)
    try:
        y_shape = ref.conv2d_output_shape(x_shape, w_shape, **options)
    except ValueError:
        return None
    dtype = np.dtype([np.float32, np.float64, np.float16, np.int32, np.int8][rng.integers(5)])
    make = rng.standard_normal if dtype.kind == "f" else lambda shape: rng.integers(-9, 10, shape)
    return [make(shape).astype(dtype) for shape in (x_shape, w_shape, y_shape)], (R, S), options
