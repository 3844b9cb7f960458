"""The rules of the house that a test can check: who may know whom, one place for each thing, nothing dead."""

import ast
import inspect
import re
import subprocess
import sysconfig
from pathlib import Path
from shutil import which

import pytest

import convfast
from convfast import _core, reference

ROOT = Path(__file__).parents[1]
CSRC = ROOT / "csrc"
C_FILES = sorted([*CSRC.rglob("*.c"), *CSRC.rglob("*.h")])
LEAVES = sorted((CSRC / "kernels").glob("*.h"))
STUBS = sorted((CSRC / "isa").glob("*.c"))
DRIVERS = sorted(CSRC.glob("*.c"))
PYTHON_FILES = sorted(path for room in ("src", "tests", "benchmarks") for path in (ROOT / room).rglob("*.py"))

LEAF_LINES, DRIVER_LINES, FUNCTION_LINES, PYTHON_LINES = 250, 300, 60, 400
LINE_CHARACTERS = 120  # of C; ruff holds Python to it

pytestmark = pytest.mark.skipif(not CSRC.is_dir(), reason="reads the sources, which are not here")


def name(path):
    return str(path.relative_to(ROOT))


def code(path):
    """A C file without its comments and strings, line for line."""
    text = re.sub(r'"(\\.|[^"\\\n])*"', '""', path.read_text())
    return re.sub(r"/\*.*?\*/|//[^\n]*", lambda comment: "\n" * comment[0].count("\n"), text, flags=re.S)


def includes(path):
    return re.findall(r'#\s*include\s+[<"]([^">]+)[">]', path.read_text())


def offences(pattern, files, read=code):
    """Where `pattern` stands, as "file:line: text"."""
    return [
        f"{name(path)}:{number}: {line.strip()}"
        for path in files
        for number, line in enumerate(read(path).splitlines(), 1)
        if re.search(pattern, line)
    ]


def all_but(*paths):
    return [path for path in C_FILES if path.relative_to(CSRC).as_posix() not in paths]


# 1. Arrows point down


def test_sources_are_found():
    """A rule over no files would hold for ever."""
    assert min(len(C_FILES), len(LEAVES), len(STUBS), len(DRIVERS), len(PYTHON_FILES)) >= 3


def test_kernels_know_neither_python_nor_numpy():
    assert not offences(r"\bPy[A-Z_]\w*|\bnpy_|\bNPY_", C_FILES)
    assert not [name(path) for path in C_FILES if any(re.search("(?i)python|numpy", i) for i in includes(path))]


def test_leaves_include_only_leaves():
    own = {path.name for path in LEAVES}
    system = {"stddef.h", "stdint.h", "float.h", "math.h", "immintrin.h", "arm_neon.h"}
    for path in LEAVES:
        assert {Path(include).name for include in includes(path)} <= own | system, name(path)


def test_stubs_only_choose_flags_and_include_the_leaves():
    for path in STUBS:
        assert all(include.startswith("../kernels/") for include in includes(path)), name(path)
        assert len(path.read_text().splitlines()) <= 20, name(path)


def test_drivers_reach_leaves_through_the_table_alone():
    for path in all_but(*(path.relative_to(CSRC).as_posix() for path in (*LEAVES, *STUBS))):
        kernels = [include for include in includes(path) if "kernels/" in include or include.endswith(".inl.h")]
        assert set(kernels) <= {"kernels/table.h"}, name(path)


def test_only_the_door_and_its_callers_import_the_extension():
    files = [path for path in PYTHON_FILES if "reference" in path.parts or "benchmarks" in path.parts]
    assert not offences(r"\b_core\b", files, Path.read_text)


# 2. One name, every room


def test_every_law_is_a_function_and_every_function_has_its_law():
    assert set(reference.__all__) - {"conv2d_loops"} <= set(convfast.__all__)


@pytest.mark.parametrize("function", [f for f in reference.__all__ if hasattr(convfast, f)])
def test_law_and_function_have_the_same_arguments(function):
    def arguments(of):
        return {p.name: (p.kind, p.default) for p in inspect.signature(of).parameters.values() if p.name != "out"}

    assert arguments(getattr(convfast, function)) == arguments(getattr(reference, function))


@pytest.mark.parametrize("stub", STUBS, ids=lambda path: path.stem)
def test_every_instruction_set_is_named_as_its_file(stub):
    assert re.search(rf"#define CF_ISA {stub.stem}\b", stub.read_text())
    assert stub.stem in (ROOT / "setup.py").read_text()


# 3. A leaf is arithmetic


def test_leaves_neither_allocate_nor_report_nor_branch_on_the_machine():
    assert not offences(r"\b(malloc|calloc|realloc|free|alloca|cf_acquire|cf_status|cpu_supports|omp)\w*", LEAVES)


def test_functions_of_leaves_are_static():
    for path in LEAVES:
        assert not [head for head, _ in c_functions(path) if not head.startswith("static ")], name(path)


# 5. One place each


def test_openmp_lives_in_parallel_c():
    assert not offences(r"#\s*pragma\s+omp|\bomp_\w+|\bpthread_\w+", all_but("parallel.c"))
    assert not [name(path) for path in all_but("parallel.c") if {"omp.h", "pthread.h"} & set(includes(path))]


def test_memory_lives_in_workspace_c():
    pattern = r"\b(malloc|calloc|realloc|aligned_alloc|posix_memalign|free|alloca|mmap|munmap)\s*\("
    assert not offences(pattern, all_but("workspace.c"))


def test_intrinsics_live_in_simd_h():
    files = [path for path in C_FILES if not re.fullmatch(r"simd\w*\.h", path.name)]
    x86, arm = r"\b_mm\d*_\w+|\b__m(128|256|512)\w*|\b_tile_\w+|__builtin_ia32_\w+", r"\bv\w+q_[fsu](8|16|32|64)\b"
    assert not offences(f"{x86}|{arm}", files)
    assert not [name(path) for path in files if any("intrin.h" in i or "arm_neon" in i for i in includes(path))]


def test_flags_live_in_setup_py():
    assert not offences(r"pragma\s+(GCC|clang)\s+(target|optimize)|__attribute__.*\b(target|optimize)\s*\(", C_FILES)
    flags = (ROOT / "setup.py").read_text().split("def without_fast_math")[0]
    assert not re.search(r"-Ofast|-ffast-math|-march=native|-funsafe-math", "".join(re.findall(r'"(-[^"]+)"', flags)))


def test_tolerances_live_in_conftest():
    """The promises are written once; tests and their tools ask for them by name."""
    number, conftest = r"\b(2e-6|1\.5e-5|8e-3)\b", ROOT / "tests" / "conftest.py"
    assert len(offences(number, [conftest], Path.read_text)) == 3
    others = [path for path in (ROOT / "tests").rglob("*.py") if path not in (conftest, Path(__file__))]
    assert not offences(number, others, Path.read_text)


# 7. No surprise for the host


def test_kernels_never_print_abort_or_touch_the_process():
    # Files are read, never written: the CPU quota stands in one. Helpers take over the mode of the job's caller.
    talk = r"\b(printf|fprintf|vprintf|puts|fputs|putchar|fputc|fwrite|perror|syslog)\s*\("
    leave = r"\b(abort|exit|_exit|quick_exit|atexit|raise|kill|signal|sigaction|longjmp|system|popen)\s*\("
    change = r"\b((set|put|unset)env|sched_setaffinity|pthread_setaffinity\w*|fe(set|enable)\w+|setlocale)\s*\("
    change += r"(?!&t->job->mode\))"
    global_openmp = r"\bomp_set_\w+"
    mode = r"_mm_setcsr|ldmxcsr|_MM_SET_|kmp_set_"
    for pattern in (talk, leave, change, global_openmp, mode):
        assert not offences(pattern, C_FILES)


def test_python_prints_only_where_that_is_asked_for():
    """show_config, and what the command line runs."""
    talkers = {"config", "__main__", "demo", "selftest", "bench"}
    files = [path for path in (ROOT / "src").rglob("*.py") if not talkers & {path.stem, *path.parts}]
    assert not offences(r"(?<![\w.>])print\(", files, Path.read_text)


# 12. Nothing dead


def test_nothing_is_switched_off_or_left_to_do():
    files = [*C_FILES, *PYTHON_FILES, *(ROOT / "src").rglob("*.pyx"), ROOT / "setup.py"]
    files.remove(Path(__file__))
    assert not offences(r"#\s*if\s+0\b", files, Path.read_text)
    assert not offences(r"\b(TODO|FIXME|XXX|HACK)\b(?!.*#\d+)", files, Path.read_text)


def test_no_code_is_commented_out():
    assert not offences(r"^\s*//.*;\s*$|^\s*/\*.*;\s*\*/\s*$", C_FILES, Path.read_text)


# 13. Sizes


def longer_than(limit, files):
    lengths = {name(path): len(path.read_text().splitlines()) for path in files}
    return {path: lines for path, lines in lengths.items() if lines > limit}


def test_files_are_short():
    assert not longer_than(LEAF_LINES, LEAVES)
    assert not longer_than(DRIVER_LINES, DRIVERS)
    assert not longer_than(PYTHON_LINES, PYTHON_FILES)


def test_lines_are_short():
    assert not offences(rf"^.{{{LINE_CHARACTERS + 1}}}", C_FILES, Path.read_text)


def c_functions(path):
    """(name, lines) of every function: from a line that opens a body to the brace in its first column."""
    lines, start = code(path).splitlines(), None
    for number, line in enumerate(lines):
        if start is None and re.match(r"\w.*\)\s*\{?$", line) and "{" in line + "".join(lines[number + 1 : number + 2]):
            start = number
        elif start is not None and line.startswith("}"):
            yield lines[start], number - start + 1
            start = None


def test_c_functions_are_short():
    functions = [(name(path), *function) for path in C_FILES for function in c_functions(path)]
    assert len(functions) > 50
    assert not [function for function in functions if function[2] > FUNCTION_LINES]


def test_python_functions_are_short():
    def statements(function):
        """Lines without those of the docstring and the signature."""
        documented = ast.get_docstring(function) is not None
        body = function.body[documented:]
        return body[-1].end_lineno - body[0].lineno + 1 if body else 0

    for path in PYTHON_FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                assert statements(node) <= FUNCTION_LINES, f"{name(path)}: {node.name}"


# What the compiler made of it


def symbols(path, *options):
    listing = subprocess.run(["nm", "-P", *options, path], capture_output=True, text=True, check=True).stdout
    return {line.split()[0] for line in listing.splitlines() if len(line.split()) > 1}


needs_nm = pytest.mark.skipif(which("nm") is None, reason="nm is not installed")


@needs_nm
@pytest.mark.parametrize("isa", [stub.stem for stub in STUBS])
def test_an_instruction_set_exports_one_symbol(isa):
    """A shared inline function compiled here could win at link time and crash an older machine."""
    machine = sysconfig.get_platform().replace("linux-", "*")
    archives = sorted((ROOT / "build").glob(f"temp{machine}*/**/libconvfast_{isa}.a"))
    if not archives:
        pytest.skip(f"no build tree with libconvfast_{isa}.a")
    assert symbols(archives[-1], "--extern-only", "--defined-only") == {f"cf_kernels_{isa}"}


@needs_nm
def test_the_package_exports_only_its_entry():
    assert symbols(_core.__file__, "--dynamic", "--defined-only") == {"PyInit__core"}


@needs_nm
def test_the_package_links_nothing_that_prints_or_ends_the_process():
    unwanted = {"printf", "fprintf", "puts", "abort", "exit", "_exit", "setenv", "sched_setaffinity", "set_fast_math"}
    used = {symbol.split("@")[0] for symbol in symbols(_core.__file__, "--dynamic", "--undefined-only")}
    assert "PyErr_SetString" in used
    assert not used & unwanted
