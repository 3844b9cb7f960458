"""Inference runtimes: ONNX Runtime, OpenVINO, OpenCV dnn and ncnn. All take NCHW and choose a layout of their own."""

import tempfile
from pathlib import Path

import numpy as np

from convfast.bench.contenders.base import Contender, Row, Unsupported
from convfast.bench.layers import Conv, Pool

OPSET = 17
IR_VERSION = 8  # of the same year: what every runtime reads


def onnx_model(layer, weights=None):
    """The layer as an ONNX model of one node, as bytes. Without weights they are the second input."""
    from onnx import TensorProto, helper, numpy_helper

    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, layer.x_shape)]
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, layer.output_shape)
    names, constants, h, w = ["x"], [], *layer.padding
    options = dict(pads=[h, w, h, w])
    if isinstance(layer, Conv):
        kind = "Conv"
        options |= dict(
            kernel_shape=[layer.R, layer.S], strides=layer.stride, dilations=layer.dilation, group=layer.groups
        )
        names.append("w")
        if weights is None:
            inputs.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, layer.w_shape))
        else:
            constants.append(numpy_helper.from_array(weights, "w"))
    elif isinstance(layer, Pool):
        kind = {"max": "MaxPool", "avg": "AveragePool"}[layer.kind]
        options |= dict(kernel_shape=layer.kernel, strides=layer.stride)
        if layer.kind == "avg":
            options |= dict(count_include_pad=1)
    else:
        kind, options = "Pad", {}
        names.append("pads")
        constants.append(numpy_helper.from_array(np.array([0, 0, h, w, 0, 0, h, w]), "pads"))
    node = helper.make_node(kind, names, ["y"], **options)
    graph = helper.make_graph([node], "layer", inputs, [output], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    return model.SerializeToString()


class Runtime(Contender):
    """A library that reads ONNX: `load` turns a model into a function of its inputs."""

    rows = ()

    def load(self, model):
        raise NotImplementedError

    def conv(self, layer, row, x, w):
        packed = row.weights == "packed"
        run = self.load(onnx_model(layer, w if packed else None))
        return (lambda: run(x)) if packed else (lambda: run(x, w))

    def pool(self, layer, row, x):
        run = self.load(onnx_model(layer))
        return lambda: run(x)

    pad = pool


class OnnxRuntime(Runtime):
    library = "onnxruntime"
    modules = ("onnxruntime", "onnx")
    rows = (Row("onnxruntime"), Row("onnxruntime raw", weights="raw"))

    def start(self, threads):
        import onnxruntime

        self.module = onnxruntime
        self.options = onnxruntime.SessionOptions()
        self.options.intra_op_num_threads = threads
        self.options.inter_op_num_threads = 1
        self.options.log_severity_level = 3

    def load(self, model):
        session = self.module.InferenceSession(model, self.options, providers=["CPUExecutionProvider"])
        names = [value.name for value in session.get_inputs()]
        return lambda *arrays: session.run(None, dict(zip(names, arrays, strict=True)))[0]


class OpenVino(Runtime):
    library = "openvino"
    modules = ("openvino", "onnx")
    rows = (Row("openvino"), Row("openvino raw", weights="raw"))

    def start(self, threads):
        import openvino

        self.core = openvino.Core()
        self.settings = {
            "INFERENCE_PRECISION_HINT": "f32",
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": threads,
        }

    def load(self, model):
        request = self.core.compile_model(self.core.read_model(model), "CPU", self.settings).create_infer_request()
        return lambda *arrays: request.infer(list(arrays), share_inputs=True, share_outputs=True)[0]


class OpenCVDnn(Runtime):
    library = "opencv.dnn"
    package = "opencv-python-headless"
    modules = ("cv2", "onnx")
    rows = (Row("opencv.dnn", winograd=True),)

    @classmethod
    def version(cls):
        import cv2

        return cv2.__version__

    def start(self, threads):
        import cv2

        self.cv2 = cv2
        cv2.setNumThreads(threads)

    def load(self, model):
        net = self.cv2.dnn.readNetFromONNX(np.frombuffer(model, np.uint8))

        def run(x):
            net.setInput(x)
            return net.forward()

        return run


class Ncnn(Contender):
    """One image at a time, as its networks are; float16 and bfloat16 off."""

    library = "ncnn"
    modules = ("ncnn",)
    rows = (Row("ncnn", winograd=True), Row("ncnn direct"))

    def start(self, threads):
        import ncnn

        self.ncnn, self.threads = ncnn, threads

    def load(self, kind, layer, row, options, weights=None):
        net = self.ncnn.Net()
        net.opt.num_threads = self.threads
        net.opt.use_vulkan_compute = False
        net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
        net.opt.use_bf16_storage = False
        net.opt.use_winograd_convolution = row.winograd
        words = " ".join(f"{key}={value}" for key, value in options.items())
        text = f"7767517\n2 2\nInput x 0 1 x\n{kind} layer 1 1 x y {words}\n"
        float32 = np.zeros(1, np.uint32).tobytes()  # the flag before raw float32 weights
        with tempfile.TemporaryDirectory() as folder:
            param, model = Path(folder, "param"), Path(folder, "model")
            param.write_text(text)
            model.write_bytes(b"" if weights is None else float32 + weights.tobytes())
            if net.load_param(str(param)) != 0 or net.load_model(str(model)) != 0:
                raise Unsupported("ncnn could not load the layer")
        return net

    def call(self, net, x):
        ncnn = self.ncnn

        def image(x):
            extractor = net.create_extractor()
            extractor.input("x", ncnn.Mat(x))
            _, y = extractor.extract("y")
            return np.asarray(y)

        if len(x) == 1:
            return lambda: image(x[0])[None]
        return lambda: np.stack([image(one) for one in x])

    def conv(self, layer, row, x, w):
        options = {
            0: layer.K, 1: layer.S, 11: layer.R, 2: layer.dilation[1], 12: layer.dilation[0],
            3: layer.stride[1], 13: layer.stride[0], 4: layer.padding[1], 14: layer.padding[0], 6: w.size,
        }  # fmt: skip
        kind = "Convolution"
        if layer.groups > 1:
            kind, options[7] = "ConvolutionDepthWise", layer.groups
        if layer.C == 1 and layer.H == 1:
            raise Unsupported("its images have more than one row")
        return self.call(self.load(kind, layer, row, options, w), x)

    def pool(self, layer, row, x):
        options = {
            0: {"max": 0, "avg": 1}[layer.kind], 1: layer.kernel[1], 11: layer.kernel[0], 2: layer.stride[1],
            12: layer.stride[0], 3: layer.padding[1], 13: layer.padding[0], 5: 1, 6: 1,
        }  # fmt: skip
        return self.call(self.load("Pooling", layer, row, options), x)

    def pad(self, layer, row, x):
        h, w = layer.padding
        return self.call(self.load("Padding", layer, row, {0: h, 1: h, 2: w, 3: w, 4: 0, 5: 0.0}), x)
