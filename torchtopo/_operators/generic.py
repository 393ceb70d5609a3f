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

    A pair that is infinitely far apart in either becomes padding. The farthest pairs `(F, *B, 2)`
    and their lengths are those of the spaces in which they are asked for, empty if of none.
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
    wanted = [(x, metric_x)] * farthest_x + [(z, metric_z)] * farthest_z
    far = [ops.farthest_pairs(points, metric, *ragged) for points, metric in wanted]
    largest = [_farthest_lengths(*of, pairs) for of, pairs in zip(wanted, far, strict=True)]
    wide = torch.promote_types(a.dtype, b.dtype)
    return (
        pairs.masked_fill(infinite.unsqueeze(-1), -1),
        a.masked_fill(infinite, 0.0),
        b.masked_fill(infinite, 0.0),
        torch.stack(far) if far else pairs.new_empty(0),
        torch.stack([of.to(wide) for of in largest]) if largest else a.new_empty(0, dtype=wide),
    )


def _farthest_lengths(points: Tensor, metric: str, far: Tensor) -> Tensor:
    """Of pairs `(*B, 2)`, or, in a packed batch `(*B, T, D)`, `(*B, B, 2)`."""
    measure = torch.ops.torchtopo.pair_lengths
    if far.dim() == points.dim():
        lengths: Tensor = measure(points, far, metric)
    else:
        lengths = measure(points, far.unsqueeze(-2), metric).squeeze(-1)
    return lengths


def signature_losses(
    a: Tensor,
    b: Tensor,
    scale_x: Tensor | None,
    scale_z: Tensor | None,
    share: Tensor | None,
    x_by: float = 1,
    z_by: float = 1,
    by: float = 2,
    largest_x: bool = False,
    largest_z: bool = False,
    slopes_x: bool = False,
    slopes_z: bool = False,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """The loss of each bag from lengths `(*B, 2M)` in both spaces, and its slopes.

    Lengths are divided by a scale, one for all or one for each bag, or by a number; where it is a
    largest length, one of 0 counts as 1. The squares of a bag are divided by its share or by a
    number; if that is 0 the loss is half the norm over either tree. The slopes are those in the
    lengths of x, in its scale, and the same of z; empty where there is no scale or nobody asks.
    """
    by_x, by_z = _divisor(scale_x, x_by, largest_x), _divisor(scale_z, z_by, largest_z)
    u, v = (a if by_x is None else a / by_x), (b if by_z is None else b / by_z)
    apart = u - v
    factor: Tensor | float
    if share is None and by == 0:
        apart = apart.unflatten(-1, (2, apart.shape[-1] // 2))
        norms = torch.linalg.vector_norm(apart, dim=-1)
        losses = norms.sum(-1) / 2
        factor = (0.5 / norms.masked_fill(norms == 0, torch.inf)).unsqueeze(-1)
    else:
        losses = apart.square().sum(-1) / (by if share is None else share)
        factor = 2 / by if share is None else (2 / share).unsqueeze(-1)
    slopes: list[Tensor] = []
    for lengths, scaled, scale, of, sign, wanted in (
        (a, u, scale_x, by_x, 1, slopes_x),
        (b, v, scale_z, by_z, -1, slopes_z),
    ):
        moved = (apart * (sign * factor)).view_as(lengths) if wanted else lengths.new_empty(0)
        moved = moved if of is None or not wanted else moved / of
        of_scale = -(moved * scaled).sum(-1) if wanted and scale is not None else moved.new_empty(0)
        slopes += [moved.to(lengths.dtype), of_scale.to(lengths.dtype)]
    of_x, of_scale_x, of_z, of_scale_z = slopes
    return losses, of_x, of_scale_x, of_z, of_scale_z


def signature_step(
    x: Tensor,
    z: Tensor,
    pairs_x: Tensor | None,
    metric_x: str,
    metric_z: str,
    lengths: Tensor | None,
    scale_x: Tensor | None,
    scale_z: Tensor | None,
    share: Tensor | None,
    x_by: float = 1,
    z_by: float = 1,
    by: float = 2,
    gradient_x: bool = False,
    gradient_z: bool = False,
    slope_x: bool = False,
    slope_z: bool = False,
    largest_x: bool = False,
    largest_z: bool = False,
) -> tuple[Tensor, Tensor, Tensor, Tensor, list[Tensor], list[Tensor]]:
    """The losses of padded bags, with what leads to them and back from them.

    The pairs and their lengths in both spaces are those of `signature_edges`, and, if a largest
    length is to be what divides, so are the farthest pairs and their lengths, in a list. Losses are
    those of `signature_losses`. Last come, of the gradients of a bag's loss in its points of x and
    of z, in the scale of x and of z, those asked for, in the dtypes of the lengths.
    """
    ops = torch.ops.torchtopo
    spaces = (x, z, pairs_x, metric_x, metric_z, lengths, None, largest_x, largest_z)
    pairs, a, b, far, largest = ops.signature_edges(*spaces)
    divisor_x = largest[0] if largest_x else scale_x
    divisor_z = largest[-1] if largest_z else scale_z
    losses, of_x, of_divisor_x, of_z, of_divisor_z = ops.signature_losses(
        *(a, b, divisor_x, divisor_z, share, x_by, z_by, by, largest_x, largest_z),
        *(gradient_x or slope_x, gradient_z or slope_z),
    )
    gradients = []
    for points, metric, slopes, of_divisor, largest_of, wanted in (
        (x, metric_x, of_x, of_divisor_x, far[:1] if largest_x else None, gradient_x),
        (z, metric_z, of_z, of_divisor_z, far[-1:] if largest_z else None, gradient_z),
    ):
        if not wanted:
            continue
        values, further, of_further = points.detach().to(slopes.dtype), None, None
        if largest_of is not None:  # a largest length pulls at its pair as others do
            further, of_further = largest_of[0].unsqueeze(-2), of_divisor.unsqueeze(-1)
        gradients.append(ops.pair_pulls(slopes, values, pairs, metric, further, of_further))
    gradients += [of_divisor_x] if slope_x and scale_x is not None else []
    gradients += [of_divisor_z] if slope_z and scale_z is not None else []
    return losses, pairs, a, b, [far, largest] if largest_x or largest_z else [], gradients


def _divisor(scale: Tensor | None, by: float, largest: bool) -> Tensor | float | None:
    """What lengths are divided by, None for 1."""
    if scale is None:
        return None if by == 1 else by
    if largest:
        scale = scale.masked_fill(scale == 0, 1.0)
    return scale if scale.dim() == 0 else scale.unsqueeze(-1)
