"""One number for the deaths of a cloud: total persistence and persistent entropy."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from torchtopo._lengths import result_dtype
from torchtopo._losses.deaths import check_number
from torchtopo._losses.reduction import Reduction, bag_of_pairs, check_reduction, reduce
from torchtopo._measures.checks import check_deaths, measured


def total_persistence(
    deaths: Tensor,
    p: float = 1.0,
    *,
    cu_seqlens: Tensor | None = None,
    reduction: Reduction = "none",
) -> Tensor:
    """The sum Σ d^p of the deaths of each cloud (Cohen-Steiner, Edelsbrunner, Harer, Mileyko 2010).

    With p = 1 the length of the minimum spanning tree. Infinite deaths are left out; a death of 0
    adds 0 and has the gradient 0 for every p, so the padding of ragged batches does not count.

    Args:
        deaths: `(*B, M)`, as `torchtopo.deaths` gives them; packed `(T-B,)`.
        p: the power, a positive number.
        cu_seqlens: `(B+1,)`, of the clouds, where deaths are packed.
        reduction: `"none"`, or `"mean"` or `"sum"` over clouds.

    Returns:
        `(*B)`, packed `(B,)`, or a scalar, in the dtype of the deaths (float32 for half types under
        autocast), in their unit to the power p.

    Raises:
        TypeError, ValueError: deaths not floating, or of another shape; p not positive.

    Examples:
        >>> import torch, torchtopo
        >>> deaths = torch.tensor([[1., 3.], [2., 0.]])
        >>> torchtopo.total_persistence(deaths, p=2.0)
        tensor([10.,  4.])
    """
    check_number(p, "p", positive=True)
    check_reduction(reduction)
    check_deaths(deaths, cu_seqlens)
    values = measured(deaths)
    nothing = (values == 0) | (values == torch.inf)
    powers = values.masked_fill(nothing, 1.0).pow(p).masked_fill(nothing, 0.0)
    return reduce(_sum(powers, cu_seqlens), reduction).to(result_dtype(deaths))


def persistent_entropy(
    deaths: Tensor, *, cu_seqlens: Tensor | None = None, reduction: Reduction = "none"
) -> Tensor:
    """The entropy -Σ q log q, q = d / Σ d, of the deaths of each cloud.

    Natural logarithm; from 0, one death outweighs all, to log M, all are equal; 0 where all are 0
    (Atienza, Gonzalez-Díaz, Soriano-Trigueros 2020, "On the stability of persistent entropy").
    Infinite deaths are left out; a death of 0 adds 0 and has the gradient 0.

    Args:
        deaths: `(*B, M)`, as `torchtopo.deaths` gives them; packed `(T-B,)`.
        cu_seqlens: `(B+1,)`, of the clouds, where deaths are packed.
        reduction: `"none"`, or `"mean"` or `"sum"` over clouds.

    Returns:
        `(*B)`, packed `(B,)`, or a scalar, in the dtype of the deaths (float32 for half types under
        autocast).

    Raises:
        TypeError, ValueError: deaths not floating, or of another shape.

    Examples:
        >>> import torch, torchtopo
        >>> torchtopo.persistent_entropy(torch.tensor([[2., 2., 2., 2.], [0., 0., 0., 5.]]))
        tensor([1.3863, 0.0000])
    """
    check_reduction(reduction)
    check_deaths(deaths, cu_seqlens)
    values = measured(deaths)
    values = values.masked_fill(values == torch.inf, 0.0)
    total = _sum(values, cu_seqlens)
    total = total.masked_fill(total == 0, 1.0)
    if cu_seqlens is None:
        share = values / total.unsqueeze(-1)
    else:
        share = values / total.index_select(0, bag_of_pairs(values.shape[0], cu_seqlens))
    nothing = share == 0
    share = share.masked_fill(nothing, 1.0)  # 1 · log 1 = 0
    return reduce(-_sum(share * share.log(), cu_seqlens) + 0.0, reduction).to(result_dtype(deaths))


class TotalPersistence(nn.Module):
    """`torchtopo.total_persistence` with its settings kept; the mean over clouds unless told.

    Examples:
        >>> import torch, torchtopo
        >>> torchtopo.nn.TotalPersistence(p=2.0)(torch.tensor([[1., 3.], [2., 0.]]))
        tensor(7.)
    """

    def __init__(self, p: float = 1.0, reduction: Reduction = "mean") -> None:
        super().__init__()
        check_number(p, "p", positive=True)
        check_reduction(reduction)
        self.p = p
        self.reduction: Reduction = reduction

    def forward(self, deaths: Tensor, *, cu_seqlens: Tensor | None = None) -> Tensor:
        """Total persistence of `deaths`."""
        return total_persistence(deaths, self.p, cu_seqlens=cu_seqlens, reduction=self.reduction)

    def extra_repr(self) -> str:
        return f"p={self.p}, reduction={self.reduction!r}"


class PersistentEntropy(nn.Module):
    """`torchtopo.persistent_entropy` with its reduction kept; the mean over clouds unless told.

    Examples:
        >>> import torch, torchtopo
        >>> torchtopo.nn.PersistentEntropy()(torch.tensor([[1., 1.], [0., 3.]]))
        tensor(0.3466)
    """

    def __init__(self, reduction: Reduction = "mean") -> None:
        super().__init__()
        check_reduction(reduction)
        self.reduction: Reduction = reduction

    def forward(self, deaths: Tensor, *, cu_seqlens: Tensor | None = None) -> Tensor:
        """Persistent entropy of `deaths`."""
        return persistent_entropy(deaths, cu_seqlens=cu_seqlens, reduction=self.reduction)

    def extra_repr(self) -> str:
        return f"reduction={self.reduction!r}"


def _sum(values: Tensor, cu_seqlens: Tensor | None) -> Tensor:
    """Sum over the deaths of each cloud."""
    if cu_seqlens is None:
        return values.sum(-1)
    bag = bag_of_pairs(values.shape[0], cu_seqlens)
    return values.new_zeros(cu_seqlens.shape[0] - 1).index_add(0, bag, values)
