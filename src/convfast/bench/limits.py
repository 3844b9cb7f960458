"""The machine: what it is, how fast it can be, and whether it stayed the same during the run."""

import contextlib
import datetime
import os
import platform
import subprocess
from pathlib import Path
from statistics import median, quantiles

from convfast import _core

STEADY = 0.9  # a reading below this share of the median is a disturbance: the clock fell, or others computed
CALM = 0.05  # more than this share of CPU time for others, and the report warns
HELD_BACK = ("CONVFAST_ISA", "ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "XLA_FLAGS")  # what may slow one library only
BANDWIDTH_SIZES = tuple(1 << n for n in range(14, 28, 2))  # 16 KiB in the first cache to 64 MiB ...
BANDWIDTH_SIZES += (1 << 28,)  # ... and 256 MiB in memory


def first_match(path, key):
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        return ""
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(key) and ":" in line), "")


def caches():
    """{"L1d": "32K", ...} of one CPU, where Linux tells."""
    found = {}
    for folder in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        level, kind, size = (folder.joinpath(name).read_text().strip() for name in ("level", "type", "size"))
        if kind != "Instruction":
            found[f"L{level}{'d' if kind == 'Data' else ''}"] = size
    return found


def commit():
    """The git commit of the source tree that runs, if it is one; "+" marks uncommitted changes."""
    here = Path(__file__).resolve().parents[3]
    if not here.joinpath(".git").exists():
        return ""
    git = ["git", "-C", str(here)]
    try:
        name = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True)
        clean = subprocess.run([*git, "diff", "--quiet", "HEAD"], check=False).returncode == 0
    except (OSError, subprocess.CalledProcessError):
        return ""
    return name.stdout.strip() + ("" if clean else "+")


def machine():
    """What the report says about where it was made; no names of hosts or users."""
    from convfast.config import configuration

    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "cpu": first_match("/proc/cpuinfo", "model name") or platform.processor() or platform.machine(),
        "cpus": os.cpu_count(),
        "caches": caches(),
        "memory": first_match("/proc/meminfo", "MemTotal"),
        "system": platform.platform(),
        "commit": commit(),
        "environment": " ".join(f"{name}={os.environ[name]}" for name in HELD_BACK if name in os.environ),
        **configuration(),
    }


def allowed_cpus():
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def choose_cpus(threads):
    """As many CPUs as threads, each on a core of its own as long as there are cores; all processes share them."""

    def siblings(cpu):
        path = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
        return path.read_text().strip() if path.exists() else str(cpu)

    cpus, cores = allowed_cpus(), set()
    first, second = [], []
    for cpu in cpus:
        (second if siblings(cpu) in cores else first).append(cpu)
        cores.add(siblings(cpu))
    return (first + second)[:threads] if len(cpus) >= threads else []


@contextlib.contextmanager
def on_isa(name):
    """Kernels of another instruction set; None leaves them."""
    before = _core.use_isa(name) if name else None
    try:
        yield
    finally:
        if name:
            _core.use_isa(before)


def peak(threads, seconds, isa=None):
    """float32 multiply-adds in registers: GFLOPS."""
    with on_isa(isa):
        return _core.fma_peak(threads, seconds)


def bandwidth(threads, size, seconds):
    """Two reads for every write over arrays of `size` bytes together: GB/s."""
    return _core.stream_bandwidth(threads, size, seconds)


def measure_limits(process, isas, seconds=0.05):
    """The peak of every ISA and the bandwidth at every size, by a process that does nothing else."""
    return {
        "fma_gflops": {isa: process.ask("peak", seconds=seconds, isa=isa)["gflops"] for isa in isas},
        "bandwidth_gbps": [[n, process.ask("bandwidth", size=n, seconds=seconds)["gbps"]] for n in BANDWIDTH_SIZES],
        "amx_gflops": None,  # convfast has no AMX kernels to measure it with
    }


class Drift:
    """The same loop again and again, between the turns: what changed was not the contenders."""

    def __init__(self):
        self.readings = []

    def add(self, gflops):
        self.readings.append(gflops)

    def summary(self):
        if len(self.readings) < 2:
            return {"readings": len(self.readings), "disturbed": 0, "sentence": "too few readings"}
        middle = median(self.readings)
        deciles = quantiles(self.readings, n=10, method="inclusive")
        low, high = deciles[0] / middle, deciles[-1] / middle
        disturbed = sum(reading < STEADY * middle for reading in self.readings) / len(self.readings)
        sentence = (
            f"reference loop {middle:.0f} GFLOPS, nine tenths of {len(self.readings)} readings within "
            f"{100 * (low - 1):+.0f} % and {100 * (high - 1):+.0f} %; {100 * disturbed:.0f} % disturbed"
        )
        third = max(len(self.readings) // 3, 1)
        trend = median(self.readings[-third:]) / median(self.readings[:third]) - 1
        return {
            "readings": len(self.readings), "gflops": middle, "low": low, "high": high, "disturbed": disturbed,
            "trend": trend, "sentence": sentence + f"; from beginning to end {100 * trend:+.0f} %",
        }  # fmt: skip


class Load:
    """CPU time that others took, where Linux tells."""

    def __init__(self):
        self.begin = self.ticks()

    @staticmethod
    def ticks():
        try:
            numbers = [int(n) for n in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
        except (OSError, ValueError):
            return None
        user, nice, system, idle, iowait, irq, softirq, steal = numbers
        return {"busy": user + nice + system + irq + softirq, "idle": idle + iowait, "stolen": steal}

    def summary(self, own_seconds):
        """Shares of all CPU time since the beginning; `own_seconds` is what the benchmark itself used."""
        end = self.ticks()
        if self.begin is None or end is None:
            return {"others": None, "stolen": None, "sentence": "other load: unknown on this system"}
        spent = {name: end[name] - self.begin[name] for name in end}
        total = max(sum(spent.values()), 1)
        others = max(spent["busy"] - own_seconds * os.sysconf("SC_CLK_TCK"), 0) / total
        stolen = spent["stolen"] / total
        sentence = f"other processes took {100 * others:.0f} %, other machines {100 * stolen:.0f} % of the CPU time"
        return {"others": others, "stolen": stolen, "sentence": sentence}


def warnings(drift, load, threads):
    """What a reader must know before believing a number."""
    found = []
    if drift.get("disturbed", 0) > CALM:
        found.append(f"Unsteady machine: {100 * drift['disturbed']:.0f} % of the reference readings were disturbed.")
    if abs(drift.get("trend", 0)) > CALM:
        found.append(f"The clock drifted by {100 * drift['trend']:+.0f} % during the run (throttling?).")
    if (load["others"] or 0) > CALM:
        found.append(f"Other processes took {100 * load['others']:.0f} % of the CPU time.")
    if (load["stolen"] or 0) > CALM:
        found.append(f"Other virtual machines took {100 * load['stolen']:.0f} % of the CPU time.")
    if allowed_cpus() and len(allowed_cpus()) < threads:
        found.append(f"{threads} threads on {len(allowed_cpus())} CPUs: they wait for each other.")
    return found
