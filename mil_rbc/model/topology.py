"""The image space of a bag: what A^X is measured on, and its pairs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import torchtopo
from mil_rbc.data.bags import Kind
from mil_rbc.errors import RunError
from mil_rbc.model.choices import Scale, Space
from mil_rbc.model.mil import to_unit

Standardizer = Callable[[Tensor], Tensor]


LARGE = 1024
"""Cells up to which a bag's A^X is kept whole, and correlated over all pairs of cells."""


class InputSpace(NamedTuple):
    """The image space of one bag: constant, so measured once.

    Attributes:
        x: A^X, (N, N) float32. Of more than `LARGE` cells the points (N, D) that it is measured on:
            a loss reads 2(N-1) of its entries, and thousands of cells would have millions.
        metric: what `x` is.
        pairs: π^X, (N-1, 2) int64.
    """

    x: Tensor
    metric: Literal["precomputed", "euclidean"]
    pairs: Tensor

    def to(self, device: torch.device) -> InputSpace:
        """The same on another device."""
        return self._replace(x=self.x.to(device), pairs=self.pairs.to(device))

    def distances(self, cells: Tensor) -> Tensor:
        """A^X of some cells (n,), (n, n)."""
        if self.metric == "precomputed":
            return self.x[cells][:, cells]
        return _distances(self.x[cells])


def evenly(count: int) -> Tensor:
    """At most `LARGE` of so many cells, evenly from first to last."""
    return torch.linspace(0, count - 1, min(count, LARGE)).round().long()


def input_space(points: Tensor, scale: Scale, std: float = 1.0) -> InputSpace:
    """Measure A^X and π^X of a bag's points (N, D) by direct differences.

    Args:
        points: of the bag.
        scale: what divides A^X: a key of `SCALES`.
        std: the deviation, for `"std"`.
    """
    by = {"none": 1.0, "rms": points.shape[1] ** 0.5, "std": std}[scale]
    if len(points) > LARGE:
        points = points / by
        return InputSpace(points, "euclidean", torchtopo.vietoris_rips_pairs(points))
    distances = _distances(points) / by
    pairs = torchtopo.vietoris_rips_pairs(distances, metric="precomputed")
    return InputSpace(distances, "precomputed", pairs)


def _distances(points: Tensor) -> Tensor:
    return torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist")


def _flat(instances: Tensor, _: Standardizer) -> Tensor:
    return to_unit(instances).flatten(1)


def _standardized(instances: Tensor, standardize: Standardizer) -> Tensor:
    return standardize(instances).float()


def _gradients(crops: Tensor, _: Standardizer) -> Tensor:
    from skimage.feature import hog

    described = [hog(x, pixels_per_cell=(16, 16)) for x in to_unit(crops).cpu().numpy()]
    return torch.from_numpy(np.stack(described).astype(np.float32))


def _means(roi: Tensor, _: Standardizer) -> Tensor:
    return to_unit(roi).mean((-1, -2))


# What A^X can be measured on, by kind of instance; the first is what "auto" means.
SPACES: dict[Kind, dict[Space, Callable[[Tensor, Standardizer], Tensor]]] = {
    "crop": {"images": _flat, "features": _gradients},
    "roi": {"roi": _flat, "features": _means},
    "vector": {"features": _standardized},
}


def resolve_space(space: Space, kind: Kind, *, crops: bool = False) -> Space:
    """Say which space `"auto"` means, or that the instances do not have the one asked for.

    Args:
        space: the one asked for.
        kind: of the instances.
        crops: whether the crops that vectors were computed from are there too.
    """
    there: list[Space] = [*SPACES[kind]]
    if crops and "images" not in there:
        there.append("images")
    if space == "auto":
        return there[0]
    if space not in there:
        raise RunError(
            f"A^X cannot be measured on {space!r}: the instances are of kind {kind!r}; use --space "
            f"{' or '.join(there)}"
        )
    return space


def points_of(
    instances: Tensor, kind: Kind, space: Space, standardize: Standardizer,
    crops: NDArray[np.uint8] | None = None,
) -> Tensor:  # fmt: skip
    """Points (N, D) float32 on which A^X is measured.

    `images`: crops in [0, 1], flattened, so a distance is in units of grey levels times √pixels.
    `roi`: RoI features, flattened. `features`: vectors standardised as the encoder sees them; of
    crops, histograms of oriented gradients; of RoI features, their mean over the 14×14 places.
    `crops` are those that vectors were computed from.
    """
    if kind == "vector" and space == "images":
        assert crops is not None
        return _flat(torch.from_numpy(np.array(crops)), standardize)
    return SPACES[kind][space](instances, standardize)


@torch.no_grad()
def matched(space: InputSpace, latents: Tensor) -> Tensor:
    """Number of pairs that image space and latents (N, F) have in common."""
    pairs_z = torchtopo.vietoris_rips_pairs(latents.detach().float())
    return torchtopo.matched_pairs(space.pairs, pairs_z)
