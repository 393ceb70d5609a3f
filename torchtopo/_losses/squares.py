"""Squared differences of lengths in two spaces, in reverse mode a pull, not a graph of steps."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from torchtopo._lengths import gradient_of, has_kernels, in_a_transform, with_gradient
from torchtopo._operators import generic, registry


def pulled(x: Tensor, metric_x: str, z: Tensor, metric_z: str) -> bool:
    """Whether reverse mode alone is asked for, of points at which a kernel pulls."""
    if in_a_transform() or not has_kernels(z) or not torch.is_grad_enabled():
        return False
    if (x.requires_grad and metric_x == "precomputed") or metric_z == "precomputed":
        return False
    return x.requires_grad or z.requires_grad


class _Squares(torch.autograd.Function):
    """Σ(a-b)² / share of each bag; the graph of a second derivative is the tensor code's."""

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
    ) -> Tensor:
        # A space without a gradient is not kept alive, and may be a tensor of inference mode.
        ctx.save_for_backward(
            pairs, a, x if x.requires_grad else None, b, z if z.requires_grad else None
        )
        ctx.metric_x, ctx.metric_z = metric_x, metric_z
        # The shares of bags, or the share of all.
        ctx.share = (share, 1) if isinstance(share, Tensor) else (None, share)
        serve = registry if on_a_device(a) else generic
        sums: Tensor = serve.squares(a, b, *ctx.share)
        return sums

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        pairs, a, x, b, z = ctx.saved_tensors
        differentiable = torch.is_grad_enabled()
        if differentiable:
            if x is not None:
                a = with_gradient(a, x, pairs, ctx.metric_x)
            if z is not None:
                b = with_gradient(b, z, pairs, ctx.metric_z)
        serve = registry if on_a_device(a) and not differentiable else generic
        grad_x = grad_z = None
        if ctx.needs_input_grad[3]:
            slope = serve.squares_pulls(grad, a, b, *ctx.share)
            grad_x = gradient_of(a, slope, x, pairs, ctx.metric_x)
        if ctx.needs_input_grad[6]:
            slope = serve.squares_pulls(grad, b, a, *ctx.share)
            grad_z = gradient_of(b, slope, z, pairs, ctx.metric_z)
        return None, None, None, grad_x, None, None, grad_z, None


squares: Any = _Squares.apply


def on_a_device(values: Tensor) -> bool:
    """Whether a launch costs more than a step of tensor code: then one kernel does all steps."""
    return values.is_cuda
