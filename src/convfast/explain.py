"""What a convolution would do, told without computing."""

from dataclasses import dataclass
from textwrap import fill

from convfast import _core


@dataclass(frozen=True)
class Candidate:
    """An algorithm that was considered: whether it applies, why not, its estimated time on one thread. Of the family
    "winograd", which member it would be: "F(4x4, 3x3)", for instance."""

    algorithm: str
    applies: bool
    reason: str
    microseconds: float
    member: str = ""


@dataclass(frozen=True)
class Explanation:
    """What a convolution would do. ``print`` it, or read its fields."""

    output_shape: tuple
    parameters: int
    algorithm: str
    reason: str
    candidates: tuple
    isa: str
    threads: int
    workspace_bytes: int
    flops: int
    bytes_moved: int
    sums: tuple

    def __str__(self):
        lines = [f"output shape   {self.output_shape}"]
        lines += [f"               {line}" for line in self.sums]
        lines += [
            f"parameters     {self.parameters:,}",
            fill(f"algorithm      {self.algorithm}: {self.reason}", 120, subsequent_indent=" " * 15),
            f"ISA, threads   {self.isa}, {self.threads}",
            f"workspace      {self.workspace_bytes / 2**20:.2f} MiB",
            f"work           {self.flops / 1e6:,.1f} MFLOP, {self.bytes_moved / 1e6:,.2f} MB moved, "
            f"{self.flops / max(self.bytes_moved, 1):.1f} FLOP/byte",
        ]
        return "\n".join(lines)


def _sum_text(letter, axis):
    size_in, size, stride, dilation, before, after, out = axis
    extent = f"({dilation} * ({size} - 1) + 1)" if dilation > 1 else f"{size}"
    return f"{letter}: floor(({size_in} + {before} + {after} - {extent}) / {stride}) + 1 = {out}"


def explain_conv2d(
    x_shape,
    w_shape,
    *,
    dtype="float32",
    bias=True,
    stride=1,
    padding=0,
    dilation=1,
    groups=1,
    data_format="NCHW",
    padding_mode="constant",
    activation=None,
    precision=None,
    algorithm="auto",
):
    """Tell what `conv2d` would do, without computing.

    Parameters
    ----------
    x_shape, w_shape : tuple of int
        Of x and w, in the given data format.
    dtype : dtype_like
        Of x and w.
    bias : bool
        Whether the K numbers of a bias count among the parameters.
    stride, padding, dilation, groups, data_format, padding_mode, activation, precision, algorithm
        As for `conv2d`.

    Returns
    -------
    Explanation
        With the fields ``output_shape, parameters, algorithm, reason, candidates, isa, threads, workspace_bytes,
        flops, bytes_moved`` (x, w and y once each, in bytes) and ``sums``, the arithmetic of the output's size.

    Raises
    ------
    TypeError, ValueError
        As `conv2d`.

    Examples
    --------
    >>> from convfast import explain_conv2d
    >>> e = explain_conv2d((1, 3, 224, 224), (64, 3, 3, 3), padding=1)
    >>> e.output_shape, e.parameters
    ((1, 64, 224, 224), 1792)
    """
    e = _core.explain(
        "explain_conv2d", x_shape, w_shape, dtype, stride, padding, dilation, groups, data_format, padding_mode,
        activation, precision, algorithm,
    )  # fmt: skip
    candidates = tuple(Candidate(*candidate) for candidate in e["candidates"])
    chosen = next(c for c in candidates if c.algorithm == e["algorithm"])
    others = [c for c in candidates if c is not chosen]
    beaten = [f"{c.algorithm} {f'{c.microseconds:,.1f} us' if c.applies else f'cannot: {c.reason}'}" for c in others]
    forced = "asked for" if algorithm != "auto" else "the lowest estimate"
    forced = f"{chosen.member}, {forced}" if chosen.member else forced
    reason = f"{forced}, {chosen.microseconds:,.1f} us on one thread" + (f" ({'; '.join(beaten)})" if beaten else "")
    (H, R, *_, P), (W, S, *_, Q) = e["axes"]
    N, C, K, per_group = e["N"], e["C"], e["K"], e["C"] // e["groups"]
    return Explanation(
        output_shape=e["output_shape"],
        parameters=K * per_group * R * S + (K if bias else 0),
        algorithm=e["algorithm"],
        reason=reason,
        candidates=candidates,
        isa=e["isa"],
        threads=e["threads"],
        workspace_bytes=e["workspace_bytes"],
        flops=2 * N * K * P * Q * per_group * R * S,
        bytes_moved=e["itemsize"] * (N * C * H * W + K * per_group * R * S + N * K * P * Q),
        sums=tuple(_sum_text(letter, axis) for letter, axis in zip("PQ", e["axes"], strict=True)),
    )
