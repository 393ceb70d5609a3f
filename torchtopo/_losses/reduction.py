"""What every loss over bags needs: sums and norms within a bag, and a reduction over bags."""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch
from torch import Tensor

from torchtopo import _checks
from torchtopo._metric import measured_in, norm

Reduction: TypeAlias = Literal["mean", "sum", "none"]
Scale: TypeAlias = Tensor | float | None


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
    if not validate and not _checks.readable(scale):
        return
    if scale.dim() == 0 and scale.item() > 0:  # the learned one, at every step
        return
    wrong = (scale.detach() <= 0) | (scale.detach().isnan() if validate else False)
    if bool(wrong.any()):
        raise ValueError(f"{name} must be positive, one value is {float(scale[wrong][0])}")


def reduce(losses: Tensor, reduction: str) -> Tensor:
    """The losses `(*B)` of bags as they are, or their mean or sum."""
    if reduction == "none" or losses.dim() == 0:  # the mean of one bag costs 17 µs, there and back
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
            self.points = (
                cloud.shape[-2] if lengths is None else lengths.to(measured_in(cloud.dtype))
            )
            self.bag = None
        else:
            self.points = cu_seqlens.diff()
            self.shape = self.points.shape
            self.bag = bag_of_pairs(cloud.shape[0] - self.shape[0], cu_seqlens)
        self.of = of
        self.cu_seqlens = cu_seqlens

    def left_out(self, deaths: Tensor) -> Tensor:
        """Which deaths no loss counts: padding, and components that never merge."""
        infinite = deaths == torch.inf
        if self.bag is not None or not isinstance(self.points, Tensor):
            return infinite
        place = torch.arange(deaths.shape[-1], device=deaths.device)
        return infinite | (place >= (self.points - 1).unsqueeze(-1))

    def mean_of_points(self, values: Tensor) -> Tensor:
        """Mean over the points of each bag of values `(*B, N)`, packed `(T,)`."""
        if self.cu_seqlens is not None:
            bag = bag_of_rows(values.shape[0], self.cu_seqlens)
            return values.new_zeros(self.shape).index_add(0, bag, values) / self.points
        if isinstance(self.points, Tensor):
            place = torch.arange(values.shape[-1], device=values.device)
            values = values.masked_fill(place >= self.points.unsqueeze(-1), 0.0)
        return values.sum(-1) / self.points

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

    def scales(self, of_x: Scale, of_z: Scale) -> tuple[Scale, Scale]:
        """What divides distances of x and of z; tensors are `()`, for all bags, or one of each."""
        return self.each(of_x, "x_scale"), self.each(of_z, "z_scale")

    def each(self, scale: Scale, name: str) -> Scale:
        """A scale; a tensor as one `()` for all bags or one with a number for each bag."""
        if not isinstance(scale, Tensor) or scale.dim() == 0:
            return scale
        if scale.numel() == 1:
            return scale.reshape(())
        if scale.shape != self.shape:
            raise ValueError(
                f"{name} must have one element or one for each bag {tuple(self.shape)}, "
                f"got {tuple(scale.shape)}"
            )
        return scale

    def spread(self, scale: Tensor | float, name: str) -> Tensor | float:
        """A number, one for all or one for each bag, as it divides the pairs' values."""
        each = self.each(scale, name)
        assert each is not None
        if not isinstance(each, Tensor) or each.dim() == 0:
            return each
        if self.bag is None:
            return each.unsqueeze(-1)
        return each.index_select(0, self.bag.repeat(self.of))


def bag_of_pairs(pairs: int, cu_seqlens: Tensor) -> Tensor:
    """The bag of each pair of a packed batch, by its place: a bag of N points has N-1."""
    bags = cu_seqlens.shape[0] - 1
    return bag_of_rows(pairs, cu_seqlens - torch.arange(bags + 1, device=cu_seqlens.device))


def bag_of_rows(rows: int, cu_seqlens: Tensor) -> Tensor:
    """The bag of each row of a packed batch."""
    place = torch.arange(rows, device=cu_seqlens.device)
    bag = torch.searchsorted(cu_seqlens[1:].contiguous(), place, right=True)
    return bag.clamp(max=cu_seqlens.shape[0] - 2)  # values on a device are not read back
