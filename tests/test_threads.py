"""Threads and processes: the same bits whoever computes, nothing hangs, and the host stays as it was."""

import contextlib
import ctypes
import itertools
import os
import platform
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from conftest import assert_same_bits, normal, operands, run_child
from layers import LAYERS

import convfast
from convfast import Conv2D, conv2d, num_threads

# Large enough to be shared between threads, with sizes that no number of threads divides: N, C, H, W, K, R, S, options.
CALLS = {
    "dense": (1, 37, 31, 37, 71, 3, 3, {"padding": 1}),
    "1x1": (1, 131, 37, 41, 127, 1, 1, {}),
    "strided": (3, 17, 31, 67, 53, 5, 3, {"stride": 2}),
    "first layer": (1, 3, 113, 109, 61, 7, 7, {"stride": 2, "padding": 3}),
    "small image, many channels": (1, 521, 7, 7, 127, 3, 3, {"padding": 1}),
    "depthwise": (1, 127, 53, 59, 127, 3, 3, {"groups": 127, "padding": 1}),
    "groups": (2, 63, 31, 37, 77, 3, 3, {"groups": 7}),
    "plane": (1, 1, 521, 523, 1, 5, 7, {"padding": "same"}),
    "high": (1, 64, 28, 29, 67, 3, 3, {"precision": "high", "padding": 1}),
    "im2col": (1, 37, 31, 37, 71, 3, 3, {"algorithm": "im2col"}),
}


def call(rng, name, data_format, dtype=np.float32):
    """x, w, bias and the options of one of the calls above."""
    *sizes, options = CALLS[name]
    x, w, bias = operands(rng, *sizes, data_format, dtype, options.get("groups", 1), normal)
    return x, w, bias, dict(options, data_format=data_format)


@pytest.mark.parametrize("name", CALLS)
def test_same_bits_for_any_number_of_threads(isa, data_format, name, rng):
    x, w, bias, options = call(rng, name, data_format)
    with num_threads(1):
        expected = conv2d(x, w, bias, **options)
    for threads in (2, 3, 7):
        with num_threads(threads):
            for _ in range(3):
                assert_same_bits(conv2d(x, w, bias, **options), expected)


def test_same_bits_for_any_number_of_threads_in_float64_and_integers(isa, data_format, rng):
    for dtype in (np.float64, np.int32):
        x, w, bias, options = call(rng, "dense", data_format, dtype)
        with num_threads(1):
            expected = conv2d(x, w, bias, **options)
        for threads in (2, 3):
            with num_threads(threads):
                assert_same_bits(conv2d(x, w, bias, **options), expected)


@pytest.mark.parametrize("name", CALLS)
def test_same_bits_wherever_in_a_batch_an_image_stands(isa, data_format, name, rng):
    *sizes, options = CALLS[name]
    x, w, bias = operands(rng, 5, *sizes[1:], data_format, groups=options.get("groups", 1), make=normal)
    batch = conv2d(x, w, bias, data_format=data_format, **options)
    for first, last in [(0, 1), (4, 5), (1, 3), (2, 5)]:
        part = conv2d(x[first:last], w, bias, data_format=data_format, **options)
        assert_same_bits(part, batch[first:last])
    assert_same_bits(conv2d(x[3], w, bias, data_format=data_format, **options), batch[3])


@pytest.mark.parametrize("threads", [1, 2])
def test_eight_python_threads_at_once(isa, threads, rng):
    """Plain calls of different shapes and one shared layer, all right at any time."""
    formats = itertools.cycle(["NCHW", "NHWC"])
    work = [call(rng, name, data_format) for name, data_format in zip(CALLS, formats, strict=False)]
    expected = [conv2d(*operands, **options) for *operands, options in work]
    x, w, bias = operands(rng, 1, 16, 29, 31, 16, 3, 3, "NCHW", make=normal)
    layer = Conv2D(w, bias)
    of_layer = layer(x)

    def check(first):
        for number in (*range(first, len(work)), *range(first)):
            *operands, options = work[number]
            assert_same_bits(conv2d(*operands, **options), expected[number])
            assert_same_bits(layer(x), of_layer)

    with num_threads(threads), ThreadPoolExecutor(8) as pool:
        list(pool.map(check, range(8)))


def is_apart(call):
    """Whether other Python threads run while the call computes: one that wakes every 0.2 ms leaves no long silence.

    A call that holds the GIL is silent for all of its time, whenever it is made. One that releases it is silent for as
    long as a busy machine keeps the other thread waiting: one of many calls with a short silence shows that.
    """
    signs, stop = [], threading.Event()

    def give_signs():
        while not stop.is_set():
            time.sleep(2e-4)
            signs.append(time.perf_counter())

    silences, durations = [], []
    helper = threading.Thread(target=give_signs)
    helper.start()
    while len(durations) < 5 or (len(durations) < 50 and min(silences) >= min(durations) / 2):
        start = time.perf_counter()
        call()
        end = time.perf_counter()
        heard = [start, *(sign for sign in signs if start < sign < end), end]
        silences.append(max(later - sooner for sooner, later in itertools.pairwise(heard)))
        durations.append(end - start)
    stop.set()
    helper.join()
    return min(silences) < min(durations) / 2


X, W = np.ones((64, 128, 128), np.float32), np.ones((64, 64, 3, 3), np.float32)
BATCH = np.broadcast_to(X, (4, *X.shape))
LAYER, LONG_ROWS = Conv2D(W, padding=1), np.ones((64, 40_000), np.float32)
LONG_CALLS = {
    "conv2d": lambda: conv2d(X, W, padding=1),
    "Conv2D": lambda: LAYER(X),
    "conv1d": lambda: convfast.conv1d(LONG_ROWS, W[:, :, 0]),
    "conv_transpose2d": lambda: convfast.conv_transpose2d(X, W, padding=1),
    "conv2d_input_grad": lambda: convfast.conv2d_input_grad(X, W, X.shape, padding=1),
    "conv2d_weight_grad": lambda: convfast.conv2d_weight_grad(X, X, 3, padding=1),
    "max_pool2d": lambda: convfast.max_pool2d(BATCH, 31, stride=1),
    "its indices": lambda: convfast.max_pool2d(BATCH, 3, stride=1, return_indices=True),
    "avg_pool2d": lambda: convfast.avg_pool2d(BATCH, 31, stride=1),
    "max_pool2d_grad": lambda: convfast.max_pool2d_grad(X, X, 1),
    "avg_pool2d_grad": lambda: convfast.avg_pool2d_grad(X, X.shape, 1),
    "pad2d": lambda: convfast.pad2d(X, 64, mode="reflect"),
    "im2col": lambda: convfast.im2col(X, 3),
    "resize2d": lambda: convfast.resize2d(BATCH, scale=2, mode="bilinear"),
    "local_max_sum2d": lambda: convfast.local_max_sum2d(BATCH, 15),
}


@pytest.mark.parametrize("name", LONG_CALLS)
def test_the_gil_is_released(name):
    with num_threads(1):
        assert is_apart(LONG_CALLS[name])


@pytest.mark.parametrize("milliseconds", [2, 10])
def test_a_gil_that_is_held_would_be_noticed(milliseconds):
    """A function of a PyDLL keeps the GIL, one of a CDLL releases it."""
    assert not is_apart(lambda: ctypes.PyDLL(None).usleep(milliseconds * 1000))
    assert is_apart(lambda: ctypes.CDLL(None).usleep(milliseconds * 1000))


@pytest.mark.skipif(platform.machine() != "x86_64" or sys.platform != "linux", reason="FE_UPWARD of x86 glibc")
def test_helpers_round_as_their_caller_does():
    code = """
import ctypes, numpy as np
from convfast import conv2d, num_threads
rng = np.random.default_rng(0)
x, w = rng.standard_normal((1, 32, 61, 67)).astype("f4"), rng.standard_normal((32, 32, 3, 3)).astype("f4")
def compute(threads):
    with num_threads(threads): return conv2d(x, w).tobytes()
nearest = compute(2)
assert ctypes.CDLL("libm.so.6").fesetround(0x800) == 0
upward = compute(1)
print(upward != nearest and all(compute(2) == upward for _ in range(50)))
"""
    assert run_child(code).strip() == "True"


# ---------------------------------------------------------------------------------------------------------------------
# Fork

FORK = """
import os, threading, numpy as np, convfast
from convfast import conv2d, num_threads

def compute(threads=2):
    with num_threads(threads):
        return conv2d(x, w, padding=1)

def fork_and_compare():
    child = os.fork()
    if child == 0:
        try:
            same = all(compute(threads).tobytes() == expected for threads in (1, 2, 3, 2))
            os._exit(0 if same else 3)
        except BaseException:
            os._exit(4)
    assert os.waitpid(child, 0)[1] == 0

rng = np.random.default_rng(0)
x = rng.standard_normal((1, 32, 41, 43)).astype(np.float32)
w = rng.standard_normal((32, 32, 3, 3)).astype(np.float32)
expected = compute(1).tobytes()
"""


@pytest.mark.parametrize(
    "code",
    [
        pytest.param("for _ in range(5): fork_and_compare()", id="parent was serial"),
        pytest.param("for _ in range(10): compute(); fork_and_compare()", id="parent was parallel"),
        pytest.param(
            """
def run():
    compute()
    fork_and_compare()
thread = threading.Thread(target=run)
thread.start(); thread.join()
compute(); fork_and_compare()
""",
            id="fork from another thread",
        ),
        pytest.param(
            """
stop = threading.Event()
def run():
    while not stop.is_set():
        compute()
thread = threading.Thread(target=run)
thread.start()
for _ in range(5): fork_and_compare()
stop.set(); thread.join()
""",
            id="another thread computes meanwhile",
        ),
        pytest.param(
            """
compute()
child = os.fork()
if child == 0:
    try:
        compute(); fork_and_compare()
    except BaseException:
        os._exit(5)
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
""",
            id="grandchild",
        ),
        pytest.param(
            """
import multiprocessing
compute()
with multiprocessing.get_context("fork").Pool(2) as pool:
    results = pool.starmap(conv2d, [(x, w)] * 4)
assert all(y.tobytes() == conv2d(x, w).tobytes() for y in results)
""",
            id="multiprocessing",
        ),
    ],
)  # fmt: skip
def test_forked_children_compute_the_same_bits_and_never_hang(code):
    run_child(FORK + code, timeout=60)


# ---------------------------------------------------------------------------------------------------------------------
# How many threads


def start_value(**environment):
    """The number of threads a fresh process starts with."""
    environment = {"CONVFAST_NUM_THREADS": "", "OMP_NUM_THREADS": "", **environment}
    code = "import os; [os.environ.pop(k) for k in ('CONVFAST_NUM_THREADS', 'OMP_NUM_THREADS') if not os.environ[k]]\n"
    return int(run_child(code + "import convfast; print(convfast.get_num_threads())", **environment))


def test_threads_at_the_start():
    assert start_value(CONVFAST_NUM_THREADS="3", OMP_NUM_THREADS="5") == 3
    assert start_value(OMP_NUM_THREADS="5") == 5
    assert start_value(OMP_NUM_THREADS="4,2") == 4
    assert 1 <= start_value() <= len(os.sched_getaffinity(0))


def test_threads_bound_to_cpus_are_counted_all():
    """OpenMP then binds the thread that imports it to one CPU."""
    assert start_value(OMP_PROC_BIND="true") == start_value()


def test_threads_at_the_start_follow_affinity():
    code = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); import convfast\n"
    assert int(run_child(code + "print(convfast.get_num_threads())", CONVFAST_NUM_THREADS="", OMP_NUM_THREADS="")) == 1


@pytest.mark.parametrize("value", ["0", "-1", "two", "1.5", "99999999999999999999"])
def test_nonsense_in_the_environment_does_not_break_the_import(value):
    assert start_value(CONVFAST_NUM_THREADS=value) >= 1


def test_settings_and_their_restoration():
    before = convfast.get_num_threads()
    with num_threads(before + 3):
        assert convfast.get_num_threads() == before + 3
        with contextlib.suppress(KeyError), num_threads(1):
            assert convfast.get_num_threads() == 1
            raise KeyError
        assert convfast.get_num_threads() == before + 3
    assert convfast.get_num_threads() == before
    convfast.set_num_threads(before + 1)
    assert convfast.get_num_threads() == before + 1
    convfast.set_num_threads(before)


COUNT_THREADS = """
import os, numpy as np, convfast
def threads(): return len(os.listdir("/proc/self/task"))
def ones(*shape): return np.ones(shape, np.float32)
"""


def test_import_and_small_work_start_no_threads():
    code = COUNT_THREADS + """
before = threads()
convfast.set_num_threads(2)
for _ in range(10): convfast.conv2d(ones(1, 3, 8, 8), ones(4, 3, 3, 3))
print(threads() - before)
"""
    assert int(run_child(code)) == 0


def test_no_more_threads_than_asked_for():
    code = COUNT_THREADS + """
before = threads()
convfast.set_num_threads({n})
for _ in range(3): convfast.conv2d(ones(1, 64, 28, 28), ones(64, 64, 3, 3))
print(threads() - before)
"""
    assert int(run_child(code.format(n=1))) == 0
    assert int(run_child(code.format(n=2))) == (0 if "serial build" in convfast_openmp() else 1)


def convfast_openmp():
    return run_child("import convfast; convfast.show_config()")


MANY = {
    "conv2d_weight_grad": """
x, grad = np.ones((1, 128, 8, 300)), np.ones((1, 8, 8, 300))
def call(): return convfast.conv2d_weight_grad(x, grad, (3, 3), groups=8, dilation=100, padding=100)
""",
    "max_pool2d": """
x = ones(1, 4, 160, 1000)
def call(): return convfast.max_pool2d(x, (128, 3), stride=1, return_indices=True)[1]
""",
}


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("name", MANY)
def test_workspace_is_bounded_for_any_number_of_threads(name):
    """Each thread of these calls wants 0.7 to 1 MiB. Counted are addresses: not all threads come to touch theirs."""
    code = COUNT_THREADS + """
import time
def size(key): return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(key)) * 1024
""" + MANY[name] + """
convfast.set_num_threads(128)
convfast.max_pool2d(ones(1, 256, 64, 64), 2)
for _ in range(3000):
    if threads() >= 128: break
    time.sleep(0.01)
before = size("VmSize")
y = call()
print(size("VmPeak") - before - y.nbytes)
"""
    if "off" not in convfast_openmp():
        assert int(run_child(code)) < 72 * 2**20


def test_tiny_calls_burn_no_processor_time():
    """A parallel region leaves its threads spinning for milliseconds: too dear for a call of microseconds."""
    code = """
import time, numpy as np, convfast
x, w = np.ones((1, 3, 8, 8), np.float32), np.ones((4, 3, 3, 3), np.float32)
convfast.conv2d(x, w)
start = time.process_time()
for _ in range(100):
    convfast.conv2d(x, w)
    time.sleep(0.005)
print(time.process_time() - start)
"""
    assert float(run_child(code)) < 0.1


def test_the_table_has_work_for_threads():
    """explain_conv2d counts the threads that a large layer is given, and one for a tiny one."""
    large, tiny = LAYERS["rn50_s1_3x3"], LAYERS["tiny_3x8x8"]
    with num_threads(2):
        expected = 2 if "off" not in convfast_openmp() else 1
        assert convfast.explain_conv2d(large.x_shape, large.w_shape, **large.options).threads == expected
        assert convfast.explain_conv2d(tiny.x_shape, tiny.w_shape, **tiny.options).threads == 1
