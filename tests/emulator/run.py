"""Runs a static x86-64 Linux program under Bochs, with AVX-512: python run.py PROGRAM [ARGUMENT ...]. See README.md."""

import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
IMAGE_ADDRESS = 0x30000000
MAGIC = 0x434F4E5646415354
SECONDS_MAX = 300
TIMED_OUT, DIED = 124, 125

CONFIGURATION = """
plugin_ctrl: unmapped=1, biosdev=0, speaker=0, extfpuirq=0, parallel=1, serial=0
display_library: term
cpu: model=corei7_skylake_x, count=1, ips=400000000, reset_on_triple_fault=0, ignore_bad_msrs=1
memory: guest=1024, host=1024
romimage: file={folder}/rom
vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
optramimage1: file={folder}/image, address={address:#x}
floppya: type=none
floppyb: type=none
ata0: enabled=0
ata1: enabled=0
pci: enabled=0
parport1: enabled=1, file={folder}/output
clock: sync=none, time0=utc
log: {folder}/log
panic: action=fatal
error: action=report
info: action=ignore
debug: action=ignore
"""


def build_rom(folder):
    """The 64 KiB below 1 MiB, where the processor begins."""
    flags = (
        *("-O2", "-ffreestanding", "-fno-pic", "-no-pie", "-static", "-nostdlib", "-mno-red-zone"),
        *("-mgeneral-regs-only", "-fno-stack-protector", "-fno-asynchronous-unwind-tables", "-fcf-protection=none"),
        *("-Wall", "-Wextra"),
        *("-fno-tree-loop-distribute-patterns", "-Wl,--build-id=none", "-Wl,-T,link.ld", "-Wl,--no-warn-rwx-segments"),
    )
    subprocess.check_call(["gcc", *flags, "boot.S", "shim.c", "-o", folder / "shim"], cwd=HERE)
    sections = [word for name in (".text", ".reset") for word in ("-j", name)]
    subprocess.check_call(["objcopy", "-O", "binary", *sections, folder / "shim", folder / "rom"])
    assert (folder / "rom").stat().st_size == 1 << 16


def build_image(folder, program, arguments):
    """What struct image of shim.c describes: header, argument strings, the program on a page of its own."""
    strings = b"".join(os.fsencode(a) + b"\0" for a in (program, *arguments))
    assert len(strings) < 2048
    elf = Path(program).read_bytes()
    header = struct.pack("<5Q", MAGIC, 4096 + len(elf), 4096, 1 + len(arguments), 64)
    (folder / "image").write_bytes((header.ljust(64, b"\0") + strings).ljust(4096, b"\0") + elf)


def start(folder):
    """Bochs draws its screen on a terminal that nobody looks at; it starts in its debugger, which is told to go on."""
    (folder / "configuration").write_text(CONFIGURATION.format(folder=folder, address=IMAGE_ADDRESS))
    (folder / "commands").write_text("c\n")
    child, terminal = pty.fork()
    if child == 0:
        os.environ["TERM"] = "vt100"
        os.execvp("bochs", ["bochs", "-q", "-f", str(folder / "configuration"), "-rc", str(folder / "commands")])
    return child, terminal


def follow(folder, terminal):
    """Copies the program's output until the shim tells its status."""
    output, begun, pending = folder / "output", time.monotonic(), b""
    with open(output, "ab+") as source:
        source.seek(0)
        while time.monotonic() - begun < SECONDS_MAX:
            if select.select([terminal], [], [], 0.02)[0]:
                try:
                    os.read(terminal, 65536)
                except OSError:  # it has ended
                    return DIED
            pending += source.read()
            end = re.search(rb"\n\004status (\d+)\n", pending)
            # The beginning of a status line waits for its rest.
            ready = end.start() if end else max(0, len(pending) - 16)
            sys.stdout.buffer.write(pending[:ready])
            sys.stdout.buffer.flush()
            if end:
                return int(end[1])
            pending = pending[ready:]
    return TIMED_OUT


def main(program, *arguments):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        build_rom(folder)
        build_image(folder, program, arguments)
        child, terminal = start(folder)
        try:
            status = follow(folder, terminal)
        finally:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        if status == DIED:
            print((folder / "log").read_text(errors="replace")[-2000:], file=sys.stderr)
    sys.exit(status)


main(*sys.argv[1:])
