"""Train a small LeNet on real handwritten digits, in plain NumPy and convfast.

    python examples/train_digits.py [--epochs 30] [--picture digit_filters.png]

The 1,797 digits (8 x 8 pixels) come with scikit-learn; a fifth of them is kept for the test. Needs scikit-learn and
Pillow; the extra "examples" brings both. Every layer is its forward function and the gradients of the same name;
nothing else is needed to train.
"""

import argparse
import sys
import time

import numpy as np

import convfast


class Network:
    """conv 3x3 -> relu -> max pool -> conv 3x3 -> relu -> max pool -> dense -> softmax."""

    def __init__(self, rng, filters=(16, 32), classes=10):
        first, second = filters

        def scaled(*shape):
            fan_in = np.prod(shape[1:])
            return (rng.standard_normal(shape) * np.sqrt(2 / fan_in)).astype(np.float32)

        self.weights = {
            "w1": scaled(first, 1, 3, 3), "b1": np.zeros(first, np.float32),
            "w2": scaled(second, first, 3, 3), "b2": np.zeros(second, np.float32),
            "w3": scaled(classes, second * 2 * 2), "b3": np.zeros(classes, np.float32),
        }  # fmt: skip

    def forward(self, x):
        """The scores of every class, and what the way back needs to know."""
        w = self.weights
        y1 = convfast.conv2d(x, w["w1"], w["b1"], padding="same", activation="relu")
        p1 = convfast.max_pool2d(y1, 2)
        y2 = convfast.conv2d(p1, w["w2"], w["b2"], padding="same", activation="relu")
        p2 = convfast.max_pool2d(y2, 2)
        flat = p2.reshape(len(x), -1)
        return flat @ w["w3"].T + w["b3"], (x, y1, p1, y2, p2, flat)

    def backward(self, grad, seen):
        """The gradient of every weight, from that of the scores."""
        x, y1, p1, y2, p2, flat = seen
        w = self.weights
        grads = {"w3": grad.T @ flat, "b3": grad.sum(0)}
        back = (grad @ w["w3"]).reshape(p2.shape)
        back = convfast.max_pool2d_grad(back, y2, 2) * (y2 > 0)
        grads["w2"] = convfast.conv2d_weight_grad(p1, back, 3, padding="same")
        grads["b2"] = back.sum((0, 2, 3))
        back = convfast.conv2d_input_grad(back, w["w2"], p1.shape, padding="same")
        back = convfast.max_pool2d_grad(back, y1, 2) * (y1 > 0)
        grads["w1"] = convfast.conv2d_weight_grad(x, back, 3, padding="same")
        grads["b1"] = back.sum((0, 2, 3))
        return grads

    def predict(self, x):
        return self.forward(x)[0].argmax(1)


class Adam:
    """D. Kingma, J. Ba, "Adam: a method for stochastic optimization", arXiv:1412.6980."""

    def __init__(self, weights, rate=2e-3, decay=(0.9, 0.999)):
        self.rate, self.decay, self.step = rate, decay, 0
        self.moments = {name: (np.zeros_like(w), np.zeros_like(w)) for name, w in weights.items()}

    def update(self, weights, grads):
        self.step += 1
        a, b = self.decay
        for name, grad in grads.items():
            mean, square = self.moments[name]
            mean += (1 - a) * (grad - mean)
            square += (1 - b) * (grad * grad - square)
            scale = self.rate * np.sqrt(1 - b**self.step) / (1 - a**self.step)
            weights[name] -= scale * mean / (np.sqrt(square) + 1e-8)


def softmax_loss(scores, labels):
    """The mean cross entropy, and its gradient."""
    scores = scores - scores.max(1, keepdims=True)
    p = np.exp(scores)
    p /= p.sum(1, keepdims=True)
    rows = np.arange(len(labels))
    loss = -np.log(p[rows, labels]).mean()
    p[rows, labels] -= 1
    return loss, p / len(labels)


def load_digits(rng, test_share=0.2):
    from sklearn.datasets import load_digits as sklearn_digits

    digits = sklearn_digits()
    x, labels = (digits.images[:, None] / 16).astype(np.float32), digits.target
    order = rng.permutation(len(x))
    test, train = np.split(order, [int(test_share * len(x))])
    return (x[train], labels[train]), (x[test], labels[test])


def progress(done, total, text, width=30):
    """One line that fills up; on a terminal in place, else only when it is full."""
    if sys.stdout.isatty() or done == total:
        bar = "█" * (width * done // total)
        end = "\n" if done == total else ""
        print(f"\r{bar:░<{width}} {done:3d}/{total}  {text}", end=end, flush=True)


def save_filters(w, path, zoom=16):
    """The filters (K, 1, R, S) side by side, dark for negative, bright for positive taps."""
    from PIL import Image

    tiles = np.pad(w[:, 0] / np.abs(w).max(), ((0, 0), (0, 1), (0, 1)), constant_values=-1)
    columns = int(np.ceil(np.sqrt(len(tiles))))
    missing = -len(tiles) % columns
    tiles = np.concatenate([tiles, np.full((missing, *tiles.shape[1:]), -1, tiles.dtype)])
    rows = [np.concatenate(tiles[i : i + columns], 1) for i in range(0, len(tiles), columns)]
    image = np.kron(np.concatenate(rows), np.ones((zoom, zoom)))
    Image.fromarray(((image + 1) * 127.5).astype(np.uint8)).save(path)


def train(epochs=30, batch=32, seed=0, picture=None):
    """The share of test digits that are recognised."""
    rng = np.random.default_rng(seed)
    (x, labels), (x_test, labels_test) = load_digits(rng)
    network = Network(rng)
    adam = Adam(network.weights)
    accuracy = 0.0
    for epoch in range(epochs):
        order = rng.permutation(len(x))
        losses = []
        for i in range(0, len(x), batch):
            chosen = order[i : i + batch]
            scores, seen = network.forward(x[chosen])
            loss, grad = softmax_loss(scores, labels[chosen])
            adam.update(network.weights, network.backward(grad, seen))
            losses.append(loss)
        accuracy = float(np.mean(network.predict(x_test) == labels_test))
        progress(epoch + 1, epochs, f"loss {np.mean(losses):.4f}  test accuracy {accuracy:.2%}")
    if picture:
        save_filters(network.weights["w1"], picture)
    return accuracy


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--picture", default="digit_filters.png", help="where the learned filters are drawn")
    arguments = parser.parse_args()
    begin = time.perf_counter()
    try:
        accuracy = train(arguments.epochs, picture=arguments.picture)
    except ImportError as error:
        parser.error(f'{error}. Install what the examples need: pip install ".[examples]"')
    print(f"{accuracy:.2%} of the test digits in {time.perf_counter() - begin:.1f} s; filters in {arguments.picture}")


if __name__ == "__main__":
    main()
