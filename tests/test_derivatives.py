"""Derivatives of every order and mode, and the kernel that stands in for the tensor code."""

from __future__ import annotations

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

import torchtopo
from tests.contract import CONVENTIONS, POINT_METRICS
from torchtopo import _lengths, _metric
from torchtopo._operators import generic


def cloud(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, requires_grad=True)


@pytest.mark.parametrize("metric", POINT_METRICS)
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
@pytest.mark.parametrize("shape", [(), (2,)])
def test_the_loss_has_first_and_second_derivatives_in_its_scale(convention, shape):
    x, z = cloud(2, 5, 4), cloud(2, 5, 2)
    scale = torch.full(shape, 1.3, dtype=torch.float64)

    def loss(z, scale):
        return torchtopo.signature_loss(x, z, convention=convention, z_scale=scale)

    inputs = z.requires_grad_(), scale.requires_grad_()
    assert gradcheck(loss, inputs, check_forward_ad=True)
    assert gradgradcheck(loss, inputs, atol=1e-4, fast_mode=True)


def test_one_scale_for_all_bags_is_each_bag_s_own_bit_for_bit():
    x, z = cloud(3, 9, 4).float(), cloud(3, 9, 2).float()
    found = []
    for scale in (torch.tensor(1.3), torch.full((3,), 1.3)):
        z, scale = z.detach().requires_grad_(), scale.requires_grad_()
        loss = torchtopo.signature_loss(x, z, convention="mil", z_scale=scale)
        loss.backward()
        found.append((loss, z.grad, scale.grad.sum()))
    (one, of_one, in_one), (each, of_each, in_each) = found
    assert torch.equal(one, each)
    assert torch.equal(of_one, of_each)
    torch.testing.assert_close(in_one, in_each)  # added up in another order


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_the_packed_loss_has_first_and_second_derivatives(convention):
    x, z = cloud(9, 3), cloud(9, 2)
    cu_seqlens = torch.tensor([0, 4, 5, 9])

    def loss(x, z):
        return torchtopo.signature_loss(x, z, convention=convention, cu_seqlens=cu_seqlens)

    assert gradcheck(loss, (x, z), check_forward_ad=True)
    assert gradgradcheck(loss, (x, z), atol=1e-4, fast_mode=True)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("metric", POINT_METRICS)
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


@pytest.mark.parametrize("metric", [*POINT_METRICS, "precomputed"])
def test_pairs_that_name_no_points_reach_no_other_bag_in_the_tensor_code(metric):
    # What CUDA uses: it cannot refuse them without waiting, as the kernels of the CPU do.
    points = torch.rand(3, 4, 4, dtype=torch.float64)
    points[0] = points[2] = torch.nan
    pairs = torch.tensor([[3, -1], [-1, 3], [0, 4], [-1, -1], [-9, -9], [99, 0], [2, 1]])
    pairs = torch.stack((torch.full_like(pairs, -1), pairs, torch.full_like(pairs, -1)))
    lengths = generic.pair_lengths(points, pairs, metric)
    assert bool((lengths[:, :-1] == 0).all())
    measured = torchtopo.pair_distances(points[1], pairs[1, -1:], metric=metric)
    torch.testing.assert_close(lengths[1, -1:], measured)

    def of_middle(points):
        return _lengths.with_gradient(lengths, points, pairs, metric)[1].sum()

    gradient = torch.func.grad(of_middle)(points)
    assert bool((gradient[[0, 2]] == 0).all())
    expected = torch.func.grad(
        lambda p: torchtopo.pair_distances(p, pairs[1, -1:], metric=metric).sum()
    )(points[1])
    torch.testing.assert_close(gradient[1], expected)


@pytest.mark.parametrize("metric", POINT_METRICS)
def test_the_gradient_of_a_length_of_zero_is_zero(metric):
    points = torch.ones(5, 3, requires_grad=True)
    (gradient,) = torch.autograd.grad(torchtopo.deaths(points, metric=metric).sum(), points)
    assert bool((gradient == 0).all())
    (again,) = torch.autograd.grad(
        torchtopo.deaths(points, metric=metric).sum(), points, create_graph=True
    )
    assert bool((again == 0).all())


@pytest.mark.parametrize("metric", [*POINT_METRICS, "precomputed"])
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


@pytest.mark.parametrize("metric", [*POINT_METRICS, "precomputed"])
def test_lengths_may_be_edited_in_place(metric):
    points = torch.rand(6, 6, requires_grad=True)
    pairs = torchtopo.vietoris_rips_pairs(points, metric=metric)
    for create_graph in (False, True):
        for lengths in (
            torchtopo.deaths(points, metric=metric),
            torchtopo.pair_distances(points, pairs, metric=metric),
        ):
            limit = lengths.detach().median()
            expected = torch.autograd.grad(
                lengths[lengths <= limit].sum(), points, retain_graph=True
            )
            lengths[lengths > limit] = 0
            found = torch.autograd.grad(lengths.sum(), points, create_graph=create_graph)
            torch.testing.assert_close(found, expected)


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


def of_points(metric):
    return lambda p: torchtopo.deaths(p, metric=metric).sum()


def of_loss(convention, x):
    return lambda z: torchtopo.signature_loss(x, z, convention=convention)


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize(
    "function", [of_points("euclidean")] + [of_loss(c, torch.rand(5, 3)) for c in CONVENTIONS]
)
def test_hooks_run_once(function, create_graph):
    z = torch.rand(5, 2, requires_grad=True)
    (plain,) = torch.autograd.grad(function(z), z)
    calls = []
    z.register_hook(lambda g: calls.append(g))
    kept = z * 1
    kept.retain_grad()
    function(kept).backward(create_graph=create_graph)
    assert len(calls) == 1
    torch.testing.assert_close(kept.grad, plain)
    torch.testing.assert_close(z.grad, plain)


@pytest.mark.parametrize("metric", POINT_METRICS)
def test_second_derivatives_at_duplicates_are_finite(metric):
    points = torch.tensor([[1.0, 2.0], [1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    (first,) = torch.autograd.grad(of_points(metric)(points), points, create_graph=True)
    (second,) = torch.autograd.grad(first.square().sum(), points)
    assert bool(second.isfinite().all())


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_second_derivatives_where_a_bag_matches_or_is_small(convention):
    # Of bags of 6, 2 and 1 points the small ones have halves without a difference.
    x, z = torch.rand(3, 6, 4, dtype=torch.float64), cloud(3, 6, 2)
    lengths = torch.tensor([6, 2, 1])

    def loss(z):
        return torchtopo.signature_loss(
            x, z, convention=convention, lengths=lengths, reduction="none"
        )

    assert gradgradcheck(loss, (z,), atol=1e-4)
    same = x.clone().requires_grad_()
    (first,) = torch.autograd.grad(of_loss(convention, x)(same), same, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), same)
    assert bool(first.isfinite().all())
    assert bool(second.isfinite().all())


@pytest.mark.parametrize("metric", POINT_METRICS)
def test_nan_reaches_the_gradient_in_every_mode(metric):
    points = torch.tensor([[1.0, 2.0], [torch.nan, 1.0], [3.0, 1.0], [5.0, 5.0]])
    leaf = points.clone().requires_grad_()
    (kernel,) = torch.autograd.grad(of_points(metric)(leaf), leaf)
    (graph,) = torch.autograd.grad(of_points(metric)(leaf), leaf, create_graph=True)
    func = torch.func.grad(of_points(metric))(points)
    ends = torchtopo.vietoris_rips_pairs(points, metric=metric)[-1]  # of the edge that is NaN
    for gradient in (kernel, graph.detach(), func):
        assert bool(gradient[ends].isnan().all())
    others = [v for v in range(4) if v not in ends.tolist()]
    assert bool(kernel[others].isfinite().all())
    torch.testing.assert_close(kernel, func, equal_nan=True)
    torch.testing.assert_close(graph.detach(), func, equal_nan=True)


def test_a_length_that_rounds_to_infinity_pulls_nowhere():
    points = torch.tensor([[3e38], [-3e38]], requires_grad=True)
    died = torchtopo.deaths(points)
    assert died.item() == torch.inf
    died.sum().backward()
    assert points.grad.tolist() == [[0.0], [0.0]]
    assert torch.func.grad(of_points("euclidean"))(points.detach()).tolist() == [[0.0], [0.0]]


def test_the_gradient_of_a_length_near_overflow_keeps_its_digits():
    points = torch.tensor([[1.7e308, 0.0], [0.0, 5e307]], dtype=torch.float64, requires_grad=True)
    torchtopo.deaths(points).sum().backward()
    small = (points.detach() * 2.0**-600).requires_grad_()
    torchtopo.deaths(small).sum().backward()
    torch.testing.assert_close(points.grad, small.grad, rtol=1e-15, atol=0)


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_the_input_space_may_come_from_inference_mode(convention):
    z = torch.rand(2, 6, 2, requires_grad=True)
    with torch.inference_mode():
        x = torch.rand(2, 6, 4)
        pairs = torchtopo.vietoris_rips_pairs(x)
    for create_graph in (False, True):
        loss = torchtopo.signature_loss(x, z, pairs_x=pairs, convention=convention)
        (found,) = torch.autograd.grad(loss, z, create_graph=create_graph)
        (right,) = torch.autograd.grad(of_loss(convention, x.clone())(z), z)
        torch.testing.assert_close(found, right)
    torchtopo.pair_distances(z, pairs).sum().backward()
    assert z.grad is not None


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("convention", CONVENTIONS)
def test_sizes_of_bags_may_change_after_the_loss_and_come_from_inference_mode(convention, packed):
    x, z = (torch.rand(12, 4), cloud(12, 2)) if packed else (torch.rand(2, 6, 4), cloud(2, 6, 2))
    name, sizes = ("cu_seqlens", [0, 4, 12]) if packed else ("lengths", [4, 6])

    def loss(sizes):
        return torchtopo.signature_loss(x, z, convention=convention, **{name: sizes})

    (expected,) = torch.autograd.grad(loss(torch.tensor(sizes)), z)
    for create_graph in (False, True):
        edited = torch.tensor(sizes)
        value = loss(edited)
        edited.fill_(1)
        (found,) = torch.autograd.grad(value, z, create_graph=create_graph)
        torch.testing.assert_close(found, expected)
        with torch.inference_mode():
            frozen = torch.tensor(sizes)
        (found,) = torch.autograd.grad(loss(frozen), z, create_graph=create_graph)
        torch.testing.assert_close(found, expected)


def test_a_space_without_gradient_may_change_after_the_loss():
    x, z = torch.rand(6, 4), torch.rand(6, 2, requires_grad=True)
    right = torch.autograd.grad(of_loss("paper", x)(z), z)[0]
    loss = of_loss("paper", x)(z)
    x.add_(1)
    assert torch.equal(torch.autograd.grad(loss, z)[0], right)
