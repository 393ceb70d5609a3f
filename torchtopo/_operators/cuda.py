"""The operators on CUDA: check shapes, allocate from torch, launch on torch's current stream.

No value of a tensor is read on the host, so nothing waits for the device: the kernels clamp
`lengths`, `cu_seqlens` and `pairs` themselves. Workspace is torch's memory; it is released when the
call returns, and torch hands it out again on the same stream only.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from torchtopo import _C, _checks
from torchtopo._bags import renamed
from torchtopo._operators import generic
from torchtopo._operators.arguments import (
    at_pairs,
    bags_of,
    of_batch,
    packed_bags,
    pulls_of,
    reals_of,
    shape_of_bags,
    shape_of_trees,
    space_of,
)

# Whether the module holds CUDA kernels; its config() would time instruction sets to say so.
built = hasattr(_C, "cuda_trees")

_PLANS = {"automatic": 0, "one_block": 1, "many_blocks": 2}
_plan = 0


@contextmanager
def plan(name: str) -> Iterator[None]:
    """Choose how trees are found, for tests and measurements: the edges are the same on each."""
    global _plan
    before, _plan = _plan, _PLANS[name]
    try:
        yield
    finally:
        _plan = before


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
    edges = values.new_empty((*shape, 2), dtype=torch.int64)
    weights = values.new_empty(shape)
    if cu_seqlens is not None:  # rows that wrong cu_seqlens give to no bag keep these values
        edges.fill_(-1)
        weights.zero_()
    with torch.cuda.device(values.device):
        workspace = _workspace(_C.cuda_trees_workspace(space, bags, _plan), values.device)
        _C.cuda_trees(
            _where(values),
            space,
            bags,
            _plan,
            edges.data_ptr(),
            weights.data_ptr(),
            workspace.data_ptr(),
        )
    return edges if cu_seqlens is None else renamed(edges, points.shape[-2], -1), weights


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
    values, space, _sizes, bags = of_batch(points, metric, lengths, cu_seqlens, max_seqlen)
    pairs = values.new_empty((*shape_of_bags(points, cu_seqlens), 2), dtype=torch.int64)
    with torch.cuda.device(values.device):
        workspace = _workspace(_C.cuda_farthest_pairs_workspace(bags), values.device)
        _C.cuda_farthest_pairs(_where(values), space, bags, pairs.data_ptr(), workspace.data_ptr())
    return pairs if cu_seqlens is None else renamed(pairs, points.shape[-2], -1)


def elder_rule(
    pairs: Tensor, n: int, cu_seqlens: Tensor | None = None, max_seqlen: int | None = None
) -> Tensor:
    *batch, m, _ = pairs.shape
    edges = pairs.contiguous()
    if cu_seqlens is not None and pairs.dim() == 2:
        _ends, packed = packed_bags(cu_seqlens, 1, n, max_seqlen)
        if packed[1] <= _C.cuda_elder_rule_in_shared:
            dying = edges.new_full((m,), -1)  # what wrong cu_seqlens give to no bag stays
            with torch.cuda.device(edges.device):
                _C.cuda_elder_rule_packed(_where(edges), edges.data_ptr(), packed, dying.data_ptr())
            return dying
    # Packed trees whose bags may be large are one forest, which has the same elders.
    bags = math.prod(batch)
    dying = edges.new_empty((*batch, m))
    with torch.cuda.device(edges.device):
        workspace = _workspace(_C.cuda_elder_rule_workspace(bags, n), edges.device)
        _C.cuda_elder_rule(
            _where(edges), edges.data_ptr(), bags, m, n, dying.data_ptr(), workspace.data_ptr()
        )
    return dying


def pair_lengths(points: Tensor, pairs: Tensor, metric: str) -> Tensor:
    values, space, bags, edges = at_pairs(points, pairs, metric)
    lengths = values.new_empty(pairs.shape[:-1])
    with torch.cuda.device(values.device):
        _C.cuda_pair_lengths(
            _where(values), space, bags, edges.data_ptr(), edges.shape[-2], lengths.data_ptr()
        )
    return lengths


def pair_pulls(grad: Tensor, points: Tensor, pairs: Tensor, metric: str) -> Tensor:
    values, space, bags, edges = at_pairs(points, pairs, metric)
    pulls, m = pulls_of(grad, values, pairs), edges.shape[-2]
    gradient = torch.empty_like(values)
    with torch.cuda.device(values.device):
        workspace = _workspace(_C.cuda_pair_pulls_workspace(bags, m), values.device)
        _C.cuda_pair_pulls(
            _where(values),
            space,
            bags,
            edges.data_ptr(),
            m,
            pulls.data_ptr(),
            gradient.data_ptr(),
            workspace.data_ptr(),
        )
    return gradient.to(points.dtype)


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
    """The edges of both trees, and one launch that measures them in both spaces."""
    _checks.check_spaces(x, z, metric_x, metric_z, pairs_x, lengths, cu_seqlens)
    if cu_seqlens is not None and x.dim() > 2:  # copies of packed batches, as vmap makes them
        return generic.signature_edges(
            x,
            z,
            pairs_x,
            metric_x,
            metric_z,
            lengths,
            cu_seqlens,
            farthest_x,
            farthest_z,
            max_seqlen,
        )
    # As the kernels read them: once, for all that follows.
    lengths, cu_seqlens = (
        sizes if sizes is None else sizes.to(torch.int64) for sizes in (lengths, cu_seqlens)
    )
    (values_x, space_x), (values_z, space_z) = space_of(x, metric_x), space_of(z, metric_z)
    _kept, bags = bags_of(x, lengths, cu_seqlens, max_seqlen)
    edges_z, weights_z = trees(values_z, metric_z, lengths, cu_seqlens, max_seqlen)
    if pairs_x is None:
        edges_x, weights_x = trees(values_x, metric_x, lengths, cu_seqlens, max_seqlen)
        tree_x = edges_x.data_ptr(), weights_x.data_ptr()
    else:
        edges_x = pairs_x.contiguous()
        tree_x = edges_x.data_ptr(), 0
    *batch, m, _ = edges_z.shape
    pairs = edges_z.new_empty(*batch, 2 * m, 2)
    a, b = values_x.new_empty(*batch, 2 * m), values_z.new_empty(*batch, 2 * m)
    with torch.cuda.device(pairs.device):
        _C.cuda_signature_edges(
            _where(pairs),
            space_x,
            space_z,
            bags,
            tree_x,
            (edges_z.data_ptr(), weights_z.data_ptr()),
            (pairs.data_ptr(), a.data_ptr(), b.data_ptr()),
        )
    far_x, far_z = (
        farthest_pairs(points, metric, lengths, cu_seqlens, max_seqlen)
        if wanted
        else pairs.new_empty(0)
        for points, metric, wanted in (
            (values_x, metric_x, farthest_x),
            (values_z, metric_z, farthest_z),
        )
    )
    return pairs, a, b, far_x, far_z


def squares(a: Tensor, b: Tensor, shares: Tensor | None, share: int) -> Tensor:
    """Σ(a-b)² / share of each bag, in one launch."""
    first, second = a.contiguous(), b.contiguous()
    sums = a.new_empty(a.shape[:-1], dtype=torch.promote_types(a.dtype, b.dtype))
    _each, divisors = _divisors(shares, share, sums.dtype)
    with torch.cuda.device(sums.device):
        _C.cuda_squares(
            _where(sums),
            reals_of(first),
            reals_of(second),
            sums.numel(),
            a.shape[-1],
            divisors,
            sums.data_ptr(),
        )
    return sums


def squares_pulls(grad: Tensor, a: Tensor, b: Tensor, shares: Tensor | None, share: int) -> Tensor:
    """The gradient of `squares` in a."""
    first, second = a.contiguous(), b.contiguous()
    pulls = grad.to(torch.promote_types(a.dtype, b.dtype)).contiguous()
    _each, divisors = _divisors(shares, share, pulls.dtype)
    slopes = torch.empty_like(first)
    with torch.cuda.device(slopes.device):
        _C.cuda_squares_pulls(
            _where(slopes),
            reals_of(first),
            reals_of(second),
            pulls.numel(),
            a.shape[-1],
            divisors,
            pulls.data_ptr(),
            slopes.data_ptr(),
        )
    return slopes


def _divisors(
    shares: Tensor | None, share: int, dtype: torch.dtype
) -> tuple[Tensor | None, tuple[int, int]]:
    """What bags' squares are divided by, as kernels read it, and the tensor that owns it."""
    if shares is None:
        return None, (0, share)
    each = shares.to(dtype).contiguous()
    return each, (each.data_ptr(), 0)


def _workspace(size: int, device: torch.device) -> Tensor:
    return torch.empty(size, dtype=torch.uint8, device=device)


def _where(tensor: Tensor) -> tuple[int, int]:
    """The device's number, and the stream that torch now uses there."""
    device = tensor.get_device()
    stream: int = torch.cuda.current_stream(device).cuda_stream
    return device, stream
