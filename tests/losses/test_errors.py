"""What bad input gets: one sentence that names the thing, the place and the remedy."""

from __future__ import annotations

import math

import pytest
import torch

import torchtopo

z = torch.rand(2, 6, 4)
d = torch.rand(2, 5)
diagram = torch.rand(2, 5, 2)
at = torch.linspace(0, 1, 5)
linkage = torchtopo.single_linkage(z)
labels = torch.zeros(2, 6, dtype=torch.int64)

FAULTS = [
    (lambda: torchtopo.connectivity_loss(z, eta=-1.0), ValueError, "eta must be a number of at"),
    (lambda: torchtopo.connectivity_loss(z, eta=math.nan), ValueError, "eta must be"),
    (lambda: torchtopo.connectivity_loss(z, branches=0), ValueError, "branches must be an integer"),
    (
        lambda: torchtopo.connectivity_loss(z, branches=3),
        ValueError,
        r"branches must divide the 4 coordinates of z \(2, 6, 4\), got 3",
    ),
    (
        lambda: torchtopo.connectivity_loss(torch.rand(4, 4), branches=2, metric="precomputed"),
        ValueError,
        "branches split coordinates",
    ),
    (lambda: torchtopo.connectivity_loss(z.long()), TypeError, "must be float16"),
    (lambda: torchtopo.connectivity_loss(z[:, :0]), ValueError, "no points"),
    (lambda: torchtopo.connectivity_loss(z, metric="l2"), ValueError, "metric must be one of"),
    (lambda: torchtopo.connectivity_loss(z, reduction="max"), ValueError, "reduction must be"),
    (lambda: torchtopo.connectivity_loss([1.0]), TypeError, "must be a torch.Tensor, got list"),
    (
        lambda: torchtopo.connectivity_loss(z * torch.nan, validate=True),
        ValueError,
        "z hold NaN: bag 0, row 0",
    ),
    (lambda: torchtopo.densification_loss(z, labels, beta=-1), ValueError, "beta must be"),
    (lambda: torchtopo.densification_loss(z, labels.float(), beta=1), TypeError, "labels must be"),
    (
        lambda: torchtopo.densification_loss(z, labels[0], beta=1),
        ValueError,
        r"labels must have the shape \(2, 6\)",
    ),
    (lambda: torchtopo.densification_loss(z, [0], beta=1), TypeError, "labels must be a torch"),
    (lambda: torchtopo.spread_loss(z, sphere=-0.1), ValueError, "sphere must be"),
    (
        lambda: torchtopo.spread_loss(torch.rand(3, 3), metric="precomputed"),
        ValueError,
        "pass sphere=0",
    ),
    (lambda: torchtopo.rtd_lite(z, z[:1]), ValueError, "x and z must be the same bags"),
    (lambda: torchtopo.rtd_lite(z, z, quantile=0), ValueError, r"quantile must be a number in"),
    (lambda: torchtopo.total_persistence(d, p=0), ValueError, "p must be a positive number"),
    (lambda: torchtopo.total_persistence(d.long()), TypeError, "deaths must be float16"),
    (
        lambda: torchtopo.total_persistence(d, cu_seqlens=torch.tensor([0, 6])),
        ValueError,
        r"packed deaths have the shape \(T-B,\)",
    ),
    (lambda: torchtopo.persistent_entropy(3.0), TypeError, "deaths must be a torch.Tensor"),
    (lambda: torchtopo.wasserstein_distance(d, d, p=0.5), ValueError, "p must be a number of at"),
    (lambda: torchtopo.wasserstein_distance(d, d[:1]), ValueError, "differ in batch"),
    (lambda: torchtopo.betti_curve(d, at), ValueError, r"diagram must have the shape"),
    (
        lambda: torchtopo.betti_curve(diagram, at.flip(0)),
        ValueError,
        "thresholds must rise, but number 1 is 0.75 after 1; sort them",
    ),
    (lambda: torchtopo.silhouette(diagram, at, p=0), ValueError, "p must be a positive"),
    (lambda: torchtopo.silhouette(diagram, at[None]), ValueError, "thresholds must have the shape"),
    (lambda: torchtopo.persistence_image(diagram, sigma=0), ValueError, "sigma must be a positive"),
    (
        lambda: torchtopo.persistence_image(diagram, birth_range=(1.0, 0.0)),
        ValueError,
        "birth_range must be",
    ),
    (
        lambda: torchtopo.persistence_image(diagram, resolution=(0, 3)),
        ValueError,
        "resolution must be two positive integers",
    ),
    (lambda: torchtopo.ph_dimension(z), ValueError, "too small to choose sizes for; pass sizes="),
    (
        lambda: torchtopo.ph_dimension(z, sizes=[3, 7]),
        ValueError,
        "sizes must not exceed the 6 points of the smallest cloud, got 7",
    ),
    (lambda: torchtopo.ph_dimension(z, sizes=[3]), ValueError, "at least two different integers"),
    (
        lambda: torchtopo.ph_dimension(z, lengths=torch.tensor([6, 4]), sizes=[2, 5]),
        ValueError,
        "sizes must not exceed the 4 points",
    ),
    (lambda: torchtopo.ph_dimension(z, lengths=torch.tensor([6, 4])), ValueError, "needs sizes="),
    (lambda: torchtopo.ph_dimension(z, sizes=[2, 4], alpha=0), ValueError, "alpha must be"),
    (lambda: torchtopo.ph_dimension(z, sizes=[2, 4], repeats=0), ValueError, "repeats must be"),
    (lambda: torchtopo.ph_dimension(z, sizes=[2, 4], repeats=1), ValueError, "two subsets leave"),
    (lambda: torchtopo.cut(linkage), ValueError, "pass n_clusters or distance"),
    (lambda: torchtopo.cut(linkage, n_clusters=7), ValueError, "integer from 1 to 6, got 7"),
    (lambda: torchtopo.cut(linkage, distance=math.nan), ValueError, "distance must be a number"),
    (lambda: torchtopo.cut(linkage[..., :3], n_clusters=1), ValueError, r"\(\*B, N-1, 4\)"),
    (
        lambda: torchtopo.cut(linkage[:, 3:], n_clusters=1),
        ValueError,
        "of a packed batch cut each bag's rows",
    ),
    (lambda: torchtopo.nn.ConnectivityLoss(eta=-1), ValueError, "eta must be"),
    (lambda: torchtopo.nn.DensificationLoss(beta="a"), ValueError, "beta must be"),
    (lambda: torchtopo.nn.SpreadLoss(metric="l3"), ValueError, "metric must be"),
    (lambda: torchtopo.nn.RTDLite(quantile=2), ValueError, "quantile must be"),
    (lambda: torchtopo.nn.WassersteinDistance(p=0.9), ValueError, "p must be"),
    (lambda: torchtopo.nn.BettiCurve(at.flip(0)), ValueError, "thresholds must rise"),
]


@pytest.mark.parametrize(("call", "error", "message"), FAULTS)
def test_faults_are_named_in_one_sentence(call, error, message):
    with pytest.raises(error, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_barcodes_elsewhere_say_what_to_do():
    x = torch.rand(5, 2, device="meta")
    pairs = torch.zeros(4, 2, dtype=torch.int64)
    from torchtopo._operators import measures

    with pytest.raises(RuntimeError, match="pass CPU tensors"):
        measures.tree_exchange_generic(pairs, pairs)
    assert torchtopo.connectivity_loss(x).device.type == "meta"
