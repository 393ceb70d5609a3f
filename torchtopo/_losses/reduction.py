"""What every loss over bags needs: sums and norms within a bag, and a reduction over bags."""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch
from torch import Tensor

from torchtopo import _bags
from torchtopo._metric import norm

Reduction: TypeAlias = Literal["mean", "sum", "none"]


def check_reduction(reduction: object) -> None:
    """Raise ValueError unless `reduction` is the name of one."""
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"reduction must be mean, sum or none; got {reduction!r}")


def check_scale(scale: object, name: str, cloud: Tensor, validate: bool) -> None:
    """Check that what divides distances is a positive number, or a floating tensor of such.

    Its values are read where that waits for nothing, and under `validate`; NaN is let through
    unless `validate` is set, as it is everywhere.
    """
    if not isinstance(scale, Tensor):
        if not isinstance(scale, int | float) or not scale > 0:
            raise ValueError(f"{name} must be a positive number or a tensor, got {scale!r}")
        return
    if not scale.is_floating_point():
        raise TypeError(f"{name} must be floating, got {scale.dtype}; use .float()")
    if scale.device != cloud.device and not (scale.is_cpu and scale.numel() == 1):
        raise ValueError(
            f"{name} is on {scale.device}, the points on {cloud.device}; "
            f"move it there with .to({str(cloud.device)!r})"
        )
    if not validate and not _bags.readable(scale):
        return
    wrong = (scale.detach() <= 0) | (scale.detach().isnan() if validate else False)
    if bool(wrong.any()):
        raise ValueError(f"{name} must be positive, one value is {float(scale[wrong][0])}")


def reduce(losses: Tensor, reduction: str) -> Tensor:
    """The losses `(*B)` of bags as they are, or their mean or sum."""
    if reduction == "none":
        return losses
    return losses.mean() if reduction == "mean" else losses.sum()


class PerBag:
    """What adds up within each bag of a batch, and what is spread over it.

    Values lie as pairs do: `(*B, M)`, or packed `(M,)`, each bag's N-1 after those of the bag
    before it; the pairs of several spaces one after another are `of` so many times that.
    """

    def __init__(
        self, cloud: Tensor, lengths: Tensor | None, cu_seqlens: Tensor | None, of: int = 1
    ) -> None:
        self.points: Tensor | int  # of each bag
        if cu_seqlens is None:
            self.shape: torch.Size = cloud.shape[:-2]
            # A copy: the user may write into lengths before the loss goes backwards, and what was
            # made in inference mode cannot be saved for that.
            dtype = torch.float64 if cloud.dtype == torch.float64 else torch.float32
            self.points = cloud.shape[-2] if lengths is None else lengths.to(dtype)
            self.bag = None
        else:
            self.points = cu_seqlens.diff()
            self.shape = self.points.shape
            self.bag = _bag_of_pairs(cloud, cu_seqlens)
        self.of = of

    def sum(self, values: Tensor) -> Tensor:
        """Sum over the pairs of each bag."""
        if self.bag is None:
            return values.sum(-1)
        return values.new_zeros(self.shape).index_add(0, self.bag.repeat(self.of), values)

    def norm(self, values: Tensor) -> Tensor:
        """Norm over the pairs of each bag and space, summed over the spaces."""
        if self.bag is None:
            return norm(values.unflatten(-1, (self.of, values.shape[-1] // self.of))).sum(-1)
        bags = self.shape[0]
        space = torch.arange(self.of, device=values.device).unsqueeze(-1)
        part = (self.bag + bags * space).flatten()
        squares = values.new_zeros(self.of * bags).index_add(0, part, values.square())
        zero = squares == 0  # where the root has no derivative the norm's is 0
        roots = squares.masked_fill(zero, 1.0).sqrt().masked_fill(zero, 0.0)
        return roots.reshape(self.of, bags).sum(0)

    def spread(self, scale: Tensor | float, name: str) -> Tensor | float:
        """A number, one for all or one for each bag, as it divides the pairs' values."""
        if not isinstance(scale, Tensor):
            return scale
        if scale.numel() == 1:
            return scale.reshape(())
        if scale.shape != self.shape:
            raise ValueError(
                f"{name} must have one element or one for each bag {tuple(self.shape)}, "
                f"got {tuple(scale.shape)}"
            )
        if self.bag is None:
            return scale.unsqueeze(-1)
        return scale.index_select(0, self.bag.repeat(self.of))


def _bag_of_pairs(points: Tensor, cu_seqlens: Tensor) -> Tensor:
    """The bag `(T-B,)` of each pair of a packed batch: by its place, a bag of N has N-1."""
    bags = cu_seqlens.shape[0] - 1
    ends = cu_seqlens[1:] - torch.arange(1, bags + 1, device=cu_seqlens.device)
    place = torch.arange(points.shape[0] - bags, device=cu_seqlens.device)
    # Clamped, since cu_seqlens on a device are not read back.
    return torch.searchsorted(ends, place, right=True).clamp(max=bags - 1)
