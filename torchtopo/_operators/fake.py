"""Shapes and dtypes of the operators, for FakeTensor, torch.compile and the meta device."""

from __future__ import annotations

import torch
from torch import Tensor

from torchtopo import _checks
from torchtopo._metric import measured_in


def minimum_spanning_tree(distances: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
    _checks.check_points(distances, "precomputed", lengths, "distances")
    return _tree(distances)


def vietoris_rips(points: Tensor, metric: str, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
    _checks.check_points(points, metric, lengths)
    return _tree(points)


def _tree(points: Tensor) -> tuple[Tensor, Tensor]:
    edges = (*points.shape[:-2], points.shape[-2] - 1)
    return (
        points.new_empty((*edges, 2), dtype=torch.int64),
        points.new_empty(edges, dtype=measured_in(points.dtype)),
    )


def vietoris_rips_packed(points: Tensor, cu_seqlens: Tensor, metric: str) -> tuple[Tensor, Tensor]:
    _checks.check_packed(points, cu_seqlens, metric)
    edges = (*points.shape[:-2], points.shape[-2] - cu_seqlens.shape[-1] + 1)
    return (
        points.new_empty((*edges, 2), dtype=torch.int64),
        points.new_empty(edges, dtype=measured_in(points.dtype)),
    )


def elder_rule(pairs: Tensor, n: int) -> Tensor:
    return pairs.new_empty(pairs.shape[:-1])


def pair_distances(points: Tensor, pairs: Tensor, metric: str) -> Tensor:
    _checks.check_points(points, metric)
    _checks.check_pairs(points, pairs)
    return points.new_empty(pairs.shape[:-1], dtype=measured_in(points.dtype))


def pair_distances_backward(grad: Tensor, points: Tensor, pairs: Tensor, metric: str) -> Tensor:
    return points.new_empty(points.shape)


def diameter(points: Tensor, metric: str, lengths: Tensor | None) -> Tensor:
    _checks.check_points(points, metric, lengths)
    return points.new_empty((*points.shape[:-2], 2), dtype=torch.int64)


def diameter_packed(points: Tensor, cu_seqlens: Tensor, metric: str) -> Tensor:
    _checks.check_packed(points, cu_seqlens, metric)
    bags = (*cu_seqlens.shape[:-1], cu_seqlens.shape[-1] - 1)
    return points.new_empty((*bags, 2), dtype=torch.int64)


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
    _checks.check_spaces(x, z, metric_x, metric_z, pairs_x, lengths, cu_seqlens)
    *batch, n, _ = x.shape
    bags = [] if cu_seqlens is None else [cu_seqlens.shape[-1] - 1]
    edges = (*batch, 2 * (n - (bags[0] if bags else 1)))
    return (
        x.new_empty((*edges, 2), dtype=torch.int64),
        x.new_empty(edges, dtype=measured_in(x.dtype)),
        z.new_empty(edges, dtype=measured_in(z.dtype)),
        x.new_empty((*batch, *bags, 2) if farthest_x else 0, dtype=torch.int64),
        x.new_empty((*batch, *bags, 2) if farthest_z else 0, dtype=torch.int64),
    )
