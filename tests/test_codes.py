"""Trees that are found by codes, of many points in many dimensions, are the strict order's."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import torchtopo
from tests.strategies import generators
from torchtopo import _C


def exact_distances(points: Tensor) -> Tensor:
    """Of points on a grid of powers of two, whose squared distances every arithmetic holds."""
    p = points.double()
    squares = p.square().sum(-1)
    return squares[:, None] + squares - 2 * p @ p.T


@st.composite
def grids(draw: st.DrawFn) -> Tensor:
    """Clouds of whole numbers: ties, duplicates, clusters, offsets, outliers, bits, a simplex."""
    gen = draw(generators())
    n, d = draw(st.integers(256, 300)), draw(st.sampled_from((128, 129, 200)))
    values = draw(st.sampled_from((2, 5, 100)))
    points = torch.randint(0, values, (n, d), generator=gen)
    kind = draw(st.sampled_from(("plain", "twins", "clusters", "outlier", "simplex", "few places")))
    if kind == "twins":
        points = points[torch.arange(n) // 2]
    elif kind == "clusters":
        points = 100 * points[torch.arange(n) % 8] + torch.randint(0, 2, (n, d), generator=gen)
    elif kind == "outlier":
        points[draw(st.integers(0, n - 1)), 0] = 2000
    elif kind == "simplex":
        points = torch.eye(n, d).long()
    elif kind == "few places":
        points = points[torch.randint(0, draw(st.integers(1, 40)), (n,), generator=gen)]
    points = points + draw(st.sampled_from((0, 1000)))
    scale = draw(st.sampled_from((1.0, 2.0**-30, 2.0**20)))
    return points.to(draw(st.sampled_from((torch.float32, torch.float64)))) * scale


@settings(max_examples=40)
@given(grids())
def test_clouds_on_a_grid(points):
    expected = torchtopo.minimum_spanning_tree(exact_distances(points)).edges
    assert torch.equal(torchtopo.vietoris_rips_pairs(points), expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("kind", ["gaussian", "relu", "heavy tails", "clusters", "near ties"])
@pytest.mark.parametrize(("n", "d"), [(260, 130), (300, 700)])
def test_deaths_are_those_of_the_matrix(dtype, metric, kind, n, d):
    x, eps = torch.randn(n, d, dtype=dtype), torch.finfo(dtype).eps
    points = {
        "gaussian": lambda: x,
        "relu": lambda: x.relu(),
        "heavy tails": lambda: x / torch.randn_like(x).abs().clamp(min=0.01),
        "clusters": lambda: 10 * x[torch.arange(n) % 9] + x / 100,
        "near ties": lambda: torch.eye(d, dtype=dtype)[torch.arange(n) % d] + x * eps,
    }[kind]()
    wide = points.double()
    wide = torch.nn.functional.normalize(wide) if metric == "cosine" else wide
    distances = torch.cdist(wide, wide, compute_mode="donot_use_mm_for_euclid_dist")
    distances = distances.square() / 2 if metric == "cosine" else distances
    expected = torchtopo.minimum_spanning_tree(distances).weights.to(dtype)
    tolerance = 1e-5 if dtype == torch.float32 else 1e-10
    torch.testing.assert_close(
        torchtopo.deaths(points, metric=metric), expected, rtol=tolerance, atol=tolerance
    )


@pytest.mark.parametrize("value", [torch.nan, torch.inf, 1e30])
def test_one_coordinate_out_of_range(value):
    points = torch.randn(300, 200)
    points[7, 5] = value
    died = torchtopo.deaths(points)
    rest = torchtopo.deaths(torch.cat([points[:7], points[8:]]))
    assert torch.equal(died[:-1], rest)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("tied", [False, True])
def test_the_farthest_pair_on_the_way_is_the_one_looked_for_alone(dtype, tied):
    x = torch.randn(300, 200, dtype=dtype)
    x = x.round() if tied else x
    z = torch.randn(300, 2, dtype=dtype)
    pairs = torchtopo.vietoris_rips_pairs(x)
    on_the_way = torchtopo.signature_loss(x, z, convention="torch_topological")
    alone = torchtopo.signature_loss(x, z, convention="torch_topological", pairs_x=pairs)
    assert torch.equal(on_the_way, alone)


def test_codes_are_what_many_dimensions_take():
    quick = _C.plan(1024, 512) == "codes"
    assert quick == (_C.plan(256, 128) == "codes")
    assert _C.plan(200, 512) == _C.plan(1024, 32) == "tiled"
    assert quick == (_C.plan(256, 32, doubles=True) == "codes")  # whose matrix is half as large
    assert _C.plan(256, 16, doubles=True) == "matrix-free"
