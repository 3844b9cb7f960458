"""Words that can rot are run: the examples of the docstrings and of the README."""

import doctest
import inspect
import re
from pathlib import Path

import numpy as np
import pytest
from conftest import run_child

import convfast
from convfast import reference

ROOT = Path(__file__).parents[1]
PUBLIC = [name for name in convfast.__all__ if callable(getattr(convfast, name))]
COMPUTING = [name for name in PUBLIC if hasattr(reference, name)]


def run_examples(documented, name):
    """How many examples stand there; all of them print what they say."""
    runner, count = doctest.DocTestRunner(verbose=False), 0
    for test in doctest.DocTestFinder(recurse=False).find(documented, name):
        count += len(test.examples)
        with np.printoptions():
            assert runner.run(test).failed == 0, name
    return count


@pytest.mark.parametrize("name", PUBLIC)
def test_examples_of_public_functions(name):
    assert run_examples(getattr(convfast, name), name) > 0, f"{name} has no example"


@pytest.mark.parametrize("name", reference.__all__)
def test_examples_of_the_law(name):
    assert run_examples(getattr(reference, name), name) > 0


def test_examples_of_the_package():
    assert run_examples(convfast, "convfast") > 0


@pytest.mark.parametrize("name", PUBLIC)
def test_docstrings_name_every_argument(name):
    text = inspect.getdoc(getattr(convfast, name))
    for argument in inspect.signature(getattr(convfast, name)).parameters:
        assert re.search(rf"\b{argument}\b", text), f"{name} does not explain {argument}"


@pytest.mark.parametrize("name", COMPUTING)
def test_docstrings_have_their_sections(name):
    text = inspect.getdoc(getattr(convfast, name))
    for section in ("Parameters", "Returns", "Raises", "Examples"):
        assert re.search(rf"^{section}\n-{{{len(section)}}}$", text, re.M), f"{name}: {section}"


@pytest.mark.parametrize("name", PUBLIC)
def test_summaries_are_one_sentence(name):
    first, _, rest = inspect.getdoc(getattr(convfast, name)).partition("\n")
    assert first.endswith((".", "``"))
    assert rest == "" or rest.startswith("\n")


def blocks(language):
    readme = ROOT / "README.md"
    if not readme.is_file():
        pytest.skip("there is no README.md here")
    return re.findall(rf"^```{language}\n(.*?)^```", readme.read_text(), re.S | re.M)


def test_python_of_the_readme_runs():
    found = blocks("python")
    assert found
    plain = [block for block in found if ">>>" not in block]
    run_child("\n".join(plain))
    globs = {}
    for number, block in enumerate(block for block in found if ">>>" in block):
        test = doctest.DocTestParser().get_doctest(block, globs, f"README block {number}", "README.md", 0)
        assert doctest.DocTestRunner(verbose=False).run(test, clear_globs=False).failed == 0
        globs = test.globs


def test_commands_of_the_readme_exist():
    """Every `python -m convfast ...` that is printed there."""
    commands = [line for block in blocks("(?:sh|bash|console)") for line in block.splitlines()]
    modules = {match[1] for line in commands if (match := re.search(r"python -m (convfast[\w.]*)", line))}
    for module in modules:
        run_child(f"import runpy, importlib.util; assert importlib.util.find_spec({module!r})")
