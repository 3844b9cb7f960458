"""A contender's process, seen from outside."""

import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading

PATIENCE = 120  # seconds for one command: compilers and the slowest loops need a few
# Between its turns a process is stopped: threads of some runtimes spin for a second after their work. Only Linux can
# promise to end a stopped process when its parent dies.
STOPS = sys.platform == "linux"
THREAD_VARIABLES = (
    "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "BLIS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS", "CONVFAST_NUM_THREADS",
)  # fmt: skip


class Ended(Exception):
    """The process died, or was silent for too long."""


class Process:
    """Starts the worker of a contender class; `hello` is its first answer."""

    def __init__(self, contender, threads, cpus=()):
        environment = os.environ | dict.fromkeys(THREAD_VARIABLES, str(threads))
        environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
        spec = f"{contender.__module__}:{contender.__name__}"
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115  closed with the process
        self.process = subprocess.Popen(
            [sys.executable, "-m", "convfast.bench.worker", spec, str(threads), ",".join(map(str, cpus))],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, text=True, env=environment,
            start_new_session=True,  # Ctrl-C is for the run, which then ends its processes
        )  # fmt: skip
        self.lines = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()
        self.cpu_s = 0.0
        self.hello = self._answer()

    def _listen(self):
        for line in self.process.stdout:
            self.lines.put(line)
        self.lines.put(None)

    def _answer(self):
        try:
            line = self.lines.get(timeout=PATIENCE)
        except queue.Empty:
            self.close()
            raise Ended(f"no answer within {PATIENCE} s") from None
        if line is None:
            self.process.wait()
            raise Ended(f"its process ended with code {self.process.returncode}: {self.last_words()}")
        self._signal("SIGSTOP")
        reply = json.loads(line)
        self.cpu_s = reply.pop("cpu_s")
        return reply

    def ask(self, do, **arguments):
        self._signal("SIGCONT")
        try:
            self.process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
            self.process.stdin.flush()
        except (BrokenPipeError, OSError):
            pass  # the answer says why
        return self._answer()

    def _signal(self, name):
        if STOPS:
            self.process.send_signal(getattr(signal, name))

    def last_words(self):
        self.errors.seek(0)
        lines = self.errors.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "no message"

    def close(self):
        """End the process, if it has not ended."""
        self._signal("SIGCONT")
        try:
            self.process.stdin.close()
            self.process.wait(timeout=2)
        except (OSError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.errors.close()
