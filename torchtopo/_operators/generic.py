"""Operators as tensor code, for devices where no kernel of ours serves them.

They never wait for the device and allocate the same whatever the values are, so they can be
captured in a CUDA graph.
"""

from __future__ import annotations

import torch
from torch import Tensor

from torchtopo import _checks, _metric
from torchtopo._metric import matrix_entries, measured_in, names_no_points


def pair_lengths(points: Tensor, pairs: Tensor, metric: str) -> Tensor:
    _checks.check_points(points, metric)
    _checks.check_dense(points, "points")
    _checks.check_pairs(points, pairs)
    left_out = names_no_points(pairs, points.shape[-2])
    if metric == "precomputed":
        lengths = matrix_entries(points.detach(), pairs)
    else:
        lengths = _metric.pair_lengths(points.detach(), pairs, metric, left_out)
    return lengths.masked_fill(left_out, 0.0).to(measured_in(points.dtype))


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
    max_seqlen: int | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """The edges of both trees, those of x before those of z, measured in both spaces.

    A pair that is infinitely far apart in either becomes padding. The farthest pairs are empty
    where they are not asked for.
    """
    _checks.check_spaces(x, z, metric_x, metric_z, pairs_x, lengths, cu_seqlens)
    ops, ragged = torch.ops.torchtopo, (lengths, cu_seqlens, max_seqlen)
    # A tree comes with the lengths of its own pairs; those of the other space's are measured.
    pairs_z, own_z = ops.trees(z, metric_z, *ragged)
    if pairs_x is None:
        pairs_x, own_x = ops.trees(x, metric_x, *ragged)
    else:
        own_x = ops.pair_lengths(x, pairs_x, metric_x)
    pairs = torch.cat((pairs_x, pairs_z), -2)
    a = torch.cat((own_x, ops.pair_lengths(x, pairs_z, metric_x)), -1)
    b = torch.cat((ops.pair_lengths(z, pairs_x, metric_z), own_z), -1)
    infinite = torch.maximum(a, b) == torch.inf
    return (
        pairs.masked_fill(infinite.unsqueeze(-1), -1),
        a.masked_fill(infinite, 0.0),
        b.masked_fill(infinite, 0.0),
        ops.farthest_pairs(x, metric_x, *ragged) if farthest_x else pairs.new_empty(0),
        ops.farthest_pairs(z, metric_z, *ragged) if farthest_z else pairs.new_empty(0),
    )


def squares(a: Tensor, b: Tensor, shares: Tensor | None, share: int) -> Tensor:
    """Σ(a-b)² over the last dimension, divided by each bag's share, or by one for all."""
    return (a - b).square().sum(-1) / (share if shares is None else shares)


def squares_pulls(grad: Tensor, a: Tensor, b: Tensor, shares: Tensor | None, share: int) -> Tensor:
    """The gradient of `squares` in a."""
    return (a - b) * (2 * grad / (share if shares is None else shares)).unsqueeze(-1)
