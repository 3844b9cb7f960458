"""The contenders, in the order of their turns. Importing this imports none of their libraries."""

from convfast.bench.contenders.base import Contender, Row, Unsupported
from convfast.bench.contenders.images import NdImage, OpenCV, Signal
from convfast.bench.contenders.own import Convfast
from convfast.bench.contenders.plain import CLoops, NumPy, PythonLoops
from convfast.bench.contenders.pytorch import Torch
from convfast.bench.contenders.runtimes import Ncnn, OnnxRuntime, OpenCVDnn, OpenVino
from convfast.bench.contenders.xla import Jax

__all__ = ["CONTENDERS", "Contender", "Row", "Unsupported"]

CONTENDERS = {
    contender.library: contender
    for contender in (
        Convfast, Torch, OnnxRuntime, OpenVino, Jax, Ncnn, OpenCV, OpenCVDnn, Signal, NdImage, NumPy, CLoops,
        PythonLoops,
    )
}  # fmt: skip
