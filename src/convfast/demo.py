"""`python -m convfast demo [picture]`: filters on a photograph, checked, timed and drawn.

Every job is one convolution. It runs four ways: convfast, the NumPy idiom (windows and a matrix product), the same
seven nested loops in C and in Python. The result of convfast is compared with `convfast.reference` in float64.
"""

import io
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import convfast
from convfast import _core, reference
from convfast.demo_report import HEADING, draw, line, total
from convfast.selftest import HIGHEST, mark

ENOUGH_SECONDS, MOST_CALLS = 0.3, 200  # of timing one way
LOOP_PRODUCTS = 150_000  # Python loops multiply about 2 million times a second: a crop of so many products


class Refusal(Exception):
    """What the user should know instead of a traceback."""


# The picture


def import_pillow():
    try:
        import matplotlib
        from PIL import Image, ImageOps
    except ImportError as error:
        raise Refusal(
            f"the demo needs {error.name}, which is not installed: run  python -m pip install pillow matplotlib"
        ) from None
    return matplotlib, Image, ImageOps


def default_picture():
    """The portrait of Grace Hopper (U.S. Navy, public domain) among matplotlib's sample data."""
    matplotlib, *_ = import_pillow()
    path = Path(matplotlib.get_data_path(), "sample_data", "grace_hopper.jpg")
    if not path.is_file():
        raise Refusal("this matplotlib comes without its sample picture: name a picture of yours, demo photo.jpg")
    return path


def as_rgb(image, Image):
    """Any Pillow image in the colours a viewer would show: 16 bits scaled to 8, transparency over white."""
    if image.mode[0] in "IF":  # one channel of 16 or 32 bits, or of floats
        plane = np.nan_to_num(np.asarray(image, np.float64))
        low, high = plane.min(), plane.max()
        image = Image.fromarray(((plane - low) * (255 / max(high - low, 1e-300))).astype(np.uint8))
    if "A" in image.getbands() or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def load(path, max_side):
    """The picture as float32 (3, H, W) from 0 to 1, and its size as stored, (width, height)."""
    _, Image, ImageOps = import_pillow()
    try:
        with Image.open(path) as image:
            stored = image.size
            image.draft("RGB", (max_side, max_side))  # JPEG only: decode at a fraction of the size
            image = as_rgb(ImageOps.exif_transpose(image), Image)
    except FileNotFoundError:
        raise Refusal(f"there is no file {str(path)!r}") from None
    except IsADirectoryError:
        raise Refusal(f"{str(path)!r} is a folder, not a picture") from None
    except Image.DecompressionBombError as error:
        raise Refusal(f"{str(path)!r} is too large a picture: {error}") from None
    except (OSError, SyntaxError, ValueError) as error:
        raise Refusal(f"{str(path)!r} is not a picture that Pillow can read ({error})") from None
    image.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
    pixels = np.asarray(image, np.float32) / 255
    return np.ascontiguousarray(np.moveaxis(pixels, -1, 0)), stored


# The filters


def gaussian(size, sigma):
    ramp = np.exp(-(((np.arange(size) - size // 2) / sigma) ** 2) / 2)
    plane = np.outer(ramp, ramp)
    return plane / plane.sum()


def gabor(angle, frequency, size=7):
    """A wave under a bell: it answers to stripes in one direction."""
    v, u = np.mgrid[:size, :size] - size // 2
    wave = np.cos(2 * np.pi * frequency * (u * np.cos(angle) + v * np.sin(angle)))
    plane = gaussian(size, size / 4) * wave
    return plane - plane.mean()


def stack_filters(rng):
    """Three layers that halve the picture: stripes in 8 directions and 2 widths, then mixtures of what came before."""
    stripes = [gabor(np.pi * i / 8, frequency) for frequency in (0.15, 0.3) for i in range(8)]
    colours = rng.uniform(0.2, 1, (16, 3, 1, 1))
    yield 8 * colours * np.array(stripes)[:, None]
    for C, K in ((16, 36), (36, 64)):
        w = rng.standard_normal((K, C, 3, 3)) * np.sqrt(2 / (C * 9))
        yield w - w.mean(axis=(1, 2, 3), keepdims=True)


# One job, four ways


@dataclass
class Job:
    name: str
    what: str
    x: np.ndarray  # (C, H, W)
    w: np.ndarray
    options: dict
    y: np.ndarray = None
    error: float = 0.0  # of abs(x) conv abs(w)
    seconds: dict = None

    def run(self):
        """Compute, compare with the law, time all four."""
        self.y = convfast.conv2d(self.x, self.w, precision="highest", **self.options)
        law = reference.conv2d(self.x, self.w, **self.options)
        size = reference.conv2d(abs(self.x), abs(self.w), **(self.options | {"activation": None}))
        self.error = float(np.max(abs(self.y - law) / np.maximum(size, 1e-30)))
        self.seconds = {
            "convfast": best_of(lambda: convfast.conv2d(self.x, self.w, precision="highest", **self.options)),
            "NumPy idiom": best_of(lambda: numpy_idiom(self.x, self.w, **self.options)),
            "C loops": best_of(self.c_loops, 1),
            "Python loops": self.python_loops(),
        }
        return self

    def c_loops(self):
        # Padded with zeros whatever the mode: the same work.
        groups, stride = self.options.get("groups", 1), self.options.get("stride", 1)
        return _core.naive_conv2d(self.x[None], self.w, stride, self.options["padding"], 1, groups)

    def python_loops(self):
        """Seconds for the whole picture, from a crop: the time of each product is the same everywhere."""
        K, per_group, R, S = self.w.shape
        stride, groups = self.options.get("stride", 1), self.options.get("groups", 1)
        side = max(1, int((LOOP_PRODUCTS / (K * per_group * R * S)) ** 0.5))
        crop = self.x[None, :, : (side - 1) * stride + R, : (side - 1) * stride + S]
        missing = (R - min(R, crop.shape[2]), S - min(S, crop.shape[3]))  # a picture smaller than the filter
        crop = np.pad(crop, ((0, 0), (0, 0), (0, missing[0]), (0, missing[1])))
        start = time.perf_counter()
        outputs = reference.conv2d_loops(crop, self.w, stride=stride, groups=groups).size
        return (time.perf_counter() - start) * self.y.size / outputs


def numpy_idiom(x, w, *, padding, stride=1, groups=1, padding_mode="constant", activation=None):
    """Convolution as NumPy users write it: every window becomes a row of a matrix. Only padding="same"."""
    _, H, W = x.shape
    K, per_group, R, S = w.shape
    short = [max((-(-size // stride) - 1) * stride + f - size, 0) for size, f in ((H, R), (W, S))]
    x = np.pad(x, ((0, 0), *((n // 2, n - n // 2) for n in short)), mode=padding_mode)
    windows = np.lib.stride_tricks.sliding_window_view(x, (R, S), (1, 2))[:, ::stride, ::stride]
    P, Q = windows.shape[1:3]
    windows = windows.reshape(groups, per_group, P, Q, R, S).transpose(0, 2, 3, 1, 4, 5)
    rows = windows.reshape(groups, P * Q, per_group * R * S)
    y = rows @ w.reshape(groups, K // groups, -1).transpose(0, 2, 1)
    y = y.transpose(0, 2, 1).reshape(K, P, Q)
    return np.maximum(y, 0) if activation == "relu" else y


def best_of(call, least=3):
    """The shortest of some calls, in seconds: what the machine can do when nobody disturbs it."""
    seconds = []
    while len(seconds) < least or sum(seconds) < ENOUGH_SECONDS:
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
        if len(seconds) == MOST_CALLS:
            break
    return min(seconds)


def jobs(picture):
    """All jobs, done: three filters on the picture, then three layers one after the other."""
    each_colour = {"padding": "same", "padding_mode": "edge", "groups": 3}
    bell = gaussian(9, 2.0)
    identity = np.zeros((9, 9))
    identity[4, 4] = 1
    sobel = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]) / 4

    def filters(planes):
        return np.ascontiguousarray(planes, np.float32)

    def every_colour(plane):
        return filters(np.broadcast_to(plane, (3, 1, *plane.shape)))

    grey = np.tensordot(np.array([0.299, 0.587, 0.114], np.float32), picture, 1)[None]
    yield Job("blur", "9 x 9 bell, each colour", picture, every_colour(bell), each_colour).run()
    sharper = every_colour(identity + 1.5 * (identity - bell))
    yield Job("sharpen", "9 x 9 unsharp mask, each colour", picture, sharper, each_colour).run()
    edges = filters(np.stack([sobel, sobel.T])[:, None])
    yield Job("edges", "3 x 3 Sobel, 1 to 2 maps", grey, edges, {"padding": "same", "padding_mode": "edge"}).run()
    x = picture - picture.mean(axis=(1, 2), keepdims=True)
    for number, w in enumerate(stack_filters(np.random.default_rng(7)), 1):
        K, C, R, S = w.shape
        options = {"padding": "same", "stride": 2, "activation": "relu"}
        layer = Job(f"layer {number}", f"{R} x {S}, stride 2, {C} to {K} maps", x, filters(w), options).run()
        x = layer.y
        yield layer


# Writing


def free_name(folder="."):
    """convfast-demo.png, or the first of convfast-demo-2.png ... that is free."""
    names = (f"convfast-demo{number}.png" for number in ("", *(f"-{n}" for n in range(2, 1000))))
    for name in names:
        if not os.path.lexists(os.path.join(folder, name)):
            return name
    raise Refusal("every name from convfast-demo.png to convfast-demo-999.png is taken: use --output")


def check_output(output, force):
    """Refuse before the work what would fail after it."""
    path = Path(output)
    if path.suffix.lower() not in (".png", ".jpg", ".jpeg", ".pdf", ".svg", ".webp"):
        raise Refusal(f"--output {output!r} must end in .png, .jpg, .pdf, .svg or .webp")
    if not path.parent.is_dir():
        raise Refusal(f"--output {output!r}: there is no folder {str(path.parent)!r}")
    if path.is_dir():
        raise Refusal(f"--output {output!r} is a folder")
    if os.path.lexists(path) and not force:
        raise Refusal(f"{output!r} exists already: add --force to overwrite it, or give another name")


def save(figure, output, force):
    """Write the sheet; a file that exists is only replaced with force, even if it appeared while we computed."""
    written = io.BytesIO()
    figure.savefig(written, format=Path(output).suffix[1:].lower(), dpi=110)
    try:
        with open(output, "wb" if force else "xb") as file:
            file.write(written.getvalue())
    except FileExistsError:
        raise Refusal(f"{output!r} appeared in the meantime: add --force to overwrite it") from None
    except OSError as error:
        raise Refusal(f"cannot write {output!r}: {error.strerror}") from None


def show(picture, output, force, max_side):
    import_pillow()
    if max_side < 16:
        raise Refusal(f"--max-side must be at least 16, not {max_side}")
    if output is not None:
        check_output(output, force)
    path = Path(picture) if picture is not None else default_picture()
    pixels, (stored_width, stored_height) = load(path, max_side)
    _, H, W = pixels.shape
    source = "" if picture is not None else ", Grace Hopper, U.S. Navy, public domain, from matplotlib"
    print(f"picture   {path.name}, {stored_width} x {stored_height}{source}")
    if max(stored_width, stored_height) > max_side:
        print(f"          shrunk to {W} x {H}, so that the slow ways end soon (--max-side changes that)")
    machine = f"convfast {convfast.__version__}, {convfast.isa()}, {convfast.get_num_threads()} threads"
    print(f"machine   {machine}\n\n{HEADING}")
    done, passed = [], True
    for job in jobs(pixels):
        good = job.error <= HIGHEST
        passed = passed and good
        print(line(job.name, job.what, job.seconds, f"{mark(good)} {job.error / HIGHEST:.2f}"), flush=True)
        done.append(job)
    print(line("together", "", total(done)))
    print(
        "\nnx: that many times as long as convfast. C loops: seven nested loops, -O2, one thread. Python loops: the"
        "\nsame, measured on a crop and multiplied by the number of outputs. check: the largest error against"
        "\nconvfast.reference, as a share of what precision='highest' promises."
    )
    name = free_name() if output is None else output
    save(draw(pixels, done, f"{path.name}   ·   {machine}"), name, force and output is not None)
    print(f"\nresults   {name}")
    if not passed:
        print("a result differs from convfast.reference by more than the promise: please report it")
    return 0 if passed else 1


def main(picture=None, output=None, force=False, max_side=1024):
    """Run the demo. The exit status: 0, 1 if a result was wrong, 2 if it could not run."""
    try:
        return show(picture, output, force, max_side)
    except Refusal as refusal:
        print(f"convfast demo: {refusal}", file=sys.stderr)
        return 2
