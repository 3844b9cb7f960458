"""Threads, instruction sets, precision, and what this build is."""

import contextlib
import os
import platform

import numpy as np

from convfast import _core
from convfast._core import available_isas, get_num_threads, get_precision, isa, set_num_threads, set_precision

__all__ = [
    "available_isas",
    "get_num_threads",
    "get_precision",
    "isa",
    "num_threads",
    "set_num_threads",
    "set_precision",
    "show_config",
]


@contextlib.contextmanager
def num_threads(n):
    """Use `n` threads within a ``with`` block.

    Parameters
    ----------
    n : int
        At least 1. The setting belongs to the process, as that of `set_num_threads`.

    Examples
    --------
    >>> import convfast
    >>> with convfast.num_threads(1):
    ...     convfast.get_num_threads()
    1
    """
    before = get_num_threads()
    set_num_threads(n)
    try:
        yield
    finally:
        set_num_threads(before)


def configuration():
    """What `show_config` prints, as a dict of strings."""
    from convfast import __version__

    return {
        "convfast": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "compiler": _core.compiler(),
        "machine": platform.machine(),
        "ISAs": ", ".join(f"[{name}]" if name == isa() else name for name in available_isas()),
        "OpenMP": _core.openmp(),
        "threads": str(get_num_threads()),
        "precision": get_precision(),
    }


def show_config():
    """Print version, compiler, instruction sets (the one in use in brackets), OpenMP and threads."""
    for name, value in configuration().items():
        print(f"{name:>10}  {value}")


def _choose_isa():
    """Let CONVFAST_ISA cap the instruction set; called once, at import."""
    wanted = os.environ.get("CONVFAST_ISA")
    if not wanted:
        return
    if wanted not in available_isas():
        raise ImportError(
            f"CONVFAST_ISA={wanted!r} is not available here; the names are {', '.join(available_isas())}"
        )
    _core.use_isa(wanted)


_choose_isa()
