"""A step of training on CUDA, kernels on the host: what it computes, and in how many launches."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

import torchtopo
from torchtopo._operators import cpu, generic

from .as_on_cuda import Launches, on_cuda

CONVENTIONS = ["paper", "topoae", "mil", "torch_topological"]


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


@pytest.mark.parametrize("half", [0, 1, 31, 400, 1500])
def test_losses_and_slopes(cuda: Any, half: int) -> None:
    generator = torch.Generator().manual_seed(0)
    for of_x, of_z in ((torch.float32, torch.float32), (torch.float32, torch.float64),
                       (torch.float64, torch.float32)):  # fmt: skip
        a = torch.rand(2, 2, 2 * half, dtype=of_x, generator=generator)
        b = torch.rand(2, 2, 2 * half, dtype=of_z, generator=generator)
        a[1, 0], b[1, 0] = 3.0, 3.0  # a bag without a difference
        largest = torch.tensor([[3.0, 1.0], [0.0, 2.0]], dtype=of_x)
        share = torch.tensor([[3.0, 1.0], [7.0, 2.0]], dtype=of_z)
        scale = torch.tensor(1.5, dtype=of_z)
        for scales, further in (
            ((None, None, None), {}),
            ((None, scale, share), {"x_by": 2.5}),
            ((largest, share.half(), share), {"largest_x": True}),
            ((largest, largest, None), {"by": 0.0, "largest_x": True, "largest_z": True}),
            ((None, largest, None), {"by": 0.0, "largest_z": True}),
        ):
            for wanted in ({}, {"slopes_z": True}, {"slopes_x": True, "slopes_z": True}):
                arguments, options = (a, b, *scales), {**further, **wanted}
                found = cuda.signature_losses(*arguments, **options)
                again = cuda.signature_losses(*arguments, **options)
                expected = generic.signature_losses(*arguments, **options)
                for here, same, there in zip(found, again, expected, strict=True):
                    assert torch.equal(here, same)
                    torch.testing.assert_close(here, there, rtol=1e-5, atol=1e-6)


def test_a_scale_of_the_cpu_divides_on_a_device(cuda: Any) -> None:
    """One number of another device is read there, as torch reads it, and not by the kernel."""
    a, b = torch.rand(3, 8), torch.rand(3, 8)
    elsewhere = torch.nn.Parameter(torch.tensor(2.0))
    found = cuda.signature_losses(a, b, None, elsewhere, None, slopes_z=True)
    torch.testing.assert_close(found[0], ((a - b / 2).square().sum(-1) / 2))


@pytest.mark.parametrize("cuda", ["automatic"], indirect=True)
def test_a_step_takes_few_launches(cuda: Any, module: ModuleType) -> None:
    x, z = torch.randn(4, 64, 16), torch.randn(4, 64, 8, requires_grad=True)
    lengths, pairs_x = torch.full((4,), 64), torchtopo.vietoris_rips_pairs(x)
    scale = torch.nn.Parameter(torch.tensor(1.5))
    for settings, most in (
        ({}, 10),
        ({"lengths": lengths}, 11),
        ({"lengths": lengths.int()}, 12),  # made int64 once
        ({"pairs_x": pairs_x}, 5),  # test_step_in_one_launch.py names them
        ({"convention": "topoae"}, 12),
        ({"convention": "topoae", "pairs_x": pairs_x}, 11),
        ({"convention": "mil"}, 10),
        ({"convention": "mil", "z_scale": scale}, 12),
        ({"convention": "torch_topological"}, 12),
        ({"convention": "torch_topological", "pairs_x": pairs_x}, 11),
    ):
        z.grad, before = None, module.launches()
        with on_cuda(cuda), Launches() as of_torch:
            torchtopo.signature_loss(x, z, **settings).backward()  # type: ignore[arg-type]
        ours = module.launches() - before
        assert ours + len(of_torch.names) == most, (settings, ours, of_torch.names)
