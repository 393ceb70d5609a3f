"""The 0-dimensional part of torch-topological 0.1.9, for a change of one import.

    from torch_topological.nn import SignatureLoss, VietorisRipsComplex      # before
    from torchtopo.compat.torch_topological import SignatureLoss, VietorisRipsComplex

Numbers agree to rounding, those of distances by `torch.cdist` included. A batch is one call of the
kernel, and no distance matrix is formed. What that library has and this one has not, raises an
error that says what to use.
"""

from __future__ import annotations

import math
from collections import namedtuple
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

import torchtopo
from torchtopo._lengths import lengths_of
from torchtopo._operators import registry

__all__ = ["PersistenceInformation", "SignatureLoss", "VietorisRipsComplex"]

_METRICS = {1.0: "manhattan", 2.0: "euclidean", math.inf: "chebyshev"}
_NOT_HERE = (
    "AlphaComplex",
    "CubicalComplex",
    "EulerDistance",
    "MultiScaleKernel",
    "SlicedWassersteinDistance",
    "SlicedWassersteinKernel",
    "SummaryStatisticLoss",
    "WassersteinDistance",
    "WeightedEulerCurve",
)


class PersistenceInformation(
    namedtuple("PersistenceInformation", ["pairing", "diagram", "dimension"], defaults=[None])
):
    """What is known of one dimension of one cloud: pairing, diagram, dimension.

    `pairing` is a numpy array (M, 3) of (vertex, i, j), `diagram` a tensor (M, 2) of (birth,
    death). Cannot be iterated over, as torch-topological's cannot.

    Examples:
        >>> import torch
        >>> from torchtopo.compat.torch_topological import VietorisRipsComplex
        >>> (information,) = VietorisRipsComplex(dim=0)(torch.tensor([[0.], [1.], [3.]]))
        >>> information.diagram, information.dimension
        (tensor([[0., 1.],
                [0., 2.]]), 0)
    """

    __slots__ = ()
    __iter__ = None  # type: ignore[assignment]


class VietorisRipsComplex(nn.Module):
    """Differentiable 0-dimensional persistence of clouds, as torch-topological returns it.

    Bars of no length are left out, as there. The vertex of a pairing follows the elder rule, where
    that library's depends on its union-find; births are all 0, so both are right.

    Args:
        dim: 0. Their default of 1 also looks for loops, which torchtopo does not.
        p: of the Minkowski norm; 1, 2 and infinity have kernels, others go through `torch.cdist`.
        threshold: longer edges do not enter the filtration.
        keep_infinite_features: whether components that never merge have a row (0, inf), paired with
            (vertex, -1, -1).
        **kwargs: `n_threads` is accepted and not used: torch's number of threads is.

    Raises:
        ValueError: dim ≥ 1.
        TypeError: an argument for ripser that has no meaning here.

    Examples:
        >>> import torch
        >>> from torchtopo.compat.torch_topological import VietorisRipsComplex
        >>> rips = VietorisRipsComplex(dim=0)
        >>> batch = rips(torch.rand(4, 10, 3))
        >>> len(batch), batch[0][0].diagram.shape
        (4, torch.Size([9, 2]))
    """

    def __init__(
        self,
        dim: int = 1,
        p: float = 2,
        threshold: float = math.inf,
        keep_infinite_features: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        if dim != 0:
            raise ValueError(
                f"torchtopo finds components, dim=0, got dim={dim}; for loops and voids keep "
                "torch_topological.nn.VietorisRipsComplex, or take giotto-ph, ripser or GUDHI"
            )
        unknown = set(kwargs) - {"n_threads"}
        if unknown:
            raise TypeError(
                f"{', '.join(sorted(unknown))} is an argument for ripser, which is not used here; "
                "of those only n_threads is accepted"
            )
        self.dim, self.p, self.threshold = dim, p, threshold
        self.keep_infinite_features = keep_infinite_features

    def forward(
        self, x: Tensor | Sequence[Any], treat_as_distances: bool = False
    ) -> list[PersistenceInformation] | list[list[PersistenceInformation]]:
        """The information of a cloud `(n, d)`, or of each of `(b, n, d)` or of a list of clouds."""
        if isinstance(x, list | tuple):
            clouds = [torch.as_tensor(cloud) for cloud in x]
            if len({cloud.shape for cloud in clouds}) == 1:
                return self._of_batch(torch.stack(clouds), treat_as_distances)
            return [self._of_batch(cloud[None], treat_as_distances)[0] for cloud in clouds]
        x = torch.as_tensor(x)
        if x.dim() == 3:
            return self._of_batch(x, treat_as_distances)
        return self._of_batch(x.unsqueeze(0), treat_as_distances)[0]

    def _of_batch(self, x: Tensor, are_distances: bool) -> list[list[PersistenceInformation]]:
        points, metric = (x, "precomputed") if are_distances else _measured(x, self.p)
        pairs = torchtopo.vietoris_rips_generators(points, metric=metric)  # type: ignore[arg-type]
        died = torchtopo.pair_distances(points, pairs[..., 1:], metric=metric)  # type: ignore[arg-type]
        diagrams = torch.stack((torch.zeros_like(died), died), -1)
        shown = died.detach()
        merges = shown <= self.threshold if math.isfinite(self.threshold) else shown < torch.inf
        kept = merges & (shown > 0)
        whole = bool(kept.all())
        # (vertex, i, j) with i > j, as giotto-ph has it.
        rows = pairs[..., [0, 2, 1]].cpu().numpy()
        found = []
        for b, diagram in enumerate(diagrams):
            pairing = rows[b]
            if not whole:
                diagram, pairing = diagram[kept[b]], pairing[kept[b].cpu().numpy()]
            if self.keep_infinite_features:
                forever = torch.ones(x.shape[-2], dtype=torch.bool, device=x.device)
                forever[pairs[b, merges[b], 0]] = False
                vertices = forever.nonzero()
                ends = torch.cat((vertices, vertices.new_full((len(vertices), 2), -1)), 1)
                bars = diagram.new_tensor([[0.0, math.inf]]).expand(len(vertices), 2)
                diagram = torch.cat((diagram, bars))
                pairing = torch.cat((torch.from_numpy(pairing), ends.cpu())).numpy()
            found.append([PersistenceInformation(pairing, diagram, 0)])
        return found


class SignatureLoss(nn.Module):
    """The signature loss of torch-topological, from clouds and their pairings.

    ½‖a_X - b_X‖_p + ½‖b_Z - a_Z‖_p, distances divided by the maximum of each cloud: the form that
    `torchtopo.signature_loss` calls `"torch_topological"`, which does all of it in one call, for
    batches too.

    Args:
        p: of the norm of the differences and of distances.
        normalise: whether distances are divided by their maximum.
        dimensions: 0, or a sequence that holds only 0.

    Raises:
        ValueError: another dimension.

    Examples:
        >>> import torch
        >>> from torchtopo.compat.torch_topological import SignatureLoss, VietorisRipsComplex
        >>> rips, loss = VietorisRipsComplex(dim=0), SignatureLoss()
        >>> x, z = torch.rand(32, 100), torch.rand(32, 2, requires_grad=True)
        >>> loss([x, rips(x)], [z, rips(z)]).backward()
    """

    def __init__(
        self, p: float = 2, normalise: bool = True, dimensions: int | Sequence[int] = 0
    ) -> None:
        super().__init__()
        self.p, self.normalise = p, normalise
        self.dimensions = [dimensions] if isinstance(dimensions, int) else list(dimensions)
        if set(self.dimensions) != {0}:
            raise ValueError(
                f"torchtopo finds components, dimensions=0, got {dimensions!r}; for others keep "
                "torch_topological.nn.SignatureLoss"
            )

    def forward(
        self,
        X: tuple[Tensor, Sequence[PersistenceInformation]],
        Y: tuple[Tensor, Sequence[PersistenceInformation]],
    ) -> Tensor:
        """The loss of two clouds, each with what `VietorisRipsComplex` told of it."""
        (x, info_x), (y, info_y) = X, Y
        pairs = [
            torch.as_tensor(info[dim].pairing, device=x.device)[:, 1:]
            for info in (info_x, info_y)
            for dim in self.dimensions
        ]
        spaces = [self._distances(cloud, pairs) for cloud in (x, y)]
        norms = [torch.linalg.vector_norm(a - b, self.p) / 2 for a, b in zip(*spaces, strict=True)]
        return torch.stack(norms).sum()

    def _distances(self, cloud: Tensor, pairs: list[Tensor]) -> list[Tensor]:
        """The cloud's distances at each set of pairs, infinite features' among them."""
        points, metric = _measured(cloud, self.p)
        ends = torch.cat(pairs).long()
        ends = torch.where(ends < 0, ends + len(cloud), ends)  # -1 names the last point there
        if self.normalise:
            farthest = registry.farthest_pairs(points, metric, None, None)
            ends = torch.cat((ends, farthest.unsqueeze(0)))
        lengths = lengths_of(points, ends, metric).to(cloud.dtype)
        if self.normalise:
            lengths = lengths[:-1] / lengths[-1]
        return list(lengths.split([len(p) for p in pairs]))


def _measured(x: Tensor, p: float) -> tuple[Tensor, str]:
    """Points and the metric of a kernel, or distances where none has that p."""
    metric = _METRICS.get(float(p))
    return (torch.cdist(x, x, p), "precomputed") if metric is None else (x, metric)


def __getattr__(name: str) -> Any:
    if name in _NOT_HERE:
        raise ImportError(f"torchtopo has no {name}; keep importing it from torch_topological.nn")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
