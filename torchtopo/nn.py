"""The signature loss as a module."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from torchtopo._bags import Metric, check_metric
from torchtopo._signature import (
    Convention,
    Reduction,
    check_reduction,
    form_of,
    signature_loss,
)

__all__ = ["SignatureLoss"]


class SignatureLoss(nn.Module):
    """The topological signature loss between an input space and a latent space.

    `torchtopo.signature_loss` with its settings kept, and, for the conventions that divide latent
    distances by a learned scale (`"topoae"`, `"mil"`), with that scale as a parameter: kept as its
    logarithm, so that it stays positive, and 1 at first. Give `parameters()` to the optimizer.

    Args:
        convention: `"paper"`, `"topoae"`, `"mil"` or `"torch_topological"`.
        metric_x, metric_z: see `pair_distances`.
        reduction: `"mean"` or `"sum"` over bags, or `"none"`.

    Raises:
        ValueError: an unknown convention, metric or reduction.

    Examples:
        >>> import torch, torchtopo
        >>> loss = torchtopo.nn.SignatureLoss("topoae")
        >>> x, z = torch.rand(8, 32, 10), torch.rand(8, 32, 2, requires_grad=True)
        >>> loss(x, z).backward()
        >>> loss.z_scale.item()
        1.0
    """

    log_z_scale: nn.Parameter | None

    def __init__(
        self,
        convention: Convention = "paper",
        metric_x: Metric = "euclidean",
        metric_z: Metric = "euclidean",
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__()
        learned = form_of(convention).z_by == "learned scale"
        check_metric(metric_x)
        check_metric(metric_z)
        check_reduction(reduction)
        self.convention: Convention = convention
        self.metric_x: Metric = metric_x
        self.metric_z: Metric = metric_z
        self.reduction: Reduction = reduction
        self.register_parameter("log_z_scale", nn.Parameter(torch.zeros(())) if learned else None)

    @property
    def z_scale(self) -> Tensor | None:
        """The learned positive scale, or None where the convention has none."""
        return None if self.log_z_scale is None else self.log_z_scale.exp()

    def forward(
        self,
        x: Tensor,
        z: Tensor,
        *,
        pairs_x: Tensor | None = None,
        lengths: Tensor | None = None,
        cu_seqlens: Tensor | None = None,
        x_scale: Tensor | float | None = None,
        validate: bool = False,
    ) -> Tensor:
        """The loss of `z` against `x`; arguments as in `torchtopo.signature_loss`."""
        return signature_loss(
            x,
            z,
            metric_x=self.metric_x,
            metric_z=self.metric_z,
            pairs_x=pairs_x,
            lengths=lengths,
            cu_seqlens=cu_seqlens,
            convention=self.convention,
            reduction=self.reduction,
            z_scale=self.z_scale,
            x_scale=x_scale,
            validate=validate,
        )

    def extra_repr(self) -> str:
        return (
            f"convention={self.convention!r}, metric_x={self.metric_x!r}, "
            f"metric_z={self.metric_z!r}, reduction={self.reduction!r}"
        )
