"""The Wasserstein distance of two 0-dimensional diagrams."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from torchtopo._lengths import result_dtype
from torchtopo._losses.reduction import Reduction, check_reduction, reduce
from torchtopo._measures.checks import check_deaths, measured
from torchtopo._operators import registry


def wasserstein_distance(
    deaths_a: Tensor, deaths_b: Tensor, p: float = 1.0, *, reduction: Reduction = "none"
) -> Tensor:
    """The p-Wasserstein distance of the diagrams {(0, d)} of two clouds, exact and differentiable.

    (Σ cost^p)^(1/p) of the cheapest partial matching, ground metric L∞: matched deaths cost
    |a - b|, a death without a partner d/2, its distance to the diagonal (Kerber, Morozov, Nigmetov
    2017, "Geometry helps to compare persistence diagrams", with q = ∞). `p=math.inf` is the
    bottleneck distance. As `gudhi.wasserstein.wasserstein_distance(..., order=p,
    internal_p=inf)`.

    All births are 0, so some cheapest matching keeps the order of deaths; a table over prefixes
    finds it, in time M·M' and memory M + M' beyond a fixed size. Deaths of 0 lie on the diagonal,
    so padded batches need no `lengths`. Infinite deaths are matched with each other; where one
    cloud has more of them the distance is infinite.

    Args:
        deaths_a, deaths_b: `(*B, M)` and `(*B, M')`, in any order.
        p: at least 1.
        reduction: `"none"`, or `"mean"` or `"sum"` over clouds.

    Returns:
        `(*B)` or a scalar in the wider dtype of the two (float32 for half types under autocast),
        in their unit. The gradient is that of the matching found.

    Raises:
        TypeError, ValueError: deaths not floating, of other batches or devices; p below 1.

    Examples:
        >>> import torch, torchtopo
        >>> a, b = torch.tensor([1., 4., 9.]), torch.tensor([5., 8.])
        >>> torchtopo.wasserstein_distance(a, b)  # 4-5, 9-8, and 1 with the diagonal
        tensor(2.5000)
        >>> torchtopo.wasserstein_distance(a, b, p=torch.inf)
        tensor(1.)
    """
    _check_settings(p, reduction)
    check_deaths(deaths_a, name="deaths_a")
    check_deaths(deaths_b, name="deaths_b")
    if deaths_a.shape[:-1] != deaths_b.shape[:-1]:
        raise ValueError(
            f"deaths_a {tuple(deaths_a.shape)} and deaths_b {tuple(deaths_b.shape)} differ in batch"
        )
    if deaths_a.device != deaths_b.device:
        raise ValueError(f"deaths_a are on {deaths_a.device}, deaths_b on {deaths_b.device}")
    dtype = torch.promote_types(measured(deaths_a).dtype, measured(deaths_b).dtype)
    a, b = deaths_a.to(dtype), deaths_b.to(dtype)
    surplus = (a == torch.inf).sum(-1) != (b == torch.inf).sum(-1)
    a, b = (d.masked_fill(d == torch.inf, 0.0).sort(-1).values for d in (a, b))
    of_a, of_b = registry.matching(a.detach(), b.detach(), float(p))
    alone_a = of_a < 0
    if b.shape[-1] and a.shape[-1]:
        partner = b.gather(-1, of_a.clamp(min=0))
        cost_a = torch.where(alone_a, a.abs() / 2, (a - partner).abs())
    else:
        cost_a = a.abs() / 2
    costs = torch.cat((cost_a, (b.abs() / 2).masked_fill(of_b >= 0, 0.0)), -1)
    distance = _norm(costs, float(p)).masked_fill(surplus, torch.inf)
    return reduce(distance, reduction).to(
        torch.promote_types(result_dtype(deaths_a), result_dtype(deaths_b))
    )


class WassersteinDistance(nn.Module):
    """`torchtopo.wasserstein_distance` with its settings kept; the mean over clouds unless told.

    Examples:
        >>> import torch, torchtopo
        >>> distance = torchtopo.nn.WassersteinDistance(p=2.0)
        >>> distance(torch.rand(8, 31, requires_grad=True), torch.rand(8, 20)).backward()
    """

    def __init__(self, p: float = 1.0, reduction: Reduction = "mean") -> None:
        super().__init__()
        _check_settings(p, reduction)
        self.p = p
        self.reduction: Reduction = reduction

    def forward(self, deaths_a: Tensor, deaths_b: Tensor) -> Tensor:
        """The distance of `deaths_a` and `deaths_b`."""
        return wasserstein_distance(deaths_a, deaths_b, self.p, reduction=self.reduction)

    def extra_repr(self) -> str:
        return f"p={self.p}, reduction={self.reduction!r}"


def _check_settings(p: object, reduction: object) -> None:
    if isinstance(p, bool) or not isinstance(p, int | float) or not p >= 1:
        raise ValueError(f"p must be a number of at least 1, or math.inf, got {p!r}")
    check_reduction(reduction)


def _norm(costs: Tensor, p: float) -> Tensor:
    """(Σ cost^p)^(1/p) of each row; costs of 0 add nothing, also to derivatives."""
    if p == 1:
        return costs.sum(-1)
    if costs.shape[-1] == 0:
        return costs.sum(-1)
    if p == math.inf:
        return costs.amax(-1)
    # Homogeneous, so a constant scale changes neither value nor derivatives, and powers stay small.
    scale = costs.detach().amax(-1, keepdim=True)
    scale = torch.where((scale > 0) & scale.isfinite(), scale, 1.0)
    zero = costs == 0
    powers = (costs / scale).masked_fill(zero, 1.0).pow(p).masked_fill(zero, 0.0)
    total = powers.sum(-1)
    nothing = total == 0
    return total.masked_fill(nothing, 1.0).pow(1 / p).masked_fill(nothing, 0.0) * scale.squeeze(-1)
