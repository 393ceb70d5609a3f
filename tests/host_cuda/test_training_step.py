"""A step of training on CUDA, kernels on the host: what it computes, and in how many launches."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

import torchtopo
from torchtopo._losses import squares
from torchtopo._operators import cpu, generic, registry

CONVENTIONS = ["paper", "topoae", "mil", "torch_topological"]
OPERATORS = ["signature_edges", "squares", "squares_pulls", "pair_lengths",
             "pair_pulls"]  # fmt: skip


@contextmanager
def on_cuda(cuda: Any) -> Iterator[None]:
    """The losses, served as a GPU would serve them."""
    with pytest.MonkeyPatch.context() as patch:
        for name in OPERATORS:
            patch.setattr(registry, name, getattr(cuda, name))
        patch.setattr(squares, "on_a_device", lambda values: True)
        yield


class Launches(TorchDispatchMode):
    """Counts what torch would launch: every operator but those that make views or only allocate.

    Sizes (`aminmax`) are looked at on the CPU only.
    """

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        returns = func._schema.returns
        view = any(r.alias_info and not r.alias_info.is_write for r in returns)
        tensor = any("Tensor" in str(r.type) for r in returns)
        elsewhere = "empty" in func.__name__ or "aminmax" in func.__name__
        if tensor and not view and not elsewhere:
            self.names.append(func.__name__)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_the_loss_and_its_gradient(cuda: Any, dtype: torch.dtype, convention: Any) -> None:
    generator = torch.Generator().manual_seed(0)
    x, z = (torch.randn(3, 40, d, generator=generator) for d in (9, 3))
    close = {"rtol": 2e-3, "atol": 1e-4} if dtype == torch.float16 else {"rtol": 1e-4, "atol": 1e-6}

    def result(**settings: Any) -> list[Tensor]:
        clouds = x.clone().requires_grad_(), z.to(dtype).requires_grad_()
        loss = torchtopo.signature_loss(*clouds, convention=convention, **settings)
        return [loss.detach(), *torch.autograd.grad(loss, clouds)]

    for settings in (
        {},
        {"lengths": torch.tensor([40, 1, 17])},
        {"pairs_x": torchtopo.vietoris_rips_pairs(x)},
    ):
        expected = result(**settings)
        with on_cuda(cuda):
            found = result(**settings)
        for here, there in zip(found, expected, strict=True):
            torch.testing.assert_close(here, there, **close)


@pytest.mark.parametrize("metric", ["euclidean", "cosine", "precomputed"])
def test_edges_of_both_trees(cuda: Any, metric: str) -> None:
    x = torch.randint(0, 5, (2, 3, 12, 12)).float()
    z = torch.randint(0, 4, (2, 3, 12, 2)).double()
    x[0, 0, 3] = torch.inf  # some pairs are left out
    x[1, 1, 2] = torch.nan
    if metric == "cosine":
        x = torch.randn(2, 3, 12, 12)
    lengths = torch.tensor([[12, 1, 5], [12, 2, 12]])
    given = torch.randint(0, 12, (2, 3, 11, 2))
    for arguments in (
        (x, z, None, metric, "manhattan", None, None, True, True),
        (x, z, None, metric, "euclidean", lengths, None, False, True),
        (x, z, given, metric, "euclidean", None, None, False, False),
    ):
        found, expected = cuda.signature_edges(*arguments), cpu.signature_edges(*arguments)
        for here, there in zip(found, expected, strict=True):
            torch.testing.assert_close(here, there, rtol=3e-7, atol=0, equal_nan=True)
    if metric == "precomputed":
        return
    ends = torch.tensor([0, 5, 6, 36])
    packed = x[0].reshape(-1, 12), z[0].reshape(-1, 2), None, metric, "euclidean", None, ends
    found, expected = (serve.signature_edges(*packed, True, False) for serve in (cuda, cpu))
    for here, there in zip(found, expected, strict=True):
        torch.testing.assert_close(here, there, rtol=3e-7, atol=0, equal_nan=True)


@pytest.mark.parametrize("m", [0, 1, 31, 700, 3000])
def test_squares(cuda: Any, m: int) -> None:
    for a, b in ((torch.float32, torch.float32), (torch.float32, torch.float64),
                 (torch.float64, torch.float32)):  # fmt: skip
        x, z = torch.randn(2, 2, m, dtype=a), torch.randn(2, 2, m, dtype=b)
        grad = torch.randn(2, 2, dtype=torch.promote_types(a, b))
        for shares, share in ((None, 2), (torch.tensor([[3.0, 1.0], [7.0, 2.0]]), 1)):
            found = cuda.squares(x, z, shares, share)
            assert torch.equal(cuda.squares(x, z, shares, share), found)
            torch.testing.assert_close(found, generic.squares(x, z, shares, share))
            torch.testing.assert_close(
                cuda.squares_pulls(grad, x, z, shares, share),
                generic.squares_pulls(grad, x, z, shares, share).to(a),
            )


@pytest.mark.parametrize("cuda", ["automatic"], indirect=True)
def test_a_step_takes_few_launches(cuda: Any, module: ModuleType) -> None:
    x, z = torch.randn(4, 64, 16), torch.randn(4, 64, 8, requires_grad=True)
    lengths, pairs_x = torch.full((4,), 64), torchtopo.vietoris_rips_pairs(x)
    for settings, most in (
        ({}, 11),
        ({"lengths": lengths}, 12),
        ({"lengths": lengths.int()}, 13),  # made int64 once
        ({"pairs_x": pairs_x}, 10),
    ):
        z.grad, before = None, module.launches()
        with on_cuda(cuda), Launches() as of_torch:
            torchtopo.signature_loss(x, z, **settings).backward()  # type: ignore[arg-type]
        ours = module.launches() - before
        assert ours + len(of_torch.names) <= most, (ours, of_torch.names)
