"""The fuzzer's draws and its oracle over the CUDA kernels, which stand in for the CPU's."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from tests.fuzz.checks import CHECKS
from tests.fuzz.draws import draw
from torchtopo._operators.registry import OPERATORS


@pytest.fixture
def operators_of_cuda(cuda: Any) -> Iterator[None]:
    """Every operator that has CUDA kernels serves CPU tensors by them, in emulation."""
    library = torch.library.Library("torchtopo", "IMPL")
    for operator in OPERATORS:
        if operator.cuda is not None:
            library.impl(operator.name, operator.cuda, "CPU", allow_override=True)
        elif operator.generic is not None:
            library.impl(operator.name, operator.generic, "CPU", allow_override=True)
    try:
        yield
    finally:
        library._destroy()


@pytest.mark.usefixtures("operators_of_cuda")
@pytest.mark.parametrize("kind", ["trees", "lengths", "gradients", "losses"])
def test_draws(kind: str) -> None:
    numbers = (number for number in itertools.count() if draw(1, number)[0] == kind)
    for number in itertools.islice(numbers, 40):
        try:
            CHECKS[kind](**draw(1, number)[1])
        except Exception as error:
            raise AssertionError(f"draw {number} of seed 1") from error
