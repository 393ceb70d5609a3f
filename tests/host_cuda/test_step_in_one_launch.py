"""A step of training with known pairs of x in one launch, against the several it stands for.

Both are kernels on the host. Their losses and gradients must be equal bit for bit, so what the
several are compared with elsewhere (CPU, plain twins) holds for the one too.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import torchtopo
from torchtopo._operators import cuda as _cuda

from . import emulator
from .as_on_cuda import Launches, on_cuda

POINT_METRICS = ["euclidean", "manhattan", "chebyshev", "cosine"]
SINGLE, DOUBLE, HALF = torch.float32, torch.float64, torch.float16

# Kernels are served here as the fixture `cuda` does; which plan it names is of no matter.
pytestmark = pytest.mark.parametrize("cuda", ["automatic"], indirect=True)


def drawn(*shape: int, seed: int = 0, dtype: torch.dtype = SINGLE) -> Tensor:
    """Small integers and then others: ties, duplicates, and lengths that round."""
    generator = torch.Generator().manual_seed(seed)
    points = torch.randint(0, 4, shape, generator=generator).double()
    points[..., shape[-2] // 2 :, :] += torch.randn(
        points[..., shape[-2] // 2 :, :].shape, generator=generator
    )
    return points.to(dtype)


def some_pairs(*shape: int, seed: int = 1) -> Tensor:
    """Pairs as nobody should give them: with ends in any order, loops, and some beyond the bag."""
    *bags, n = shape
    generator = torch.Generator().manual_seed(seed)
    pairs = torch.randint(-1, n + 1, (*bags, n - 1, 2), generator=generator)
    pairs[..., ::5, :] = pairs[..., ::5, :].clamp(0, 1)
    return pairs


def step(
    cuda: Any,
    plan: str,
    x: Tensor,
    z: Tensor,
    scale: Tensor | None = None,
    moved: tuple[bool, bool] = (False, True),
    weights: Tensor | None = None,
    **settings: Any,
) -> list[Tensor]:
    """The losses of the bags and every gradient."""
    x, z = x.clone().requires_grad_(moved[0]), z.clone().requires_grad_(moved[1])
    if scale is not None:
        scale = scale.clone().requires_grad_()
        settings["z_scale"] = scale
    with on_cuda(cuda), _cuda.plan(plan):
        losses = torchtopo.signature_loss(x, z, reduction="none", **settings)
        inputs = [of for of in (x, z, scale) if of is not None and of.requires_grad]
        if not inputs:
            return [losses]
        weights = torch.arange(losses.numel()) * 0.3 + 0.7 if weights is None else weights
        loss = (losses * weights.to(losses.dtype).view_as(losses)).sum()
        return [losses.detach(), *torch.autograd.grad(loss, inputs)]


def assert_same_bits(cuda: Any, module: ModuleType, *arguments: Any, **settings: Any) -> None:
    several = step(cuda, "many_blocks", *arguments, **settings)
    before = module.launches()
    one = step(cuda, "one_block", *arguments, **settings)
    by_units = 2 if settings.get("metric_z") == "cosine" else 0
    assert module.launches() == before + 1 + by_units
    for here, there in zip(one, several, strict=True):
        assert here.dtype == there.dtype
        torch.testing.assert_close(here, there, rtol=0, atol=0, equal_nan=True)


@pytest.fixture(params=["in_order", "reversed", "random"])
def hostile(library: emulator.Kernels, request: pytest.FixtureRequest) -> None:
    library.schedule(request.param, seed=3)


@pytest.mark.usefixtures("hostile")
@pytest.mark.parametrize("metric_z", POINT_METRICS)
@pytest.mark.parametrize("metric_x", [*POINT_METRICS, "precomputed"])
def test_metrics(cuda: Any, module: ModuleType, metric_x: Any, metric_z: Any) -> None:
    x, z = drawn(2, 37, 37), drawn(2, 37, 5, seed=1)
    moved = metric_x != "precomputed", True
    settings = {"metric_x": metric_x, "metric_z": metric_z, "moved": moved}
    for pairs_x in (torchtopo.vietoris_rips_pairs(x, metric=metric_x), some_pairs(2, 37)):
        assert_same_bits(cuda, module, x, z, pairs_x=pairs_x, **settings)


@pytest.mark.usefixtures("hostile")
@pytest.mark.parametrize("of_x", [SINGLE, DOUBLE])
@pytest.mark.parametrize("of_z", [HALF, SINGLE, DOUBLE])
def test_forms_and_types(
    cuda: Any, module: ModuleType, of_x: torch.dtype, of_z: torch.dtype
) -> None:
    x, z = drawn(2, 2, 20, 9, dtype=of_x), drawn(2, 2, 20, 3, seed=1, dtype=of_z)
    lengths = torch.tensor([[20, 1], [2, 13]])
    given = {"pairs_x": torchtopo.vietoris_rips_pairs(x, lengths=lengths), "lengths": lengths}
    each = torch.tensor([[1.5, 0.3], [2.0, 7.0]], dtype=of_z)
    for moved in ((False, True), (True, False), (True, True), (False, False)):
        for scale, settings in (
            (None, {"convention": "paper"}),
            (None, {"convention": "mil", "z_scale": 2.5}),
            (each, {"convention": "mil"}),
            (each[0, 0], {"convention": "topoae", "x_scale": 3.0}),
            (torch.tensor(1.5), {"convention": "topoae", "x_scale": each.double()}),
        ):
            assert_same_bits(cuda, module, x, z, scale, moved, **given, **settings)


@pytest.mark.usefixtures("shuffled")
@pytest.mark.parametrize("n", [2, 3, 31, 32, 33, 64, 65, 66])
def test_about_a_warp(cuda: Any, module: ModuleType, n: int) -> None:
    for d in (1, 9, 33):
        x, z = drawn(3, n, 40), drawn(3, n, d, seed=d)
        lengths = torch.tensor([n, n // 2, 1])
        assert_same_bits(cuda, module, x, z, pairs_x=some_pairs(3, n), moved=(True, True))
        assert_same_bits(cuda, module, x, z, pairs_x=some_pairs(3, n), lengths=lengths)


def test_a_single_bag(cuda: Any, module: ModuleType) -> None:
    x, z = drawn(20, 3), drawn(20, 2, seed=1)
    assert_same_bits(cuda, module, x, z, pairs_x=some_pairs(20), moved=(True, True))


@pytest.mark.parametrize(
    ("n", "d", "dtype"),
    [(1024, 8, DOUBLE), (1024, 9, SINGLE), (512, 64, SINGLE), (512, 32, DOUBLE)],
)
def test_about_a_block(
    cuda: Any, module: ModuleType, shuffled: Any, n: int, d: int, dtype: torch.dtype
) -> None:
    x, z = drawn(1, n, 3), drawn(1, n, d, seed=1, dtype=dtype)
    pairs_x = torchtopo.vietoris_rips_pairs(x)
    assert_same_bits(cuda, module, x, z, pairs_x=pairs_x)
    before = module.launches()
    more = torch.cat((z, z[:, :1]), 1)
    with _cuda.plan("one_block"):  # no longer held: as several, of which the first is refused
        assert not cuda.step_fits_a_block(more, more, "euclidean", "euclidean")
    assert module.launches() == before


@pytest.mark.usefixtures("hostile")
def test_a_star_and_a_path(cuda: Any, module: ModuleType) -> None:
    """Points of very many pairs and of few: pulls are added in the order of the pairs."""
    n = 90
    star = torch.stack((torch.zeros(n - 1), torch.arange(1, n)), -1).long()
    path = torch.stack((torch.arange(n - 1), torch.arange(1, n)), -1)
    x, z = torch.randn(2, n, 6), torch.randn(2, n, 4) * 1e3
    z[0, 0] = z[0].mean(0)
    assert_same_bits(cuda, module, x, z, pairs_x=torch.stack((star, path)), moved=(True, True))


@pytest.mark.usefixtures("hostile")
@pytest.mark.parametrize("metric", POINT_METRICS)
def test_values_that_are_no_lengths(cuda: Any, module: ModuleType, metric: Any) -> None:
    clouds = drawn(6, 20, 3)
    clouds[0, 3, 1] = torch.nan
    clouds[1, 4] = torch.inf
    clouds[1, 5] = -torch.inf
    clouds[2] = 0  # all are one point
    clouds[3] *= 1e-30  # squares that leave the range of float
    clouds[4] *= 1e25
    clouds[5, 2], clouds[5, 3] = 3e38, -3e38  # a distance beyond float
    pairs = some_pairs(6, 20)
    settings = {"metric_x": metric, "metric_z": metric, "moved": (True, True)}
    for x, z in ((clouds, clouds.flip(0)), (clouds.double(), drawn(6, 20, 2)),
                 (drawn(6, 20, 2), clouds)):  # fmt: skip
        assert_same_bits(cuda, module, x, z, pairs_x=pairs, **settings)


def test_lengths_that_lie(cuda: Any, module: ModuleType) -> None:
    x, z = drawn(5, 12, 4), drawn(5, 12, 2, seed=1)
    lengths = torch.tensor([0, -3, 13, 2**40, 5])
    given = {"pairs_x": some_pairs(5, 12), "moved": (True, True)}
    with pytest.MonkeyPatch.context() as patch:  # on a device nobody reads them
        patch.setattr("torchtopo._operators.arguments._checks.check_lengths_in_range", print)
        assert_same_bits(cuda, module, x, z, lengths=lengths, **given)


def test_derivatives(cuda: Any) -> None:
    """Against differences, and the second ones, whose graph is the tensor code's."""
    x, z = torch.randn(2, 5, 3, dtype=DOUBLE), torch.randn(2, 5, 2, dtype=DOUBLE)
    pairs_x, scale = torchtopo.vietoris_rips_pairs(x), torch.tensor(1.3, dtype=DOUBLE)

    def loss(*inputs: Tensor) -> Tensor:
        with on_cuda(cuda), _cuda.plan("one_block"):
            *clouds, z_scale = inputs
            return torchtopo.signature_loss(
                *clouds, pairs_x=pairs_x, convention="mil", z_scale=z_scale
            )

    inputs = [of.requires_grad_() for of in (x, z, scale)]
    assert torch.autograd.gradcheck(loss, inputs)
    assert torch.autograd.gradgradcheck(loss, inputs)


def test_a_graph_is_kept_and_nothing_else(cuda: Any) -> None:
    """Backwards twice; cached pairs of inference mode; a loss that nobody differentiates."""
    x, z = drawn(2, 20, 4), drawn(2, 20, 3).requires_grad_()
    with torch.inference_mode():
        pairs_x = torchtopo.vietoris_rips_pairs(x)
        still = x.clone()
    with on_cuda(cuda), _cuda.plan("one_block"), torch.random.fork_rng():
        loss = torchtopo.signature_loss(still, z, pairs_x=pairs_x)
        (first,) = torch.autograd.grad(loss, z, retain_graph=True)
        (again,) = torch.autograd.grad(loss, z)
        assert torch.equal(first, again)
        with torch.no_grad():
            assert torch.equal(torchtopo.signature_loss(x, z, pairs_x=pairs_x), loss)
        loss = torchtopo.signature_loss(x, z, pairs_x=pairs_x)
        with torch.no_grad():
            z.mul_(2)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            loss.backward()


def test_deterministic_algorithms(cuda: Any) -> None:
    x, z = drawn(3, 40, 4), drawn(3, 40, 3)
    pairs_x = torchtopo.vietoris_rips_pairs(x)
    torch.use_deterministic_algorithms(True)
    try:
        first, second = (step(cuda, "one_block", x, z, pairs_x=pairs_x) for _ in range(2))
    finally:
        torch.use_deterministic_algorithms(False)
    for here, there in zip(first, second, strict=True):
        assert torch.equal(here, there)


def test_launches(cuda: Any, module: ModuleType) -> None:
    """One of ours; torch's mean, the two that begin the way back, and one that multiplies."""
    x, z = torch.randn(16, 64, 128), torch.randn(16, 64, 16, requires_grad=True)
    pairs_x, scale = torchtopo.vietoris_rips_pairs(x), torch.nn.Parameter(torch.tensor(1.5))
    of_torch = ["mean.default", "ones_like.default", "div.Scalar"]
    for settings, further in (
        ({}, ["mul.Tensor"]),
        ({"lengths": torch.full((16,), 64)}, ["_to_copy.default", "mul.Tensor"]),
        ({"convention": "mil"}, ["mul.Tensor"]),
        ({"convention": "topoae", "x_scale": 2.0}, ["mul.Tensor"]),
        (
            {"convention": "mil", "z_scale": scale},
            ["mul.Tensor", "mul.Tensor", "sum.default"],
        ),
    ):
        z.grad = scale.grad = None
        before = module.launches()
        with on_cuda(cuda), Launches() as launched:
            loss = torchtopo.signature_loss(x, z, pairs_x=pairs_x, **settings)  # type: ignore[arg-type]
            loss.backward()
        assert module.launches() == before + 1
        assert sorted(launched.names) == sorted(of_torch + further), settings


def test_which_steps_are_one_launch(cuda: Any) -> None:
    """Where a block can hold a bag, and the device does not lose what the host gains."""

    def fits(bags: int, n: int, d_x: int, d_z: int, dtype: Any = SINGLE, metric: str = "euclidean"):
        shape = (bags, n)
        x, z = torch.empty(*shape, d_x, device="meta"), torch.empty(*shape, d_z, device="meta")
        return cuda.step_fits_a_block(x, z.to(dtype), "euclidean", metric)

    assert fits(16, 256, 512, 64)
    assert fits(1, 64, 512, 8)
    assert fits(64, 1024, 64, 8)
    assert not fits(16, 1024, 64, 8)
    assert fits(2000, 32, 64, 32)
    assert not fits(16, 256, 512, 65)
    assert not fits(16, 256, 512, 64, DOUBLE)
    assert not fits(16, 1025, 3, 3)
    assert not fits(16, 513, 3, 64)
    assert not fits(16, 1, 3, 3)
    assert not fits(0, 10, 3, 3)
    assert not fits(16, 64, 64, 64, metric="precomputed")
    # Few bags in many dimensions: the whole GPU measures them sooner than a block each.
    assert not fits(1, 512, 4096, 64)
    assert not fits(4, 256, 4096, 16)
    with _cuda.plan("one_block"):
        assert fits(1, 512, 4096, 64)
    with _cuda.plan("many_blocks"):
        assert not fits(16, 256, 512, 64)


def test_what_is_asked_of_no_block_is_refused(cuda: Any, module: ModuleType) -> None:
    x = torch.zeros(1, 2, 3, dtype=DOUBLE)
    space = (x.data_ptr(), 1, 100, 0, False)
    nothing = (0, 0, 0, 0, 0, 0)
    with pytest.raises(ValueError, match="no block holds"):
        module.cuda_signature_step(
            *((0, 0), space, nothing, 1.0, space, nothing, 1.0, (1, 2, 2, 0, 0), 0),
            *((0, 0, 0), 2.0, (0, 0), 0),
        )
    # As an operator it is found all the same, by several launches.
    points = torch.randn(1, 6, 100, dtype=DOUBLE)
    pairs = torchtopo.vietoris_rips_pairs(points)
    found = cuda.signature_step(points, points, pairs, *["euclidean"] * 2, *[None] * 4)
    np.testing.assert_allclose(found[0].numpy(), 0)
