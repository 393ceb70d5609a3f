"""How many pairs two spaces share: a diagnostic of the signature loss."""

from __future__ import annotations

import torch
from torch import Tensor

from torchtopo import _checks


def matched_pairs(pairs_x: Tensor, pairs_z: Tensor, *, cu_seqlens: Tensor | None = None) -> Tensor:
    """How many pairs of each bag are in both sets: N-1 where the two trees are the same.

    A diagnostic of the signature loss, counted on the device without waiting for it. Padding is
    not counted, and a pair that a set names twice counts once.

    Args:
        pairs_x, pairs_z: `(*B, M, 2)` and `(*B, M', 2)` int64, either order within a pair.
        cu_seqlens: `(B+1,)`, where both are packed.

    Returns:
        `(*B)` int64; packed `(B,)`.

    Raises:
        TypeError: pairs not int64, cu_seqlens not integer.
        ValueError: shapes or devices that differ; values of cu_seqlens that don't rise from 0, or
            pairs that are of no packed bag (both on the CPU, outside transforms and compilation).

    Examples:
        >>> import torch, torchtopo
        >>> torchtopo.matched_pairs(torch.tensor([[0, 1], [1, 2]]), torch.tensor([[2, 1], [0, 2]]))
        tensor(1)
    """
    for name, pairs in (("pairs_x", pairs_x), ("pairs_z", pairs_z)):
        _checks.check_int64_pairs(pairs, name)
    if pairs_x.shape[:-2] != pairs_z.shape[:-2]:
        raise ValueError(
            f"pairs_x {tuple(pairs_x.shape)} and pairs_z {tuple(pairs_z.shape)} differ in batch"
        )
    if pairs_x.device != pairs_z.device:
        raise ValueError(
            f"pairs_x are on {pairs_x.device}, pairs_z on {pairs_z.device}; "
            f"they must be on one device"
        )
    if cu_seqlens is not None:
        _checks.check_ragged(None, cu_seqlens)
        _checks.check_cu_seqlens(cu_seqlens, pairs_z, "pairs_z")
        if pairs_z.dim() != 2:
            raise ValueError(f"packed pairs have the shape (M, 2), got {tuple(pairs_z.shape)}")
        if _checks.readable(cu_seqlens, pairs_x, pairs_z):
            _checks.check_cu_seqlens_in_order(cu_seqlens)
            for name, pairs in (("pairs_x", pairs_x), ("pairs_z", pairs_z)):
                _check_packed_pairs(pairs, cu_seqlens, name)
    keys_x, keys_z = _edge_keys(pairs_x).sort(-1).values, _edge_keys(pairs_z).sort(-1).values
    if keys_x.shape[-1] == 0:
        found = torch.zeros_like(keys_z, dtype=torch.bool)
    else:
        place = torch.searchsorted(keys_x, keys_z).clamp(max=keys_x.shape[-1] - 1)
        found = (keys_x.gather(-1, place) == keys_z) & (keys_z >= 0)
        again = keys_z.diff(dim=-1, prepend=keys_z[..., :1] - 1) == 0
        found = found & ~again
    if cu_seqlens is None:
        return found.sum(-1)
    bag = _bag_of(keys_z >> 32, cu_seqlens)
    counts = torch.zeros(cu_seqlens.shape[0] - 1, dtype=torch.int64, device=bag.device)
    return counts.index_add(0, bag, found.long())


def _bag_of(rows: Tensor, cu_seqlens: Tensor) -> Tensor:
    """The bag of each packed row; clamped, since values on a device are not read back."""
    bag = torch.searchsorted(cu_seqlens.contiguous(), rows.contiguous(), right=True) - 1
    return bag.clamp(0, cu_seqlens.shape[0] - 2)


def _check_packed_pairs(pairs: Tensor, cu_seqlens: Tensor, name: str) -> None:
    """Raise ValueError unless both ends of each pair are in one bag; reads the values."""
    i, j = pairs.unbind(-1)
    inside = (pairs >= 0) & (pairs < cu_seqlens[-1])
    same = _bag_of(i, cu_seqlens) == _bag_of(j, cu_seqlens)
    wrong = ~(inside.all(-1) & same) & (pairs != -1).any(-1)
    if bool(wrong.any()):
        i, j = pairs[wrong][0].tolist()
        raise ValueError(
            f"{name} must name two rows of one bag of cu_seqlens, which ends with "
            f"{int(cu_seqlens[-1])}, or be the padding (-1, -1); one is ({i}, {j})"
        )


def _edge_keys(pairs: Tensor) -> Tensor:
    """One integer per pair, the same for (i, j) and (j, i), negative for padding."""
    i, j = pairs.unbind(-1)
    return torch.minimum(i, j) * (1 << 32) + torch.maximum(i, j)
