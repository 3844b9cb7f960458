"""Hot loops keep their numbers in registers: no vector goes to the stack and back.

A loop of a hundred products may pass one or two vectors through the stack where it closes, one instruction in FEW: sums
that fill the register file may have to change places there.
"""

import re
import subprocess
from pathlib import Path
from shutil import which

import pytest

import convfast
from convfast import _core

ROOT = Path(__file__).parents[1]
FEW = 40  # the 4x3 tile of pixels: 4 of 174 instructions with gcc 12
HOT = 8  # multiplications on vectors in one loop: a register tile, not a tail

MULTIPLY = re.compile(r"^v?(f?n?m(add|sub)\w*|mul)[ps][sd]$|^vfn?m(add|sub)\w*p[sd]$")
VECTOR = re.compile(r"%[xyz]mm")
LINE = re.compile(r"^\s*([0-9a-f]+):\s+(\S+)\s*(.*)$")

# Winograd's transforms work on 36 vectors at a time, more than any processor has registers for. Of 3x3 rows all taps
# are written out: what repeats is the whole tile, of whose 108 products a few pass through memory. The estimates of
# Winograd's members repeat too.
THROUGH_MEMORY = re.compile(r"<(winograd_(input|output|filters)_\d|rows_3x3_|cf_winograd_cut\b)")

pytestmark = pytest.mark.skipif(which("objdump") is None, reason="objdump is not installed")


def binaries():
    """The archives of a build tree, one for each instruction set; else the installed extension."""
    names = [f"libconvfast_{stub.stem}.a" for stub in (ROOT / "csrc" / "isa").glob("*.c")]
    archives = sorted(path for name in names for path in (ROOT / "build").glob(f"temp*/**/{name}"))
    return archives or [Path(_core.__file__)]


def functions(binary):
    """(name, instructions) where an instruction is (address, mnemonic, operands)."""
    command = ["objdump", "--disassemble", "--no-show-raw-insn", binary]
    listing = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for part in re.split(r"\n(?=[0-9a-f]+ <)", listing)[1:]:
        title, *lines = part.splitlines()
        found = [LINE.match(line) for line in lines]
        yield title, [(int(m[1], 16), m[2], m[3]) for m in found if m]


def innermost_loops(instructions):
    """The bodies of backward jumps that hold no other backward jump."""
    addresses = [address for address, *_ in instructions]
    jumps = []
    for number, (address, mnemonic, operands) in enumerate(instructions):
        target = re.match(r"([0-9a-f]+)\b", operands)
        if mnemonic.startswith("j") and target and int(target[1], 16) <= address and int(target[1], 16) in addresses:
            jumps.append((addresses.index(int(target[1], 16)), number))
    for first, last in jumps:
        if not any((first, last) != (a, b) and first <= a and b <= last for a, b in jumps):
            yield instructions[first : last + 1]


def hot_loops(binary):
    for title, instructions in functions(binary):
        if THROUGH_MEMORY.search(title):
            continue
        frame = any(m.startswith("mov") and o.startswith("%rsp,%rbp") for _, m, o in instructions)
        for loop in innermost_loops(instructions):
            products = sum(bool(MULTIPLY.match(m) and VECTOR.search(o)) for _, m, o in loop)
            if products >= HOT:
                yield title, frame, loop


def stack_traffic(frame, loop):
    """Vector instructions with an operand on the stack; %rbp points there only where it is the frame's."""
    base = r"\(%(rsp|rbp)[,)]" if frame else r"\(%rsp[,)]"
    return [f"{m} {o}" for _, m, o in loop if VECTOR.search(o) and re.search(base, o)]


def is_emulated(binary):
    """An AVX-512 table without its instructions, built to test the logic of tiles: its vectors must spill."""
    if "avx512" not in binary.name and (binary.suffix == ".a" or "avx512" not in convfast.available_isas()):
        return False
    return not any("%zmm" in o for _, instructions in functions(binary) for *_, o in instructions)


@pytest.mark.parametrize("binary", binaries(), ids=lambda path: path.stem)
def test_hot_loops_do_not_spill(binary):
    if is_emulated(binary):
        pytest.skip("this AVX-512 table is emulated")
    assert not [
        (title, traffic)
        for title, frame, loop in hot_loops(binary)
        if len(traffic := stack_traffic(frame, loop)) * FEW > len(loop)
    ]


def test_hot_loops_are_found():
    """At least the tiles of float32 and float64 in both orientations."""
    if not any(name in convfast.available_isas() for name in ("avx2", "avx512")):
        pytest.skip("no x86 code")
    for binary in binaries():
        assert len(list(hot_loops(binary))) >= 4, binary


def test_the_search_finds_a_spill(tmp_path):
    """Forty sums do not fit into sixteen registers: the test above must be able to see that."""
    if which("gcc") is None or "avx2" not in convfast.available_isas():
        pytest.skip("needs gcc for x86")
    source = tmp_path / "spill.c"
    source.write_text("""
typedef float vec __attribute__((vector_size(32)));
void tile(long n, const float *a, const vec *b, vec *y)
{
    vec sums[40] = {0};
    for (long i = 0; i < n; ++i) {
        vec v = b[i];
#pragma GCC unroll 40
        for (int m = 0; m < 40; ++m) sums[m] += (a[i * 40 + m] - (vec){0}) * v;
    }
    for (int m = 0; m < 40; ++m) y[m] = sums[m];
}
""")
    subprocess.run(["gcc", "-O3", "-mavx2", "-mfma", "-c", source, "-o", tmp_path / "spill.o"], check=True)
    assert any(stack_traffic(frame, loop) for _, frame, loop in hot_loops(tmp_path / "spill.o"))
