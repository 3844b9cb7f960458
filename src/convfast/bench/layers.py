"""The one table of layer shapes: real layers by name, with the arithmetic and the bytes they cost.

Tests and benchmarks read it; nothing else lists a layer. Letters as everywhere: N batch, C input channels, H W input,
K output channels, R S filter, P Q output. Sizes are pairs (h, w). Bytes are float32.

    SUITES["quick"]                      a tuple of layers
    LAYERS["rn50_s2_3x3"].flops          one layer by name
    LAYERS["rn50_s2_3x3"].batch(16)      the same layer for 16 images
"""

from dataclasses import dataclass, replace
from math import prod

FLOAT_BYTES = 4
TINY_FLOPS = 1e6  # below this the cost of a call weighs more than its arithmetic


@dataclass(frozen=True)
class Layer:
    """What every row has: an input (N, C, H, W) and an `output_shape`."""

    name: str
    N: int
    C: int
    H: int
    W: int

    @property
    def x_shape(self):
        return self.N, self.C, self.H, self.W

    @property
    def flops(self):
        return 0

    @property
    def bytes(self):
        """Compulsory traffic: input and output once."""
        return FLOAT_BYTES * (prod(self.x_shape) + prod(self.output_shape))

    def batch(self, N):
        return replace(self, name=f"{self.name}_n{N}", N=N)


@dataclass(frozen=True)
class Conv(Layer):
    """A convolution; `count` is how often its network runs it."""

    K: int
    R: int
    S: int
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    count: int = 1

    @property
    def P(self):
        return (self.H + 2 * self.padding[0] - self.dilation[0] * (self.R - 1) - 1) // self.stride[0] + 1

    @property
    def Q(self):
        return (self.W + 2 * self.padding[1] - self.dilation[1] * (self.S - 1) - 1) // self.stride[1] + 1

    @property
    def w_shape(self):
        return self.K, self.C // self.groups, self.R, self.S

    @property
    def output_shape(self):
        return self.N, self.K, self.P, self.Q

    @property
    def options(self):
        """The keyword arguments of conv2d."""
        return dict(stride=self.stride, padding=self.padding, dilation=self.dilation, groups=self.groups)

    @property
    def depthwise(self):
        return self.groups == self.C > 1

    @property
    def parameters(self):
        """Filter weights and one bias for every filter."""
        return prod(self.w_shape) + self.K

    @property
    def flops(self):
        """A multiplication and an addition for every tap, taps over padding included."""
        return 2 * prod(self.output_shape) * prod(self.w_shape[1:])

    @property
    def bytes(self):
        """Compulsory traffic: input, filters and output once."""
        return super().bytes + FLOAT_BYTES * prod(self.w_shape)


@dataclass(frozen=True)
class Gradient(Conv):
    """What a convolution sends back; `of` is "input" or "weight". As many FLOPs and bytes as the convolution itself."""

    of: str = "input"

    @property
    def result_shape(self):
        return self.x_shape if self.of == "input" else self.w_shape


@dataclass(frozen=True)
class Pool(Layer):
    """A pooling layer; `kind` is "max" or "avg". A global one has the kernel of its plane."""

    kind: str
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int] = (0, 0)

    @property
    def P(self):
        return (self.H + 2 * self.padding[0] - self.kernel[0]) // self.stride[0] + 1

    @property
    def Q(self):
        return (self.W + 2 * self.padding[1] - self.kernel[1]) // self.stride[1] + 1

    @property
    def output_shape(self):
        return self.N, self.C, self.P, self.Q

    @property
    def options(self):
        """The keyword arguments of max_pool2d and avg_pool2d."""
        return dict(kernel_size=self.kernel, stride=self.stride, padding=self.padding)

    @property
    def flops(self):
        """One comparison or addition for every cell of every window."""
        return prod(self.output_shape) * prod(self.kernel)


@dataclass(frozen=True)
class Pad(Layer):
    """Zeros around every plane."""

    padding: tuple[int, int]

    @property
    def output_shape(self):
        return self.N, self.C, self.H + 2 * self.padding[0], self.W + 2 * self.padding[1]

    @property
    def options(self):
        """The keyword arguments of pad2d."""
        return dict(padding=self.padding)


def pair(size):
    return size if isinstance(size, tuple) else (size, size)


def conv(name, C, plane, K, kernel, stride=1, padding=0, dilation=1, groups=1, N=1, count=1):
    """A row of the tables below: an int stands for both directions."""
    sizes = pair(stride), pair(padding), pair(dilation)
    return Conv(name, N, C, *pair(plane), K, *pair(kernel), *sizes, groups, count)


def depthwise(name, C, plane, kernel, stride=1, padding=0, count=1):
    return conv(name, C, plane, C, kernel, stride, padding, groups=C, count=count)


def pool(name, kind, C, plane, kernel, stride, padding=0):
    return Pool(name, 1, C, *pair(plane), kind, pair(kernel), pair(stride), pair(padding))


# ResNet-50 v1.5 (stride in the 3x3): its 53 convolutions are 23 different ones.
RESNET50 = (
    conv("rn50_conv1", 3, 224, 64, 7, stride=2, padding=3),
    conv("rn50_s1_1x1", 64, 56, 64, 1),
    conv("rn50_s1_3x3", 64, 56, 64, 3, padding=1, count=3),
    conv("rn50_s1_expand", 64, 56, 256, 1, count=4),
    conv("rn50_s1_reduce", 256, 56, 64, 1, count=2),
    conv("rn50_s2_first", 256, 56, 128, 1),
    conv("rn50_ds2", 256, 56, 512, 1, stride=2),
    conv("rn50_s2_3x3s2", 128, 56, 128, 3, stride=2, padding=1),
    conv("rn50_s2_3x3", 128, 28, 128, 3, padding=1, count=3),
    conv("rn50_s2_expand", 128, 28, 512, 1, count=4),
    conv("rn50_s2_reduce", 512, 28, 128, 1, count=3),
    conv("rn50_s3_first", 512, 28, 256, 1),
    conv("rn50_ds3", 512, 28, 1024, 1, stride=2),
    conv("rn50_s3_3x3s2", 256, 28, 256, 3, stride=2, padding=1),
    conv("rn50_s3_3x3", 256, 14, 256, 3, padding=1, count=5),
    conv("rn50_s3_expand", 256, 14, 1024, 1, count=6),
    conv("rn50_s3_reduce", 1024, 14, 256, 1, count=5),
    conv("rn50_s4_first", 1024, 14, 512, 1),
    conv("rn50_ds4", 1024, 14, 2048, 1, stride=2),
    conv("rn50_s4_3x3s2", 512, 14, 512, 3, stride=2, padding=1),
    conv("rn50_s4_3x3", 512, 7, 512, 3, padding=1, count=2),
    conv("rn50_s4_expand", 512, 7, 2048, 1, count=3),
    conv("rn50_s4_reduce", 2048, 7, 512, 1, count=2),
)

VGG16 = (
    conv("vgg1_1", 3, 224, 64, 3, padding=1),
    conv("vgg1_2", 64, 224, 64, 3, padding=1),
    conv("vgg2_1", 64, 112, 128, 3, padding=1),
    conv("vgg2_2", 128, 112, 128, 3, padding=1),
    conv("vgg3_1", 128, 56, 256, 3, padding=1),
    conv("vgg3_2", 256, 56, 256, 3, padding=1, count=2),
    conv("vgg4_1", 256, 28, 512, 3, padding=1),
    conv("vgg4_2", 512, 28, 512, 3, padding=1, count=2),
    conv("vgg5", 512, 14, 512, 3, padding=1, count=3),
)

# MobileNet v1, width 1, 224x224: a depthwise 3x3 and a 1x1 in turn.
MOBILENET = (
    conv("mbv1_conv1", 3, 224, 32, 3, stride=2, padding=1),
    depthwise("mbv1_dw1", 32, 112, 3, padding=1),
    conv("mbv1_pw1", 32, 112, 64, 1),
    depthwise("mbv1_dw2s2", 64, 112, 3, stride=2, padding=1),
    conv("mbv1_pw2", 64, 56, 128, 1),
    depthwise("mbv1_dw3", 128, 56, 3, padding=1),
    conv("mbv1_pw3", 128, 56, 128, 1),
    depthwise("mbv1_dw4s2", 128, 56, 3, stride=2, padding=1),
    conv("mbv1_pw4", 128, 28, 256, 1),
    depthwise("mbv1_dw5", 256, 28, 3, padding=1),
    conv("mbv1_pw5", 256, 28, 256, 1),
    depthwise("mbv1_dw6s2", 256, 28, 3, stride=2, padding=1),
    conv("mbv1_pw6", 256, 14, 512, 1),
    depthwise("mbv1_dw_14", 512, 14, 3, padding=1, count=5),
    conv("mbv1_pw_14", 512, 14, 512, 1, count=5),
    depthwise("mbv1_dw12s2", 512, 14, 3, stride=2, padding=1),
    conv("mbv1_pw12", 512, 7, 1024, 1),
    depthwise("mbv1_dw_7", 1024, 7, 3, padding=1),
    conv("mbv1_pw13", 1024, 7, 1024, 1),
)

# Single layers of other networks, chosen for shapes the three above do not have.
OTHERS = (
    conv("alex_conv1", 3, 227, 96, 11, stride=4),
    conv("alex_conv2_g2", 96, 27, 256, 5, padding=2, groups=2),
    conv("alex_conv3", 256, 13, 384, 3, padding=1),
    conv("goog_5x5", 32, 28, 96, 5, padding=2),
    conv("goog_5x5_small", 16, 28, 32, 5, padding=2),
    conv("incv3_3x3_valid", 32, 149, 32, 3),
    conv("incv3_1x7", 192, 17, 192, (1, 7), padding=(0, 3)),
    conv("squeeze_e3", 16, 55, 64, 3, padding=1),
    depthwise("effnet_dw5s1", 672, 14, 5, padding=2),
    depthwise("convnext_dw7_56", 96, 56, 7, padding=3),
    depthwise("convnext_dw7_14", 384, 14, 7, padding=3),
    depthwise("replk_dw31_28", 256, 28, 31, padding=15),
    conv("unet_136", 128, 136, 128, 3),
    conv("sd_64", 320, 64, 320, 3, padding=1),
    conv("yolo_stem", 3, 640, 32, 3, stride=2, padding=1),
    conv("yolo_down", 64, 160, 128, 3, stride=2, padding=1),
    conv("deeplab_dil", 512, 28, 512, 3, padding=2, dilation=2),
    conv("resnext_g32", 128, 56, 128, 3, padding=1, groups=32),
    conv("deepspeech", 1, (161, 700), 32, (5, 20), stride=2, N=4),
    conv("train_3x3_n16", 128, 28, 128, 3, padding=1, N=16),
    conv("train_1x1_n16", 256, 14, 1024, 1, N=16),
)

# The networks of well-known questions and tutorials; a 1-D layer has height 1.
SEEDS = (
    conv("seed_alexnet", 3, 227, 96, 11, stride=4),
    conv("seed_alexnet_224", 3, 224, 96, 11, stride=4, padding=2),
    conv("seed_256_valid", 3, 256, 64, 4, stride=2),
    conv("seed_256_same", 3, 256, 64, 4, stride=2, padding=1),
    conv("seed_strided_1", 3, 128, 24, 8, stride=2),
    conv("seed_strided_2", 24, 61, 24, 8, stride=2),
    conv("seed_strided_3", 24, 27, 24, 8, stride=2),
    conv("seed_stack_1", 3, 300, 32, 3),
    conv("seed_stack_2", 32, 149, 64, 3),
    conv("seed_25x20", 7, (25, 20), 15, 5, padding=2),
    conv("seed_nonoverlapping", 1, 27, 3, 3, stride=3),
    conv("seed_11x11", 4, 11, 1, 5, stride=2),
    conv("seed_conv1d", 32, (1, 10), 64, (1, 3), padding=(0, 1)),
    conv("seed_lenet", 3, 32, 6, 5),
    conv("seed_lenet_2", 6, 28, 1, 5),
    conv("seed_lenet_3", 1, 24, 16, 5),
    conv("seed_256_k5", 3, 256, 32, 5, padding=2, N=16),
    conv("seed_mnist_1", 1, 28, 32, 5, padding=2),
    conv("seed_mnist_2", 32, 14, 64, 5, padding=2),
    conv("seed_mnist_3x3", 1, 28, 64, 3),
    conv("seed_mnist_7x7", 1, 28, 32, 7),
    conv("seed_vgg", 3, 224, 64, 3, padding=1),
    conv("seed_cifar", 3, 32, 32, 3, padding=1),
)

# One image, one filter: the work of image processing.
PLANES = (
    conv("plane_256_3x3", 1, 256, 1, 3, padding=1),
    conv("plane_256_15x15", 1, 256, 1, 15, padding=7),
    conv("plane_512_15x15", 1, 512, 1, 15, padding=7),
    conv("plane_1024_3x3", 1, 1024, 1, 3, padding=1),
    conv("plane_1024_7x7", 1, 1024, 1, 7, padding=3),
    conv("plane_1023x769_5x5", 1, (1023, 769), 1, 5),
)

# One layer at six sizes and at seven batches: cost must grow as the work does.
SIZES = tuple(conv(f"size_{size}", 64, size, 64, 3, padding=1) for size in (7, 14, 28, 56, 112, 224))
BATCHES = tuple(conv(f"batch_{N}", 64, 28, 64, 3, padding=1, N=N) for N in (1, 2, 4, 8, 16, 32, 64))

# Calls whose overhead weighs more than their arithmetic: all below TINY_FLOPS.
TINY = (
    conv("tiny_3x8x8", 3, 8, 4, 3),
    conv("tiny_plane_8", 1, 8, 1, 3),
    conv("tiny_1x1", 16, 7, 16, 1),
    conv("tiny_lenet", 1, 28, 6, 5, padding=2),
    conv("tiny_16x16", 8, 16, 8, 3, padding=1),
    depthwise("tiny_depthwise", 32, 14, 3, padding=1),
    conv("tiny_conv1d", 4, (1, 100), 8, (1, 5)),
)

POOLS = (
    pool("max_3x3s2_64x112", "max", 64, 112, 3, 2, padding=1),
    pool("max_2x2s2_64x224", "max", 64, 224, 2, 2),
    pool("max_2x2s2_64x112", "max", 64, 112, 2, 2),
    pool("max_2x2s2_512x28", "max", 512, 28, 2, 2),
    pool("max_3x3s2_96x55", "max", 96, 55, 3, 2),
    pool("max_3x3s1_192x28", "max", 192, 28, 3, 1, padding=1),
    pool("max_13x13s1_256x20", "max", 256, 20, 13, 1, padding=6),
    pool("avg_3x3s1_192x35", "avg", 192, 35, 3, 1, padding=1),
    pool("avg_3x3s1_288x35", "avg", 288, 35, 3, 1, padding=1),
    pool("avg_2x2s2_128x56", "avg", 128, 56, 2, 2),
    pool("avg_global_2048x7", "avg", 2048, 7, 7, 7),
)

PADS = (
    Pad("pad_64x56_p1", 1, 64, 56, 56, (1, 1)),
    Pad("pad_3x224_p3", 1, 3, 224, 224, (3, 3)),
)

LAYERS = {
    layer.name: layer
    for table in (RESNET50, VGG16, MOBILENET, OTHERS, SEEDS, PLANES, SIZES, BATCHES, TINY, POOLS, PADS)
    for layer in table
}


def named(names):
    return tuple(LAYERS[name] for name in names.split())


def gradient(layer, of):
    fields = {name: getattr(layer, name) for name in layer.__dataclass_fields__}
    return Gradient(**fields | {"name": f"{layer.name}_{of}_grad", "of": of})


# With one image and with sixteen; the first layer of a network has no input gradient.
BACKWARD = tuple(
    row.batch(N) if N > 1 else row
    for N in (1, 16)
    for layer in named("""
        rn50_conv1 rn50_s1_3x3 rn50_s2_3x3s2 rn50_s3_3x3 rn50_s4_3x3 rn50_s2_expand rn50_s3_reduce rn50_ds2 vgg3_2
        alex_conv2_g2 mbv1_dw1 mbv1_dw2s2 convnext_dw7_56
    """)
    for row in (gradient(layer, "input"), gradient(layer, "weight"))
    if layer.C > 3 or row.of == "weight"
)
LAYERS |= {layer.name: layer for layer in BACKWARD}


# The 48 layers that speed is judged by.
FORWARD = named("""
    rn50_conv1 rn50_s1_1x1 rn50_s1_3x3 rn50_s1_expand rn50_s1_reduce rn50_ds2 rn50_s2_3x3s2 rn50_s2_3x3 rn50_s2_expand
    rn50_s2_reduce rn50_s3_3x3 rn50_s3_expand rn50_s3_reduce rn50_ds4 rn50_s4_3x3 rn50_s4_expand rn50_s4_reduce
    vgg1_1 vgg1_2 vgg3_2 vgg4_2 vgg5 alex_conv1 alex_conv2_g2 alex_conv3 goog_5x5 goog_5x5_small incv3_3x3_valid
    incv3_1x7 squeeze_e3 mbv1_dw1 mbv1_dw2s2 mbv1_dw_14 mbv1_dw_7 mbv1_pw1 effnet_dw5s1 convnext_dw7_56 convnext_dw7_14
    replk_dw31_28 unet_136 sd_64 yolo_stem yolo_down deeplab_dil resnext_g32 deepspeech train_3x3_n16 train_1x1_n16
""")

SUITES = {
    "forward": FORWARD,
    "dense": tuple(layer for layer in FORWARD if layer.groups == 1),
    "grouped": tuple(layer for layer in FORWARD if layer.groups > 1),
    "backward": BACKWARD,
    "resnet50": RESNET50,
    "vgg16": VGG16,
    "mobilenet": MOBILENET,
    "seeds": SEEDS,
    "planes": PLANES,
    "tiny": TINY,
    "pools": POOLS,
    "pads": PADS,
    "sizes": SIZES,
    "batches": BATCHES,
    "quick": named("""
        rn50_conv1 rn50_s1_3x3 rn50_s2_expand rn50_s3_3x3 rn50_s4_3x3 mbv1_dw1 resnext_g32 plane_256_3x3 tiny_3x8x8
    """),
}
