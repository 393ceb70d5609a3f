"""RTD-Lite: how far the cluster structures of two spaces of the same points differ."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from torchtopo import _checks
from torchtopo._filtrations.rips import tree
from torchtopo._lengths import lengths_of, result_dtype, with_gradient
from torchtopo._losses.reduction import PerBag, Reduction, check_reduction, reduce
from torchtopo._metric import Metric
from torchtopo._operators import registry


class RTDLiteBarcode(NamedTuple):
    """Bars `(*B, N-1, 2)` of clusters joined in both spaces together but not yet in x, or in z."""

    x: Tensor
    z: Tensor


def rtd_lite(
    x: Tensor,
    z: Tensor,
    *,
    metric_x: Metric = "euclidean",
    metric_z: Metric = "euclidean",
    quantile: float | None = 0.9,
    lengths: Tensor | None = None,
    cu_seqlens: Tensor | None = None,
    max_seqlen: int | None = None,
    reduction: Reduction = "mean",
    validate: bool = False,
) -> Tensor:
    """How far the hierarchies of clusters in `x` and `z` are from each other; 0 where they agree.

    ½[MST(A) - MST(m) + MST(B) - MST(m)] of each bag: MST is the length of the minimum spanning
    tree, A and B are the distances in the two spaces divided by their `quantile`, and m is their
    smaller, entry by entry (Tulchinskii et al. 2025, "RTD-Lite", Algorithm 2). The quantile is that
    of the authors' code: of all N² entries of a matrix, the zeros of its diagonal among them,
    interpolated, and with a gradient. Components that never merge are left out.

    All distances of A and B and the matrix m are formed, without a gradient: neither a quantile nor
    the smaller of two spaces can be had from less. The backward pass is O(N·D).

    Args:
        x, z: the same points in two spaces, `(*B, N, D)` and `(*B, N, D')`, packed `(T, D)`, or
            distances with `metric="precomputed"`.
        metric_x, metric_z: see `pair_distances`.
        quantile: what divides each space's distances, in (0, 1]; None leaves them as they are.
        lengths, cu_seqlens, max_seqlen, validate: see `vietoris_rips_pairs`. A packed batch is
            padded to its longest bag. Without `max_seqlen` that one is looked for in `cu_seqlens`,
            which waits for a CUDA device and can't be compiled into one graph.
        reduction: `"mean"` or `"sum"` over bags, or `"none"`.

    Returns:
        A scalar, or `(*B)` (packed `(B,)`) with `reduction="none"`, in the wider dtype of x and z
        (float32 for half types under autocast).

    Raises:
        TypeError, ValueError: as `signature_loss`; a quantile out of range.

    Examples:
        >>> import torch, torchtopo
        >>> x = torch.tensor([[0.], [1.], [3.]])  # tree 1 + 2
        >>> z = torch.tensor([[0.], [5.], [1.]])  # tree 1 + 4; of the smaller 1 + 1
        >>> torchtopo.rtd_lite(x, z, quantile=None)
        tensor(2.)
    """
    check_reduction(reduction)
    spaces = _Spaces(x, z, metric_x, metric_z, quantile, lengths, cu_seqlens, max_seqlen, validate)
    a, b, m = spaces.deaths_x(), spaces.deaths_z(), spaces.deaths_of_smaller()
    loss = (spaces.sum(a) + spaces.sum(b)) / 2 - spaces.sum(m)
    return reduce(loss, reduction).to(spaces.dtype)


def rtd_lite_barcode(
    x: Tensor,
    z: Tensor,
    *,
    metric_x: Metric = "euclidean",
    metric_z: Metric = "euclidean",
    quantile: float | None = 0.9,
    lengths: Tensor | None = None,
    cu_seqlens: Tensor | None = None,
    max_seqlen: int | None = None,
    validate: bool = False,
) -> RTDLiteBarcode:
    """The bars whose lengths add up to RTD-Lite, each way.

    A bar is born where two clusters merge in the smaller of both distances, and dies where they
    merge in the space itself; the heaviest edge of the loop closed there (Tulchinskii et al. 2025,
    Algorithm 1). `rtd_lite` is half the sum of all lengths. Bars of no length are kept, so there
    are N-1 of each, ascending by birth, and all is differentiable.

    Arguments are those of `rtd_lite`. CPU only.

    Returns:
        `RTDLiteBarcode(x, z)`, each `(*B, N-1, 2)`, rows (birth, death), (0, 0) past a bag's
        length; of a packed batch padded to its largest bag; dtype as `rtd_lite`.

    Raises:
        TypeError, ValueError: as `rtd_lite`.
        RuntimeError: tensors on another device than the CPU.

    Examples:
        >>> import torch, torchtopo
        >>> x, z = torch.tensor([[0.], [1.], [3.]]), torch.tensor([[0.], [5.], [1.]])
        >>> torchtopo.rtd_lite_barcode(x, z, quantile=None).z
        tensor([[1., 4.],
                [1., 1.]])
    """
    spaces = _Spaces(x, z, metric_x, metric_z, quantile, lengths, cu_seqlens, max_seqlen, validate)
    births = spaces.deaths_of_smaller()

    def bars(pairs: Tensor, died: Tensor) -> Tensor:
        partner = registry.tree_exchange(spaces.pairs_m, pairs)
        ends = died.gather(-1, partner.clamp(min=0)).masked_fill(partner < 0, 0.0)
        return torch.stack((births.masked_fill(partner < 0, 0.0), ends), -1).to(spaces.dtype)

    return RTDLiteBarcode(
        bars(spaces.pairs_x, spaces.deaths_x()), bars(spaces.pairs_z, spaces.deaths_z())
    )


class RTDLite(nn.Module):
    """RTD-Lite with its settings kept: see `torchtopo.rtd_lite`.

    Args:
        metric_x, metric_z, quantile, reduction: as there.

    Raises:
        ValueError: a setting out of range.

    Examples:
        >>> import torch, torchtopo
        >>> loss = torchtopo.nn.RTDLite()
        >>> loss(torch.rand(8, 32, 10), torch.rand(8, 32, 2, requires_grad=True)).backward()
    """

    def __init__(
        self,
        metric_x: Metric = "euclidean",
        metric_z: Metric = "euclidean",
        quantile: float | None = 0.9,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__()
        _checks.check_metric(metric_x, "metric_x")
        _checks.check_metric(metric_z, "metric_z")
        _check_quantile(quantile)
        check_reduction(reduction)
        self.metric_x: Metric = metric_x
        self.metric_z: Metric = metric_z
        self.quantile = quantile
        self.reduction: Reduction = reduction

    def forward(
        self,
        x: Tensor,
        z: Tensor,
        *,
        lengths: Tensor | None = None,
        cu_seqlens: Tensor | None = None,
        max_seqlen: int | None = None,
        validate: bool = False,
    ) -> Tensor:
        """The loss of `z` against `x`; arguments as in `torchtopo.rtd_lite`."""
        return rtd_lite(
            x,
            z,
            metric_x=self.metric_x,
            metric_z=self.metric_z,
            quantile=self.quantile,
            lengths=lengths,
            cu_seqlens=cu_seqlens,
            max_seqlen=max_seqlen,
            reduction=self.reduction,
            validate=validate,
        )

    def extra_repr(self) -> str:
        return (
            f"metric_x={self.metric_x!r}, metric_z={self.metric_z!r}, quantile={self.quantile}, "
            f"reduction={self.reduction!r}"
        )


class _Spaces:
    """Two spaces of the same bags: their matrices, their scales and the trees of all three."""

    def __init__(
        self,
        x: Tensor,
        z: Tensor,
        metric_x: str,
        metric_z: str,
        quantile: float | None,
        lengths: Tensor | None,
        cu_seqlens: Tensor | None,
        max_seqlen: int | None,
        validate: bool,
    ) -> None:
        _check_quantile(quantile)
        _checks.check_space(x, metric_x, "x", "metric_x")
        _checks.check_space(z, metric_z, "z", "metric_z")
        _checks.check_ragged(lengths, cu_seqlens, max_seqlen)
        _checks.check_spaces(x, z, metric_x, metric_z, None, lengths, cu_seqlens)
        if validate:
            _checks.check_values(x, metric_x, lengths, cu_seqlens, "x", max_seqlen)
            _checks.check_values(z, metric_z, lengths, cu_seqlens, "z")
        self.dtype = torch.promote_types(result_dtype(x), result_dtype(z))
        if cu_seqlens is not None:
            most = _longest(cu_seqlens, x.shape[0], max_seqlen)
            (x, lengths), (z, _) = (_padded(points, cu_seqlens, most) for points in (x, z))
        self.x, self.z, self.metric_x, self.metric_z = x, z, metric_x, metric_z
        self.per_bag = PerBag(x, lengths, None)
        self.pairs_x, self.own_x = tree(x, metric_x, lengths, None, "x")
        self.pairs_z, self.own_z = tree(z, metric_z, lengths, None, "z")
        n = x.shape[-2]
        i, j = torch.triu_indices(n, n, 1, device=x.device)
        every = torch.stack((i, j), -1)
        a, b = _entries(x, every, metric_x), _entries(z, every, metric_z)
        self.scale_x = _scale(x, a, every, metric_x, quantile, lengths)
        self.scale_z = _scale(z, b, every, metric_z, quantile, lengths)
        smaller = torch.minimum(
            a / self.scale_x.detach().unsqueeze(-1), b / self.scale_z.detach().unsqueeze(-1)
        )
        # Of a matrix only the half i < j is read.
        matrix = smaller.new_zeros(*smaller.shape[:-1], n * n).index_copy(-1, i * n + j, smaller)
        self.pairs_m, _ = tree(matrix.unflatten(-1, (n, n)), "precomputed", lengths, None)

    def deaths_x(self) -> Tensor:
        died = with_gradient(self.own_x, self.x, self.pairs_x, self.metric_x)
        return died / self.scale_x.unsqueeze(-1)

    def deaths_z(self) -> Tensor:
        died = with_gradient(self.own_z, self.z, self.pairs_z, self.metric_z)
        return died / self.scale_z.unsqueeze(-1)

    def deaths_of_smaller(self) -> Tensor:
        a = lengths_of(self.x, self.pairs_m, self.metric_x) / self.scale_x.unsqueeze(-1)
        b = lengths_of(self.z, self.pairs_m, self.metric_z) / self.scale_z.unsqueeze(-1)
        return torch.minimum(a, b)

    def sum(self, died: Tensor) -> Tensor:
        return self.per_bag.sum(died.masked_fill(self.per_bag.left_out(died), 0.0))


def _check_quantile(quantile: object) -> None:
    if quantile is not None and not (isinstance(quantile, int | float) and 0 < quantile <= 1):
        raise ValueError(f"quantile must be a number in (0, 1], or None, got {quantile!r}")


def _longest(cu_seqlens: Tensor, rows: int, max_seqlen: int | None) -> int:
    """The most points of a packed bag: read, or said where reading would wait or break a graph."""
    if max_seqlen is not None and not _checks.readable(cu_seqlens):
        return min(max_seqlen, rows - cu_seqlens.shape[0] + 2)  # no bag is empty
    _checks.check_cu_seqlens_in_order(cu_seqlens, rows)
    if max_seqlen is not None:
        _checks.check_no_longer(cu_seqlens, max_seqlen)
    return int(cu_seqlens.diff().max())


def _padded(points: Tensor, cu_seqlens: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """A packed batch as a padded one, and its lengths; a bag of more points is left as padding."""
    lengths = cu_seqlens.diff()
    lengths = lengths.masked_fill((lengths < 0) | (lengths > most), 0)
    place = torch.arange(most, device=points.device)
    row = (cu_seqlens[:-1].unsqueeze(-1) + place).clamp(0, points.shape[0] - 1)
    padded = points.index_select(0, row.flatten()).unflatten(0, row.shape)
    beyond = place >= lengths.unsqueeze(-1)
    return padded.masked_fill(beyond.unsqueeze(-1), 0.0), lengths


def _entries(points: Tensor, every: Tensor, metric: str) -> Tensor:
    """The distances `(*B, N(N-1)/2)` of every pair i < j, without a gradient."""
    pairs = every.expand(*points.shape[:-2], *every.shape)
    distances: Tensor = registry.pair_lengths(points.detach(), pairs, metric)
    return distances


def _at_ranks(upper: Tensor, ranks: list[int]) -> Tensor:
    """Where the values of one rank or two neighbouring ones stand, `(*B, 2)`, counted from 0."""
    low, high = ranks
    above = upper.shape[-1] - low
    if low < high and 8 * above <= upper.shape[-1]:  # one short sort for two selections
        return upper.topk(above, -1).indices[..., [-1, -2]]
    found = [upper.kthvalue(rank + 1, -1).indices for rank in dict.fromkeys(ranks)]
    return torch.stack((found[0], found[-1]), -1)


def _scale(
    points: Tensor,
    upper: Tensor,
    every: Tensor,
    metric: str,
    quantile: float | None,
    lengths: Tensor | None,
) -> Tensor:
    """The quantile of each bag's N² distances, differentiable; 1 where it is 0 or not asked for."""
    n, batch = points.shape[-2], upper.shape[:-1]
    if quantile is None or n == 1:
        return upper.new_ones(batch)
    if lengths is None:
        # In order the matrix is its diagonal of zeros, then each distance twice.
        place = quantile * (n * n - 1)
        low = int(place)
        ranks = [max((k - n) // 2, 0) for k in (low, min(low + 1, n * n - 1))]
        zero = [k < n for k in (low, min(low + 1, n * n - 1))]
        share = place - low
        at = _at_ranks(upper, ranks)
        weights = upper.new_tensor(
            [0.0 if zero[0] else 1 - share, 0.0 if zero[1] else share]
        ).expand(*batch, 2)
    else:
        beyond = (every[:, 1] >= lengths.unsqueeze(-1)).expand_as(upper)
        order = upper.masked_fill(beyond, torch.inf).argsort(-1)
        count = lengths.to(torch.int64)
        squared = quantile * (count * count - 1).double()
        low_of = squared.floor().long()
        both = torch.stack((low_of, torch.minimum(low_of + 1, count * count - 1)), -1)
        share_of = (squared - low_of).to(upper.dtype)
        counted = count.unsqueeze(-1)
        at = order.gather(-1, ((both - counted) // 2).clamp(0, upper.shape[-1] - 1))
        weights = torch.stack((1 - share_of, share_of), -1)
        weights = weights.masked_fill((both < counted), 0.0)
    pairs = every[at].masked_fill((weights == 0).unsqueeze(-1), -1)
    scale = (lengths_of(points, pairs, metric) * weights).sum(-1)
    return scale.masked_fill(scale == 0, 1.0)
