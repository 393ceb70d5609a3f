"""The operators on the CPU: check the arguments, allocate the outputs, call the compiled kernel.

Values of `lengths` and `cu_seqlens` are checked as they are made ready for the kernel; those of
pairs are checked by the kernel as it reads them. Tensors are made from numbers one by one:
from a tuple it costs a call of ten points a microsecond more.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from torchtopo import _C, _checks
from torchtopo._bags import renamed
from torchtopo._operators.arguments import (
    Bags,
    Space,
    at_pairs,
    bags_of,
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
    _checks.check_spaces(x, z, metric_x, metric_z, pairs_x, lengths, cu_seqlens)
    values_x, space_x = space_of(x, metric_x)
    values_z, space_z = space_of(z, metric_z)
    _kept, bags = bags_of(x, lengths, cu_seqlens, max_seqlen)
    *batch, m = shape_of_trees(x, cu_seqlens)
    each, n = shape_of_bags(x, cu_seqlens), x.shape[-2]
    if pairs_x is not None:
        pairs_x = (pairs_x if cu_seqlens is None else renamed(pairs_x, n, 1)).contiguous()
    pairs = torch.empty(*batch, 2 * m, 2, dtype=torch.int64)
    a = torch.empty(*batch, 2 * m, dtype=values_x.dtype)
    b = torch.empty(*batch, 2 * m, dtype=values_z.dtype)
    spaces = farthest_x + farthest_z
    far = torch.empty((spaces, *each, 2) if spaces else 0, dtype=torch.int64)
    _C.signature_edges(
        space_x,
        space_z,
        bags,
        0 if pairs_x is None else pairs_x.data_ptr(),
        (pairs.data_ptr(), a.data_ptr(), b.data_ptr()),
        (far[0].data_ptr() if farthest_x else 0, far[-1].data_ptr() if farthest_z else 0),
        torch.get_num_threads(),
    )
    # The farthest pairs are measured here, where they are named as the kernels name them.
    wide = a.dtype if a.dtype == b.dtype else torch.float64
    largest = torch.empty((spaces, *each) if spaces else 0, dtype=wide)
    if farthest_x:
        _measure_farthest(values_x, space_x, bags, far[0], largest[0])
    if farthest_z:
        _measure_farthest(values_z, space_z, bags, far[-1], largest[-1])
    if cu_seqlens is None or not batch:
        return pairs, a, b, far, largest

    def of_copies(values: Tensor) -> Tensor:
        """The kernel writes the edges of x of all bags before those of z."""
        both = values.reshape(2, *batch, m, *values.shape[len(batch) + 1 :])
        return both.movedim(0, len(batch)).reshape(values.shape)

    pairs = renamed(of_copies(pairs), n, -1)
    far = torch.stack([renamed(pairs, n, -1) for pairs in far]) if len(far) else far
    return pairs, of_copies(a), of_copies(b), far, largest


def _measure_farthest(
    values: Tensor, space: Space, bags: Bags, far: Tensor, largest: Tensor
) -> None:
    """The lengths of the farthest pairs of bags, perhaps kept in a wider type than the values'."""
    lengths = largest if largest.dtype == values.dtype else largest.to(values.dtype)
    count, n, rows, _sizes, ends = bags
    whole, m = ((1, rows, rows, 0, 0), count) if ends else ((count, n, rows, 0, 0), 1)
    _C.pair_lengths(space, whole, far.data_ptr(), m, lengths.data_ptr(), torch.get_num_threads())
    if lengths is not largest:
        largest.copy_(lengths)


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
