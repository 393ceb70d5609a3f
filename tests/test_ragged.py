"""Padded and packed bags give, bit for bit, what each bag gives alone."""

from __future__ import annotations

from functools import partial

import pytest
import torch

import torchtopo
from tests.contract import POINT_METRICS

SIZES = [5, 1, 17, 2, 40, 33]


def bags_of(d: int, dtype: torch.dtype = torch.float32) -> list[torch.Tensor]:
    return [torch.randn(n, d).to(dtype) for n in SIZES]


def pad(bags: list[torch.Tensor], fill: float) -> tuple[torch.Tensor, torch.Tensor]:
    padded = torch.full((len(bags), max(SIZES), bags[0].shape[1]), fill, dtype=bags[0].dtype)
    for row, bag in zip(padded, bags, strict=True):
        row[: len(bag)] = bag
    return padded, torch.tensor([len(bag) for bag in bags])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("d", [2, 70])
@pytest.mark.parametrize("metric", POINT_METRICS)
def test_padded_packed_and_single_agree(metric, d, dtype):
    bags = bags_of(d, dtype)
    padded, lengths = pad(bags, torch.nan)
    points, cu_seqlens = torchtopo.pack(bags)
    pairs = torchtopo.vietoris_rips_pairs(padded, metric=metric, lengths=lengths)
    died = torchtopo.deaths(padded, metric=metric, lengths=lengths)
    packed_pairs = torchtopo.vietoris_rips_pairs(points, metric=metric, cu_seqlens=cu_seqlens)
    packed_died = torchtopo.deaths(points, metric=metric, cu_seqlens=cu_seqlens)
    packed_generators = torchtopo.vietoris_rips_generators(
        points, metric=metric, cu_seqlens=cu_seqlens
    )
    assert packed_pairs.shape == (sum(SIZES) - len(SIZES), 2)
    row = 0
    for b, bag in enumerate(bags):
        n, start = len(bag), int(cu_seqlens[b])
        alone, alone_died = (
            torchtopo.vietoris_rips_pairs(bag, metric=metric),
            torchtopo.deaths(bag, metric=metric),
        )
        assert torch.equal(pairs[b, : n - 1], alone)
        assert bool((pairs[b, n - 1 :] == -1).all())
        assert torch.equal(died[b, : n - 1], alone_died)
        assert bool((died[b, n - 1 :] == 0).all())
        assert torch.equal(packed_pairs[row : row + n - 1], alone + start)
        assert torch.equal(packed_died[row : row + n - 1], alone_died)
        assert torch.equal(
            packed_generators[row : row + n - 1],
            torchtopo.vietoris_rips_generators(bag, metric=metric) + start,
        )
        row += n - 1


def test_padded_distance_matrices():
    distances = torch.rand(4, 9, 9)
    lengths = torch.tensor([9, 1, 4, 7], dtype=torch.int32)
    edges, weights = torchtopo.minimum_spanning_tree(distances, lengths=lengths)
    generators = torchtopo.vietoris_rips_generators(
        distances, metric="precomputed", lengths=lengths
    )
    for b, n in enumerate(lengths.tolist()):
        alone = torchtopo.minimum_spanning_tree(distances[b, :n, :n])
        assert torch.equal(edges[b, : n - 1], alone.edges)
        assert torch.equal(weights[b, : n - 1], alone.weights)
        assert bool((edges[b, n - 1 :] == -1).all())
        assert bool((generators[b, n - 1 :] == -1).all())


@pytest.mark.parametrize("metric", POINT_METRICS)
def test_padding_has_no_gradient_and_is_never_read(metric):
    padded, lengths = pad(bags_of(3), torch.nan)
    padded.requires_grad_()
    torchtopo.deaths(padded, metric=metric, lengths=lengths).square().sum().backward()
    for row, n in zip(padded.grad, lengths.tolist(), strict=True):
        assert bool(row[:n].isfinite().all())
        assert bool((row[n:] == 0).all())


def test_gradients_of_padded_packed_and_single_agree():
    bags = [bag.requires_grad_() for bag in bags_of(4)]
    alone = torch.autograd.grad(sum(torchtopo.deaths(bag).square().sum() for bag in bags), bags)
    padded, lengths = pad([bag.detach() for bag in bags], 7.0)
    padded.requires_grad_()
    torchtopo.deaths(padded, lengths=lengths).square().sum().backward()
    points, cu_seqlens = torchtopo.pack([bag.detach() for bag in bags])
    points.requires_grad_()
    torchtopo.deaths(points, cu_seqlens=cu_seqlens).square().sum().backward()
    packed = points.grad.split(SIZES)
    for b, n in enumerate(SIZES):
        torch.testing.assert_close(padded.grad[b, :n], alone[b])
        torch.testing.assert_close(packed[b], alone[b])


def test_lengths_of_several_batch_dimensions():
    points = torch.rand(2, 3, 8, 2)
    lengths = torch.tensor([[8, 2, 5], [1, 7, 3]])
    flat = torchtopo.vietoris_rips_pairs(points.flatten(0, 1), lengths=lengths.flatten())
    assert torch.equal(
        torchtopo.vietoris_rips_pairs(points, lengths=lengths), flat.unflatten(0, (2, 3))
    )


def test_pack_follows_the_flash_attention_convention():
    bags = bags_of(2)
    points, cu_seqlens = torchtopo.pack(bags)
    assert cu_seqlens.dtype == torch.int32
    assert cu_seqlens.diff().tolist() == SIZES
    for bag, found in zip(bags, points.split(SIZES), strict=True):
        assert torch.equal(bag, found)
    with_long = torchtopo.vietoris_rips_pairs(points, cu_seqlens=cu_seqlens.long())
    assert torch.equal(with_long, torchtopo.vietoris_rips_pairs(points, cu_seqlens=cu_seqlens))


@pytest.mark.parametrize(
    "call",
    [
        torchtopo.vietoris_rips_pairs,
        torchtopo.vietoris_rips_generators,
        torchtopo.deaths,
        torchtopo.persistence_diagram,
        torchtopo.single_linkage,
        torchtopo.connectivity_loss,
        partial(torchtopo.connectivity_loss, branches=2),
        torchtopo.spread_loss,
        torchtopo.nn.ConnectivityLoss(),
        torchtopo.nn.SpreadLoss(),
        lambda z, **ragged: torchtopo.signature_loss(z, z[:, :1], **ragged),
        lambda z, **ragged: torchtopo.nn.SignatureLoss()(z, z[:, :1], **ragged),
        lambda z, **ragged: torchtopo.rtd_lite(z, z[:, :1], **ragged),
        lambda z, **ragged: torchtopo.nn.RTDLite()(z, z[:, :1], **ragged),
        lambda z, **ragged: torchtopo.rtd_lite_barcode(z, z[:, :1], **ragged).z,
    ],
)
def test_the_longest_bag_may_be_named(call):
    """It says how large a bag can be, and changes nothing."""
    points, cu_seqlens = torchtopo.pack(bags_of(4))
    expected = call(points, cu_seqlens=cu_seqlens)
    for most in (max(SIZES), 10**6):
        assert torch.equal(call(points, cu_seqlens=cu_seqlens, max_seqlen=most), expected)
    too_few = r"max_seqlen is 39, but bag \d+ has 40 points"
    for validate in (False, True):
        with pytest.raises(ValueError, match=too_few):
            call(points, cu_seqlens=cu_seqlens, max_seqlen=max(SIZES) - 1, validate=validate)
    with pytest.raises(ValueError, match="max_seqlen goes with cu_seqlens"):
        call(points, max_seqlen=40)
    with pytest.raises(ValueError, match="max_seqlen must be at least 1"):
        call(points, cu_seqlens=cu_seqlens, max_seqlen=0)
    for wrong in (torch.tensor(40), 40.0, True):
        with pytest.raises(TypeError, match="max_seqlen must be an int"):
            call(points, cu_seqlens=cu_seqlens, max_seqlen=wrong)


def test_the_longest_bag_under_vmap():
    points, cu_seqlens = torchtopo.pack(bags_of(2))
    copies = torch.stack((points, points.flip(-1) * 2))
    deaths = partial(torchtopo.deaths, cu_seqlens=cu_seqlens)
    found = torch.func.vmap(partial(deaths, max_seqlen=max(SIZES)))(copies)
    assert torch.equal(found, torch.stack([deaths(copy) for copy in copies]))
