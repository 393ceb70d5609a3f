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
    pulls_of,
    shape_of_bags,
    shape_of_trees,
    space_of,
)

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
    points: Tensor, metric: str, lengths: Tensor | None, cu_seqlens: Tensor | None
) -> tuple[Tensor, Tensor]:
    _checks.check_batch(points, metric, lengths, cu_seqlens)
    values, space = space_of(points, metric)
    _kept, bags = bags_of(points, lengths, cu_seqlens)
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


def farthest_pairs(
    points: Tensor, metric: str, lengths: Tensor | None, cu_seqlens: Tensor | None
) -> Tensor:
    _checks.check_batch(points, metric, lengths, cu_seqlens)
    values, space = space_of(points, metric)
    _kept, bags = bags_of(points, lengths, cu_seqlens)
    pairs = values.new_empty((*shape_of_bags(points, cu_seqlens), 2), dtype=torch.int64)
    with torch.cuda.device(values.device):
        workspace = _workspace(_C.cuda_farthest_pairs_workspace(bags), values.device)
        _C.cuda_farthest_pairs(_where(values), space, bags, pairs.data_ptr(), workspace.data_ptr())
    return pairs if cu_seqlens is None else renamed(pairs, points.shape[-2], -1)


def elder_rule(pairs: Tensor, n: int) -> Tensor:
    *batch, m, _ = pairs.shape
    edges = pairs.contiguous()
    bags = math.prod(batch)
    dying = edges.new_empty((*batch, m))
    with torch.cuda.device(edges.device):
        workspace = _workspace(_C.cuda_elder_rule_workspace(bags, n), edges.device)
        _C.cuda_elder_rule(
            _where(edges), edges.data_ptr(), bags, m, n, dying.data_ptr(), workspace.data_ptr()
        )
    return dying


def pair_lengths(points: Tensor, pairs: Tensor, metric: str) -> Tensor:
    if metric == "precomputed":  # a gather, which torch does on the device
        return generic.pair_lengths(points, pairs, metric)
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


def _workspace(size: int, device: torch.device) -> Tensor:
    return torch.empty(size, dtype=torch.uint8, device=device)


def _where(tensor: Tensor) -> tuple[int, int]:
    """The device's number, and the stream that torch now uses there."""
    device = tensor.get_device()
    stream: int = torch.cuda.current_stream(device).cuda_stream
    return device, stream
