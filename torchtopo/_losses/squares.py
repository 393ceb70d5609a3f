"""Squared differences of lengths on the CPU, in reverse mode a pull, not a graph of steps."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from torchtopo._lengths import gradient_of, has_kernels, in_a_transform, with_gradient


def squares(
    share: Tensor | int,
    pairs: Tensor,
    a: Tensor,
    x: Tensor,
    metric_x: str,
    b: Tensor,
    z: Tensor,
    metric_z: str,
    scale: Tensor | None,
) -> Tensor:
    """Σ(a-b/scale)² / share of each bag, of lengths `a` in x and `b` in z; a scale is `()`."""
    if _pulled(x, metric_x, z, metric_z, scale):
        losses: Tensor = _Squares.apply(share, pairs, a, x, metric_x, b, z, metric_z, scale)
        return losses
    a, b = with_gradient(a, x, pairs, metric_x), with_gradient(b, z, pairs, metric_z)
    return (a - _divided(b, scale)).square().sum(-1) / share


def _divided(lengths: Tensor, scale: Tensor | None) -> Tensor:
    return lengths if scale is None else lengths / scale


def _pulled(x: Tensor, metric_x: str, z: Tensor, metric_z: str, scale: Tensor | None) -> bool:
    """Whether reverse mode alone is asked for, of points at which a kernel pulls."""
    if in_a_transform() or not has_kernels(z) or not torch.is_grad_enabled():
        return False
    if (x.requires_grad and metric_x == "precomputed") or metric_z == "precomputed":
        return False
    return x.requires_grad or z.requires_grad or (scale is not None and scale.requires_grad)


class _Squares(torch.autograd.Function):
    """Σ(a-b/scale)² / share of each bag; the graph of a second derivative is the tensor code's."""

    @staticmethod
    def forward(
        ctx: Any,
        share: Tensor | int,
        pairs: Tensor,
        a: Tensor,
        x: Tensor,
        metric_x: str,
        b: Tensor,
        z: Tensor,
        metric_z: str,
        scale: Tensor | None,
    ) -> Tensor:
        # A space without a gradient is not kept alive, and may be a tensor of inference mode.
        ctx.save_for_backward(
            *(pairs, a, x if x.requires_grad else None, b, z if z.requires_grad else None),
            scale.clone() if scale is not None and scale.is_inference() else scale,
        )
        ctx.metric_x, ctx.metric_z, ctx.share = metric_x, metric_z, share
        return (a - _divided(b, scale)).square().sum(-1) / share

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        pairs, a, x, b, z, scale = ctx.saved_tensors
        if torch.is_grad_enabled():
            if x is not None:
                a = with_gradient(a, x, pairs, ctx.metric_x)
            if z is not None:
                b = with_gradient(b, z, pairs, ctx.metric_z)
        scaled = _divided(b, scale)
        slope = (a - scaled) * (2 * grad / ctx.share).unsqueeze(-1)
        grad_x = grad_z = grad_scale = None
        if ctx.needs_input_grad[3]:
            grad_x = gradient_of(a, slope, x, pairs, ctx.metric_x)
        if ctx.needs_input_grad[6]:
            grad_z = gradient_of(b, _divided(-slope, scale), z, pairs, ctx.metric_z)
        if ctx.needs_input_grad[8]:
            grad_scale = (slope * (scaled / scale)).sum().to(scale)
        return None, None, None, grad_x, None, None, grad_z, None, grad_scale
