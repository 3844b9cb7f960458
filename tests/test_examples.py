"""The examples, shortened."""

import ast
import importlib.util
import re
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

import convfast

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"


def load(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_digits_are_learned(tmp_path):
    pytest.importorskip("sklearn")
    image = pytest.importorskip("PIL.Image")
    picture = tmp_path / "filters.png"
    with convfast.num_threads(1):  # layers this small gain nothing from two, and lose where others compute too
        assert load("train_digits").train(epochs=12, picture=picture) >= 0.97
    with image.open(picture) as drawn:
        assert drawn.size[0] > 100


def test_gradients_of_the_network():
    """Backward is the derivative of forward: along a random direction of all weights."""
    digits = load("train_digits")
    rng = np.random.default_rng(2)
    network = digits.Network(rng)
    network.weights = {name: w.astype(np.float64) + 0.1 for name, w in network.weights.items()}
    x, labels = rng.random((5, 1, 8, 8)), rng.integers(0, 10, 5)
    scores, seen = network.forward(x)
    grads = network.backward(digits.softmax_loss(scores, labels)[1], seen)
    for name, w in network.weights.items():
        direction, step = rng.standard_normal(w.shape), 1e-6
        losses = []
        for sign in (1, -1):
            network.weights[name] = w + sign * step * direction
            losses.append(digits.softmax_loss(network.forward(x)[0], labels)[0])
        network.weights[name] = w
        np.testing.assert_allclose((losses[0] - losses[1]) / (2 * step), np.sum(grads[name] * direction), rtol=1e-4)


def test_dream_grows_louder(tmp_path):
    image = pytest.importorskip("PIL.Image")
    module = load("deep_dream")
    photograph = np.random.default_rng(1).random((3, 60, 80)).astype(np.float32)
    louder, before, after = module.dream(photograph, steps=5)
    assert after > 2 * before
    assert louder.min() >= 0
    assert louder.max() <= 1
    module.save(louder, tmp_path / "dream.png")
    with image.open(tmp_path / "dream.png") as drawn:
        assert drawn.size == (80, 60)


def test_the_extra_brings_what_the_examples_import():
    imported = set()
    for path in EXAMPLES.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {name.name.split(".")[0] for name in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add(node.module.split(".")[0])
    packages = {"sklearn": "scikit-learn", "PIL": "pillow"}
    needed = {packages.get(name, name) for name in imported - sys.stdlib_module_names} - {"numpy", "convfast"}
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert {re.match(r"[\w-]+", line)[0] for line in extras["examples"]} == needed


@pytest.mark.parametrize("name", ["train_digits", "deep_dream"])
def test_examples_say_what_to_install(name, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [f"{name}.py"])
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(SystemExit, match="2"):
        load(name).main()
    assert 'pip install ".[examples]"' in capsys.readouterr().err.splitlines()[-1]
