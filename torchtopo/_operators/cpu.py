"""The operators on the CPU: check the arguments, allocate the outputs, call the compiled kernel.

Values of `lengths` and `cu_seqlens` are checked here, at run time, before the kernel touches memory
through them; those of pairs are checked by the kernel as it reads them.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from torchtopo import _C, _checks
from torchtopo._bags import renamed
from torchtopo._operators.arguments import bags_of, pulls_of, space_of


def minimum_spanning_tree(distances: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
    _checks.check_points(distances, "precomputed", lengths, "distances")
    return _trees(distances, "precomputed", lengths, None)


def vietoris_rips(points: Tensor, metric: str, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
    _checks.check_points(points, metric, lengths)
    return _trees(points, metric, lengths, None)


def vietoris_rips_packed(points: Tensor, cu_seqlens: Tensor, metric: str) -> tuple[Tensor, Tensor]:
    _checks.check_packed(points, cu_seqlens, metric)
    edges, weights = _trees(points, metric, None, cu_seqlens)
    return renamed(edges, points.shape[-2], -1), weights


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
    _checks.check_spaces(x, z, metric_x, metric_z, pairs_x, lengths, cu_seqlens)
    values_x, space_x = space_of(x, metric_x)
    values_z, space_z = space_of(z, metric_z)
    _kept, bags = bags_of(x, lengths, cu_seqlens)
    *batch, n, _ = x.shape
    each = [] if cu_seqlens is None else [cu_seqlens.shape[-1] - 1]
    m = n - (each[0] if each else 1)
    if pairs_x is not None:
        pairs_x = (renamed(pairs_x, n, 1) if each else pairs_x).contiguous()
    pairs = torch.empty(*batch, 2 * m, 2, dtype=torch.int64)
    a = torch.empty(*batch, 2 * m, dtype=values_x.dtype)
    b = torch.empty(*batch, 2 * m, dtype=values_z.dtype)
    far_x = torch.empty((*batch, *each, 2) if farthest_x else 0, dtype=torch.int64)
    far_z = torch.empty((*batch, *each, 2) if farthest_z else 0, dtype=torch.int64)
    _C.signature_edges(
        space_x,
        space_z,
        bags,
        0 if pairs_x is None else pairs_x.data_ptr(),
        (pairs.data_ptr(), a.data_ptr(), b.data_ptr()),
        (far_x.data_ptr() if farthest_x else 0, far_z.data_ptr() if farthest_z else 0),
        torch.get_num_threads(),
    )
    if not (each and batch):
        return pairs, a, b, far_x, far_z

    def of_copies(values: Tensor) -> Tensor:
        """The kernel writes the edges of x of all bags before those of z."""
        both = values.reshape(2, *batch, m, *values.shape[len(batch) + 1 :])
        return both.movedim(0, len(batch)).reshape(values.shape)

    pairs = renamed(of_copies(pairs), n, -1)
    far_x, far_z = (renamed(far, n, -1) if far.dim() > 1 else far for far in (far_x, far_z))
    return pairs, of_copies(a), of_copies(b), far_x, far_z


def elder_rule(pairs: Tensor, n: int) -> Tensor:
    *batch, m, _ = pairs.shape
    edges = pairs.contiguous()
    dying = torch.empty(*batch, m, dtype=torch.int64)  # of numbers it costs less than of a tuple
    bags = math.prod(batch)
    _C.elder_rule(edges.data_ptr(), bags, m, n, dying.data_ptr(), torch.get_num_threads())
    return dying


def pair_distances(points: Tensor, pairs: Tensor, metric: str) -> Tensor:
    _checks.check_points(points, metric)
    _checks.check_pairs(points, pairs)
    values, space = space_of(points, metric)
    *batch, m, _ = pairs.shape
    edges = pairs.contiguous()
    lengths = torch.empty(*batch, m, dtype=values.dtype)
    _C.pair_lengths(
        space,
        bags_of(points)[1],
        edges.data_ptr(),
        m,
        lengths.data_ptr(),
        torch.get_num_threads(),
    )
    return lengths


def pair_distances_backward(grad: Tensor, points: Tensor, pairs: Tensor, metric: str) -> Tensor:
    """The gradient of the points: each pair pulls its two ends along the gradient of its length."""
    _checks.check_points(points, metric)
    _checks.check_pairs(points, pairs)
    values, space = space_of(points, metric)
    edges, pulls = pairs.contiguous(), pulls_of(grad, values, pairs)
    gradient = torch.empty(*points.shape, dtype=values.dtype)
    _C.pair_pulls(
        space,
        bags_of(points)[1],
        edges.data_ptr(),
        pairs.shape[-2],
        pulls.data_ptr(),
        gradient.data_ptr(),
        torch.get_num_threads(),
    )
    return gradient.to(points.dtype)


def diameter(points: Tensor, metric: str, lengths: Tensor | None) -> Tensor:
    """The farthest pair at a finite distance; a pair at distance NaN comes before it."""
    _checks.check_points(points, metric, lengths)
    pairs = torch.empty((*points.shape[:-2], 2), dtype=torch.int64)
    return _farthest(points, metric, lengths, None, pairs)


def diameter_packed(points: Tensor, cu_seqlens: Tensor, metric: str) -> Tensor:
    """The farthest pair of each packed bag, in packed row numbers."""
    _checks.check_packed(points, cu_seqlens, metric)
    pairs = torch.empty((*cu_seqlens.shape[:-1], cu_seqlens.shape[-1] - 1, 2), dtype=torch.int64)
    return renamed(_farthest(points, metric, None, cu_seqlens, pairs), points.shape[-2], -1)


def _trees(
    points: Tensor, metric: str, lengths: Tensor | None, cu_seqlens: Tensor | None
) -> tuple[Tensor, Tensor]:
    values, space = space_of(points, metric)
    _kept, bags = bags_of(points, lengths, cu_seqlens)
    *batch, n, _ = points.shape
    m = n - (1 if cu_seqlens is None else cu_seqlens.shape[-1] - 1)
    edges = torch.empty(*batch, m, 2, dtype=torch.int64)
    weights = torch.empty(*batch, m, dtype=values.dtype)
    _C.trees(space, bags, edges.data_ptr(), weights.data_ptr(), torch.get_num_threads())
    return edges, weights


def _farthest(
    points: Tensor,
    metric: str,
    lengths: Tensor | None,
    cu_seqlens: Tensor | None,
    pairs: Tensor,
) -> Tensor:
    _values, space = space_of(points, metric)
    _kept, bags = bags_of(points, lengths, cu_seqlens)
    _C.farthest_pairs(space, bags, pairs.data_ptr(), torch.get_num_threads())
    return pairs
