"""What every contender is: a library that turns a layer and its arrays into a call without arguments."""

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from convfast.bench.layers import Conv, Gradient, Pool


class Unsupported(Exception):
    """This contender does not do this layer; the message says why."""


@dataclass(frozen=True)
class Row:
    """One way to call a library: a line of every table.

    layout     how x and y lie in memory; which of the two suits a library is for it to show
    weights    "packed": prepared before the clock starts; "raw": a NumPy array at every call
    precision  what convfast is asked for; everybody else computes plain float32
    winograd   may save multiplications at the price of a larger error
    """

    name: str
    layout: str = "NCHW"
    weights: str = "packed"
    precision: str = "highest"
    winograd: bool = False


class Contender:
    """A library. `start` imports it; `conv`, `gradient`, `pool` and `pad` return the call that is timed.

    The call takes nothing and returns a NumPy array in the row's layout. Everything a user could do once, before many
    calls with the same shapes, is done before it; everything that must happen for every image happens in it.
    """

    library = ""
    package = ""  # the distribution that knows the version
    modules = ()  # what must be importable
    rows = ()
    most_flops = float("inf")  # above, one call takes too long to be repeated

    def start(self, threads):
        """Import the library, set its threads; return a sentence if something could not be set."""

    @classmethod
    def missing(cls):
        """The modules that are not installed."""
        return [name for name in cls.modules if find_spec(name) is None]

    @classmethod
    def version(cls):
        try:
            return version(cls.package or cls.library)
        except PackageNotFoundError:
            return "unknown"

    @classmethod
    def rows_for(cls, layer):
        """For layers without weights the first row of each layout; for gradients, which change weights, "raw" ones."""
        if isinstance(layer, Gradient):
            return tuple(row for row in cls.rows if row.weights == "raw") if cls.gradient != Contender.gradient else ()
        if isinstance(layer, Conv):
            return cls.rows
        return tuple(row for i, row in enumerate(cls.rows) if row.layout not in [r.layout for r in cls.rows[:i]])

    def prepare(self, layer, row, x, w):
        if layer.flops > self.most_flops:
            raise Unsupported(f"too slow above {self.most_flops / 1e6:g} MFLOP")
        if isinstance(layer, Gradient):
            return self.gradient(layer, row, x, w)
        if isinstance(layer, Conv):
            return self.conv(layer, row, x, w)
        return self.pool(layer, row, x) if isinstance(layer, Pool) else self.pad(layer, row, x)

    def conv(self, layer, row, x, w):
        raise Unsupported("no convolution")

    def gradient(self, layer, row, x, w):
        """`x` is the first operand, in the row's layout, `w` the other as truth.arrays gives it. The result has the
        row's layout, a weight gradient of NHWC the axes (R, S, C / groups, K)."""
        raise Unsupported("no gradients")

    def pool(self, layer, row, x):
        raise Unsupported("no pooling")

    def pad(self, layer, row, x):
        raise Unsupported("no padding")


def sides(padding):
    """((0, 0), (0, 0), (top, bottom), (left, right)) for numpy.pad of NCHW."""
    return (0, 0), (0, 0), (padding[0],) * 2, (padding[1],) * 2
