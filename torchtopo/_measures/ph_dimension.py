"""The persistent homology dimension of a cloud, with its standard error."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from torchtopo import _checks
from torchtopo._checks import readable
from torchtopo._lengths import result_dtype
from torchtopo._losses.deaths import check_cloud, check_number, measured_deaths
from torchtopo._measures.summaries import total_persistence
from torchtopo._metric import Metric


class PHDimension(NamedTuple):
    """A dimension `(*B)` and the standard error `(*B)` of the regression that it comes from."""

    dimension: Tensor
    standard_error: Tensor


def ph_dimension(
    points: Tensor,
    *,
    sizes: Sequence[int] | None = None,
    alpha: float = 1.0,
    repeats: int = 8,
    metric: Metric = "euclidean",
    lengths: Tensor | None = None,
    cu_seqlens: Tensor | None = None,
    generator: torch.Generator | None = None,
    validate: bool = False,
) -> PHDimension:
    """The fractal dimension that the lengths of spanning trees of random subsets tell.

    E(n) = Σ d^α over the deaths of n points grows as n^((dim - α) / dim), so with m the slope of
    log E over log n the dimension is α / (1 - m) (Schweinhart 2020, "Fractal dimension and the
    persistent homology of random geometric complexes"; of texts: Tulchinskii et al. 2023). Where
    E does not grow slower than n, m ≥ 1, no dimension fits and the result is infinite.

    Of each size as many random subsets as `repeats` are drawn without replacement. The standard
    error is that of the least-squares slope, carried through α / (1 - m): how well the subsets
    determine the dimension *of this cloud*, not how far another cloud of the same law would differ,
    nor the bias of finite samples, which grows with the dimension: on 2000 points of sets that are
    known, the truth lay within two standard errors 28 times in 100 (docs/claims.md, Dimension).
    Differentiable in the points, at the subsets drawn.

    Args:
        points: `(*B, N, D)`, packed `(T, D)`, or distances with `metric="precomputed"`.
        sizes: points of the subsets, at least two that differ, each at least 2 and at most the
            smallest cloud; if not given, eight from N/16 (at least 8) to N/2 in equal ratios.
            Ragged batches need them.
        alpha: the power of deaths; below the dimension that is looked for.
        repeats: subsets of each size.
        metric, lengths, cu_seqlens, validate: see `vietoris_rips_pairs`.
        generator: draws the subsets; torch's own of the device if not given.

    Returns:
        `PHDimension(dimension, standard_error)`, each `(*B)`, packed `(B,)`, in the dtype of the
        points (float32 for half types under autocast). NaN for a cloud of fewer points than the
        largest size, where that is not seen before (on CUDA).

    Raises:
        TypeError, ValueError: as `vietoris_rips_pairs`; sizes that don't fit, α or repeats out of
            range.

    Examples:
        >>> import torch, torchtopo
        >>> square = torch.rand(2000, 2, generator=torch.Generator().manual_seed(0))
        >>> found = torchtopo.ph_dimension(square, generator=torch.Generator().manual_seed(1))
        >>> abs(found.dimension - 2.0) < 0.2, found.standard_error < 0.1
        (tensor(True), tensor(True))
    """
    check_number(alpha, "alpha", positive=True)
    if not isinstance(repeats, int) or repeats < 1:
        raise ValueError(f"repeats must be an integer of at least 1, got {repeats!r}")
    check_cloud(points, metric, lengths, cu_seqlens, "points")
    if validate:
        _checks.check_values(points, metric, lengths, cu_seqlens)
    if sizes is None:
        sizes = _spaced(points, lengths, cu_seqlens)
    _check_sizes(sizes, points, lengths, cu_seqlens)
    if repeats * len(sizes) < 3:
        raise ValueError("two subsets leave no error to estimate; pass more sizes or repeats")
    drawn = []
    for size in sizes:
        rows = _subsets(points, size, repeats, lengths, cu_seqlens, generator)
        subsets = _take(points, rows, metric, cu_seqlens)
        died = measured_deaths(subsets, metric, None, None, False, "points")
        drawn.append(total_persistence(died, alpha).log())
    energy = torch.stack(drawn, -1).flatten(-2)  # (*B, repeats · sizes), a subset of each size
    scale = energy.new_tensor(sizes).log().repeat(repeats)

    centred = scale - scale.mean()
    spread = centred.square().sum()
    slope = (energy * centred).sum(-1) / spread
    residual = energy - energy.mean(-1, keepdim=True) - slope.unsqueeze(-1) * centred
    freedom = scale.numel() - 2
    error = (residual.square().sum(-1) / freedom / spread).sqrt()
    rest = 1 - slope
    dimension = torch.where(rest > 0, alpha / rest, torch.inf)
    standard_error = torch.where(rest > 0, alpha * error / rest.square(), torch.inf)
    counts = lengths if cu_seqlens is None else cu_seqlens.diff()
    unknown = slope.isnan()
    if counts is not None:
        unknown = unknown | (counts < max(sizes))
    dtype = result_dtype(points)
    return PHDimension(
        torch.where(unknown, torch.nan, dimension).to(dtype),
        torch.where(unknown, torch.nan, standard_error).to(dtype),
    )


def _spaced(points: Tensor, lengths: Tensor | None, cu_seqlens: Tensor | None) -> list[int]:
    """Eight sizes from N/16 to N/2, in equal ratios."""
    if lengths is not None or cu_seqlens is not None:
        raise ValueError("a ragged batch needs sizes=, none above the smallest cloud")
    n = points.shape[-2]
    low, high = max(n // 16, 8), n // 2
    if high < 2 * low:
        raise ValueError(f"a cloud of {n} points is too small to choose sizes for; pass sizes=")
    return sorted({round(low * (high / low) ** (k / 7)) for k in range(8)})


def _check_sizes(
    sizes: Sequence[int], points: Tensor, lengths: Tensor | None, cu_seqlens: Tensor | None
) -> None:
    if not all(isinstance(size, int) and size >= 2 for size in sizes) or len(set(sizes)) < 2:
        raise ValueError(f"sizes must be at least two different integers from 2, got {sizes!r}")
    smallest = points.shape[-2]
    counts = lengths if cu_seqlens is None else cu_seqlens.diff()
    if counts is not None and readable(counts) and counts.numel():
        smallest = int(counts.min())
    if max(sizes) > smallest:
        raise ValueError(
            f"sizes must not exceed the {smallest} points of the smallest cloud, got {max(sizes)}"
        )


def _subsets(
    points: Tensor,
    size: int,
    repeats: int,
    lengths: Tensor | None,
    cu_seqlens: Tensor | None,
    generator: torch.Generator | None,
) -> Tensor:
    """Rows `(*B, repeats, size)` of random subsets, packed `(B, repeats, size)`."""
    device, n = points.device, points.shape[-2]
    batch = points.shape[:-2] if cu_seqlens is None else ()
    chance = torch.rand(*batch, repeats, n, device=device, generator=generator)
    if cu_seqlens is None:
        if lengths is not None:
            beyond = torch.arange(n, device=device) >= lengths.unsqueeze(-1)
            chance = chance.masked_fill(beyond.unsqueeze(-2), 2.0)
        return chance.argsort(-1)[..., :size]
    # Rows by bag, within a bag by chance: the first of each bag are a random subset of it.
    bag = torch.searchsorted(cu_seqlens, torch.arange(n, device=device), right=True)
    order = (chance.double() + bag).argsort(-1)
    first = cu_seqlens[:-1].unsqueeze(-1) + torch.arange(size, device=device)
    first = first.clamp(max=n - 1)
    subsets: Tensor = order[:, first.flatten()].unflatten(-1, first.shape)
    return subsets.movedim(0, 1)


def _take(points: Tensor, rows: Tensor, metric: str, cu_seqlens: Tensor | None) -> Tensor:
    """The clouds `(*B, repeats, size, D)` of those rows."""
    if cu_seqlens is not None:
        return points.index_select(0, rows.flatten()).reshape(*rows.shape, points.shape[-1])
    d = points.shape[-1]
    clouds = points.unsqueeze(-3).expand(*rows.shape[:-1], *points.shape[-2:])
    clouds = clouds.gather(-2, rows.unsqueeze(-1).expand(*rows.shape, d))
    if metric == "precomputed":
        clouds = clouds.gather(-1, rows.unsqueeze(-2).expand(*rows.shape, rows.shape[-1]))
    return clouds
