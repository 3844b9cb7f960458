"""Words that can rot are run: the examples of the docstrings."""

import doctest
import inspect
import re

import pytest

import convfast
from convfast import reference

PUBLIC = [name for name in convfast.__all__ if callable(getattr(convfast, name))]
COMPUTING = [name for name in PUBLIC if hasattr(reference, name)]
TAKING = [name for name in PUBLIC if inspect.signature(getattr(convfast, name)).parameters]  # and so able to refuse
CALLS_OF_A_LAYER = ["__call__", "output_shape", "explain"]


def run_examples(documented, name):
    """How many examples stand there; all of them print what they say."""
    runner, count = doctest.DocTestRunner(verbose=False), 0
    for test in doctest.DocTestFinder(recurse=False).find(documented, name):
        count += len(test.examples)
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


def missing(documented, sections):
    text = inspect.getdoc(documented)
    return [section for section in sections if not re.search(rf"^{section}\n-{{{len(section)}}}$", text, re.M)]


@pytest.mark.parametrize("name", TAKING)
def test_docstrings_have_their_sections(name):
    returns = ["Returns"] if name in COMPUTING else []
    assert not missing(getattr(convfast, name), ["Parameters", *returns, "Raises", "Examples"])


@pytest.mark.parametrize("name", CALLS_OF_A_LAYER)
def test_docstrings_of_a_layer_have_their_sections(name):
    assert not missing(getattr(convfast.Conv2D, name), ["Parameters", "Returns", "Raises"])


@pytest.mark.parametrize("name", sorted({*COMPUTING, "Conv2D"} - {"conv2d_output_shape"}))
def test_docstrings_tell_the_memory(name):
    assert "Memory:" in inspect.getdoc(getattr(convfast, name))


@pytest.mark.parametrize("name", PUBLIC)
def test_summaries_are_one_sentence(name):
    first, _, rest = inspect.getdoc(getattr(convfast, name)).partition("\n")
    assert first.endswith((".", "``"))
    assert rest == "" or rest.startswith("\n")
