"""Benchmarks for developers: `pytest benchmarks/`. For comparisons with other libraries see `python -m convfast bench`.

pytest benchmarks/ --suite resnet50 --benchmark-autosave
pytest benchmarks/ --suite resnet50 --benchmark-compare --benchmark-compare-fail=median:5%
pytest benchmarks/ -k "avx2 and direct" --threads 1,2
"""

import pytest

import convfast
from convfast.bench import limits
from convfast.bench.layers import SUITES, Conv, Gradient, Pad, Pool

# Which layers of a suite a file measures.
TABLES = {"bench_conv2d": Conv, "bench_conv2d_grad": Gradient, "bench_pool2d": Pool, "bench_pad2d": Pad}
PEAK_S = 0.02  # for one reading of the multiply-add peak


def pytest_addoption(parser):
    parser.addoption("--suite", default="quick", choices=SUITES, help="the layers to measure")
    default = str(convfast.get_num_threads())
    parser.addoption("--threads", default=default, help="numbers of threads, separated by commas")


def pytest_report_header():
    machine = limits.machine()
    words = [f"{name} {machine[name]}" for name in ("cpu", "cpus", "convfast", "commit", "numpy", "compiler", "ISAs")]
    threads = convfast.get_num_threads()
    peak = ", ".join(f"{isa} {limits.peak(threads, PEAK_S, isa):.0f}" for isa in convfast.available_isas())
    return ["; ".join(words), f"multiply-add peak, GFLOPS: {peak}"]


def pytest_benchmark_update_machine_info(config, machine_info):
    machine_info["convfast"] = limits.machine()


def pytest_generate_tests(metafunc):
    config, table = metafunc.config, TABLES.get(metafunc.module.__name__)
    if "layer" in metafunc.fixturenames and table:
        layers = [layer for layer in SUITES[config.getoption("suite")] if type(layer) is table]
        metafunc.parametrize("layer", layers, ids=[layer.name for layer in layers])
    if "threads" in metafunc.fixturenames:
        counts = [int(n) for n in config.getoption("threads").split(",")]
        metafunc.parametrize("threads", counts, ids=[f"{n}threads" for n in counts])


@pytest.fixture(params=convfast.available_isas())
def isa(request):
    with limits.on_isa(request.param):
        yield request.param


@pytest.fixture
def race(benchmark):
    """Time a call of a layer and note its speed; with an ISA also its share of the multiply-add peak."""

    def run(layer, call, isa=None, threads=1):
        benchmark.group = layer.name
        benchmark(call)
        gflops = layer.flops / benchmark.stats.stats.median / 1e9
        benchmark.extra_info["gflops"] = round(gflops, 2)
        benchmark.extra_info["gbps"] = round(layer.bytes / benchmark.stats.stats.median / 1e9, 2)
        if isa:
            benchmark.extra_info["share_of_peak"] = round(gflops / limits.peak(threads, PEAK_S, isa), 3)

    return run
