"""Padded, packed and single bags give the same losses and gradients; padding is never read."""

from __future__ import annotations

import pytest
import torch

import torchtopo
from torchtopo._losses.deaths import measured_deaths

from .samples import LOSSES

SIZES = [9, 1, 4, 2, 13]


@pytest.mark.parametrize("name", LOSSES)
def test_padded_packed_and_single_agree(name):
    loss = LOSSES[name].loss
    bags = [torch.randn(n, 4, dtype=torch.float64, requires_grad=True) for n in SIZES]
    alone = torch.stack([loss(bag) for bag in bags])
    of_bags = torch.autograd.grad(alone.square().sum(), bags)

    points, cu_seqlens = torchtopo.pack([bag.detach() for bag in bags])
    points.requires_grad_()
    packed = loss(points, cu_seqlens=cu_seqlens)
    torch.testing.assert_close(packed, alone)
    packed.square().sum().backward()

    padded = torch.full((len(SIZES), max(SIZES), 4), torch.nan, dtype=torch.float64)
    for row, bag in zip(padded, bags, strict=True):
        row[: len(bag)] = bag.detach()
    padded.requires_grad_()
    found = loss(padded, lengths=torch.tensor(SIZES))
    torch.testing.assert_close(found, alone)
    found.square().sum().backward()

    for b, (n, of_bag) in enumerate(zip(SIZES, of_bags, strict=True)):
        torch.testing.assert_close(points.grad.split(SIZES)[b], of_bag)
        torch.testing.assert_close(padded.grad[b, :n], of_bag)
        if name != "RTD-Lite":  # the second space is made from the padding too
            assert bool((padded.grad[b, n:] == 0).all())


def test_rtd_lite_never_reads_padding():
    x, z = torch.randn(3, 8, 4), torch.randn(3, 8, 2)
    lengths = torch.tensor([8, 1, 5])
    expected = torchtopo.rtd_lite(x, z, lengths=lengths, reduction="none")
    for space in (x, z):
        space[1, 1:] = space[2, 5:] = torch.nan
    z.requires_grad_()
    found = torchtopo.rtd_lite(x, z, lengths=lengths, reduction="none")
    assert torch.equal(found, expected)
    found.sum().backward()
    assert bool(z.grad.isfinite().all())
    assert bool((z.grad[2, 5:] == 0).all())


def test_packed_rtd_lite_reads_no_sizes_where_the_longest_bag_is_named():
    """So it does not wait for a device, and compiles into one graph."""

    def loss(x, z, cu_seqlens):
        return torchtopo.rtd_lite(
            x, z, cu_seqlens=cu_seqlens, max_seqlen=8, quantile=0.7, reduction="none"
        )

    bags = [torch.rand(n, 4) for n in (8, 1, 5)]
    x, cu_seqlens = torchtopo.pack(bags)
    z = x[:, :2].clone().requires_grad_()
    torch._dynamo.reset()
    compiled = torch.compile(loss, backend="eager", fullgraph=True)
    found, expected = compiled(x, z, cu_seqlens), loss(x, z, cu_seqlens)
    torch.testing.assert_close(found, expected)
    for f, e in zip(
        torch.autograd.grad(found.sum(), z), torch.autograd.grad(expected.sum(), z), strict=True
    ):
        torch.testing.assert_close(f, e)


def test_densification_makes_no_cloud_larger_than_a_bag(monkeypatch):
    """The clouds of all classes are one packed batch, of which CUDA wants to know the largest."""
    named = []

    def watched(points, metric, lengths, cu_seqlens, validate, max_seqlen=None):
        named.append((int(cu_seqlens.diff().max()), max_seqlen))
        return measured_deaths(points, metric, lengths, cu_seqlens, validate)

    monkeypatch.setattr("torchtopo._losses.densification.measured_deaths", watched)
    for bags, n, classes in ((3, 20, 1), (3, 20, 50), (5, 7, 4), (4, 1, 2), (2, 40, 40)):
        z, labels = torch.randn(bags, n, 3), torch.randint(-1, classes, (bags, n))
        torchtopo.densification_loss(z, labels, beta=1.0)
        ends = torch.arange(0, bags * n + 1, n)
        packed = z.flatten(0, 1), labels.flatten()
        torchtopo.densification_loss(*packed, beta=1.0, cu_seqlens=ends, max_seqlen=n)
        assert named[-2][0] <= n
        assert named[-1][0] <= n
        assert named[-1][1] == n
    with pytest.raises(ValueError, match="max_seqlen is 39, but bag 0 has 40"):
        torchtopo.densification_loss(*packed, beta=1.0, cu_seqlens=ends, max_seqlen=39)


def test_labels_of_padding_are_never_read():
    z, lengths = torch.randn(2, 6, 3), torch.tensor([6, 3])
    labels = torch.randint(0, 2, (2, 6))
    expected = torchtopo.densification_loss(z, labels, beta=1.0, lengths=lengths)
    labels[1, 3:] = 10**12
    assert torchtopo.densification_loss(z, labels, beta=1.0, lengths=lengths) == expected


def test_several_batch_dimensions_with_lengths():
    z, lengths = torch.randn(2, 3, 7, 4), torch.tensor([[7, 1, 3], [2, 6, 5]])
    for name, sample in LOSSES.items():
        flat = sample.loss(z.flatten(0, 1), lengths=lengths.flatten())
        found = sample.loss(z, lengths=lengths)
        torch.testing.assert_close(found, flat.reshape(2, 3), msg=name)


def test_distances_with_lengths():
    z = torch.randn(3, 9, 4).double()
    distances, lengths = torch.cdist(z, z), torch.tensor([9, 1, 5])
    labels = torch.randint(0, 3, (3, 9))
    for function in (
        lambda p, **o: torchtopo.connectivity_loss(p, **o),
        lambda p, **o: torchtopo.densification_loss(p, labels, beta=0.4, **o),
        lambda p, **o: torchtopo.spread_loss(p, sphere=0.0, **o),
    ):
        torch.testing.assert_close(
            function(distances, metric="precomputed", lengths=lengths),
            function(z, lengths=lengths),
        )
