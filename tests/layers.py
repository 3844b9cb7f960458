"""The one table of layers, which an installed convfast needs too: see convfast/bench/layers.py."""

from convfast.bench.layers import *  # noqa: F403
