"""Every loss and measure as a function of one batch of clouds, for the tests that run over all."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

import torchtopo
from torchtopo import _reference as ref

Loss = Callable[..., Tensor]


class Sample(NamedTuple):
    """`loss(z, **ragged)` per bag, its twin `expected(z, lengths)`, both of clouds with D = 4."""

    loss: Loss
    expected: Callable[[Tensor, Tensor | None], Tensor]
    smooth: bool = True  # has second derivatives almost everywhere that are not all 0


def other_space(z: Tensor) -> Tensor:
    """A second space of the same points, which depends on the first."""
    return torch.stack((z[..., 0] * 2 + z[..., 1].sin(), z[..., 2] - z[..., 3] ** 2), -1)


def classes(z: Tensor) -> Tensor:
    """Labels of the points by position, some without a class."""
    return torch.arange(z.shape[-2], device=z.device).remainder(4).expand(z.shape[:-1]) - 1


def of_deaths(measure: Loss, **options: object) -> Loss:
    def loss(z: Tensor, reduction: str = "none", **ragged: Tensor) -> Tensor:
        packed = {k: v for k, v in ragged.items() if k == "cu_seqlens"}
        died = torchtopo.deaths(z, **ragged)
        return measure(died, reduction=reduction, **packed, **options)

    return loss


def twin_of_deaths(measure: Loss, *options: object) -> Callable[..., Tensor]:
    def expected(z: Tensor, lengths: Tensor | None = None) -> Tensor:
        return torch.stack(
            [measure(ref.deaths(bag).unsqueeze(0), *options)[0] for bag in ref._bags(z, lengths)]
        )

    return expected


def loss(function: Loss, **options: object) -> Loss:
    def call(z: Tensor, reduction: str = "none", **ragged: Tensor) -> Tensor:
        return function(z, reduction=reduction, **options, **ragged)

    return call


def densification(z: Tensor, reduction: str = "none", **ragged: Tensor) -> Tensor:
    labels = classes(z)
    if "cu_seqlens" in ragged:  # by position within each bag
        sizes = ragged["cu_seqlens"].diff().tolist()
        labels = torch.cat([classes(z[:n]) for n in sizes])
    return torchtopo.densification_loss(z, labels, beta=0.7, reduction=reduction, **ragged)


def rtd_lite(z: Tensor, reduction: str = "none", **ragged: Tensor) -> Tensor:
    return torchtopo.rtd_lite(other_space(z), z, reduction=reduction, **ragged)


LOSSES = {
    "connectivity": Sample(
        loss(torchtopo.connectivity_loss, eta=1.2, branches=2),
        lambda z, n=None: ref.connectivity_loss(z, 1.2, 2, lengths=n),
    ),
    "connectivity, manhattan": Sample(
        loss(torchtopo.connectivity_loss, eta=2.0, metric="manhattan"),
        lambda z, n=None: ref.connectivity_loss(z, 2.0, 1, "manhattan", n),
    ),
    "densification": Sample(
        densification, lambda z, n=None: ref.densification_loss(z, classes(z), 0.7, lengths=n)
    ),
    "spread": Sample(
        loss(torchtopo.spread_loss, sphere=0.5),
        lambda z, n=None: ref.spread_loss(z, 0.5, lengths=n),
    ),
    "RTD-Lite": Sample(rtd_lite, lambda z, n=None: ref.rtd_lite(other_space(z), z, lengths=n)),
    "total persistence": Sample(
        of_deaths(torchtopo.total_persistence, p=1.5), twin_of_deaths(ref.total_persistence, 1.5)
    ),
    "persistent entropy": Sample(
        of_deaths(torchtopo.persistent_entropy), twin_of_deaths(ref.persistent_entropy)
    ),
}
