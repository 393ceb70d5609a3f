"""Functions of a threshold that describe a diagram: the Betti curve and the silhouette."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from torchtopo._lengths import result_dtype
from torchtopo._losses.deaths import check_number
from torchtopo._measures.checks import check_diagram, check_thresholds, measured


def betti_curve(diagram: Tensor, thresholds: Tensor) -> Tensor:
    """How many classes live at each threshold t: those with birth ≤ t < death.

    Of a 0-dimensional diagram of `torchtopo.persistence_diagram`, which leaves the class that never
    dies out, one less than the number of components. A class of no length never lives, so padding
    does not count. A step function: its gradient is 0. Sorts, and never compares all with all.

    Args:
        diagram: `(*B, M, 2)`, rows (birth, death).
        thresholds: `(T,)`, ascending, in the unit of the diagram.

    Returns:
        `(*B, T)` in the dtype of the diagram.

    Raises:
        TypeError, ValueError: not floating, other shapes, thresholds that fall (values: CPU only).

    Examples:
        >>> import torch, torchtopo
        >>> diagram = torch.tensor([[0., 1.], [0., 3.]])
        >>> torchtopo.betti_curve(diagram, torch.tensor([0., 1., 2., 3.]))
        tensor([2., 1., 1., 0.])
    """
    check_diagram(diagram)
    check_thresholds(thresholds, diagram)
    wide = torch.promote_types(diagram.dtype, thresholds.dtype)
    birth, death = diagram.detach().to(wide).unbind(-1)
    at = thresholds.detach().to(wide).expand(*birth.shape[:-1], -1).contiguous()
    death = torch.maximum(birth, death)  # one that dies before its birth never lives
    born, dead = (
        torch.searchsorted(side.sort(-1).values.contiguous(), at, right=True)
        for side in (birth, death)
    )
    return (born - dead).to(result_dtype(diagram))


def silhouette(diagram: Tensor, thresholds: Tensor, p: float = 1.0) -> Tensor:
    """The mean tent over the bars of a diagram, weighted by persistence to the power p.

    Σ w Λ(t) / Σ w with Λ(t) = max(0, min(t - birth, death - t)) and w = (death - birth)^p; 0 where
    no bar has a length (Chazal, Fasy, Lecci, Rinaldo, Wasserman 2014, "Stochastic convergence of
    persistence landscapes and silhouettes", section 5). GUDHI's `Silhouette` is √2 times this.
    Infinite bars are left out.

    Args:
        diagram: `(*B, M, 2)`, rows (birth, death).
        thresholds: `(T,)`, ascending, in the unit of the diagram.
        p: the power, a positive number.

    Returns:
        `(*B, T)` in the dtype of the diagram (float32 for half types under autocast), in its unit;
        memory O(M·T).

    Raises:
        TypeError, ValueError: as `betti_curve`; p not positive.

    Examples:
        >>> import torch, torchtopo
        >>> diagram = torch.tensor([[0., 1.], [0., 3.]])
        >>> torchtopo.silhouette(diagram, torch.tensor([0.5, 1.5, 3.0]))
        tensor([0.5000, 1.1250, 0.0000])
    """
    check_number(p, "p", positive=True)
    check_diagram(diagram)
    check_thresholds(thresholds, diagram)
    birth, death = measured(diagram).unbind(-1)
    length = death - birth
    nothing = (length <= 0) | (length == torch.inf)
    weight = length.masked_fill(nothing, 1.0).pow(p).masked_fill(nothing, 0.0)
    birth, death = (side.masked_fill(nothing, 0.0).unsqueeze(-1) for side in (birth, death))
    at = thresholds.to(weight.dtype)
    tents = torch.minimum(at - birth, death - at).clamp(min=0)
    total = weight.sum(-1, keepdim=True)
    mean = (weight.unsqueeze(-2) @ tents).squeeze(-2) / total.masked_fill(total == 0, 1.0)
    return mean.to(result_dtype(diagram))


class BettiCurve(nn.Module):
    """`torchtopo.betti_curve` at thresholds that are kept, and move with the module.

    Examples:
        >>> import torch, torchtopo
        >>> curve = torchtopo.nn.BettiCurve(torch.linspace(0, 2, 5))
        >>> curve(torchtopo.persistence_diagram(torch.rand(8, 32, 3))).shape
        torch.Size([8, 5])
    """

    thresholds: Tensor

    def __init__(self, thresholds: Tensor) -> None:
        super().__init__()
        check_thresholds(thresholds, thresholds)
        self.register_buffer("thresholds", thresholds)

    def forward(self, diagram: Tensor) -> Tensor:
        """The Betti curve of `diagram`."""
        return betti_curve(diagram, self.thresholds)

    def extra_repr(self) -> str:
        return f"{len(self.thresholds)} thresholds"


class Silhouette(nn.Module):
    """`torchtopo.silhouette` at thresholds that are kept, and move with the module.

    Examples:
        >>> import torch, torchtopo
        >>> silhouette = torchtopo.nn.Silhouette(torch.linspace(0, 2, 5), p=2.0)
        >>> silhouette(torchtopo.persistence_diagram(torch.rand(8, 32, 3))).shape
        torch.Size([8, 5])
    """

    thresholds: Tensor

    def __init__(self, thresholds: Tensor, p: float = 1.0) -> None:
        super().__init__()
        check_thresholds(thresholds, thresholds)
        check_number(p, "p", positive=True)
        self.register_buffer("thresholds", thresholds)
        self.p = p

    def forward(self, diagram: Tensor) -> Tensor:
        """The silhouette of `diagram`."""
        return silhouette(diagram, self.thresholds, self.p)

    def extra_repr(self) -> str:
        return f"{len(self.thresholds)} thresholds, p={self.p}"
