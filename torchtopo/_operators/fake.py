"""Shapes and dtypes of the operators, for FakeTensor, torch.compile and the meta device."""

from __future__ import annotations

import torch
from torch import Tensor

from torchtopo import _checks
from torchtopo._metric import measured_in
from torchtopo._operators.arguments import shape_of_bags, shape_of_trees


def trees(
    points: Tensor,
    metric: str,
    lengths: Tensor | None,
    cu_seqlens: Tensor | None,
    max_seqlen: int | None = None,
    symmetric: bool = False,
) -> tuple[Tensor, Tensor]:
    _checks.check_batch(points, metric, lengths, cu_seqlens)
    shape = shape_of_trees(points, cu_seqlens)
    return (
        points.new_empty((*shape, 2), dtype=torch.int64),
        points.new_empty(shape, dtype=measured_in(points.dtype)),
    )


def pairs(
    points: Tensor,
    metric: str,
    lengths: Tensor | None,
    cu_seqlens: Tensor | None,
    max_seqlen: int | None = None,
) -> Tensor:
    return trees(points, metric, lengths, cu_seqlens, max_seqlen)[0]


def farthest_pairs(
    points: Tensor,
    metric: str,
    lengths: Tensor | None,
    cu_seqlens: Tensor | None,
    max_seqlen: int | None = None,
) -> Tensor:
    _checks.check_batch(points, metric, lengths, cu_seqlens)
    return points.new_empty((*shape_of_bags(points, cu_seqlens), 2), dtype=torch.int64)


def elder_rule(
    pairs: Tensor, n: int, cu_seqlens: Tensor | None = None, max_seqlen: int | None = None
) -> Tensor:
    return pairs.new_empty(pairs.shape[:-1])


def pair_lengths(points: Tensor, pairs: Tensor, metric: str) -> Tensor:
    _checks.check_points(points, metric)
    _checks.check_pairs(points, pairs)
    return points.new_empty(pairs.shape[:-1], dtype=measured_in(points.dtype))


def pair_pulls(
    grad: Tensor,
    points: Tensor,
    pairs: Tensor,
    metric: str,
    further: Tensor | None = None,
    further_grad: Tensor | None = None,
    weights: Tensor | None = None,
) -> Tensor:
    return points.new_empty(points.shape)


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
    _checks.check_spaces(x, z, metric_x, metric_z, pairs_x, lengths, cu_seqlens)
    *batch, m = shape_of_trees(x, cu_seqlens)
    each, spaces = shape_of_bags(x, cu_seqlens), farthest_x + farthest_z
    in_x, in_z = measured_in(x.dtype), measured_in(z.dtype)
    return (
        x.new_empty((*batch, 2 * m, 2), dtype=torch.int64),
        x.new_empty((*batch, 2 * m), dtype=in_x),
        z.new_empty((*batch, 2 * m), dtype=in_z),
        x.new_empty((spaces, *each, 2) if spaces else 0, dtype=torch.int64),
        x.new_empty((spaces, *each) if spaces else 0, dtype=torch.promote_types(in_x, in_z)),
    )


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
    each = a.shape[:-1]
    return (
        a.new_empty(each, dtype=torch.promote_types(a.dtype, b.dtype)),
        a.new_empty(a.shape if slopes_x else 0),
        a.new_empty(each if slopes_x and scale_x is not None else 0),
        b.new_empty(b.shape if slopes_z else 0),
        b.new_empty(each if slopes_z and scale_z is not None else 0),
    )


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
    spaces = (x, z, pairs_x, metric_x, metric_z, lengths, None, largest_x, largest_z)
    pairs, a, b, far, largest = signature_edges(*spaces)
    losses, *_slopes = signature_losses(a, b, None, None, share)
    largest_lengths = [far, largest] if largest_x or largest_z else []
    gradients = [
        lengths.new_empty(shape)
        for lengths, shape, asked in (
            (a, x.shape, gradient_x),
            (b, z.shape, gradient_z),
            (a, losses.shape, slope_x and scale_x is not None),
            (b, losses.shape, slope_z and scale_z is not None),
        )
        if asked
    ]
    return losses, pairs, a, b, largest_lengths, gradients
