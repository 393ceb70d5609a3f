"""A step of the signature loss by one operator, which finds the gradients with the losses.

On the CPU a kernel does in microseconds what is dozens of short tensors to torch; on a GPU it is
one launch. The way back only multiplies what was found by what comes in.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from torchtopo._lengths import has_kernels, in_a_transform
from torchtopo._losses.comparison import (
    Comparison,
    Side,
    keep,
    of_scale,
    on_a_device,
    recorded,
    requires_grad,
    tensor_or_number,
)
from torchtopo._losses.reduction import PerBag, Scale
from torchtopo._operators import cuda, registry

# Losses, pairs, their lengths in both spaces, farthest pairs and their lengths, gradients.
_Found = tuple[Tensor, Tensor, Tensor, Tensor, list[Tensor], list[Tensor]]


def in_one_call(
    x: Tensor,
    z: Tensor,
    pairs_x: Tensor | None,
    metric_x: str,
    metric_z: str,
    by_maximum: bool,
) -> bool:
    """Whether one call finds all of it, of a padded batch: gradients of points in reverse mode."""
    if x.dim() < 2 or x.shape[:-1] != z.shape[:-1] or not has_kernels(z) or in_a_transform():
        return False
    if x.requires_grad and metric_x == "precomputed":
        return False
    if not on_a_device(z):
        return not (z.requires_grad and metric_z == "precomputed")
    # In one launch, if a block a bag should be fast enough.
    known = pairs_x is not None and not by_maximum
    return known and cuda.step_fits_a_block(x, z, metric_x, metric_z)


class Step(NamedTuple):
    """What the signature loss makes of two spaces, but for these and what divides their lengths."""

    pairs_x: Tensor | None
    metric_x: str
    metric_z: str
    lengths: Tensor | None
    bags: PerBag
    share: Tensor | int | None  # None: the norms over either tree are halved
    largest_x: bool  # whether the largest length divides
    largest_z: bool

    def losses(self, x: Tensor, z: Tensor, scale_x: Scale, scale_z: Scale) -> Tensor:
        """The loss of each bag of a padded batch."""
        scale_x, scale_z = self.bags.scales(scale_x, scale_z)
        moved = any(map(requires_grad, (x, z, scale_x, scale_z)))
        if not torch.is_grad_enabled() or not moved:
            return self.found(x, z, scale_x, scale_z, (False,) * 4)[0]
        losses: Tensor = _Step.apply(x, z, scale_x, scale_z, self)
        return losses

    def found(
        self, x: Tensor, z: Tensor, scale_x: Scale, scale_z: Scale, wanted: tuple[bool, ...]
    ) -> _Found:
        """What `signature_step` finds, of the gradients those of x, z and the scales wanted."""
        by_x, x_by = tensor_or_number(scale_x)
        by_z, z_by = tensor_or_number(scale_z)
        shares, share = tensor_or_number(0 if self.share is None else self.share)
        found: _Found = registry.signature_step(
            *(x, z, self.pairs_x, self.metric_x, self.metric_z, self.lengths, by_x, by_z, shares),
            *(x_by, z_by, share, *wanted, self.largest_x, self.largest_z),
        )
        return found

    def comparison(self, pairs: Tensor, a: Tensor, b: Tensor, *farthest: Tensor) -> Comparison:
        """The same of what `signature_edges` found; farthest pairs and their lengths if asked."""
        nobody = None, None
        in_x = (farthest[0][0], farthest[1][0]) if self.largest_x else nobody
        in_z = (farthest[0][-1], farthest[1][-1]) if self.largest_z else nobody
        return Comparison(
            pairs,
            Side("x", self.metric_x, a, *in_x),
            Side("z", self.metric_z, b, *in_z),
            self.bags,
            self.share,
        )


class _Step(torch.autograd.Function):
    """Reverse mode by what the kernel found; the graph of a second derivative is tensor code's."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, z: Tensor, scale_x: Scale, scale_z: Scale, step: Step
    ) -> Tensor:
        inputs = x, z, scale_x, scale_z
        wanted = tuple(map(requires_grad, inputs))
        losses, *ctx.edges, ctx.gradients = step.found(*inputs, wanted)
        ctx.step = step
        keep(ctx, *inputs)
        return losses

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():
            pairs, a, b, farthest = ctx.edges
            return *recorded(ctx, ctx.step.comparison(pairs, a, b, *farthest), grad), None
        x, z, scale_x, scale_z = ctx.saved_tensors
        of_bags, need = iter(ctx.gradients), ctx.needs_input_grad
        return (
            _of_points(grad, next(of_bags), x) if need[0] else None,
            _of_points(grad, next(of_bags), z) if need[1] else None,
            of_scale(grad, next(of_bags), scale_x) if need[2] else None,
            of_scale(grad, next(of_bags), scale_z) if need[3] else None,
            None,
        )


def _of_points(grad: Tensor, of_bags: Tensor, points: Tensor) -> Tensor:
    by_bag = grad if grad.dtype is of_bags.dtype else grad.to(of_bags.dtype)
    found = (by_bag[..., None, None] if by_bag.dim() else by_bag) * of_bags
    return found if found.dtype is points.dtype else found.to(points.dtype)
