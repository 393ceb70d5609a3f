"""What crosses into the kernels, for CPU and CUDA alike: a space and its bags, each a few numbers.

They are plain tuples, as they cost a call of ten points the least; csrc/python/arguments.hpp
unpacks them. The tensor beside one owns the memory that it points to.
"""

from __future__ import annotations

import math
from typing import TypeAlias

import torch
from torch import Tensor

from torchtopo import _C, _checks
from torchtopo._bags import joined
from torchtopo._metric import METRICS, measured_in

# Address of the values, 0 for float32 or 1 for float64, coordinates, place in METRICS, and whether
# a matrix is promised to be symmetric.
Space: TypeAlias = tuple[int, int, int, int, bool]
# How many, the most points of one, rows of all, and the addresses of lengths or cu_seqlens, or 0.
Bags: TypeAlias = tuple[int, int, int, int, int]

DTYPES = {torch.float32: 0, torch.float64: 1}
PLACES = {metric: place for place, metric in enumerate(METRICS)}


def at_pairs(points: Tensor, pairs: Tensor, metric: str) -> tuple[Tensor, Space, Bags, Tensor]:
    """Checked: the points' values, what kernels are told of them, and the contiguous pairs."""
    _checks.check_points(points, metric)
    _checks.check_pairs(points, pairs)
    values, space = space_of(points, metric)
    return values, space, bags_of(points)[1], pairs.contiguous()


def of_batch(
    points: Tensor,
    metric: str,
    lengths: Tensor | None,
    cu_seqlens: Tensor | None,
    max_seqlen: int | None = None,
    symmetric: bool = False,
) -> tuple[Tensor, Space, Tensor | None, Bags]:
    """Checked: the points' values and the bags' sizes, each before what kernels are told of it."""
    _checks.check_batch(points, metric, lengths, cu_seqlens)
    values, space = space_of(points, metric, symmetric)
    sizes, bags = bags_of(points, lengths, cu_seqlens, max_seqlen)
    return values, space, sizes, bags


def space_of(points: Tensor, metric: str, symmetric: bool = False) -> tuple[Tensor, Space]:
    """Contiguous values of the dtype in which they are measured, and what the kernels are told."""
    dtype = points.dtype
    number = DTYPES.get(dtype)
    if number is None:
        points = points.detach().to(measured_in(dtype))
        number = DTYPES[points.dtype]
    values = points.contiguous()
    return values, (values.data_ptr(), number, values.shape[-1], PLACES[metric], symmetric)


def bags_of(
    points: Tensor,
    lengths: Tensor | None = None,
    cu_seqlens: Tensor | None = None,
    max_seqlen: int | None = None,
) -> tuple[Tensor | None, Bags]:
    """The int64 sizes or ends of bags, if they have any, and what the kernels are told.

    Their values are checked on the CPU; elsewhere nobody waits for them, and the kernels clamp.
    """
    *batch, n, _ = points.shape
    count = math.prod(batch)
    if cu_seqlens is not None:
        ends, bags = packed_bags(cu_seqlens, count, n, max_seqlen)
        # C++ says whether, Python says why not; what was joined is clamped, so Python looks.
        if points.is_cpu and (cu_seqlens.dim() > 1 or not _C.well_formed(bags)):
            _checks.check_cu_seqlens_in_order(cu_seqlens, n)
        if points.is_cpu and max_seqlen is not None:
            _checks.check_no_longer(cu_seqlens, max_seqlen)
        return ends, bags
    if lengths is None:
        return None, (count, n, count * n, 0, 0)
    sizes = lengths.to(torch.int64).contiguous()
    bags = (count, n, count * n, sizes.data_ptr(), 0)
    if points.is_cpu and not _C.well_formed(bags):
        _checks.check_lengths_in_range(lengths, n)
    return sizes, bags


def packed_bags(
    cu_seqlens: Tensor, copies: int, n: int, max_seqlen: int | None
) -> tuple[Tensor, Bags]:
    """The ends of the bags of packed batches, each of n rows, and what the kernels are told."""
    ends, each = joined(cu_seqlens, n), cu_seqlens.shape[-1] - 1
    most = n - each + 1 if max_seqlen is None else min(max_seqlen, n - each + 1)
    return ends, (copies * each, most, copies * n, 0, ends.data_ptr())


def shape_of_trees(points: Tensor, cu_seqlens: Tensor | None) -> tuple[int, ...]:
    """One edge less than points in each bag: `(*B, N-1)`, packed `(T-B,)`."""
    *batch, n, _ = points.shape
    return *batch, n - (1 if cu_seqlens is None else cu_seqlens.shape[-1] - 1)


def shape_of_bags(points: Tensor, cu_seqlens: Tensor | None) -> tuple[int, ...]:
    """`(*B)`, packed `(B,)`."""
    batch = points.shape[:-2]
    return (*batch,) if cu_seqlens is None else (*batch, cu_seqlens.shape[-1] - 1)


def reals_of(values: Tensor) -> tuple[int, int]:
    """The address and the dtype of measured values."""
    return values.data_ptr(), DTYPES[values.dtype]


def pulls_of(grad: Tensor, values: Tensor, pairs: Tensor) -> Tensor:
    """The gradient of the lengths of `pairs`, as the kernels read it."""
    if grad.shape != pairs.shape[:-1]:
        raise ValueError(f"grad {tuple(grad.shape)} does not fit pairs {tuple(pairs.shape)}")
    return grad.to(values.dtype).contiguous()


def each_of(numbers: Tensor | None) -> tuple[tuple[int, int, int], Tensor | None]:
    """A number for each bag, or one for all, as kernels read it, and the tensor that owns it."""
    if numbers is None:
        return (0, 0, 0), None
    if numbers.dtype not in DTYPES:
        numbers = numbers.detach().to(measured_in(numbers.dtype))
    values = numbers.contiguous()
    return (*reals_of(values), int(values.numel() > 1)), values


def address_of(values: Tensor | None) -> int:
    return 0 if values is None or values.numel() == 0 else values.data_ptr()
