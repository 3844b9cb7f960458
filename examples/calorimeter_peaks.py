"""Peaks of a calorimeter: every local maximum with the energy of its 3x3 neighbourhood.

    python examples/calorimeter_peaks.py            # writes calorimeter_peaks.png

Particles leave showers in a grid of 24 x 16 cells. `local_max_sum2d` finds the cells that are the largest of their
neighbourhood and replaces each by the energy of the neighbourhood; what is not above the noise is dropped.
"""

import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

import convfast

CELLS = 24, 16
PARTICLES = 7
NOISE = 0.1  # GeV in every cell
THRESHOLD = 4.0  # GeV in a neighbourhood


def showers(rng):
    """An image, and the position and energy of every particle in it."""
    energies = rng.uniform(10, 60, PARTICLES)
    centres = rng.uniform((1, 1), (CELLS[0] - 2, CELLS[1] - 2), (PARTICLES, 2))
    h, w = np.indices(CELLS)
    image = rng.exponential(NOISE, CELLS)
    for energy, (row, column) in zip(energies, centres, strict=True):
        shape = np.exp(-((h - row) ** 2 + (w - column) ** 2) / 0.9)
        image += energy * shape / shape.sum()
    return image.astype(np.float32), centres, energies


def main(path="calorimeter_peaks.png"):
    image, centres, energies = showers(np.random.default_rng(3))
    sums = convfast.local_max_sum2d(image, 3)
    peaks = np.argwhere(sums > THRESHOLD)
    print(f"{len(energies)} particles, {len(peaks)} peaks above {THRESHOLD} GeV (neighbours may share one)")
    for row, column in peaks:
        print(f"  cell ({row:2}, {column:2})  {sums[row, column]:5.1f} GeV")

    figure, axes = plt.subplots(1, 2, figsize=(8, 6), sharey=True, layout="constrained")
    axes[0].imshow(image, cmap="magma")
    axes[0].scatter(centres[:, 1], centres[:, 0], marker="+", color="white", label="particles")
    axes[0].set_title("energy in each cell")
    axes[0].legend(loc="lower right")
    picture = axes[1].imshow(sums, cmap="magma")
    axes[1].set_title("local maxima: energy around them")
    for row, column in peaks:
        label = f"{sums[row, column]:.0f}"
        style = dict(textcoords="offset points", color="white", ha="center", fontsize=8)
        axes[1].annotate(label, (column, row), (0, 9), **style)
    figure.colorbar(picture, ax=axes, label="GeV", shrink=0.8)
    figure.savefig(path, dpi=110)
    print(f"wrote {path}")


if __name__ == "__main__":
    main(*sys.argv[1:])
