"""Bags of different sizes in one tensor."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from torchtopo._checks import check_dense


def joined(cu_seqlens: Tensor, total: int) -> Tensor:
    """The `cu_seqlens (..., B+1)` of copies, each of `total` rows, as those of one packed batch."""
    if cu_seqlens.dim() == 1:
        return cu_seqlens.to(torch.int64).contiguous()
    ends = cu_seqlens.reshape(-1, cu_seqlens.shape[-1]).long()
    first = torch.arange(ends.shape[0], device=ends.device).unsqueeze(1) * total
    # Clamped, so that on a device, where nobody looks at them, no copy reaches into another.
    ends = ends[:, 1:].clamp(0, total) + first
    return torch.cat((ends.new_zeros(1), ends.reshape(-1)))


def renamed(pairs: Tensor, total: int, of: int) -> Tensor:
    """The `pairs (..., M, 2)` of copies with `of` times a copy's first row added to their rows."""
    if pairs.dim() == 2:
        return pairs
    copies = pairs.shape[:-2]
    first = torch.arange(math.prod(copies), device=pairs.device).reshape(*copies, 1, 1) * (
        total * of
    )
    return torch.where(pairs < 0, pairs, pairs + first)


def pack(tensors: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Pack bags of different sizes into one tensor, without padding.

    Args:
        tensors: B tensors of shape `(N_b, D)`, N_b >= 1, of one dtype, device and D.

    Returns:
        `points (T, D)`, the bags' rows one after another, and `cu_seqlens (B+1,)` int32, the row at
        which each bag begins and, last, T: the convention of variable-length attention kernels.

    Raises:
        TypeError: an element is not a tensor, or dtypes differ.
        ValueError: no bags, an empty bag, or a shape or device that differs.

    Examples:
        >>> import torch, torchtopo
        >>> points, cu_seqlens = torchtopo.pack([torch.rand(3, 2), torch.rand(5, 2)])
        >>> points.shape, cu_seqlens
        (torch.Size([8, 2]), tensor([0, 3, 8], dtype=torch.int32))
        >>> torchtopo.deaths(points, cu_seqlens=cu_seqlens).shape
        torch.Size([6])
    """
    if not isinstance(tensors, Sequence | Tensor):
        raise TypeError(
            f"pack takes a list of tensors, got {type(tensors).__name__}; "
            f"pass list({'bags.values()' if isinstance(tensors, dict) else 'bags'})"
        )
    if len(tensors) == 0:
        raise ValueError("pack needs at least one bag")
    first = tensors[0]
    for b, bag in enumerate(tensors):
        check_dense(bag, f"bag {b}")
        if bag.dim() != 2 or bag.shape[0] == 0:
            remedy = "; numbers on a line are a bag after .unsqueeze(-1)" if bag.dim() == 1 else ""
            raise ValueError(
                f"every bag must have the shape (N_b, D), N_b >= 1; bag {b} has "
                f"{tuple(bag.shape)}{remedy}"
            )
        if bag.shape[1] != first.shape[1]:
            raise ValueError(
                f"every bag must have one D: bag {b} has {tuple(bag.shape)}, "
                f"bag 0 has {tuple(first.shape)}"
            )
        if bag.dtype != first.dtype:
            raise TypeError(f"bag {b} is {bag.dtype}, bag 0 is {first.dtype}")
        if bag.device != first.device:
            raise ValueError(f"bag {b} is on {bag.device}, bag 0 on {first.device}")
    ends = [0]
    for bag in tensors:
        ends.append(ends[-1] + bag.shape[0])
    return torch.cat(list(tensors)), torch.tensor(ends, dtype=torch.int32, device=first.device)
