"""The losses that arms add to a bag's classification loss."""

from __future__ import annotations

from torch import Tensor, nn

from mil_rbc.model.choices import Convention
from mil_rbc.model.topology import InputSpace
from mil_rbc.model.variants import ARMS
from torchtopo.nn import ConnectivityLoss, RTDLite, SignatureLoss, SpreadLoss


class OfSpaces(nn.Module):
    """A loss between a bag's image space and its latents (N, F)."""

    def __init__(self, loss: SignatureLoss | RTDLite) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, space: InputSpace, latents: Tensor) -> Tensor:
        self.loss.metric_x = space.metric  # bags differ in it
        given = {"pairs_x": space.pairs} if isinstance(self.loss, SignatureLoss) else {}
        found: Tensor = self.loss(space.x, latents, **given)
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
    return OfSpaces(SignatureLoss(convention=convention))


def connectivity(_: Convention) -> nn.Module:
    """The connectivity loss of the latents."""
    return OfLatents(ConnectivityLoss())


def spread(_: Convention) -> nn.Module:
    """The spread loss of the latents."""
    return OfLatents(SpreadLoss())


def rtd_lite(_: Convention) -> nn.Module:
    """RTD-Lite between image space and latents."""
    return OfSpaces(RTDLite())


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
