"""Types of the public names; tests/test_types.py holds them to the code."""

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Literal, NoReturn, SupportsFloat, SupportsIndex, TypeAlias, overload

from numpy.typing import ArrayLike, DTypeLike, NDArray

from convfast import reference as reference
from convfast.explain import Explanation

Shape: TypeAlias = Sequence[SupportsIndex]
Size: TypeAlias = SupportsIndex | Sequence[SupportsIndex] | NDArray[Any]
Padding: TypeAlias = (
    Size | Sequence[Sequence[SupportsIndex]] | str
)  # a word: "valid", "same", "same_lower", "full"
DataFormat: TypeAlias = Literal["NCHW", "NHWC"]
PaddingMode: TypeAlias = Literal["constant", "edge", "reflect", "symmetric", "wrap"]
Activation: TypeAlias = Literal["relu", "relu6"] | None
Precision: TypeAlias = Literal["highest", "high", "medium"]
Algorithm: TypeAlias = str  # explain_conv2d lists them

__version__: str

class Conv2D:
    def __init__(
        self,
        w: ArrayLike,
        bias: ArrayLike | None = None,
        *,
        stride: Size = 1,
        padding: Padding = 0,
        dilation: Size = 1,
        groups: SupportsIndex = 1,
        data_format: DataFormat = "NCHW",
        padding_mode: PaddingMode = "constant",
        activation: Activation = None,
        precision: Precision | None = None,
        algorithm: Algorithm = "auto",
    ) -> None: ...
    def __call__(self, x: ArrayLike, out: NDArray[Any] | None = None) -> NDArray[Any]: ...
    @property
    def w(self) -> NDArray[Any]: ...
    @property
    def bias(self) -> NDArray[Any] | None: ...
    def output_shape(self, x_shape: Shape) -> tuple[int, ...]: ...
    def explain(self, x_shape: Shape) -> Explanation: ...
    def __setattr__(self, name: str, value: object) -> NoReturn: ...

def adaptive_avg_pool2d(x: ArrayLike, output_size: Size, *, data_format: DataFormat = "NCHW") -> NDArray[Any]: ...
def adaptive_max_pool2d(x: ArrayLike, output_size: Size, *, data_format: DataFormat = "NCHW") -> NDArray[Any]: ...
def available_isas() -> tuple[str, ...]: ...
def avg_pool1d(
    x: ArrayLike,
    kernel_size: Size,
    *,
    stride: Size | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    count_include_pad: bool | None = None,
    divisor_override: float | None = None,
    data_format: DataFormat = "NCHW",
    out: NDArray[Any] | None = None,
) -> NDArray[Any]: ...
def avg_pool2d(
    x: ArrayLike,
    kernel_size: Size,
    *,
    stride: Size | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    count_include_pad: bool | None = None,
    divisor_override: float | None = None,
    data_format: DataFormat = "NCHW",
    out: NDArray[Any] | None = None,
) -> NDArray[Any]: ...
def col2im(
    cols: ArrayLike,
    output_size: Size,
    kernel_size: Size,
    *,
    stride: Size = 1,
    padding: Padding = 0,
    dilation: Size = 1,
    data_format: DataFormat = "NCHW",
) -> NDArray[Any]: ...
def conv1d(
    x: ArrayLike,
    w: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    stride: Size = 1,
    padding: Padding = 0,
    dilation: Size = 1,
    groups: SupportsIndex = 1,
    data_format: DataFormat = "NCHW",
    padding_mode: PaddingMode = "constant",
    activation: Activation = None,
    precision: Precision | None = None,
    algorithm: Algorithm = "auto",
    out: NDArray[Any] | None = None,
) -> NDArray[Any]: ...
def conv2d(
    x: ArrayLike,
    w: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    stride: Size = 1,
    padding: Padding = 0,
    dilation: Size = 1,
    groups: SupportsIndex = 1,
    data_format: DataFormat = "NCHW",
    padding_mode: PaddingMode = "constant",
    activation: Activation = None,
    precision: Precision | None = None,
    algorithm: Algorithm = "auto",
    out: NDArray[Any] | None = None,
) -> NDArray[Any]: ...
def conv2d_input_grad(
    grad: ArrayLike,
    w: ArrayLike,
    input_shape: Shape,
    *,
    stride: Size = 1,
    padding: Padding = 0,
    dilation: Size = 1,
    groups: SupportsIndex = 1,
    data_format: DataFormat = "NCHW",
    padding_mode: PaddingMode = "constant",
    precision: Precision | None = None,
    out: NDArray[Any] | None = None,
) -> NDArray[Any]: ...
def conv2d_output_shape(
    x_shape: Shape,
    w_shape: Shape,
    *,
    stride: Size = 1,
    padding: Padding = 0,
    dilation: Size = 1,
    groups: SupportsIndex = 1,
    data_format: DataFormat = "NCHW",
) -> tuple[int, ...]: ...
def conv2d_weight_grad(
    x: ArrayLike,
    grad: ArrayLike,
    kernel_size: Size,
    *,
    stride: Size = 1,
    padding: Padding = 0,
    dilation: Size = 1,
    groups: SupportsIndex = 1,
    data_format: DataFormat = "NCHW",
    padding_mode: PaddingMode = "constant",
    precision: Precision | None = None,
    out: NDArray[Any] | None = None,
) -> NDArray[Any]: ...
def conv_transpose2d(
    x: ArrayLike,
    w: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    stride: Size = 1,
    padding: Padding = 0,
    output_padding: Size = 0,
    dilation: Size = 1,
    groups: SupportsIndex = 1,
    data_format: DataFormat = "NCHW",
    activation: Activation = None,
    precision: Precision | None = None,
    out: NDArray[Any] | None = None,
) -> NDArray[Any]: ...
def crop_or_pad2d(x: ArrayLike, size: Size, *, data_format: DataFormat = "NCHW") -> NDArray[Any]: ...
def explain_conv2d(
    x_shape: Shape,
    w_shape: Shape,
    *,
    dtype: DTypeLike = "float32",
    bias: bool = True,
    stride: Size = 1,
    padding: Padding = 0,
    dilation: Size = 1,
    groups: SupportsIndex = 1,
    data_format: DataFormat = "NCHW",
    padding_mode: PaddingMode = "constant",
    activation: Activation = None,
    precision: Precision | None = None,
    algorithm: Algorithm = "auto",
) -> Explanation: ...
def get_include() -> str: ...
def get_num_threads() -> int: ...
def get_precision() -> str: ...
def global_avg_pool2d(x: ArrayLike, *, keepdims: bool = True, data_format: DataFormat = "NCHW") -> NDArray[Any]: ...
def global_max_pool2d(x: ArrayLike, *, keepdims: bool = True, data_format: DataFormat = "NCHW") -> NDArray[Any]: ...
def im2col(
    x: ArrayLike,
    kernel_size: Size,
    *,
    stride: Size = 1,
    padding: Padding = 0,
    dilation: Size = 1,
    data_format: DataFormat = "NCHW",
) -> NDArray[Any]: ...
def isa() -> str: ...
def local_max_sum2d(x: ArrayLike, size: Size = 3, *, data_format: DataFormat = "NCHW") -> NDArray[Any]: ...
@overload
def max_pool1d(
    x: ArrayLike,
    kernel_size: Size,
    *,
    stride: Size | None = None,
    padding: Padding = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    return_indices: Literal[False] = False,
    data_format: DataFormat = "NCHW",
    out: NDArray[Any] | None = None,
) -> NDArray[Any]: ...
@overload
def max_pool1d(
    x: ArrayLike,
    kernel_size: Size,
    *,
    stride: Size | None = None,
    padding: Padding = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    return_indices: Literal[True],
    data_format: DataFormat = "NCHW",
    out: NDArray[Any] | None = None,
) -> tuple[NDArray[Any], NDArray[Any]]: ...
@overload
def max_pool1d(
    x: ArrayLike,
    kernel_size: Size,
    *,
    stride: Size | None = None,
    padding: Padding = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    return_indices: bool,
    data_format: DataFormat = "NCHW",
    out: NDArray[Any] | None = None,
) -> NDArray[Any] | tuple[NDArray[Any], NDArray[Any]]: ...
@overload
def max_pool2d(
    x: ArrayLike,
    kernel_size: Size,
    *,
    stride: Size | None = None,
    padding: Padding = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    return_indices: Literal[False] = False,
    data_format: DataFormat = "NCHW",
    out: NDArray[Any] | None = None,
) -> NDArray[Any]: ...
@overload
def max_pool2d(
    x: ArrayLike,
    kernel_size: Size,
    *,
    stride: Size | None = None,
    padding: Padding = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    return_indices: Literal[True],
    data_format: DataFormat = "NCHW",
    out: NDArray[Any] | None = None,
) -> tuple[NDArray[Any], NDArray[Any]]: ...
@overload
def max_pool2d(
    x: ArrayLike,
    kernel_size: Size,
    *,
    stride: Size | None = None,
    padding: Padding = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    return_indices: bool,
    data_format: DataFormat = "NCHW",
    out: NDArray[Any] | None = None,
) -> NDArray[Any] | tuple[NDArray[Any], NDArray[Any]]: ...
def max_pool2d_grad(
    grad: ArrayLike,
    x: ArrayLike,
    kernel_size: Size,
    *,
    stride: Size | None = None,
    padding: Padding = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    data_format: DataFormat = "NCHW",
    out: NDArray[Any] | None = None,
) -> NDArray[Any]: ...
def avg_pool2d_grad(
    grad: ArrayLike,
    input_shape: Shape,
    kernel_size: Size,
    *,
    stride: Size | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    count_include_pad: bool | None = None,
    divisor_override: float | None = None,
    data_format: DataFormat = "NCHW",
    out: NDArray[Any] | None = None,
) -> NDArray[Any]: ...
def num_threads(n: SupportsIndex) -> AbstractContextManager[None]: ...
def pad2d(
    x: ArrayLike,
    padding: Padding,
    *,
    mode: PaddingMode = "constant",
    value: SupportsFloat = 0,
    interior: Size = 0,
    kernel_size: Size | None = None,
    stride: Size = 1,
    dilation: Size = 1,
    data_format: DataFormat = "NCHW",
    out: NDArray[Any] | None = None,
) -> NDArray[Any]: ...
def resize2d(
    x: ArrayLike,
    size: Size | None = None,
    *,
    scale: float | Sequence[float] | None = None,
    mode: Literal["nearest", "bilinear"] = "nearest",
    align_corners: bool = False,
    data_format: DataFormat = "NCHW",
) -> NDArray[Any]: ...
def set_num_threads(n: SupportsIndex) -> None: ...
def set_precision(level: Precision) -> None: ...
def show_config() -> None: ...
def spatial_pyramid_pool2d(
    x: ArrayLike,
    levels: Iterable[SupportsIndex] = (4, 2, 1),
    *,
    mode: Literal["max", "avg"] = "max",
    data_format: DataFormat = "NCHW",
) -> NDArray[Any]: ...
