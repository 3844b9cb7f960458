"""Words that can rot are run: the examples of the docstrings."""

import doctest
import inspect
import re

import pytest

import convfast
from convfast import reference

PUBLIC = [name for name in convfast.__all__ if callable(getattr(convfast, name))]
COMPUTING = [name for name in PUBLIC if hasattr(reference, name)]


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
