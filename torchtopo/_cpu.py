"""The operators on the CPU: check the arguments, allocate the outputs, call the compiled kernel.

Values of `lengths` and `cu_seqlens` are checked here, at run time, before the kernel touches memory
through them; those of pairs are checked by the kernel as it reads them.
"""

from __future__ import annotations

import torch
from torch import Tensor

from torchtopo import _C, _bags
from torchtopo._bags import METRICS


def minimum_spanning_tree(distances: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
    _bags.check_points(distances, "precomputed", lengths, "distances")
    return _padded_trees(distances, "precomputed", lengths)


def vietoris_rips(points: Tensor, metric: str, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
    _bags.check_points(points, metric, lengths)
    return _padded_trees(points, metric, lengths)


def vietoris_rips_packed(points: Tensor, cu_seqlens: Tensor, metric: str) -> tuple[Tensor, Tensor]:
    _bags.check_packed(points, cu_seqlens, metric)
    *copies, total, _ = points.shape
    m = total - cu_seqlens.shape[-1] + 1
    values, space = _space(points, metric)
    ends = _int64_ends(cu_seqlens, total)
    edges = torch.empty((*copies, m, 2), dtype=torch.int64)
    weights = torch.empty((*copies, m), dtype=values.dtype)
    _C.vietoris_rips(
        values.data_ptr(),
        *space,
        ends.shape[0] - 1,
        0,
        0,
        ends.data_ptr(),
        edges.data_ptr(),
        weights.data_ptr(),
        torch.get_num_threads(),
    )
    return _bags.renamed(edges, total, -1), weights


def signature_edges(
    x: Tensor,
    z: Tensor,
    pairs_x: Tensor | None,
    metric_x: str,
    metric_z: str,
    lengths: Tensor | None,
    cu_seqlens: Tensor | None,
    farthest_x: bool,
    farthest_z: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """The edges of both trees, measured in both spaces bag by bag while a bag is in the cache."""
    _bags.check_spaces(x, z, metric_x, metric_z, pairs_x, lengths, cu_seqlens)
    values_x, space_x = _space(x, metric_x)
    values_z, space_z = _space(z, metric_z)
    *batch, n, _ = x.shape
    limits = ends = None
    if cu_seqlens is None:
        bags = batch
        limits = _int64_lengths(lengths, n)
        m = n - 1
    else:
        bags = [*batch, cu_seqlens.shape[-1] - 1]
        ends = _int64_ends(cu_seqlens, n)
        m = n - bags[-1]
        if pairs_x is not None:
            pairs_x = _bags.renamed(pairs_x, n, 1)
    known = None if pairs_x is None else pairs_x.contiguous()
    pairs = torch.empty(*batch, 2 * m, 2, dtype=torch.int64)
    a = torch.empty(*batch, 2 * m, dtype=values_x.dtype)
    b = torch.empty(*batch, 2 * m, dtype=values_z.dtype)
    far_x = torch.empty((*bags, 2) if farthest_x else 0, dtype=torch.int64)
    far_z = torch.empty((*bags, 2) if farthest_z else 0, dtype=torch.int64)
    _C.signature_edges(
        values_x.data_ptr(),
        *space_x,
        values_z.data_ptr(),
        *space_z,
        _count(bags),
        n,
        _address(limits),
        _address(ends),
        _address(known),
        pairs.data_ptr(),
        a.data_ptr(),
        b.data_ptr(),
        far_x.data_ptr() if farthest_x else 0,
        far_z.data_ptr() if farthest_z else 0,
        torch.get_num_threads(),
    )
    if cu_seqlens is None or not batch:
        return pairs, a, b, far_x, far_z

    def of_copies(values: Tensor) -> Tensor:
        """The kernel writes the edges of x of all bags before those of z."""
        both = values.reshape(2, *batch, m, *values.shape[len(batch) + 1 :])
        return both.movedim(0, len(batch)).reshape(values.shape)

    pairs = _bags.renamed(of_copies(pairs), n, -1)
    far_x, far_z = (_bags.renamed(far, n, -1) if far.dim() > 1 else far for far in (far_x, far_z))
    return pairs, of_copies(a), of_copies(b), far_x, far_z


def elder_rule(pairs: Tensor, n: int) -> Tensor:
    *batch, m, _ = pairs.shape
    edges = pairs.contiguous()
    dying = torch.empty((*batch, m), dtype=torch.int64)
    _C.elder_rule(edges.data_ptr(), _count(batch), m, n, dying.data_ptr(), torch.get_num_threads())
    return dying


def pair_distances(points: Tensor, pairs: Tensor, metric: str) -> Tensor:
    _bags.check_points(points, metric)
    _bags.check_pairs(points, pairs)
    *batch, n, _ = points.shape
    m = pairs.shape[-2]
    values, space = _space(points, metric)
    edges = pairs.contiguous()
    out = torch.empty(*batch, m, dtype=values.dtype)
    _C.pair_distances(
        values.data_ptr(),
        *space,
        _count(batch),
        n,
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
    *batch, n, _ = points.shape
    values, space = _space(points, metric)
    edges = pairs.contiguous()
    pull = grad.to(values.dtype).contiguous()
    if pull.shape != pairs.shape[:-1]:
        raise ValueError(f"grad {tuple(grad.shape)} does not fit pairs {tuple(pairs.shape)}")
    out = torch.empty(points.shape, dtype=values.dtype)
    _C.pair_distances_backward(
        values.data_ptr(),
        *space,
        _count(batch),
        n,
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
    *batch, n, _ = points.shape
    values, space = _space(points, metric)
    limits = _int64_lengths(lengths, n)
    pair = torch.empty(*batch, 2, dtype=torch.int64)
    _C.diameter(
        values.data_ptr(),
        *space,
        _count(batch),
        n,
        _address(limits),
        0,
        pair.data_ptr(),
        torch.get_num_threads(),
    )
    return pair


def diameter_packed(points: Tensor, cu_seqlens: Tensor, metric: str) -> Tensor:
    """The farthest pair of each packed bag, in packed row numbers."""
    _bags.check_packed(points, cu_seqlens, metric)
    *copies, total, _ = points.shape
    values, space = _space(points, metric)
    ends = _int64_ends(cu_seqlens, total)
    pair = torch.empty((*copies, cu_seqlens.shape[-1] - 1, 2), dtype=torch.int64)
    _C.diameter(
        values.data_ptr(),
        *space,
        ends.shape[0] - 1,
        0,
        0,
        ends.data_ptr(),
        pair.data_ptr(),
        torch.get_num_threads(),
    )
    return _bags.renamed(pair, total, -1)


def _padded_trees(points: Tensor, metric: str, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
    *batch, n, _ = points.shape
    values, space = _space(points, metric)
    limits = _int64_lengths(lengths, n)
    edges = torch.empty(*batch, n - 1, 2, dtype=torch.int64)
    weights = torch.empty(*batch, n - 1, dtype=values.dtype)
    _C.vietoris_rips(
        values.data_ptr(),
        *space,
        _count(batch),
        n,
        _address(limits),
        0,
        edges.data_ptr(),
        weights.data_ptr(),
        torch.get_num_threads(),
    )
    return edges, weights


def _space(points: Tensor, metric: str) -> tuple[Tensor, tuple[int, int, int]]:
    """Values as the kernels read them, half types as float32; and dtype, coordinates, metric."""
    dtype = 0
    if points.dtype == torch.float64:
        dtype = 1
    elif points.dtype != torch.float32:
        points = points.detach().float()
    return points.contiguous(), (dtype, points.shape[-1], METRICS.index(metric))


def _int64_lengths(lengths: Tensor | None, n: int) -> Tensor | None:
    if lengths is None:
        return None
    _bags.check_lengths_in_range(lengths, n)
    return lengths.to(torch.int64).contiguous()


def _int64_ends(cu_seqlens: Tensor, total: int) -> Tensor:
    _bags.check_cu_seqlens_in_order(cu_seqlens, total)
    return _bags.joined(cu_seqlens, total)


def _address(values: Tensor | None) -> int:
    return 0 if values is None else values.data_ptr()


def _count(batch: list[int]) -> int:
    bags = 1
    for size in batch:
        bags *= size
    return bags
