"""The farthest pair of a bag: ragged, tied, infinite, NaN; kernel and tensor code alike."""

from __future__ import annotations

import pytest
import torch

import torchtopo
from torchtopo import _generic

diameter = torch.ops.torchtopo.diameter
diameter_packed = torch.ops.torchtopo.diameter_packed


@pytest.mark.parametrize("function", [diameter, _generic.diameter])
def test_special_values(function):
    points = torch.tensor([[0.0], [3.0], [1.0], [3.0], [0.0]])
    assert function(points, "euclidean", None).tolist()[0] in (0, 1)
    assert function(points[:1], "euclidean", None).tolist() == [-1, -1]
    infinite = torch.tensor([[0.0], [torch.inf], [1.0], [5.0]])
    assert function(infinite, "euclidean", None).tolist() == [0, 3]
    assert function(torch.tensor([[0.0], [torch.inf]]), "euclidean", None).tolist() == [-1, -1]
    nan = torch.tensor([[0.0], [9.0], [torch.nan]])
    assert 2 in function(nan, "euclidean", None).tolist()


def test_the_kernel_takes_the_first_of_tied_pairs():
    points = torch.tensor([[0.0], [3.0], [1.0], [3.0], [0.0]])
    assert diameter(points, "euclidean", None).tolist() == [0, 1]
    assert diameter(torch.zeros(4, 2), "manhattan", None).tolist() == [0, 1]


@pytest.mark.parametrize("metric", ["euclidean", "manhattan", "chebyshev", "cosine"])
def test_padded_packed_and_tensor_code_agree(metric):
    sizes = [7, 1, 30, 2]
    bags = [torch.randn(n, 3) for n in sizes]
    points, cu_seqlens = torchtopo.pack(bags)
    padded = torch.full((4, 30, 3), torch.nan)
    for row, bag in zip(padded, bags, strict=True):
        row[: len(bag)] = bag
    lengths = torch.tensor(sizes)
    found = diameter(padded, metric, lengths)
    assert torch.equal(_generic.diameter(padded, metric, lengths), found)
    packed = diameter_packed(points, cu_seqlens, metric)
    start = cu_seqlens[:-1].long().unsqueeze(-1)
    assert torch.equal(torch.where(packed < 0, packed, packed - start), found)
    assert torch.equal(_generic.diameter_packed(points, cu_seqlens, metric), packed)


def test_the_tensor_code_works_in_blocks(monkeypatch):
    points = torch.randn(2, 50, 3)
    whole = _generic.diameter(points, "euclidean", None)
    monkeypatch.setattr(_generic, "_BLOCK", 1)
    assert torch.equal(_generic.diameter(points, "euclidean", None), whole)
