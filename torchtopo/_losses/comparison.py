"""What the signature loss makes of lengths in two spaces, and its gradient.

On a GPU one kernel finds the losses and, in plain reverse mode, their slopes, so that the way back
only pulls at the points. Everything else is a graph of tensor code.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from torchtopo._lengths import has_kernels, in_a_transform, with_gradient
from torchtopo._losses.reduction import PerBag, Scale
from torchtopo._operators import registry


class Side(NamedTuple):
    """One space: the lengths of all pairs, and of the farthest, if its length is what divides."""

    name: str
    metric: str
    lengths: Tensor
    farthest: Tensor | None  # (*B, 2)
    largest: Tensor | None  # (*B), 0 where there is none

    def scaled(self, points: Tensor | None, scale: Scale, pairs: Tensor, bags: PerBag) -> Tensor:
        """The lengths as the loss compares them, a function of the points if these are given."""
        lengths, largest = self.lengths, self.largest
        if points is not None:
            lengths = with_gradient(lengths, points, pairs, self.metric)
        if largest is not None and self.farthest is not None:
            if largest.dtype != lengths.dtype:
                largest = largest.to(lengths.dtype)
            if points is not None:
                one_a_bag = bags.bag is None
                far = self.farthest.unsqueeze(-2) if one_a_bag else self.farthest
                largest = largest.unsqueeze(-1) if one_a_bag else largest
                largest = with_gradient(largest, points, far, self.metric)
                largest = largest.squeeze(-1) if one_a_bag else largest
            scale = largest.masked_fill(largest == 0, 1.0)
        return lengths if scale is None else lengths / bags.spread(scale, f"{self.name}_scale")

    def divisor(self, scale: Scale) -> tuple[Tensor | None, float, bool]:
        """A number for each bag or one for all, a number where there is none; is it a largest?"""
        if self.largest is not None:
            return self.largest, 1.0, True
        return *tensor_or_number(scale), False


class Comparison(NamedTuple):
    """The pairs of two trees, their lengths in both spaces, and what the squares are divided by."""

    pairs: Tensor
    x: Side
    z: Side
    bags: PerBag
    share: Tensor | int | None  # None: the norms over either tree are halved

    def losses(self, x: Tensor, z: Tensor, scale_x: Scale, scale_z: Scale) -> Tensor:
        """The loss of each bag."""
        served = on_a_device(self.x.lengths) and self.bags.bag is None and has_kernels(z)
        if not served or in_a_transform():
            return self.traced(x, z, scale_x, scale_z)
        scale_x, scale_z = self.bags.scales(scale_x, scale_z)
        moved_x, moved_z = x.requires_grad, z.requires_grad
        if not torch.is_grad_enabled() or not (
            moved_x or moved_z or requires_grad(scale_x) or requires_grad(scale_z)
        ):
            return self.measured(scale_x, scale_z, (False, False))[0]
        if (moved_x and self.x.metric == "precomputed") or (
            moved_z and self.z.metric == "precomputed"
        ):
            return self.traced(x, z, scale_x, scale_z)
        losses: Tensor = _Losses.apply(x, z, scale_x, scale_z, self)
        return losses

    def traced(self, x: Tensor | None, z: Tensor | None, scale_x: Scale, scale_z: Scale) -> Tensor:
        """The same as a graph with every derivative; a space of None stays as it was measured."""
        a = self.x.scaled(x, scale_x, self.pairs, self.bags)
        apart = a - self.z.scaled(z, scale_z, self.pairs, self.bags)
        if self.share is None:
            return self.bags.norm(apart) / 2
        return self.bags.sum(apart.square()) / self.share

    def measured(
        self, scale_x: Scale, scale_z: Scale, slopes: tuple[bool, bool]
    ) -> tuple[Tensor, ...]:
        """The losses; their slopes in the lengths of x, in its scale, and the same of z."""
        by_x, x_by, largest_x = self.x.divisor(scale_x)
        by_z, z_by, largest_z = self.z.divisor(scale_z)
        shares = self.share if isinstance(self.share, Tensor) else None
        share = 0 if self.share is None or shares is not None else self.share
        found: tuple[Tensor, ...] = registry.signature_losses(
            *(self.x.lengths, self.z.lengths, by_x, by_z, shares, x_by, z_by, share),
            *(largest_x, largest_z, *slopes),
        )
        return found


class _Losses(torch.autograd.Function):
    """Reverse mode by kernels; the graph of a second derivative is the tensor code's."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, z: Tensor, scale_x: Scale, scale_z: Scale, comparison: Comparison
    ) -> Tensor:
        slopes = (
            requires_grad(x) or requires_grad(scale_x),
            requires_grad(z) or requires_grad(scale_z),
        )
        losses, *ctx.slopes = comparison.measured(scale_x, scale_z, slopes)
        ctx.comparison = comparison
        keep(ctx, x, z, scale_x, scale_z)
        return losses

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():
            return *recorded(ctx, ctx.comparison, grad), None
        x, z, scale_x, scale_z = ctx.saved_tensors
        of_x, of_scale_x, of_z, of_scale_z = ctx.slopes
        comparison, need = ctx.comparison, ctx.needs_input_grad
        return (
            _pulled(grad, x, comparison.x, comparison.pairs, of_x, of_scale_x) if need[0] else None,
            _pulled(grad, z, comparison.z, comparison.pairs, of_z, of_scale_z) if need[1] else None,
            of_scale(grad, of_scale_x, scale_x) if need[2] else None,
            of_scale(grad, of_scale_z, scale_z) if need[3] else None,
            None,
        )


def _pulled(
    grad: Tensor, points: Tensor, side: Side, pairs: Tensor, slopes: Tensor, of_scale: Tensor
) -> Tensor:
    """The gradient of a space's points; a largest length pulls at its pair as others do."""
    further: tuple[Tensor | None, Tensor | None] = (None, None)
    if side.farthest is not None:
        further = side.farthest.unsqueeze(-2), of_scale.unsqueeze(-1)
    pulled: Tensor = registry.pair_pulls(slopes, points, pairs, side.metric, *further, grad)
    return pulled


def of_scale(grad: Tensor, of_bags: Tensor, scale: Tensor) -> Tensor:
    """The gradient of a scale, one for all bags or one of each, from those of the bags."""
    by_bag = grad * of_bags
    return (by_bag.sum() if scale.dim() < by_bag.dim() else by_bag).to(scale)


def keep(ctx: Any, x: Tensor, z: Tensor, scale_x: Scale, scale_z: Scale) -> None:
    """Keep the inputs for `recorded`."""
    ctx.numbers = [None if isinstance(of, Tensor) else of for of in (scale_x, scale_z)]
    # A space without a gradient is not kept alive, and may be a tensor of inference mode.
    ctx.save_for_backward(
        *(of if requires_grad(of) else None for of in (x, z)),
        *(_kept(of) if isinstance(of, Tensor) else None for of in (scale_x, scale_z)),
    )


def recorded(ctx: Any, comparison: Comparison, grad: Tensor) -> list[Tensor | None]:
    """The gradients as the graph of tensor code has them, itself recorded."""
    # Of the inputs themselves, grad would run the user's hooks.
    aliases: list[Any] = [None if of is None else of.view_as(of) for of in ctx.saved_tensors]
    x, z, *scales = aliases
    scales = [n if of is None else of for of, n in zip(scales, ctx.numbers, strict=True)]
    losses = comparison.traced(x, z, *scales)
    wanted = [k for k in range(4) if ctx.needs_input_grad[k]]
    found = torch.autograd.grad(losses, [aliases[k] for k in wanted], grad, create_graph=True)
    return [found[wanted.index(k)] if k in wanted else None for k in range(4)]


def _kept(scale: Tensor) -> Tensor:
    return scale.clone() if scale.is_inference() else scale


def tensor_or_number(scale: Scale) -> tuple[Tensor | None, float]:
    """A scale as operators take it: a tensor, or else a number, 1 where there is none."""
    if isinstance(scale, Tensor):
        return scale, 1.0
    return None, 1.0 if scale is None else float(scale)


def requires_grad(of: Scale) -> bool:
    return isinstance(of, Tensor) and of.requires_grad


def on_a_device(values: Tensor) -> bool:
    """Whether a launch costs more than a step of tensor code: then one kernel does all steps."""
    return values.is_cuda
