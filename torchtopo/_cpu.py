"""The operators on the CPU: check the arguments, allocate the outputs, call the compiled kernel.

Values of `lengths` and `cu_seqlens` are checked here, at run time, before the kernel touches memory
through them; those of pairs are checked by the kernel as it reads them.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from torchtopo import _C, _bags, _generic
from torchtopo._bags import POINT_METRICS

_PRECOMPUTED = 4


def minimum_spanning_tree(distances: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
    _bags.check_points(distances, "precomputed", lengths, "distances")
    *batch, n, _ = distances.shape
    values, dtype = _contiguous(distances)
    limits = _int64_lengths(lengths, n)
    edges = torch.empty((*batch, n - 1, 2), dtype=torch.int64)
    weights = torch.empty((*batch, n - 1), dtype=values.dtype)
    _C.minimum_spanning_tree(
        values.data_ptr(),
        dtype,
        _count(batch),
        n,
        0 if limits is None else limits.data_ptr(),
        edges.data_ptr(),
        weights.data_ptr(),
        torch.get_num_threads(),
    )
    return edges, weights


def vietoris_rips(points: Tensor, metric: str, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
    return _padded_trees(_C.vietoris_rips, points, metric, lengths)


def vietoris_rips_diameter(
    points: Tensor, metric: str, lengths: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Trees, and the farthest pair of each bag while its distances are at hand."""
    pair = torch.empty((*points.shape[:-2], 2), dtype=torch.int64)
    trees = _padded_trees(_C.vietoris_rips_diameter, points, metric, lengths, pair.data_ptr())
    return *trees, pair


def vietoris_rips_packed(points: Tensor, cu_seqlens: Tensor, metric: str) -> tuple[Tensor, Tensor]:
    return _packed_trees(_C.vietoris_rips_packed, points, cu_seqlens, metric)


def vietoris_rips_diameter_packed(
    points: Tensor, cu_seqlens: Tensor, metric: str
) -> tuple[Tensor, Tensor, Tensor]:
    pair = torch.empty((cu_seqlens.shape[0] - 1, 2), dtype=torch.int64)
    kernel = _C.vietoris_rips_diameter_packed
    return *_packed_trees(kernel, points, cu_seqlens, metric, pair.data_ptr()), pair


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
    out = torch.empty((*batch, m), dtype=values.dtype)
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
    pair = torch.empty((*batch, 2), dtype=torch.int64)
    _C.diameter(
        values.data_ptr(),
        dtype,
        POINT_METRICS.get(metric, _PRECOMPUTED),
        _count(batch),
        n,
        d,
        0 if limits is None else limits.data_ptr(),
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
    kernel: Callable[..., None], points: Tensor, metric: str, lengths: Tensor | None, *pair: int
) -> tuple[Tensor, Tensor]:
    _bags.check_points(points, metric, lengths)
    *batch, n, d = points.shape
    values, dtype = _contiguous(points)
    limits = _int64_lengths(lengths, n)
    edges = torch.empty((*batch, n - 1, 2), dtype=torch.int64)
    weights = torch.empty((*batch, n - 1), dtype=values.dtype)
    kernel(
        values.data_ptr(),
        dtype,
        POINT_METRICS[metric],
        _count(batch),
        n,
        d,
        0 if limits is None else limits.data_ptr(),
        edges.data_ptr(),
        weights.data_ptr(),
        *pair,
        torch.get_num_threads(),
    )
    return edges, weights


def _packed_trees(
    kernel: Callable[..., None], points: Tensor, cu_seqlens: Tensor, metric: str, *pair: int
) -> tuple[Tensor, Tensor]:
    _bags.check_packed(points, cu_seqlens, metric)
    total, d = points.shape
    _bags.check_cu_seqlens_in_order(cu_seqlens, total)
    bags = cu_seqlens.shape[0] - 1
    values, dtype = _contiguous(points)
    ends = cu_seqlens.to(torch.int64).contiguous()
    edges = torch.empty((total - bags, 2), dtype=torch.int64)
    weights = torch.empty((total - bags,), dtype=values.dtype)
    kernel(
        values.data_ptr(),
        dtype,
        POINT_METRICS[metric],
        bags,
        d,
        ends.data_ptr(),
        edges.data_ptr(),
        weights.data_ptr(),
        *pair,
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


def _count(batch: list[int]) -> int:
    bags = 1
    for size in batch:
        bags *= size
    return bags
