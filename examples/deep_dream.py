"""Deep dream: change a photograph so that a layer of filters answers louder.

    python examples/deep_dream.py [photograph] [--steps 60] [--picture deep_dream.png]

The pixels climb the gradient of the layer's response: forward through two convolutions, back through their input
gradients, nothing trained. The first layer is a bank of Gabor filters (edges and stripes of eight directions), the
second rewards neighbours that agree. Without an argument the photograph is one that scikit-learn ships. Needs Pillow;
the extra "examples" brings both.
"""

import argparse

import numpy as np

import convfast

DIRECTIONS, SIZE = 8, 9
GREY = np.array([0.3, 0.59, 0.11], np.float32)


def gabor_bank(wavelengths=(4.0, 7.0)):
    """Filters (K, 3, SIZE, SIZE): waves under a bell, of every direction, wavelength and of two phases."""
    axis = np.arange(SIZE) - SIZE // 2
    h, w = np.meshgrid(axis, axis, indexing="ij")
    bell = np.exp(-(h**2 + w**2) / (2 * (SIZE / 4) ** 2))
    bank = []
    for angle in np.arange(DIRECTIONS) * np.pi / DIRECTIONS:
        along = h * np.sin(angle) + w * np.cos(angle)
        for length in wavelengths:
            for wave in (np.cos, np.sin):
                grey = bell * wave(2 * np.pi * along / length)
                grey -= bell * grey.sum() / bell.sum()
                bank.append(GREY[:, None, None] * grey / np.abs(grey).sum())
    return np.array(bank, np.float32)


def partners(rng, count, outputs=16):
    """Filters (outputs, count, 3, 3) that each add up a few maps of the first layer over a neighbourhood."""
    w = np.zeros((outputs, count, 3, 3), np.float32)
    for k in range(outputs):
        w[k, rng.choice(count, 3, replace=False)] = rng.random((3, 3, 3)) / 9
    return w


class Layers:
    def __init__(self, seed=0):
        self.first = gabor_bank()
        self.second = partners(np.random.default_rng(seed), len(self.first))

    def response(self, image):
        """Half the mean square of the second layer, and its gradient in the pixels; image (3, H, W)."""
        y1 = convfast.conv2d(image, self.first, padding="same", padding_mode="reflect", activation="relu")
        y2 = convfast.conv2d(y1, self.second, stride=2, padding="same")
        back = y2 / y2.size
        back = convfast.conv2d_input_grad(back, self.second, y1.shape, stride=2, padding="same")
        back *= y1 > 0
        grad = convfast.conv2d_input_grad(back, self.first, image.shape, padding="same", padding_mode="reflect")
        return 0.5 * float(np.mean(y2 * y2)), grad


def dream(image, steps=60, rate=0.01, seed=0):
    """The changed image, and the response before and after; image (3, H, W) of numbers in [0, 1]."""
    layers = Layers(seed)
    image = np.array(image, np.float32)
    before, grad = layers.response(image)
    for _ in range(steps):
        image += rate * grad / (np.abs(grad).mean() + 1e-12)
        np.clip(image, 0, 1, out=image)
        after, grad = layers.response(image)
    return image, before, after


def load_photograph(path=None):
    """(3, H, W) in [0, 1]."""
    if path is None:
        from sklearn.datasets import load_sample_image

        pixels = load_sample_image("flower.jpg")
    else:
        from PIL import Image

        pixels = np.asarray(Image.open(path).convert("RGB"))
    return np.moveaxis(pixels, -1, 0).astype(np.float32) / 255


def save(image, path):
    from PIL import Image

    Image.fromarray((np.moveaxis(image, 0, -1) * 255).round().astype(np.uint8)).save(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photograph", nargs="?")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--picture", default="deep_dream.png")
    arguments = parser.parse_args()
    try:
        photograph = load_photograph(arguments.photograph)
    except ImportError as error:
        parser.error(f'{error}. Install what the examples need: pip install ".[examples]"')
    image, before, after = dream(photograph, arguments.steps)
    save(image, arguments.picture)
    print(f"response {before:.3g} -> {after:.3g} ({after / before:.0f} times); picture in {arguments.picture}")


if __name__ == "__main__":
    main()
