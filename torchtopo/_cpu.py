"""The operators on the CPU: check the arguments, allocate the outputs, call the compiled kernel.

Values of `lengths` and `cu_seqlens` are checked here, at run time, before the kernel touches memory
through them; those of pairs are checked by the kernel as it reads them.
"""

from __future__ import annotations

import torch
from torch import Tensor

from torchtopo import _C, _bags, _generic
from torchtopo._bags import POINT_METRICS

_PRECOMPUTED = 4


def minimum_spanning_tree(distances: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
    _bags.check_points(distances, "precomputed", lengths, "distances")
    return _padded_trees(distances, "precomputed", lengths)


def vietoris_rips(points: Tensor, metric: str, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
    _bags.check_points(points, metric, lengths)
    return _padded_trees(points, metric, lengths)


def vietoris_rips_diameter(
    points: Tensor, metric: str, lengths: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Trees, and the farthest pair of each bag while its distances are at hand."""
    _bags.check_points(points, metric, lengths)
    farthest = torch.empty((*points.shape[:-2], 2), dtype=torch.int64)
    return *_padded_trees(points, metric, lengths, farthest), farthest


def vietoris_rips_packed(points: Tensor, cu_seqlens: Tensor, metric: str) -> tuple[Tensor, Tensor]:
    _bags.check_packed(points, cu_seqlens, metric)
    return _packed_trees(points, cu_seqlens, metric)


def vietoris_rips_diameter_packed(
    points: Tensor, cu_seqlens: Tensor, metric: str
) -> tuple[Tensor, Tensor, Tensor]:
    _bags.check_packed(points, cu_seqlens, metric)
    farthest = torch.empty((cu_seqlens.shape[0] - 1, 2), dtype=torch.int64)
    return *_packed_trees(points, cu_seqlens, metric, farthest), farthest


def elder_rule(pairs: Tensor, n: int) -> Tensor:
    *batch, m, _ = pairs.shape
    edges = pairs.contiguous()
    dying = torch.empty((*batch, m), dtype=torch.int64)
    _C.elder_rule(edges.data_ptr(), _count(batch), m, n, dying.data_ptr(), torch.get_num_threads())
    return dying


def pair_distances(points: Tensor, pairs: Tensor, metric: str) -> Tensor:
    _bags.check_points(points, metric)
    _bags.check_pairs(points, pairs)
    *batch, n, d = points.shape
    m = pairs.shape[-2]
    if metric == "precomputed":
        _bags.check_pairs_in_range(pairs, n)
        return _generic.pair_distances(points, pairs, metric)
    values, dtype = _contiguous(points)
    edges = pairs.contiguous()
    out = torch.empty(*batch, m, dtype=values.dtype)
    _C.pair_distances(
        values.data_ptr(),
        dtype,
        POINT_METRICS[metric],
        _count(batch),
        n,
        d,
        edges.data_ptr(),
        m,
        out.data_ptr(),
        torch.get_num_threads(),
    )
    return out


def pair_distances_backward(grad: Tensor, points: Tensor, pairs: Tensor, metric: str) -> Tensor:
    """The gradient of the points: each pair pulls its two ends along the gradient of its length."""
    _bags.check_points(points, metric)
    _bags.check_pairs(points, pairs)
    *batch, n, d = points.shape
    values, dtype = _contiguous(points)
    edges = pairs.contiguous()
    pull = grad.to(values.dtype).contiguous()
    if pull.shape != pairs.shape[:-1]:
        raise ValueError(f"grad {tuple(grad.shape)} does not fit pairs {tuple(pairs.shape)}")
    out = torch.empty(points.shape, dtype=values.dtype)
    _C.pair_distances_backward(
        values.data_ptr(),
        dtype,
        POINT_METRICS[metric],
        _count(batch),
        n,
        d,
        edges.data_ptr(),
        pairs.shape[-2],
        pull.data_ptr(),
        out.data_ptr(),
        torch.get_num_threads(),
    )
    return out.to(points.dtype)


def diameter(points: Tensor, metric: str, lengths: Tensor | None) -> Tensor:
    """The farthest pair at a finite distance; a pair at distance NaN comes before it."""
    _bags.check_points(points, metric, lengths)
    *batch, n, d = points.shape
    values, dtype = _contiguous(points)
    limits = _int64_lengths(lengths, n)
    pair = torch.empty(*batch, 2, dtype=torch.int64)
    _C.diameter(
        values.data_ptr(),
        dtype,
        POINT_METRICS.get(metric, _PRECOMPUTED),
        _count(batch),
        n,
        d,
        _address(limits),
        pair.data_ptr(),
        torch.get_num_threads(),
    )
    return pair


def diameter_packed(points: Tensor, cu_seqlens: Tensor, metric: str) -> Tensor:
    """The farthest pair of each packed bag, in packed row numbers."""
    _bags.check_packed(points, cu_seqlens, metric)
    total, d = points.shape
    _bags.check_cu_seqlens_in_order(cu_seqlens, total)
    bags = cu_seqlens.shape[0] - 1
    values, dtype = _contiguous(points)
    ends = cu_seqlens.to(torch.int64).contiguous()
    pair = torch.empty((bags, 2), dtype=torch.int64)
    _C.diameter_packed(
        values.data_ptr(),
        dtype,
        POINT_METRICS[metric],
        bags,
        d,
        ends.data_ptr(),
        pair.data_ptr(),
        torch.get_num_threads(),
    )
    return pair


def _padded_trees(
    points: Tensor, metric: str, lengths: Tensor | None, farthest: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    *batch, n, d = points.shape
    values, dtype = _contiguous(points)
    limits = _int64_lengths(lengths, n)
    edges = torch.empty(*batch, n - 1, 2, dtype=torch.int64)
    weights = torch.empty(*batch, n - 1, dtype=values.dtype)
    _C.vietoris_rips(
        values.data_ptr(),
        dtype,
        POINT_METRICS.get(metric, _PRECOMPUTED),
        _count(batch),
        n,
        d,
        _address(limits),
        edges.data_ptr(),
        weights.data_ptr(),
        _address(farthest),
        torch.get_num_threads(),
    )
    return edges, weights


def _packed_trees(
    points: Tensor, cu_seqlens: Tensor, metric: str, farthest: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    total, d = points.shape
    _bags.check_cu_seqlens_in_order(cu_seqlens, total)
    bags = cu_seqlens.shape[0] - 1
    values, dtype = _contiguous(points)
    ends = cu_seqlens.to(torch.int64).contiguous()
    edges = torch.empty((total - bags, 2), dtype=torch.int64)
    weights = torch.empty((total - bags,), dtype=values.dtype)
    _C.vietoris_rips_packed(
        values.data_ptr(),
        dtype,
        POINT_METRICS[metric],
        bags,
        d,
        ends.data_ptr(),
        edges.data_ptr(),
        weights.data_ptr(),
        _address(farthest),
        torch.get_num_threads(),
    )
    return edges, weights


def _contiguous(points: Tensor) -> tuple[Tensor, int]:
    """Values as the kernels read them, and the number of their dtype; half types become float32."""
    if points.dtype == torch.float32:
        return points.contiguous(), 0
    if points.dtype == torch.float64:
        return points.contiguous(), 1
    return points.detach().float().contiguous(), 0


def _int64_lengths(lengths: Tensor | None, n: int) -> Tensor | None:
    if lengths is None:
        return None
    _bags.check_lengths_in_range(lengths, n)
    return lengths.to(torch.int64).contiguous()


def _address(values: Tensor | None) -> int:
    return 0 if values is None else values.data_ptr()


def _count(batch: list[int]) -> int:
    bags = 1
    for size in batch:
        bags *= size
    return bags
