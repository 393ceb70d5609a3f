"""0-dimensional Vietoris–Rips persistence: pairs, generators, deaths and the spanning tree."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from torchtopo import _checks
from torchtopo._lengths import rounded, with_gradient
from torchtopo._metric import Metric
from torchtopo._operators import registry


class MST(NamedTuple):
    """A minimum spanning tree: `edges (*B, N-1, 2)` int64, i < j, and `weights (*B, N-1)`."""

    edges: Tensor
    weights: Tensor


def minimum_spanning_tree(
    distances: Tensor,
    *,
    lengths: Tensor | None = None,
    symmetric: bool = False,
    validate: bool = False,
) -> MST:
    """The minimum spanning tree of complete graphs, edges in the order in which Kruskal finds them.

    Edges are compared by (weight, i, j), so the tree is unique whatever the ties. NaN orders last,
    `+inf` before it, and `-0.0 == 0.0`.

    Args:
        distances: `(*B, N, N)`, floating; only the half i < j counts.
        lengths: `(*B,)` int32 or int64, points of each bag; further rows are never read.
        symmetric: a promise that entries (i, j) and (j, i) are the same, which the CPU then does
            not check: of thousands of points the check takes half the time. Where it is broken
            the tree may be another one, with entries j > i among its weights, or not a smallest
            one. CUDA reads the half i < j alone and needs no promise.
        validate: raise at the first NaN; waits for a CUDA device.

    Returns:
        `edges (*B, N-1, 2)` int64, (-1, -1) past a bag's length, and `weights (*B, N-1)`,
        ascending, 0 past a bag's length, differentiable in the distances: a weight is an entry
        i < j, and has the gradient 1 there, be it 0 or infinite.

    Raises:
        TypeError: distances not floating, lengths not integer.
        ValueError: not square, no points, or lengths that don't fit (values: CPU only, unless
            `validate`).

    Examples:
        >>> import torch, torchtopo
        >>> distances = torch.tensor([[0., 2., 9.], [2., 0., 1.], [9., 1., 0.]])
        >>> torchtopo.minimum_spanning_tree(distances)
        MST(edges=tensor([[1, 2],
                [0, 1]]), weights=tensor([1., 2.]))
    """
    if validate:
        _checks.check_values(distances, "precomputed", lengths, None, "distances")
    edges, weights = tree(distances, "precomputed", lengths, None, "distances", symmetric=symmetric)
    weights = with_gradient(weights, distances, edges, "precomputed")
    return MST(edges, rounded(weights, distances))


def vietoris_rips_pairs(
    points: Tensor,
    *,
    metric: Metric = "euclidean",
    lengths: Tensor | None = None,
    cu_seqlens: Tensor | None = None,
    max_seqlen: int | None = None,
    validate: bool = False,
) -> Tensor:
    """The edges at which components of the Vietoris–Rips filtration merge, in Kruskal order.

    They are the minimum spanning tree of the points under the strict order (length, i, j): the
    0-dimensional persistence pairs of the filtration by diameter (Moor et al. 2020, section 3).
    Discrete, hence without a gradient: give them to `pair_distances`.

    Args:
        points: `(*B, N, D)`, floating; with `cu_seqlens` packed rows `(T, D)`; or, with
            `metric="precomputed"`, distances `(*B, N, N)`.
        metric: see `pair_distances`.
        lengths: `(*B,)` int32 or int64, points of each padded bag; further rows are never read.
        cu_seqlens: `(B+1,)` int32 or int64, the row at which each packed bag begins, and T.
        max_seqlen: the most points of a packed bag, where it is known. The CPU has no use for it,
            but checks it; CUDA, which does not wait for `cu_seqlens`, must else be ready for a
            bag of T-B+1 points. A larger bag comes back as padding there, unless `validate`.
        validate: raise at the first NaN; waits for a CUDA device.

    Returns:
        `(*B, N-1, 2)` int64, i < j, (-1, -1) past a bag's length; packed `(T-B, 2)`, packed row
        numbers.

    Raises:
        TypeError: points not floating, lengths or cu_seqlens not integer.
        ValueError: shapes that don't fit, no points, values of lengths, cu_seqlens or max_seqlen
            out of range (values: CPU only, unless `validate`).

    Examples:
        >>> import torch, torchtopo
        >>> points = torch.tensor([[0., 0.], [3., 0.], [4., 0.]])
        >>> torchtopo.vietoris_rips_pairs(points)
        tensor([[1, 2],
                [0, 1]])
    """
    if validate:
        _checks.check_values(points, metric, lengths, cu_seqlens, max_seqlen=max_seqlen)
    return pairs_of(points, metric, lengths, cu_seqlens, max_seqlen)


def vietoris_rips_generators(
    points: Tensor,
    *,
    metric: Metric = "euclidean",
    lengths: Tensor | None = None,
    cu_seqlens: Tensor | None = None,
    max_seqlen: int | None = None,
    validate: bool = False,
) -> Tensor:
    """The vertex that dies with each pair, and the pair: 0-dimensional persistence generators.

    All are born at 0, so the elder rule decides by index: of two components that merge, the one
    whose smallest vertex is larger dies, and that vertex names it.

    Arguments and errors are those of `vietoris_rips_pairs`.

    Returns:
        `(*B, N-1, 3)` int64, rows (vertex, i, j); packed `(T-B, 3)`; -1 is padding.

    Examples:
        >>> import torch, torchtopo
        >>> points = torch.tensor([[0., 0.], [3., 0.], [4., 0.]])
        >>> torchtopo.vietoris_rips_generators(points)
        tensor([[2, 1, 2],
                [1, 0, 1]])
    """
    if validate:
        _checks.check_values(points, metric, lengths, cu_seqlens, max_seqlen=max_seqlen)
    pairs = pairs_of(points, metric, lengths, cu_seqlens, max_seqlen)
    dying = registry.elder_rule(pairs, points.shape[-2], cu_seqlens, max_seqlen)
    return torch.cat((dying.unsqueeze(-1), pairs), -1)


def deaths(
    points: Tensor,
    *,
    metric: Metric = "euclidean",
    lengths: Tensor | None = None,
    cu_seqlens: Tensor | None = None,
    max_seqlen: int | None = None,
    validate: bool = False,
) -> Tensor:
    """The 0-dimensional death times of each cloud, ascending and differentiable.

    By diameter: a death is the length of the edge that merges two components, as ripser, GUDHI and
    giotto-ph have it, not half of it. Zero-length bars are kept. A component that never merges
    (distances `+inf`) dies at infinity; a death that must use a NaN is NaN.

    Arguments and errors are those of `vietoris_rips_pairs`.

    Returns:
        `(*B, N-1)` in the dtype of the points (float32 for half types under autocast), in the unit
        of the points, 0 past a bag's length; packed `(T-B,)`, bag after bag. The same bits
        for a bag alone, padded or packed.

    Examples:
        >>> import torch, torchtopo
        >>> points = torch.tensor([[0., 0.], [3., 0.], [4., 0.]], requires_grad=True)
        >>> deaths = torchtopo.deaths(points)
        >>> deaths.tolist()
        [1.0, 3.0]
        >>> deaths.sum().backward()
        >>> points.grad
        tensor([[-1.,  0.],
                [ 0.,  0.],
                [ 1.,  0.]])
    """
    if validate:
        _checks.check_values(points, metric, lengths, cu_seqlens, max_seqlen=max_seqlen)
    pairs, weights = tree(points, metric, lengths, cu_seqlens, max_seqlen=max_seqlen)
    return rounded(with_gradient(weights, points, pairs, metric), points)


def persistence_diagram(
    points: Tensor,
    *,
    metric: Metric = "euclidean",
    lengths: Tensor | None = None,
    cu_seqlens: Tensor | None = None,
    max_seqlen: int | None = None,
    validate: bool = False,
) -> Tensor:
    """The 0-dimensional persistence diagram: rows (0, death), deaths ascending, differentiable.

    The essential class, which is born at 0 and never dies, is left out, so every cloud has N-1
    rows.

    Arguments and errors are those of `vietoris_rips_pairs`.

    Returns:
        `(*B, N-1, 2)`, or packed `(T-B, 2)`, dtype and unit as `deaths`.

    Examples:
        >>> import torch, torchtopo
        >>> torchtopo.persistence_diagram(torch.tensor([[0., 0.], [3., 0.], [4., 0.]]))
        tensor([[0., 1.],
                [0., 3.]])
    """
    died = deaths(
        points,
        metric=metric,
        lengths=lengths,
        cu_seqlens=cu_seqlens,
        max_seqlen=max_seqlen,
        validate=validate,
    )
    return torch.stack((torch.zeros_like(died), died), -1)


def tree(
    points: Tensor,
    metric: str,
    lengths: Tensor | None,
    cu_seqlens: Tensor | None,
    name: str = "points",
    max_seqlen: int | None = None,
    symmetric: bool = False,
) -> tuple[Tensor, Tensor]:
    """Pairs and their lengths, float32 for half types, without a gradient."""
    _checks.check_space(points, metric, name)
    _checks.check_ragged(lengths, cu_seqlens, max_seqlen)
    return registry.trees(  # type: ignore[no-any-return]
        points, metric, lengths, cu_seqlens, max_seqlen, symmetric
    )


def pairs_of(
    points: Tensor,
    metric: str,
    lengths: Tensor | None,
    cu_seqlens: Tensor | None,
    max_seqlen: int | None,
) -> Tensor:
    """The pairs alone, for who asks for no lengths."""
    _checks.check_space(points, metric)
    _checks.check_ragged(lengths, cu_seqlens, max_seqlen)
    return registry.pairs(  # type: ignore[no-any-return]
        points, metric, lengths, cu_seqlens, max_seqlen
    )
