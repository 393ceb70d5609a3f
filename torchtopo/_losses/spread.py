"""The spread loss: points of a latent space spread out over the unit sphere."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from torchtopo import _checks
from torchtopo._lengths import result_dtype
from torchtopo._losses.deaths import check_cloud, check_number, measured_deaths
from torchtopo._losses.reduction import PerBag, Reduction, check_reduction, reduce
from torchtopo._metric import Metric, norm


def spread_loss(
    z: Tensor,
    *,
    sphere: float = 1.0,
    metric: Metric = "euclidean",
    lengths: Tensor | None = None,
    cu_seqlens: Tensor | None = None,
    max_seqlen: int | None = None,
    reduction: Reduction = "mean",
    validate: bool = False,
) -> Tensor:
    """The negative mean death, so that points move apart, and a pull of each to the unit sphere.

    -mean(d) + sphere · mean (‖z_i‖ - 1)² of each bag: the length of the minimum spanning tree and
    the soft constraint to the sphere of T-REG (Mordacq, Loiseaux, Kalogeiton, Oudot 2025, "T-REGS:
    Minimum Spanning Tree Regularization for Self-Supervised Learning"), which weights the two parts
    apart; here by `sphere` and by the weight of the whole.

    Without the pull, `sphere=0`, the loss has no lower bound unless `z` is normalised. Components
    that never merge are left out. A bag of one point has only the pull.

    Args:
        z: `(*B, N, D)`, packed `(T, D)`, or, with `sphere=0`, distances.
        sphere: the weight of the pull, at least 0.
        metric, lengths, cu_seqlens, max_seqlen, validate: see `vietoris_rips_pairs`. The pull is
            Euclidean.
        reduction: `"mean"` or `"sum"` over bags, or `"none"`.

    Returns:
        A scalar, or `(*B)` (packed `(B,)`) with `reduction="none"`, in the dtype of `z` (float32
        for half types under autocast).

    Raises:
        TypeError, ValueError: as `vietoris_rips_pairs`; `sphere` below 0, or a pull of distances.

    Examples:
        >>> import torch, torchtopo
        >>> z = torch.tensor([[1., 0.], [-1., 0.], [0., 3.]])  # deaths 2 and √10
        >>> torchtopo.spread_loss(z, sphere=0.0)
        tensor(-2.5811)
        >>> torchtopo.spread_loss(z)  # norms 1, 1 and 3
        tensor(-1.2478)
    """
    check_number(sphere, "sphere")
    check_reduction(reduction)
    check_cloud(z, metric, lengths, cu_seqlens)
    if metric == "precomputed" and sphere:
        raise ValueError("distances have no sphere; with metric='precomputed' pass sphere=0")
    died = measured_deaths(z, metric, lengths, cu_seqlens, validate, max_seqlen=max_seqlen)
    per_bag = PerBag(z, lengths, cu_seqlens)
    left_out = per_bag.left_out(died)
    count = per_bag.sum((~left_out).to(died.dtype)).clamp(min=1)
    loss = -per_bag.sum(died.masked_fill(left_out, 0.0)) / count
    if sphere:
        rows = z.to(died.dtype)
        if lengths is not None:
            beyond = torch.arange(z.shape[-2], device=z.device) >= lengths.unsqueeze(-1)
            rows = rows.masked_fill(beyond.unsqueeze(-1), 0.0)
        loss = loss + sphere * per_bag.mean_of_points((norm(rows) - 1).square())
    return reduce(loss, reduction).to(result_dtype(z))


class SpreadLoss(nn.Module):
    """The spread loss with its settings kept: see `torchtopo.spread_loss`.

    Args:
        sphere, metric, reduction: as there.

    Raises:
        ValueError: a setting out of range.

    Examples:
        >>> import torch, torchtopo
        >>> loss = torchtopo.nn.SpreadLoss()
        >>> loss(torch.randn(64, 16, requires_grad=True)).backward()
    """

    def __init__(
        self, sphere: float = 1.0, metric: Metric = "euclidean", reduction: Reduction = "mean"
    ) -> None:
        super().__init__()
        check_number(sphere, "sphere")
        _checks.check_metric(metric)
        check_reduction(reduction)
        self.sphere = sphere
        self.metric: Metric = metric
        self.reduction: Reduction = reduction

    def forward(
        self,
        z: Tensor,
        *,
        lengths: Tensor | None = None,
        cu_seqlens: Tensor | None = None,
        max_seqlen: int | None = None,
        validate: bool = False,
    ) -> Tensor:
        """The loss of `z`; arguments as in `torchtopo.spread_loss`."""
        return spread_loss(
            z,
            sphere=self.sphere,
            metric=self.metric,
            lengths=lengths,
            cu_seqlens=cu_seqlens,
            max_seqlen=max_seqlen,
            reduction=self.reduction,
            validate=validate,
        )

    def extra_repr(self) -> str:
        return f"sphere={self.sphere}, metric={self.metric!r}, reduction={self.reduction!r}"
