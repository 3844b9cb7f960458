"""The kernels from C and Cython: the examples of docs/c_api.md are compiled and run; header and table agree."""

import ctypes
import os
import re
import shlex
import subprocess
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from shutil import copy, which

import numpy as np
import pytest
from conftest import assert_same_bits, integers, run_child

import convfast
from convfast import _core

PAGE = Path(__file__).parents[1] / "docs" / "c_api.md"
REFUSALS = Path(__file__).with_name("refusals.c")
HEADER = Path(convfast.get_include(), "convfast", "convfast.h")
PXD = Path(convfast.__file__).with_name("__init__.pxd")
FOLDERS = [convfast.get_include(), sysconfig.get_path("include"), np.get_include()]
CC = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")
PYTHON_H = Path(sysconfig.get_path("include"), "Python.h")

needs_page = pytest.mark.skipif(not PAGE.exists(), reason="compiles the examples of a page that is not here")
needs_cc = pytest.mark.skipif(which(CC[0]) is None or not PYTHON_H.exists(), reason="no C compiler, or no Python.h")


def example(language):
    return re.search(rf"^```{language}\n(.*?)^```$", PAGE.read_text(), re.S | re.M)[1]


def abi_of_header():
    return int(re.search(r"#define CF_ABI (\d+)", HEADER.read_text())[1])


def declared_in_c():
    return re.findall(r"^CF_FUNCTION\([^,]+, (\w+),", HEADER.read_text(), re.M)


def compile_module(source):
    """The shared object beside its source; only the header is needed, no library."""
    module = source.with_name(source.stem + sysconfig.get_config_var("EXT_SUFFIX"))
    undefined = ["-undefined", "dynamic_lookup"] if sys.platform == "darwin" else []
    include = [f"-I{folder}" for folder in FOLDERS]
    subprocess.run([*CC, "-shared", "-fPIC", "-O0", *undefined, *include, source, "-o", module], check=True)
    return module


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where modules are compiled, and found when they are imported."""
    path = tmp_path_factory.mktemp("c_api")
    sys.path.insert(0, str(path))
    yield path
    sys.path.remove(str(path))


@pytest.fixture(scope="module")
def layer(folder):
    """The module of the example in C."""
    folder.joinpath("layer.c").write_text(example("c"))
    compile_module(folder / "layer.c")
    import layer

    return layer


@pytest.fixture(scope="module")
def packed_layer(folder):
    """The module of the example in Cython."""
    build = pytest.importorskip("Cython.Compiler.Main")
    source = folder / "packed_layer.pyx"
    source.write_text(example("cython"))
    assert build.compile(str(source)).num_errors == 0
    compile_module(source.with_suffix(".c"))
    import packed_layer

    return packed_layer


def in_threads(call, arguments):
    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(call, arguments))


@needs_page
@needs_cc
def test_the_c_example_gives_the_bits_of_python_in_many_threads(layer, rng):
    w = integers(rng, (13, 5, 3, 3))
    images = [integers(rng, (2, 5, 17, 19 + i)) for i in range(8)]
    for x, y in zip(images, in_threads(lambda x: layer.conv(x, w), images), strict=True):
        assert_same_bits(y, convfast.conv2d(x, w, padding="same", activation="relu"))


@needs_page
@needs_cc
def test_the_cython_example_gives_the_bits_of_python_in_many_threads(packed_layer, rng):
    w = integers(rng, (3, 3, 5, 16))
    packed = packed_layer.Layer(w, 17, 19)
    images = [integers(rng, (n, 17, 19, 5)) for n in range(1, 9)]
    for x, y in zip(images, in_threads(packed, images), strict=True):
        assert_same_bits(y, convfast.conv2d(x, w, activation="relu", data_format="NHWC"))


@needs_page
@needs_cc
def test_a_status_is_a_sentence(layer):
    x = np.ones((1, 4, 8, 8), np.float32)
    with pytest.raises(ValueError, match="not as many channels as a group of the input"):
        layer.conv(x, x[:, :3, :3, :3])
    with pytest.raises(ValueError, match="a filter or window has no cell"):
        layer.conv(x, x[:, :, :0, :3])


@needs_cc
def test_options_that_python_never_passes_are_refused(folder):
    compile_module(Path(copy(REFUSALS, folder)))
    import refusals

    number, nothing = "a stride or dilation is below 1, padding", "an empty plane"
    groups, algorithm = "groups is below 1", "the algorithm does not exist, is not named"
    *convolutions, bytes_of_auto, bytes_of_no_algorithm = refusals.convolutions()
    assert bytes_of_auto == bytes_of_no_algorithm == 0
    for told, start in zip(convolutions, [number, number, nothing, groups, algorithm, number], strict=True):
        assert told.startswith(start)
    for told, start in zip(refusals.others(), ["no error", number, "a filter or window", number, number], strict=True):
        assert told.startswith(start)
    bytes_of_no_tap, threads, told = refusals.survived()
    assert bytes_of_no_tap == 0
    assert threads >= 1
    assert told == "no error"


@needs_page
@needs_cc
@pytest.mark.parametrize(("ahead", "size", "message"), [(1, 1000, "compile the module again"), (0, 16, "a newer one")])
def test_another_abi_is_an_import_error(layer, ahead, size, message):
    """With a table like that of another version in the place of ours."""
    abi = ahead + abi_of_header()
    code = f"""
import ctypes, sys
import convfast
class Table(ctypes.Structure):
    _fields_ = [("abi", ctypes.c_int), ("bytes", ctypes.c_size_t)]
table, name = Table({abi}, {size}), b"convfast._core._C_API"
new = ctypes.pythonapi.PyCapsule_New
new.restype, new.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
convfast._core._C_API = new(ctypes.addressof(table), name, None)
sys.path.insert(0, {str(Path(layer.__file__).parent)!r})
try:
    import layer
except ImportError as error:
    print(error)
"""
    assert message in run_child(code)


@pytest.mark.parametrize(("compiler", "suffix", "standard"), [("gcc", "c", "c11"), ("g++", "cpp", "c++17")])
def test_the_header_compiles_without_warnings(compiler, suffix, standard, tmp_path):
    if which(compiler) is None or not PYTHON_H.exists():
        pytest.skip(f"no {compiler}, or no Python.h")
    source = tmp_path / f"header.{suffix}"
    source.write_text("#include <Python.h>\n#include <convfast/convfast.h>\n#include <convfast/convfast.h>\n")
    strict = [f"-std={standard}", "-Wall", "-Wextra", "-Wshadow", "-Werror", "-pedantic", "-fsyntax-only"]
    mine, others = FOLDERS[0], FOLDERS[1]
    subprocess.run([compiler, *strict, f"-I{mine}", f"-isystem{others}", source], check=True)


def test_every_function_of_the_header_stands_in_the_table_and_in_cython():
    text = HEADER.read_text()
    listed = re.findall(r"_\((cf_\w+)\)", text)
    assert listed == sorted(set(listed), key=listed.index)
    assert set(listed) == set(declared_in_c())
    declared_in_cython = re.findall(r"\b(cf_\w+)\(", PXD.read_text())
    assert sorted(declared_in_cython) == sorted(listed)


def test_every_enumerator_of_the_header_stands_in_cython_in_the_same_order():
    def enumerators(text):
        return [name for name in re.findall(r"\bCF_[A-Z0-9_]+\b", text) if name not in inside]

    inside = {"CF_DTYPES"}  # how many there are
    header = re.sub(r"/\*.*?\*/", "", HEADER.read_text(), flags=re.S)
    enums = "".join(re.findall(r"typedef enum \{(.*?)\}", header, re.S))
    pxd = "".join(re.findall(r"ctypedef enum .*?:\n(.*?)\n\n", PXD.read_text(), re.S))
    assert len(enumerators(enums)) > 40
    assert enumerators(pxd) == enumerators(enums)


def test_the_table_holds_as_many_functions_as_the_header():
    pointer = ctypes.pythonapi.PyCapsule_GetPointer
    pointer.restype, pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    words = ctypes.cast(pointer(_core._C_API, b"convfast._core._C_API"), ctypes.POINTER(ctypes.c_size_t))
    assert words[0] & 0xFFFFFFFF == abi_of_header()
    assert words[1] == ctypes.sizeof(ctypes.c_size_t) * (2 + len(declared_in_c()))


def test_an_installation_has_what_callers_need_and_no_source_of_ours():
    package = Path(convfast.__file__).parent
    if package.parent.name == "src":
        pytest.skip("convfast is installed in place")
    files = {path.relative_to(package).as_posix() for path in package.rglob("*") if path.is_file()}
    sources = {name for name in files if name.endswith((".h", ".c", ".pxd", ".pyx", ".pxi"))}
    assert sources == {"__init__.pxd", "include/convfast/convfast.h"}
