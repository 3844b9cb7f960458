"""Arrays that begin or end at a page that nobody may touch: the tests' own, and those that a call makes for its result.

An access on the wrong side of that border ends the process.
"""

import contextlib
import ctypes
import mmap

import numpy as np
from numpy._core import _multiarray_umath

SIDES = ["before", "after"]  # the arrays that have the page there
NONSENSE = 0xA5  # every byte of new memory: a result that is not written shows

libc = ctypes.CDLL(None, use_errno=True)


def room(size, side):
    """Memory, the address where it begins, and where in it `size` bytes have the guard page at this side."""
    page = mmap.PAGESIZE
    inner = -(-size // page) * page
    memory = mmap.mmap(-1, inner + 2 * page)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    for guard in (address, address + page + inner):
        assert libc.mprotect(ctypes.c_void_p(guard), ctypes.c_size_t(page), 0) == 0
    return memory, address, page if side == "before" else page + inner - size


def guarded(array, side):
    """A copy of `array` that begins ("before") or ends ("after") at a page that nobody may touch."""
    memory, _, start = room(array.nbytes, side)
    copy = np.frombuffer(memory, array.dtype, array.size, start).reshape(array.shape)
    copy[...] = array
    return copy


# ---------------------------------------------------------------------------------------------------------------------
# Arrays that NumPy allocates: its C interface takes another allocator (NEP 49)

MALLOC = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
CALLOC = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t)
REALLOC = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
FREE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)


class Handler(ctypes.Structure):
    """PyDataMem_Handler, version 1."""

    _fields_ = (
        ("name", ctypes.c_char * 127), ("version", ctypes.c_uint8), ("context", ctypes.c_void_p),
        ("malloc", MALLOC), ("calloc", CALLOC), ("realloc", REALLOC), ("free", FREE),
    )  # fmt: skip


class Allocator:
    """Gives every array a room of its own. Never freed itself: arrays may outlive the block that made them."""

    def __init__(self, side):
        self.rooms = {}  # from an array's address to its memory and size

        def malloc(_, size):
            address = calloc(_, size, 1)
            ctypes.memset(address, NONSENSE, size)
            return address

        def calloc(_, count, size):
            memory, begin, start = room(count * size, side)
            self.rooms[begin + start] = memory, count * size
            return begin + start

        def realloc(_, former, size):
            address = malloc(_, size)
            ctypes.memmove(address, former, min(size, self.rooms[former][1]))
            del self.rooms[former]
            return address

        def free(_, address, _size):
            del self.rooms[address]

        functions = MALLOC(malloc), CALLOC(calloc), REALLOC(realloc), FREE(free)
        self.handler = Handler(b"guard pages", 1, None, *functions)
        capsule = ctypes.pythonapi.PyCapsule_New
        capsule.restype, capsule.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
        self.capsule = capsule(ctypes.addressof(self.handler), b"mem_handler", None)


ALLOCATORS = {side: Allocator(side) for side in SIDES}


def entry_of_numpy(index, signature):
    """A function of NumPy's C interface."""
    table = ctypes.pythonapi.PyCapsule_GetPointer
    table.restype, table.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    address = table(_multiarray_umath._ARRAY_API, None) + index * ctypes.sizeof(ctypes.c_void_p)
    return signature(ctypes.c_void_p.from_address(address).value)


set_handler = entry_of_numpy(304, ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.py_object))  # PyDataMem_SetHandler


@contextlib.contextmanager
def results_guarded(side):
    """Within this block every new array has a guard page at this side."""
    former = set_handler(ALLOCATORS[side].capsule)
    try:
        yield
    finally:
        set_handler(former)
