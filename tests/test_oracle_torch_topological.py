"""Against torch-topological 0.1.9, and against the formulas of the TopoAE authors' code."""

from __future__ import annotations

import pytest
import torch

import torchtopo
from torchtopo import _reference as ref

peer = pytest.importorskip("torch_topological.nn")


def test_the_convention_is_its_signature_loss():
    x = torch.randn(3, 30, 8, dtype=torch.float64)
    z = torch.randn(3, 30, 2, dtype=torch.float64, requires_grad=True)
    other = z.detach().clone().requires_grad_()
    complexes, loss = peer.VietorisRipsComplex(dim=0), peer.SignatureLoss(p=2)
    expected = torch.stack(
        [
            loss([a, complexes(a)], [b, complexes(b)])
            for a, b in zip(x.unbind(), other.unbind(), strict=True)
        ]
    )
    found = torchtopo.signature_loss(x, z, convention="torch_topological", reduction="none")
    torch.testing.assert_close(found, expected)
    found.sum().backward()
    expected.sum().backward()
    torch.testing.assert_close(z.grad, other.grad)


def test_the_maximum_carries_its_gradient_in_x_too():
    x = torch.randn(20, 4, dtype=torch.float64, requires_grad=True)
    z = torch.randn(20, 2, dtype=torch.float64)
    other = x.detach().clone().requires_grad_()
    complexes, loss = peer.VietorisRipsComplex(dim=0), peer.SignatureLoss(p=2)
    loss([other, complexes(other)], [z, complexes(z)]).backward()
    torchtopo.signature_loss(x, z, convention="torch_topological").backward()
    torch.testing.assert_close(x.grad, other.grad)


def test_generators_hold_the_same_edges():
    points = torch.randn(40, 3, dtype=torch.float64)
    information = peer.VietorisRipsComplex(dim=0)(points)[0]
    theirs = {tuple(sorted(map(int, row[1:]))) for row in information.pairing}
    ours = {tuple(row) for row in torchtopo.vietoris_rips_pairs(points).tolist()}
    assert ours == theirs


def test_topoae_is_the_authors_code():
    # TopologicallyRegularizedAutoencoder.forward of the authors' repository, on vector data.
    x = torch.randn(25, 6, dtype=torch.float64)
    z = torch.randn(25, 2, dtype=torch.float64, requires_grad=True)
    latent_norm = torch.tensor([1.7], dtype=torch.float64, requires_grad=True)
    x_distances = torch.norm(x[:, None] - x, dim=2, p=2)
    x_distances = x_distances / x_distances.max()
    z_distances = torch.norm(z[:, None] - z, dim=2, p=2) / latent_norm

    def signature(distances, pairs):
        return distances[(pairs[:, 0], pairs[:, 1])]

    pairs_x = ref.kruskal(x_distances)[0]
    pairs_z = ref.kruskal(z_distances.detach())[0]
    pairs_x, pairs_z = torch.tensor(pairs_x), torch.tensor(pairs_z)
    distance1_2 = (signature(x_distances, pairs_x) - signature(z_distances, pairs_x)).square().sum()
    distance2_1 = (signature(z_distances, pairs_z) - signature(x_distances, pairs_z)).square().sum()
    expected = (distance1_2 + distance2_1) / 25
    expected_gradients = torch.autograd.grad(expected, (z, latent_norm))

    found = torchtopo.signature_loss(x, z, convention="topoae", z_scale=latent_norm)
    torch.testing.assert_close(found, expected)
    gradients = torch.autograd.grad(found, (z, latent_norm))
    for ours, theirs in zip(gradients, expected_gradients, strict=True):
        torch.testing.assert_close(ours, theirs)
