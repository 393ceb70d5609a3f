"""Against ripser.py: float32 inside, and blind to bars of length zero."""

from __future__ import annotations

import pytest
import torch

import torchtopo

ripser = pytest.importorskip("ripser")


def ripser_deaths(data: torch.Tensor, distance_matrix: bool = False) -> torch.Tensor:
    diagram = ripser.ripser(data.numpy(), maxdim=0, distance_matrix=distance_matrix)["dgms"][0]
    died = torch.from_numpy(diagram[:, 1]).double()
    return died[died.isfinite()].sort().values


@pytest.mark.parametrize(("n", "d"), [(10, 2), (100, 3), (80, 30)])
def test_deaths_of_points(n, d):
    points = torch.randn(n, d, dtype=torch.float64)
    torch.testing.assert_close(torchtopo.deaths(points), ripser_deaths(points), rtol=1e-5, atol=0)


@pytest.mark.parametrize("n", [3, 40, 150])
def test_deaths_of_distances(n):
    distances = torch.rand(n, n).triu(1)
    distances = distances + distances.T
    found = torchtopo.deaths(distances, metric="precomputed").double()
    torch.testing.assert_close(found, ripser_deaths(distances, True), rtol=1e-6, atol=0)


def test_ripser_drops_bars_of_length_zero_and_we_keep_them():
    points = torch.tensor([[0.0], [0.0], [1.0], [3.0], [3.0]])
    assert ripser_deaths(points).tolist() == [1.0, 2.0]
    assert torchtopo.deaths(points).tolist() == [0.0, 0.0, 1.0, 2.0]


def test_infinite_distances_stay_infinite_deaths():
    distances = torch.full((4, 4), torch.inf).fill_diagonal_(0)
    distances[0, 1] = distances[1, 0] = 1.0
    assert ripser_deaths(distances, True).tolist() == [1.0]
    assert torchtopo.deaths(distances, metric="precomputed").tolist() == [1.0] + 2 * [torch.inf]
