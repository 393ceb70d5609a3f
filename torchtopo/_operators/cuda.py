"""The operators on CUDA: check shapes, allocate from torch, launch on torch's current stream.

No value of a tensor is read on the host, so nothing waits for the device: the kernels clamp
`lengths`, `cu_seqlens` and `pairs` themselves. Workspace is torch's memory; it is released when the
call returns, and torch hands it out again on the same stream only.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from torchtopo import _C, _checks
from torchtopo._bags import renamed
from torchtopo._metric import measured_in
from torchtopo._operators import generic
from torchtopo._operators.arguments import (
    DTYPES,
    PLACES,
    Bags,
    Space,
    address_of,
    at_pairs,
    bags_of,
    each_of,
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
    _farthest_pairs(values.device, bags, (space, space), ((pairs, None), (None, None)))
    return pairs if cu_seqlens is None else renamed(pairs, points.shape[-2], -1)


# Pairs and their lengths, as far as somebody asks for them.
_Farthest = tuple[Tensor | None, Tensor | None]


def _farthest_pairs(
    device: torch.device,
    bags: Bags,
    spaces: tuple[Space, Space],
    out: tuple[_Farthest, _Farthest],
) -> None:
    """Those of one space or of two, in two launches either way."""
    count = sum(pairs is not None for pairs, _ in out)
    of_x, of_z = (
        (address_of(pairs), *((0, 0) if lengths is None else reals_of(lengths)))
        for pairs, lengths in out
    )
    with torch.cuda.device(device):
        workspace = _workspace(_C.cuda_farthest_pairs_workspace(bags, count), device)
        _C.cuda_farthest_pairs(_where(workspace), *spaces, bags, of_x, of_z, workspace.data_ptr())


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


def pair_pulls(
    grad: Tensor,
    points: Tensor,
    pairs: Tensor,
    metric: str,
    further: Tensor | None = None,
    further_grad: Tensor | None = None,
    weights: Tensor | None = None,
) -> Tensor:
    values, space, bags, edges = at_pairs(points, pairs, metric)
    lists = [(edges, pulls_of(grad, values, pairs))]
    if further is not None and further_grad is not None:
        lists.append((further.contiguous(), pulls_of(further_grad, values, further)))
    pulling = [(pairs.data_ptr(), pairs.shape[-2], by.data_ptr()) for pairs, by in lists]
    if weights is not None:
        weights = weights.to(values.dtype).contiguous()
    gradient = torch.empty_like(values)
    with torch.cuda.device(values.device):
        m = sum(count for _, count, _ in pulling)
        workspace = _workspace(_C.cuda_pair_pulls_workspace(bags, m), values.device)
        _C.cuda_pair_pulls(
            _where(values),
            space,
            bags,
            pulling[0],
            pulling[1] if len(pulling) > 1 else (0, 0, 0),
            address_of(weights),
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
    spaces, each = farthest_x + farthest_z, shape_of_bags(x, cu_seqlens)
    wide = torch.promote_types(a.dtype, b.dtype)
    far = pairs.new_empty((spaces, *each, 2) if spaces else 0)
    largest = a.new_empty((spaces, *each) if spaces else 0, dtype=wide)
    if spaces:
        nobody = (None, None)
        out_x = (far[0], largest[0]) if farthest_x else nobody
        out_z = (far[-1], largest[-1]) if farthest_z else nobody
        _farthest_pairs(pairs.device, bags, (space_x, space_z), (out_x, out_z))
    return pairs, a, b, far, largest


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
    """Losses and slopes in one launch."""
    each = a.shape[:-1]
    losses = a.new_empty(each, dtype=torch.promote_types(a.dtype, b.dtype))
    x, x_by, out_x, _x = _compared(a, scale_x, x_by, largest_x, slopes_x)
    z, z_by, out_z, _z = _compared(b, scale_z, z_by, largest_z, slopes_z)
    shares, _shares = each_of(share)
    bags, half = losses.numel(), a.shape[-1] // 2
    with torch.cuda.device(losses.device):
        _C.cuda_signature_losses(
            _where(losses), x, x_by, z, z_by, bags, half, shares, by, losses.data_ptr()
        )
    return losses, *out_x, *out_z


def step_fits_a_block(x: Tensor, z: Tensor, metric_x: str, metric_z: str) -> bool:
    """Whether a step with known pairs of x is to be one launch; shapes and dtypes decide."""
    in_x, in_z = (
        (0, DTYPES[measured_in(points.dtype)], points.shape[-1], PLACES[metric], False)
        for points, metric in ((x, metric_x), (z, metric_z))
    )
    *batch, n, _ = x.shape
    count = math.prod(batch)
    fits: bool = _C.cuda_step_fits_a_block(in_x, in_z, (count, n, count * n, 0, 0), _plan)
    return fits


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
    """All of it in one launch, if a block can hold a bag (under cosine another finds units)."""
    _checks.check_spaces(x, z, metric_x, metric_z, pairs_x, lengths, None)
    largest = largest_x or largest_z
    if pairs_x is None or largest or not step_fits_a_block(x, z, metric_x, metric_z):
        spaces, divided = (x, z, pairs_x, metric_x, metric_z, lengths), (scale_x, scale_z, share)
        wanted = (gradient_x, gradient_z, slope_x, slope_z, largest_x, largest_z)
        return generic.signature_step(*spaces, *divided, x_by, z_by, by, *wanted)
    (values_x, space_x), (values_z, space_z) = space_of(x, metric_x), space_of(z, metric_z)
    _kept, bags = bags_of(x, lengths)
    given, (*batch, m, _) = pairs_x.contiguous(), pairs_x.shape
    pairs = given.new_empty((*batch, 2 * m, 2))
    a, b = values_x.new_empty(*batch, 2 * m), values_z.new_empty(*batch, 2 * m)
    losses = a.new_empty(batch, dtype=torch.promote_types(a.dtype, b.dtype))
    of_x, x_by, points_x, by_x, _x = _stepped(values_x, a, scale_x, x_by, gradient_x, slope_x)
    of_z, z_by, points_z, by_z, _z = _stepped(values_z, b, scale_z, z_by, gradient_z, slope_z)
    shares, _shares = each_of(share)
    with torch.cuda.device(pairs.device):
        workspace = _workspace(_C.cuda_signature_step_workspace(space_z, bags), pairs.device)
        _C.cuda_signature_step(
            *(_where(pairs), space_x, of_x, x_by, space_z, of_z, z_by, bags, given.data_ptr()),
            *(shares, by, (pairs.data_ptr(), losses.data_ptr()), workspace.data_ptr()),
        )
    gradients = [of for of in (points_x, points_z, by_x, by_z) if of is not None]
    return losses, pairs, a, b, [], gradients


def _stepped(
    values: Tensor, lengths: Tensor, scale: Tensor | None, by: float, gradient: bool, slope: bool
) -> tuple[Any, float, Tensor | None, Tensor | None, object]:
    """A space as `cuda_signature_step` takes it, its gradients, and who owns what it reads."""
    of_points = torch.empty_like(values) if gradient else None
    of_scale = values.new_empty(lengths.shape[:-1]) if slope and scale is not None else None
    numbers, by, owner = _divided(scale, by, values.device)
    told = (*numbers, lengths.data_ptr(), address_of(of_points), address_of(of_scale))
    return told, by, of_points, of_scale, owner


def _compared(
    lengths: Tensor, scale: Tensor | None, by: float, largest: bool, wanted: bool
) -> tuple[Any, float, tuple[Tensor, Tensor], object]:
    """A space as `cuda_signature_losses` takes it, its slopes, and who owns what it reads."""
    values, each = lengths.contiguous(), lengths.shape[:-1]
    slopes = values.new_empty(values.shape if wanted else 0)
    of_scale = values.new_empty(each if wanted and scale is not None else 0)
    numbers, by, owner = _divided(scale, by, values.device)
    told = (*reals_of(values), *numbers, int(largest), address_of(slopes), address_of(of_scale))
    return told, by, (slopes, of_scale), (values, owner)


def _divided(
    scale: Tensor | None, by: float, device: torch.device
) -> tuple[tuple[int, int, int], float, Tensor | None]:
    """What divides lengths: numbers that the kernel reads, or one number."""
    if scale is not None and scale.device != device:  # one number, of the CPU
        by, scale = scale.item(), None
    numbers, owner = each_of(scale)
    return numbers, by, owner


def _workspace(size: int, device: torch.device) -> Tensor:
    return torch.empty(size, dtype=torch.uint8, device=device)


def _where(tensor: Tensor) -> tuple[int, int]:
    """The device's number, and the stream that torch now uses there."""
    device = tensor.get_device()
    stream: int = torch.cuda.current_stream(device).cuda_stream
    return device, stream
