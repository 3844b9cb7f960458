"""Builds the C harness with the flags of setup.py.

python tests/c/build.py HARNESS [FLAG ...]      CC: the compiler, gcc if not set; its target decides the ISAs.

The flags, and the switches CONVFAST_OPENMP, CONVFAST_DEBUG, CONVFAST_SANITIZE and CONVFAST_WERROR, stand in setup.py
alone: it is run here with everything that would build replaced by dummies, so that neither NumPy nor Cython is needed.
"""

import os
import runpy
import shlex
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from glob import glob
from pathlib import Path
from unittest import mock

ROOT = Path(__file__).resolve().parents[2]
DUMMIES = (
    *("numpy", "Cython", "Cython.Build"),
    *("setuptools", "setuptools.command", "setuptools.command.build_clib", "setuptools.command.build_ext"),
)


def setup_tables(machine):
    """The names that setup.py defines when it runs on such a machine."""
    modules = {name: mock.MagicMock() for name in DUMMIES}
    modules["setuptools.command.build_clib"].build_clib = modules["setuptools.command.build_ext"].build_ext = object
    with mock.patch.dict(sys.modules, modules), mock.patch("platform.machine", return_value=machine):
        return runpy.run_path("setup.py")


def main(target, *extra):
    target = Path(target).resolve()
    os.chdir(ROOT)
    cc = shlex.split(os.environ.get("CC", "gcc"))
    machine = subprocess.check_output([*cc, "-dumpmachine"], text=True).split("-")[0]
    tables = setup_tables(machine)
    openmp = [] if os.environ.get("CONVFAST_OPENMP") == "off" else ["-fopenmp"]
    macros = [f"-D{name}={value}" for name, value in tables["MACROS"]]
    flags = [*tables["COMMON"], "-Icsrc", *extra]
    isas = [(f"csrc/isa/{name}.c", own) for name, own in tables["BUILT"].items()]
    plain = [(source, [*macros, *openmp]) for source in sorted(glob("csrc/*.c") + glob("tests/c/*.c"))]
    with tempfile.TemporaryDirectory() as folder:

        def compile_one(source_and_flags):
            source, own = source_and_flags
            made = f"{folder}/{source.replace('/', '_')}.o"
            subprocess.check_call([*cc, *flags, *own, "-c", source, "-o", made])
            return made

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            objects = list(pool.map(compile_one, [*reversed(isas), *plain]))  # what takes longest first
        subprocess.check_call([*cc, *objects, *tables["LINK"], *openmp, *extra, "-lm", "-o", target])


main(*sys.argv[1:])
