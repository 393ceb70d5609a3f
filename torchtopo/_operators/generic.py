"""Operators as tensor code, for devices where no kernel of ours serves them.

They never wait for the device and allocate the same whatever the values are, so they can be
captured in a CUDA graph.
"""

from __future__ import annotations

import torch
from torch import Tensor

from torchtopo import _checks
from torchtopo._metric import matrix_entries, measured_in, names_no_points, pair_lengths


def pair_distances(points: Tensor, pairs: Tensor, metric: str) -> Tensor:
    _checks.check_points(points, metric)
    _checks.check_dense(points, "points")
    _checks.check_pairs(points, pairs)
    left_out = names_no_points(pairs, points.shape[-2])
    if metric == "precomputed":
        lengths = matrix_entries(points.detach(), pairs)
    else:
        lengths = pair_lengths(points.detach(), pairs, metric, left_out)
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
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """The edges of both trees, those of x before those of z, measured in both spaces.

    A pair that is infinitely far apart in either becomes padding. The farthest pairs are empty
    where they are not asked for.
    """
    _checks.check_spaces(x, z, metric_x, metric_z, pairs_x, lengths, cu_seqlens)
    measure = torch.ops.torchtopo.pair_distances
    # A tree comes with the lengths of its own pairs; those of the other space's are measured.
    pairs_z, own_z = _trees(z, metric_z, lengths, cu_seqlens)
    if pairs_x is None:
        pairs_x, own_x = _trees(x, metric_x, lengths, cu_seqlens)
    else:
        own_x = measure(x, pairs_x, metric_x)
    pairs = torch.cat((pairs_x, pairs_z), -2)
    a = torch.cat((own_x, measure(x, pairs_z, metric_x)), -1)
    b = torch.cat((measure(z, pairs_x, metric_z), own_z), -1)
    infinite = torch.maximum(a, b) == torch.inf
    return (
        pairs.masked_fill(infinite.unsqueeze(-1), -1),
        a.masked_fill(infinite, 0.0),
        b.masked_fill(infinite, 0.0),
        _farthest(x, metric_x, lengths, cu_seqlens) if farthest_x else pairs.new_empty(0),
        _farthest(z, metric_z, lengths, cu_seqlens) if farthest_z else pairs.new_empty(0),
    )


def _trees(
    points: Tensor, metric: str, lengths: Tensor | None, cu_seqlens: Tensor | None
) -> tuple[Tensor, Tensor]:
    ops = torch.ops.torchtopo
    if cu_seqlens is not None:
        found = ops.vietoris_rips_packed(points, cu_seqlens, metric)
    elif metric == "precomputed":
        found = ops.minimum_spanning_tree(points, lengths)
    else:
        found = ops.vietoris_rips(points, metric, lengths)
    pairs, weights = found
    return pairs, weights


def _farthest(
    points: Tensor, metric: str, lengths: Tensor | None, cu_seqlens: Tensor | None
) -> Tensor:
    ops = torch.ops.torchtopo
    if cu_seqlens is not None:
        pair: Tensor = ops.diameter_packed(points, cu_seqlens, metric)
    else:
        pair = ops.diameter(points, metric, lengths)
    return pair
