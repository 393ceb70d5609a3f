"""The losses that arms add to a bag's classification loss."""

from __future__ import annotations

from torch import Tensor, nn

import torchtopo
from mil_rbc.model.choices import Convention
from mil_rbc.model.topology import InputSpace
from mil_rbc.model.variants import ARMS


class OfSpaces(nn.Module):
    """A loss between a bag's image space and its latents (N, F)."""

    def __init__(self, loss: nn.Module, pairs: bool = False) -> None:
        super().__init__()
        self.loss, self.pairs = loss, pairs

    def forward(self, space: InputSpace, latents: Tensor) -> Tensor:
        given = {"pairs_x": space.pairs} if self.pairs else {}
        found: Tensor = self.loss(space.distances, latents, **given)
        return found


class OfLatents(nn.Module):
    """A loss of a bag's latents (N, F) alone."""

    def __init__(self, loss: nn.Module) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, _: InputSpace, latents: Tensor) -> Tensor:
        found: Tensor = self.loss(latents)
        return found


def signature(convention: Convention) -> nn.Module:
    """The signature loss between image space and latents."""
    loss = torchtopo.nn.SignatureLoss(convention=convention, metric_x="precomputed")
    return OfSpaces(loss, pairs=True)


def connectivity(_: Convention) -> nn.Module:
    """The connectivity loss of the latents."""
    return OfLatents(torchtopo.nn.ConnectivityLoss())


def spread(_: Convention) -> nn.Module:
    """The spread loss of the latents."""
    return OfLatents(torchtopo.nn.SpreadLoss())


def rtd_lite(_: Convention) -> nn.Module:
    """RTD-Lite between image space and latents."""
    return OfSpaces(torchtopo.nn.RTDLite(metric_x="precomputed"))


class Regularizer(nn.Module):
    """The loss that an arm adds, without λ.

    Args:
        convention: which signature loss; see `torchtopo.signature_loss`. λ means nothing without
            it.
        arm: which arm; it must have a loss.

    Shape:
        space of one bag of N cells, latents (N, F) → loss ().

    Source: paper, Eq. 1–3.
    """

    def __init__(self, convention: Convention, arm: str = "signature") -> None:
        super().__init__()
        make = ARMS[arm].term
        assert make is not None
        self.term = make(convention)

    def forward(self, space: InputSpace, latents: Tensor) -> Tensor:
        loss: Tensor = self.term(space, latents)
        return loss
