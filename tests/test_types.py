"""The stub says what the code does: the same names, parameters, kinds and defaults."""

import ast
import inspect
from pathlib import Path

import pytest

import convfast

STUB = Path(convfast.__file__).with_name("__init__.pyi")
TREE = ast.parse(STUB.read_text())
# Of overloads the first counts: it has the defaults.
FUNCTIONS = {node.name: node for node in reversed(TREE.body) if isinstance(node, ast.FunctionDef)}
CALLABLE = [name for name in convfast.__all__ if inspect.isfunction(getattr(convfast, name))]


def stub_parameters(node):
    """(name, is keyword-only, default as text) of each parameter."""
    a = node.args
    defaults = [None] * (len(a.args) - len(a.defaults)) + a.defaults
    pairs = [(arg, default, False) for arg, default in zip(a.args, defaults, strict=True)]
    pairs += [(arg, default, True) for arg, default in zip(a.kwonlyargs, a.kw_defaults, strict=True)]
    return [(arg.arg, only, None if d is None else ast.literal_eval(d)) for arg, d, only in pairs if arg.arg != "self"]


def code_parameters(function):
    parameters = inspect.signature(function).parameters.values()
    return [
        (p.name, p.kind is p.KEYWORD_ONLY, None if p.default is p.empty else p.default)
        for p in parameters
        if p.name != "self"
    ]


def test_the_stub_has_every_public_name():
    classes = {node.name for node in TREE.body if isinstance(node, ast.ClassDef)}
    assert set(convfast.__all__) == set(FUNCTIONS) | classes | {"reference"}
    assert STUB.with_name("py.typed").exists()


@pytest.mark.parametrize("name", CALLABLE)
def test_parameters_agree(name):
    assert stub_parameters(FUNCTIONS[name]) == code_parameters(getattr(convfast, name))


def test_the_layer_class_agrees():
    node = next(node for node in TREE.body if isinstance(node, ast.ClassDef) and node.name == "Conv2D")
    methods = {item.name: item for item in node.body if isinstance(item, ast.FunctionDef)}
    for name in ("__init__", "__call__", "output_shape", "explain"):
        assert stub_parameters(methods[name]) == code_parameters(getattr(convfast.Conv2D, name))
