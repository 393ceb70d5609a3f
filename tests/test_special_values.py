"""Infinity, NaN and negative zero: what they order, and what they may not touch."""

from __future__ import annotations

import math

import pytest
import torch

import torchtopo
from tests.contract import CONVENTIONS, POINT_METRICS
from torchtopo import _reference as ref

INF, NAN = torch.inf, torch.nan


def test_components_that_never_merge_die_at_infinity():
    distances = torch.full((5, 5), INF).fill_diagonal_(0)
    distances[0, 1] = distances[2, 3] = 1.0
    edges, weights = torchtopo.minimum_spanning_tree(distances)
    assert weights.tolist() == [1.0, 1.0, INF, INF]
    assert edges.tolist() == [[0, 1], [2, 3], [0, 2], [0, 4]]


@pytest.mark.parametrize("n", [4, 9, 40])
def test_nan_orders_last_and_drops_no_valid_edge(n):
    # The path 0-1-2-… is valid and spans; every other edge is NaN.
    distances = torch.full((n, n), NAN)
    for v in range(n - 1):
        distances[v, v + 1] = float(v + 1)
    edges, weights = torchtopo.minimum_spanning_tree(distances)
    assert edges.tolist() == [[v, v + 1] for v in range(n - 1)]
    assert weights.tolist() == [float(v + 1) for v in range(n - 1)]
    distances[1, 2] = INF
    assert torchtopo.minimum_spanning_tree(distances).edges[-1].tolist() == [1, 2]


def test_a_death_that_must_use_a_nan_is_nan():
    distances = torch.tensor([[0.0, 1.0, NAN], [1.0, 0.0, NAN], [NAN, NAN, 0.0]])
    edges, weights = torchtopo.minimum_spanning_tree(distances)
    assert edges.tolist() == [[0, 1], [0, 2]]
    assert weights[0] == 1
    assert weights[1].isnan()


@pytest.mark.parametrize("metric", POINT_METRICS)
@pytest.mark.parametrize(("n", "d"), [(8, 2), (50, 3), (50, 70), (140, 9)])
def test_one_nan_point_leaves_the_others_as_they_were(metric, n, d):
    points = torch.randn(n, d)
    points[n // 2, d // 2] = NAN
    others = torch.cat((points[: n // 2], points[n // 2 + 1 :]))
    died = torchtopo.deaths(points, metric=metric)
    assert torch.equal(died[:-1], torchtopo.deaths(others, metric=metric))
    assert died[-1].isnan()
    assert torchtopo.vietoris_rips_pairs(points, metric=metric)[-1].tolist() == [0, n // 2]


@pytest.mark.parametrize("metric", ["euclidean", "manhattan", "chebyshev"])
@pytest.mark.parametrize(("n", "d"), [(8, 2), (50, 3), (50, 70), (140, 9)])
def test_one_infinite_point_leaves_the_others_as_they_were(metric, n, d):
    points = torch.randn(n, d)
    points[n // 2, d // 2] = INF
    others = torch.cat((points[: n // 2], points[n // 2 + 1 :]))
    died = torchtopo.deaths(points, metric=metric)
    assert torch.equal(died[:-1], torchtopo.deaths(others, metric=metric))
    assert died[-1] == INF


def test_minus_zero_equals_zero():
    distances = torch.zeros(6, 6)
    distances[2, 4] = distances[1, 5] = -0.0
    edges, weights = torchtopo.minimum_spanning_tree(distances)
    assert edges.tolist() == [[0, j] for j in range(1, 6)]
    assert bool((weights == 0).all())
    points = torch.tensor([[0.0, -0.0], [-0.0, 0.0], [1.0, 0.0]])
    assert torchtopo.deaths(points).tolist() == [0.0, 1.0]


def test_negative_weights_are_ordinary():
    distances = torch.tensor([[0.0, 1.0, -3.0], [0.0, 0.0, -INF], [0.0, 0.0, 0.0]])
    edges, weights = torchtopo.minimum_spanning_tree(distances)
    assert edges.tolist() == [[1, 2], [0, 2]]
    assert weights.tolist() == [-INF, -3.0]


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_losses_leave_infinite_pairs_out(convention):
    # Two components, infinitely far apart in x: the loss is that of the finite edges.
    x = torch.rand(6, 6, dtype=torch.float64).triu(1)
    x[:3, 3:] = INF
    z = torch.rand(6, 2, dtype=torch.float64, requires_grad=True)
    loss = torchtopo.signature_loss(x, z, metric_x="precomputed", convention=convention)
    loss.backward()
    assert bool(loss.isfinite())
    assert bool(z.grad.isfinite().all())
    assert z.grad.abs().sum() > 0

    pairs_x = torchtopo.vietoris_rips_pairs(x, metric="precomputed")
    pairs_z = torchtopo.vietoris_rips_pairs(z)
    a = [torchtopo.pair_distances(x, p, metric="precomputed") for p in (pairs_x, pairs_z)]
    b = [torchtopo.pair_distances(z, p).detach() for p in (pairs_x, pairs_z)]
    if convention in ("topoae", "torch_topological"):
        a = [v / x[x.isfinite()].max() for v in a]
    if convention == "torch_topological":
        b = [v / torch.cdist(z, z).max().detach() for v in b]
    errors = [(u - v)[u.isfinite()] for u, v in zip(a, b, strict=True)]
    squares = sum(e.square().sum() for e in errors)
    expected = {
        "paper": squares / 2,
        "torch_topological": sum(e.norm() for e in errors) / 2,
    }.get(convention, squares / 6)
    torch.testing.assert_close(loss.detach(), expected)


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_infinite_points_leave_finite_gradients(convention):
    z = torch.rand(2, 7, 3)
    z[0, 4, 1] = INF
    z.requires_grad_()
    torchtopo.signature_loss(torch.rand(2, 7, 5), z, convention=convention).backward()
    assert bool(z.grad.isfinite().all())
    assert bool((z.grad[0, 4] == 0).all())


@pytest.mark.parametrize("metric", ["euclidean", "manhattan", "chebyshev"])
def test_the_gradient_of_an_infinite_death_is_zero_in_every_mode(metric):
    points = torch.tensor([[0.0, 1.0], [2.0, 1.0], [INF, 0.0]])

    def energy(p):
        return torchtopo.deaths(p, metric=metric).sum()

    leaf = points.clone().requires_grad_()
    (eager,) = torch.autograd.grad(energy(leaf), leaf)
    (graph,) = torch.autograd.grad(energy(leaf), leaf, create_graph=True)
    for gradient in (eager, graph, torch.func.grad(energy)(points)):
        assert gradient.tolist() == [[-1.0, 0.0], [1.0, 0.0], [0.0, 0.0]]


def test_an_entry_of_a_matrix_has_the_gradient_one_be_it_zero_or_infinite():
    distances = torch.tensor([[9.0, 0.0, INF], [9.0, 9.0, INF], [9.0, 9.0, 9.0]])
    right = torch.tensor([[0.0, 1.0, 1.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]])  # (0, 1) and (0, 2)

    def weights(p):
        return torchtopo.minimum_spanning_tree(p).weights.sum()

    def died(p):
        return torchtopo.deaths(p, metric="precomputed").sum()

    leaf = distances.clone().requires_grad_()
    for function in (weights, died):
        assert torch.equal(torch.autograd.grad(function(leaf), leaf)[0], right)
        assert torch.equal(torch.func.grad(function)(distances), right)


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_nan_reaches_the_loss_and_its_gradient(convention):
    z = torch.rand(2, 7, 3)
    z[0, 4, 1] = NAN
    z.requires_grad_()
    losses = torchtopo.signature_loss(
        torch.rand(2, 7, 5), z, convention=convention, reduction="none"
    )
    assert losses.isnan().tolist() == [True, False]
    losses.sum().backward()
    assert bool(z.grad[0].isnan().any())
    assert bool(z.grad[1].isfinite().all())


OVERFLOWING = {
    "squares": ([[INF, 0.0], [1e25, 0.0], [2e25, 0.0], [4e25, 0.0]], torch.float32),
    "squares, NaN": ([[INF, 0.0], [1e25, 0.0], [NAN, 0.0], [4e25, 0.0]], torch.float32),
    "every length": ([[-INF, 0.0], [3e38, 0.0], [-3e38, 0.0], [2e38, 3e38]], torch.float32),
    "a few": ([[INF, 0.0], [3e38, 0.0], [-3e38, 0.0], [2.9e38, 0.0], [0.0, 1.0]], torch.float32),
    "one in float64": ([[1.7e308, -1.7e308], [0.0, 0.0], [1e308, 0.0]], torch.float64),
    "squares in float64": ([[0.0, INF], [1e200, 0.0], [3e200, 0.0], [0.0, 1.0]], torch.float64),
}


def textbook(points, metric):
    """Generators by Kruskal; Python's `hypot` squares nothing out of range, the reference does."""
    if points.dtype == torch.float32 or metric != "euclidean":
        return ref.vietoris_rips_generators(points, metric=metric)
    differences = (points.unsqueeze(1) - points.unsqueeze(0)).tolist()
    lengths = [[NAN if any(map(math.isnan, d)) else math.hypot(*d) for d in r] for r in differences]
    return ref.vietoris_rips_generators(
        torch.tensor(lengths, dtype=torch.float64), metric="precomputed"
    )


@pytest.mark.parametrize("metric", ["euclidean", "manhattan", "chebyshev"])
@pytest.mark.parametrize("copies", [1, 50])
@pytest.mark.parametrize("name", OVERFLOWING)
def test_an_edge_that_overflows_hides_no_finite_one(name, copies, metric):
    rows, dtype = OVERFLOWING[name]
    points = torch.tensor(rows, dtype=dtype).repeat(copies, 1)
    found = torchtopo.vietoris_rips_generators(points, metric=metric)
    assert torch.equal(found, textbook(points, metric))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("seed", range(20))
def test_edges_are_those_of_kruskal_up_to_overflow(seed, dtype):
    draw = torch.Generator().manual_seed(seed)
    most = torch.finfo(dtype).max
    scales = torch.tensor([1.0, most**0.5, most / 8, most, INF, NAN], dtype=dtype)
    kinds = torch.randint(0, 40, (12, 3), generator=draw).clamp(max=scales.numel() - 1)
    kinds = torch.where(torch.rand(12, 3, generator=draw) < 0.9, kinds % 4, kinds)
    signs = torch.randint(0, 2, (12, 3), generator=draw) * 2 - 1
    points = scales[kinds] * signs
    for metric in ("euclidean", "manhattan", "chebyshev"):
        found = torchtopo.vietoris_rips_generators(points, metric=metric)
        assert torch.equal(found, textbook(points, metric))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("n", [3, 40])
def test_the_lower_half_does_not_matter_where_subnormals_are_flushed(dtype, n):
    upper = torch.randint(1, 999, (n, n)).to(dtype).triu(1)
    upper = upper * (1e-41 if dtype == torch.float32 else 1e-312)  # all subnormal
    lower_differs = upper - torch.ones_like(upper).tril()
    upper[0, 1] = -0.0
    halves = (upper, upper + upper.mT, lower_differs)
    lower_differs[0, 1] = 0.0
    expected = torchtopo.minimum_spanning_tree(upper)
    if not torch.set_flush_denormal(True):
        pytest.skip("this processor cannot flush subnormal numbers")
    try:
        for distances in halves:
            found = torchtopo.minimum_spanning_tree(distances)
            assert torch.equal(found.edges, expected.edges)
    finally:
        torch.set_flush_denormal(False)
