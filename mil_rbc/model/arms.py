"""The arms of the experiment: what is done with the topology of a bag."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

import torchtopo
from mil_rbc.model.topology import InputSpace, matched
from mil_rbc.registry import Registry

Convention = Literal["paper", "topoae", "mil", "torch_topological"]


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


@dataclass(frozen=True)
class Arm:
    """What is compared with doing nothing.

    Attributes:
        short: heads a column beside "without".
        noun: what is with or without.
        words: what it is, for help and report.
        term: from the convention of the signature loss to the loss of a bag: image space, latents
            (N, F) → (); `None` where no loss is added.
        summaries: whether 0-dimensional summaries of the bag are joined to the pooled vector.
    """

    short: str
    noun: str
    words: str
    term: Callable[[Convention], nn.Module] | None = None
    summaries: bool = False


def _signature(convention: Convention) -> nn.Module:
    loss = torchtopo.nn.SignatureLoss(convention=convention, metric_x="precomputed")
    return OfSpaces(loss, pairs=True)


OFF = "off"
ALIASES = {"on": "signature"}
"""Other names that arms may be given; results of earlier versions have them."""

ARMS = Registry(
    "arm",
    {
        OFF: Arm("without", "nothing", "nothing is added"),
        "signature": Arm(
            "with", "topology", "the signature loss of the paper is added", _signature
        ),
        "features": Arm(
            "features", "topological features",
            "summaries of the bag's deaths are joined to the pooled vector", summaries=True,
        ),
        "connectivity": Arm(
            "connectivity", "the connectivity loss",
            "the distance of the latents' deaths from η = 2 is added (Hofer et al. 2019)",
            lambda _: OfLatents(torchtopo.nn.ConnectivityLoss()),
        ),
        "spread": Arm(
            "spread", "the spread loss",
            "the length of the latents' tree is rewarded (T-REGS)",
            lambda _: OfLatents(torchtopo.nn.SpreadLoss()),
        ),
        "rtd_lite": Arm(
            "RTD-Lite", "RTD-Lite",
            "the difference of the trees of both spaces and of their minimum is added",
            lambda _: OfSpaces(torchtopo.nn.RTDLite(metric_x="precomputed")),
        ),
    },
)  # fmt: skip


class Regularizer(nn.Module):
    """The loss that an arm adds, without λ.

    Args:
        convention: which signature loss; see `torchtopo.signature_loss`. λ means nothing without
            it.
        arm: which arm; it must have a loss.

    Shape:
        space of one bag of N cells, latents (N, F) → loss (), and the number of matched pairs (),
        the edges that π^X and π^Z share.

    Source: paper, Eq. 1–3.
    """

    def __init__(self, convention: Convention, arm: str = "signature") -> None:
        super().__init__()
        make = ARMS[arm].term
        assert make is not None
        self.term = make(convention)

    def forward(self, space: InputSpace, latents: Tensor) -> tuple[Tensor, Tensor]:
        loss: Tensor = self.term(space, latents)
        return loss, matched(space, latents)
