"""torchtopo.compat.torch_topological gives what that library gives, in dimension 0."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from torchtopo.compat import torch_topological as ours

theirs = pytest.importorskip("torch_topological.nn")


def by_vertex_sets(pairing: np.ndarray) -> set[tuple[int, int]]:
    return {tuple(sorted(row[1:].tolist())) for row in pairing}


@pytest.mark.parametrize("p", [1, 2, 3, np.inf])
@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("threshold", [np.inf, 0.6])
def test_information_agrees(threshold, keep, p):
    options = {"dim": 0, "p": p, "threshold": threshold, "keep_infinite_features": keep}
    batch = torch.rand(3, 12, 4)
    found = ours.VietorisRipsComplex(**options)(batch)
    expected = theirs.VietorisRipsComplex(**options)(batch)
    for (a,), (b,) in zip(found, expected, strict=True):
        torch.testing.assert_close(a.diagram, b.diagram, rtol=1e-5, atol=1e-6)
        assert a.pairing.dtype == b.pairing.dtype
        assert a.pairing.shape == b.pairing.shape
        assert by_vertex_sets(a.pairing) == by_vertex_sets(b.pairing)
        finite = a.pairing[:, 1] >= 0
        assert (a.pairing[finite, 1] > a.pairing[finite, 2]).all()
        assert (b.pairing[finite, 1] > b.pairing[finite, 2]).all()
        assert a.dimension == b.dimension == 0
        assert len({*a.pairing[:, 0]}) == len(a.pairing)  # every vertex dies once


def test_what_goes_in_comes_out_in_the_same_form():
    for module in (ours, theirs):
        rips = module.VietorisRipsComplex(dim=0, n_threads=1)
        cloud = torch.rand(7, 3)
        assert isinstance(rips(cloud)[0].diagram, torch.Tensor)
        assert len(rips([cloud, cloud[:4]])) == 2
        assert rips([cloud, cloud[:4]])[1][0].diagram.shape == (3, 2)
        assert rips(cloud.double())[0].diagram.dtype == torch.float64
        assert rips(torch.cdist(cloud, cloud), treat_as_distances=True)[0].pairing.shape == (6, 3)
        assert rips(torch.cat((cloud, cloud)))[0].diagram.shape == (6, 2)  # no bars of length 0
        assert rips(cloud[:1])[0].diagram.shape == (0, 2)
        with pytest.raises(TypeError):
            iter(rips(cloud)[0])


def test_a_diagram_has_their_gradient():
    gradients = []
    cloud = torch.rand(9, 3)
    for module in (ours, theirs):
        leaf = cloud.clone().requires_grad_()
        module.VietorisRipsComplex(dim=0)(leaf)[0].diagram.square().sum().backward()
        gradients.append(leaf.grad)
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("p", [1, 2, 3])
@pytest.mark.parametrize("normalise", [True, False])
def test_the_loss_and_its_gradient_agree(normalise, p):
    x, z = torch.randn(20, 10, dtype=torch.float64), torch.randn(20, 2, dtype=torch.float64)
    values = []
    for module in (ours, theirs):
        rips, loss = module.VietorisRipsComplex(dim=0, p=p), module.SignatureLoss(p, normalise)
        leaf = z.clone().requires_grad_()
        value = loss([x, rips(x)], [leaf, rips(leaf)])
        value.backward()
        values.append((value.detach(), leaf.grad))
    torch.testing.assert_close(*values, rtol=1e-6, atol=1e-6)


def test_their_pairings_serve_our_loss_and_ours_theirs():
    x, z = torch.rand(15, 6).double(), torch.rand(15, 2).double()
    values = [
        loss.SignatureLoss()([x, rips(x)], [z, rips(z)])
        for loss in (ours, theirs)
        for rips in (m.VietorisRipsComplex(dim=0) for m in (ours, theirs))
    ]
    for value in values[1:]:
        torch.testing.assert_close(value, values[0], rtol=1e-6, atol=1e-6)


def test_a_topological_autoencoder_trains_to_the_same_numbers():
    """Their example of an autoencoder with the loss, written anew: one import differs."""

    def train(module):
        torch.manual_seed(0)
        x = torch.randn(4, 24, 8, dtype=torch.float64)
        encoder = torch.nn.Linear(8, 2, dtype=torch.float64)
        decoder = torch.nn.Linear(2, 8, dtype=torch.float64)
        rips, loss = module.VietorisRipsComplex(dim=0), module.SignatureLoss(p=2)
        optimizer = torch.optim.SGD([*encoder.parameters(), *decoder.parameters()], lr=0.05)
        values = []
        for bag in x.repeat(3, 1, 1):
            z = encoder(bag)
            topology = loss([bag, rips(bag)], [z, rips(z)])
            value = torch.nn.functional.mse_loss(decoder(z), bag) + topology
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            values.append(value.item())
        return values

    assert train(ours) == pytest.approx(train(theirs), rel=1e-6)


def test_what_is_not_here_says_what_to_use():
    with pytest.raises(ValueError, match=r"keep torch_topological\.nn\.VietorisRipsComplex"):
        ours.VietorisRipsComplex()  # their default is dim=1
    with pytest.raises(ValueError, match="for others keep"):
        ours.SignatureLoss(dimensions=(0, 1))
    with pytest.raises(TypeError, match="coeff is an argument for ripser"):
        ours.VietorisRipsComplex(dim=0, coeff=3)
    with pytest.raises(ImportError, match="keep importing it from torch_topological"):
        from torchtopo.compat.torch_topological import CubicalComplex  # noqa: F401
    with pytest.raises(AttributeError, match="has no attribute"):
        _ = ours.Nothing
