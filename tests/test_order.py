"""Edges follow the strict order (weight, i, j): identical to textbook Kruskal on every input."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given

import torchtopo
from tests.contract import NORMS
from tests.strategies import integer_grids, tied_matrices
from torchtopo import _reference as ref


@given(tied_matrices())
def test_matrices_full_of_ties_infinities_and_nan(distances):
    edges, weights = torchtopo.minimum_spanning_tree(distances)
    expected = ref.minimum_spanning_tree(distances)
    assert torch.equal(edges, expected.edges)
    torch.testing.assert_close(weights, expected.weights, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("metric", NORMS)
@given(integer_grids())
def test_integer_grids(metric, points):
    pairs = torchtopo.vietoris_rips_pairs(points, metric=metric)
    assert torch.equal(pairs, ref.vietoris_rips_pairs(points, metric=metric))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize(("n", "d"), [(2, 1), (3, 64), (33, 2), (65, 17), (130, 8), (90, 300)])
def test_sizes_around_every_kernel_path(dtype, n, d):
    points = torch.randint(0, 3, (2, n, d)).to(dtype)
    for metric in NORMS:
        pairs = torchtopo.vietoris_rips_pairs(points, metric=metric)
        assert torch.equal(pairs, ref.vietoris_rips_pairs(points, metric=metric))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("metric", NORMS)
@pytest.mark.parametrize(("d", "values"), [(2, 4), (2, 80), (20, 2), (20, 5)])
def test_kernels_for_many_points_break_ties_as_the_dense_one(dtype, metric, d, values):
    points = torch.randint(0, values, (4100, d)).to(dtype)
    p = {"euclidean": 2.0, "manhattan": 1.0, "chebyshev": torch.inf}[metric]
    distances = torch.cdist(points, points, p, "donot_use_mm_for_euclid_dist")
    if p == 2:
        distances = distances.square().round()  # exact, as the integers' own
    expected = torchtopo.minimum_spanning_tree(distances).edges
    assert torch.equal(torchtopo.vietoris_rips_pairs(points, metric=metric), expected)


@pytest.mark.parametrize("d", [2, 5])
@pytest.mark.parametrize("n", [8192, 20_000])
def test_many_equal_points_give_the_star_of_the_first(n, d):
    vertices = torch.arange(1, n)
    star = torch.stack((torch.zeros_like(vertices), vertices), -1)
    assert torch.equal(torchtopo.vietoris_rips_pairs(torch.ones(n, d)), star)


@pytest.mark.parametrize("d", [2, 20])
def test_many_points_out_of_the_range_of_squares(d):
    points = torch.randn(4100, d)
    expected = torchtopo.vietoris_rips_pairs(points)
    for scale in (2.0**100, 2.0**-100):
        assert torch.equal(torchtopo.vietoris_rips_pairs(points * scale), expected)
    points[7, 1] = torch.nan
    points[9, 0] = torch.inf
    assert torchtopo.vietoris_rips_pairs(points).shape == expected.shape


@pytest.mark.parametrize("n", [2, 7, 8, 9, 31, 32, 33, 64, 127, 200])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_constant_matrix_gives_the_star_of_the_first_vertex(n, dtype):
    edges, weights = torchtopo.minimum_spanning_tree(torch.ones(n, n, dtype=dtype))
    assert edges.tolist() == [[0, j] for j in range(1, n)]
    assert bool((weights == 1).all())


def test_only_the_upper_half_is_read():
    distances = torch.randint(0, 5, (3, 40, 40)).float()
    garbled = distances.triu(1) + torch.full((40, 40), torch.nan).tril()
    for found, expected in zip(
        torchtopo.minimum_spanning_tree(garbled),
        torchtopo.minimum_spanning_tree(distances),
        strict=True,
    ):
        assert torch.equal(found, expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("n", [57, 200, 421])  # in one tile's reach, in the cache, beyond it
@pytest.mark.parametrize("entry", [7.0, 0.0, -1.0, torch.inf, torch.nan])
def test_one_entry_of_the_lower_half_changes_nothing(dtype, n, entry):
    points = torch.rand(n, 3, dtype=dtype)
    distances = torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist")
    distances = distances.triu(1) + distances.triu(1).T
    expected = torchtopo.minimum_spanning_tree(distances)
    for i, j in ((n - 1, 0), (n // 2, n // 3), (1, 0), (n - 1, n - 2), *torch.randint(n, (5, 2))):
        if i > j:
            changed = distances.clone()
            changed[i, j] = entry
            found = torchtopo.minimum_spanning_tree(changed)
            assert torch.equal(found.edges, expected.edges)
            assert torch.equal(found.weights, expected.weights)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kind", ["spread", "one outlier", "nearly equal", "tied", "negative"])
@pytest.mark.parametrize("n", [64, 65, 66, 300])
def test_edges_come_sorted_whatever_their_weights(dtype, kind, n):
    u = torch.rand(n, n, dtype=dtype)
    distances = {
        "spread": lambda: 10 ** (60 * u - 30),
        "one outlier": lambda: u.where(torch.arange(n) < n - 1, torch.tensor(1e30, dtype=dtype)),
        "nearly equal": lambda: 1 + u * 64 * torch.finfo(dtype).eps,
        "tied": lambda: (3 * u).floor(),
        "negative": lambda: u - 0.5,
    }[kind]()
    found = torchtopo.minimum_spanning_tree(distances)
    expected = ref.minimum_spanning_tree(distances)
    assert torch.equal(found.edges, expected.edges)
    assert torch.equal(found.weights, expected.weights)


def test_one_and_two_points():
    assert torchtopo.vietoris_rips_pairs(torch.rand(1, 3)).shape == (0, 2)
    assert torchtopo.deaths(torch.rand(4, 1, 3)).shape == (4, 0)
    assert torchtopo.vietoris_rips_generators(torch.rand(1, 3)).shape == (0, 3)
    assert torchtopo.minimum_spanning_tree(torch.zeros(1, 1)).weights.shape == (0,)
    two = torch.tensor([[0.0, 0.0], [3.0, 4.0]])
    assert torchtopo.vietoris_rips_generators(two).tolist() == [[1, 0, 1]]
    assert torchtopo.persistence_diagram(two).tolist() == [[0.0, 5.0]]


@pytest.mark.parametrize("batch", [(), (1,), (3,), (2, 3), (2, 1, 3)])
def test_any_batch_shape_is_a_loop_over_bags(batch):
    points = torch.randint(0, 4, (*batch, 11, 3)).float()
    pairs, died = torchtopo.vietoris_rips_pairs(points), torchtopo.deaths(points)
    diagram, generators = (
        torchtopo.persistence_diagram(points),
        torchtopo.vietoris_rips_generators(points),
    )
    assert pairs.shape == (*batch, 10, 2)
    assert diagram.shape == (*batch, 10, 2)
    assert torch.equal(diagram[..., 1], died)
    assert torch.equal(generators[..., 1:], pairs)
    for bag in range(points.shape[:-2].numel()):
        alone = points.reshape(-1, 11, 3)[bag]
        assert torch.equal(pairs.reshape(-1, 10, 2)[bag], torchtopo.vietoris_rips_pairs(alone))
        assert torch.equal(died.reshape(-1, 10)[bag], torchtopo.deaths(alone))


def test_no_bags_give_no_pairs():
    assert torchtopo.vietoris_rips_pairs(torch.rand(0, 5, 3)).shape == (0, 4, 2)
    assert torchtopo.vietoris_rips_generators(torch.rand(2, 0, 5, 3)).shape == (2, 0, 4, 3)
    assert torchtopo.minimum_spanning_tree(torch.rand(0, 5, 5)).weights.shape == (0, 4)
    assert torchtopo.pair_distances(
        torch.rand(0, 5, 3), torch.zeros(0, 4, 2, dtype=torch.int64)
    ).shape == (0, 4)


@given(integer_grids())
def test_the_elder_rule(points):
    generators = torchtopo.vietoris_rips_generators(points)
    assert torch.equal(generators, ref.vietoris_rips_generators(points))
    # Every vertex but the eldest dies exactly once.
    assert sorted(generators[:, 0].tolist()) == list(range(1, len(points)))
