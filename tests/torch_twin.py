"""PyTorch under the names and words of convfast, in float64: what tests/torch_cases.py asks for answers."""

import warnings

import torch

F = torch.nn.functional
torch.set_num_threads(1)  # every call is tiny
MODES = {"constant": "constant", "edge": "replicate", "reflect": "reflect", "wrap": "circular"}


def tensors(*arrays):
    return [torch.tensor(array, dtype=torch.float64) for array in arrays]


def gradient(function, at, grad):
    """Of sum(grad * function(at))."""
    at.requires_grad_()
    function(at).backward(*tensors(grad))
    return at.grad.numpy()


def convolve(x, w, bias=None, *, stride=1, padding=0, dilation=1, groups=1, padding_mode="constant"):
    if isinstance(padding, str):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Using padding='same' with even kernel")
            return F.conv2d(x, w, bias, stride, padding, dilation, groups)
    h, v = (padding, padding) if isinstance(padding, int) else padding
    return F.conv2d(F.pad(x, (v, v, h, h), MODES[padding_mode]), w, bias, stride, 0, dilation, groups)


def conv2d(x, w, bias, **options):
    return convolve(*tensors(x, w, bias), **options).numpy()


def conv2d_input_grad(grad, w, input_shape, **options):
    (filters,) = tensors(w)
    return gradient(lambda x: convolve(x, filters, **options), torch.zeros(input_shape, dtype=torch.float64), grad)


def conv2d_weight_grad(x, grad, kernel_size, *, groups, **options):
    (images,) = tensors(x)
    w = torch.zeros(grad.shape[1], x.shape[1] // groups, *kernel_size, dtype=torch.float64)
    return gradient(lambda w: convolve(images, w, groups=groups, **options), w, grad)


def conv1d(x, w, bias, **options):
    return F.conv1d(*tensors(x, w, bias), **options).numpy()


def conv_transpose2d(x, w, bias, **options):
    return F.conv_transpose2d(*tensors(x, w, bias), **options).numpy()


def max_pool2d(x, kernel_size, *, return_indices, **options):
    y, index = F.max_pool2d(*tensors(x), kernel_size, return_indices=True, **options)
    index[torch.isneginf(y)] = -1  # of windows without a cell PyTorch names one that does not exist
    return y.numpy(), index.numpy()


def max_pool2d_grad(grad, x, kernel_size, **options):
    return gradient(lambda x: F.max_pool2d(x, kernel_size, **options), *tensors(x), grad)


def avg_pool2d(x, kernel_size, **options):
    return F.avg_pool2d(*tensors(x), kernel_size, **options).numpy()


def avg_pool2d_grad(grad, input_shape, kernel_size, **options):
    x = torch.zeros(input_shape, dtype=torch.float64)
    return gradient(lambda x: F.avg_pool2d(x, kernel_size, **options), x, grad)


def adaptive_max_pool2d(x, output_size):
    return F.adaptive_max_pool2d(*tensors(x), output_size).numpy()


def adaptive_avg_pool2d(x, output_size):
    return F.adaptive_avg_pool2d(*tensors(x), output_size).numpy()


def im2col(x, kernel_size, **options):
    return F.unfold(*tensors(x), kernel_size, **options).numpy()


def col2im(cols, output_size, kernel_size, **options):
    return F.fold(*tensors(cols), output_size, kernel_size, **options).numpy()


def resize2d(x, size, *, mode, **options):
    return F.interpolate(*tensors(x), size, mode=mode, **options).numpy()


def pad2d(x, padding, *, mode="constant", **options):
    (top, bottom), (left, right) = padding
    return F.pad(*tensors(x), (left, right, top, bottom), MODES[mode], **options).numpy()
