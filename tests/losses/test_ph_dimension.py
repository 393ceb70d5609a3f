"""The dimension of cubes, spheres and fractals, and its standard error."""

from __future__ import annotations

import math

import pytest
import torch

import torchtopo


def sierpinski(n: int) -> torch.Tensor:
    """The triangle by its chaos game, dimension log 3 / log 2."""
    corners = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.5, 0.75**0.5]], dtype=torch.float64)
    points = torch.zeros(n, 2, dtype=torch.float64)
    for _ in range(40):
        points = (points + corners[torch.randint(0, 3, (n,))]) / 2
    return points


def koch(n: int) -> torch.Tensor:
    """The curve by random maps, dimension log 4 / log 3."""
    z = torch.zeros(n, dtype=torch.complex128)
    turn = complex(0.5, 0.75**0.5)
    maps = torch.tensor([1 / 3, turn / 3, turn.conjugate() / 3, 1 / 3], dtype=torch.complex128)
    shifts = torch.tensor([0, 1 / 3, 0.5 + 0.75**0.5 / 3 * 1j, 2 / 3], dtype=torch.complex128)
    for _ in range(30):
        choice = torch.randint(0, 4, (n,))
        z = maps[choice] * z + shifts[choice]
    return torch.view_as_real(z)


def cantor(n: int) -> torch.Tensor:
    """The set by its digits, dimension log 2 / log 3."""
    points = torch.zeros(n, 1, dtype=torch.float64)
    for _ in range(33):
        points = (points + 2 * torch.randint(0, 2, (n, 1))) / 3
    return points


def sphere(n: int) -> torch.Tensor:
    return torch.nn.functional.normalize(torch.randn(n, 3, dtype=torch.float64))


CLOUDS = {
    "segment in space": (lambda n: torch.rand(n, 1) * torch.ones(3), 1.0, 0.03),
    "square": (lambda n: torch.rand(n, 2), 2.0, 0.08),
    "cube": (lambda n: torch.rand(n, 3), 3.0, 0.2),
    "sphere": (sphere, 2.0, 0.08),
    "Sierpinski triangle": (sierpinski, math.log(3) / math.log(2), 0.05),
    "Koch curve": (koch, math.log(4) / math.log(3), 0.06),
}


@pytest.mark.parametrize("name", CLOUDS)
def test_known_dimensions(name):
    make, dimension, tolerance = CLOUDS[name]
    clouds = torch.stack([make(4000) for _ in range(3)])
    found = torchtopo.ph_dimension(clouds)
    assert found.dimension.shape == found.standard_error.shape == (3,)
    assert (found.dimension.mean() - dimension).abs() < tolerance
    assert bool((found.standard_error < 0.05).all())


def test_a_small_power_measures_a_dust():
    clouds = torch.stack([cantor(4000) for _ in range(3)])
    found = torchtopo.ph_dimension(clouds, alpha=0.2)
    assert (found.dimension.mean() - math.log(2) / math.log(3)).abs() < 0.03


def test_the_standard_error_is_that_of_scipys_regression():
    stats = pytest.importorskip("scipy.stats")
    points, sizes = torch.rand(300, 2, dtype=torch.float64), [30, 60, 90, 150]
    generator = torch.Generator().manual_seed(5)
    found = torchtopo.ph_dimension(points, sizes=sizes, repeats=3, generator=generator)
    generator = torch.Generator().manual_seed(5)
    x, y = [], []
    for size in sizes:
        rows = torch.rand(3, 300, generator=generator).argsort(-1)[:, :size]
        for subset in rows:
            x.append(math.log(size))
            y.append(torchtopo.deaths(points[subset]).sum().log().item())
    line = stats.linregress(x, y)
    dimension = 1 / (1 - line.slope)
    assert found.dimension.item() == pytest.approx(dimension)
    assert found.standard_error.item() == pytest.approx(line.stderr / (1 - line.slope) ** 2)


def test_scale_and_embedding_do_not_matter():
    points = torch.rand(500, 2, dtype=torch.float64)
    turn, _ = torch.linalg.qr(torch.randn(5, 5, dtype=torch.float64))
    seen = 100 * points @ turn[:2]
    found, other, by_distances = (
        torchtopo.ph_dimension(p, generator=torch.Generator().manual_seed(1), **options)
        for p, options in (
            (points, {}),
            (seen, {}),
            (torch.cdist(points, points), {"metric": "precomputed"}),
        )
    )
    torch.testing.assert_close(found, other)
    torch.testing.assert_close(found, by_distances, rtol=1e-5, atol=1e-6)


def test_ragged_clouds():
    clouds = [torch.rand(n, 2, dtype=torch.float64) for n in (700, 400, 500)]
    points, cu_seqlens = torchtopo.pack(clouds)
    padded = torch.nn.utils.rnn.pad_sequence(clouds, batch_first=True, padding_value=torch.nan)
    options = {"sizes": [50, 100, 200, 350], "repeats": 10}
    for found in (
        torchtopo.ph_dimension(points, cu_seqlens=cu_seqlens, **options),
        torchtopo.ph_dimension(padded, lengths=cu_seqlens.diff(), **options),
    ):
        assert found.dimension.shape == (3,)
        assert bool((found.dimension - 2).abs().max() < 0.3)
    # A subset of a cloud is drawn from that cloud: far apart, their dimensions stay their own.
    far = points + 1e3 * torch.repeat_interleave(torch.arange(3), cu_seqlens.diff()).unsqueeze(-1)
    found = torchtopo.ph_dimension(far, cu_seqlens=cu_seqlens, **options)
    assert bool((found.dimension - 2).abs().max() < 0.3)


def test_a_generator_repeats_the_draw():
    points = torch.rand(200, 2)
    draws = [
        torchtopo.ph_dimension(points, generator=torch.Generator().manual_seed(seed)).dimension
        for seed in (0, 0, 1)
    ]
    assert draws[0] == draws[1] != draws[2]
