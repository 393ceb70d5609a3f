"""Lengths of pairs with every derivative, at the cost of the pairs and not of the matrix.

A length is measured once, by the operator; its derivatives come from tensor code over the rows
that the pairs name. In plain reverse mode on the CPU one kernel does that code's work.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from torchtopo import _checks
from torchtopo._metric import Metric, matrix_entries, names_no_points, pair_lengths
from torchtopo._operators import cuda, registry


def pair_distances(
    points: Tensor, pairs: Tensor, *, metric: Metric = "euclidean", validate: bool = False
) -> Tensor:
    """Distances between the points of each pair, differentiable in the points.

    Direct differences, measured in float64 and rounded, so nearby points far from the origin lose
    nothing. Memory and time are O(M·D), forwards and backwards: no distance matrix is formed. Of
    points, a pair at distance 0 or infinity has the gradient 0; of a matrix a distance is an entry,
    which has the gradient 1 whatever it is.

    Args:
        points: `(*B, N, D)`, floating; packed rows `(T, D)`; or, with `metric="precomputed"`,
            distances `(*B, N, N)`, of which the half i < j is read.
        pairs: `(*B, M, 2)` int64, row numbers; `(-1, -1)` is padding, with distance and gradient 0.
        metric: `"euclidean"`, `"manhattan"`, `"chebyshev"`, `"cosine"` (1 - cos; a zero vector is
            at distance 1 from everything, as in `torch.nn.functional.cosine_similarity`) or
            `"precomputed"`.
        validate: raise at the first NaN or bad pair; waits for a CUDA device.

    Returns:
        `(*B, M)` in the dtype of the points (float32 for half types under autocast), in the unit
        of the points.

    Raises:
        TypeError: points not floating, pairs not int64.
        ValueError: shapes that don't fit, pairs that name no point (on CUDA they count as
            padding unless `validate`).

    Examples:
        >>> import torch, torchtopo
        >>> points = torch.tensor([[0., 0.], [3., 4.], [3., 0.]])
        >>> torchtopo.pair_distances(points, torch.tensor([[0, 1], [1, 2]]))
        tensor([5., 4.])
    """
    _checks.check_space(points, metric)
    _checks.check_tensor(pairs, "pairs")
    if validate:
        _checks.check_values(points, metric)
        _checks.check_pairs(points, pairs)
        _checks.check_pairs_in_range(pairs, points.shape[-2])
    return rounded(lengths_of(points, pairs, metric), points)


def lengths_of(points: Tensor, pairs: Tensor, metric: str) -> Tensor:
    """`pair_distances` before rounding to a half type."""
    return with_gradient(registry.pair_lengths(points, pairs, metric), points, pairs, metric)


def with_gradient(values: Tensor, points: Tensor, pairs: Tensor, metric: str) -> Tensor:
    """The measured lengths `values`, bit for bit, as a differentiable function of the points."""
    transformed = in_a_transform()
    if not transformed and not (points.requires_grad and torch.is_grad_enabled()):
        return values
    if metric == "precomputed":
        entries = matrix_entries(points, pairs).to(values.dtype)
        return torch.where(names_no_points(pairs, points.shape[-1]), values, entries)
    if not transformed and has_kernels(points):
        apply: Any = _PairLengths.apply
        result: Tensor = apply(values, points, pairs, metric)
        return result
    return _traced(values, points, pairs, metric)


def in_a_transform() -> bool:
    """Whether more than reverse mode may be asked for: a `torch.func` transform, forward mode."""
    return torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0


def has_kernels(points: Tensor) -> bool:
    """Whether a kernel pulls at these points; under `torch.compile` tensor code can be fused."""
    served = points.is_cpu or (points.is_cuda and cuda.built)
    return served and not torch.compiler.is_compiling()


def result_dtype(points: Tensor) -> torch.dtype:
    """The dtype of what a user gets: the points' own; under autocast never a half type."""
    if points.dtype in (torch.float32, torch.float64):
        return points.dtype
    kind = points.device.type
    if torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind):
        return torch.float32
    return points.dtype


def rounded(lengths: Tensor, points: Tensor) -> Tensor:
    """Lengths as measured, in the dtype of what a user gets."""
    dtype = result_dtype(points)
    return lengths if lengths.dtype is dtype else lengths.to(dtype)  # even .to(float32) costs 1 µs


def gradient_of(
    values: Tensor, slope: Tensor, points: Tensor, pairs: Tensor, metric: str
) -> Tensor:
    """The gradient Σ slope·∂length of the points, itself differentiable where that is recorded."""
    if not torch.is_grad_enabled():
        pulled: Tensor = registry.pair_pulls(slope, points, pairs, metric)
    else:
        alias = points.view_as(points)  # of the points themselves, grad would run the user's hooks
        lengths = _traced(values, alias, pairs, metric)
        (pulled,) = torch.autograd.grad(lengths, alias, slope, create_graph=True)
    return pulled


def _traced(values: Tensor, points: Tensor, pairs: Tensor, metric: str) -> Tensor:
    """Tensor code that adds to the measured values a zero that carries every derivative."""
    left_out = names_no_points(pairs, points.shape[-2]) | values.isinf()
    lengths = pair_lengths(points, pairs, metric, left_out)
    lengths = lengths * torch.where(values.isnan(), torch.nan, 1.0)  # sign and maximum lose a NaN
    return values + (lengths - lengths.detach()).to(values.dtype)


class _PairLengths(torch.autograd.Function):
    """Reverse mode by one kernel; the graph of a second derivative is the tensor code's."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, points: Tensor, pairs: Tensor, metric: str) -> Tensor:
        # What was made in inference mode, such as cached pairs, cannot be saved but as a copy.
        ctx.save_for_backward(values, points, pairs.clone() if pairs.is_inference() else pairs)
        ctx.metric = metric
        return values.clone()  # the user's own, to write into

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[None, Tensor, None, None]:
        values, points, pairs = ctx.saved_tensors
        return None, gradient_of(values, grad, points, pairs, ctx.metric), None, None
