"""Single linkage clustering, and flat clusters cut from it."""

from __future__ import annotations

import torch
from torch import Tensor

from torchtopo import _checks
from torchtopo._checks import readable
from torchtopo._filtrations.rips import tree
from torchtopo._lengths import with_gradient
from torchtopo._metric import Metric
from torchtopo._operators import registry


def single_linkage(
    points: Tensor,
    *,
    metric: Metric = "euclidean",
    lengths: Tensor | None = None,
    cu_seqlens: Tensor | None = None,
    max_seqlen: int | None = None,
    validate: bool = False,
) -> Tensor:
    """The merges of single linkage clustering of each cloud, as scipy writes them.

    Equivalent to `scipy.cluster.hierarchy.linkage(points, "single")`: row k merges the clusters
    numbered `[k, 0] < [k, 1]` at height `[k, 2]` into cluster N + k, which has `[k, 3]` points; the
    numbers below N are the points. The heights are the deaths of the 0-dimensional persistence
    diagram, and differentiable (Gower, Ross 1969: single linkage is the minimum spanning tree).
    Rows of equal height come in the order of `vietoris_rips_pairs`; scipy's may then be permuted.

    Arguments and errors are those of `vietoris_rips_pairs`.

    Returns:
        `(*B, N-1, 4)`, packed `(T-B, 4)` with the numbers of each bag counted from 0; float64 for
        float64 points, else float32, in which numbers are exact up to 2^24. Rows past a bag's
        length are (-1, -1, 0, 0), and its clusters begin at its own length.

    Examples:
        >>> import torch, torchtopo
        >>> points = torch.tensor([[0., 0.], [3., 0.], [4., 0.], [9., 0.]])
        >>> torchtopo.single_linkage(points)
        tensor([[1., 2., 1., 2.],
                [0., 4., 3., 3.],
                [3., 5., 5., 4.]])
    """
    if validate:
        _checks.check_values(points, metric, lengths, cu_seqlens, max_seqlen=max_seqlen)
    pairs, weights = tree(points, metric, lengths, cu_seqlens, max_seqlen=max_seqlen)
    merges: Tensor = registry.single_linkage(pairs, weights, cu_seqlens)
    heights = with_gradient(weights, points, pairs, metric)
    if heights is weights:  # nobody asks for a derivative
        return merges
    return torch.cat((merges[..., :2], heights.unsqueeze(-1), merges[..., 3:]), -1)


def cut(linkage: Tensor, *, n_clusters: int | None = None, distance: float | None = None) -> Tensor:
    """Flat clusters of a linkage: so many of them, or all merges up to a distance.

    As `scipy.cluster.hierarchy.cut_tree`: clusters are numbered 0, 1, ... by the points in which
    they first appear. `distance=t` does the merges of height ≤ t, as `fcluster(..., t,
    "distance")`. Exact for the linkage of every method that scipy has, not of single linkage alone.

    Args:
        linkage: `(*B, N-1, 4)`, as `single_linkage` or scipy gives it; of one length, not packed.
        n_clusters: how many clusters, 1 to N; the first N - n_clusters merges are done.
        distance: a height, in the unit of the points. One of the two must be given.

    Returns:
        `(*B, N)` int64. Where padding follows the merges of a bag, -1 for the rows that are no
        points; `n_clusters` is then counted from each bag's own length.

    Raises:
        TypeError, ValueError: a linkage of another shape or dtype; none or both of the two;
            clusters out of range.

    Examples:
        >>> import torch, torchtopo
        >>> linkage = torchtopo.single_linkage(torch.tensor([[0.], [3.], [4.], [9.]]))
        >>> torchtopo.cut(linkage, n_clusters=2), torchtopo.cut(linkage, distance=1.)
        (tensor([0, 0, 0, 1]), tensor([0, 1, 1, 2]))
    """
    _check_cut(linkage, n_clusters, distance)
    linkage = linkage.detach()
    m = linkage.shape[-2]
    number = torch.arange(m, device=linkage.device)
    merges = linkage[..., :2].long()
    real = merges[..., 0] >= 0
    points = real.sum(-1, keepdim=True) + 1
    if distance is not None:
        done = linkage[..., 2].double() <= distance  # 1e300 is less than infinity
    else:
        assert n_clusters is not None
        done = number < points - n_clusters
    done = done & real
    # Every cluster steps to the one that it is merged into, if it is; in log N strides to the end.
    node = torch.arange(2 * m + 1, device=linkage.device).expand(*linkage.shape[:-2], 2 * m + 1)
    nowhere = 2 * m + 1
    children = torch.where(done.unsqueeze(-1), merges, nowhere).flatten(-2)
    parents = (points + number).unsqueeze(-1).expand(merges.shape).flatten(-2)
    step = torch.cat((node, node[..., :1]), -1).scatter(-1, children, parents)[..., :nowhere]
    for _ in range((2 * m + 1).bit_length()):
        step = step.gather(-1, step)
    last = step[..., : m + 1]
    place = torch.arange(m + 1, device=linkage.device).expand_as(last)
    inside = place < points
    first = torch.full_like(node, m + 1).scatter_reduce(
        -1, last, place.masked_fill(~inside, m + 1), "amin"
    )
    first = first.gather(-1, last)  # the point in which the cluster of each point first appears
    rank = ((first == place) & inside).long().cumsum(-1) - 1
    return rank.gather(-1, first.clamp(max=m)).masked_fill(~inside, -1)


def _check_cut(linkage: object, n_clusters: object, distance: object) -> None:
    _checks.check_dense(linkage, "linkage")
    assert isinstance(linkage, Tensor)
    if linkage.dtype not in (torch.float32, torch.float64):
        raise TypeError(f"linkage must be float32 or float64, got {linkage.dtype}")
    if linkage.dim() < 2 or linkage.shape[-1] != 4:
        raise ValueError(f"linkage must have the shape (*B, N-1, 4), got {tuple(linkage.shape)}")
    if (n_clusters is None) == (distance is None):
        raise ValueError("pass n_clusters or distance, one of the two")
    n = linkage.shape[-2] + 1
    if n_clusters is not None and not (isinstance(n_clusters, int) and 1 <= n_clusters <= n):
        raise ValueError(f"n_clusters must be an integer from 1 to {n}, got {n_clusters!r}")
    if distance is not None and (not isinstance(distance, int | float) or distance != distance):
        raise ValueError(f"distance must be a number, got {distance!r}")
    if readable(linkage) and bool((linkage[..., :2] >= 2 * n - 1).any()):
        raise ValueError(
            f"linkage {tuple(linkage.shape)} names clusters beyond its {2 * n - 2}; of a packed "
            "batch cut each bag's rows"
        )
