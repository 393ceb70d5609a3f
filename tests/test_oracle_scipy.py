"""Against scipy's single linkage, exact in float64: its merge heights are the deaths."""

from __future__ import annotations

import pytest
import torch

import torchtopo

hierarchy = pytest.importorskip("scipy.cluster.hierarchy")
spatial = pytest.importorskip("scipy.spatial.distance")

NAMES = {
    "euclidean": "euclidean",
    "manhattan": "cityblock",
    "chebyshev": "chebyshev",
    "cosine": "cosine",
}


@pytest.mark.parametrize(
    ("n", "d"), [(2, 1), (50, 2), (200, 3), (150, 17), (120, 400), (4200, 2), (4200, 20)]
)
@pytest.mark.parametrize("metric", NAMES)
def test_deaths_of_points(metric, n, d):
    points = torch.randn(n, d, dtype=torch.float64)
    heights = hierarchy.linkage(spatial.pdist(points.numpy(), NAMES[metric]), "single")[:, 2]
    torch.testing.assert_close(
        torchtopo.deaths(points, metric=metric), torch.from_numpy(heights), rtol=1e-12, atol=1e-13
    )


@pytest.mark.parametrize("n", [2, 30, 300])
def test_deaths_of_distances_are_equal_bit_for_bit(n):
    condensed = torch.rand(n * (n - 1) // 2, dtype=torch.float64)
    condensed[:: max(1, n)] = 0.0  # zero-length bars are kept
    distances = torch.from_numpy(spatial.squareform(condensed.numpy()))
    heights = hierarchy.linkage(condensed.numpy(), "single")[:, 2]
    assert torch.equal(torchtopo.deaths(distances, metric="precomputed"), torch.from_numpy(heights))


def test_merging_by_generators_builds_the_same_clusters():
    points = torch.randn(60, 3, dtype=torch.float64)
    linkage = hierarchy.linkage(spatial.pdist(points.numpy()), "single")
    generators = torchtopo.vietoris_rips_generators(points)
    died = torchtopo.deaths(points)
    for components in (2, 5, 20):
        threshold = float(died[60 - components - 1])
        expected = hierarchy.fcluster(linkage, threshold, "distance")
        # A vertex belongs to the component of the edge that merges it, up to the threshold.
        label = list(range(60))
        for _, i, j in generators[: 60 - components].tolist():
            old, new = label[j], label[i]
            label = [new if v == old else v for v in label]
        for i in range(60):
            for j in range(i):
                assert (label[i] == label[j]) == (expected[i] == expected[j])
