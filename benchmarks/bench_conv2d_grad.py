"""Gradients of convolution: `pytest benchmarks/bench_conv2d_grad.py --suite backward`.

    python benchmarks/bench_conv2d_grad.py [--batches 1,16] [--threads 2] [--cpu] [name ...]

prints how many times faster than PyTorch's aten::convolution_backward (autograd off the clock) each is. Both sides may
choose their layout; calls take turns, the fastest of each counts. On a machine that computes other things too, `--cpu`
compares the CPU time of one thread instead.
"""

import argparse
import time
from math import exp, log

import numpy as np
import pytest

import convfast
from convfast.bench.layers import LAYERS, SUITES
from convfast.bench.truth import in_layout

SECONDS, ROUNDS = 0.6, 3  # for one gradient of one layer: at least so long and so often
NO_INPUT_GRAD = ("rn50_conv1",)  # the first layer of its network


def arrays(layer, data_format):
    """x, w and grad."""
    rng = np.random.default_rng(0)
    x, w, grad = (rng.standard_normal(s, np.float32) for s in (layer.x_shape, layer.w_shape, layer.output_shape))
    w = w if data_format == "NCHW" else np.ascontiguousarray(w.transpose(2, 3, 1, 0))
    return in_layout(x, data_format), w, in_layout(grad, data_format)


def input_grad(layer, data_format):
    x, w, grad = arrays(layer, data_format)
    return lambda: convfast.conv2d_input_grad(grad, w, x.shape, data_format=data_format, **layer.options)


def weight_grad(layer, data_format):
    x, _, grad = arrays(layer, data_format)
    kernel = layer.R, layer.S
    return lambda: convfast.conv2d_weight_grad(x, grad, kernel, data_format=data_format, **layer.options)


GRADIENTS = {"input": input_grad, "weight": weight_grad}


@pytest.mark.parametrize("data_format", ["NCHW", "NHWC"])
@pytest.mark.parametrize("gradient", GRADIENTS)
def bench_conv2d_grad(race, layer, gradient, data_format, isa, threads):
    with convfast.num_threads(threads):
        race(layer, GRADIENTS[gradient](layer, data_format), isa, threads)


def torch_backward(torch, layer, gradient, data_format):
    order = torch.channels_last if data_format == "NHWC" else torch.contiguous_format
    x, w, grad = (torch.from_numpy(a).to(memory_format=order) for a in arrays(layer, "NCHW"))
    steps = list(layer.stride), list(layer.padding), list(layer.dilation)
    wanted = [gradient == "input", gradient == "weight", False]
    backward = torch.ops.aten.convolution_backward
    return lambda: backward(grad, x, w, None, *steps, False, [0, 0], layer.groups, wanted)


def fastest(calls, clock):
    """Seconds of each call, which take turns."""
    best = dict.fromkeys(calls, float("inf"))
    end, rounds = time.perf_counter() + SECONDS, -1  # the first round warms up
    while rounds < ROUNDS or time.perf_counter() < end:
        for name, call in calls.items():
            begin = clock()
            call()
            best[name] = min(best[name], clock() - begin)
        rounds += 1
    return best


def ratios(layers, threads, clock):
    """(layer, gradient, seconds of convfast, of torch) for every row."""
    import torch

    torch.set_num_threads(threads)
    for layer in layers:
        for gradient, make in GRADIENTS.items():
            if gradient == "input" and layer.name.startswith(NO_INPUT_GRAD):
                continue
            calls = {}
            for data_format in ("NCHW", "NHWC"):
                calls["convfast", data_format] = make(layer, data_format)
                calls["torch", data_format] = torch_backward(torch, layer, gradient, data_format)
            best = fastest(calls, clock)
            yield layer, gradient, *(min(best[who, f] for f in ("NCHW", "NHWC")) for who in ("convfast", "torch"))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("layers", nargs="*", metavar="name", help="by default the suite `backward`")
    parser.add_argument("--batches", default="1,16")
    parser.add_argument("--threads", type=int, default=convfast.get_num_threads())
    parser.add_argument("--cpu", action="store_true", help="one thread, its CPU time")
    arguments = parser.parse_args()
    threads = 1 if arguments.cpu else arguments.threads
    convfast.set_num_threads(threads)
    named = [LAYERS[name] for name in arguments.layers] or SUITES["backward"]
    layers = [layer.batch(int(N)) for N in arguments.batches.split(",") for layer in named]
    clock, logs = time.thread_time if arguments.cpu else time.perf_counter, []
    print(f"{'layer':24} {'gradient':8} {'convfast ms':>12} {'torch ms':>10} {'times faster':>13}")
    for layer, gradient, ours, theirs in ratios(layers, threads, clock):
        logs.append(log(theirs / ours))
        print(f"{layer.name:24} {gradient:8} {1e3 * ours:12.3f} {1e3 * theirs:10.3f} {theirs / ours:13.2f}", flush=True)
    print(f"geometric mean {exp(sum(logs) / len(logs)):.2f}, least {exp(min(logs)):.2f}")


if __name__ == "__main__":
    main()
