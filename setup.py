"""Builds one static library of kernels per instruction set and one extension. Metadata stand in pyproject.toml.

Switches (environment): CONVFAST_OPENMP=off builds serial; CONVFAST_DEBUG=1 with assertions and symbols;
CONVFAST_SANITIZE=1 with the address and undefined-behaviour sanitizers; CONVFAST_WERROR=1 turns warnings into errors;
CONVFAST_EMULATE=avx512 compiles that table without its instructions, to test it on machines that lack them.
"""

import os
import platform
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from glob import glob
from pathlib import Path

import numpy
from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_clib import build_clib
from setuptools.command.build_ext import build_ext

ON = ("1", "on", "yes", "true")
MACHINE = platform.machine().lower()
X86 = MACHINE in ("x86_64", "amd64")
ARM = MACHINE in ("aarch64", "arm64")
EMULATE = os.environ.get("CONVFAST_EMULATE", "")


def switch(name):
    return os.environ.get(name, "").lower() in ON


# -ffp-contract=fast: without it a multiply-add is two instructions, half the speed. Never -ffast-math.
COMMON = ["-O3", "-std=gnu11", "-ffp-contract=fast", "-fvisibility=hidden", "-fno-math-errno", "-Wall", "-Wextra"]
LINK = []
if sys.platform.startswith("linux"):
    LINK += ["-Wl,-z,relro,-z,now"]
if switch("CONVFAST_DEBUG"):
    COMMON += ["-g", "-UNDEBUG"]
if switch("CONVFAST_SANITIZE"):
    COMMON += ["-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"]
    LINK += ["-fsanitize=address,undefined"]
if switch("CONVFAST_WERROR"):
    COMMON += ["-Werror"]

# name: (built on this machine, its flags). One stub csrc/isa/<name>.c each: build_clib names objects after the source,
# so one source in two libraries would be compiled once, with the first one's flags.
AVX512 = ["-mavx512f", "-mavx512vl", "-mavx512bw", "-mavx512dq", "-mavx2", "-mfma", "-mprefer-vector-width=512"]
ISAS = {
    "baseline": (True, []),
    "neon": (ARM, []),
    "avx2": (X86, ["-mavx2", "-mfma"]),
    "avx512": (X86, ["-mavx2", "-mfma", "-DCF_EMULATE", "-Wno-psabi"] if EMULATE == "avx512" else AVX512),
}
BUILT = {name: flags for name, (here, flags) in ISAS.items() if here}
NAIVE = "csrc/naive.c"  # a benchmark's plain loops: -O2, as a user would compile them
INCLUDE = "src/convfast/include"  # what others compile against; here it declares plain functions: CF_INSIDE
HEADERS = glob("csrc/*.h") + glob("csrc/kernels/*.h") + glob(f"{INCLUDE}/convfast/*.h")
MACROS = [(f"CF_HAVE_{name.upper()}", "1") for name in BUILT] + [("CF_EMULATE", "1")] * (EMULATE == "avx512")


def without_fast_math(flags):
    """A user's CFLAGS must not set flush-to-zero for the whole process, as -Ofast on gcc 12's link line does."""
    banned = ("-ffast-math", "-funsafe-math-optimizations", "-ffinite-math-only", "-march=native", "-mtune=native")
    return " ".join("-O3" if f == "-Ofast" else f for f in flags.split() if f not in banned)


for variable in ("CFLAGS", "CPPFLAGS", "LDFLAGS"):
    if variable in os.environ:
        os.environ[variable] = without_fast_math(os.environ[variable])


def openmp_flags(compiler):
    """What compiles and links OpenMP here, or nothing: the serial build gives the same bits."""
    if os.environ.get("CONVFAST_OPENMP", "auto").lower() in ("off", "0", "no"):
        return []
    with tempfile.TemporaryDirectory() as folder:
        probe = Path(folder, "probe.c")
        probe.write_text("#include <omp.h>\nint main(void) { return omp_get_max_threads() < 1; }\n")
        try:
            objects = compiler.compile([str(probe)], output_dir=folder, extra_postargs=["-fopenmp"])
            compiler.link_executable(objects, str(Path(folder, "probe")), extra_postargs=["-fopenmp"])
        except Exception:
            print("convfast: no OpenMP here, building serial")
            return []
    return ["-fopenmp"]


class BuildLibraries(build_clib):
    """Static libraries go into a shared object: position independent. Made side by side, the longest first."""

    def build_libraries(self, libraries):
        for _, info in libraries:
            info["cflags"] = [*info["cflags"], "-fPIC"]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(super().build_libraries, ([one] for one in reversed(libraries))))


class BuildExtension(build_ext):
    def build_extensions(self):
        openmp = openmp_flags(self.compiler)
        for extension in self.extensions:
            extension.extra_compile_args += openmp
            extension.extra_link_args += openmp
        super().build_extensions()


def library(name, source, flags):
    """One static library: one source with flags of its own."""
    info = {"sources": [source], "cflags": COMMON + flags, "include_dirs": ["csrc"], "obj_deps": {"": HEADERS}}
    return f"convfast_{name}", info


setup(
    libraries=[
        *(library(name, f"csrc/isa/{name}.c", flags) for name, flags in BUILT.items()),
        library("naive", NAIVE, ["-O2"]),
    ],
    ext_modules=cythonize(
        [
            Extension(
                "convfast._core",
                sources=["src/convfast/_core.pyx", *sorted(set(glob("csrc/*.c")) - {NAIVE})],
                include_dirs=["csrc", INCLUDE, numpy.get_include()],
                define_macros=[("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION"), ("CF_INSIDE", "1"), *MACROS],
                depends=HEADERS,
                extra_compile_args=[*COMMON, "-Wno-unused-function"],
                extra_link_args=LINK,
            )
        ],
        compiler_directives={"language_level": "3", "boundscheck": False, "wraparound": False, "binding": True},
    ),
    cmdclass={"build_clib": BuildLibraries, "build_ext": BuildExtension},
)
