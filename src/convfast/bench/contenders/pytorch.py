"""PyTorch, eager, and with weights packed by oneDNN."""

from convfast.bench.contenders.base import Contender, Row


class Torch(Contender):
    library = "torch"
    modules = ("torch",)
    rows = (
        Row("torch"),
        Row("torch NHWC", layout="NHWC"),
        Row("torch raw", weights="raw"),
        Row("torch NHWC raw", layout="NHWC", weights="raw"),
    )

    def start(self, threads):
        import torch

        torch.set_num_threads(threads)
        torch.set_num_interop_threads(1)
        torch.set_float32_matmul_precision("highest")
        self.torch = torch
        self.mode = torch.inference_mode()  # the cheapest: no autograd at all
        self.mode.__enter__()

    def tensor(self, x, row):
        """A view: for NHWC arrays a tensor in the memory format channels_last."""
        x = self.torch.from_numpy(x)
        return x.permute(0, 3, 1, 2) if row.layout == "NHWC" else x

    def array(self, y, row):
        return y.permute(0, 2, 3, 1).numpy() if row.layout == "NHWC" else y.numpy()

    def call(self, function, row, x):
        return lambda: self.array(function(self.tensor(x, row)), row)

    def conv(self, layer, row, x, w):
        torch, options = self.torch, layer.options
        if row.layout == "NHWC":
            w = w.transpose(0, 2, 3, 1).copy()
        if row.weights == "raw":
            conv2d = torch.nn.functional.conv2d
            return self.call(lambda x: conv2d(x, self.tensor(w, row), **options), row, x)
        prepacked = torch.ops.mkldnn_prepacked
        stride, padding, dilation, groups = options.values()
        weights = self.tensor(w, row)
        packed = prepacked.conv2d_prepack(weights, None, stride, padding, dilation, groups, layer.x_shape, "none")
        return self.call(lambda x: prepacked.conv2d_run(x, packed), row, x)

    def gradient(self, layer, row, x, w):
        """One gradient alone: no graph is kept, and the other is not asked for."""
        torch, backward = self.torch, self.torch.ops.aten.convolution_backward
        stride, padding, dilation, groups = layer.options.values()
        order = torch.channels_last if row.layout == "NHWC" else torch.contiguous_format
        x, w = self.tensor(x, row), torch.from_numpy(w).to(memory_format=order)
        wanted = [layer.of == "input", layer.of == "weight", False]
        other = torch.empty(layer.x_shape if layer.of == "input" else layer.w_shape).to(memory_format=order)
        operands = (x, other, w) if layer.of == "input" else (w, x, other)

        def call():
            dx, dw, _ = backward(*operands, None, stride, padding, dilation, False, (0, 0), groups, wanted)
            if layer.of == "input":
                return self.array(dx, row)
            return dw.permute(2, 3, 1, 0).numpy() if row.layout == "NHWC" else dw.numpy()

        return call

    def pool(self, layer, row, x):
        functional = self.torch.nn.functional
        pool = {"max": functional.max_pool2d, "avg": functional.avg_pool2d}[layer.kind]
        return self.call(lambda x: pool(x, layer.kernel, layer.stride, layer.padding), row, x)

    def pad(self, layer, row, x):
        h, w = layer.padding
        return self.call(lambda x: self.torch.nn.functional.pad(x, (w, w, h, h)), row, x)
