"""An operator's kernel is called straight where that is all that torch's dispatcher would do."""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

import torchtopo
from torchtopo._operators import straight

LOSSES = {
    "pairs": lambda x, z: torchtopo.vietoris_rips_pairs(z),
    "deaths": lambda x, z: torchtopo.deaths(z),
    "signature": lambda x, z: torchtopo.signature_loss(x, z),
}


class Names(TorchDispatchMode):
    """What the dispatcher is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.seen.append(func.name())
        return func(*args, **(kwargs or {}))


@contextlib.contextmanager
def calls_of_kernels(monkeypatch) -> Iterator[list[bool]]:
    """For each operator called in between, whether straight."""
    calls, asked = [], straight._nothing_between

    def noted(args):
        calls.append(asked(args))
        return calls[-1]

    with monkeypatch.context() as patch:
        patch.setattr(straight, "_nothing_between", noted)
        yield calls


@pytest.mark.parametrize("name", LOSSES)
def test_plain_tensors_go_straight(name, monkeypatch):
    x, z = torch.rand(2, 8, 3), torch.rand(2, 8, 2)
    leaf = torch.nn.Parameter(z)
    with calls_of_kernels(monkeypatch) as calls:
        LOSSES[name](x, z)
        LOSSES[name](x, leaf)
        with torch.no_grad(), torch.autocast("cpu"):
            LOSSES[name](x, leaf[:, ::2].repeat(1, 2, 1))
        with torch.inference_mode():
            LOSSES[name](x, z.clone())
    assert calls
    assert all(calls)


@pytest.mark.parametrize("name", LOSSES)
def test_modes_and_profiles_see_the_operators(name):
    x, z = torch.rand(2, 8, 3), torch.rand(2, 8, 2)
    with Names() as names:
        expected = LOSSES[name](x, z)
    assert any(seen.startswith("torchtopo::") for seen in names.seen)
    with torch.autograd.profiler.profile() as profile:
        found = LOSSES[name](x, z)
    assert any(event.key.startswith("torchtopo::") for event in profile.key_averages())
    assert torch.equal(found, expected)


@pytest.mark.parametrize("name", LOSSES)
def test_tensors_that_are_not_what_their_memory_says(name, monkeypatch):
    x, z = torch.rand(2, 8, 3), torch.rand(2, 8, 2)
    negative = torch._neg_view(-z)
    assert negative.is_neg()
    with calls_of_kernels(monkeypatch) as calls:
        found = LOSSES[name](x, negative)
        LOSSES[name](x.to("meta"), z.to("meta"))
        torch.func.vmap(LOSSES[name])(x, z)
        torch.jit.trace(lambda x, z: LOSSES[name](x, z), (x, z), check_trace=False)
    assert calls
    assert not any(calls)
    assert torch.equal(found, LOSSES[name](x, z))


@pytest.mark.parametrize("name", LOSSES)
def test_a_default_device_is_not_that_of_a_kernel(name, monkeypatch):
    x, z = torch.rand(2, 8, 3), torch.rand(2, 8, 2)
    expected = LOSSES[name](x, z)
    with calls_of_kernels(monkeypatch) as calls, torch.device("meta"):
        found = LOSSES[name](x, z)
    assert calls
    assert not any(calls)
    assert torch.equal(found, expected)


def test_a_torch_with_other_insides_is_asked_each_time(monkeypatch):
    monkeypatch.delattr(torch._C, "_dispatch_keys")
    found = importlib.util.spec_from_file_location("straight_of_another_torch", straight.__file__)
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    assert module.straight(torch.ops.torchtopo.pairs, None) is torch.ops.torchtopo.pairs


def test_a_subclass_is_asked(monkeypatch):
    class Wrapped(Tensor):
        @classmethod
        def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
            seen.append(func.name())
            with torch._C._DisableTorchDispatch():
                return func(*args, **(kwargs or {}))

    seen: list[str] = []
    z = torch.Tensor._make_subclass(Wrapped, torch.rand(8, 2))
    torchtopo.vietoris_rips_pairs(z)
    assert "torchtopo::pairs" in seen
