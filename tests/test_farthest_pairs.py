"""The farthest pair of a bag: ragged, tied, infinite, NaN."""

from __future__ import annotations

import math

import pytest
import torch

import torchtopo
from torchtopo import _reference as ref

farthest_pairs = torch.ops.torchtopo.farthest_pairs


def farthest(points, metric):
    """The first of the largest finite distances, one at NaN before them."""
    rows = ref.distance_matrix(points, metric).tolist()
    n = len(rows)
    found = [
        (math.inf if math.isnan(rows[i][j]) else rows[i][j], -i, -j)
        for i in range(n)
        for j in range(i + 1, n)
        if not math.isinf(rows[i][j])
    ]
    return [-v for v in max(found)[1:]] if found else [-1, -1]


POINTS = {
    "ties": torch.tensor([[0.0], [3.0], [1.0], [3.0], [0.0]]),
    "one": torch.tensor([[2.0]]),
    "one place": torch.zeros(4, 2),
    "infinity": torch.tensor([[0.0], [torch.inf], [1.0], [5.0]]),
    "nothing finite": torch.tensor([[0.0], [torch.inf]]),
    "NaN": torch.tensor([[0.0], [9.0], [torch.nan]]),
}


@pytest.mark.parametrize("metric", ["euclidean", "manhattan", "chebyshev"])
@pytest.mark.parametrize("name", POINTS)
def test_special_values(name, metric):
    found = farthest_pairs(POINTS[name], metric, None, None).tolist()
    assert found == farthest(POINTS[name], metric)


@pytest.mark.parametrize("metric", ["euclidean", "manhattan", "chebyshev"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_distance_that_overflows_is_not_finite(dtype, metric):
    most = torch.finfo(dtype).max
    points = torch.tensor([[most], [-most], [most / 2], [0.0]], dtype=dtype)
    assert farthest_pairs(points, metric, None, None).tolist() == [0, 3]
    assert farthest_pairs(points[:2], metric, None, None).tolist() == [-1, -1]
    x = torch.rand(4, 2, dtype=dtype)
    loss = torchtopo.signature_loss(points, x, metric_x=metric, convention="topoae")
    known = torchtopo.signature_loss(points, x, metric_x=metric, convention="topoae", x_scale=most)
    torch.testing.assert_close(loss, known)


def test_both_infinities_of_a_matrix_are_passed_over():
    for other in (torch.inf, -torch.inf):
        distances = torch.tensor([[0.0, 2.0, other], [0.0, 0.0, 3.0], [0.0, 0.0, 0.0]])
        assert farthest_pairs(distances, "precomputed", None, None).tolist() == [1, 2]
        assert farthest_pairs(distances[::2, ::2], "precomputed", None, None).tolist() == [-1, -1]


@pytest.mark.parametrize("metric", ["euclidean", "manhattan", "chebyshev", "cosine"])
def test_padded_and_packed_agree(metric):
    sizes = [7, 1, 30, 2]
    bags = [torch.randn(n, 3) for n in sizes]
    points, cu_seqlens = torchtopo.pack(bags)
    padded = torch.full((4, 30, 3), torch.nan)
    for row, bag in zip(padded, bags, strict=True):
        row[: len(bag)] = bag
    found = farthest_pairs(padded, metric, torch.tensor(sizes), None)
    assert found.tolist() == [farthest(bag, metric) for bag in bags]
    packed = farthest_pairs(points, metric, None, cu_seqlens)
    start = cu_seqlens[:-1].long().unsqueeze(-1)
    assert torch.equal(torch.where(packed < 0, packed, packed - start), found)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("metric", ["euclidean", "manhattan", "chebyshev"])
@pytest.mark.parametrize("n", [5, 70])
def test_squares_that_underflow_or_overflow(dtype, metric, n):
    # Powers of two change no digit, so the pair is that of the integers.
    points = torch.randint(-20, 20, (n, 3)).to(dtype)
    expected = farthest(points, metric)
    for exponent in (-90, 90) if dtype == torch.float32 else (-700, -1000, 700):
        scaled = points * 2.0**exponent
        assert farthest_pairs(scaled, metric, None, None).tolist() == expected
        with_infinity = torch.cat((scaled, torch.full((1, 3), torch.inf, dtype=dtype)))
        assert farthest_pairs(with_infinity, metric, None, None).tolist() == expected
    assert farthest_pairs(torch.full((n, 3), 1e-30, dtype=dtype), metric, None, None).tolist() == [
        0,
        1,
    ]


@pytest.mark.parametrize("convention", ["topoae", "torch_topological"])
def test_losses_of_a_tiny_cloud_are_those_of_a_large_one(convention):
    x = torch.tensor([[0.0, 0.0], [1.0, 0.0], [5.0, 0.0], [5.0, 12.0]])
    z = torch.rand(4, 2)
    expected = torchtopo.signature_loss(x, z, convention=convention)
    tiny = torchtopo.signature_loss(x * 2.0**-90, z, convention=convention)
    torch.testing.assert_close(tiny, expected)
