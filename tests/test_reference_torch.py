"""The law against PyTorch: its stored answers everywhere, all cases of torch_cases.py where PyTorch is installed."""

from importlib.util import find_spec

import numpy as np
import pytest
from torch_cases import cases, stored_answers

import convfast
from convfast import reference

CASES = list(cases())
FUNCTIONS = sorted({case.function for case in CASES})
ANSWERS = stored_answers()

functions = pytest.mark.parametrize("function", FUNCTIONS)
needs_torch = pytest.mark.skipif(find_spec("torch") is None, reason="PyTorch is not installed")


def assert_stored_answers(functions, function, dtype):
    """Exactly those: all numbers, sums and means are whole, or eighths."""
    found = 0
    for case in CASES:
        if case.stored and case.function == function:
            got = case.answer(functions, [array.astype(dtype) for array in case.numbers()])
            assert_equal(got, ANSWERS[str(case)], case)
            found += got is not None
    assert found > 0


def assert_equal(got, expected, case, tolerance=0.0):
    assert (got is None) == (expected is None), f"only one refuses {case}"
    for ours, theirs in zip(got or [], expected or [], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance, err_msg=str(case))


def test_the_stored_answers_are_those_of_the_cases():
    assert list(ANSWERS) == [str(case) for case in CASES if case.stored]


@functions
def test_the_law_gives_the_stored_answers(function):
    assert_stored_answers(reference, function, np.float64)


@functions
def test_the_kernels_give_the_stored_answers(isa, dtype, function):
    assert_stored_answers(convfast, function, dtype)


@needs_torch
@functions
def test_pytorch_gives_the_stored_answers(function):
    import torch_twin

    assert_stored_answers(torch_twin, function, np.float64)


@needs_torch
@functions
def test_the_law_agrees_with_pytorch(function):
    """Real numbers, and every case."""
    import torch_twin

    for case in CASES:
        if case.function == function:
            arrays = case.real_numbers()
            assert_equal(case.answer(reference, arrays), case.answer(torch_twin, arrays), case, 1e-12)
