"""Reports of the benchmark that were never measured, and contenders that were never serious."""

import random
from dataclasses import asdict

import numpy as np

from convfast.bench.contenders import CONTENDERS
from convfast.bench.contenders.base import Contender, Row
from convfast.bench.layers import LAYERS, SUITES
from convfast.bench.measure import FORMAT
from convfast.bench.worker import layer_words


class Honest(Contender):
    """The NumPy idiom under another name."""

    library = "honest"
    package = "numpy"
    rows = (Row("honest", weights="raw"),)

    def conv(self, layer, row, x, w):
        from convfast.bench.contenders.plain import columns

        return lambda: columns(layer, x, w)


class Wrong(Honest):
    """One number of the answer is one per cent too large."""

    library = "wrong"
    rows = (Row("wrong", weights="raw"),)

    def conv(self, layer, row, x, w):
        right = super().conv(layer, row, x, w)

        def call():
            y = right()
            y.flat[np.abs(y).argmax()] *= 1.01
            return y

        return call


class Cheat(Honest):
    """Computes once, and hands out the old answer for ever."""

    library = "cheat"
    rows = (Row("cheat", weights="raw"),)

    def conv(self, layer, row, x, w):
        answer = super().conv(layer, row, x, w)()
        return lambda: answer


class Fickle(Honest):
    """Right at first, wrong when the clock runs."""

    library = "fickle"
    rows = (Row("fickle", weights="raw"),)

    def conv(self, layer, row, x, w):
        right, calls = super().conv(layer, row, x, w), []

        def call():
            calls.append(1)
            return right() if len(calls) < 3 else np.zeros_like(right())

        return call


class Mortal(Honest):
    """Its process ends in the middle of a call."""

    library = "mortal"
    rows = (Row("mortal", weights="raw"),)

    def conv(self, layer, row, x, w):
        import os

        return lambda: os._exit(7)


class Absent(Honest):
    library = "absent"
    modules = ("no_such_module_anywhere",)


def made_up_report(names=("quick", "sizes", "batches", "pools"), threads=(2,), seed=0, libraries=tuple(CONTENDERS)):
    """A report as a run would write it, with invented times of plausible size."""
    chance, rows = random.Random(seed), []
    layers = {layer.name: layer for name in names for layer in SUITES.get(name) or (LAYERS[name],)}
    speed = {name: 150 / (1 + i) ** 1.5 for i, name in enumerate(CONTENDERS)}
    for n in threads:
        for layer in layers.values():
            for name in libraries:
                if layer.flops > CONTENDERS[name].most_flops:
                    continue
                for row in CONTENDERS[name].rows_for(layer):
                    limit = max(layer.flops / 2e11, layer.bytes / 5e10) * 2 / n
                    median = 3e-6 + limit * 200 / speed[name] * chance.uniform(1, 2)
                    rows.append(
                        asdict(row)
                        | {"layer": layer.name, "threads": n, "flops": layer.flops, "bytes": layer.bytes}
                        | {"shape": layer_words(layer), "library": name, "row": row.name, "status": "ok", "reason": ""}
                        | {"error": 2e-7, "setup_s": 1e-3, "first_s": 2e-3, "flushed_s": 1.5 * median, "samples": 30}
                        | {"median_s": median, "q1_s": 0.98 * median, "q3_s": 1.03 * median}
                        | {"gflops": layer.flops / median / 1e9, "gbps": layer.bytes / median / 1e9}
                        | {"peak_gflops": 200.0, "bandwidth_gbps": 50.0, "limit_s": limit, "share": limit / median}
                    )
    return {
        "format": FORMAT, "command": "python -m convfast bench", "elapsed_s": 60.0, "rows": rows, "warnings": [],
        "machine": {"date": "2026-01-01T00:00:00+00:00", "cpu": "Paper CPU", "convfast": "0", "caches": {"L2": "1M"},
                    "ISAs": "baseline", "numpy": "2", "compiler": "gcc", "commit": "abc"},
        "settings": {"threads": max(threads), "rounds": 6, "calls": 5, "cpus": [0, 1]},
        "libraries": {name: {"status": "ok", "version": "1", "start_s": 0.1, "remark": ""} for name in libraries},
        "limits": {"fma_gflops": {"baseline": 100.0, "avx2": 200.0}, "amx_gflops": None,
                   "bandwidth_gbps": [[1 << 14, 300.0], [1 << 22, 80.0], [1 << 28, 30.0]]},
        "drift": {"readings": 10, "disturbed": 0.0, "trend": 0.0, "sentence": "steady"},
        "load": {"others": 0.0, "stolen": 0.0, "sentence": "calm"},
    }  # fmt: skip
