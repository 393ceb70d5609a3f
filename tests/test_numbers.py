"""Accuracy far from the origin, near overflow and underflow, and in half precision."""

from __future__ import annotations

import pytest
import torch

import torchtopo
from tests.contract import NORMS
from torchtopo import _reference as ref


def exact_deaths(points: torch.Tensor, metric: str) -> torch.Tensor:
    return ref.deaths(points.double(), metric)


@pytest.mark.parametrize(("n", "d"), [(40, 2), (60, 16), (70, 130), (40, 600)])
@pytest.mark.parametrize("metric", NORMS)
def test_a_small_cloud_far_from_the_origin(n, d, metric):
    points = (torch.randn(n, d) * 1e-3 + 100).float()
    found = torchtopo.deaths(points, metric=metric).double()
    torch.testing.assert_close(found, exact_deaths(points, metric), rtol=1e-6, atol=0)


def test_the_matmul_form_of_cdist_is_no_substitute():
    # Why this package measures direct differences.
    points = torch.randn(60, 16) * 1e-3 + 100
    matmul = torch.cdist(points, points, compute_mode="use_mm_for_euclid_dist")
    wrong = torchtopo.deaths(matmul.fill_diagonal_(0), metric="precomputed").double()
    exact = exact_deaths(points, "euclidean")
    assert bool(((wrong - exact).abs() > 0.5 * exact).any())


@pytest.mark.parametrize("metric", NORMS)
@pytest.mark.parametrize("scale", [1e37, 1e25, 1e-25, 1e-38, 1e-42])
@pytest.mark.parametrize("d", [2, 8, 64])
def test_float32_near_overflow_and_underflow(scale, d, metric):
    points = (torch.rand(30, d).double() * scale / (d if scale > 1 else 1)).float()
    exact = exact_deaths(points, metric)
    leaf = points.requires_grad_()
    found = torchtopo.deaths(leaf, metric=metric)
    torch.testing.assert_close(found.double(), exact, rtol=1e-6, atol=1.5e-45)
    found.sum().backward()
    assert bool(leaf.grad.isfinite().all())
    # The gradient of a length does not change with the scale: its ends pull with the norm 1.
    assert leaf.grad.abs().max() > 0.1


@pytest.mark.parametrize("scale", [1e200, 1e-200, 1e-310])
def test_float64_near_overflow_and_underflow(scale):
    unit = torch.randint(-50, 50, (30, 5)).double()
    points = (unit * scale).requires_grad_()
    found = torchtopo.deaths(points)
    torch.testing.assert_close(found / scale, ref.deaths(unit), rtol=1e-9, atol=0)
    found.sum().backward()
    leaf = unit.requires_grad_()
    torchtopo.deaths(leaf).sum().backward()
    torch.testing.assert_close(points.grad, leaf.grad, rtol=1e-6, atol=1e-9)


def test_cosine_of_nearly_parallel_vectors():
    angles = torch.tensor([0.0, 1e-4, 3e-4, 6e-4], dtype=torch.float64)
    points = torch.stack((angles.cos(), angles.sin()), -1).float() * 3
    exact = 1 - (angles.diff().sort().values).cos()
    exact = 2 * (angles.diff().sort().values / 2).sin().square()
    found = torchtopo.deaths(points, metric="cosine").double()
    torch.testing.assert_close(found, exact, rtol=2e-3, atol=0)  # the points are rounded


def test_cosine_of_a_zero_vector_is_as_torch_has_it():
    points = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0]], requires_grad=True)
    pairs = torch.tensor([[0, 1], [0, 2], [1, 2], [0, 0]])
    lengths = torchtopo.pair_distances(points, pairs, metric="cosine")
    i, j = pairs.unbind(-1)
    expected = 1 - torch.nn.functional.cosine_similarity(points[i], points[j])
    torch.testing.assert_close(lengths, expected)
    lengths[:2].sum().backward()
    assert bool((points.grad == 0).all())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("metric", [*NORMS, "cosine"])
def test_half_types_are_measured_in_float32_and_come_back_as_they_were(metric, dtype):
    points = torch.randn(2, 40, 5).to(dtype)
    found = torchtopo.deaths(points, metric=metric)
    assert found.dtype == dtype
    assert torch.equal(found, torchtopo.deaths(points.float(), metric=metric).to(dtype))
    assert torch.equal(
        torchtopo.vietoris_rips_pairs(points, metric=metric),
        torchtopo.vietoris_rips_pairs(points.float(), metric=metric),
    )
    leaf = points.requires_grad_()
    torchtopo.deaths(leaf, metric=metric).float().square().sum().backward()
    assert leaf.grad.dtype == dtype
    assert torchtopo.signature_loss(points, points.detach() * 2).dtype == dtype


def test_half_distances_do_not_overflow():
    # 300² is infinite in float16.
    points = torch.tensor([[0.0], [300.0], [700.0]], dtype=torch.float16)
    assert torchtopo.deaths(points).tolist() == [300.0, 400.0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_values_keep_the_dtype_of_the_points(dtype):
    points = torch.rand(6, 2, dtype=dtype)
    assert torchtopo.deaths(points).dtype == dtype
    assert torchtopo.persistence_diagram(points).dtype == dtype
    assert torchtopo.minimum_spanning_tree(torch.rand(4, 4, dtype=dtype)).weights.dtype == dtype
    assert torchtopo.signature_loss(points, points.float()).dtype == dtype


def test_autocast_keeps_lengths_in_float32():
    points = torch.rand(2, 10, 4, requires_grad=True)
    layer = torch.nn.Linear(4, 3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        latent = layer(points)
        assert latent.dtype == torch.bfloat16
        died = torchtopo.deaths(latent)
        loss = torchtopo.signature_loss(points, latent, convention="topoae")
        lengths = torchtopo.pair_distances(latent, torchtopo.vietoris_rips_pairs(latent))
    assert died.dtype == loss.dtype == lengths.dtype == torch.float32
    assert torch.equal(died, torchtopo.deaths(latent.detach().float()))
    (died.sum() + loss).backward()
    assert bool(layer.weight.grad.isfinite().all())


@pytest.mark.parametrize("scale", [1e-320, 1e-162, 1e-161, 1e154, 1e300])
def test_cosine_in_float64_near_overflow_and_underflow(scale):
    unit = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.5]], dtype=torch.float64)
    found = torchtopo.deaths(unit * scale, metric="cosine")
    # A subnormal number has few digits.
    rtol = 1e-2 if scale < 1e-307 else 1e-12
    torch.testing.assert_close(found, torchtopo.deaths(unit, metric="cosine"), rtol=rtol, atol=0)


@pytest.mark.parametrize("exponent", [-1060, -691, -520, 480, 900])
def test_ties_stay_ties_where_squares_leave_the_range(exponent):
    lattice = torch.randint(0, 11, (130, 5)).double()
    scaled = torch.ldexp(lattice, torch.tensor(exponent))
    assert torch.equal(
        torchtopo.vietoris_rips_pairs(scaled), torchtopo.vietoris_rips_pairs(lattice)
    )
    if exponent > -1020:  # subnormal lengths are rounded
        expected = torch.ldexp(torchtopo.deaths(lattice), torch.tensor(exponent))
        assert torch.equal(torchtopo.deaths(scaled), expected)


def test_cosine_of_vectors_whose_norm_overflows():
    points = torch.tensor(
        [[1.7e308, 1e308], [0.0, -1.7e308], [1e308, 0.0], [3e-306, 5e-306]], dtype=torch.float64
    ).requires_grad_()
    scales = torch.tensor([[1e-10], [1e-10], [1e-10], [1e300]], dtype=torch.float64)
    moderate = (points.detach() * scales).requires_grad_()
    found = torchtopo.deaths(points, metric="cosine")
    expected = torchtopo.deaths(moderate, metric="cosine")
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=0)
    found.sum().backward()
    expected.sum().backward()
    assert bool(points.grad.isfinite().all())
    torch.testing.assert_close(points.grad[:3] / 1e-10, moderate.grad[:3], rtol=1e-6, atol=1e-320)
