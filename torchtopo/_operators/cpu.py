"""The operators on the CPU: check the arguments, allocate the outputs, call the compiled kernel.

Values of `lengths` and `cu_seqlens` are checked as they are made ready for the kernel; those of
pairs are checked by the kernel as it reads them. Tensors are made from numbers one by one:
from a tuple it costs a call of ten points a microsecond more.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from torchtopo import _C, _checks
from torchtopo._bags import renamed
from torchtopo._operators.arguments import (
    address_of,
    at_pairs,
    bags_of,
    each_of,
    of_batch,
    pulls_of,
    shape_of_bags,
    shape_of_trees,
    space_of,
)


def trees(
    points: Tensor,
    metric: str,
    lengths: Tensor | None,
    cu_seqlens: Tensor | None,
    max_seqlen: int | None = None,
    symmetric: bool = False,
) -> tuple[Tensor, Tensor]:
    values, space, _sizes, bags = of_batch(
        points, metric, lengths, cu_seqlens, max_seqlen, symmetric
    )
    shape = shape_of_trees(points, cu_seqlens)
    edges = torch.empty(*shape, 2, dtype=torch.int64)
    weights = torch.empty(*shape, dtype=values.dtype)
    _C.trees(space, bags, edges.data_ptr(), weights.data_ptr(), torch.get_num_threads())
    return edges if cu_seqlens is None else renamed(edges, points.shape[-2], -1), weights


def pairs(
    points: Tensor,
    metric: str,
    lengths: Tensor | None,
    cu_seqlens: Tensor | None,
    max_seqlen: int | None = None,
) -> Tensor:
    """The edges of `trees` alone: a tensor that nobody asks for is a tenth of a small call."""
    _values, space, _sizes, bags = of_batch(points, metric, lengths, cu_seqlens, max_seqlen)
    edges = torch.empty(*shape_of_trees(points, cu_seqlens), 2, dtype=torch.int64)
    _C.trees(space, bags, edges.data_ptr(), 0, torch.get_num_threads())
    return edges if cu_seqlens is None else renamed(edges, points.shape[-2], -1)


def farthest_pairs(
    points: Tensor,
    metric: str,
    lengths: Tensor | None,
    cu_seqlens: Tensor | None,
    max_seqlen: int | None = None,
) -> Tensor:
    """The farthest pair at a finite distance; a pair at distance NaN comes before it."""
    _values, space, _sizes, bags = of_batch(points, metric, lengths, cu_seqlens, max_seqlen)
    pairs = torch.empty(*shape_of_bags(points, cu_seqlens), 2, dtype=torch.int64)
    _C.farthest_pairs(space, bags, pairs.data_ptr(), torch.get_num_threads())
    return pairs if cu_seqlens is None else renamed(pairs, points.shape[-2], -1)


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
    """The edges of both trees, measured in both spaces bag by bag while a bag is in the cache."""
    found = _step(
        *(x, z, pairs_x, metric_x, metric_z, lengths, cu_seqlens, max_seqlen),
        (None, 1.0, False, False, farthest_x),
        (None, 1.0, False, False, farthest_z),
    )
    _losses, pairs, a, b, largest_lengths, _gradients = found
    far, largest = largest_lengths or (pairs.new_empty(0), a.new_empty(0, dtype=found[0].dtype))
    *batch, n, _ = x.shape
    if cu_seqlens is None or not batch:
        return pairs, a, b, far, largest

    def of_copies(values: Tensor) -> Tensor:
        """The kernel writes the edges of x of all bags before those of z."""
        both = values.reshape(2, *batch, -1, *values.shape[len(batch) + 1 :])
        return both.movedim(0, len(batch)).reshape(values.shape)

    pairs = renamed(of_copies(pairs), n, -1)
    far = torch.stack([renamed(pairs, n, -1) for pairs in far]) if len(far) else far
    return pairs, of_copies(a), of_copies(b), far, largest


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
    """All of it bag by bag; the losses are added in double, in the order of the edges."""
    return _step(
        *(x, z, pairs_x, metric_x, metric_z, lengths, None, None),
        (scale_x, x_by, gradient_x, slope_x, largest_x),
        (scale_z, z_by, gradient_z, slope_z, largest_z),
        (share, by),
    )


# What divides a space's lengths, a scale or else a number; whether its gradient, the slope in the
# scale, and its largest length, which then divides, are asked for.
_Asked = tuple[Tensor | None, float, bool, bool, bool]


def _step(
    x: Tensor,
    z: Tensor,
    pairs_x: Tensor | None,
    metric_x: str,
    metric_z: str,
    lengths: Tensor | None,
    cu_seqlens: Tensor | None,
    max_seqlen: int | None,
    of_x: _Asked,
    of_z: _Asked,
    shares: tuple[Tensor | None, float] | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor, list[Tensor], list[Tensor]]:
    """As `signature_step` returns it; without shares there are edges and no losses."""
    _checks.check_spaces(x, z, metric_x, metric_z, pairs_x, lengths, cu_seqlens)
    values_x, space_x = space_of(x, metric_x)
    values_z, space_z = space_of(z, metric_z)
    _kept, bags = bags_of(x, lengths, cu_seqlens, max_seqlen)
    *batch, m = shape_of_trees(x, cu_seqlens)
    if pairs_x is not None:
        named = pairs_x if cu_seqlens is None else renamed(pairs_x, x.shape[-2], 1)
        pairs_x = named.contiguous()
    in_x, in_z = values_x.dtype, values_z.dtype
    wide = in_x if in_x is in_z else torch.float64
    pairs = torch.empty(*batch, 2 * m, 2, dtype=torch.int64)
    a = torch.empty(*batch, 2 * m, dtype=in_x)
    b = torch.empty(*batch, 2 * m, dtype=in_z)
    losses = torch.empty(shape_of_bags(x, cu_seqlens), dtype=wide)
    farthest: list[Tensor] = []
    if spaces := of_x[4] + of_z[4]:
        far = torch.empty(spaces, *losses.shape, 2, dtype=torch.int64)
        farthest = [far, torch.empty(spaces, *losses.shape, dtype=wide)]
    told_x, x_by, points_x, by_x, _scale_x = _room(
        values_x, a, losses, of_x, [of[0] for of in farthest]
    )
    told_z, z_by, points_z, by_z, _scale_z = _room(
        values_z, b, losses, of_z, [of[-1] for of in farthest]
    )
    share, by = shares or (None, 2.0)
    each_share, _share = each_of(share)
    known = 0 if pairs_x is None else pairs_x.data_ptr()
    out = (pairs.data_ptr(), losses.data_ptr() if shares else 0)
    _C.signature_step(
        *(space_x, told_x, x_by, space_z, told_z, z_by, bags, known, each_share, by, out),
        torch.get_num_threads(),
    )
    gradients = [of for of in (points_x, points_z, by_x, by_z) if of is not None]
    return losses, pairs, a, b, farthest, gradients


def _room(
    values: Tensor, lengths: Tensor, losses: Tensor, asked: _Asked, farthest: list[Tensor]
) -> tuple[Any, float, Tensor | None, Tensor | None, object]:
    """A space as the kernel takes it, its gradients, and who owns what is read."""
    scale, by, gradient, slope, largest = asked
    of_points = torch.empty(*values.shape, dtype=values.dtype) if gradient else None
    of_scale = None
    if slope and scale is not None:
        of_scale = torch.empty(losses.shape, dtype=values.dtype)
    numbers, owner = each_of(scale)
    told = (
        *numbers,
        *([of.data_ptr() for of in farthest] if largest else (0, 0)),
        *(lengths.data_ptr(), address_of(of_points), address_of(of_scale)),
    )
    return told, by, of_points, of_scale, owner


def elder_rule(
    pairs: Tensor, n: int, cu_seqlens: Tensor | None = None, max_seqlen: int | None = None
) -> Tensor:
    *batch, m, _ = pairs.shape
    edges = pairs.contiguous()
    dying = torch.empty(*batch, m, dtype=torch.int64)
    bags = math.prod(batch)
    _C.elder_rule(edges.data_ptr(), bags, m, n, dying.data_ptr(), torch.get_num_threads())
    return dying


def pair_lengths(points: Tensor, pairs: Tensor, metric: str) -> Tensor:
    values, space, bags, edges = at_pairs(points, pairs, metric)
    *batch, m, _ = edges.shape
    lengths = torch.empty(*batch, m, dtype=values.dtype)
    _C.pair_lengths(space, bags, edges.data_ptr(), m, lengths.data_ptr(), torch.get_num_threads())
    return lengths


def pair_pulls(
    grad: Tensor,
    points: Tensor,
    pairs: Tensor,
    metric: str,
    further: Tensor | None = None,
    further_grad: Tensor | None = None,
    weights: Tensor | None = None,
) -> Tensor:
    """The gradient of the points: each pair pulls its two ends along the gradient of its length.

    Further pairs pull as if they stood after the others; weights multiply all pulls of a bag.
    """
    if further is not None and further_grad is not None:
        pairs, grad = torch.cat((pairs, further), -2), torch.cat((grad, further_grad), -1)
    if weights is not None:
        grad = grad * weights.unsqueeze(-1)
    values, space, bags, edges = at_pairs(points, pairs, metric)
    pulls = pulls_of(grad, values, pairs)
    gradient = torch.empty(*points.shape, dtype=values.dtype)
    _C.pair_pulls(
        space,
        bags,
        edges.data_ptr(),
        edges.shape[-2],
        pulls.data_ptr(),
        gradient.data_ptr(),
        torch.get_num_threads(),
    )
    return gradient.to(points.dtype)
