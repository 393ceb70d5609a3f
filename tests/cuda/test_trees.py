"""On the GPU: the same pairs as on the CPU, whatever the data, the batch and the plan."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import torchtopo
from torchtopo import _C

pytestmark = pytest.mark.cuda

METRICS = ["euclidean", "manhattan", "chebyshev", "cosine"]
FLOATS = [torch.float32, torch.float64]
SIZES = [1, 2, 3, 31, 32, 33, 64, 255, 512]


def grid(*shape: int, high: int = 4, dtype: torch.dtype = torch.float32) -> Tensor:
    """Small integers: full of ties and duplicates, measured exactly."""
    return torch.randint(0, high, shape).to(dtype)


@pytest.mark.parametrize("dtype", [*FLOATS, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("n", SIZES)
def test_matrices(device: torch.device, plan: str, n: int, dtype: torch.dtype) -> None:
    for matrices in (grid(3, n, n, high=7, dtype=dtype) - 2, torch.randn(3, n, n).to(dtype)):
        found = torchtopo.minimum_spanning_tree(matrices.to(device))
        expected = torchtopo.minimum_spanning_tree(matrices)
        assert torch.equal(found.edges.cpu(), expected.edges)
        assert torch.equal(found.weights.cpu(), expected.weights)


@pytest.mark.parametrize("metric", METRICS[:3])
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("n", SIZES)
def test_points_full_of_ties(
    device: torch.device, plan: str, n: int, dtype: torch.dtype, metric: str
) -> None:
    clouds = grid(2, 3, n, 5, dtype=dtype)
    found = torchtopo.vietoris_rips_generators(clouds.to(device), metric=metric)  # type: ignore[arg-type]
    assert torch.equal(found.cpu(), torchtopo.vietoris_rips_generators(clouds, metric=metric))  # type: ignore[arg-type]


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("d", [1, 2, 8, 9, 32, 33, 64, 65, 512])
def test_random_points(device: torch.device, d: int, dtype: torch.dtype, metric: str) -> None:
    clouds = torch.randn(3, 200, d, dtype=dtype)
    if metric == "cosine" and d == 1:
        clouds = clouds.abs()
    found = torchtopo.deaths(clouds.to(device), metric=metric).cpu()  # type: ignore[arg-type]
    expected = torchtopo.deaths(clouds, metric=metric)  # type: ignore[arg-type]
    torch.testing.assert_close(
        found, expected, rtol=1e-6 if dtype == torch.float32 else 1e-12, atol=0
    )


def test_plans_agree_bit_for_bit(gpu: torch.device) -> None:
    from torchtopo._operators import cuda as _cuda

    for n, d in ((300, 3), (512, 64), (1000, 20)):
        clouds = torch.randn(4, n, d, device=gpu)
        with _cuda.plan("one_block"):
            pairs, deaths = torchtopo.vietoris_rips_pairs(clouds), torchtopo.deaths(clouds)
        with _cuda.plan("many_blocks"):
            assert torch.equal(torchtopo.vietoris_rips_pairs(clouds), pairs)
            assert torch.equal(torchtopo.deaths(clouds), deaths)


@pytest.mark.parametrize("n", [1023, 1024, 1025, 2048, 2049, 5000])
def test_about_the_limits_of_a_block(device: torch.device, n: int) -> None:
    cloud = grid(n, 3, high=30)
    assert torch.equal(
        torchtopo.vietoris_rips_pairs(cloud.to(device)).cpu(), torchtopo.vietoris_rips_pairs(cloud)
    )
    if n <= 2049:
        matrix = grid(n, n, high=1000)
        assert torch.equal(
            torchtopo.minimum_spanning_tree(matrix.to(device)).edges.cpu(),
            torchtopo.minimum_spanning_tree(matrix).edges,
        )


@pytest.mark.parametrize(("n", "d"), [(16384, 64), (100_000, 8)])
def test_large_clouds(gpu: torch.device, n: int, d: int) -> None:
    cloud = torch.randn(n, d)
    expected = torchtopo.deaths(cloud)
    torch.testing.assert_close(torchtopo.deaths(cloud.to(gpu)).cpu(), expected, rtol=1e-6, atol=0)


def test_a_large_matrix(gpu: torch.device) -> None:
    matrix = grid(8192, 8192, high=10**6)
    found = torchtopo.minimum_spanning_tree(matrix.to(gpu)).edges.cpu()
    assert torch.equal(found, torchtopo.minimum_spanning_tree(matrix).edges)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16])
def test_ragged_bit_for_bit(
    device: torch.device, plan: str, metric: str, dtype: torch.dtype
) -> None:
    sizes = [5, 1, 300, 2, 64, 33]
    bags = [torch.randn(n, 7).to(dtype).to(device) for n in sizes]
    padded = torch.full((len(bags), 300, 7), torch.nan, dtype=dtype, device=device)
    for row, bag in zip(padded, bags, strict=True):
        row[: len(bag)] = bag
    lengths = torch.tensor(sizes, device=device)
    points, cu_seqlens = torchtopo.pack(bags)
    alone = [
        (torchtopo.vietoris_rips_pairs(b, metric=metric), torchtopo.deaths(b, metric=metric))  # type: ignore[arg-type]
        for b in bags
    ]
    pairs = torchtopo.vietoris_rips_pairs(padded, metric=metric, lengths=lengths)  # type: ignore[arg-type]
    deaths = torchtopo.deaths(padded, metric=metric, lengths=lengths)  # type: ignore[arg-type]
    packed = torchtopo.vietoris_rips_pairs(points, metric=metric, cu_seqlens=cu_seqlens)  # type: ignore[arg-type]
    for b, (pair, death) in enumerate(alone):
        m = sizes[b] - 1
        assert torch.equal(pairs[b, :m], pair)
        assert torch.equal(deaths[b, :m], death)
        assert (pairs[b, m:] == -1).all()
        assert (deaths[b, m:] == 0).all()
    assert torch.equal(
        torchtopo.deaths(points, metric=metric, cu_seqlens=cu_seqlens),
        torch.cat([d for _, d in alone]),
    )  # type: ignore[arg-type]
    starts = cu_seqlens[:-1].tolist()
    assert torch.equal(packed, torch.cat([p + s for (p, _), s in zip(alone, starts, strict=True)]))


def test_ragged_matrices(device: torch.device, plan: str) -> None:
    matrices, lengths = grid(4, 70, 70, high=9), torch.tensor([70, 1, 33, 2])
    found = torchtopo.minimum_spanning_tree(matrices.to(device), lengths=lengths.to(device))
    expected = torchtopo.minimum_spanning_tree(matrices, lengths=lengths)
    assert torch.equal(found.edges.cpu(), expected.edges)
    assert torch.equal(found.weights.cpu(), expected.weights)


@pytest.mark.parametrize("dtype", FLOATS)
def test_nan_infinity_signed_zero(device: torch.device, plan: str, dtype: torch.dtype) -> None:
    values = torch.tensor([0.0, -0.0, 1.0, -1.0, torch.inf, -torch.inf, torch.nan], dtype=dtype)
    matrices = values[torch.randint(0, 7, (5, 40, 40))]
    found = torchtopo.minimum_spanning_tree(matrices.to(device))
    expected = torchtopo.minimum_spanning_tree(matrices)
    assert torch.equal(found.edges.cpu(), expected.edges)
    torch.testing.assert_close(
        found.weights.cpu(), expected.weights, equal_nan=True, rtol=0, atol=0
    )
    cloud = grid(40, 3, dtype=dtype)
    cloud[3, 1], cloud[9, 0] = torch.nan, torch.inf
    torch.testing.assert_close(
        torchtopo.deaths(cloud.to(device)).cpu(), torchtopo.deaths(cloud), equal_nan=True
    )


@pytest.mark.parametrize(
    ("dtype", "scale"),
    [
        (torch.float32, 1e-30),
        (torch.float32, 1e25),
        (torch.float64, 1e-200),
        (torch.float64, 1e200),
    ],
)
def test_squares_out_of_range(
    device: torch.device, plan: str, dtype: torch.dtype, scale: float
) -> None:
    clouds = (torch.randint(0, 90, (2, 50, 3)).double() * scale).to(dtype)
    torch.testing.assert_close(
        torchtopo.deaths(clouds.to(device)).cpu(), torchtopo.deaths(clouds), rtol=1e-6, atol=0
    )


def test_far_from_the_origin(device: torch.device, plan: str) -> None:
    cloud = 100 + 1e-3 * torch.randn(200, 20)
    exact = torchtopo.deaths(cloud.double()).float()
    torch.testing.assert_close(torchtopo.deaths(cloud.to(device)).cpu(), exact, rtol=1e-5, atol=0)


def test_wrong_sizes_stay_in_bounds(gpu: torch.device, plan: str) -> None:
    points = torch.randn(3, 40, 3, device=gpu)
    for bad in ([-5, 2**62, 0], [41, 40, -(2**63)]):
        pairs = torchtopo.vietoris_rips_pairs(points, lengths=torch.tensor(bad, device=gpu))
        assert bool(((pairs >= -1) & (pairs < 40)).all())
    for bad in ([0, 2**62, 5, 120], [7, 3, 90, 1], [-9, -8, -7, -6], [0, 10, 10, 120]):
        ends = torch.tensor(bad, device=gpu)
        pairs = torchtopo.vietoris_rips_pairs(points.reshape(-1, 3), cu_seqlens=ends)
        assert bool(((pairs >= -1) & (pairs < 120)).all())
    torch.cuda.synchronize()  # the context is still usable
    with pytest.raises(ValueError, match="lengths must lie in"):
        torchtopo.deaths(points, lengths=torch.tensor([41, 1, 1], device=gpu), validate=True)
    ends = torch.tensor([0, 60, 50, 120], device=gpu)
    with pytest.raises(ValueError, match="cu_seqlens must"):
        torchtopo.deaths(points.reshape(-1, 3), cu_seqlens=ends, validate=True)


def test_the_same_every_time(device: torch.device, plan: str) -> None:
    """A result that moves is a race."""
    clouds, matrices = (
        torch.randn(40, 300, 16, device=device),
        torch.rand(20, 300, 300, device=device),
    )
    pairs = torchtopo.vietoris_rips_pairs(clouds)
    edges = torchtopo.minimum_spanning_tree(matrices).edges
    for _ in range(30):
        assert torch.equal(torchtopo.vietoris_rips_pairs(clouds), pairs)
        assert torch.equal(torchtopo.minimum_spanning_tree(matrices).edges, edges)


@pytest.mark.parametrize(
    ("dtype", "n", "d"),
    [(torch.float64, 1024, 0), (torch.float32, 1024, 0), (torch.float64, 2048, 8),
     (torch.float32, 2048, 8), (torch.float32, 1024, 32), (torch.float32, 512, 64)],
)  # fmt: skip
def test_one_block_at_its_limits(device: torch.device, dtype: torch.dtype, n: int, d: int) -> None:
    """Where a block takes more than 48 KB of shared memory, or all of its registers."""
    from torchtopo._operators import cuda as _cuda

    with _cuda.plan("one_block"):
        if d == 0:
            matrices = grid(2, n, n, high=1000, dtype=dtype)
            found = torchtopo.minimum_spanning_tree(matrices.to(device)).edges
            expected = torchtopo.minimum_spanning_tree(matrices).edges
        else:
            clouds = grid(2, n, d, high=9, dtype=dtype)
            found = torchtopo.vietoris_rips_pairs(clouds.to(device))
            expected = torchtopo.vietoris_rips_pairs(clouds)
    assert torch.equal(found.cpu(), expected)


@pytest.mark.parametrize("n", [64, 1000, 8000, 8001])
def test_elders_of_every_size_of_block(device: torch.device, n: int) -> None:
    """8000 names and first edges are what shared memory holds."""
    clouds = grid(2, n, 2, high=60)
    found = torchtopo.vietoris_rips_generators(clouds.to(device))
    assert torch.equal(found.cpu(), torchtopo.vietoris_rips_generators(clouds))


def test_what_lies_in_a_workspace_does_not_matter(
    gpu: torch.device, plan: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torchtopo._operators import cuda as _cuda

    clouds = [grid(3, n, d, high=9).to(gpu) for n, d in ((300, 6), (1500, 3))]
    expected = [torchtopo.vietoris_rips_generators(cloud) for cloud in clouds]
    empty = _cuda._workspace
    monkeypatch.setattr(_cuda, "_workspace", lambda *size: empty(*size).fill_(0xA5))
    for cloud, elders in zip(clouds, expected, strict=True):
        assert torch.equal(torchtopo.vietoris_rips_generators(cloud), elders)


@pytest.mark.parametrize("n", [300, 2100])
def test_zero_vectors_under_cosine(device: torch.device, plan: str, n: int) -> None:
    if plan == "one_block" and n > 2048:
        pytest.skip("more than a block holds")
    axes = torch.cat((torch.eye(6), -torch.eye(6)))
    cloud = axes[torch.randint(0, 12, (n,))] * 3
    cloud[::7] = 0
    found = torchtopo.vietoris_rips_pairs(cloud.to(device), metric="cosine")
    assert torch.equal(found.cpu(), torchtopo.vietoris_rips_pairs(cloud, metric="cosine"))


def test_the_longest_packed_bag(device: torch.device, plan: str) -> None:
    points, cu_seqlens = torchtopo.pack([grid(n, 3) for n in (40, 1, 64, 7)])
    ragged = {"cu_seqlens": cu_seqlens.to(device), "max_seqlen": 64}
    found = torchtopo.vietoris_rips_generators(points.to(device), **ragged)
    expected = torchtopo.vietoris_rips_generators(points, cu_seqlens=cu_seqlens)
    assert torch.equal(found.cpu(), expected)


def test_a_packed_bag_longer_than_said_is_padding(gpu: torch.device) -> None:
    points, cu_seqlens = torchtopo.pack([grid(n, 3) for n in (40, 1, 64, 7)])
    ragged = {"cu_seqlens": cu_seqlens.to(gpu), "max_seqlen": 63}
    found = torchtopo.vietoris_rips_pairs(points.to(gpu), **ragged).cpu()
    expected = torchtopo.vietoris_rips_pairs(points, cu_seqlens=cu_seqlens)
    expected[39 : 39 + 63] = -1
    assert torch.equal(found, expected)
    with pytest.raises(ValueError, match="max_seqlen is 63, but bag 2 has 64 points"):
        torchtopo.vietoris_rips_pairs(points.to(gpu), **ragged, validate=True)


def test_a_bag_too_large_for_the_path_is_an_error(gpu: torch.device) -> None:
    from torchtopo._operators import cuda as _cuda

    with _cuda.plan("one_block"), pytest.raises(ValueError, match="a block holds at most"):
        torchtopo.vietoris_rips_pairs(torch.zeros(3000, 2, device=gpu))


@pytest.mark.parametrize("metric", [*METRICS[:3], "precomputed"])
def test_farthest_pairs(device: torch.device, metric: str) -> None:
    ops = torch.ops.torchtopo
    data, lengths = grid(3, 60, 60, high=9), torch.tensor([60, 1, 33])
    found = ops.farthest_pairs(data.to(device), metric, lengths.to(device), None)
    assert torch.equal(found.cpu(), ops.farthest_pairs(data, metric, lengths, None))
    if metric != "precomputed":
        ends = torch.tensor([0, 100, 101, 180])
        found = ops.farthest_pairs(data.reshape(-1, 60).to(device), metric, None, ends.to(device))
        assert torch.equal(
            found.cpu(), ops.farthest_pairs(data.reshape(-1, 60), metric, None, ends)
        )


def test_config_names_the_kernels(gpu: torch.device) -> None:
    config = _C.config()
    assert config["cuda"]
    assert config["cuda_archs"]
    assert f"CUDA {config['cuda_version']}" in torchtopo.show_config()
