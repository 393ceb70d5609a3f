"""Derivatives of every order and mode, and the kernel that stands in for the tensor code."""

from __future__ import annotations

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

import torchtopo
from torchtopo import _metric

METRICS = ("euclidean", "manhattan", "chebyshev", "cosine")
CONVENTIONS = ("paper", "topoae", "mil", "torch_topological")


def cloud(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, requires_grad=True)


@pytest.mark.parametrize("metric", METRICS)
def test_deaths_have_first_second_and_forward_derivatives(metric):
    points = cloud(2, 6, 3)

    def died(p):
        return torchtopo.deaths(p, metric=metric)

    assert gradcheck(died, (points,), check_forward_ad=True, check_batched_grad=True)
    assert gradgradcheck(died, (points,), check_fwd_over_rev=True)


def test_deaths_of_distances_have_derivatives_of_all_orders():
    distances = torch.rand(2, 5, 5, dtype=torch.float64, requires_grad=True)

    def died(p):
        return torchtopo.deaths(p, metric="precomputed").square()

    assert gradcheck(died, (distances,), check_forward_ad=True, check_batched_grad=True)
    assert gradgradcheck(died, (distances,), check_fwd_over_rev=True)

    def weights(p):
        return torchtopo.minimum_spanning_tree(p).weights

    assert gradcheck(weights, (distances,), check_forward_ad=True)


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_the_loss_has_first_and_second_derivatives(convention):
    x, z = cloud(2, 5, 4), cloud(2, 5, 2)

    def loss(x, z):
        return torchtopo.signature_loss(x, z, convention=convention, reduction="none")

    assert gradcheck(loss, (x, z), check_forward_ad=True)
    assert gradgradcheck(loss, (x, z), atol=1e-4, fast_mode=True)


@pytest.mark.parametrize("convention", ["topoae", "mil"])
def test_the_loss_has_a_gradient_in_its_scale(convention):
    x, z, scale = cloud(2, 5, 4), cloud(2, 5, 2), torch.tensor(1.3, dtype=torch.float64)
    assert gradcheck(
        lambda s: torchtopo.signature_loss(x, z, convention=convention, z_scale=s),
        (scale.requires_grad_(),),
    )


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_the_packed_loss_has_first_and_second_derivatives(convention):
    x, z = cloud(9, 3), cloud(9, 2)
    cu_seqlens = torch.tensor([0, 4, 5, 9])

    def loss(x, z):
        return torchtopo.signature_loss(x, z, convention=convention, cu_seqlens=cu_seqlens)

    assert gradcheck(loss, (x, z), check_forward_ad=True)
    assert gradgradcheck(loss, (x, z), atol=1e-4, fast_mode=True)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("metric", METRICS)
def test_the_kernel_and_the_tensor_code_give_the_same_gradient(metric, dtype):
    points = torch.randint(-2, 3, (2, 20, 3)).to(dtype)  # zero vectors, ties and duplicates
    points[0, 3, 1] = torch.inf
    points[1, 5] = points[1, 6]
    pairs = torch.randint(0, 20, (2, 40, 2)).sort(-1).values
    pairs[:, ::7] = -1
    pull = torch.randn(2, 40, dtype=torch.float64)

    by_kernel = points.clone().requires_grad_()
    lengths = torchtopo.pair_distances(by_kernel, pairs, metric=metric)
    lengths.backward(torch.where(lengths.isnan(), 0.0, pull).to(lengths.dtype))

    by_code = points.clone().requires_grad_()
    left_out = (pairs[..., 0] < 0) | ~lengths.isfinite()
    traced = _metric.pair_lengths(by_code, pairs, metric, left_out)
    traced.backward(torch.where(left_out, 0.0, pull).to(lengths.dtype).double())
    finite = by_kernel.grad.isfinite() & by_code.grad.isfinite()
    assert bool(finite[1].all())
    tolerance = {torch.float16: 4e-3, torch.bfloat16: 4e-2}.get(dtype, 1e-5)
    torch.testing.assert_close(
        by_kernel.grad[finite], by_code.grad[finite], rtol=tolerance, atol=tolerance
    )


@pytest.mark.parametrize("metric", METRICS)
def test_the_gradient_of_a_length_of_zero_is_zero(metric):
    points = torch.ones(5, 3, requires_grad=True)
    (gradient,) = torch.autograd.grad(torchtopo.deaths(points, metric=metric).sum(), points)
    assert bool((gradient == 0).all())
    (again,) = torch.autograd.grad(
        torchtopo.deaths(points, metric=metric).sum(), points, create_graph=True
    )
    assert bool((again == 0).all())


@pytest.mark.parametrize("metric", [*METRICS, "precomputed"])
def test_values_do_not_depend_on_whether_a_gradient_is_asked_for(metric):
    points = torch.randn(3, 12, 12)
    pairs = torch.randint(0, 12, (3, 30, 2)).sort(-1).values
    for call in (
        lambda p: torchtopo.deaths(p, metric=metric),
        lambda p: torchtopo.pair_distances(p, pairs, metric=metric),
    ):
        plain = call(points)
        assert torch.equal(call(points.clone().requires_grad_()), plain)
        assert torch.equal(torch.func.jvp(call, (points,), (points,))[0], plain)
        assert torch.equal(torch.func.vmap(call)(points[None])[0], plain)


def test_pairs_and_generators_carry_no_gradient():
    points = cloud(6, 2)
    assert not torchtopo.vietoris_rips_pairs(points).requires_grad
    assert not torchtopo.vietoris_rips_generators(points).requires_grad
    edges, weights = torchtopo.minimum_spanning_tree(cloud(6, 6))
    assert not edges.requires_grad
    assert weights.requires_grad


def test_the_backward_pass_does_not_keep_a_matrix():
    # 20,000 points: a distance matrix would be 1.6 GB.
    points = torch.rand(20_000, 2, requires_grad=True)
    torchtopo.deaths(points).sum().backward()
    assert bool(points.grad.isfinite().all())


def test_inside_no_grad_there_is_no_graph():
    points = cloud(6, 2)
    with torch.no_grad():
        assert not torchtopo.deaths(points).requires_grad
    with torch.inference_mode():
        assert torchtopo.deaths(points).shape == (5,)


def test_the_gradient_of_a_length_is_measured_in_float64_and_rounded_once():
    points = torch.randn(200, 2, 37, requires_grad=True)
    torchtopo.pair_distances(points, torch.tensor([[0, 1]]).expand(200, 1, 2)).sum().backward()
    x, y = points.detach().double().unbind(1)
    unit = (x - y) / torch.linalg.vector_norm(x - y, dim=-1, keepdim=True)
    assert torch.equal(points.grad, torch.stack((unit, -unit), 1).float())
