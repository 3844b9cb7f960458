"""The process of one contender: reads commands as JSON lines from stdin, answers with JSON lines.

    python -m convfast.bench.worker <module>:<class> <threads> <cpus>

A command names a method of Worker and its arguments: {"do": "time", "row": "torch", "calls": 5, "repeat": 1}. Nothing
runs between commands: while another contender has its turn, this one is stopped, or waits in a read.
"""

import ctypes
import gc
import importlib
import json
import os
import signal
import sys
import time
import traceback

FLUSH_BYTES = 128 << 20  # larger than the caches of common machines
WARM_S = 0.002  # calls before the clock starts: they wake threads, caches and the CPU's clock
# After a pause Linux often wakes a thread on the CPU of another one and takes tens of milliseconds to part them: until
# then an OpenMP library is at a tenth of its speed. So a row warms on until a call is nearly as fast as its fastest.
WARM_MOST_S = 0.08
NEARLY = 1.3
PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
SAME = 1e-3  # two answers of one contender differ by less, or one of them is wrong


def layer_words(layer):
    """A layer in the words of JSON."""
    fields = {name: getattr(layer, name) for name in layer.__dataclass_fields__}
    lists = {name: list(value) for name, value in fields.items() if isinstance(value, tuple)}
    return {"table": type(layer).__name__, **fields, **lists}


def layer_of(words):
    from convfast.bench import layers

    fields = {name: tuple(value) if isinstance(value, list) else value for name, value in words.items()}
    return getattr(layers, fields.pop("table"))(**fields)


def seconds(call):
    begin = time.perf_counter()
    result = call()
    return time.perf_counter() - begin, result


class Worker:
    def __init__(self, contender, threads):
        self.contender, self.threads = contender, threads
        self.calls = {}  # row name: the call, the first answer
        self.fastest = {}  # row name: seconds of its fastest call
        self.highest = {}  # ISA: GFLOPS of its fastest reading
        self.layer = self.memory = None

    def hello(self):
        spent, remark = seconds(lambda: self.contender.start(self.threads))
        return {"start_s": spent, "remark": remark or "", "version": self.contender.version()}

    def prepare(self, layer, row, answer):
        import numpy as np

        from convfast.bench.contenders import Unsupported
        from convfast.bench.truth import arrays, in_layout, to_nchw

        layer = layer_of(layer)
        if layer != self.layer:
            self.layer, self.arrays, self.calls, self.fastest = layer, arrays(layer), {}, {}
        row = next(r for r in self.contender.rows if r.name == row)
        x, w = self.arrays
        x = in_layout(x, row.layout)
        try:
            setup, call = seconds(lambda: self.contender.prepare(layer, row, x, w))
            first, y = seconds(call)
        except Unsupported as reason:
            return {"unsupported": str(reason)}
        y = np.array(y)
        np.save(answer, to_nchw(y, row.layout, layer))
        # Twice the input gives twice the output, to the last bit: who answers otherwise has kept an old answer.
        x *= 2
        again, doubled = seconds(call)
        fresh = bool(np.allclose(doubled, 2 * y, rtol=SAME, atol=SAME))
        x *= 0.5
        self.calls[row.name] = call, y
        self.fastest[row.name] = again
        return {"setup_s": setup, "first_s": first, "call_s": again, "fresh": fresh}

    def warm(self, row):
        """Call until threads, caches and the CPU's clock are awake."""
        call, _ = self.calls[row]
        begin = time.perf_counter()
        while True:
            spent, _ = seconds(call)
            self.fastest[row] = min(self.fastest[row], spent)
            warm_s = time.perf_counter() - begin
            awake = warm_s > WARM_S and spent < NEARLY * self.fastest[row]
            if awake or warm_s > WARM_MOST_S:
                break

    def time(self, row, calls, repeat):
        """`calls` samples, each the mean of `repeat` calls in a row. A single slow one starts cold."""
        import numpy as np

        call, first = self.calls[row]
        gc.disable()
        samples, y = [], None
        if calls * repeat > 1:
            self.warm(row)
        for _ in range(calls):
            begin = time.perf_counter()
            for _ in range(repeat):
                y = call()
            samples.append((time.perf_counter() - begin) / repeat)
        gc.enable()
        return {"samples": samples, "same": bool(np.allclose(y, first, rtol=SAME, atol=SAME))}

    def flushed(self, row, calls):
        """Single calls, each after a walk over memory larger than the caches."""
        import numpy as np

        call, _ = self.calls[row]
        if self.memory is None:
            self.memory = np.zeros(FLUSH_BYTES, np.uint8)
        samples = []
        for _ in range(calls):
            self.memory += 1
            samples.append(seconds(call)[0])
        return {"samples": samples}

    def peak(self, seconds, isa=None):
        """One reading, of threads that are awake."""
        from convfast.bench import limits

        begin = time.perf_counter()
        while True:
            gflops = limits.peak(self.threads, seconds, isa)
            self.highest[isa] = max(gflops, self.highest.get(isa, 0.0))
            if gflops > self.highest[isa] / NEARLY or time.perf_counter() - begin > WARM_MOST_S:
                return {"gflops": gflops}

    def bandwidth(self, size, seconds):
        from convfast.bench import limits

        self.peak(WARM_S)
        return {"gbps": limits.bandwidth(self.threads, size, seconds)}


def main(spec, threads, cpus):
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # this process may be stopped when its parent dies
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints must not stand between the answers
    if cpus and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {int(cpu) for cpu in cpus.split(",")})
    module, name = spec.split(":")
    worker = Worker(getattr(importlib.import_module(module), name)(), int(threads))

    def answer(function, **arguments):
        try:
            reply = function(**arguments)
        except Exception as error:
            traceback.print_exc()
            reply = {"error": f"{type(error).__name__}: {error}"}
        reply["cpu_s"] = time.process_time()
        print(json.dumps(reply), file=answers, flush=True)

    answer(worker.hello)
    for line in sys.stdin:
        command = json.loads(line)
        answer(getattr(worker, command.pop("do")), **command)


if __name__ == "__main__":
    main(*sys.argv[1:])
