"""The densification loss: the points of a class lie dense in its region."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from torchtopo import _checks
from torchtopo._lengths import result_dtype
from torchtopo._losses.deaths import check_cloud, check_number, measured_deaths
from torchtopo._losses.reduction import (
    Reduction,
    bag_of_pairs,
    bag_of_rows,
    check_reduction,
    reduce,
)
from torchtopo._metric import Metric


def densification_loss(
    z: Tensor,
    labels: Tensor,
    *,
    beta: float,
    metric: Metric = "euclidean",
    lengths: Tensor | None = None,
    cu_seqlens: Tensor | None = None,
    max_seqlen: int | None = None,
    reduction: Reduction = "mean",
    validate: bool = False,
) -> Tensor:
    """How far the deaths within each class are from one diameter `beta`.

    Σ_classes Σ_deaths |d - β| of each bag, the deaths being those of the points of one class: the
    regularizer of Hofer, Graf, Niethammer, Kwitt 2020, "Topologically Densified Distributions",
    whose batches hold several points of each class.

    A class of one point adds 0. Points with a negative label are left out, and so are components
    that never merge. Nothing waits for the device, whatever the labels are.

    Args:
        z: `(*B, N, D)`, packed `(T, D)`, or distances with `metric="precomputed"`.
        labels: `(*B, N)`, packed `(T,)`, integer; any numbers, negative for points without a class.
        beta: the diameter at which the points of a class should merge, in the unit of `z`.
        metric, lengths, cu_seqlens, max_seqlen, validate: see `vietoris_rips_pairs`.
        reduction: `"mean"` or `"sum"` over bags, or `"none"`.

    Returns:
        A scalar, or `(*B)` (packed `(B,)`) with `reduction="none"`, in the dtype of `z` (float32
        for half types under autocast).

    Raises:
        TypeError, ValueError: as `vietoris_rips_pairs`; labels that are not integer or don't fit
            `z`; β below 0.

    Examples:
        >>> import torch, torchtopo
        >>> z = torch.tensor([[0.], [10.], [1.], [14.]])
        >>> labels = torch.tensor([0, 1, 0, 1])  # deaths 1 in class 0, 4 in class 1
        >>> torchtopo.densification_loss(z, labels, beta=2.0)
        tensor(3.)
    """
    check_number(beta, "beta")
    check_reduction(reduction)
    check_cloud(z, metric, lengths, cu_seqlens, max_seqlen=max_seqlen)
    _check_labels(labels, z)
    if validate:
        _checks.check_values(z, metric, lengths, cu_seqlens, "z", max_seqlen)
    if lengths is not None:
        beyond = torch.arange(z.shape[-2], device=z.device) >= lengths.unsqueeze(-1)
        labels = labels.masked_fill(beyond, -1)
    if metric == "precomputed":
        losses = _of_distances(z, labels, beta)
    else:
        n, most = labels.numel(), max_seqlen
        if cu_seqlens is None:
            bag = torch.arange(n, device=z.device) // z.shape[-2]
            bags, most = z.shape[:-2], None if z.is_cpu else z.shape[-2]
        else:
            bag = bag_of_rows(n, cu_seqlens)
            bags = torch.Size((cu_seqlens.shape[0] - 1,))
        losses = _of_points(z.reshape(n, -1), labels.reshape(n), bag, bags, beta, metric, most)
    return reduce(losses, reduction).to(result_dtype(z))


class DensificationLoss(nn.Module):
    """The densification loss with its settings kept: see `torchtopo.densification_loss`.

    Args:
        beta, metric, reduction: as there.

    Raises:
        ValueError: a setting out of range.

    Examples:
        >>> import torch, torchtopo
        >>> loss = torchtopo.nn.DensificationLoss(beta=1.0)
        >>> z, labels = torch.rand(128, 16, requires_grad=True), torch.arange(128) % 8
        >>> loss(z, labels).backward()
    """

    def __init__(
        self, beta: float, metric: Metric = "euclidean", reduction: Reduction = "mean"
    ) -> None:
        super().__init__()
        check_number(beta, "beta")
        _checks.check_metric(metric)
        check_reduction(reduction)
        self.beta = beta
        self.metric: Metric = metric
        self.reduction: Reduction = reduction

    def forward(
        self,
        z: Tensor,
        labels: Tensor,
        *,
        lengths: Tensor | None = None,
        cu_seqlens: Tensor | None = None,
        max_seqlen: int | None = None,
        validate: bool = False,
    ) -> Tensor:
        """The loss of `z` with `labels`; arguments as in `torchtopo.densification_loss`."""
        return densification_loss(
            z,
            labels,
            beta=self.beta,
            metric=self.metric,
            lengths=lengths,
            cu_seqlens=cu_seqlens,
            max_seqlen=max_seqlen,
            reduction=self.reduction,
            validate=validate,
        )

    def extra_repr(self) -> str:
        return f"beta={self.beta}, metric={self.metric!r}, reduction={self.reduction!r}"


def _check_labels(labels: object, z: Tensor) -> None:
    if not isinstance(labels, Tensor):
        raise TypeError(f"labels must be a torch.Tensor, got {type(labels).__name__}")
    if labels.is_floating_point() or labels.is_complex():
        raise TypeError(f"labels must be integer, got {labels.dtype}; convert them with .long()")
    if labels.shape != z.shape[:-1]:
        raise ValueError(
            f"labels must have the shape {tuple(z.shape[:-1])} of the points of z "
            f"{tuple(z.shape)}, got {tuple(labels.shape)}"
        )
    if labels.device != z.device:
        raise ValueError(f"labels are on {labels.device}, z on {z.device}")


def _of_distances(distances: Tensor, labels: Tensor, beta: float) -> Tensor:
    """The loss of each bag: points of two classes never merge."""
    apart = (labels.unsqueeze(-1) != labels.unsqueeze(-2)) | (labels < 0).unsqueeze(-1)
    died = measured_deaths(
        distances.masked_fill(apart, torch.inf), "precomputed", None, None, False
    )
    return (died.masked_fill(died == torch.inf, beta) - beta).abs().sum(-1)


def _of_points(
    rows: Tensor,
    labels: Tensor,
    bag: Tensor,
    bags: torch.Size,
    beta: float,
    metric: str,
    most: int | None,
) -> Tensor:
    """The loss of each bag, from one packed batch with a cloud for each class of each bag.

    How many classes there are is a value and must not decide a shape, so there are as many clouds
    as rows, and one more for each bag. A cloud that no class fills holds a dummy row; the dummies
    that are left over, one for each class, are in the last cloud of its bag. So none has more
    points than a bag has, `most`.
    """
    n, device = rows.shape[0], rows.device
    nobody = labels < 0
    rows = torch.cat(
        (rows.masked_fill(nobody.unsqueeze(-1), 0.0), rows.new_zeros(1, rows.shape[1]))
    )
    order = labels.argsort(stable=True)
    order = order.gather(0, bag.gather(0, order).argsort(stable=True))
    key = torch.stack((bag, labels.long())).index_select(1, order)
    changes = (key[:, 1:] != key[:, :-1]).any(0).long().cumsum(0)
    cloud = torch.cat((changes.new_zeros(1), changes))  # of each row in this order: 0, 1, ...
    number, last = torch.arange(n, device=device), cloud[-1:]
    first = torch.searchsorted(cloud, number).clamp(max=n - 1)  # row of the class of that number
    clouds = torch.cat((cloud, torch.where(number > last, number, n + key[0].gather(0, first))))
    place = clouds.argsort(stable=True)
    row = torch.cat((order, torch.full_like(order, n))).gather(0, place)
    clouds = clouds.gather(0, place)
    count = n + bags.numel()
    ends = torch.searchsorted(clouds, torch.arange(count + 1, device=device))
    died = measured_deaths(rows.index_select(0, row), metric, None, ends, False, max_seqlen=most)

    cloud = bag_of_pairs(2 * n - count, ends)  # of each death
    row = row.gather(0, ends.gather(0, cloud)).clamp(max=n - 1)
    left_out = (cloud > last) | nobody.gather(0, row) | (died == torch.inf)
    losses = (died.masked_fill(left_out, beta) - beta).abs()
    return losses.new_zeros(bags.numel()).index_add(0, bag.gather(0, row), losses).reshape(bags)
