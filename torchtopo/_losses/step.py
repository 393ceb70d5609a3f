"""A step of the signature loss in one launch, on a GPU where the pairs of x are known.

The kernel that finds the losses finds their gradients too: the way back only multiplies them by
what comes in. Both ways to the loss and the gradient have the same bits.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from torchtopo._lengths import has_kernels, in_a_transform
from torchtopo._losses.comparison import (
    Comparison,
    Scale,
    Side,
    keep,
    of_scale,
    on_a_device,
    recorded,
    requires_grad,
)
from torchtopo._losses.reduction import PerBag
from torchtopo._operators import cuda, registry


def in_one_launch(x: Tensor, z: Tensor, metric_x: str, metric_z: str) -> bool:
    """Whether one launch is to do all of it: then a block a bag should be fast enough."""
    if not on_a_device(z) or not has_kernels(z) or in_a_transform():
        return False
    if x.requires_grad and metric_x == "precomputed":
        return False
    same_bags = x.dim() > 1 and x.shape[:-1] == z.shape[:-1]
    return same_bags and cuda.step_fits_a_block(x, z, metric_x, metric_z)


class Step(NamedTuple):
    """A padded batch, of whose lengths only a scale of each space is a divisor."""

    pairs_x: Tensor
    metric_x: str
    metric_z: str
    lengths: Tensor | None
    bags: PerBag
    share: Tensor | int

    def losses(self, x: Tensor, z: Tensor, scale_x: Scale, scale_z: Scale) -> Tensor:
        """The loss of each bag."""
        if isinstance(scale_x, Tensor):
            scale_x = self.bags.each(scale_x, "x_scale")
        if isinstance(scale_z, Tensor):
            scale_z = self.bags.each(scale_z, "z_scale")
        moved = any(map(requires_grad, (x, z, scale_x, scale_z)))
        if not torch.is_grad_enabled() or not moved:
            return self.found(x, z, scale_x, scale_z, (False,) * 4)[0]
        losses: Tensor = _Step.apply(x, z, scale_x, scale_z, self)
        return losses

    def found(
        self, x: Tensor, z: Tensor, scale_x: Scale, scale_z: Scale, wanted: tuple[bool, ...]
    ) -> tuple[Tensor, ...]:
        """What `signature_step` finds, of the gradients those of x, z and the scales wanted."""
        (by_x, x_by), (by_z, z_by), (shares, share) = map(
            _tensor_or_number, (scale_x, scale_z, self.share)
        )
        found: tuple[Tensor, ...] = registry.signature_step(
            *(x, z, self.pairs_x, self.metric_x, self.metric_z, self.lengths, by_x, by_z, shares),
            *(x_by, z_by, share, *wanted),
        )
        return found


class _Step(torch.autograd.Function):
    """Reverse mode by what the kernel found; the graph of a second derivative is tensor code's."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, z: Tensor, scale_x: Scale, scale_z: Scale, step: Step
    ) -> Tensor:
        inputs = x, z, scale_x, scale_z
        wanted = tuple(map(requires_grad, inputs))
        losses, pairs, a, b, *ctx.gradients = step.found(*inputs, wanted)
        in_x = Side("x", step.metric_x, a, None, None)
        in_z = Side("z", step.metric_z, b, None, None)
        ctx.comparison = Comparison(pairs, in_x, in_z, step.bags, step.share)
        keep(ctx, *inputs)
        return losses

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():
            return *recorded(ctx, grad), None
        x, z, scale_x, scale_z = ctx.saved_tensors
        of_x, of_scale_x, of_z, of_scale_z = ctx.gradients
        need = ctx.needs_input_grad
        return (
            _of_points(grad, of_x, x) if need[0] else None,
            _of_points(grad, of_z, z) if need[1] else None,
            of_scale(grad, of_scale_x, scale_x) if need[2] else None,
            of_scale(grad, of_scale_z, scale_z) if need[3] else None,
            None,
        )


def _of_points(grad: Tensor, of_bags: Tensor, points: Tensor) -> Tensor:
    by_bag = grad.to(of_bags.dtype)[..., None, None]
    return (by_bag * of_bags).to(points.dtype)


def _tensor_or_number(scale: Scale) -> tuple[Tensor | None, float]:
    if isinstance(scale, Tensor):
        return scale, 1.0
    return None, 1.0 if scale is None else float(scale)
