"""`torch.use_deterministic_algorithms(True)` holds for every function, by names on CUDA too."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

import torchtopo

from .contract import FUNCTIONS, LOSSES


def refused() -> set[str]:
    """What torch says it has no deterministic way of computing on CUDA."""
    text = (torch.use_deterministic_algorithms.__doc__ or "").partition("operations will throw a")
    names = re.findall(r":func:`torch\.(?:Tensor\.)?(\w+)`", text[2])
    return {name.rstrip("_") for name in names}


class Names(TorchDispatchMode):
    """The operators that torch runs, forwards and backwards."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.seen.add(func.__name__.partition(".")[0].rstrip("_"))
        return func(*args, **(kwargs or {}))


def gradient(call: Any, z: Tensor, **ragged: Any) -> Tensor:
    z = z.clone().requires_grad_()
    result = call(z, **ragged)
    if result.is_floating_point():
        (result,) = torch.autograd.grad(result[result.isfinite()].sum(), z)
    return result


CALLS = {**{name: function.call for name, function in FUNCTIONS.items()}, **LOSSES}


def test_torch_names_what_it_refuses() -> None:
    assert {"histc", "bincount", "put"} <= refused()


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", CALLS)
def test_nothing_that_torch_refuses_is_called(name: str, packed: bool) -> None:
    z = torch.rand(3, 9, 4, generator=torch.Generator().manual_seed(0))
    ragged: dict[str, Any] = {"lengths": torch.tensor([9, 5, 2])}
    if packed:
        z, ends = torchtopo.pack(list(z))
        ragged = {"cu_seqlens": ends}
    torch.use_deterministic_algorithms(True)
    try:
        with Names() as names:
            found = gradient(CALLS[name], z, **ragged)
        assert torch.equal(gradient(CALLS[name], z, **ragged), found)
    finally:
        torch.use_deterministic_algorithms(False)
    assert names.seen
    assert not names.seen & refused()
