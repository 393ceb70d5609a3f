"""Modules are their functions with settings kept."""

from __future__ import annotations

import pytest
import torch

import torchtopo
from torchtopo import nn

z, x = torch.rand(3, 9, 4), torch.rand(3, 9, 6)
labels = torch.arange(9).remainder(3).expand(3, 9)
deaths, diagram = torchtopo.deaths(z), torchtopo.persistence_diagram(z)
at = torch.linspace(0, 1, 4)

PAIRS = [
    (
        nn.ConnectivityLoss(1.5, 2, "manhattan", "sum"),
        (z,),
        torchtopo.connectivity_loss(z, eta=1.5, branches=2, metric="manhattan", reduction="sum"),
    ),
    (
        nn.DensificationLoss(0.3, "chebyshev", "none"),
        (z, labels),
        torchtopo.densification_loss(z, labels, beta=0.3, metric="chebyshev", reduction="none"),
    ),
    (nn.SpreadLoss(0.2), (z,), torchtopo.spread_loss(z, sphere=0.2)),
    (
        nn.RTDLite("cosine", "euclidean", None),
        (x, z),
        torchtopo.rtd_lite(x, z, metric_x="cosine", quantile=None),
    ),
    (nn.TotalPersistence(2.0), (deaths,), torchtopo.total_persistence(deaths, 2.0).mean()),
    (nn.PersistentEntropy("sum"), (deaths,), torchtopo.persistent_entropy(deaths).sum()),
    (
        nn.WassersteinDistance(2.0),
        (deaths, deaths.flip(0)),
        torchtopo.wasserstein_distance(deaths, deaths.flip(0), 2.0).mean(),
    ),
    (nn.BettiCurve(at), (diagram,), torchtopo.betti_curve(diagram, at)),
    (nn.Silhouette(at, 2.0), (diagram,), torchtopo.silhouette(diagram, at, 2.0)),
    (
        nn.PersistenceImage(resolution=(1, 3), sigma=0.2),
        (diagram,),
        torchtopo.persistence_image(diagram, resolution=(1, 3), sigma=0.2),
    ),
]


@pytest.mark.parametrize(("module", "inputs", "expected"), PAIRS, ids=lambda v: type(v).__name__)
def test_a_module_is_its_function(module, inputs, expected):
    assert torch.equal(module(*inputs), expected)
    assert repr(module) != f"{type(module).__name__}()"
    assert list(module.parameters()) == []
    again = type(module).__new__(type(module))
    again.__dict__.update(module.__dict__)
    assert torch.equal(again(*inputs), expected)


def test_every_module_is_listed_and_tried():
    tried = {type(module).__name__ for module, *_ in PAIRS} | {"SignatureLoss"}
    assert tried == set(nn.__all__)


def test_thresholds_move_with_the_module():
    module = nn.Silhouette(at).to(torch.float64)
    assert module.thresholds.dtype == torch.float64
    assert "thresholds" in module.state_dict()


def test_ragged_batches_go_through_modules():
    lengths = torch.tensor([9, 1, 4])
    points, ends = torchtopo.pack([p[:n] for p, n in zip(z, lengths, strict=True)])
    for module in (nn.ConnectivityLoss(), nn.SpreadLoss()):
        torch.testing.assert_close(module(z, lengths=lengths), module(points, cu_seqlens=ends))
    module = nn.DensificationLoss(0.3)
    packed = torch.cat([c[:n] for c, n in zip(labels, lengths, strict=True)])
    torch.testing.assert_close(
        module(z, labels, lengths=lengths), module(points, packed, cu_seqlens=ends)
    )
