"""Images of any size into one classifier: a spatial pyramid makes vectors of equal length.

    python examples/pyramid_classifier.py

Pictures of stripes that run across, up or aslant, from 20 to 120 pixels wide, noisy, no two of the same size. A small
bank of filters and `spatial_pyramid_pool2d` turn each into a vector; one linear layer, fitted by least squares, names
it.
"""

import numpy as np

import convfast

CLASSES = ("across", "up", "aslant")
LEVELS = (4, 2, 1)
TRAINING, TESTING = 150, 90


def picture(rng, kind):
    """A plane of H x W pixels with stripes in one of three directions."""
    H, W = rng.integers(20, 121, 2)
    h, w = np.indices((H, W))
    position = (h, w, (h + w) / np.sqrt(2))[kind]
    stripes = np.sin(2 * np.pi * (position / rng.uniform(5, 9) + rng.uniform()))
    return (stripes + rng.normal(0, 0.7, (H, W))).astype(np.float32)


def filters():
    """Differences in eight directions, 5 x 5: (K, C, R, S)."""
    angles = np.arange(8) * np.pi / 4
    r, s = np.mgrid[-2:3, -2:3]
    bank = [np.sin(np.cos(a) * r + np.sin(a) * s) * np.exp(-(r**2 + s**2) / 4) for a in angles]
    return np.array(bank, np.float32)[:, None]


def features(image, layer):
    """The same number for every size: 8 filters * (16 + 4 + 1) windows, and one for the constant."""
    maps = layer(image[None])
    return np.append(convfast.spatial_pyramid_pool2d(maps, LEVELS, mode="avg"), 1)


def main():
    rng = np.random.default_rng(0)
    layer = convfast.Conv2D(filters(), padding="same", activation="relu")
    kinds = rng.integers(0, len(CLASSES), TRAINING + TESTING)
    images = [picture(rng, kind) for kind in kinds]
    vectors = np.array([features(image, layer) for image in images])
    wanted = np.eye(len(CLASSES))[kinds]
    weights, *_ = np.linalg.lstsq(vectors[:TRAINING], wanted[:TRAINING], rcond=1e-3)
    named = (vectors[TRAINING:] @ weights).argmax(1)
    sizes = {image.shape for image in images}
    print(f"{len(images)} images of {len(sizes)} sizes, vectors of {vectors.shape[1]} numbers")
    right = (named == kinds[TRAINING:]).mean()
    for image, kind in list(zip(images[TRAINING:], named, strict=True))[:5]:
        print(f"  {image.shape[0]:3} x {image.shape[1]:3}  stripes {CLASSES[kind]}")
    print(f"{right:.0%} of {TESTING} new images are named right")
    return right


if __name__ == "__main__":
    main()
