"""Each loss is its published formula: plain twins over textbook Kruskal, and sums done by hand."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import torchtopo

from ..strategies import generators
from .samples import LOSSES


@pytest.mark.parametrize("name", LOSSES)
@given(data=st.data())
def test_values_are_those_of_the_twin(name, data):
    n, generator = data.draw(st.integers(1, 14)), data.draw(generators())
    z = torch.randn(3, n, 4, generator=generator, dtype=torch.float64)
    lengths = torch.randint(1, n + 1, (3,), generator=generator)
    loss, expected, *_ = LOSSES[name]
    torch.testing.assert_close(loss(z), expected(z, None))
    torch.testing.assert_close(loss(z, lengths=lengths), expected(z, lengths))


@pytest.mark.parametrize("name", [n for n in LOSSES if n != "persistent entropy"])
def test_gradients_are_those_of_the_twin(name):
    z = torch.randn(3, 12, 4, dtype=torch.float64)
    loss, expected, *_ = LOSSES[name]
    gradients = []
    for function in (loss, lambda z: expected(z, None)):
        leaf = z.clone().requires_grad_()
        function(leaf).square().sum().backward()
        gradients.append(leaf.grad.nan_to_num())  # at the zeros of a distance matrix's diagonal
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("name", LOSSES)
def test_reductions(name):
    z = torch.randn(2, 3, 9, 4, dtype=torch.float64)
    loss = LOSSES[name].loss
    each = loss(z)
    assert each.shape == (2, 3)
    torch.testing.assert_close(loss(z, reduction="mean"), each.mean())
    torch.testing.assert_close(loss(z, reduction="sum"), each.sum())
    torch.testing.assert_close(loss(z[1, 2]), each[1, 2])


@pytest.mark.parametrize("metric", ["euclidean", "manhattan", "chebyshev", "cosine"])
def test_points_and_their_distances_give_the_same(metric):
    z, x = torch.randn(2, 11, 4).double(), torch.randn(2, 11, 3).double()
    labels = torch.randint(-1, 3, (2, 11))
    ones = torch.combinations(torch.arange(11), 2).expand(2, -1, 2)

    def matrix(points):
        lengths = torchtopo.pair_distances(points, ones, metric=metric)
        full = points.new_zeros(2, 11, 11)
        full[:, ones[0, :, 0], ones[0, :, 1]] = lengths
        return full + full.mT

    own, given_matrix = {"metric": metric}, {"metric": "precomputed"}
    for function in (
        lambda p, m: torchtopo.connectivity_loss(p, **m),
        lambda p, m: torchtopo.densification_loss(p, labels, beta=0.4, **m),
        lambda p, m: torchtopo.spread_loss(p, sphere=0.0, **m),
    ):
        torch.testing.assert_close(function(z, own), function(matrix(z), given_matrix))
    torch.testing.assert_close(
        torchtopo.rtd_lite(x, z, metric_x=metric, metric_z=metric),
        torchtopo.rtd_lite(matrix(x), matrix(z), metric_x="precomputed", metric_z="precomputed"),
    )


def test_hofers_toy_cloud_is_optimal_at_its_own_scale():
    # A chain of points 2 apart is what the connectivity loss with η = 2 asks for.
    chain = torch.zeros(9, 3)
    chain[:, 1] = 2 * torch.arange(9)
    assert torchtopo.connectivity_loss(chain, eta=2.0) == 0
    assert torchtopo.connectivity_loss(chain, eta=3.0) == 8
    two_branches = torch.cat((chain, chain), -1)
    assert torchtopo.connectivity_loss(two_branches, eta=3.0, branches=2) == 16


def test_densification_by_hand():
    z = torch.tensor([[0.0], [1.0], [4.0], [100.0], [107.0], [50.0]])
    labels = torch.tensor([7, 7, 7, 3, 3, 5])  # deaths 1, 3 and 7; a class of one point
    assert torchtopo.densification_loss(z, labels, beta=2.0) == 1 + 1 + 5
    assert torchtopo.densification_loss(z, labels - 4, beta=2.0) == 2  # class -1 has none
    assert torchtopo.densification_loss(z, -torch.ones(6).long(), beta=2.0) == 0


@given(generator=generators(), classes=st.integers(1, 12))
def test_names_and_order_of_classes_do_not_matter(generator, classes):
    z = torch.randn(24, 3, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, classes, (24,), generator=generator)
    value = torchtopo.densification_loss(z, labels, beta=0.5)
    names = torch.randperm(1000, generator=generator)[:classes]
    order = torch.randperm(24, generator=generator)
    other = torchtopo.densification_loss(z[order], names[labels][order], beta=0.5)
    torch.testing.assert_close(value, other)


def test_spread_of_the_corners_of_a_square_on_the_circle():
    z = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])
    torch.testing.assert_close(torchtopo.spread_loss(z), torch.tensor(-math.sqrt(2)))
    torch.testing.assert_close(torchtopo.spread_loss(3 * z), torch.tensor(-3 * math.sqrt(2) + 4))


@pytest.mark.parametrize("name", LOSSES)
def test_descent_lowers_the_loss(name):
    loss = LOSSES[name].loss
    z = (torch.randn(4, 16, 4) * 0.4).requires_grad_()
    optimizer = torch.optim.Adam([z], lr=0.02)
    values = []
    for _ in range(40):
        optimizer.zero_grad()
        value = loss(z, reduction="mean")
        value.backward()
        optimizer.step()
        values.append(value.item())
    assert values[-1] < values[0] - 0.05 * abs(values[0])


def test_entropy_lies_between_nothing_and_the_logarithm():
    assert torchtopo.persistent_entropy(torch.tensor([0.0, 0.0, 3.0])) == 0
    assert torchtopo.persistent_entropy(torch.zeros(5)) == 0
    torch.testing.assert_close(
        torchtopo.persistent_entropy(torch.full((6,), 0.3)), torch.tensor(6.0).log()
    )


def test_total_persistence_of_power_one_is_the_length_of_the_tree():
    points = torch.rand(3, 20, 2)
    torch.testing.assert_close(
        torchtopo.total_persistence(torchtopo.deaths(points)),
        torchtopo.minimum_spanning_tree(torch.cdist(points, points)).weights.sum(-1),
    )
