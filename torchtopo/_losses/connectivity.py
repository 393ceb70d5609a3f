"""The connectivity loss: all components of a latent space merge at one diameter."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from torchtopo import _checks
from torchtopo._lengths import result_dtype
from torchtopo._losses.deaths import check_cloud, check_number, measured_deaths
from torchtopo._losses.reduction import PerBag, Reduction, check_reduction, reduce
from torchtopo._metric import Metric


def connectivity_loss(
    z: Tensor,
    *,
    eta: float = 2.0,
    branches: int = 1,
    metric: Metric = "euclidean",
    lengths: Tensor | None = None,
    cu_seqlens: Tensor | None = None,
    max_seqlen: int | None = None,
    reduction: Reduction = "mean",
    validate: bool = False,
) -> Tensor:
    """How far the deaths of a latent cloud are from one diameter `eta`.

    Σ_branches Σ_deaths |η - d| of each bag: the connectivity loss of Hofer, Kwitt, Dixit,
    Niethammer 2019, "Connectivity-Optimized Representation Learning via Persistent Homology". The
    authors' code measures with `metric="manhattan"`, takes η = 2, and divides the sum by the number
    of branches.

    Components that never merge are left out. A bag of one point adds 0, with a live graph. The
    derivative at d = η is 0.

    Args:
        z: `(*B, N, D)`, packed `(T, D)`, or distances with `metric="precomputed"`.
        eta: the diameter at which components should merge, in the unit of `z`.
        branches: the D coordinates are split evenly into so many clouds, each with its own deaths.
        metric, lengths, cu_seqlens, max_seqlen, validate: see `vietoris_rips_pairs`.
        reduction: `"mean"` or `"sum"` over bags, or `"none"`.

    Returns:
        A scalar, or `(*B)` (packed `(B,)`) with `reduction="none"`, in the dtype of `z` (float32
        for half types under autocast).

    Raises:
        TypeError, ValueError: as `vietoris_rips_pairs`; η below 0, branches that don't divide D,
            or branches of distances.

    Examples:
        >>> import torch, torchtopo
        >>> z = torch.tensor([[0.], [1.], [4.]], requires_grad=True)  # deaths 1 and 3
        >>> loss = torchtopo.connectivity_loss(z, eta=1.5)
        >>> loss
        tensor(2., grad_fn=<SumBackward1>)
        >>> loss.backward()
        >>> z.grad.flatten().tolist()
        [1.0, -2.0, 1.0]
    """
    _check_settings(eta, branches, reduction)
    clouds, sizes, ends = z, lengths, cu_seqlens
    if branches > 1:
        check_cloud(z, metric, lengths, cu_seqlens)
        if metric == "precomputed":
            raise ValueError("branches split coordinates, and metric='precomputed' has none")
        if z.shape[-1] % branches:
            raise ValueError(
                f"branches must divide the {z.shape[-1]} coordinates of z {tuple(z.shape)}, "
                f"got {branches}"
            )
        clouds = z.unflatten(-1, (branches, z.shape[-1] // branches)).movedim(-2, -3)
        if lengths is not None:
            sizes = lengths.unsqueeze(-1).expand(clouds.shape[:-2])
        if cu_seqlens is not None:  # a longer packed batch, branch after branch
            clouds = clouds.flatten(0, 1)
            start = torch.arange(branches, device=z.device).unsqueeze(-1) * z.shape[0]
            ends = torch.cat((cu_seqlens[:1].long(), (cu_seqlens[1:] + start).flatten()))
    died = measured_deaths(clouds, metric, sizes, ends, validate, max_seqlen=max_seqlen)
    per_bag = PerBag(clouds, sizes, ends)
    loss = per_bag.sum((died.masked_fill(per_bag.left_out(died), eta) - eta).abs())
    if branches > 1:
        loss = loss.sum(-1) if ends is None else loss.unflatten(0, (branches, -1)).sum(0)
    return reduce(loss, reduction).to(result_dtype(z))


class ConnectivityLoss(nn.Module):
    """The connectivity loss with its settings kept: see `torchtopo.connectivity_loss`.

    Args:
        eta, branches, metric, reduction: as there.

    Raises:
        ValueError: a setting out of range.

    Examples:
        >>> import torch, torchtopo
        >>> loss = torchtopo.nn.ConnectivityLoss(eta=2.0, branches=4, metric="manhattan")
        >>> loss(torch.rand(8, 32, 16, requires_grad=True)).backward()
    """

    def __init__(
        self,
        eta: float = 2.0,
        branches: int = 1,
        metric: Metric = "euclidean",
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__()
        _check_settings(eta, branches, reduction)
        _checks.check_metric(metric)
        self.eta, self.branches = eta, branches
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
        """The loss of `z`; arguments as in `torchtopo.connectivity_loss`."""
        return connectivity_loss(
            z,
            eta=self.eta,
            branches=self.branches,
            metric=self.metric,
            lengths=lengths,
            cu_seqlens=cu_seqlens,
            max_seqlen=max_seqlen,
            reduction=self.reduction,
            validate=validate,
        )

    def extra_repr(self) -> str:
        return (
            f"eta={self.eta}, branches={self.branches}, metric={self.metric!r}, "
            f"reduction={self.reduction!r}"
        )


def _check_settings(eta: object, branches: object, reduction: object) -> None:
    check_number(eta, "eta")
    if not isinstance(branches, int) or branches < 1:
        raise ValueError(f"branches must be an integer of at least 1, got {branches!r}")
    check_reduction(reduction)
