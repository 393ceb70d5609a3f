"""Operators as tensor code, for devices where no kernel of ours serves them.

They never wait for the device and allocate the same whatever the values are, so they can be
captured in a CUDA graph.
"""

from __future__ import annotations

import torch
from torch import Tensor

from torchtopo import _bags
from torchtopo._metric import matrix_entries, pair_lengths, row_distances

# Rows are measured in blocks of at most about this many differences.
_BLOCK = 1 << 24


def pair_distances(points: Tensor, pairs: Tensor, metric: str) -> Tensor:
    _bags.check_points(points, metric)
    _bags.check_pairs(points, pairs)
    padding = pairs[..., 0] < 0
    if metric == "precomputed":
        lengths = matrix_entries(points.detach(), pairs)
    else:
        lengths = pair_lengths(points.detach(), pairs, metric, padding)
    return lengths.masked_fill(padding, 0.0).to(
        torch.float64 if points.dtype == torch.float64 else torch.float32
    )


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
    _bags.check_spaces(x, z, metric_x, metric_z, pairs_x, lengths, cu_seqlens)
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


def diameter(points: Tensor, metric: str, lengths: Tensor | None) -> Tensor:
    _bags.check_points(points, metric, lengths)
    rows = torch.arange(points.shape[-2], device=points.device)
    bag = torch.zeros_like(rows).expand(points.shape[:-1])
    if lengths is not None:
        bag = torch.where(rows < lengths.unsqueeze(-1), bag, -1)
    length, partner = _farthest_partner(points.detach(), metric, bag)
    row = length.argmax(-1, keepdim=True)
    pair = torch.cat((row, partner.gather(-1, row)), -1)
    return torch.where(length.gather(-1, row) == -torch.inf, -1, pair)


def diameter_packed(points: Tensor, cu_seqlens: Tensor, metric: str) -> Tensor:
    """The farthest pair of each packed bag, in packed row numbers."""
    _bags.check_packed(points, cu_seqlens, metric)
    total, bags = points.shape[0], cu_seqlens.shape[0] - 1
    rows = torch.arange(total, device=points.device)
    bag = torch.searchsorted(cu_seqlens[1:].contiguous(), rows, right=True).clamp(max=bags - 1)
    length, partner = _farthest_partner(points.detach(), metric, bag)
    longest = length.new_full((bags,), -torch.inf).scatter_reduce(0, bag, length, "amax")
    holds = torch.where(length == longest[bag], rows, total)
    row = rows.new_full((bags,), total).scatter_reduce(0, bag, holds, "amin").clamp(max=total - 1)
    pair = torch.stack((row, partner[row]), -1)
    return torch.where((longest == -torch.inf).unsqueeze(-1), -1, pair)


def _farthest_partner(points: Tensor, metric: str, bag: Tensor) -> tuple[Tensor, Tensor]:
    """For each row its farthest later row of the same bag, -inf where there is none.

    Infinite distances are passed over; NaN counts as the farthest of all. Bag -1 is padding.
    """
    n = points.shape[-2]
    rows = torch.arange(n, device=points.device)
    step = max(1, _BLOCK // max(1, points.numel()))
    lengths, partners = [], []
    for first in range(0, n, step):
        block = slice(first, first + step)
        distances = row_distances(points, block, metric)
        allowed = (rows > rows[block].unsqueeze(-1)) & (bag >= 0).unsqueeze(-2)
        allowed = allowed & (bag[..., block].unsqueeze(-1) == bag.unsqueeze(-2))
        distances = distances.masked_fill(distances.isinf() | ~allowed, -torch.inf)
        length, partner = distances.nan_to_num(torch.inf, neginf=-torch.inf).max(-1)
        lengths.append(length)
        partners.append(partner)
    return torch.cat(lengths, -1), torch.cat(partners, -1)
