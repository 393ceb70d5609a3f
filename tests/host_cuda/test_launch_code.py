"""torchtopo/_operators/cuda.py over the real bindings, kernels on the host and CPU tensors.

Only the two calls into torch.cuda are replaced; the arguments, the allocation of outputs and
workspace, and the shapes are those of a GPU.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

import torchtopo
from torchtopo import _checks, _metric
from torchtopo._operators import cuda as _cuda

from . import emulator


@pytest.mark.parametrize("metric", _metric.POINT_METRICS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_trees_of_points(cuda: Any, metric: str, dtype: torch.dtype) -> None:
    clouds = torch.randn(2, 2, 30, 5).to(dtype)
    lengths = torch.tensor([[30, 4], [1, 17]], dtype=torch.int32)
    ops = torch.ops.torchtopo
    for sizes in (None, lengths):
        pairs, weights = cuda.trees(clouds, metric, sizes, None)
        expected_pairs, expected_weights = ops.trees(clouds, metric, sizes, None)
        assert torch.equal(pairs, expected_pairs)
        torch.testing.assert_close(weights, expected_weights, rtol=3e-7, atol=0)
    measured = cuda.pair_lengths(clouds, pairs, metric)
    assert torch.equal(measured, weights)
    assert torch.equal(cuda.elder_rule(pairs, 30), ops.elder_rule(pairs, 30))
    points, cu_seqlens = torchtopo.pack([clouds[0, 0], clouds[0, 1, :4], clouds[1, 0, :1]])
    packed, _ = cuda.trees(points, metric, None, cu_seqlens)
    assert torch.equal(packed, ops.trees(points, metric, None, cu_seqlens)[0])


@pytest.mark.parametrize("metric", list(_metric.METRICS))
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_farthest_pairs(cuda: Any, metric: str, dtype: torch.dtype) -> None:
    ops = torch.ops.torchtopo
    data = torch.randint(0, 9, (2, 3, 21, 21)).to(dtype)  # many ties
    if metric == "cosine":
        data = torch.randn(2, 3, 21, 21).to(dtype)
    data[0, 1, 2, 5] = torch.inf
    data[1, 2, 3, 7] = torch.nan
    lengths = torch.tensor([[21, 1, 2], [20, 13, 21]])
    for sizes in (None, lengths):
        found = cuda.farthest_pairs(data, metric, sizes, None)
        assert torch.equal(found, ops.farthest_pairs(data, metric, sizes, None))
    if metric != "precomputed":
        ends = torch.tensor([0, 21, 22, 40, 126])
        found = cuda.farthest_pairs(data.reshape(-1, 21), metric, None, ends)
        assert torch.equal(found, ops.farthest_pairs(data.reshape(-1, 21), metric, None, ends))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_distances_beyond_the_type_are_never_the_farthest(cuda: Any, dtype: torch.dtype) -> None:
    """max - (-max) is finite in double, where lengths are measured, and not in float32."""
    most = torch.finfo(dtype).max
    cloud = torch.tensor([[most], [-most], [most / 2], [0.0]], dtype=dtype)
    assert cuda.farthest_pairs(cloud, "euclidean", None, None).tolist() == [0, 3]
    assert cuda.farthest_pairs(cloud[:2], "euclidean", None, None).tolist() == [-1, -1]


@pytest.mark.parametrize("n", [1, 40])
def test_trees_of_matrices(cuda: Any, n: int) -> None:
    matrices = torch.randint(0, 5, (3, n, n)).double().mT  # not contiguous
    edges, weights = cuda.trees(matrices, "precomputed", None, None)
    expected = torchtopo.minimum_spanning_tree(matrices)
    assert torch.equal(edges, expected.edges)
    assert torch.equal(weights, expected.weights)


@pytest.mark.parametrize("metric", _metric.POINT_METRICS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gradients(cuda: Any, metric: str, dtype: torch.dtype) -> None:
    """Those of the CPU, whose pulls are added in the order of the pairs too; bit for bit again."""
    generator = torch.Generator().manual_seed(0)
    for bags, n, d, m in ((3, 40, 37, 78), (1, 2, 1, 1), (1, 500, 3, 2300)):  # in a block; merged
        points = torch.randn(bags, n, d, dtype=dtype, generator=generator)
        points[:, 0] = points[:, 1]
        pairs = torch.randint(-1, n, (bags, m, 2), generator=generator)
        pairs[0, : m // 2, 0] = 0  # a star
        pairs[(pairs < 0).any(-1)] = -1
        grad = torch.randn(bags, m, dtype=dtype, generator=generator)
        found = cuda.pair_pulls(grad, points, pairs, metric)
        assert torch.equal(cuda.pair_pulls(grad, points, pairs, metric), found)
        expected = torch.ops.torchtopo.pair_pulls(grad, points, pairs, metric)
        close = {"rtol": 1e-5, "atol": 1e-5} if dtype == torch.float32 else {}
        torch.testing.assert_close(found, expected, **close)
    points[0, 3, 0], points[0, 4, 0] = torch.nan, torch.inf
    found = cuda.pair_pulls(grad, points, pairs, metric)
    expected = torch.ops.torchtopo.pair_pulls(grad, points, pairs, metric)
    torch.testing.assert_close(found, expected, equal_nan=True, **close)


def test_gradients_take_three_launches(cuda: Any, module: ModuleType) -> None:
    points, pairs = torch.randn(16, 256, 64), torch.randint(0, 256, (16, 510, 2))
    before = module.launches()
    cuda.pair_pulls(torch.ones(16, 510), points[..., :1], pairs, "euclidean")
    assert module.launches() == before + 3
    empty = cuda.pair_pulls(torch.ones(2, 0), points[:2], pairs[:2, :0], "euclidean")
    assert empty.shape == (2, 256, 64)
    assert (empty == 0).all()


def test_no_bags(cuda: Any) -> None:
    pairs, weights = cuda.trees(torch.zeros(0, 5, 2), "euclidean", None, None)
    assert pairs.shape == (0, 4, 2)
    assert weights.shape == (0, 4)


def test_one_launch_for_small_bags(cuda: Any, module: ModuleType) -> None:
    with _cuda.plan("automatic"):
        for call in (
            lambda: cuda.trees(torch.randn(8, 64, 16), "euclidean", None, None),
            lambda: cuda.trees(torch.rand(8, 64, 64), "precomputed", None, None),
        ):
            before = module.launches()
            call()
            assert module.launches() == before + 1


def test_packed_bags_whose_longest_is_named(
    cuda: Any, module: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_checks, "check_no_longer", lambda *_: None)  # as on a device
    bags = [torch.randn(n, 3) for n in (40, 1, 64, 7, 30, 64, 50, 60)]
    points, cu_seqlens = torchtopo.pack(bags)
    found = cuda.trees(points, "euclidean", None, cu_seqlens, 64)
    for here, there in zip(found, cuda.trees(points, "euclidean", None, cu_seqlens), strict=True):
        assert torch.equal(here, there)
    # Too few is no way out of bounds: a larger bag comes back as padding, the others as they are.
    pairs, weights = cuda.trees(points, "euclidean", None, cu_seqlens, 63)
    left_out = torch.cat([torch.full((len(bag) - 1,), len(bag) > 63) for bag in bags])
    assert torch.equal(pairs, found[0].masked_fill(left_out.unsqueeze(-1), -1))
    assert torch.equal(weights, found[1].masked_fill(left_out, 0))
    with _cuda.plan("automatic"):
        before = module.launches()
        cuda.trees(points, "euclidean", None, cu_seqlens, 64)
        assert module.launches() == before + 1


@pytest.mark.parametrize("most", [None, 9000])
def test_elders_of_packed_bags(cuda: Any, module: ModuleType, most: int | None) -> None:
    """A block a bag where bags are small; else all are one forest."""
    bags = [torch.randint(0, 4, (n, 2)).float() for n in (40, 1, 64, 7, 2)]
    if most is not None:
        bags.append(torch.zeros(8999, 2))
    points, cu_seqlens = torchtopo.pack(bags)
    pairs = torch.ops.torchtopo.trees(points, "euclidean", None, cu_seqlens)[0]
    blocks = module.blocks()
    found = cuda.elder_rule(pairs, len(points), cu_seqlens, most)
    assert module.blocks() - blocks == (len(bags) if most is None else 1)
    assert torch.equal(found, torch.ops.torchtopo.elder_rule(pairs, len(points)))
    if most is None:  # whatever cu_seqlens say, an edge kills a vertex or nobody
        for ends in ([0, 0, 200, 3, 9, 114], [-5, 40, 2**40, 105, 112, 114], [0, 90, 20, 80, 7, 9]):
            found = cuda.elder_rule(pairs, len(points), torch.tensor(ends))
            assert bool(((found >= -1) & (found < len(points))).all())


def test_errors(cuda: Any) -> None:
    with pytest.raises(TypeError, match="float"):
        cuda.trees(torch.zeros(3, 2, dtype=torch.int32), "euclidean", None, None)
    with pytest.raises(ValueError, match="lengths must have the batch shape"):
        cuda.trees(torch.zeros(3, 4, 2), "euclidean", torch.ones(2, dtype=torch.int64), None)
    with _cuda.plan("one_block"), pytest.raises(ValueError, match="a block holds at most 2048"):
        cuda.trees(torch.zeros(3000, 2), "euclidean", None, None)


def test_threads_do_not_lower_each_others_shared_memory(tmp_path: Path, compiler: str) -> None:
    here, program = Path(emulator.__file__).parent, tmp_path / "shared_limit"
    includes = [f"-I{emulator.CUDA}", f"-I{here / 'fake_runtime'}"]
    source = here / "shared_limit.cpp"
    subprocess.run([compiler, "-std=c++17", *includes, source, "-o", program], check=True)
    done = subprocess.run([program], capture_output=True, text=True, check=False)
    assert done.stdout == "refused 0\n"


def test_config(module: ModuleType) -> None:
    assert set(module.config()) == {"cuda_version", "cuda_archs"}
