"""The run. How it is kept fair:

- Every library has a process of its own: in one process the threads of one runtime spin while another is timed.
- All processes use the same CPUs and the same number of threads, and compute in float32.
- A layer is measured in rounds, every row once a round, in a rotating order: what disturbs, disturbs all alike.
- One works at a time. On Linux the others are stopped (SIGSTOP), because the threads of some runtimes spin for long
  after their work; elsewhere a pause lets them fall asleep. A turn begins with calls off the clock, until they
  are fast again.
- Every answer is compared with float64 before the clock starts; a wrong one is not timed. The answer to a changed
  input must change, and the last answer must still be the first.
- Between the turns the same reference loop runs: the limit that shares are counted from, and the proof of calm.
- Losers, failures and what a library does not do stay in the report.
"""

import os
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median, quantiles

import numpy as np

from convfast.bench import limits
from convfast.bench.process import STOPS, Ended, Process
from convfast.bench.truth import arrays, error, exact
from convfast.bench.worker import layer_words

FORMAT = "convfast-bench 1"
PAUSE_S = 0.005 if STOPS else 0.02  # between turns; most threads that spin after their work sleep after 20 ms
SAMPLE_S = 50e-6  # shorter calls are repeated within one sample: the clock costs 0.05 us
REFERENCE_S = 0.004  # one reading of the reference loop
BANDWIDTH_S = 0.02
ROUNDS_LEAST = 2
VERY_SLOW = 5  # turns that one call takes


@dataclass(frozen=True)
class Settings:
    threads: int
    rounds: int = 6
    calls: int = 5  # a round: 30 in all
    turn_s: float = 0.1  # a slow row has fewer calls in a round, at least one; a very slow one in the first rounds only
    flushed: int = 3  # calls with flushed caches
    seconds: float = float("inf")  # when this time is over, the remaining rounds and layers are left out


class Bench:
    """`contenders` are classes; `tell(done, text)` hears how far the run is, from 0 to 1."""

    def __init__(self, settings, contenders, tell=lambda done, text: None):
        self.settings, self.contenders, self.tell = settings, contenders, tell
        self.cpus = limits.choose_cpus(settings.threads)
        self.processes, self.libraries, self.rows = {}, {}, []
        self.drift, self.load = limits.Drift(), limits.Load()
        self.own_s = 0.0  # CPU time of processes that have ended
        self.reference = []  # the process that measures the machine, once it runs
        self.limits = {"fma_gflops": {}, "bandwidth_gbps": [], "amx_gflops": None}
        self.interrupted = False

    def run(self, layers):
        """Measure the layers; the report as a dict that JSON can hold. Ctrl-C ends the run, not the report."""
        self.begin = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            try:
                self.start()
                for i, layer in enumerate(layers):
                    self.layer(layer, i / len(layers), 1 / len(layers), Path(folder, "answer.npy"))
            except KeyboardInterrupt:
                self.interrupted = True
                self.rows = [row for row in self.rows if "median_s" in row or row.get("status", "ok") != "ok"]
            finally:
                for process in [*self.processes.values(), *self.reference]:
                    process.close()
        return self.report()

    def start(self):
        from convfast import available_isas
        from convfast.bench.contenders.own import Convfast

        self.tell(0, "machine")
        self.reference.append(Process(Convfast, self.settings.threads, self.cpus))
        self.limits = limits.measure_limits(self.reference[0], available_isas())
        for contender in self.contenders:
            name = contender.library
            self.tell(0, f"starting {name}")
            missing = contender.missing()
            if missing:
                self.libraries[name] = {"status": f"not installed: {', '.join(missing)}"}
            else:
                self.libraries[name] = {"status": "ok"}
                self.awake(contender)

    def awake(self, contender):
        """The process of a contender, started if it is not alive; None if it cannot be."""
        name = contender.library
        if name in self.processes or self.libraries[name]["status"] != "ok":
            return self.processes.get(name)
        try:
            process = Process(contender, self.settings.threads, self.cpus)
            if "error" in process.hello:
                process.close()
                raise Ended(process.hello["error"])
        except Ended as reason:
            self.libraries[name]["status"] = f"does not start: {reason}"
            return None
        self.libraries[name] |= process.hello
        self.processes[name] = process
        return process

    def ask(self, contender, **command):
        """A reply, or {"error": ...}; a dead process is started again for the next layer."""
        process = self.processes.get(contender.library)
        if process is None:
            return {"error": "its process ended before"}
        try:
            return process.ask(**command)
        except Ended as reason:
            self.own_s += process.cpu_s
            del self.processes[contender.library]
            process.close()
            return {"error": str(reason)}

    def out_of_time(self, share=1.0):
        return time.monotonic() - self.begin > share * self.settings.seconds

    def layer(self, layer, done, width, answer):
        facts = {
            "layer": layer.name, "threads": self.settings.threads, "flops": layer.flops, "bytes": layer.bytes,
            "shape": layer_words(layer),
        }  # fmt: skip
        if self.out_of_time():
            self.rows.append(facts | {"library": "", "row": "", "status": "skipped", "reason": "the time was over"})
            return
        self.tell(done, f"{layer.name}: checking")
        truth = exact(layer, *arrays(layer))
        entries = []
        for contender in self.contenders:
            if self.awake(contender) is None:
                continue
            for row in contender.rows_for(layer):
                entry = facts | {"library": contender.library, "row": row.name, **asdict(row)}
                del entry["name"]
                self.rows.append(entry)
                if self.check(contender, entry, layer, row, truth, answer):
                    entries.append((contender, entry, []))
        del truth
        bandwidth = self.reference[0].ask("bandwidth", size=layer.bytes, seconds=BANDWIDTH_S)["gbps"]
        peaks = self.rounds(layer, entries, done, width)
        for contender, entry, samples in entries:
            if entry["status"] == "ok":
                self.finish(contender, entry, samples, median(peaks), bandwidth)

    def check(self, contender, entry, layer, row, truth, answer):
        """Prepare a row and hold its answer against float64: whether it may race."""
        self.tell(None, f"{layer.name}: checking {row.name}")
        reply = self.ask(contender, do="prepare", layer=layer_words(layer), row=row.name, answer=str(answer))
        if "unsupported" in reply:
            entry |= {"status": "unsupported", "reason": reply["unsupported"]}
        elif "error" in reply:
            entry |= {"status": "failed", "reason": reply["error"]}
        else:
            worst, wrong = error(np.load(answer), *truth)
            if not reply["fresh"]:
                wrong = "answers a changed input with the old output"
            entry |= {"status": "wrong" if wrong else "ok", "reason": wrong, "error": worst if worst < np.inf else None}
            entry |= {name: reply[name] for name in ("setup_s", "first_s", "call_s")}
        return entry["status"] == "ok"

    def rounds(self, layer, entries, done, width):
        """Rounds of turns; the readings of the reference loop."""
        s, peaks = self.settings, []
        for i in range(s.rounds):
            if i >= ROUNDS_LEAST and self.out_of_time(done + width):
                break
            self.tell(done + width * i / s.rounds, f"{layer.name}: round {i + 1} of {s.rounds}")
            time.sleep(PAUSE_S)
            peaks.append(self.reference[0].ask("peak", seconds=REFERENCE_S)["gflops"])
            self.drift.add(peaks[-1])
            start = i * len(entries) // s.rounds
            for contender, entry, samples in entries[start:] + entries[:start]:
                very_slow = i >= ROUNDS_LEAST and entry["call_s"] > VERY_SLOW * s.turn_s
                if entry["status"] == "ok" and not very_slow:
                    time.sleep(PAUSE_S)
                    self.turn(contender, entry, samples)
        return peaks

    def turn(self, contender, entry, samples):
        s, call_s = self.settings, entry["call_s"]
        repeat = max(1, min(round(SAMPLE_S / call_s), 100))
        calls = max(1, min(s.calls, int(s.turn_s / (call_s * repeat))))
        reply = self.ask(contender, do="time", row=entry["row"], calls=calls, repeat=repeat)
        if "error" in reply:
            entry |= {"status": "failed", "reason": reply["error"]}
        elif not reply["same"]:
            entry |= {"status": "wrong", "reason": "gave different answers to the same input"}
        else:
            samples += reply["samples"]
            entry["call_s"] = median(reply["samples"])

    def finish(self, contender, entry, samples, peak, bandwidth):
        """Numbers of one row: medians, quartiles, rates, and the share of the layer's limit."""
        if self.settings.flushed and not self.out_of_time():
            time.sleep(PAUSE_S)
            reply = self.ask(contender, do="flushed", row=entry["row"], calls=self.settings.flushed)
            entry["flushed_s"] = median(reply["samples"]) if "samples" in reply else None
        middle = median(samples)
        low, _, high = quantiles(samples, n=4, method="inclusive") if len(samples) > 1 else [middle] * 3
        limit = max(entry["flops"] / (peak * 1e9), entry["bytes"] / (bandwidth * 1e9))
        del entry["call_s"]
        entry |= {
            "median_s": middle, "q1_s": low, "q3_s": high, "samples": len(samples),
            "gflops": entry["flops"] / middle / 1e9, "gbps": entry["bytes"] / middle / 1e9,
            "peak_gflops": peak, "bandwidth_gbps": bandwidth, "limit_s": limit, "share": limit / middle,
        }  # fmt: skip

    def report(self):
        self.tell(1, "done")
        times = os.times()
        own = self.own_s + times.user + times.system
        own += sum(process.cpu_s for process in [*self.processes.values(), *self.reference])
        drift, load = self.drift.summary(), self.load.summary(own)
        settings = asdict(self.settings) | {"cpus": self.cpus}
        if settings["seconds"] == float("inf"):
            settings["seconds"] = None
        return {
            "format": FORMAT,
            "machine": limits.machine(),
            "settings": settings,
            "libraries": self.libraries,
            "limits": self.limits,
            "drift": drift,
            "load": load,
            "warnings": limits.warnings(drift, load, self.settings.threads) + ["Interrupted."] * self.interrupted,
            "elapsed_s": time.monotonic() - self.begin,
            "rows": self.rows,
        }
