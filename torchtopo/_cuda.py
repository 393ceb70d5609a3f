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

from torchtopo import _C, _bags, _generic
from torchtopo._bags import METRICS

_PATHS = {"automatic": 0, "one_block": 1, "many_blocks": 2}
_path = 0


@contextmanager
def path(name: str) -> Iterator[None]:
    """Choose how trees are found, for tests and measurements: the edges are the same on each."""
    global _path
    before, _path = _path, _PATHS[name]
    try:
        yield
    finally:
        _path = before


def minimum_spanning_tree(distances: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
    _bags.check_points(distances, "precomputed", lengths, "distances")
    return _padded(distances, METRICS.index("precomputed"), lengths)


def vietoris_rips(points: Tensor, metric: str, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
    _bags.check_points(points, metric, lengths)
    return _padded(points, METRICS.index(metric), lengths)


def vietoris_rips_packed(points: Tensor, cu_seqlens: Tensor, metric: str) -> tuple[Tensor, Tensor]:
    _bags.check_packed(points, cu_seqlens, metric)
    values = _measurable(points)
    *copies, total, d = values.shape
    bags = cu_seqlens.shape[-1] - 1
    # Rows that wrong cu_seqlens give to no bag keep these values.
    edges = values.new_full((*copies, total - bags, 2), -1, dtype=torch.int64)
    weights = values.new_zeros((*copies, total - bags))
    count = math.prod(copies)
    shape = (count * bags, total - bags + 1, count * total, d)
    ends = _bags.joined(cu_seqlens, total)
    _trees(values, METRICS.index(metric), shape, None, ends, edges, weights)
    return _bags.renamed(edges, total, -1), weights


def elder_rule(pairs: Tensor, n: int) -> Tensor:
    *batch, m, _ = pairs.shape
    edges = pairs.contiguous()
    bags = math.prod(batch)
    dying = edges.new_empty((*batch, m))
    with torch.cuda.device(edges.device):
        workspace = _workspace(_C.cuda_elder_rule_workspace(bags, n), edges.device)
        _C.cuda_elder_rule(
            *_where(edges), edges.data_ptr(), bags, m, n, dying.data_ptr(), workspace.data_ptr()
        )
    return dying


def pair_distances(points: Tensor, pairs: Tensor, metric: str) -> Tensor:
    _bags.check_points(points, metric)
    _bags.check_pairs(points, pairs)
    if metric == "precomputed":  # a gather, which torch does on the device
        return _generic.pair_distances(points, pairs, metric)
    values, edges = _measurable(points), pairs.contiguous()
    *batch, n, d = values.shape
    m = edges.shape[-2]
    lengths = values.new_empty((*batch, m))
    with torch.cuda.device(values.device):
        _C.cuda_pair_distances(
            *_where(values),
            values.data_ptr(),
            int(values.dtype == torch.float64),
            METRICS.index(metric),
            math.prod(batch),
            n,
            d,
            edges.data_ptr(),
            m,
            lengths.data_ptr(),
        )
    return lengths


def pair_distances_backward(grad: Tensor, points: Tensor, pairs: Tensor, metric: str) -> Tensor:
    _bags.check_points(points, metric)
    _bags.check_pairs(points, pairs)
    values, edges = _measurable(points), pairs.contiguous()
    by = grad.to(values.dtype).contiguous()
    if by.shape != pairs.shape[:-1]:
        raise ValueError(f"grad {tuple(grad.shape)} does not fit pairs {tuple(pairs.shape)}")
    *batch, n, d = values.shape
    bags, m = math.prod(batch), edges.shape[-2]
    pulled = torch.empty_like(values)
    with torch.cuda.device(values.device):
        workspace = _workspace(_C.cuda_pair_pulls_workspace(bags, m), values.device)
        _C.cuda_pair_pulls(
            *_where(values),
            values.data_ptr(),
            int(values.dtype == torch.float64),
            METRICS.index(metric),
            bags,
            n,
            d,
            edges.data_ptr(),
            m,
            by.data_ptr(),
            pulled.data_ptr(),
            workspace.data_ptr(),
        )
    return pulled.to(points.dtype)


def diameter(points: Tensor, metric: str, lengths: Tensor | None) -> Tensor:
    _bags.check_points(points, metric, lengths)
    values = _measurable(points)
    *batch, n, d = values.shape
    bags = math.prod(batch)
    shape = (bags, n, bags * n, d)
    pairs = _diameters(values, metric, shape, lengths, None)
    return pairs.reshape(*batch, 2)


def diameter_packed(points: Tensor, cu_seqlens: Tensor, metric: str) -> Tensor:
    _bags.check_packed(points, cu_seqlens, metric)
    values = _measurable(points)
    *copies, total, d = values.shape
    bags = cu_seqlens.shape[-1] - 1
    count = math.prod(copies)
    shape = (count * bags, total - bags + 1, count * total, d)
    pairs = _diameters(values, metric, shape, None, _bags.joined(cu_seqlens, total))
    return _bags.renamed(pairs.reshape(*copies, bags, 2), total, -1)


def register(lib: torch.library.Library) -> None:
    """Serve the operators of `_ops.py` on CUDA; `_generic.py` serves those that are not here."""
    implementations: list[Any] = [
        minimum_spanning_tree,
        vietoris_rips,
        vietoris_rips_packed,
        elder_rule,
        pair_distances,
        pair_distances_backward,
        diameter,
        diameter_packed,
    ]
    for implementation in implementations:
        lib.impl(implementation.__name__, implementation, "CUDA")


def _padded(data: Tensor, metric: int, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
    values = _measurable(data)
    *batch, n, d = values.shape
    bags = math.prod(batch)
    edges = values.new_empty((*batch, n - 1, 2), dtype=torch.int64)
    weights = values.new_empty((*batch, n - 1))
    _trees(values, metric, (bags, n, bags * n, d), lengths, None, edges, weights)
    return edges, weights


def _trees(
    values: Tensor,
    metric: int,
    shape: tuple[int, int, int, int],  # bags, most points of a bag, rows, coordinates
    lengths: Tensor | None,
    cu_seqlens: Tensor | None,
    edges: Tensor,
    weights: Tensor,
) -> None:
    sizes, ends = _int64(lengths), _int64(cu_seqlens)
    dtype = int(values.dtype == torch.float64)
    with torch.cuda.device(values.device):
        workspace = _workspace(_C.cuda_trees_workspace(dtype, metric, *shape, _path), values.device)
        _C.cuda_trees(
            *_where(values),
            values.data_ptr(),
            dtype,
            metric,
            *shape,
            0 if sizes is None else sizes.data_ptr(),
            0 if ends is None else ends.data_ptr(),
            _path,
            edges.data_ptr(),
            weights.data_ptr(),
            workspace.data_ptr(),
        )


def _diameters(
    values: Tensor,
    metric: str,
    shape: tuple[int, int, int, int],
    lengths: Tensor | None,
    cu_seqlens: Tensor | None,
) -> Tensor:
    sizes, ends = _int64(lengths), _int64(cu_seqlens)
    pairs = values.new_empty((shape[0], 2), dtype=torch.int64)
    with torch.cuda.device(values.device):
        workspace = _workspace(_C.cuda_diameter_workspace(shape[2]), values.device)
        _C.cuda_diameter(
            *_where(values),
            values.data_ptr(),
            int(values.dtype == torch.float64),
            METRICS.index(metric),
            *shape,
            0 if sizes is None else sizes.data_ptr(),
            0 if ends is None else ends.data_ptr(),
            pairs.data_ptr(),
            workspace.data_ptr(),
        )
    return pairs


def _measurable(points: Tensor) -> Tensor:
    """Contiguous values as the kernels read them: half types become float32."""
    if points.dtype in (torch.float32, torch.float64):
        return points.contiguous()
    return points.detach().float().contiguous()


def _int64(sizes: Tensor | None) -> Tensor | None:
    return None if sizes is None else sizes.to(torch.int64).contiguous()


def _workspace(size: int, device: torch.device) -> Tensor:
    return torch.empty(size, dtype=torch.uint8, device=device)


def _where(tensor: Tensor) -> tuple[int, int]:
    """The device's number, and the stream that torch now uses there."""
    device = tensor.get_device()
    stream: int = torch.cuda.current_stream(device).cuda_stream
    return device, stream
