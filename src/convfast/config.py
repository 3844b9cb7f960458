"""Threads, instruction sets, precision, and what this build is."""

import contextlib
import os
import platform

import numpy as np

from convfast import _core

__all__ = [
    "available_isas",
    "get_include",
    "get_num_threads",
    "get_precision",
    "isa",
    "num_threads",
    "set_num_threads",
    "set_precision",
    "show_config",
]


def set_num_threads(n):
    """Use `n` threads from now on, in the whole process.

    Parameters
    ----------
    n : int
        At least 1; more than 1024 count as 1024. Small work runs on one thread all the same, and so does a call from
        within a parallel region.

    Raises
    ------
    TypeError
        An n that is no integer.
    ValueError
        An n below 1, or too large for 64 bits. The setting stays as it was.

    Examples
    --------
    >>> import convfast
    >>> before = convfast.get_num_threads()
    >>> convfast.set_num_threads(2)
    >>> convfast.get_num_threads()
    2
    >>> convfast.set_num_threads(before)
    """
    _core.set_num_threads(n)


def get_num_threads():
    """How many threads large work uses.

    Returns
    -------
    int
        What `set_num_threads` set; else CONVFAST_NUM_THREADS, else OMP_NUM_THREADS, else the CPUs this process may
        use (affinity and control-group quota).

    Examples
    --------
    >>> import convfast
    >>> convfast.get_num_threads() >= 1
    True
    """
    return _core.get_num_threads()


def set_precision(level):
    """Set what ``precision=None`` means, in the whole process.

    Parameters
    ----------
    level : {"highest", "high", "medium"}
        Initially "highest". See `conv2d`. Layers that were made before keep theirs, see `Conv2D`.

    Raises
    ------
    TypeError
        A level that is no string.
    ValueError
        An unknown level. The setting stays as it was.

    Examples
    --------
    >>> import convfast
    >>> convfast.set_precision("high")
    >>> convfast.get_precision()
    'high'
    >>> convfast.set_precision("highest")
    """
    _core.set_precision(level)


def get_precision():
    """What ``precision=None`` means.

    Returns
    -------
    str

    Examples
    --------
    >>> import convfast
    >>> convfast.get_precision()
    'highest'
    """
    return _core.get_precision()


def available_isas():
    """The instruction sets this build has kernels for and this machine can run.

    Returns
    -------
    tuple of str
        Lowest first: of "baseline", "neon", "avx2", "avx512". The environment variable CONVFAST_ISA chooses one of
        them when convfast is imported; otherwise the last is used.

    Examples
    --------
    >>> import convfast
    >>> convfast.available_isas()[0]
    'baseline'
    """
    return _core.available_isas()


def isa():
    """The instruction set in use.

    Returns
    -------
    str

    Examples
    --------
    >>> import convfast
    >>> convfast.isa() in convfast.available_isas()
    True
    """
    return _core.isa()


@contextlib.contextmanager
def num_threads(n):
    """Use `n` threads within a ``with`` block.

    Parameters
    ----------
    n : int
        At least 1. The setting belongs to the process, as that of `set_num_threads`.

    Raises
    ------
    TypeError, ValueError
        As `set_num_threads`, when the block is entered.

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


def get_include():
    """The include directory for extension modules that call the kernels from C or Cython.

    Returns
    -------
    str
        Where ``convfast/convfast.h`` stands. There is no library to link with: ``convfast_import()`` finds the
        functions when the extension module is imported. Cython finds its declarations (``cimport convfast``) itself.

    Examples
    --------
    >>> import convfast
    >>> from pathlib import Path
    >>> Path(convfast.get_include(), "convfast", "convfast.h").exists()
    True

    In a setup.py:

    >>> from setuptools import Extension  # doctest: +SKIP
    >>> Extension("layer", ["layer.c"], include_dirs=[convfast.get_include()])  # doctest: +SKIP
    """
    return os.path.join(os.path.dirname(os.path.abspath(__file__)), "include")


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
    """Print version, compiler, instruction sets (the one in use in brackets), OpenMP and threads.

    Examples
    --------
    >>> import convfast
    >>> convfast.show_config()  # doctest: +ELLIPSIS
      convfast  ...
    """
    for name, value in configuration().items():
        print(f"{name:>10}  {value}")


def _choose_isa():
    """Let CONVFAST_ISA cap the instruction set; called once, at import."""
    wanted = os.environ.get("CONVFAST_ISA")
    if not wanted:
        return
    if wanted not in available_isas():
        raise ImportError(f"CONVFAST_ISA={wanted!r} is not available here; the names are {', '.join(available_isas())}")
    _core.use_isa(wanted)


_choose_isa()
