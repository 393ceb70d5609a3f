"""Views of every kind are read as the values they show, and are left as they were."""

from __future__ import annotations

import pytest
import torch

import torchtopo

BASE = torch.randn(6, 14, 8)

VIEWS = {
    "transposed": BASE.transpose(1, 2),
    "strided": BASE[::2, ::3, 1::2],
    "offset": BASE[1:, 2:, 3:],
    "expanded": BASE[:1].expand(4, 14, 8),
    "expanded points": BASE[:, :1].expand(6, 9, 8),
    "permuted batch": BASE.reshape(2, 3, 14, 8).permute(1, 0, 2, 3),
    "flipped": BASE.flip(1).mT.mT,
    "negative": torch.complex(BASE, BASE).conj().imag,
    "diagonal": torch.randn(5, 5, 4, 3).diagonal(0, 0, 1).permute(2, 0, 1),
}


@pytest.mark.parametrize("view", VIEWS)
def test_points(view):
    points = VIEWS[view]
    plain = points.clone(memory_format=torch.contiguous_format)
    assert torch.equal(torchtopo.deaths(points), torchtopo.deaths(plain))
    assert torch.equal(
        torchtopo.vietoris_rips_generators(points), torchtopo.vietoris_rips_generators(plain)
    )
    pairs = torchtopo.vietoris_rips_pairs(plain)
    strided = torch.stack((pairs, pairs), -1)[..., 0]
    assert torch.equal(
        torchtopo.pair_distances(points, strided), torchtopo.pair_distances(plain, pairs)
    )
    assert torch.equal(
        torchtopo.signature_loss(points, plain), torchtopo.signature_loss(plain, points)
    )
    assert torch.equal(points, plain)


def test_gradients_reach_the_base_of_a_view():
    base = torch.randn(4, 10, 6, requires_grad=True)
    torchtopo.deaths(base[:, ::2, 1::3]).sum().backward()
    other = base.detach()[:, ::2, 1::3].clone().requires_grad_()
    torchtopo.deaths(other).sum().backward()
    assert torch.equal(base.grad[:, ::2, 1::3], other.grad)


def test_expanded_gradients_reach_the_kernel():
    points = torch.randn(2, 6, 3, requires_grad=True)
    torchtopo.deaths(points).sum().backward()  # the gradient of a sum is an expanded view
    expected = points.grad.clone()
    points.grad = None
    torchtopo.deaths(points).mul(1.0).backward(torch.ones(2, 5))
    assert torch.equal(points.grad, expected)


def test_matrices_and_lengths():
    distances = torch.rand(3, 20, 20)
    lengths = torch.tensor([[20, 0], [3, 0], [11, 0]], dtype=torch.int32)[:, 0]
    sliced = distances[:, ::2, ::2]
    for found, expected in zip(
        torchtopo.minimum_spanning_tree(sliced),
        torchtopo.minimum_spanning_tree(sliced.clone()),
        strict=True,
    ):
        assert torch.equal(found, expected)
    assert torch.equal(
        torchtopo.minimum_spanning_tree(distances, lengths=lengths).edges,
        torchtopo.minimum_spanning_tree(distances, lengths=lengths.clone()).edges,
    )
    ends = torch.tensor([[0, 9], [9, 9], [20, 9]])[:, 0]
    points = torch.rand(3, 20).T
    assert torch.equal(
        torchtopo.deaths(points, cu_seqlens=ends),
        torchtopo.deaths(points.contiguous(), cu_seqlens=ends.clone()),
    )


def test_parameters_and_subclasses_are_tensors():
    parameter = torch.nn.Parameter(torch.rand(5, 2))
    assert torch.equal(torchtopo.deaths(parameter), torchtopo.deaths(parameter.detach()))
