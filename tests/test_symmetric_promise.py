"""The promise `symmetric=True`: kept, it changes nothing; broken, it gives some tree, no crash."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import torchtopo

INF, NAN = float("inf"), float("nan")


def mirrored(upper: Tensor) -> Tensor:
    return torch.where(torch.ones_like(upper).triu(1).bool(), upper, upper.mT)


def matrices(n: int, dtype: torch.dtype) -> dict[str, Tensor]:
    """Of each kind a batch of three: what Prim takes, and what only the textbook does."""
    uniform = torch.rand(3, n, n, dtype=dtype)
    some = torch.rand(3, n, n) < 0.1
    return {
        "uniform": uniform,
        "ties": uniform.mul(3).floor(),
        "infinite": uniform.masked_fill(some, INF),
        "NaN": uniform.masked_fill(some, NAN),
        "negative": uniform - 0.5,
        "negative zero": uniform.masked_fill(some, -0.0),
    }


def same(found: torchtopo.MST, expected: torchtopo.MST) -> bool:
    return torch.equal(found.edges, expected.edges) and torch.equal(
        found.weights.nan_to_num(7.0), expected.weights.nan_to_num(7.0)
    )


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("n", [1, 2, 3, 8, 9, 17, 64, 65])
def test_a_promise_that_is_kept_changes_nothing(n, dtype):
    lengths = torch.tensor([n, (n + 1) // 2, 1])
    for upper in matrices(n, dtype).values():
        distances = mirrored(upper)
        for diagonal in (0.0, -1.0, NAN):  # which is no edge
            distances.diagonal(dim1=-2, dim2=-1).fill_(diagonal)
            for of in (None, lengths):
                expected = torchtopo.minimum_spanning_tree(distances, lengths=of)
                found = torchtopo.minimum_spanning_tree(distances, lengths=of, symmetric=True)
                assert same(found, expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_so_beyond_the_cache(dtype):
    points = torch.randn(700, 5, dtype=dtype)
    distances = torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist")
    distances = mirrored(distances)
    for entry in (1.0, INF, NAN, -1.0):
        distances[3, 699] = distances[699, 3] = entry
        expected = torchtopo.minimum_spanning_tree(distances)
        assert same(torchtopo.minimum_spanning_tree(distances, symmetric=True), expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("n", [2, 9, 64, 65, 600])
def test_a_broken_promise_gives_some_spanning_tree(n, dtype):
    for distances in matrices(n, dtype).values():
        edges = torchtopo.minimum_spanning_tree(distances, symmetric=True).edges
        dying = torch.ops.torchtopo.elder_rule(edges, n)
        assert bool((edges[..., 0] < edges[..., 1]).all())
        # Each vertex but the first dies once, so the edges span.
        assert torch.equal(dying.sort(-1).values, torch.arange(1, n).expand(3, n - 1))


def test_a_broken_promise_is_seen_in_the_tree():
    # Rows are read from vertex 0 on: next is 2, whose row leads to 1 by an entry j > i.
    distances = torch.tensor([[0.0, 2.0, 1.5], [2.0, 0.0, 3.0], [1.5, 0.5, 0.0]])
    checked = torchtopo.minimum_spanning_tree(distances)
    assert checked.edges.tolist() == [[0, 2], [0, 1]]
    assert checked.weights.tolist() == [1.5, 2.0]
    promised = torchtopo.minimum_spanning_tree(distances, symmetric=True)
    assert promised.edges.tolist() == [[1, 2], [0, 2]]
    assert promised.weights.tolist() == [0.5, 1.5]


def test_the_promise_passes_through_transforms():
    distances = mirrored(torch.rand(4, 9, 9))
    expected = torchtopo.minimum_spanning_tree(distances)

    def promised(one: Tensor) -> torchtopo.MST:
        return torchtopo.minimum_spanning_tree(one, symmetric=True)

    assert same(torch.vmap(promised)(distances), expected)
    assert same(torch.compile(promised, fullgraph=True, backend="aot_eager")(distances), expected)
    meta = promised(distances.to("meta"))
    assert meta.edges.shape == expected.edges.shape
    assert meta.weights.dtype == torch.float32

    def gradient(symmetric: bool) -> Tensor:
        leaf = distances.clone().requires_grad_()
        weights = torchtopo.minimum_spanning_tree(leaf, symmetric=symmetric).weights
        return torch.autograd.grad(weights.square().sum(), leaf)[0]

    assert torch.equal(gradient(True), gradient(False))
